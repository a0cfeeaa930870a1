/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the blocks whose hits a query may concern: days in order, blocks in
 * order of commit; owner, times, filter and Bloom filter sort most of them out
 * before they are read.  No transaction is open while the callback runs.
 */
#pragma once

#include "collector/store/internal.h"

struct scan {
	struct block_decoder *decoder;
	uint8_t *keep; /* an event: 1 if the query wants it */
	struct slice hits;
	struct rule_rows rules; /* of the day */
};

/* RC_EOF ends the scan, which then says RC_OK. */
typedef enum rc scan_cb(void *ctx, struct scan *sc, struct error *err);
enum rc scan_blocks(struct store *s, const struct store_query *q, scan_cb *cb,
    void *ctx, struct error *err);

/* Of query.c: whether any event of the block may, and which do match. */
bool scan_may_match(const struct store_query *q, struct slice bloom);
enum rc scan_filter(struct block_decoder *d, const struct store_query *q,
    uint8_t *keep, struct error *err);

/* A block's bytes, copied to *data. */
enum rc read_block(struct sql *day, int64_t id, struct bytes *data,
    struct error *err);
