/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_scan.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/inputs/fim/fim_moves.h"
#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum { ROWS = 512, BATCHES = 3, ARENA_BLOCK = 64 * 1024 };

/* How long a change may have to wait for a scan. */
static const int64_t breath_ns = 20 * NS_PER_MS;

/* One piece of the walk, on its way through the hashers. */
struct piece {
	struct arena *arena;
	struct fim_batch batch;
	struct fim_work work[FIM_BATCH];
	struct fim_entry entries[FIM_BATCH]; /* of work[], in order */
	struct fim_entry *rows[FIM_BATCH];   /* NULL: a new name */
	bool silent[FIM_BATCH];              /* new, and no change */
};

struct run {
	struct fim_scan *s;
	struct opener_walk *walk;
	struct fim_pool *pool;
	struct fim_hasher *hasher; /* this thread's */
	struct piece *pieces[BATCHES];
	unsigned first, n_pieces; /* under way */

	/* the stored rows, read ahead */
	struct arena *row_arena;
	struct fim_entry rows[ROWS];
	size_t n_rows, row_at;
	char after[WALK_PATH_MAX + 1];
	size_t after_len;
	size_t range_at; /* of the roots */
	bool rows_end;

	/* below it nothing is known now */
	char blind[WALK_PATH_MAX + 1];
	size_t blind_len;

	bool all_known; /* each pattern has its baseline */
	bool *known;    /* of each pattern */

	struct fim_change changes[FIM_CHANGES];
	size_t n_changes;
	struct arena *change_arena;
	struct fim_moves *held;
	bool in_transaction;
	int64_t breathed_ns;
	struct error *err;
};

/* ---- what has a baseline ------------------------------------------------- */

/* Whether a new name is news: some pattern over it had its baseline taken. */
static bool
is_news(const struct run *r, const char *path)
{
	const struct fim_spec *spec = r->s->spec;

	if (r->all_known)
		return true;
	for (size_t i = 0; i < spec->n_paths; i++) {
		if (r->known[i] && fim_pattern_covers(spec->paths[i], path))
			return true;
	}
	return false;
}

static enum rc
read_roots(struct run *r)
{
	const struct fim_spec *spec = r->s->spec;
	enum rc rc = RC_OK;
	bool any;

	r->known = xcalloc(spec->n_paths + 1, sizeof(bool));
	if (!r->s->fresh)
		rc = fim_spec_known(r->s->store, r->s->input, spec, r->known,
		    &any, r->err);
	r->all_known = !r->s->fresh;
	for (size_t i = 0; i < spec->n_paths; i++)
		r->all_known = r->all_known && r->known[i];
	return rc;
}

/* ---- rows and events ---------------------------------------------------- */

static enum rc
begin(struct run *r)
{
	enum rc rc;

	if (r->in_transaction || !r->s->keep)
		return RC_OK;
	rc = sql_begin(r->s->store->db.sql, r->err);
	if (rc == RC_OK)
		rc = fim_store_unseal(r->s->store, r->s->input, r->err);
	r->in_transaction = true;
	return rc;
}

static enum rc
commit(struct run *r)
{
	if (!r->in_transaction)
		return RC_OK;
	r->in_transaction = false;
	return sql_commit(r->s->store->db.sql, r->err);
}

static enum rc
put_row(struct run *r, const struct fim_entry *e)
{
	enum rc rc = begin(r);

	if (rc == RC_OK && r->s->keep)
		rc = fim_store_put(r->s->store, r->s->input, e, r->err);
	return rc;
}

static enum rc
drop_row(struct run *r, struct slice path)
{
	enum rc rc = begin(r);

	if (rc == RC_OK && r->s->keep)
		rc = fim_store_delete(r->s->store, r->s->input, path, r->err);
	return rc;
}

