/* SPDX-License-Identifier: Apache-2.0 */
#include "text_index.h"

#include "hash.h"

static struct slice
text_at(const struct text_index *x, uint32_t place)
{
	struct slice s;

	memcpy(&s, x->list + place * x->stride, sizeof(s));
	return s;
}

/* The slot of `text`, or the free one where it belongs. */
static uint32_t
slot_of(const struct text_index *x, struct slice text)
{
	uint32_t at = hash_text(0, text) & x->mask;

	while (
	    x->slots[at] != 0 && !slice_eq(text_at(x, x->slots[at] - 1), text))
		at = (at + 1) & x->mask;
	return at;
}

void
text_index_build(struct text_index *x, struct arena *arena, const void *list,
    size_t stride, uint32_t n)
{
	uint32_t size = 2;

	while (size < 2 * n)
		size *= 2;
	x->list = list;
	x->stride = stride;
	x->mask = size - 1;
	x->slots = arena_alloc(arena, size * sizeof(x->slots[0]));
	memset(x->slots, 0, size * sizeof(x->slots[0]));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = slot_of(x, text_at(x, i));

		if (x->slots[at] == 0)
			x->slots[at] = i + 1;
	}
}

uint32_t
text_index_find(const struct text_index *x, struct slice text)
{
	return x->slots[slot_of(x, text)] - 1; /* of 0: UINT32_MAX */
}
