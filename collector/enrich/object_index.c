/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/enrich/object_index.h"

#include <assert.h>
#include <stdlib.h>

#include "xalloc.h"

enum { SLOTS_MIN = 64, PREFIXES_MAX = 129 };

struct name_slot {
	struct slice name; /* ptr NULL: free */
	uint32_t scope, value;
};

static unsigned char
lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* A fully qualified name may end with a dot. */
static struct slice
trimmed(struct slice name)
{
	if (name.len > 1 && name.ptr[name.len - 1] == '.')
		name.len--;
	return name;
}

/* FNV-1a. */
static uint64_t
hash_name(uint32_t scope, struct slice name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ scope;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ lower(name.ptr[i])) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static bool
same_name(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

/* Its slot, or the free one where it belongs. */
static struct name_slot *
find_slot(const struct name_index *x, uint32_t scope, struct slice name)
{
	size_t at = hash_name(scope, name) & (x->cap - 1);

	while (x->slots[at].name.ptr != NULL &&
	    (x->slots[at].scope != scope ||
		!same_name(x->slots[at].name, name)))
		at = (at + 1) & (x->cap - 1);
	return &x->slots[at];
}

static void
grow(struct name_index *x)
{
	struct name_index old = *x;

	x->cap = old.cap > 0 ? 2 * old.cap : SLOTS_MIN;
	x->slots = xcalloc(x->cap, sizeof(*x->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].name.ptr != NULL)
			*find_slot(x, old.slots[i].scope, old.slots[i].name) =
			    old.slots[i];
	free(old.slots);
}

uint32_t
name_index_add(struct name_index *x, uint32_t scope, struct slice name,
    uint32_t value)
{
	struct name_slot *slot;
	uint32_t before;

	name = trimmed(name);
	if (2 * (x->n + 1) > x->cap)
		grow(x);
	slot = find_slot(x, scope, name);
	if (slot->name.ptr == NULL) {
		*slot = (struct name_slot){ name, scope, value };
		x->n++;
		return INDEX_NONE;
	}
	before = slot->value;
	if (before != value)
		slot->value = INDEX_MANY;
	return before;
}

uint32_t
name_index_find(const struct name_index *x, uint32_t scope, struct slice name)
{
	const struct name_slot *slot;

	if (x->n == 0 || name.len == 0)
		return INDEX_NONE;
	slot = find_slot(x, scope, trimmed(name));
	return slot->name.ptr != NULL ? slot->value : INDEX_NONE;
}

void
name_index_free(struct name_index *x)
{
	free(x->slots);
	*x = (struct name_index){ .n = 0 };
}

/* ---- networks ---------------------------------------------------------------- */

void
network_index_add(struct network_index *x, const struct ip_network *net,
    uint32_t value)
{
	if (x->n_entries == x->cap) {
		x->cap = x->cap > 0 ? 2 * x->cap : SLOTS_MIN;
		x->entries =
		    xreallocarray(x->entries, x->cap, sizeof(*x->entries));
	}
	x->entries[x->n_entries++] = (struct network_entry){ *net, value };
}

static int
compare_ips(const struct ip *a, const struct ip *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* A network comes before those within it. */
static int
compare_entries(const void *a, const void *b)
{
	const struct network_entry *x = a, *y = b;
	int c = compare_ips(&x->network.first, &y->network.first);

	return c != 0 ? c
		      : (x->network.bits > y->network.bits) -
		(x->network.bits < y->network.bits);
}

static void
add_point(struct network_index *x, const struct ip *from, uint32_t value)
{
	if (x->n > 0 && compare_ips(&x->points[x->n - 1].from, from) == 0)
		x->n--;
	if (x->n > 0 && x->points[x->n - 1].value == value)
		return;
	x->points[x->n++] = (struct network_point){ *from, value };
}

/* False: there is no address behind it. */
static bool
next_ip(struct ip *ip)
{
	for (size_t i = sizeof(ip->bytes); i-- > 0;)
		if (++ip->bytes[i] != 0)
			return true;
	return false;
}

/* Networks that end before `ip` (NULL: all) give way to what holds them. */
static size_t
leave(struct network_index *x, const struct network_entry *const *open,
    size_t depth, const struct ip *ip)
{
	while (depth > 0 &&
	    (ip == NULL ||
		compare_ips(&open[depth - 1]->network.last, ip) < 0)) {
		struct ip behind = open[--depth]->network.last;

		if (next_ip(&behind))
			add_point(x, &behind,
			    depth > 0 ? open[depth - 1]->value : INDEX_NONE);
	}
	return depth;
}

void
network_index_build(struct network_index *x)
{
	/* each one that is open is longer than the one before */
	const struct network_entry *open[PREFIXES_MAX];
	size_t depth = 0;

	if (x->n_entries == 0)
		return;
	qsort(x->entries, x->n_entries, sizeof(*x->entries), compare_entries);
	x->points = xcalloc(2 * x->n_entries, sizeof(*x->points));
	for (size_t i = 0; i < x->n_entries; i++) {
		struct network_entry *e = &x->entries[i];
		struct network_entry *before = i > 0 ? e - 1 : NULL;

		if (before != NULL && compare_entries(before, e) == 0) {
			if (before->value != e->value)
				e->value = INDEX_MANY;
			open[--depth] = e; /* stands in its place */
		} else {
			depth = leave(x, open, depth, &e->network.first);
		}
		assert(depth < PREFIXES_MAX);
		open[depth++] = e;
		add_point(x, &e->network.first, e->value);
	}
	(void)leave(x, open, depth, NULL);
	free(x->entries);
	x->entries = NULL;
	x->n_entries = x->cap = 0;
}

uint32_t
network_index_find(const struct network_index *x, const struct ip *ip)
{
	size_t low = 0, high = x->n;

	while (low < high) { /* the last point that is not behind it */
		size_t middle = low + (high - low) / 2;

		if (compare_ips(&x->points[middle].from, ip) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? x->points[low - 1].value : INDEX_NONE;
}

void
network_index_free(struct network_index *x)
{
	free(x->entries);
	free(x->points);
	*x = (struct network_index){ .n = 0 };
}
