/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every text that a pattern matches must have, read from the pattern: how
 * it begins, and pairs of bytes that stand somewhere in it.  Most patterns that
 * are tried on a line do not match it; this says so for a hundredth of the
 * price.  It may let through what does not match, never the other way round.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

enum {
	FILTER_LEAD = 32,
	FILTER_PAIRS = 6,
	PAIR_BITS = 10,
	PAIRS_TEXT_MAX = 8192 /* longer texts are not looked at */
};

struct pattern_filter {
	/* of each place the bytes from `low` on, `span` more than it */
	uint8_t low[FILTER_LEAD], span[FILTER_LEAD];
	uint8_t class[FILTER_LEAD]; /* of a place of `odd`: its class */
	uint32_t odd;               /* by bits: not all of the range */
	uint8_t n_lead;
	uint8_t n_pairs;
	uint16_t pairs[FILTER_PAIRS];
};

/* Of a pattern without macros, as pattern_compile() compiles it. */
void pattern_filter_read(struct slice pattern, struct pattern_filter *out);

/* Whether `text` begins as it must. */
bool pattern_filter_lead(const struct pattern_filter *f, struct slice text);

/* The pairs of a text and of all its parts. */
struct text_pairs {
	struct slice text; /* borrowed; ptr NULL: none */
	uint8_t has[1 << PAIR_BITS];
};

void text_pairs_read(struct text_pairs *t, struct slice text);

static inline bool
pattern_filter_pairs(const struct pattern_filter *f, const struct text_pairs *t)
{
	for (unsigned i = 0; i < f->n_pairs; i++)
		if (t->has[f->pairs[i]] == 0)
			return false;
	return true;
}
