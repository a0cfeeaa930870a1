/* SPDX-License-Identifier: Apache-2.0 */
/* store_scan(): blocks in the order asked for, columns as they are asked for. */
#include "collector/store/block_decoder.h"
#include "collector/store/region.h"
#include "collector/store/scan.h"

enum { REFS_MAX = 1 << 20, DAYS_OPEN = 8 };

#define DAY_NS (INT64_C(86400) * 1000000000)

/* Of a block, or of a region. */
struct store_words {
	struct slice bloom;
	struct sql *day;
	const struct region *region; /* NULL: a block's */
};

struct store_block {
	struct block_decoder *decoder;
	struct store_block_info info;
	struct sql *day;
	int64_t id;
	uint64_t commit;    /* the first that it holds */
	sqlite3_blob *blob; /* while it is being read */
};

/* A block to visit. */
struct ref {
	int64_t first_ns, last_ns;
	int64_t id;
	uint64_t commit, last_commit; /* the first and the last that it holds */
	uint32_t n;
	uint32_t day; /* index in `days.list` */
};

struct walk {
	struct store *store;
	const struct store_scan *scan;
	struct days days;
	struct sql *open[DAYS_OPEN]; /* by day % DAYS_OPEN */
	uint32_t open_day[DAYS_OPEN];
	struct regions regions[DAYS_OPEN];
	struct ref *refs;
	size_t n_refs, cap_refs;
	struct store_block block;
};

bool
store_may_have(const struct store_words *w, struct slice text)
{
	return w->region != NULL ? region_may_have_text(w->day, w->region, text)
				 : bloom_may_have_text(w->bloom, text);
}

bool
store_may_have_stream(const struct store_words *w, const uint8_t stream[16])
{
	struct slice whole = { (const char *)stream, 16 };

	return w->region != NULL
	    ? region_may_have_whole(w->day, w->region, whole)
	    : bloom_may_have_whole(w->bloom, whole);
}

/* ---- one block ------------------------------------------------------------ */

static enum rc
gone(const struct sql *day, int64_t id, struct error *err)
{
	return error_set(err, RC_AGAIN, "%s: block %lld is not there any more",
	    day->path, (long long)id);
}

static enum rc
read_blob(void *ctx, size_t offset, size_t n, void *to, struct error *err)
{
	struct store_block *b = ctx;

	if (b->blob == NULL || n > INT32_MAX || offset > INT32_MAX)
		return error_set(err, RC_INVALID, "a block is too large");
	if (sqlite3_blob_read(b->blob, to, (int)n, (int)offset) != SQLITE_OK)
		return sql_fail(b->day, "cannot read a block", err);
	return RC_OK;
}

static void
close_blob(struct store_block *b)
{
	if (b->blob != NULL)
		(void)sqlite3_blob_close(b->blob);
	b->blob = NULL;
}

static enum rc
open_block(struct store_block *b, struct error *err)
{
	struct block_source source = { read_blob, b, 0 };
	int rc = sqlite3_blob_open(b->day->db, "main", "block_data", "data",
	    b->id, 0, &b->blob);
	enum rc opened;

	if (rc == SQLITE_ERROR)
		return gone(b->day, b->id, err);
	if (rc != SQLITE_OK)
		return sql_fail(b->day, "cannot read a block", err);
	source.size = (size_t)sqlite3_blob_bytes(b->blob);
	opened = block_decoder_open_source(b->decoder, &source, err);
	if (opened == RC_OK && block_events(b->decoder) != b->info.n)
		return error_set(err, RC_INVALID,
		    "damaged: it has %u events, not %u",
		    block_events(b->decoder), b->info.n);
	return opened;
}

