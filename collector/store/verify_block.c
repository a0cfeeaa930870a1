/* SPDX-License-Identifier: Apache-2.0 */
/* A block's events into the digests of the commits that they came with. */
#include "collector/store/scan.h"
#include "collector/store/verify.h"

/* What stands beside the block; in the window's arena. */
struct beside {
	uint32_t n;
	int64_t first_ns, last_ns;
	struct slice hits, bloom, segments;
};

static enum rc
read_beside(struct verify *v, int64_t id, struct beside *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(v->day,
	    "SELECT n, first_time, last_time, hits, bloom, segments FROM live"
	    " WHERE id = ?1",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, id);
	rc = sql_step(v->day, q, err);
	if (rc != RC_OK)
		return rc == RC_EOF
		    ? error_set(err, RC_LIBRARY, "it went while it was read")
		    : rc;
	out->n = (uint32_t)sqlite3_column_int64(q, 0);
	out->first_ns = sqlite3_column_int64(q, 1);
	out->last_ns = sqlite3_column_int64(q, 2);
	out->hits = arena_copy(v->window_arena, sql_blob(q, 3));
	out->bloom = arena_copy(v->window_arena, sql_blob(q, 4));
	out->segments = arena_copy(v->window_arena, sql_blob(q, 5));
	(void)sqlite3_reset(q);
	return RC_OK;
}

/* Nothing of it can be compared: its commits are not looked at further. */
static void
give_up(struct verify *v, const struct verify_block *b, const char *problem,
    const char *why)
{
	for (uint64_t c = b->first; c <= b->last; c++) {
		struct slot *s = verify_slot(v, c);

		if (s == NULL)
			continue;
		s->damaged = true;
		if (s->block == 0)
			s->block = b->id;
	}
	verify_finding(v, b->first, b->id, problem, "commit %llu: %s",
	    (unsigned long long)b->first, why);
}

static void
add_line(struct verify *v, struct slot *s, const struct event *ev)
{
	buf_clear(&v->digest.line);
	chain_line(&v->digest.line, ev, v->digest.memo);
	sha256_add(s->lines, v->digest.line.ptr, v->digest.line.len);
}

/* The hits of the block's rows [from, to), whose first event is `event`. */
static bool
add_hits(struct verify *v, const struct stored_hit **at,
    const struct stored_hit *end, uint32_t from, uint32_t to, uint64_t event)
{
	while (*at < end && (*at)->row < to) {
		const struct stored_hit *h = (*at)++;
		const struct day_rule *r;

		if (h->row < from || h->rule < 1 || h->rule > v->rules.n)
			return false;
		r = &v->rules.list[h->rule - 1];
		chain_digest_hit(&v->digest, event + (h->row - from), r->digest,
		    r->id);
	}
	return true;
}

static enum rc
add_events(struct verify *v, const struct verify_block *b,
    const struct beside *beside, struct error *err)
{
	const struct stored_hit *hits = NULL, *end;
	struct block_heads heads;
	struct event ev;
	uint32_t row = 0;
	size_t n_hits = 0;

	if (beside->hits.len > 0 &&
	    hits_read(beside->hits, v->window_arena, &hits, &n_hits, err) !=
		RC_OK)
		return err->code;
	end = hits + n_hits;
	if (block_decoder_heads(v->decoder, &heads, err) != RC_OK)
		return err->code;
	block_encoder_begin(v->encoder);
	for (size_t i = 0; i < v->segments.n; i++) {
		const struct segment *g = &v->segments.list[i];
		struct slot *s = verify_slot(v, g->commit);
		struct sha256 *own = v->digest.hits;
		bool good;

		if (s == NULL)
			return error_set(err, RC_INVALID,
			    "it has events of commit %llu",
			    (unsigned long long)g->commit);
		v->digest.hits = s->hits;
		chain_digest_owner(&v->digest, b->owner, g->n);
		good = add_hits(v, &hits, end, row, row + g->n,
		    s->row.first + s->events);
		v->digest.hits = own;
		if (!good)
			return error_set(err, RC_INVALID,
			    "its hits are damaged");
		if (s->block == 0)
			s->block = b->id;
		s->events += g->n;
		for (uint32_t k = 0; k < g->n; k++, row++) {
			block_event(v->decoder, row, &ev);
			add_line(v, s, &ev);
			block_encoder_add(v->encoder, &ev, ev.time_ns,
			    heads.sources[row]);
		}
	}
	return RC_OK;
}

/* What queries go by before they unpack a block; told with its commit. */
static void
compare_beside(struct verify *v, const struct verify_block *b,
    const struct beside *beside)
{
	struct slot *s = verify_slot(v, b->first);
	struct block_encoded again;

	if (s == NULL ||
	    block_encoder_finish(v->encoder, &again, &v->ignored) != RC_OK)
		return;
	if (again.first_ns != beside->first_ns ||
	    again.last_ns != beside->last_ns)
		s->hidden = "times beside it are not those of its events";
	else if (!bloom_has_all(beside->bloom,
		     block_encoder_tokens(v->encoder)))
		s->hidden = "filter does not know all of its words";
	if (s->hidden != NULL && s->hidden_block == 0)
		s->hidden_block = b->id;
}

enum rc
verify_block(struct verify *v, const struct verify_block *b, struct error *err)
{
	struct error why = { 0 };
	struct beside beside = { 0 };
	enum rc rc = read_beside(v, b->id, &beside, &why);

	v->out->blocks++;
	v->last_block = b->id;
	if (rc == RC_OK)
		rc = read_block(v->day, b->id, &v->data, &why);
	if (rc == RC_LIBRARY || rc == RC_SYSTEM) {
		give_up(v, b, "unreadable", why.text);
		return RC_OK;
	}
	if (rc != RC_OK) {
		give_up(v, b, "missing", why.text);
		return RC_OK;
	}
	if (rules_follow(v->day, v->day_arena, &v->rules, err) != RC_OK)
		return err->code;
	rc = block_decoder_open(v->decoder, bytes_slice(&v->data), &why);
	if (rc == RC_OK && block_events(v->decoder) != beside.n)
		rc = error_set(&why, RC_INVALID,
		    "it holds %u events, %u were written",
		    block_events(v->decoder), beside.n);
	if (rc == RC_OK)
		rc = block_decoder_all(v->decoder, &why);
	if (rc == RC_OK)
		rc = segments_read(beside.segments, b->first, beside.n,
		    &v->segments, &why);
	if (rc == RC_OK)
		rc = add_events(v, b, &beside, &why);
	if (rc != RC_OK) {
		give_up(v, b, "changed", why.text);
		return RC_OK;
	}
	compare_beside(v, b, &beside);
	v->out->events += beside.n;
	(void)verify_progress(v);
	return RC_OK;
}
