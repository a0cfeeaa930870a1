/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "collector/store/internal.h"
#include "collector/store/scan.h"
#include "collector/store/text.h"
#include "json.h"
#include "timestamp.h"

enum { GROUP_BYTES = 4096 };

/* ---- filters ------------------------------------------------------------ */

static bool
may_match(const struct store_filter *f, struct slice bloom)
{
	struct event_id id;

	if (f->field == FIELD_TIMESTAMP)
		return true;
	if (f->field == FIELD_EVENT_ID && event_id_parse(f->value, &id))
		return bloom_may_have_whole(bloom,
		    (struct slice){ (const char *)id.stream, 16 });
	return bloom_may_have_text(bloom, f->value);
}

bool
scan_may_match(const struct store_query *q, struct slice bloom)
{
	for (size_t i = 0; i < q->n_filters; i++)
		if (!may_match(&q->filters[i], bloom))
			return false;
	return true;
}

static enum rc
filter_times(struct block_decoder *d, struct slice text, uint8_t *keep,
    struct error *err)
{
	struct timestamp_hints hints = { 0 };
	const int64_t *times;
	int64_t t = 0;
	bool parsed = text.len > 0 &&
	    timestamp_parse_rfc3339(text, &hints, &t) == text.len;

	if (block_decoder_times(d, &times, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < block_events(d); i++)
		keep[i] &= parsed && times[i] == t;
	return RC_OK;
}

static enum rc
filter_ids(struct block_decoder *d, struct slice text, uint8_t *keep,
    struct error *err)
{
	static const uint8_t none[16];
	const struct value *named;
	struct block_heads heads;
	struct event_id id;
	bool parsed = event_id_parse(text, &id);

	if (block_decoder_heads(d, &heads, err) != RC_OK ||
	    block_decoder_column(d, FIELD_EVENT_ID, &named, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < block_events(d); i++) {
		const struct event_id *own = &heads.ids[i];
		bool same;

		if (memcmp(own->stream, none, sizeof(none)) != 0)
			same = parsed && own->offset == id.offset &&
			    memcmp(own->stream, id.stream, 16) == 0;
		else if (heads.foreign[i].len > 0)
			same = slice_eq(heads.foreign[i], text);
		else
			same =
			    named != NULL && value_equals_text(&named[i], text);
		keep[i] &= same;
	}
	return RC_OK;
}

static enum rc
filter_field(struct block_decoder *d, const struct store_filter *f,
    uint8_t *keep, struct error *err)
{
	const struct value *values;

	if (block_decoder_column(d, f->field, &values, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < block_events(d); i++)
		keep[i] = keep[i] && values != NULL &&
		    value_equals_text(&values[i], f->value);
	return RC_OK;
}

static enum rc
filter_since(struct block_decoder *d, const struct store_query *q,
    uint8_t *keep, struct error *err)
{
	const int64_t *times;

	if (block_decoder_times(d, &times, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < block_events(d); i++)
		keep[i] = times[i] >= q->since_ns && times[i] < q->until_ns;
	return RC_OK;
}

enum rc
scan_filter(struct block_decoder *d, const struct store_query *q, uint8_t *keep,
    struct error *err)
{
	enum rc rc = filter_since(d, q, keep, err);

	for (size_t i = 0; rc == RC_OK && i < q->n_filters; i++) {
		const struct store_filter *f = &q->filters[i];

		if (f->field == FIELD_TIMESTAMP)
			rc = filter_times(d, f->value, keep, err);
		else if (f->field == FIELD_EVENT_ID)
			rc = filter_ids(d, f->value, keep, err);
		else
			rc = filter_field(d, f, keep, err);
	}
	return rc;
}

/* ---- detections --------------------------------------------------------- */

struct detections_call {
	struct slice rule;
	uint64_t limit, given;
	store_detection_cb *cb;
	void *ctx;
	struct arena *arena;
	struct buf group;
};

static void
write_group(struct buf *out, const struct event *ev)
{
	const struct value *ip = event_get(ev, FIELD_SOURCE_IP);

	buf_clear(out);
	(void)buf_add_char(out, '{');
	if (ip != NULL && ip->kind != VALUE_NULL) {
		(void)buf_add_str(out, "\"source.ip\":");
		json_write_value(out, ip);
	}
	(void)buf_add_char(out, '}');
}

static enum rc
give_detections(void *ctx, struct scan *sc, struct error *err)
{
	struct detections_call *c = ctx;
	const struct stored_hit *hits;
	struct event ev;
	size_t n;

	arena_reset(c->arena);
	if (hits_read(sc->hits, c->arena, &hits, &n, err) != RC_OK)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		const struct day_rule *r;

		if (hits[i].row >= block_events(sc->decoder) ||
		    hits[i].rule < 1 || hits[i].rule > sc->rules.n)
			return error_set(err, RC_INVALID, "damaged hits");
		r = &sc->rules.list[hits[i].rule - 1];
		if (!sc->keep[hits[i].row] || !r->visible ||
		    (c->rule.ptr != NULL && !slice_eq(r->id, c->rule)))
			continue;
		if (block_decoder_all(sc->decoder, err) != RC_OK)
			return err->code;
		block_event(sc->decoder, hits[i].row, &ev);
		write_group(&c->group, &ev);
		if (!c->cb(c->ctx,
			&(struct store_detection){ r->id, r->about, r->level,
			    &ev, buf_slice(&c->group) }) ||
		    ++c->given == c->limit)
			return RC_EOF;
	}
	return RC_OK;
}

enum rc
store_detections(struct store *s, const struct store_query *q,
    struct slice rule, store_detection_cb *cb, void *ctx, struct error *err)
{
	struct detections_call c = { .rule = rule,
		.limit = q->limit,
		.cb = cb,
		.ctx = ctx };
	enum rc rc;

	c.arena = arena_new(GROUP_BYTES);
	buf_init(&c.group, BATCH_BYTES);
	rc = scan_blocks(s, q, give_detections, &c, err);
	arena_free(c.arena);
	buf_fini(&c.group);
	return rc;
}

/* ---- agents ------------------------------------------------------------- */

static enum rc
last_day(struct store *s, struct sql **day, struct error *err)
{
	struct days days;
	struct sql *next;
	enum rc rc;

	*day = NULL;
	if (days_begin(s, &days, err) != RC_OK)
		return err->code;
	/* the newest with a commit knows all */
	for (rc = RC_EOF; rc == RC_EOF && days.n > 0;) {
		rc =
		    day_open(s->dir, days.list[--days.n], SQL_READ, &next, err);
		if (rc == RC_OK)
			*day = next;
	}
	days_end(&days);
	return rc;
}

enum rc
store_agents(struct store *s, struct slice owner, store_agent_cb *cb, void *ctx,
    struct error *err)
{
	struct sql *day;
	sqlite3_stmt *q;
	enum rc rc = last_day(s, &day, err);

	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	q = sql_prepare(day,
	    "SELECT owner, agent, last_seen, events FROM agents"
	    " WHERE ?1 IS NULL OR owner = ?1 ORDER BY owner, agent",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK && owner.ptr != NULL)
		sql_bind_text(q, 1, owner);
	while (rc == RC_OK && (rc = sql_step(day, q, err)) == RC_OK) {
		struct store_agent a = { sql_text(q, 0), sql_text(q, 1),
			sqlite3_column_int64(q, 2),
			(uint64_t)sqlite3_column_int64(q, 3) };

		if (!cb(ctx, &a))
			break;
	}
	sql_close(day);
	return rc == RC_EOF ? RC_OK : rc;
}