static enum rc
read_segments(struct sql *day, int64_t id, uint64_t commit, uint32_t events,
    struct segments *out, struct error *err)
{
	sqlite3_stmt *q =
	    sql_prepare(day, "SELECT segments FROM live WHERE id = ?1", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, id);
	rc = sql_step(day, q, err);
	if (rc == RC_EOF)
		return gone(day, id, err);
	if (rc != RC_OK)
		return rc;
	rc = segments_read(sql_blob(q, 0), commit, events, out, err);
	(void)sqlite3_reset(q);
	return rc;
}

enum rc
store_block_commits(struct store_block *b, uint64_t *commits, struct error *err)
{
	struct segments segments = { 0 };
	enum rc rc =
	    read_segments(b->day, b->id, b->commit, b->info.n, &segments, err);

	for (size_t i = 0; rc == RC_OK && i < segments.n; i++)
		for (uint32_t k = 0; k < segments.list[i].n; k++)
			*commits++ = segments.list[i].commit;
	segments_fini(&segments);
	return rc;
}

/* Which of the rows are of the scan's commits. */
static enum rc
find_rows(struct walk *w, struct sql *day, const struct ref *ref,
    struct error *err)
{
	const struct store_scan *scan = w->scan;
	struct store_block_info *info = &w->block.info;
	struct segments segments = { 0 };
	uint32_t row = 0;
	enum rc rc;

	if (ref->commit > scan->after_commit &&
	    (scan->last_commit == 0 || ref->last_commit <= scan->last_commit))
		return RC_OK;
	rc = read_segments(day, ref->id, ref->commit, ref->n, &segments, err);
	for (size_t i = 0; rc == RC_OK && i < segments.n; i++) {
		const struct segment *s = &segments.list[i];

		if (s->commit <= scan->after_commit)
			info->from = row + s->n;
		if (scan->last_commit > 0 && s->commit > scan->last_commit &&
		    row < info->to)
			info->to = row;
		row += s->n;
	}
	segments_fini(&segments);
	return rc;
}

static enum rc
visit(struct walk *w, struct sql *day, const struct ref *ref, struct error *err)
{
	const struct store_scan *scan = w->scan;
	struct store_block *b = &w->block;
	enum rc rc;

	b->day = day;
	b->id = ref->id;
	b->commit = ref->commit;
	b->info = (struct store_block_info){
		.n = ref->n,
		.first_ns = ref->first_ns,
		.last_ns = ref->last_ns,
		.within = ref->first_ns >= scan->since_ns &&
		    ref->last_ns < scan->until_ns,
		.to = ref->n,
	};
	rc = find_rows(w, day, ref, err);
	if (rc == RC_OK)
		rc = scan->on_block(scan->ctx, b, err);
	close_blob(b);
	if (rc != RC_OK && rc != RC_EOF && rc != RC_AGAIN)
		return error_prefix(err, "%s: block %lld", day->path,
		    (long long)ref->id);
	return rc;
}

/* ---- the day files --------------------------------------------------------- */

/* RC_EOF: nothing of the time range can be in it. */
static enum rc
open_day(struct walk *w, uint32_t at, struct sql **day, struct error *err)
{
	struct sql **slot = &w->open[at % DAYS_OPEN];
	enum rc rc;

	if (*slot != NULL && w->open_day[at % DAYS_OPEN] == at) {
		*day = *slot;
		return RC_OK;
	}
	sql_close(*slot);
	*slot = NULL;
	regions_fini(&w->regions[at % DAYS_OPEN]);
	rc = days_open(&w->days, at, day, err);
	if (rc == RC_OK) {
		*slot = *day;
		w->open_day[at % DAYS_OPEN] = at;
		rc = regions_read(*day, &w->regions[at % DAYS_OPEN], err);
	}
	return rc;
}

/* Whether the region of the block, if it lies in one, says no. */
static bool
region_excludes(struct walk *w, struct sql *day, const struct ref *ref)
{
	struct region *r = regions_find(&w->regions[ref->day % DAYS_OPEN],
	    ref->commit, ref->last_commit);
	const struct store_words words = { .day = day, .region = r };

	if (r == NULL)
		return false;
	if (r->verdict < 0)
		r->verdict =
		    (signed char)w->scan->may_match(w->scan->ctx, &words);
	return r->verdict == 0;
}

