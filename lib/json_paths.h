/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between the values of alike objects, for lib/json_*.c only.
 *
 * A tree of steps.  A step is the text from behind one value (or the first
 * brace) to the next value that is no object: closing and opening brackets,
 * commas, keys, white space.  Its place in the tree says all that a reader's
 * state depends on, so where an object has the same bytes, the names need not
 * be read again: the field's id is in the step.  No path names a field twice.
 *
 *   {"a":1,"b":{"c":2,"d":3}}     "a":  ->  ,"b":{"c":  ->  ,"d":  ->  }}
 */
#pragma once

#ifdef __SSE2__
# include <emmintrin.h>
#endif

#include "json.h"

enum {
	STEP_TEXT = 80, /* whole blocks of 16 */
	STEP_DEPTH = 8, /* levels around a value */
	STEPS_MAX = 2048,
	SIBLINGS_MAX = 24,
	NO_STEP = UINT16_MAX, /* nothing is known or learnt from here on */
	ROOT_STEP = 0
};

struct json_step {
	uint32_t id;      /* FIELD_NONE: the object's end */
	uint16_t next;    /* the first that came behind it; 0: none */
	uint16_t sibling; /* what also came in its place; 0: none */
	uint8_t len;
	uint8_t depth; /* levels that are open around the value */
	_Alignas(16) char text[STEP_TEXT]; /* zeros behind len */
	uint32_t parents[STEP_DEPTH];
};

_Static_assert(sizeof(struct json_step) == 128,
    "a step is found by shifting its number");

/* Full: it is emptied before the next object. */
struct json_paths {
	uint16_t n;
	bool full;
	struct json_step steps[STEPS_MAX];
};

void json_paths_clear(struct json_paths *p);

static inline bool
json_step_fits(const struct json_step *s, const char *at, const char *end)
{
#ifdef __SSE2__
	if (end - at >= STEP_TEXT) {
		unsigned i = 0, equal;

		for (;; i += 16) {
			__m128i x = _mm_loadu_si128(
			    (const __m128i *)(const void *)(at + i));
			__m128i y = _mm_load_si128(
			    (const __m128i *)(const void *)(s->text + i));

			equal =
			    (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
			if (i + 16 >= s->len)
				break;
			if (equal != 0xffff)
				return false;
		}
		return (~equal & ((1U << (s->len - i)) - 1)) == 0;
	}
#endif
	return (size_t)(end - at) >= s->len && memcmp(at, s->text, s->len) == 0;
}

/*
 * The step behind `from` that the text at `at` makes, or NULL.  Behind it a
 * value begins that is no object, or the text ends.
 */
static inline const struct json_step *
json_step_find(const struct json_paths *p, uint16_t from, const char *at,
    const char *end)
{
	for (uint16_t i = p->steps[from].next; i != 0;
	     i = p->steps[i].sibling) {
		const struct json_step *s = &p->steps[i];
		const char *behind = at + s->len;

		if (!json_step_fits(s, at, end))
			continue;
		if (s->id == FIELD_NONE
			? behind == end
			: behind<end && * behind> ' ' && *behind != '{')
			return s;
	}
	return NULL;
}

/* Where a value stands in its object. */
struct json_spot {
	uint32_t id;
	unsigned depth;
	const uint32_t *parents; /* `depth` of them */
};

/* Adds a step; its number, or NO_STEP if a bound forbids. */
uint16_t json_step_add(struct json_paths *p, uint16_t from, struct slice text,
    const struct json_spot *spot);
