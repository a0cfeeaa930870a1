/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a text stands in a sorted list of what begins with a slice: one hash
 * instead of a dozen comparisons, for what is asked of every line.
 */
#pragma once

#include <stdint.h>

#include "arena.h"

struct text_index {
	const char *list; /* borrowed: elements of `stride` bytes */
	size_t stride;
	uint32_t *slots; /* place of the first element with a text, from 1 */
	uint32_t mask;
};

/*
 * Of `n` elements whose first member is a struct slice, equal ones side by
 * side.  Lives in the arena; the list must not move or change while it is used.
 */
void text_index_build(struct text_index *x, struct arena *arena,
    const void *list, size_t stride, uint32_t n);

/* The place of the first element with this text; UINT32_MAX: none. */
uint32_t text_index_find(const struct text_index *x, struct slice text);
