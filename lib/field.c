/* SPDX-License-Identifier: Apache-2.0 */
#include "field.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "hash.h"
#include "xalloc.h"

enum { SLOTS = 4 * FIELDS_MAX, SLOT_MASK = SLOTS - 1 };

/*
 * Two open-addressing tables of ids, never shrunk and written under `lock`
 * only: `by_name` by the dotted name, `by_child` by (parent, key) for parsers
 * of nested objects.  A reader sees a slot as 0 or as an id whose name is
 * complete (release/acquire), so it takes no lock.
 */
struct name {
	char *text; /* owned, for ever */
	uint32_t len;
	uint32_t folded;
	uint32_t parent;   /* how by_child knows it */
	uint32_t key_from; /* the key is text[key_from..] */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct name names[FIELDS_MAX];
static _Atomic uint32_t by_name[SLOTS];
static _Atomic uint32_t by_child[SLOTS];
static _Atomic uint32_t count = 1;
static _Atomic uint64_t refused;

static const char *const known_names[] = {
	"",
#define ECS(id, name) name,
#include "ecs_fields.h"
#undef ECS
};

static uint32_t
look_up_name(struct slice name, uint32_t *slot)
{
	uint32_t at = hash_text(0, name) & SLOT_MASK;
	uint32_t id;

	for (;; at = (at + 1) & SLOT_MASK) {
		id = atomic_load_explicit(&by_name[at], memory_order_acquire);
		if (id == FIELD_NONE ||
		    slice_eq(name,
			(struct slice){ names[id].text, names[id].len }))
			break;
	}
	*slot = at;
	return id;
}

static uint32_t
look_up_child(uint32_t parent, struct slice key, uint32_t *slot)
{
	uint32_t at = hash_text(parent + 1, key) & SLOT_MASK;
	uint32_t id;

	for (;; at = (at + 1) & SLOT_MASK) {
		const struct name *n;

		id = atomic_load_explicit(&by_child[at], memory_order_acquire);
		if (id == FIELD_NONE)
			break;
		n = &names[id];
		if (n->parent == parent &&
		    slice_eq(key,
			(struct slice){ n->text + n->key_from,
			    n->len - n->key_from }))
			break;
	}
	*slot = at;
	return id;
}

static uint32_t add_name(struct slice name);

/* The name in lower case without spaces; itself if it is so already. */
static uint32_t
fold(uint32_t id, struct slice name)
{
	char folded[FIELD_NAME_MAX];
	struct slice f = { folded, 0 };
	uint32_t slot, other;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != ' ')
			folded[f.len++] = c;
	}
	if (f.len == 0 || slice_eq(f, name))
		return id;
	other = look_up_name(f, &slot);
	if (other == FIELD_NONE)
		other = add_name(f);
	return other != FIELD_NONE ? other : id;
}

/* With the lock held, and the name not in the table. */
static uint32_t
add_name(struct slice name)
{
	uint32_t id = atomic_load_explicit(&count, memory_order_relaxed);
	uint32_t slot;
	struct name *n;

	if (id >= FIELDS_MAX)
		return FIELD_NONE;
	n = &names[id];
	n->text = xmemdupz(name.ptr, name.len);
	n->len = (uint32_t)name.len;
	n->parent = FIELD_NONE;
	n->key_from = 0;
	for (size_t i = name.len; i > 0; i--) {
		if (name.ptr[i - 1] == '.' && i > 1 && i < name.len) {
			struct slice head = { name.ptr, i - 1 };
			uint32_t above = look_up_name(head, &slot);

			/* makes the parents first: their ids are lower */
			if (above == FIELD_NONE) {
				n->parent = UINT32_MAX; /* set below */
				n->key_from = (uint32_t)i;
			} else {
				n->parent = above;
				n->key_from = (uint32_t)i;
			}
			break;
		}
	}
	atomic_store_explicit(&count, id + 1, memory_order_release);
	if (n->parent == UINT32_MAX) {
		struct slice head = { name.ptr, n->key_from - 1 };

		n->parent = add_name(head);
		/* the table is full: a name without parent is its own key */
		if (n->parent == FIELD_NONE)
			n->key_from = 0;
	}
	n->folded = fold(id, name);
	(void)look_up_name(name, &slot);
	atomic_store_explicit(&by_name[slot], id, memory_order_release);
	(void)look_up_child(n->parent,
	    (struct slice){ n->text + n->key_from, n->len - n->key_from },
	    &slot);
	if (atomic_load_explicit(&by_child[slot], memory_order_relaxed) ==
	    FIELD_NONE)
		atomic_store_explicit(&by_child[slot], id,
		    memory_order_release);
	return id;
}

