/* SPDX-License-Identifier: Apache-2.0 */
/* Counting, and events by arrival: block by block. */
#include <stdlib.h>

#include "collector/search/evaluate.h"
#include "collector/search/sorted.h"
#include "xalloc.h"

enum { TRIES = 20 }; /* when blocks are merged under our hands */

void
search_begin_scan(struct store_scan *scan, const struct evaluation *e,
    const struct search_request *r)
{
	*scan = (struct store_scan){ .owner = r->owner,
		.after_commit = r->after_commit,
		.last_commit = r->last_commit };
	evaluation_range(e, &scan->since_ns, &scan->until_ns);
}

static uint32_t *
rows_of(const uint8_t *mask, uint32_t n, uint32_t kept)
{
	uint32_t *rows = xcalloc(kept + 1, sizeof(rows[0]));
	uint32_t k = 0;

	for (uint32_t i = 0; i < n && k < kept; i++)
		if (mask[i])
			rows[k++] = i;
	return rows;
}

/* ---- counting --------------------------------------------------------------- */

struct counting {
	struct evaluation *evaluation;
	uint64_t n;
};

static enum rc
count_block(void *ctx, struct store_block *b, struct error *err)
{
	struct counting *c = ctx;
	const uint8_t *mask;
	uint32_t kept;
	enum rc rc;

	if (evaluation_takes_all(c->evaluation, b)) {
		c->n += store_block_info(b).n;
		return RC_OK;
	}
	rc = evaluation_run(c->evaluation, b, &mask, &kept, err);
	if (rc == RC_OK)
		c->n += kept;
	return rc;
}

static bool
may_count(void *ctx, const struct store_words *w)
{
	const struct counting *c = ctx;

	return evaluation_may_match(c->evaluation, w);
}

enum rc
search_count(struct store *s, const struct search_request *r, uint64_t *count,
    struct error *err)
{
	struct counting c = { .evaluation = evaluation_new(r) };
	struct store_scan scan;
	enum rc rc = RC_AGAIN;

	search_begin_scan(&scan, c.evaluation, r);
	scan.may_match = may_count;
	scan.on_block = count_block;
	scan.ctx = &c;
	for (unsigned i = 0; i < TRIES && rc == RC_AGAIN; i++) {
		c.n = 0;
		rc = store_scan(s, &scan, err);
	}
	*count = c.n;
	evaluation_free(c.evaluation);
	return rc;
}

/* ---- by arrival -------------------------------------------------------------- */

struct streaming {
	struct evaluation *evaluation;
	search_event_cb *cb;
	void *ctx;
	uint64_t limit, given;
};

static bool
may_stream(void *ctx, const struct store_words *w)
{
	const struct streaming *x = ctx;

	return evaluation_may_match(x->evaluation, w);
}

static bool
give(void *ctx, uint32_t row, const struct event *ev)
{
	struct streaming *x = ctx;

	(void)row;
	return x->cb(x->ctx, ev) && ++x->given != x->limit;
}

static enum rc
stream_block(void *ctx, struct store_block *b, struct error *err)
{
	struct streaming *x = ctx;
	const uint8_t *mask;
	uint32_t kept, *rows;
	enum rc rc = evaluation_run(x->evaluation, b, &mask, &kept, err);

	if (rc != RC_OK || kept == 0)
		return rc;
	rows = rows_of(mask, store_block_info(b).n, kept);
	rc = store_block_events(b, rows, kept, give, x, err);
	free(rows);
	return rc;
}

static enum rc
stream_events(struct store *s, const struct search_request *r, uint64_t limit,
    search_event_cb *cb, void *ctx, struct error *err)
{
	struct streaming x = { .evaluation = evaluation_new(r),
		.cb = cb,
		.ctx = ctx,
		.limit = limit };
	struct store_scan scan;
	enum rc rc;

	search_begin_scan(&scan, x.evaluation, r);
	scan.may_match = may_stream;
	scan.on_block = stream_block;
	scan.ctx = &x;
	rc = store_scan(s, &scan, err);
	evaluation_free(x.evaluation);
	return rc;
}

enum rc
search_events(struct store *s, const struct search_request *r,
    struct search_page *page, search_event_cb *cb, void *ctx, struct error *err)
{
	page->next[0] = '\0';
	return page->sort == SEARCH_ARRIVAL
	    ? stream_events(s, r, page->limit, cb, ctx, err)
	    : sorted_events(s, r, page, cb, ctx, err);
}
