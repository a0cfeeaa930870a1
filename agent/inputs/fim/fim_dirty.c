/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_dirty.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum { SLOTS = 2 * DIRTY_MAX };

/* After the last word of a file; what belongs together comes together. */
static const int64_t settle_ns = 10 * NS_PER_MS;
/* What is due so soon goes along: the halves of a rename are told one after the
 * other, and belong together. */
static const int64_t along_ns = 15 * NS_PER_MS;
/* A new file is told when it is closed, else after so long. */
static const int64_t new_ns = 400 * NS_PER_MS;
/* Written to, and not closed. */
static const int64_t open_ns = NS_PER_SEC;

struct fim_dirty {
	pthread_mutex_t lock;
	struct fim_dirty_path slots[SLOTS]; /* open hash table by path */
	size_t n;
	bool lost;
};

struct fim_dirty *
fim_dirty_new(void)
{
	struct fim_dirty *d = xzalloc(sizeof(*d));

	(void)pthread_mutex_init(&d->lock, NULL);
	return d;
}

void
fim_dirty_clear(struct fim_dirty_path *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(paths[i].path);
		free(paths[i].who);
		paths[i] = (struct fim_dirty_path){ 0 };
	}
}

void
fim_dirty_free(struct fim_dirty *d)
{
	if (d == NULL)
		return;
	fim_dirty_clear(d->slots, SLOTS);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

static struct fim_dirty_path *
slot_of(struct fim_dirty *d, const char *path)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = path; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	for (size_t at = (size_t)h;; at++) {
		struct fim_dirty_path *s = &d->slots[at % SLOTS];

		if (s->path == NULL || strcmp(s->path, path) == 0)
			return s;
	}
}

static int64_t
wait_of(unsigned changes, bool at_once, bool new)
{
	if (at_once ||
	    (changes & (NOTIFY_GONE | NOTIFY_CAME | NOTIFY_WRITTEN)) != 0)
		return settle_ns;
	if (new || (changes & NOTIFY_CREATED) != 0)
		return new_ns;
	return (changes & NOTIFY_ATTRIBUTES) != 0 ? settle_ns : open_ns;
}

void
fim_dirty_add(struct fim_dirty *d, const struct opener_notice *n, bool at_once,
    const struct fim_who *who)
{
	static const unsigned deep = NOTIFY_CREATED | NOTIFY_GONE | NOTIFY_CAME;
	struct fim_dirty_path *s;
	int64_t due_ns;

	(void)pthread_mutex_lock(&d->lock);
	s = slot_of(d, n->path);
	due_ns = loop_now() +
	    wait_of(n->changes, at_once, s->path != NULL && s->new);
	if (s->path == NULL && d->n >= DIRTY_MAX) {
		d->lost = true;
	} else {
		if (s->path == NULL) {
			*s = (struct fim_dirty_path){ .path = xstrdup(n->path),
				.due_ns = due_ns };
			d->n++;
		}
		if (due_ns < s->due_ns)
			s->due_ns = due_ns;
		s->new = s->new || (n->changes & NOTIFY_CREATED) != 0;
		s->deep = s->deep ||
		    ((n->changes & NOTIFY_FOLDER) != 0 &&
			(n->changes & deep) != 0);
		if (who->known && s->who == NULL)
			s->who = xzalloc(sizeof(*s->who));
		if (who->known)
			*s->who = *who;
	}
	(void)pthread_mutex_unlock(&d->lock);
}

void
fim_dirty_lost(struct fim_dirty *d)
{
	(void)pthread_mutex_lock(&d->lock);
	d->lost = true;
	(void)pthread_mutex_unlock(&d->lock);
}

bool
fim_dirty_take_lost(struct fim_dirty *d)
{
	bool lost;

	(void)pthread_mutex_lock(&d->lock);
	lost = d->lost;
	d->lost = false;
	(void)pthread_mutex_unlock(&d->lock);
	return lost;
}

/* The table without what was taken: free places would cut chains. */
static void
rehash(struct fim_dirty *d)
{
	struct fim_dirty_path *left = xcalloc(d->n + 1, sizeof(*left));
	size_t n = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		if (d->slots[i].path != NULL)
			left[n++] = d->slots[i];
	}
	memset(d->slots, 0, sizeof(d->slots));
	for (size_t i = 0; i < n; i++)
		*slot_of(d, left[i].path) = left[i];
	free(left);
}

size_t
fim_dirty_take(struct fim_dirty *d, int64_t now_ns, struct fim_dirty_path *out,
    size_t max)
{
	size_t taken = 0;

	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; d->n > 0 && i < SLOTS && taken < max; i++) {
		struct fim_dirty_path *s = &d->slots[i];

		if (s->path == NULL || s->due_ns > now_ns + along_ns)
			continue;
		out[taken++] = *s;
		*s = (struct fim_dirty_path){ 0 };
		d->n--;
	}
	if (taken > 0)
		rehash(d);
	(void)pthread_mutex_unlock(&d->lock);
	return taken;
}

int64_t
fim_dirty_due(struct fim_dirty *d)
{
	int64_t due_ns = INT64_MAX;

	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; d->n > 0 && i < SLOTS; i++) {
		if (d->slots[i].path != NULL && d->slots[i].due_ns < due_ns)
			due_ns = d->slots[i].due_ns;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return due_ns;
}