static void
add_known(void)
{
	(void)pthread_mutex_lock(&lock);
	/* reserve the constants' places before any parent gets an id */
	atomic_store_explicit(&count, FIELD_KNOWN, memory_order_relaxed);
	for (uint32_t id = 1; id < FIELD_KNOWN; id++) {
		struct name *n = &names[id];
		uint32_t slot;

		n->text = xstrdup(known_names[id]);
		n->len = (uint32_t)strlen(n->text);
		n->folded = id;
		(void)look_up_name((struct slice){ n->text, n->len }, &slot);
		atomic_store_explicit(&by_name[slot], id, memory_order_release);
	}
	for (uint32_t id = 1; id < FIELD_KNOWN; id++) {
		struct name *n = &names[id];
		const char *dot = strrchr(n->text, '.');
		uint32_t slot;

		if (dot != NULL) {
			struct slice head = { n->text,
				(size_t)(dot - n->text) };

			n->parent = look_up_name(head, &slot);
			if (n->parent == FIELD_NONE)
				n->parent = add_name(head);
			n->key_from = (uint32_t)(dot + 1 - n->text);
		}
		(void)look_up_child(n->parent,
		    (struct slice){ n->text + n->key_from,
			n->len - n->key_from },
		    &slot);
		atomic_store_explicit(&by_child[slot], id,
		    memory_order_release);
	}
	(void)pthread_mutex_unlock(&lock);
}

static bool
may_be_name(struct slice name)
{
	return name.len > 0 && name.len <= FIELD_NAME_MAX;
}

uint32_t
field_find(struct slice name)
{
	uint32_t slot;

	(void)pthread_once(&once, add_known);
	return may_be_name(name) ? look_up_name(name, &slot) : FIELD_NONE;
}

uint32_t
field_intern(struct slice name)
{
	uint32_t slot, id;

	(void)pthread_once(&once, add_known);
	if (!may_be_name(name)) {
		atomic_fetch_add(&refused, 1);
		return FIELD_NONE;
	}
	id = look_up_name(name, &slot);
	if (id != FIELD_NONE)
		return id;
	(void)pthread_mutex_lock(&lock);
	id = look_up_name(name, &slot);
	if (id == FIELD_NONE)
		id = add_name(name);
	(void)pthread_mutex_unlock(&lock);
	if (id == FIELD_NONE)
		atomic_fetch_add(&refused, 1);
	return id;
}

uint32_t
field_child(uint32_t parent, struct slice key)
{
	char text[FIELD_NAME_MAX];
	const struct name *p;
	uint32_t slot, id;

	(void)pthread_once(&once, add_known);
	id = look_up_child(parent, key, &slot);
	if (id != FIELD_NONE)
		return id;
	if (parent == FIELD_NONE)
		return field_intern(key);
	p = &names[parent];
	if (key.len == 0 || p->len + 1 + key.len > sizeof(text)) {
		atomic_fetch_add(&refused, 1);
		return FIELD_NONE;
	}
	memcpy(text, p->text, p->len);
	text[p->len] = '.';
	memcpy(text + p->len + 1, key.ptr, key.len);
	return field_intern((struct slice){ text, p->len + 1 + key.len });
}

struct slice
field_name(uint32_t id)
{
	(void)pthread_once(&once, add_known);
	return (struct slice){ names[id].text, names[id].len };
}

uint32_t
field_folded(uint32_t id)
{
	return names[id].folded;
}

uint32_t
field_count(void)
{
	(void)pthread_once(&once, add_known);
	return atomic_load_explicit(&count, memory_order_acquire);
}

uint64_t
field_refused(void)
{
	return atomic_load(&refused);
}