/* Event and row, together. */
static enum rc
settle(struct run *r, const struct fim_change *c)
{
	enum rc rc = begin(r);

	r->s->totals.changes++;
	if (rc == RC_OK)
		rc = r->s->tell(r->s->ctx, c, r->err);
	if (rc == RC_OK && c->before != NULL &&
	    (c->after == NULL || c->action == FIM_MOVED))
		rc = drop_row(r, c->before->path);
	if (rc == RC_OK && c->after != NULL)
		rc = put_row(r, c->after);
	if (rc == RC_OK && r->s->keep && c->after != NULL &&
	    c->text.ptr != NULL)
		rc = fim_store_put_text(r->s->store, r->s->input,
		    c->after->path, c->text, r->err);
	return rc;
}

static enum rc
flush(struct run *r)
{
	enum rc rc = RC_OK;

	if (r->n_changes == 0) {
		arena_reset(r->change_arena);
		return RC_OK;
	}
	if (r->s->annotate != NULL)
		r->s->annotate(r->s->ctx, r->changes, r->n_changes,
		    r->change_arena);
	for (size_t i = 0; rc == RC_OK && i < r->n_changes; i++)
		rc = settle(r, &r->changes[i]);
	r->n_changes = 0;
	arena_reset(r->change_arena);
	return rc;
}

static enum rc
add_change(struct run *r, enum fim_action action,
    const struct fim_entry *before, const struct fim_entry *after)
{
	struct fim_change *c = &r->changes[r->n_changes];
	struct fim_entry *copies =
	    arena_alloc(r->change_arena, 2 * sizeof(*copies));

	*c = (struct fim_change){ .action = action };
	if (before != NULL) {
		copies[0] = fim_copy(r->change_arena, before);
		c->before = &copies[0];
	}
	if (after != NULL) {
		copies[1] = fim_copy(r->change_arena, after);
		c->after = &copies[1];
	}
	if (before != NULL && after != NULL)
		c->differences = fim_compare(before, after);
	return ++r->n_changes == FIM_CHANGES ? flush(r) : RC_OK;
}

