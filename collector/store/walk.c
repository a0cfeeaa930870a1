/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/walk.h"

#include "collector/store/open_blocks.h"

enum { WALK_ARENA = 16 * 1024 };

struct walk {
	struct sql *day;
	const struct walk_visitor *v;
	struct arena *arena; /* of the day */
	struct rule_rows rules;
	struct open_blocks open;
	uint64_t events; /* before the commit */
};

static enum rc
open_blocks(struct walk *w, uint64_t commit, struct error *err)
{
	enum rc rc = open_blocks_move(&w->open, commit - 1, commit, false, err);

	for (size_t i = 0; rc == RC_OK && i < w->open.n; i++) {
		struct open_block *b = &w->open.list[i];

		if (b->decoder != NULL)
			continue;
		rc = open_block_unpack(&w->open, b, err);
		if (rc == RC_OK)
			rc = block_decoder_all(b->decoder, err);
		if (rc == RC_OK && block_events(b->decoder) != b->n)
			rc = error_set(err, RC_INVALID, "its number of events");
		if (rc != RC_OK)
			return error_prefix(err, "%s: block %lld", w->day->path,
			    (long long)b->id);
	}
	return rc;
}

static enum rc
visit_hits(struct walk *w, struct open_block *b, uint32_t n, struct error *err)
{
	uint32_t end = b->row + n;

	while (b->at_hit < b->n_hits && b->hits[b->at_hit].row < end) {
		const struct stored_hit *h = &b->hits[b->at_hit++];
		enum rc rc;

		if (h->row < b->row || h->rule < 1 || h->rule > w->rules.n)
			return error_set(err, RC_INVALID,
			    "%s: block %lld: damaged hits", w->day->path,
			    (long long)b->id);
		if (w->v->on_hit == NULL)
			continue;
		rc = w->v->on_hit(w->v->ctx, w->events + 1 + (h->row - b->row),
		    &w->rules.list[h->rule - 1], err);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* What the block has of the commit. */
static enum rc
visit_block(struct walk *w, struct open_block *b, uint64_t commit,
    struct error *err)
{
	struct event ev;
	enum rc rc = RC_OK;
	uint32_t n;

	if (b->at_segment == b->segments.n ||
	    b->segments.list[b->at_segment].commit != commit)
		return RC_OK;
	n = b->segments.list[b->at_segment++].n;
	if (w->v->on_owner != NULL)
		rc = w->v->on_owner(w->v->ctx, b->owner, n, err);
	if (rc == RC_OK)
		rc = visit_hits(w, b, n, err);
	for (uint32_t i = 0; rc == RC_OK && w->v->on_event != NULL && i < n;
	     i++) {
		block_event(b->decoder, b->row + i, &ev);
		rc = w->v->on_event(w->v->ctx, &ev, err);
	}
	b->row += n;
	w->events += n;
	return rc;
}

static enum rc
visit_commit(struct walk *w, const struct chain_link *link, struct error *err)
{
	enum rc rc = open_blocks(w, link->number, err);

	if (rc == RC_OK)
		rc = rules_follow(w->day, w->arena, &w->rules, err);
	if (rc == RC_OK && w->v->on_commit != NULL)
		rc = w->v->on_commit(w->v->ctx, link, err);
	w->events = link->first - 1;
	for (size_t i = 0; rc == RC_OK && i < w->open.n; i++)
		rc = visit_block(w, &w->open.list[i], link->number, err);
	if (rc == RC_OK && w->v->on_commit_end != NULL)
		rc = w->v->on_commit_end(w->v->ctx, link, err);
	return rc;
}

static enum rc
visit_row(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct chain_link link = { 0 };
	int64_t stored;

	if (sqlite3_column_type(q, 5) != SQLITE_NULL) {
		if (link_of_row(q, &link, err) != RC_OK)
			return err->code;
	} else {
		stored = sqlite3_column_int64(q, 7);
		link.number = (uint64_t)sqlite3_column_int64(q, 0);
		link.last = (uint64_t)sqlite3_column_int64(q, 6);
		link.first = link.last - (uint64_t)stored + 1;
	}
	return visit_commit(ctx, &link, err);
}

enum rc
walk_day(struct sql *day, const struct walk_visitor *v, struct error *err)
{
	struct walk w = { .day = day, .v = v, .open.day = day };
	int version = 0;
	enum rc rc = sql_version(day, &version, err);

	w.arena = arena_new(WALK_ARENA);
	if (rc == RC_OK)
		rc = sql_each(day,
		    version >= 2
			? "SELECT number, first, last, digest, hits_digest,"
			  " chain, total_events, stored FROM commits"
			  " ORDER BY number"
			: "SELECT number, 0, 0, NULL, NULL, NULL,"
			  " total_events, stored FROM commits ORDER BY number",
		    visit_row, &w, err);
	open_blocks_fini(&w.open);
	arena_free(w.arena);
	return rc == RC_EOF ? RC_OK : rc;
}
