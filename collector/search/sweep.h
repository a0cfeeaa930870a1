/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the text of many values at once, by Hyperscan: which of the
 * values a leaf matches, or may match.  The values lie one behind the other;
 * what reaches over the end of one is no match.
 */
#pragma once

#include "collector/search/query.h"

struct sweep;
struct sweep_scratch;

/*
 * NULL: nothing that a pass could look for is certain, or the expression is
 * none that Hyperscan takes at a bounded cost.
 */
struct sweep *sweep_new(const struct leaf *leaf);
void sweep_free(struct sweep *s); /* NULL is fine */

/* What is found matches; if not, each of it has to be tested. */
bool sweep_is_exact(const struct sweep *s);

/* One thread's, for any number of sweeps. */
struct sweep_scratch *sweep_scratch_new(void);
void sweep_scratch_free(struct sweep_scratch *x); /* NULL is fine */

/*
 * found[k] = 1 for those of the column's values (COLUMN_TEXT); the other bytes
 * are 0.  False: it occurs so often that a look at each value costs less; what
 * `found` holds means nothing then.  A sweep learns from what it has met.
 */
bool sweep_run(struct sweep *s, struct sweep_scratch *x,
    const struct store_column *col, uint8_t *found);
