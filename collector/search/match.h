/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether one value satisfies one leaf.
 *
 * Letter case does not count: values are folded (ASCII, and Unicode's simple
 * folding; no letter beyond ASCII is equal to an ASCII one).  Regular
 * expressions and LEAF_EXACT see text as it is.
 */
#pragma once

#include "collector/search/query.h"

/* One thread's scratch. */
struct matching {
	struct buf folded;
	struct expression_scratch *expressions;
};
void matching_init(struct matching *m);
void matching_fini(struct matching *m);

bool leaf_match_text(struct matching *m, const struct leaf *leaf,
    struct slice s);
bool leaf_match_integer(struct matching *m, const struct leaf *leaf, int64_t i);
/* Any kind; of a list: any item. */
bool leaf_match_value(struct matching *m, const struct leaf *leaf,
    const struct value *v);
bool pattern_match_name(struct matching *m, const struct pattern *p,
    struct slice name);

/* An instant against a RANGE_TIME. */
static inline bool
match_time(const struct leaf *leaf, int64_t t)
{
	return (!leaf->low.given || t >= leaf->low.integer) &&
	    (!leaf->high.given || t < leaf->high.integer);
}

/* A scalar's text as JSON has it; in `room` where it is none of its own. */
enum { SCALAR_TEXT_MAX = 40 };
struct slice scalar_text(const struct value *v, char room[SCALAR_TEXT_MAX]);

bool is_ascii(struct slice s);
void fold_to(struct buf *out, struct slice s);
/* ASCII only, in place of the same length. */
void lower_to(char *to, struct slice s);

/* A character of a word: ASCII letters and digits, and all beyond ASCII. */
static inline bool
is_word_char(char c)
{
	return (unsigned char)c >= 0x80 || is_word_char_ascii(c);
}
