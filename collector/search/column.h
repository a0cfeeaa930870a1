/* SPDX-License-Identifier: Apache-2.0 */
/* One leaf over the columns of one block. */
#pragma once

#include "collector/search/match.h"
#include "collector/search/sweep.h"

struct columns {
	struct matching matching;
	struct store_block *block;
	uint32_t n;
	/* made when a leaf first meets a text; at most one for each leaf */
	struct leaf_sweep *sweeps;
	uint32_t n_sweeps;
	struct sweep_scratch *scratch;
	uint8_t *found; /* by value, of the last sweep */
	/* mask: the rows of `near_of` that the last sweep found */
	uint8_t *near;
	const struct store_column *near_of;
	uint32_t room;
};

void columns_init(struct columns *c);
void columns_fini(struct columns *c);
void columns_begin(struct columns *c, struct store_block *b, uint32_t n);

/*
 * out[i] = 1 for the events of `in` that satisfy the leaf; the others' bytes
 * stay as they are.
 */
enum rc columns_test(struct columns *c, const struct leaf *leaf,
    const uint8_t *in, uint8_t *out, struct error *err);

/* False: the words that the leaf needs are certainly not there. */
bool leaf_may_match(const struct leaf *leaf, const struct store_words *w);
/* Which of two leaves to test first: the one that costs less. */
unsigned leaf_cost(const struct leaf *leaf);