/* Since it was held, a look at this path alone may have told it. */
static enum rc
still_so(struct run *r, const struct fim_move *m, bool *so)
{
	struct fim_entry row;
	struct slice path =
	    m->before != NULL ? m->before->path : m->after->path;
	enum rc rc = fim_store_get(r->s->store, r->s->input, path,
	    r->change_arena, &row, r->err);

	*so = m->before != NULL ? rc == RC_OK : rc == RC_EOF;
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
one_held(void *ctx, const struct fim_move *m)
{
	struct run *r = ctx;
	enum fim_action action = m->before == NULL ? FIM_CREATED
	    : m->after == NULL                     ? FIM_DELETED
						   : FIM_MOVED;
	bool so = true;
	enum rc rc = still_so(r, m, &so);

	if (rc != RC_OK || !so)
		return rc;
	return add_change(r, action, m->before, m->after);
}

static enum rc
flush_held(struct run *r)
{
	enum rc rc = flush(r);

	if (rc == RC_OK)
		rc = fim_moves_each(r->held, one_held, r);
	if (rc == RC_OK)
		rc = flush(r);
	fim_moves_clear(r->held);
	return rc;
}

static enum rc
hold(struct run *r, const struct fim_entry *before,
    const struct fim_entry *after)
{
	fim_moves_add(r->held, before, after);
	return fim_moves_length(r->held) >= FIM_HELD ? flush_held(r) : RC_OK;
}

/* ---- judging ------------------------------------------------------------ */

static enum rc
judge_new(struct run *r, const struct fim_entry *now, bool silent)
{
	enum rc rc;

	if (!silent)
		return hold(r, NULL, now);
	r->s->totals.added++;
	rc = put_row(r, now);
	if (rc == RC_OK && r->s->keep && r->s->text != NULL) {
		struct slice text = r->s->text(r->s->ctx, now, r->change_arena);

		if (text.ptr != NULL)
			rc = fim_store_put_text(r->s->store, r->s->input,
			    now->path, text, r->err);
	}
	return rc;
}

/*
 * `now` differs from its row of some time ago.  Is that still so, and the row
 * the same?  Another look of this thread may have been faster.
 */
static enum rc
judge_changed(struct run *r, struct piece *p, struct fim_entry *now)
{
	struct opener_stat st;
	struct fim_entry row;
	enum rc rc;

	if (!opener_lstat(r->s->reading->opener, now->path.ptr, &st))
		return RC_OK; /* gone: the next scan's news, or inotify's */
	if (!fim_same_stat(&st, &now->st)) {
		now->st = st;
		if (!fim_observe(r->hasher, p->arena, now))
			return RC_OK;
	}
	rc = fim_store_get(r->s->store, r->s->input, now->path, p->arena, &row,
	    r->err);
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	if (fim_compare(&row, now) == 0)
		return r->s->keep && !fim_same_stat(&row.st, &now->st)
		    ? put_row(r, now)
		    : RC_OK;
	return add_change(r, FIM_CHANGED, &row, now);
}

static void
count(struct fim_totals *t, const struct fim_entry *e)
{
	t->unreadable += e->content == FIM_UNREADABLE;
	t->too_large += e->content == FIM_TOO_LARGE;
	if (e->content == FIM_HASHED)
		t->bytes += e->st.size;
}

static enum rc
judge(struct run *r, struct piece *p, size_t i)
{
	struct fim_entry *now = &p->entries[i];
	const struct fim_entry *row = p->rows[i];

	if (p->work[i].gone)
		return RC_OK;
	count(&r->s->totals, now);
	if (row == NULL)
		return judge_new(r, now, p->silent[i]);
	if (fim_compare(row, now) == 0 && fim_same_stat(&row->st, &now->st))
		return RC_OK;
	return judge_changed(r, p, now);
}

static struct piece *
piece_new(void)
{
	struct piece *p = xzalloc(sizeof(*p));

	p->arena = arena_new(ARENA_BLOCK);
	p->batch.work = p->work;
	for (size_t i = 0; i < FIM_HASHERS; i++)
		p->batch.arenas[i] = arena_new(4096);
	return p;
}

static void
piece_free(struct piece *p)
{
	if (p == NULL)
		return;
	arena_free(p->arena);
	for (size_t i = 0; i < FIM_HASHERS; i++)
		arena_free(p->batch.arenas[i]);
	free(p);
}

/* However long a scan takes, and at whatever pace: others want something. */
static enum rc
breathe(struct run *r)
{
	enum rc rc;

	if (r->s->between == NULL || loop_now() - r->breathed_ns < breath_ns)
		return RC_OK;
	rc = commit(r);
	if (rc == RC_OK)
		r->s->between(r->s->ctx, &r->s->totals);
	r->breathed_ns = loop_now();
	return rc;
}

/* The oldest piece, when all of it is hashed. */
static enum rc
finish_piece(struct run *r)
{
	struct piece *p = r->pieces[r->first];
	enum rc rc = RC_OK;

	while (rc == RC_OK && r->pool != NULL &&
	    !fim_pool_done(r->pool, &p->batch, breath_ns))
		rc = breathe(r);
	if (rc != RC_OK)
		return rc;
	r->first = (r->first + 1) % BATCHES;
	r->n_pieces--;
	if (atomic_load(r->s->reading->stop))
		rc = RC_AGAIN;
	for (size_t i = 0; rc == RC_OK && i < p->batch.n; i++)
		rc = judge(r, p, i);
	if (rc == RC_OK)
		rc = flush(r);
	if (rc == RC_OK)
		rc = commit(r);
	arena_reset(p->arena);
	for (size_t i = 0; i < FIM_HASHERS; i++)
		arena_reset(p->batch.arenas[i]);
	p->batch.n = 0;
	if (rc == RC_OK && r->s->between != NULL)
		r->s->between(r->s->ctx, &r->s->totals);
	return rc;
}

static struct piece *
open_piece(struct run *r)
{
	return r->pieces[(r->first + r->n_pieces) % BATCHES];
}

static enum rc
close_piece(struct run *r)
{
	struct piece *p = open_piece(r);

	for (size_t i = 0; i < p->batch.n; i++)
		p->work[i] = (struct fim_work){ .entry = &p->entries[i] };
	if (r->pool != NULL)
		fim_pool_put(r->pool, &p->batch);
	else
		fim_observe_all(r->hasher, p->arena, p->work, p->batch.n);
	r->n_pieces++;
	return r->n_pieces == BATCHES || r->pool == NULL ? finish_piece(r)
							 : RC_OK;
}

/* ---- merging ------------------------------------------------------------ */

/* The next rows of the whole input, or of the next of its roots. */
static enum rc
read_rows(struct run *r)
{
	struct fim_scan *s = r->s;
	const char *const *roots = NULL;
	struct slice after = { r->after, r->after_len }, within = { "", 0 };
	size_t n_roots = 1;
	enum rc rc;

	if (s->only != NULL)
		roots = opener_walk_roots(r->walk, &n_roots);
	if (r->range_at == n_roots) {
		r->rows_end = true;
		return RC_OK;
	}
	if (roots != NULL)
		within = (struct slice){ roots[r->range_at],
			strlen(roots[r->range_at]) };
	if (s->flat) {
		r->range_at++;
		rc = fim_store_get(s->store, s->input, within, r->row_arena,
		    &r->rows[0], r->err);
		r->n_rows = rc == RC_OK;
		return rc == RC_EOF ? RC_OK : rc;
	}
	rc = fim_store_rows(s->store,
	    &(struct fim_range){ s->input, after, within, ROWS }, r->row_arena,
	    r->rows, &r->n_rows, r->err);
	if (r->n_rows < ROWS)
		r->range_at++;
	return rc;
}

/* The next stored row, or NULL at the end; r->err->code says if it failed. */
static const struct fim_entry *
peek_row(struct run *r)
{
	if (r->row_at < r->n_rows)
		return &r->rows[r->row_at];
	while (!r->rows_end) {
		const struct slice *last;

		arena_reset(r->row_arena);
		r->row_at = r->n_rows = 0;
		if (read_rows(r) != RC_OK) {
			r->rows_end = true;
			r->n_rows = 0;
		}
		if (r->n_rows == 0)
			continue;
		last = &r->rows[r->n_rows - 1].path;
		r->after_len = last->len;
		memcpy(r->after, last->ptr, last->len);
		return &r->rows[0];
	}
	return NULL;
}

static bool
is_blind(const struct run *r, struct slice path)
{
	return r->blind_len > 0 &&
	    opener_path_within(path, (struct slice){ r->blind, r->blind_len });
}

/* A row whose name the walk passed by. */
static enum rc
vanished(struct run *r, const struct fim_entry *row)
{
	if (is_blind(r, row->path))
		return RC_OK;
	if (fim_spec_covers(r->s->spec, row->path.ptr) && !r->s->fresh)
		return hold(r, row, NULL);
	r->s->totals.forgotten++;
	return drop_row(r, row->path);
}

/* Up to `path`, exclusive; `path` NULL: to the end. */
static enum rc
pass_rows(struct run *r, const struct slice *path)
{
	const struct fim_entry *row;
	enum rc rc = RC_OK;

	r->err->code = RC_OK;
	while (rc == RC_OK && (row = peek_row(r)) != NULL &&
	    (path == NULL || opener_path_cmp(row->path, *path) < 0)) {
		rc = vanished(r, row);
		r->row_at++;
	}
	return rc == RC_OK ? r->err->code : rc;
}

static void
note_trouble(struct run *r, const struct opener_node *node)
{
	struct fim_totals *t = &r->s->totals;

	if (node->error == E2BIG || node->error == ENAMETOOLONG)
		t->left_out++;
	else
		t->unreadable++;
	memcpy(r->blind, node->path, node->path_len);
	r->blind_len = node->path_len;
}

static enum rc
take_node(struct run *r, const struct opener_node *node)
{
	struct slice path = { node->path, node->path_len };
	const struct fim_entry *row;
	struct piece *p;
	size_t i;
	enum rc rc;

	rc = pass_rows(r, &path);
	if (rc != RC_OK)
		return rc;
	row = peek_row(r);
	if (row != NULL && !slice_eq(row->path, path))
		row = NULL;
	r->row_at += row != NULL;
	if (node->error != 0)
		note_trouble(r, node);
	if (node->st.mode == 0)
		return RC_OK; /* no stat: as it was */
	r->s->totals.files++;
	if (S_ISDIR(node->st.mode) && r->s->folder != NULL)
		r->s->folder(r->s->ctx, node->path);
	if (row != NULL && fim_same_stat(&row->st, &node->st) &&
	    !(r->s->full || r->s->fresh))
		return RC_OK;
	p = open_piece(r);
	i = p->batch.n++;
	p->rows[i] = NULL;
	p->silent[i] = r->s->fresh || (row == NULL && !is_news(r, node->path));
	if (row != NULL && !r->s->fresh) {
		p->rows[i] = arena_alloc(p->arena, sizeof(*row));
		*p->rows[i] = fim_copy(p->arena, row);
	}
	p->entries[i] = (struct fim_entry){ .path = path,
		.st = node->st,
		.target = node->target };
	p->entries[i] = fim_copy(p->arena, &p->entries[i]);
	return p->batch.n == FIM_BATCH ? close_piece(r) : RC_OK;
}

static enum rc
walk_all(struct run *r)
{
	struct opener_node nodes[FIM_BATCH / 4];
	struct arena *arena = arena_new(ARENA_BLOCK);
	enum rc rc = RC_OK;
	size_t n = 1;

	while (rc == RC_OK && n > 0) {
		arena_reset(arena);
		n = opener_walk_next(r->walk, arena, nodes,
		    sizeof(nodes) / sizeof(nodes[0]));
		for (size_t i = 0; rc == RC_OK && i < n; i++)
			rc = take_node(r, &nodes[i]);
		if (rc == RC_OK)
			rc = breathe(r);
		if (rc == RC_OK && atomic_load(r->s->reading->stop))
			rc = error_set(r->err, RC_AGAIN, "stopped");
	}
	arena_free(arena);
	if (rc == RC_OK)
		rc = pass_rows(r, NULL);
	if (rc == RC_OK && open_piece(r)->batch.n > 0)
		rc = close_piece(r);
	while (rc == RC_OK && r->n_pieces > 0)
		rc = finish_piece(r);
	if (rc == RC_OK)
		rc = flush_held(r);
	if (rc == RC_OK)
		rc = commit(r);
	r->s->totals.left_out += opener_walk_too_long(r->walk);
	return rc;
}

static void
run_end(struct run *r)
{
	/* who stopped or failed half way: the hashers let go first */
	while (r->pool != NULL && r->n_pieces > 0) {
		fim_pool_wait(r->pool, &r->pieces[r->first]->batch);
		r->first = (r->first + 1) % BATCHES;
		r->n_pieces--;
	}
	fim_pool_free(r->pool);
	fim_hasher_free(r->hasher);
	for (size_t i = 0; i < BATCHES; i++)
		piece_free(r->pieces[i]);
	fim_moves_free(r->held);
	arena_free(r->row_arena);
	arena_free(r->change_arena);
	opener_walk_end(r->walk);
	free(r->known);
	if (r->in_transaction)
		sql_rollback(r->s->store->db.sql);
	free(r);
}

enum rc
fim_scan_run(struct fim_scan *s, struct error *err)
{
	struct run *r = xzalloc(sizeof(*r));
	struct opener_walk_options options = {
		.patterns = s->spec->paths,
		.n_patterns = s->spec->n_paths,
		.exclude = s->spec->exclude,
		.n_exclude = s->spec->n_exclude,
	};
	enum rc rc;

	if (s->only != NULL) {
		options.patterns = s->only;
		options.n_patterns = s->n_only;
		options.literal = true;
		options.flat = s->flat;
	}
	r->s = s;
	r->err = err;
	r->row_arena = arena_new(ARENA_BLOCK);
	r->change_arena = arena_new(ARENA_BLOCK);
	r->held = fim_moves_new();
	r->hasher = fim_hasher_new(s->reading);
	r->pool = s->pool ? fim_pool_new(s->reading) : NULL;
	for (size_t i = 0; i < BATCHES; i++)
		r->pieces[i] = piece_new();
	r->walk = opener_walk_begin(s->reading->opener, &options);
	rc = read_roots(r);
	if (rc == RC_OK)
		rc = walk_all(r);
	run_end(r);
	return rc;
}
