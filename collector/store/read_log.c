/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/open_blocks.h"

enum { RECORD_ARENA = 16 * 1024, DAY_ARENA = 64 * 1024 };

/* The day being read, and what tells which fields a hit needs. */
struct log_reader {
	struct sql *day;
	struct arena *arena; /* of the day: rules, sources */
	struct rule_rows rules;
	struct slice *agents; /* by source number - 1 */
	size_t n_sources;
	log_fields_cb *fields;
	void *ctx;
	struct block_decoder *decoder; /* of the block at hand */
	struct open_blocks open;       /* those with hits */
};

/* ---- a day's sources ---------------------------------------------------- */

static enum rc
read_sources(struct log_reader *x, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(x->day,
	    "SELECT s.id, a.agent FROM sources s"
	    " JOIN agents a ON a.id = s.agent ORDER BY s.id",
	    err);
	size_t n = 0, cap = 0;
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(x->day, q, err)) == RC_OK) {
		if (sqlite3_column_int64(q, 0) != (int64_t)n + 1) {
			(void)sqlite3_reset(q);
			return error_set(err, RC_LIBRARY,
			    "%s: damaged: its sources do not agree",
			    x->day->path);
		}
		if (n == cap) {
			struct slice *old = x->agents;

			cap = cap > 0 ? 2 * cap : 64;
			x->agents = arena_alloc(x->arena, cap * sizeof(old[0]));
			if (n > 0)
				memcpy(x->agents, old, n * sizeof(old[0]));
		}
		x->agents[n++] = arena_copy(x->arena, sql_text(q, 1));
	}
	x->n_sources = n;
	return rc == RC_EOF ? RC_OK : rc;
}

/* A later commit of the same day may have added some. */
static enum rc
sources_follow(struct log_reader *x, uint32_t source, struct error *err)
{
	if (source >= 1 && source <= x->n_sources)
		return RC_OK;
	if (read_sources(x, err) != RC_OK)
		return err->code;
	if (source >= 1 && source <= x->n_sources)
		return RC_OK;
	return error_set(err, RC_INVALID, "damaged block: its sources");
}

/* ---- hits --------------------------------------------------------------- */

static enum rc
read_values(struct log_reader *x, struct arena *arena, uint32_t row,
    struct log_hit *hit, struct error *err)
{
	const struct value *column;
	struct value *values;
	uint32_t *ids;
	const uint32_t *fields =
	    x->fields(x->ctx, hit->rule_digest, &hit->n_fields);

	if (fields == NULL)
		hit->n_fields = 0;
	ids = arena_alloc(arena, hit->n_fields * sizeof(ids[0]));
	values = arena_alloc(arena, hit->n_fields * sizeof(values[0]));
	for (uint32_t i = 0; i < hit->n_fields; i++) {
		if (block_decoder_column(x->decoder, fields[i], &column, err) !=
		    RC_OK)
			return err->code;
		ids[i] = fields[i];
		values[i] = column_value_copy(arena,
		    column != NULL ? &column[row] : NULL);
	}
	hit->fields = ids;
	hit->values = values;
	return RC_OK;
}

static enum rc
read_hit(struct log_reader *x, struct log_record *r, struct slice owner,
    const struct stored_hit *stored, struct error *err)
{
	struct log_hit *hit = &r->hits[r->n_hits];
	const struct value *event_id;
	const struct day_rule *rule;
	struct block_heads heads;
	uint32_t row = stored->row;

	if (row >= block_events(x->decoder) || stored->rule < 1 ||
	    stored->rule > x->rules.n)
		return error_set(err, RC_INVALID, "damaged hits");
	if (block_decoder_heads(x->decoder, &heads, err) != RC_OK ||
	    block_decoder_column(x->decoder, FIELD_EVENT_ID, &event_id, err) !=
		RC_OK ||
	    sources_follow(x, heads.sources[row], err) != RC_OK)
		return err->code;
	rule = &x->rules.list[stored->rule - 1];
	*hit = (struct log_hit){
		.rule_id = arena_copy(r->arena, rule->id),
		.visible = rule->visible,
		.time_ns = heads.times[row],
		.arrival_ns = heads.arrivals[row],
		.id = heads.ids[row],
		.id_text =
		    id_text_copy(r->arena, &heads.ids[row], heads.foreign[row],
			event_id != NULL ? &event_id[row] : NULL),
		.owner = arena_copy(r->arena, owner),
		.agent =
		    arena_copy(r->arena, x->agents[heads.sources[row] - 1]),
		.source = heads.sources[row],
	};
	memcpy(hit->rule_digest, rule->digest, SHA256_BYTES);
	r->n_hits++;
	return read_values(x, r->arena, row, hit, err);
}

/* Room for `n` more hits of the record. */
static void
hits_room(struct log_record *r, size_t n)
{
	struct log_hit *list =
	    arena_alloc(r->arena, (r->n_hits + n + 1) * sizeof(list[0]));

	if (r->n_hits > 0)
		memcpy(list, r->hits, r->n_hits * sizeof(list[0]));
	r->hits = list;
}

/* ---- blocks ------------------------------------------------------------- */

