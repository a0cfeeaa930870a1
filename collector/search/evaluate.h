/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query over one block: which of its events match.  A mask has a byte for
 * each event of the block, 1 for those that are still in question, so that each
 * test looks only at what the tests before it left; what costs little comes
 * first, and a column that nobody needs is never unpacked.
 */
#pragma once

#include "collector/search/match.h"

struct evaluation;
struct evaluation *evaluation_new(const struct search_request *r);
void evaluation_free(struct evaluation *e); /* NULL is fine */

/* The request's time range, narrowed by what the query says of @timestamp. */
void evaluation_range(const struct evaluation *e, int64_t *since_ns,
    int64_t *until_ns);

/* For store_scan. */
bool evaluation_may_match(const struct evaluation *e,
    const struct store_words *w);

/* All events of the block match, which need not be read for that. */
bool evaluation_takes_all(const struct evaluation *e, struct store_block *b);

/*
 * The events that match, as a mask and how many; *mask lives until the next
 * call.  RC_EOF: the request is cancelled.
 */
enum rc evaluation_run(struct evaluation *e, struct store_block *b,
    const uint8_t **mask, uint32_t *kept, struct error *err);
