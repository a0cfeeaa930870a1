/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/walk.h"

#include "collector/store/scan.h"

enum { WALK_ARENA = 16 * 1024 };

/* A block that the commit at hand lies in. */
struct open_block {
	int64_t id;
	uint64_t last; /* commit */
	struct slice owner;
	struct arena *arena;
	struct segments segments;
	size_t at; /* segment */
	uint32_t row;
	const struct stored_hit *hits;
	size_t n_hits, at_hit;
	struct block_decoder *decoder;
};

struct walk {
	struct sql *day;
	const struct walk_visitor *v;
	struct arena *arena; /* of the day */
	struct rule_rows rules;
	struct open_block *open;
	size_t n_open, cap_open;
	struct bytes data;
	uint64_t events; /* before the commit */
};

static void
close_block(struct open_block *b)
{
	block_decoder_free(b->decoder);
	segments_fini(&b->segments);
	arena_free(b->arena);
}

static void
close_before(struct walk *w, uint64_t commit)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_open; i++) {
		if (w->open[i].last < commit)
			close_block(&w->open[i]);
		else
			w->open[kept++] = w->open[i];
	}
	w->n_open = kept;
}

static enum rc
unpack(struct walk *w, struct open_block *b, struct error *err)
{
	struct slice data;

	if (read_block(w->day, b->id, &w->data, err) != RC_OK)
		return err->code;
	data = arena_copy(b->arena, bytes_slice(&w->data));
	b->decoder = block_decoder_new();
	if (block_decoder_open(b->decoder, data, err) != RC_OK)
		return err->code;
	return block_decoder_all(b->decoder, err);
}

static enum rc
open_row(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct walk *w = ctx;
	struct open_block *b;
	struct slice hits = sql_blob(q, 5);
	uint32_t n = (uint32_t)sqlite3_column_int64(q, 4);
	enum rc rc = RC_OK;

	if (w->n_open == w->cap_open) {
		w->cap_open = w->cap_open > 0 ? 2 * w->cap_open : 8;
		w->open =
		    xreallocarray(w->open, w->cap_open, sizeof(w->open[0]));
	}
	b = &w->open[w->n_open++];
	*b = (struct open_block){
		.id = sqlite3_column_int64(q, 0),
		.last = (uint64_t)sqlite3_column_int64(q, 2),
		.arena = arena_new(WALK_ARENA),
	};
	b->owner = arena_copy(b->arena, sql_text(q, 3));
	if (hits.len > 0)
		rc = hits_read(arena_copy(b->arena, hits), b->arena, &b->hits,
		    &b->n_hits, err);
	if (rc == RC_OK)
		rc = segments_read(sql_blob(q, 6),
		    (uint64_t)sqlite3_column_int64(q, 1), n, &b->segments, err);
	if (rc == RC_OK)
		rc = unpack(w, b, err);
	if (rc == RC_OK && block_events(b->decoder) != n)
		rc = error_set(err, RC_INVALID, "its number of events");
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "%s: block %lld", w->day->path,
				 (long long)b->id);
}

static int
compare_open(const void *a, const void *b)
{
	const struct open_block *x = a, *y = b;
	int c = slice_compare(x->owner, y->owner);

	return c != 0 ? c : (x->id > y->id) - (x->id < y->id);
}

static enum rc
open_blocks(struct walk *w, uint64_t commit, struct error *err)
{
	struct sql_value number = BIND_INT(commit);
	size_t n;

	close_before(w, commit);
	n = w->n_open;
	if (sql_each_of(w->day,
		"SELECT id, commit_number, last_commit, owner, n, hits,"
		" segments FROM live WHERE commit_number = ?1"
		" ORDER BY owner, id",
		&number, open_row, w, err) != RC_OK)
		return err->code;
	if (n > 0 && w->n_open > n)
		qsort(w->open, w->n_open, sizeof(w->open[0]), compare_open);
	return RC_OK;
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

	if (b->at == b->segments.n || b->segments.list[b->at].commit != commit)
		return RC_OK;
	n = b->segments.list[b->at++].n;
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
	for (size_t i = 0; rc == RC_OK && i < w->n_open; i++)
		rc = visit_block(w, &w->open[i], link->number, err);
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
	struct walk w = { .day = day, .v = v };
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
	close_before(&w, UINT64_MAX);
	free(w.open);
	bytes_fini(&w.data);
	arena_free(w.arena);
	return rc == RC_EOF ? RC_OK : rc;
}