/*
 * The latest that an event of the day can be: it is a day of arrival, and what
 * a clock that is ahead may say is bounded.
 */
static int64_t
latest_of(const struct walk *w, uint32_t day)
{
	int64_t n = w->days.list[day] + INT64_C(1), ns;

	if (__builtin_mul_overflow(n, DAY_NS, &ns) ||
	    __builtin_add_overflow(ns, CLAMP_NS, &ns))
		return n > 0 ? INT64_MAX : INT64_MIN;
	return ns;
}

static enum rc
concerns(struct walk *w, struct sql *day, bool *out, struct error *err)
{
	struct day_totals totals = { 0 };
	enum rc rc = day_totals(day, &totals, err);

	*out = totals.last_ns >= w->scan->since_ns &&
	    totals.first_ns < w->scan->until_ns &&
	    totals.commit > w->scan->after_commit;
	return rc;
}

/* Blocks behind (commit, id) = (?1, ?2). */
static sqlite3_stmt *
select_refs(struct walk *w, struct sql *day, const struct ref *behind,
    const char *text, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(day, text, err);

	if (q == NULL)
		return NULL;
	sql_bind_int(q, 1, (int64_t)behind->commit);
	sql_bind_int(q, 2, behind->id);
	sql_bind_int(q, 3, w->scan->since_ns);
	sql_bind_int(q, 4, w->scan->until_ns);
	if (w->scan->owner.ptr != NULL)
		sql_bind_text(q, 5, w->scan->owner);
	sql_bind_int(q, 6, (int64_t)w->scan->after_commit);
	sql_bind_int(q, 7,
	    w->scan->last_commit > 0 ? (int64_t)w->scan->last_commit
				     : INT64_MAX);
	return q;
}

#define REFS_WHERE                                                             \
 "SELECT id, n, first_time, last_time, commit_number, last_commit"             \
 " FROM live WHERE (commit_number, id) > (?1, ?2)"                             \
 " AND last_time >= ?3 AND first_time < ?4"                                    \
 " AND (?5 IS NULL OR owner = ?5) AND last_commit > ?6"                        \
 " AND commit_number <= ?7"

static void
read_ref(sqlite3_stmt *q, struct ref *ref)
{
	ref->id = sqlite3_column_int64(q, 0);
	ref->n = (uint32_t)sqlite3_column_int64(q, 1);
	ref->first_ns = sqlite3_column_int64(q, 2);
	ref->last_ns = sqlite3_column_int64(q, 3);
	ref->commit = (uint64_t)sqlite3_column_int64(q, 4);
	ref->last_commit = (uint64_t)sqlite3_column_int64(q, 5);
}

/* The next block in order of commit, after *ref; RC_EOF: no more. */
static enum rc
next_ref(struct walk *w, struct sql *day, struct ref *ref, struct error *err)
{
	sqlite3_stmt *q = select_refs(w, day, ref,
	    REFS_WHERE " ORDER BY commit_number, id LIMIT 1", err);
	enum rc rc = q != NULL ? sql_step(day, q, err) : err->code;

	if (rc != RC_OK)
		return rc;
	read_ref(q, ref);
	(void)sqlite3_reset(q);
	return RC_OK;
}

static enum rc
may_match(struct walk *w, struct sql *day, const struct ref *ref, bool *out,
    struct error *err)
{
	struct store_words words = { .region = NULL };
	sqlite3_stmt *q;
	enum rc rc;

	*out = true;
	if (w->scan->may_match == NULL)
		return RC_OK;
	*out = !region_excludes(w, day, ref);
	if (!*out)
		return RC_OK;
	q = sql_prepare(day, "SELECT bloom FROM live WHERE id = ?1", err);
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, ref->id);
	rc = sql_step(day, q, err);
	if (rc == RC_EOF)
		return gone(day, ref->id, err);
	if (rc != RC_OK)
		return rc;
	words.bloom = sql_blob(q, 0);
	*out = w->scan->may_match(w->scan->ctx, &words);
	(void)sqlite3_reset(q);
	return RC_OK;
}

