/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/merge.h"

#include "collector/store/scan.h"

enum { MERGE_ARENA = 64 * 1024, DAYS_KEPT = 4 };

/* A small block of the run. */
struct part {
	int64_t id;
	uint64_t commit, last;
	uint32_t n;
	struct slice owner, hits, segments; /* in the arena */
};

/* What becomes of an owner's parts. */
struct merged {
	struct slice owner;
	struct block_encoded block; /* data and bloom are in the arena */
	struct slice hits, segments;
	uint64_t commit, last;
};

/* The run that is merged. */
struct run {
	struct sql *day;
	int32_t number;
	struct part *parts; /* by owner, then in order */
	size_t n_parts;
	struct merged *merged;
	size_t n_merged;
	uint64_t last; /* commit */
	uint64_t events;
	size_t bytes;
	bool ended; /* nothing can be added */
};

/* A day's merged blocks that readers may still need. */
struct dead {
	int32_t day;
	int64_t generation; /* of the newest of them */
	uint64_t reading;   /* readers after this one do not see them */
};

struct merger {
	struct store *store;
	struct arena *arena;
	struct block_encoder *encoder;
	struct block_decoder *decoder;
	struct segments segments, all;
	struct stored_hit *hits;
	size_t n_hits, cap_hits;
	struct bytes data, out;
	struct dead dead[DAYS_KEPT]; /* reading 0: free */
	int32_t looked_at;           /* day whose old dead were counted */
	bool looked;
	/* commits of that day up to here are not to be looked at again */
	int32_t past_day;
	uint64_t past;
	struct merge_counters counters;
};

struct merger *
merger_new(struct store *s)
{
	struct merger *m = xzalloc(sizeof(*m));

	m->store = s;
	m->arena = arena_new(MERGE_ARENA);
	m->encoder = block_encoder_new();
	m->decoder = block_decoder_new();
	return m;
}

void
merger_free(struct merger *m)
{
	if (m == NULL)
		return;
	arena_free(m->arena);
	block_encoder_free(m->encoder);
	block_decoder_free(m->decoder);
	segments_fini(&m->segments);
	segments_fini(&m->all);
	free(m->hits);
	bytes_fini(&m->data);
	bytes_fini(&m->out);
	free(m);
}

void
merger_counters(const struct merger *m, struct merge_counters *out)
{
	*out = m->counters;
}

/* ---- the run ------------------------------------------------------------ */

/*
 * A big block, or one block too many, ends the run with the commit before its
 * own.  Parts of that commit are given back.
 */
static void
end_run(struct run *r, uint64_t before)
{
	r->ended = true;
	while (r->n_parts > 0 && r->parts[r->n_parts - 1].last >= before)
		r->events -= r->parts[--r->n_parts].n;
	r->last = before - 1;
}

static void
add_part(struct merger *m, struct run *r, sqlite3_stmt *q)
{
	struct part *p;

	if ((r->n_parts & (r->n_parts - 1)) == 0) {
		size_t cap = r->n_parts > 0 ? 2 * r->n_parts : 1;
		struct part *list =
		    arena_alloc(m->arena, cap * sizeof(list[0]));

		if (r->n_parts > 0)
			memcpy(list, r->parts, r->n_parts * sizeof(list[0]));
		r->parts = list;
	}
	p = &r->parts[r->n_parts++];
	*p = (struct part){
		.id = sqlite3_column_int64(q, 0),
		.commit = (uint64_t)sqlite3_column_int64(q, 1),
		.last = (uint64_t)sqlite3_column_int64(q, 2),
		.owner = arena_copy(m->arena, sql_text(q, 3)),
		.n = (uint32_t)sqlite3_column_int64(q, 4),
		.hits = arena_copy(m->arena, sql_blob(q, 5)),
		.segments = arena_copy(m->arena, sql_blob(q, 6)),
	};
	r->events += p->n;
	r->bytes += (size_t)sqlite3_column_int64(q, 7);
	if (p->last > r->last)
		r->last = p->last;
}

/* Takes a block into the run; false: the run ends. */
static bool
take_part(struct merger *m, struct run *r, sqlite3_stmt *q)
{
	uint64_t commit = (uint64_t)sqlite3_column_int64(q, 1);
	uint64_t first = r->n_parts > 0 ? r->parts[0].commit : commit;
	bool full = r->events >= MERGE_EVENTS || r->bytes >= MERGE_BYTES ||
	    r->n_parts >= MERGE_PARTS || commit - first >= MERGE_COMMITS;

	if (full && commit > r->last) {
		r->ended = true;
		return false;
	}
	if (sqlite3_column_int64(q, 4) >= MERGE_SMALL && r->n_parts > 0) {
		end_run(r, commit);
		return false;
	}
	if (sqlite3_column_int64(q, 4) >= MERGE_SMALL) {
		r->last = (uint64_t)sqlite3_column_int64(q, 2);
		return true; /* before the run */
	}
	add_part(m, r, q);
	return true;
}

