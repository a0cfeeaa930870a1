/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/scan.h"

enum { SCAN_ARENA = 64 * 1024 };

struct scanning {
	const struct store_query *q;
	scan_cb *cb;
	void *ctx;
	struct scan sc;
	struct arena *day_arena;
	struct bytes data, hits, keep;
	int64_t commit, at; /* of the last block looked at, its id */
};

enum rc
read_block(struct sql *day, int64_t id, struct bytes *data, struct error *err)
{
	sqlite3_stmt *q =
	    sql_prepare(day, "SELECT data FROM block_data WHERE id = ?1", err);
	struct slice blob;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, id);
	rc = sql_step(day, q, err);
	if (rc == RC_EOF)
		return error_set(err, RC_INVALID, "%s: block %lld is missing",
		    day->path, (long long)id);
	if (rc != RC_OK)
		return rc;
	blob = sql_blob(q, 0);
	data->n = 0;
	bytes_add(data, blob.ptr, blob.len);
	(void)sqlite3_reset(q);
	return RC_OK;
}

/* RC_OK: a block, to be read where it is wanted; RC_EOF: no more. */
static enum rc
next_block(struct scanning *x, struct sql *day, bool *wanted, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(day,
	    "SELECT id, bloom, hits, commit_number"
	    " FROM live WHERE (commit_number, id) > (?5, ?1)"
	    " AND last_time >= ?2 AND first_time < ?3"
	    " AND (?4 IS NULL OR owner = ?4) AND hits IS NOT NULL"
	    " ORDER BY commit_number, id LIMIT 1",
	    err);
	struct slice hits;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, x->at);
	sql_bind_int(q, 2, x->q->since_ns);
	sql_bind_int(q, 3, x->q->until_ns);
	if (x->q->owner.ptr != NULL)
		sql_bind_text(q, 4, x->q->owner);
	sql_bind_int(q, 5, x->commit);
	rc = sql_step(day, q, err);
	if (rc != RC_OK)
		return rc;
	x->at = sqlite3_column_int64(q, 0);
	x->commit = sqlite3_column_int64(q, 3);
	*wanted = scan_may_match(x->q, sql_blob(q, 1));
	hits = sql_blob(q, 2);
	x->hits.n = 0;
	bytes_add(&x->hits, hits.ptr, hits.len);
	x->sc.hits = bytes_slice(&x->hits);
	(void)sqlite3_reset(q);
	return RC_OK;
}

static enum rc
take_block(struct scanning *x, struct sql *day, struct error *err)
{
	enum rc rc = read_block(day, x->at, &x->data, err);

	if (rc == RC_OK)
		rc = block_decoder_open(x->sc.decoder, bytes_slice(&x->data),
		    err);
	if (rc == RC_OK) {
		x->sc.keep =
		    bytes_room(&x->keep, block_events(x->sc.decoder) + 1);
		rc = scan_filter(x->sc.decoder, x->q, x->sc.keep, err);
	}
	if (rc == RC_OK)
		rc = x->cb(x->ctx, &x->sc, err);
	if (rc != RC_OK && rc != RC_EOF)
		return error_prefix(err, "%s: block %lld", day->path,
		    (long long)x->at);
	return rc;
}

static enum rc
scan_day(struct scanning *x, struct sql *day, struct error *err)
{
	struct day_totals totals = { 0 };
	bool wanted = false;
	enum rc rc = day_totals(day, &totals, err);

	if (rc == RC_OK &&
	    (totals.last_ns < x->q->since_ns ||
		totals.first_ns >= x->q->until_ns))
		return RC_OK;
	x->commit = x->at = 0;
	arena_reset(x->day_arena);
	x->sc.rules = (struct rule_rows){ 0 };
	while (rc == RC_OK) {
		rc = next_block(x, day, &wanted, err);
		if (rc == RC_EOF)
			return RC_OK;
		if (rc == RC_OK)
			rc = rules_follow(day, x->day_arena, &x->sc.rules, err);
		if (rc == RC_OK && wanted)
			rc = take_block(x, day, err);
	}
	return rc;
}

enum rc
scan_blocks(struct store *s, const struct store_query *q, scan_cb *cb,
    void *ctx, struct error *err)
{
	struct scanning x = { .q = q, .cb = cb, .ctx = ctx };
	struct days days;
	struct sql *day;
	enum rc rc = RC_OK;

	if (days_begin(s, &days, err) != RC_OK)
		return err->code;
	if (days_with_restored(&days, err) != RC_OK) {
		days_end(&days);
		return err->code;
	}
	x.sc.decoder = block_decoder_new();
	x.day_arena = arena_new(SCAN_ARENA);
	while (rc == RC_OK) {
		rc = days_next(&days, &day, err);
		if (rc != RC_OK)
			break;
		rc = scan_day(&x, day, err);
		sql_close(day);
	}
	days_end(&days);
	block_decoder_free(x.sc.decoder);
	arena_free(x.day_arena);
	bytes_fini(&x.data);
	bytes_fini(&x.hits);
	bytes_fini(&x.keep);
	return rc == RC_EOF ? RC_OK : rc;
}
