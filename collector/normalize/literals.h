/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of many literals occur in a text, in one pass over it: Aho and Corasick
 * (CACM 18, 1975) as a complete automaton over classes of bytes.  This is what
 * keeps the choice of a format independent of how many formats there are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "slice.h"

struct literals;

struct literal {
	struct slice text; /* borrowed while literals_new() runs */
	bool at_start;     /* only at the first byte of the text */
	uint32_t value;    /* what literals_scan() tells */
};

/* Bound of the automaton: bytes of all literals together. */
enum { LITERALS_BYTES_MAX = 60000 };

/* Literals of one place are told in the order given; RC_LIMIT: too many. */
enum rc literals_new(const struct literal *list, size_t n,
    struct literals **out, struct error *err);
void literals_free(struct literals *l); /* NULL is fine */

/* True stops the scan. */
typedef bool literal_cb(void *ctx, uint32_t value);

/* Tells each occurrence that ends within the first `max` bytes of `text`. */
bool literals_scan(const struct literals *l, struct slice text, size_t max,
    literal_cb *cb, void *ctx);