/* From the commit after `from` on; blocks of one commit stay together. */
static enum rc
gather(struct merger *m, struct run *r, uint64_t from, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(r->day,
	    "SELECT b.id, commit_number, coalesce(last_commit, commit_number),"
	    " owner, n, hits, segments, length(data) FROM main.blocks b"
	    " JOIN block_data d ON d.id = b.id"
	    " WHERE commit_number > ?1 AND died = 0"
	    " ORDER BY commit_number, b.id",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)from);
	while ((rc = sql_step(r->day, q, err)) == RC_OK)
		if (!take_part(m, r, q))
			break;
	(void)sqlite3_reset(q);
	return rc == RC_EOF ? RC_OK : rc;
}

static int
compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int c = slice_compare(x->owner, y->owner);

	if (c != 0)
		return c;
	c = (x->commit > y->commit) - (x->commit < y->commit);
	return c != 0 ? c : (x->id > y->id) - (x->id < y->id);
}

/* ---- one owner's block -------------------------------------------------- */

static enum rc
add_hits(struct merger *m, const struct part *p, uint32_t row,
    struct error *err)
{
	const struct stored_hit *hits = NULL;
	size_t n = 0;

	if (p->hits.len == 0)
		return RC_OK;
	if (hits_read(p->hits, m->arena, &hits, &n, err) != RC_OK)
		return err->code;
	if (m->n_hits + n > m->cap_hits) {
		m->cap_hits = 2 * (m->n_hits + n);
		m->hits =
		    xreallocarray(m->hits, m->cap_hits, sizeof(m->hits[0]));
	}
	for (size_t i = 0; i < n; i++)
		m->hits[m->n_hits++] =
		    (struct stored_hit){ row + hits[i].row, hits[i].rule };
	return RC_OK;
}

static enum rc
add_block(struct merger *m, struct run *r, const struct part *p, uint32_t row,
    struct error *err)
{
	struct block_heads heads;
	struct event ev;

	if (read_block(r->day, p->id, &m->data, err) != RC_OK ||
	    block_decoder_open(m->decoder, bytes_slice(&m->data), err) !=
		RC_OK ||
	    block_decoder_all(m->decoder, err) != RC_OK ||
	    block_decoder_heads(m->decoder, &heads, err) != RC_OK ||
	    segments_read(p->segments, p->commit, p->n, &m->segments, err) !=
		RC_OK ||
	    add_hits(m, p, row, err) != RC_OK)
		return err->code;
	if (block_events(m->decoder) != p->n)
		return error_set(err, RC_INVALID,
		    "it holds %u events, %u were written",
		    block_events(m->decoder), p->n);
	for (uint32_t i = 0; i < p->n; i++) {
		block_event(m->decoder, i, &ev);
		block_encoder_add(m->encoder, &ev, ev.time_ns,
		    heads.sources[i]);
	}
	for (size_t i = 0; i < m->segments.n; i++)
		segments_add(&m->all, m->segments.list[i].commit,
		    m->segments.list[i].n);
	return RC_OK;
}

static enum rc
merge_owner(struct merger *m, struct run *r, size_t from, size_t to,
    struct error *err)
{
	struct merged *out = &r->merged[r->n_merged++];
	uint32_t row = 0;

	*out = (struct merged){ .owner = r->parts[from].owner,
		.commit = r->parts[from].commit };
	block_encoder_begin(m->encoder);
	m->all.n = 0;
	m->n_hits = 0;
	for (size_t i = from; i < to; i++) {
		const struct part *p = &r->parts[i];

		if (add_block(m, r, p, row, err) != RC_OK)
			return error_prefix(err, "block %lld",
			    (long long)p->id);
		row += p->n;
		if (p->last > out->last)
			out->last = p->last;
	}
	if (block_encoder_finish(m->encoder, &out->block, err) != RC_OK)
		return err->code;
	out->block.data = arena_copy(m->arena, out->block.data);
	out->block.bloom = arena_copy(m->arena, out->block.bloom);
	segments_write(&m->out, m->all.list, m->all.n);
	out->segments = arena_copy(m->arena, bytes_slice(&m->out));
	if (m->n_hits > 0) {
		hits_write(&m->out, m->hits, m->n_hits);
		out->hits = arena_copy(m->arena, bytes_slice(&m->out));
	}
	return RC_OK;
}

