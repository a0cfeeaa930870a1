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
 *   {"a":1,"b":{"c":"x","d":3}}   {"a":  ->  ,"b":{"c":"  ->  ,"d":  ->  }}
 *
 * The quote that opens a string is in the step, so a step that fits says of
 * what kind the value is.
 */
#pragma once

#include "json.h"
#include "json_sse.h"

enum {
	STEP_TEXT = 112,
	STEP_BLOCK = 16, /* bytes that are compared at once */
	STEP_DEPTH = 8,  /* levels around a value */
	STEPS_MAX = 2048,
	SIBLINGS_MAX = 24,
	NO_STEP = UINT16_MAX, /* nothing is known or learnt from here on */
	ROOT_STEP = 0
};

enum json_step_kind {
	STEP_END,    /* of the object */
	STEP_STRING, /* its quote is the text's last byte */
	STEP_LIST,   /* an array that begins with a string: so is [" */
	STEP_TIME,   /* @timestamp as a string: its quote */
	STEP_OTHER   /* none of these, and no object */
};

struct json_step {
	uint32_t id;      /* FIELD_NONE: the object's end */
	uint16_t next;    /* the first that came behind it; 0: none */
	uint16_t sibling; /* what also came in its place; 0: none */
	uint16_t first;   /* the bytes of its first block: a bit each */
	uint8_t len;
	uint8_t kind;
	uint8_t guess; /* the length of the last short string here */
	_Alignas(STEP_BLOCK) char text[STEP_TEXT];
};

_Static_assert(sizeof(struct json_step) == 128,
    "a step is found by shifting its number");

/* What is around the value of a step, for whoever goes on from there. */
struct json_around {
	uint32_t parents[STEP_DEPTH];
	unsigned depth; /* levels that are open */
	/* the filter of an event whose fields are those of the path */
	uint64_t seen[EVENT_SEEN_WORDS];
};

/* Full: it is emptied before the next object. */
struct json_paths {
	uint16_t n;
	bool full;
	uint32_t fields; /* of the last event */
	struct json_step steps[STEPS_MAX];
	struct json_around around[STEPS_MAX];
};

void json_paths_clear(struct json_paths *p);

/* Where a value stands in its object. */
struct json_spot {
	uint32_t id;
	enum json_step_kind kind;
	unsigned depth;
	const uint32_t *parents; /* `depth` of them */
};

/* Adds a step; its number, or NO_STEP if a bound forbids. */
uint16_t json_step_add(struct json_paths *p, uint16_t from, struct slice text,
    const struct json_spot *spot);

/* Whether what begins behind a step's text is what belongs there. */
static inline bool
json_step_leads(const struct json_step *s, const char *behind, const char *end)
{
	if (s->kind == STEP_END)
		return behind == end;
	return s->kind != STEP_OTHER ||
	    (behind<end && * behind> ' ' && *behind != '{' && *behind != '"');
}

#ifdef __SSE2__
static inline unsigned
json_block_equal(const char *a, const char *b)
{
	__m128i x = json_load16(a);
	__m128i y = json_load16(b);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
}

/* Behind the first block: the last one overlaps that before it. */
static inline bool
json_step_rest_fits(const struct json_step *s, const char *at, size_t room)
{
	size_t last = (size_t)s->len - STEP_BLOCK;

	if (s->len > room)
		return false;
	for (size_t i = STEP_BLOCK; i < last; i += STEP_BLOCK)
		if (json_block_equal(at + i, s->text + i) != 0xffff)
			return false;
	return json_block_equal(at + last, s->text + last) == 0xffff;
}
#endif

/*
 * The step behind `from` that the text at `at` makes, or NULL.  Behind it a
 * value begins that is no object, or the text ends.
 */
static inline struct json_step *
json_step_find(struct json_step *steps, const struct json_step *from,
    const char *at, const char *end)
{
	size_t room = (size_t)(end - at);
	struct json_step *s;

#ifdef __SSE2__
	if (room >= STEP_BLOCK) {
		__m128i x = json_load16(at);

		for (size_t i = from->next; i != 0; i = s->sibling) {
			__m128i y;

			s = &steps[i];
			y = _mm_load_si128(
			    (const __m128i *)(const void *)s->text);
			if ((s->first &
				~(unsigned)_mm_movemask_epi8(
				    _mm_cmpeq_epi8(x, y))) == 0 &&
			    (s->len <= STEP_BLOCK ||
				json_step_rest_fits(s, at, room)) &&
			    json_step_leads(s, at + s->len, end))
				return s;
		}
		return NULL;
	}
#endif
	for (size_t i = from->next; i != 0; i = s->sibling) {
		s = &steps[i];
		if (s->len <= room && memcmp(at, s->text, s->len) == 0 &&
		    json_step_leads(s, at + s->len, end))
			return s;
	}
	return NULL;
}