/* The hits of the block that came with the record's commit. */
static enum rc
read_block_hits(struct log_reader *x, struct log_record *r,
    struct open_block *b, struct error *err)
{
	uint32_t end;
	size_t n = 0;

	while (b->at_segment < b->segments.n &&
	    b->segments.list[b->at_segment].commit < r->commit)
		b->row += b->segments.list[b->at_segment++].n;
	if (b->at_segment == b->segments.n ||
	    b->segments.list[b->at_segment].commit != r->commit)
		return RC_OK;
	end = b->row + b->segments.list[b->at_segment].n;
	while (b->at_hit < b->n_hits && b->hits[b->at_hit].row < b->row)
		b->at_hit++;
	while (b->at_hit + n < b->n_hits && b->hits[b->at_hit + n].row < end)
		n++;
	if (n == 0)
		return RC_OK;
	if (open_block_unpack(&x->open, b, err) != RC_OK)
		return err->code;
	x->decoder = b->decoder;
	hits_room(r, n);
	for (; n > 0; n--)
		if (read_hit(x, r, b->owner, &b->hits[b->at_hit++], err) !=
		    RC_OK)
			return err->code;
	return RC_OK;
}

static enum rc
read_hits(struct log_reader *x, struct log_record *r, struct error *err)
{
	if (x->open.n > 0 &&
	    rules_follow(x->day, x->arena, &x->rules, err) != RC_OK)
		return err->code;
	for (size_t i = 0; i < x->open.n; i++)
		if (read_block_hits(x, r, &x->open.list[i], err) != RC_OK)
			return error_prefix(err, "%s: block %lld", x->day->path,
			    (long long)x->open.list[i].id);
	return RC_OK;
}

/* ---- commits ------------------------------------------------------------ */

/* The first commit after `after`. */
static enum rc
next_commit(struct log_reader *x, uint64_t after, struct log_record *r,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(x->day,
	    "SELECT number, arrival, stored, duplicates, watermarks"
	    " FROM commits WHERE number > ?1 ORDER BY number LIMIT 1",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)after);
	rc = sql_step(x->day, q, err);
	if (rc != RC_OK)
		return rc;
	r->commit = (uint64_t)sqlite3_column_int64(q, 0);
	r->arrival_ns = sqlite3_column_int64(q, 1);
	r->stored = (uint64_t)sqlite3_column_int64(q, 2);
	r->duplicates = (uint64_t)sqlite3_column_int64(q, 3);
	rc = watermarks_read(sql_blob(q, 4), r->arena, &r->watermarks,
	    &r->n_watermarks, err);
	(void)sqlite3_reset(q);
	if (rc != RC_OK)
		return error_prefix(err, "%s: commit %llu", x->day->path,
		    (unsigned long long)r->commit);
	return RC_OK;
}

static enum rc
read_day(struct log_reader *x, uint64_t from, log_record_cb *cb,
    struct error *err)
{
	uint64_t after = from > 0 ? from - 1 : 0;
	uint64_t opened = 0; /* blocks that begin up to this commit */
	enum rc rc = RC_OK;

	while (rc == RC_OK) {
		struct log_record r = { .arena = arena_new(RECORD_ARENA) };

		rc = next_commit(x, after, &r, err);
		if (rc == RC_OK)
			rc = open_blocks_move(&x->open, opened, r.commit, true,
			    err);
		if (rc == RC_OK)
			rc = read_hits(x, &r, err);
		opened = r.commit;
		after = r.commit;
		if (rc == RC_OK && r.n_hits + r.n_watermarks > 0 &&
		    !cb(x->ctx, &r)) {
			log_record_fini(&r);
			return RC_EOF;
		}
		log_record_fini(&r);
		if (rc == RC_EOF)
			return RC_OK;
	}
	return rc;
}

/* Whether the day after this one begins at or before `from`. */
static enum rc
ends_before(struct sql *day, uint64_t from, bool *out, struct error *err)
{
	struct day_totals totals;
	enum rc rc = day_totals(day, &totals, err);

	*out = totals.commit < from;
	return rc;
}

enum rc
store_read_log(struct store *s, uint64_t from, log_fields_cb *fields,
    log_record_cb *cb, void *ctx, struct error *err)
{
	struct log_reader x = { .fields = fields, .ctx = ctx };
	struct days days;
	bool before;
	enum rc rc = RC_OK;

	if (days_begin(s, &days, err) != RC_OK)
		return err->code;
	x.arena = arena_new(DAY_ARENA);
	while (rc == RC_OK) {
		rc = days_next(&days, &x.day, err);
		if (rc != RC_OK)
			break;
		x.open.day = x.day;
		arena_reset(x.arena);
		x.rules = (struct rule_rows){ 0 };
		x.agents = NULL;
		x.n_sources = 0;
		rc = ends_before(x.day, from, &before, err);
		if (rc == RC_OK && !before)
			rc = read_day(&x, from, cb, err);
		open_blocks_close(&x.open, UINT64_MAX);
		sql_close(x.day);
	}
	days_end(&days);
	open_blocks_fini(&x.open);
	arena_free(x.arena);
	return rc == RC_EOF ? RC_OK : rc;
}