static enum rc
merge_owners(struct merger *m, struct run *r, struct error *err)
{
	size_t from = 0;

	qsort(r->parts, r->n_parts, sizeof(r->parts[0]), compare_parts);
	r->merged = arena_alloc(m->arena, r->n_parts * sizeof(r->merged[0]));
	for (size_t to = 1; to <= r->n_parts; to++) {
		if (to < r->n_parts &&
		    slice_eq(r->parts[to].owner, r->parts[from].owner))
			continue;
		/* a block that is alone stays; it bounds no window */
		if (to - from > 1 && merge_owner(m, r, from, to, err) != RC_OK)
			return err->code;
		from = to;
	}
	return RC_OK;
}

/* ---- into the file ------------------------------------------------------ */

static enum rc
insert_merged(struct run *r, const struct merged *b, int64_t id,
    int64_t generation, struct error *err)
{
	if (SQL_PUT(r->day, err,
		"INSERT INTO main.blocks(id, commit_number, last_commit, owner,"
		" first_time, last_time, n, hits, bloom, segments, born)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
		BIND_INT(id), BIND_INT(b->commit), BIND_INT(b->last),
		BIND_TEXT(b->owner), BIND_INT(b->block.first_ns),
		BIND_INT(b->block.last_ns), BIND_INT(b->block.n),
		b->hits.len > 0 ? BIND_BLOB(b->hits) : BIND_NULL,
		BIND_BLOB(b->block.bloom), BIND_BLOB(b->segments),
		BIND_INT(generation)) != RC_OK)
		return err->code;
	return SQL_PUT(r->day, err,
	    "INSERT INTO block_data(id, data) VALUES(?1, ?2)", BIND_INT(id),
	    BIND_BLOB(b->block.data));
}

static bool
was_merged(const struct run *r, const struct part *p)
{
	for (size_t i = 0; i < r->n_merged; i++)
		if (slice_eq(r->merged[i].owner, p->owner))
			return true;
	return false;
}

static enum rc
set_meta(struct run *r, const char *name, int64_t value, struct error *err)
{
	return SQL_PUT(r->day, err,
	    "INSERT INTO meta(name, value) VALUES(?1, ?2)"
	    " ON CONFLICT(name) DO UPDATE SET value = ?2",
	    BIND_TEXT(((struct slice){ name, strlen(name) })), BIND_INT(value));
}

static enum rc
replace_parts(struct run *r, int64_t id, int64_t generation, struct error *err)
{
	for (size_t i = 0; i < r->n_merged; i++)
		if (insert_merged(r, &r->merged[i], id + (int64_t)i, generation,
			err) != RC_OK)
			return err->code;
	for (size_t i = 0; i < r->n_parts; i++)
		if (was_merged(r, &r->parts[i]) &&
		    SQL_PUT(r->day, err,
			"UPDATE main.blocks SET died = ?2 WHERE id = ?1",
			BIND_INT(r->parts[i].id),
			BIND_INT(generation)) != RC_OK)
			return err->code;
	if (r->n_merged > 0 &&
	    set_meta(r, "generation", generation, err) != RC_OK)
		return err->code;
	return set_meta(r, "merged_to", (int64_t)r->last, err);
}

/* In the write lock: ids of the open day's blocks are the appender's. */
static enum rc
write_run(struct merger *m, struct run *r, int64_t *generation,
    struct error *err)
{
	struct store *s = m->store;
	bool open = s->day != NULL && s->day_number == r->number;
	int64_t id = open ? (int64_t)s->next_block : 0;
	enum rc rc = sql_begin(r->day, err);

	if (rc == RC_OK)
		rc = day_generation(r->day, generation, err);
	if (rc == RC_OK && !open) {
		rc = sql_number(r->day,
		    "SELECT coalesce(max(id), 0) + 1 FROM main.blocks", &id,
		    err);
	}
	++*generation;
	if (rc == RC_OK)
		rc = replace_parts(r, id, *generation, err);
	if (rc == RC_OK)
		rc = sql_commit(r->day, err);
	if (rc != RC_OK)
		sql_rollback(r->day);
	else if (open)
		s->next_block += r->n_merged;
	return rc;
}

static void
note_dead(struct merger *m, int32_t day, int64_t generation)
{
	struct dead *slot = &m->dead[0];

	for (size_t i = 0; i < DAYS_KEPT; i++) {
		if (m->dead[i].reading != 0 && m->dead[i].day == day) {
			slot = &m->dead[i];
			break;
		}
		if (m->dead[i].reading == 0)
			slot = &m->dead[i];
	}
	/* a day pushed out so is purged when it is looked at again */
	*slot = (struct dead){ day, generation, store_readings(m->store) + 1 };
}