static enum rc
visit_if_wanted(struct walk *w, struct sql *day, const struct ref *ref,
    struct error *err)
{
	bool wanted;
	enum rc rc = may_match(w, day, ref, &wanted, err);

	return rc == RC_OK && wanted ? visit(w, day, ref, err) : rc;
}

/* ---- order of arrival ------------------------------------------------------ */

static enum rc
walk_day(struct walk *w, struct sql *day, uint32_t at, struct error *err)
{
	struct ref ref = { .day = at };
	bool wanted;
	enum rc rc = concerns(w, day, &wanted, err);

	if (rc != RC_OK || !wanted)
		return rc;
	while ((rc = next_ref(w, day, &ref, err)) == RC_OK) {
		rc = visit_if_wanted(w, day, &ref, err);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
walk_arrival(struct walk *w, struct error *err)
{
	struct sql *day;

	for (uint32_t i = 0; i < w->days.n; i++) {
		enum rc rc = RC_EOF;

		if (latest_of(w, i) >= w->scan->since_ns)
			rc = open_day(w, i, &day, err);
		if (rc == RC_EOF)
			continue;
		if (rc == RC_OK)
			rc = walk_day(w, day, i, err);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* ---- order of time --------------------------------------------------------- */

static enum rc
add_ref(struct walk *w, const struct ref *ref, struct error *err)
{
	if (w->n_refs == REFS_MAX)
		return error_set(err, RC_LIMIT,
		    "more than %d blocks of events to sort: choose a shorter "
		    "time",
		    REFS_MAX);
	if (w->n_refs == w->cap_refs) {
		w->cap_refs = w->cap_refs > 0 ? 2 * w->cap_refs : 256;
		w->refs =
		    xreallocarray(w->refs, w->cap_refs, sizeof(w->refs[0]));
	}
	w->refs[w->n_refs++] = *ref;
	return RC_OK;
}

/* No block is read meanwhile: one statement sees them all. */
static enum rc
list_refs(struct walk *w, struct sql *day, uint32_t at, struct error *err)
{
	struct ref ref = { .day = at };
	sqlite3_stmt *q = select_refs(w, day, &ref, REFS_WHERE, err);
	enum rc rc = q != NULL ? RC_OK : err->code;

	while (rc == RC_OK && (rc = sql_step(day, q, err)) == RC_OK) {
		read_ref(q, &ref);
		rc = add_ref(w, &ref, err);
		if (rc != RC_OK)
			(void)sqlite3_reset(q);
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
list_day(struct walk *w, uint32_t at, struct error *err)
{
	struct sql *day;
	bool wanted;
	enum rc rc = RC_EOF;

	if (latest_of(w, at) >= w->scan->since_ns)
		rc = open_day(w, at, &day, err);
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	rc = concerns(w, day, &wanted, err);
	return rc == RC_OK && wanted ? list_refs(w, day, at, err) : rc;
}

static int
by_first(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;

	return (x->first_ns > y->first_ns) - (x->first_ns < y->first_ns);
}

static int
by_latest(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;

	return (x->last_ns < y->last_ns) - (x->last_ns > y->last_ns);
}

/* Whether the day may have a block that comes before the ref at `at`. */
static bool
needs_day(const struct walk *w, size_t at, uint32_t day)
{
	if (at == w->n_refs || w->scan->order == STORE_FIRST_TIME)
		return true;
	return w->refs[at].last_ns < latest_of(w, day);
}

/* Lists days, the newest first, until the next ref is certain. */
static enum rc
list_days(struct walk *w, size_t at, uint32_t *left, struct error *err)
{
	size_t n = w->n_refs;
	enum rc rc = RC_OK;

	while (rc == RC_OK && *left > 0 && needs_day(w, at, *left - 1)) {
		rc = list_day(w, --*left, err);
		if (w->n_refs - at > 1 && w->n_refs > n &&
		    (*left == 0 || w->scan->order == STORE_LATEST_TIME))
			qsort(w->refs + at, w->n_refs - at, sizeof(w->refs[0]),
			    w->scan->order == STORE_FIRST_TIME ? by_first
							       : by_latest);
	}
	return rc;
}

static enum rc
walk_time(struct walk *w, struct error *err)
{
	uint32_t left = (uint32_t)w->days.n;
	enum rc rc = list_days(w, 0, &left, err);

	for (size_t i = 0; rc == RC_OK && i < w->n_refs; i++) {
		struct sql *day;

		rc = open_day(w, w->refs[i].day, &day, err);
		if (rc == RC_EOF)
			return error_set(err, RC_AGAIN,
			    "a day was removed meanwhile");
		if (rc == RC_OK)
			rc = visit_if_wanted(w, day, &w->refs[i], err);
		if (rc == RC_OK)
			rc = list_days(w, i + 1, &left, err);
	}
	return rc;
}

/* ---- public ---------------------------------------------------------------- */

enum rc
store_scan(struct store *s, const struct store_scan *scan, struct error *err)
{
	struct walk w = { .store = s, .scan = scan };
	enum rc rc;

	if (days_begin(s, &w.days, err) != RC_OK)
		return err->code;
	w.block.decoder = block_decoder_new();
	rc = days_with_restored(&w.days, err);
	if (rc == RC_OK)
		rc = scan->order == STORE_ARRIVAL ? walk_arrival(&w, err)
						  : walk_time(&w, err);
	for (unsigned i = 0; i < DAYS_OPEN; i++) {
		sql_close(w.open[i]);
		regions_fini(&w.regions[i]);
	}
	days_end(&w.days);
	block_decoder_free(w.block.decoder);
	free(w.refs);
	return rc == RC_EOF ? RC_OK : rc;
}

struct store_block_info
store_block_info(const struct store_block *b)
{
	return b->info;
}

/* A block is opened when the first of it is asked for. */
static enum rc
ready(struct store_block *b, struct error *err)
{
	return b->blob != NULL ? RC_OK : open_block(b, err);
}

enum rc
store_block_times(struct store_block *b, const int64_t **times,
    struct error *err)
{
	if (ready(b, err) != RC_OK)
		return err->code;
	return block_decoder_times(b->decoder, times, err);
}

enum rc
store_block_ids(struct store_block *b, struct store_ids *out, struct error *err)
{
	struct block_heads heads;

	if (ready(b, err) != RC_OK ||
	    block_decoder_heads(b->decoder, &heads, err) != RC_OK)
		return err->code;
	*out = (struct store_ids){ heads.ids, heads.foreign, heads.sources };
	return RC_OK;
}

enum rc
store_block_fields(struct store_block *b, const uint32_t **fields, uint32_t *n,
    struct error *err)
{
	if (ready(b, err) != RC_OK)
		return err->code;
	*n = block_decoder_fields(b->decoder, fields);
	return RC_OK;
}

enum rc
store_block_column(struct store_block *b, uint32_t field,
    const struct store_column **out, struct error *err)
{
	if (ready(b, err) != RC_OK)
		return err->code;
	return block_decoder_form(b->decoder, field, out, err);
}

enum rc
store_block_events(struct store_block *b, const uint32_t *rows, uint32_t n,
    store_row_cb *cb, void *ctx, struct error *err)
{
	struct event *events;

	if (ready(b, err) != RC_OK ||
	    block_decoder_rows(b->decoder, rows, n, &events, err) != RC_OK)
		return err->code;
	close_blob(b); /* whoever takes the events may take long */
	for (uint32_t i = 0; i < n; i++)
		if (!cb(ctx, rows[i], &events[i]))
			return RC_EOF;
	return RC_OK;
}
