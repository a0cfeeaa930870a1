/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of many literals occur in a text, in one pass over it: a filter of the
 * first four bytes of all literals is asked at each place (Rabin and Karp, IBM
 * J. Res. Dev. 31, 1987; the hash is of a fixed length), and only where it says
 * yes are literals compared.  Places do not wait for each other, as the states
 * of an automaton would, and the filter is small enough to stay near.  This is
 * what keeps the choice of a format independent of how many formats there are.
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

/* Bound: bytes of all literals together. */
enum { LITERALS_BYTES_MAX = 60000 };

/*
 * RC_LIMIT: too many.  Literals without a byte are left out.  A text is copied.
 */
enum rc literals_new(const struct literal *list, size_t n,
    struct literals **out, struct error *err);
void literals_free(struct literals *l); /* NULL is fine */

/* True stops the scan. */
typedef bool literal_cb(void *ctx, uint32_t value);

/*
 * Tells each occurrence that ends within the first `max` bytes of `text`: in
 * the order of their ends, of one end the longest first, of one literal in the
 * order given.
 */
bool literals_scan(const struct literals *l, struct slice text, size_t max,
    literal_cb *cb, void *ctx);