static enum rc
merged_to(struct sql *day, int64_t *out, struct error *err)
{
	*out = 0;
	return sql_number(day,
	    "SELECT coalesce(max(value), 0) FROM meta"
	    " WHERE name = 'merged_to'",
	    out, err);
}

static enum rc
merge_day(struct merger *m, struct run *r, bool all, bool *done,
    struct error *err)
{
	struct error damaged;
	int64_t from = 0, generation = 0;
	enum rc rc;

	if (merged_to(r->day, &from, err) != RC_OK)
		return err->code;
	if (m->past_day == r->number && m->past > (uint64_t)from)
		from = (int64_t)m->past;
	if (gather(m, r, (uint64_t)from, err) != RC_OK)
		return err->code;
	m->past_day = r->number;
	m->past = r->n_parts == 0 && r->last > (uint64_t)from ? r->last
							      : (uint64_t)from;
	if (r->n_parts == 0 || (!r->ended && !all))
		return RC_OK; /* nothing, or more may come */
	if (r->n_parts > 1 && merge_owners(m, r, &damaged) != RC_OK)
		r->n_merged = 0; /* verify tells; it stays as it is */
	(void)pthread_mutex_lock(&m->store->write_lock);
	rc = write_run(m, r, &generation, err);
	(void)pthread_mutex_unlock(&m->store->write_lock);
	if (rc != RC_OK)
		return rc;
	*done = true;
	if (r->n_merged == 0)
		return RC_OK;
	note_dead(m, r->number, generation);
	m->counters.runs++;
	m->counters.blocks_after += r->n_merged;
	for (size_t i = 0; i < r->n_parts; i++)
		m->counters.blocks_before += was_merged(r, &r->parts[i]);
	return RC_OK;
}

enum rc
merge_step(struct merger *m, int32_t day, bool all, bool *done,
    struct error *err)
{
	struct run r = { .number = day };
	int version = 0;
	enum rc rc = day_open(m->store->dir, day, SQL_WRITE, &r.day, err);

	*done = false;
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	arena_reset(m->arena);
	rc = sql_version(r.day, &version, err);
	if (rc == RC_OK && version >= 2)
		rc = merge_day(m, &r, all, done, err);
	sql_close(r.day);
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "cannot merge small blocks");
}

/* ---- what readers do not need any more ---------------------------------- */

static enum rc
purge_file(struct merger *m, int32_t day, int64_t generation, struct error *err)
{
	struct sql *file = NULL;
	enum rc rc = day_open(m->store->dir, day, SQL_WRITE, &file, err);

	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	(void)pthread_mutex_lock(&m->store->write_lock);
	rc = sql_begin(file, err);
	if (rc == RC_OK)
		rc = SQL_PUT(file, err,
		    "DELETE FROM block_data WHERE id IN (SELECT id"
		    " FROM main.blocks WHERE died > 0 AND died <= ?1)",
		    BIND_INT(generation));
	if (rc == RC_OK)
		rc = SQL_PUT(file, err,
		    "DELETE FROM main.blocks WHERE died > 0 AND died <= ?1",
		    BIND_INT(generation));
	if (rc == RC_OK)
		rc = sql_commit(file, err);
	if (rc != RC_OK)
		sql_rollback(file);
	(void)pthread_mutex_unlock(&m->store->write_lock);
	sql_close(file);
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "cannot remove merged blocks");
}

/* What died before this process began: its readers began later. */
static enum rc
look_for_dead(struct merger *m, int32_t day, struct error *err)
{
	struct sql *file = NULL;
	int64_t generation = 0;
	int version = 0;
	enum rc rc = day_open(m->store->dir, day, SQL_READ, &file, err);

	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	rc = sql_version(file, &version, err);
	if (rc == RC_OK && version >= 2)
		rc = day_generation(file, &generation, err);
	sql_close(file);
	if (rc == RC_OK && generation > 0)
		note_dead(m, day, generation);
	return rc;
}

enum rc
merge_purge(struct merger *m, int32_t day, struct error *err)
{
	if (!m->looked || m->looked_at != day) {
		if (look_for_dead(m, day, err) != RC_OK)
			return err->code;
		m->looked = true;
		m->looked_at = day;
	}
	for (size_t i = 0; i < DAYS_KEPT; i++) {
		struct dead *d = &m->dead[i];

		if (d->reading == 0 ||
		    store_oldest_reading(m->store) < d->reading)
			continue;
		if (purge_file(m, d->day, d->generation, err) != RC_OK)
			return err->code;
		d->reading = 0;
	}
	return RC_OK;
}

bool
merge_waits(const struct merger *m)
{
	for (size_t i = 0; i < DAYS_KEPT; i++)
		if (m->dead[i].reading != 0)
			return true;
	return false;
}
