/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A day is walked in windows: the least runs of commits that no block crosses.
 * A window's blocks are unpacked one after another, owners in the order of
 * their names, and feed the digests of its commits; then each commit is
 * compared with its row, each row with the one before, each head with its rows.
 */
#include "collector/store/verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "timestamp.h"

enum {
	FINDINGS_KEPT = 1000, /* of a day; the others are counted */
	WINDOW_MAX = 65536,   /* commits */
	DAY_ARENA = 64 * 1024,
	PROGRESS_EVENTS = 100000,
};

/* ---- findings ----------------------------------------------------------- */

void
verify_finding(struct verify *v, uint64_t commit, int64_t block,
    const char *problem, const char *fmt, ...)
{
	char text[1024];
	struct finding *f;
	va_list ap;

	v->out->damaged++;
	v->bad_commit = commit;
	if (v->n_findings == FINDINGS_KEPT)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (v->n_findings == v->cap_findings) {
		v->cap_findings =
		    v->cap_findings > 0 ? 2 * v->cap_findings : 16;
		v->findings = xreallocarray(v->findings, v->cap_findings,
		    sizeof(v->findings[0]));
	}
	f = &v->findings[v->n_findings++];
	*f = (struct finding){ .commit = commit,
		.block = block,
		.problem = problem,
		.message = xstrdup(text) };
}

/* A copy of another commit's events is a change; an exchange a new order. */
static void
name_exchanges(struct verify *v)
{
	for (size_t i = 0; i < v->n_findings; i++) {
		struct finding *f = &v->findings[i];

		for (size_t k = 0; f->looks_like != 0 && k < v->n_findings; k++)
			if (v->findings[k].commit == f->looks_like)
				f->problem = "reordered";
	}
}

static int
compare_findings(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	return (x->commit > y->commit) - (x->commit < y->commit);
}

static bool
tell_findings(struct verify *v)
{
	bool more = true;

	name_exchanges(v);
	if (v->n_findings > 1)
		qsort(v->findings, v->n_findings, sizeof(v->findings[0]),
		    compare_findings);
	for (size_t i = 0; i < v->n_findings; i++) {
		const struct finding *f = &v->findings[i];

		more = more &&
		    v->what->on_finding(v->what->ctx,
			&(struct store_finding){ v->file, (uint64_t)f->block,
			    f->problem, f->message });
		free(f->message);
	}
	v->n_findings = 0;
	return more;
}

/* ---- rows --------------------------------------------------------------- */

/* Whether a later commit has earlier events. */
static bool
is_overtaken(struct verify *v, const struct chain_link *row)
{
	sqlite3_stmt *q = sql_prepare(v->day,
	    "SELECT 1 FROM commits WHERE number > ?1 AND first < ?2"
	    " AND last >= first LIMIT 1",
	    &v->ignored);
	bool found;

	if (q == NULL)
		return false;
	sql_bind_int(q, 1, (int64_t)row->number);
	sql_bind_int(q, 2, (int64_t)row->first);
	found = sql_step(v->day, q, &v->ignored) == RC_OK;
	(void)sqlite3_reset(q);
	return found;
}

/* Another commit whose row has that digest; 0: none. */
static uint64_t
commit_of_digest(struct verify *v, const uint8_t digest[SHA256_BYTES],
    uint64_t but)
{
	sqlite3_stmt *q = sql_prepare(v->day,
	    "SELECT number FROM commits WHERE digest = ?1 AND number <> ?2",
	    &v->ignored);
	uint64_t number = 0;

	if (q == NULL)
		return 0;
	sql_bind_blob(q, 1,
	    (struct slice){ (const char *)digest, SHA256_BYTES });
	sql_bind_int(q, 2, (int64_t)but);
	if (sql_step(v->day, q, &v->ignored) == RC_OK)
		number = (uint64_t)sqlite3_column_int64(q, 0);
	(void)sqlite3_reset(q);
	return number;
}

/* What happened to a row that does not fit the one before it. */
static const char *
misfit(struct verify *v, const struct chain_link *row)
{
	if (is_overtaken(v, row))
		return "reordered";
	if (v->number != 0 && row->first != v->last + 1)
		return row->first > v->last ? "missing" : "added";
	return row->number > v->last_head ? "added" : "changed";
}

/* Whether the row follows the one before it; says what is wrong. */
static bool
follows(struct verify *v, const struct slot *slot)
{
	const struct chain_link *row = &slot->row;
	struct chain_link want = *row;

	if (v->number != 0 && row->number != v->number + 1) {
		if (v->bad_commit <= v->number)
			verify_finding(v, v->number + 1, v->next_block,
			    "missing",
			    "commits %llu to %llu are missing before this "
			    "block",
			    (unsigned long long)v->number + 1,
			    (unsigned long long)row->number - 1);
		return false;
	}
	chain_link_seal(&want, v->chain);
	if ((v->number == 0 || row->first == v->last + 1) &&
	    memcmp(want.chain, row->chain, SHA256_BYTES) == 0)
		return true;
	verify_finding(v, row->number, slot->block, misfit(v, row),
	    "commit %llu: its row does not fit the chain",
	    (unsigned long long)row->number);
	return false;
}

static void
compare_content(struct verify *v, const struct slot *slot,
    const struct chain_link *found)
{
	const struct chain_link *row = &slot->row;
	uint64_t want = row->last - row->first + 1;
	unsigned long long number = row->number;
	uint64_t other;

	if (slot->events != want) {
		verify_finding(v, row->number,
		    slot->block != 0 ? slot->block : v->next_block,
		    slot->events < want ? "missing" : "added",
		    "commit %llu: %llu events are here, %llu were committed",
		    number, (unsigned long long)slot->events,
		    (unsigned long long)want);
	} else if (memcmp(found->digest, row->digest, SHA256_BYTES) != 0) {
		other = commit_of_digest(v, found->digest, row->number);
		if (other == 0) {
			verify_finding(v, row->number, slot->block, "changed",
			    "commit %llu: its events are not those that were "
			    "committed",
			    number);
			return;
		}
		verify_finding(v, row->number, slot->block, "changed",
		    "commit %llu: holds the events of commit %llu", number,
		    (unsigned long long)other);
		if (v->n_findings > 0)
			v->findings[v->n_findings - 1].looks_like = other;
	} else if (memcmp(found->hits, row->hits, SHA256_BYTES) != 0) {
		verify_finding(v, row->number, slot->block, "changed",
		    "commit %llu: its owners or rule hits are not those that "
		    "were committed",
		    number);
	} else if (slot->hidden != NULL) {
		verify_finding(v, row->number, slot->hidden_block, "changed",
		    "commit %llu: the block's %s: queries would pass over it",
		    number, slot->hidden);
	}
}

static void
check_commit(struct verify *v, struct slot *slot, uint64_t number)
{
	struct chain_link found;
	char text[CHAIN_ROW_TEXT];
	struct slice row;

	sha256_done(slot->lines, found.digest);
	sha256_done(slot->hits, found.hits);
	if (!slot->has_row) {
		if (slot->block != 0)
			verify_finding(v, number, slot->block,
			    number < v->last_commit ? "missing" : "added",
			    "a block of commit %llu, which has no row",
			    (unsigned long long)number);
		return;
	}
	v->out->commits++;
	if (!slot->chained) {
		v->out->unchained++;
		v->number = number;
		v->last = slot->row.last;
		return;
	}
	if (follows(v, slot) && !slot->damaged)
		compare_content(v, slot, &found);
	v->number = number;
	v->last = slot->row.last;
	memcpy(v->chain, slot->row.chain, SHA256_BYTES);
	row = chain_row(&slot->row, text);
	sha256_add(v->rows, row.ptr, row.len);
	if (v->first_row == 0)
		v->first_row = number;
	verify_head(v);
}

/* ---- windows ------------------------------------------------------------ */

struct slot *
verify_slot(struct verify *v, uint64_t commit)
{
	return commit >= v->begin && commit - v->begin < v->n_slots
	    ? &v->slots[commit - v->begin]
	    : NULL;
}

static void
slots_room(struct verify *v, size_t n)
{
	if (n > v->cap_slots) {
		v->slots = xreallocarray(v->slots, n, sizeof(v->slots[0]));
		for (size_t i = v->cap_slots; i < n; i++)
			v->slots[i] = (struct slot){ .lines = sha256_new(),
				.hits = sha256_new() };
		v->cap_slots = n;
	}
	for (size_t i = v->n_slots; i < n; i++) {
		struct sha256 *lines = v->slots[i].lines;
		struct sha256 *hits = v->slots[i].hits;

		v->slots[i] = (struct slot){ .lines = lines, .hits = hits };
	}
	v->n_slots = n;
}

static enum rc
next_row(struct verify *v, struct error *err)
{
	enum rc rc = sql_step(v->day, v->rows_of_day, err);
	struct slot *r = &v->row;

	v->has_row = rc == RC_OK;
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	*r = (struct slot){ .has_row = true };
	r->row.number = (uint64_t)sqlite3_column_int64(v->rows_of_day, 0);
	r->chained = sqlite3_column_type(v->rows_of_day, 5) != SQLITE_NULL;
	if (!r->chained) {
		r->row.last = (uint64_t)sqlite3_column_int64(v->rows_of_day, 6);
		return RC_OK;
	}
	if (link_of_row(v->rows_of_day, &r->row, err) == RC_OK)
		return RC_OK;
	verify_finding(v, r->row.number, 0, "changed", "%s", err->text);
	memset(&r->row.digest, 0, sizeof(r->row.digest));
	return RC_OK;
}

static enum rc
next_block(struct verify *v, struct error *err)
{
	sqlite3_stmt *q = v->blocks_of_day;
	struct verify_block *b = &v->block;
	enum rc rc = sql_step(v->day, q, err);

	v->has_block = rc == RC_OK;
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	*b = (struct verify_block){
		.id = sqlite3_column_int64(q, 0),
		.first = (uint64_t)sqlite3_column_int64(q, 1),
		.last = (uint64_t)sqlite3_column_int64(q, 2),
		.owner = arena_copy(v->window_arena, sql_text(q, 3)),
	};
	if (b->last < b->first || b->last - b->first >= WINDOW_MAX) {
		verify_finding(v, b->first, b->id, "changed",
		    "the block says that it spans commits %llu to %llu",
		    (unsigned long long)b->first, (unsigned long long)b->last);
		b->last = b->first;
	}
	return RC_OK;
}

static int
compare_blocks(const void *a, const void *b)
{
	const struct verify_block *x = a, *y = b;
	int c = slice_compare(x->owner, y->owner);

	return c != 0 ? c : (x->id > y->id) - (x->id < y->id);
}

/* The blocks of the next window, and where it ends. */
static enum rc
take_blocks(struct verify *v, uint64_t *end, struct error *err)
{
	v->n_blocks = 0;
	while (v->has_block && v->block.first <= *end &&
	    v->block.first - v->begin < WINDOW_MAX) {
		if (v->n_blocks == v->cap_blocks) {
			v->cap_blocks =
			    v->cap_blocks > 0 ? 2 * v->cap_blocks : 16;
			v->blocks = xreallocarray(v->blocks, v->cap_blocks,
			    sizeof(v->blocks[0]));
		}
		v->blocks[v->n_blocks++] = v->block;
		if (v->block.last > *end)
			*end = v->block.last;
		if (next_block(v, err) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

static enum rc
take_rows(struct verify *v, uint64_t end, struct error *err)
{
	while (v->has_row && v->row.row.number <= end) {
		struct slot *s = verify_slot(v, v->row.row.number);

		if (s != NULL) {
			s->row = v->row.row;
			s->has_row = true;
			s->chained = v->row.chained;
		}
		if (next_row(v, err) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

static enum rc
verify_window(struct verify *v, struct error *err)
{
	struct slice ahead = v->block.owner;
	uint64_t end;

	/* the block that is ahead stays */
	arena_reset(v->spare_arena);
	ahead = arena_copy(v->spare_arena, ahead);
	arena_reset(v->window_arena);
	v->block.owner = arena_copy(v->window_arena, ahead);
	v->begin = v->has_row ? v->row.row.number : UINT64_MAX;
	if (v->has_block && v->block.first < v->begin)
		v->begin = v->block.first;
	end = v->begin;
	if (take_blocks(v, &end, err) != RC_OK)
		return err->code;
	v->n_slots = 0;
	slots_room(v, end - v->begin + 1);
	if (take_rows(v, end, err) != RC_OK)
		return err->code;
	if (v->n_blocks > 1)
		qsort(v->blocks, v->n_blocks, sizeof(v->blocks[0]),
		    compare_blocks);
	for (size_t i = 0; i < v->n_blocks; i++)
		if (verify_block(v, &v->blocks[i], err) != RC_OK)
			return err->code;
	for (size_t i = 0; i < v->n_slots; i++) {
		check_commit(v, &v->slots[i], v->begin + i);
		if (v->slots[i].block != 0)
			v->next_block = v->slots[i].block + 1;
	}
	if (v->n_blocks > 0)
		v->next_block = v->last_block + 1;
	return RC_OK;
}

/* ---- days --------------------------------------------------------------- */

/* What the day says of the chain before it, against the day before. */
static enum rc
begin_chain(struct verify *v, struct error *err)
{
	uint8_t before[SHA256_BYTES];
	int64_t first = 0;
	enum rc rc = chain_before(v->day, before, err);

	if (rc == RC_OK)
		rc = sql_number(v->day, "SELECT min(number) FROM commits",
		    &first, err);
	if (rc != RC_OK)
		return rc;
	if (v->number != 0 && (uint64_t)first == v->number + 1 &&
	    v->chained_before && memcmp(before, v->chain, SHA256_BYTES) != 0)
		verify_finding(v, (uint64_t)first, 0, "changed",
		    "the chain that it goes on from is not that of the day "
		    "before");
	memcpy(v->chain, before, SHA256_BYTES);
	return RC_OK;
}

static enum rc
prepare_day(struct verify *v, struct error *err)
{
	v->rows_of_day = sql_prepare(v->day,
	    v->format >= 2
		? "SELECT number, first, last, digest, hits_digest, chain,"
		  " total_events FROM commits ORDER BY number"
		: "SELECT number, 0, 0, NULL, NULL, NULL, total_events"
		  " FROM commits ORDER BY number",
	    err);
	v->blocks_of_day = sql_prepare(v->day,
	    "SELECT id, commit_number, last_commit, owner FROM live"
	    " ORDER BY commit_number, id",
	    err);
	if (v->rows_of_day == NULL || v->blocks_of_day == NULL)
		return err->code;
	if (sql_number(v->day, "SELECT coalesce(max(number), 0) FROM commits",
		&v->last_number, err) != RC_OK)
		return err->code;
	v->last_commit = (uint64_t)v->last_number;
	arena_reset(v->day_arena);
	v->rules = (struct rule_rows){ 0 };
	if (rules_follow(v->day, v->day_arena, &v->rules, err) != RC_OK)
		return err->code;
	if (v->format >= 2 &&
	    (begin_chain(v, err) != RC_OK ||
		verify_heads_begin(v, err) != RC_OK))
		return err->code;
	return RC_OK;
}

static enum rc
verify_day(struct verify *v, bool newest, struct error *err)
{
	int version = 0;
	enum rc rc = sql_exec(v->day, "BEGIN", err); /* one state of it */

	if (rc == RC_OK)
		rc = sql_version(v->day, &version, err);
	v->format = version;
	if (rc == RC_OK)
		rc = prepare_day(v, err);
	if (rc == RC_OK)
		rc = next_row(v, err);
	if (rc == RC_OK)
		rc = next_block(v, err);
	while (rc == RC_OK && !v->stopped && (v->has_row || v->has_block))
		rc = verify_window(v, err);
	if (rc == RC_OK && v->format >= 2 && !v->stopped)
		verify_heads_end(v, newest);
	v->chained_before = v->format >= 2;
	return rc;
}

static void
verify_one(struct verify *v, int32_t day, bool newest)
{
	struct error err = { 0 };
	enum rc rc = day_file(v->dir, day, v->file, sizeof(v->file), &err);

	v->bad_commit = 0;
	v->last_number = 0;
	v->next_block = 1;
	if (rc == RC_OK)
		rc = day_open(v->dir, day, SQL_READ, &v->day, &err);
	if (rc == RC_OK)
		rc = verify_day(v, newest, &err);
	if (rc != RC_OK && rc != RC_EOF) {
		verify_finding(v, v->number + 1, v->has_block ? v->block.id : 0,
		    "unreadable", "%s", err.text);
		/* the next day is compared with what could be read */
		v->number = (uint64_t)v->last_number;
		v->chained_before = false;
		v->last = 0;
	}
	if (!tell_findings(v))
		v->stopped = true;
	sql_close(v->day);
	v->day = NULL;
	v->has_row = v->has_block = false;
	v->last_day = day;
}

/*
 * The last commits may have gone with their file: soc.db remembers.  Without any
 * day that was read it is named itself.
 */
static void
check_end(struct verify *v, bool any)
{
	struct sql *soc = NULL;
	int64_t known = 0;

	if (soc_connect(v->dir, SQL_READ, &soc, &v->ignored) != RC_OK ||
	    sql_number(soc, "SELECT commit_number FROM cursor", &known,
		&v->ignored) != RC_OK)
		known = 0;
	sql_close(soc);
	if (known <= 0 || (uint64_t)known <= v->number)
		return;
	(void)snprintf(v->file, sizeof(v->file), "%s/%s", v->dir, STORE_SOC);
	if (any &&
	    day_file(v->dir, v->last_day, v->file, sizeof(v->file),
		&v->ignored) != RC_OK)
		return;
	v->bad_commit = 0;
	verify_finding(v, v->number + 1, v->next_block, "missing",
	    "commits %llu to %lld are missing: incidents were made from them",
	    (unsigned long long)v->number + 1, (long long)known);
	v->stopped = !tell_findings(v) || v->stopped;
}

static enum rc
read_keys(struct verify *v, struct error *err)
{
	const char *path = v->what->key;
	char own[4096];

	if (path == NULL) {
		(void)snprintf(own, sizeof(own), "%s/%s", v->dir, STORE_PUBLIC);
		path = own;
		if (access(path, F_OK) != 0)
			return RC_OK; /* each head says so */
	}
	return sign_keys_read(path, &v->keys, err);
}

/* A store without a day: nothing was committed yet, or it is none at all. */
static enum rc
find_soc(const struct verify *v, struct error *err)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", v->dir, STORE_SOC);
	if (access(path, F_OK) == 0)
		return RC_OK;
	return error_set(err, RC_INVALID,
	    "%s: holds no store: neither a file YYYY-MM-DD.db nor %s", v->dir,
	    STORE_SOC);
}

/* Said once, not of each stamp. */
static enum rc
check_authority(const struct verify *v, struct error *err)
{
	const char *ca = v->what->tsa_ca;

	if (ca == NULL || access(ca, R_OK) == 0)
		return RC_OK;
	return error_set_errno(err, errno, "cannot read %s", ca);
}

static void
verify_init(struct verify *v)
{
	v->decoder = block_decoder_new();
	v->encoder = block_encoder_new();
	v->window_arena = arena_new(DAY_ARENA);
	v->spare_arena = arena_new(DAY_ARENA);
	v->day_arena = arena_new(DAY_ARENA);
	v->rows = sha256_new();
	chain_digest_init(&v->digest);
	buf_init(&v->head_text, CHAIN_HEAD_MAX);
}

static void
verify_fini(struct verify *v)
{
	block_decoder_free(v->decoder);
	block_encoder_free(v->encoder);
	arena_free(v->window_arena);
	arena_free(v->spare_arena);
	arena_free(v->day_arena);
	sha256_free(v->rows);
	chain_digest_fini(&v->digest);
	buf_fini(&v->head_text);
	for (size_t i = 0; i < v->cap_slots; i++) {
		sha256_free(v->slots[i].lines);
		sha256_free(v->slots[i].hits);
	}
	free(v->slots);
	free(v->blocks);
	free(v->findings);
	segments_fini(&v->segments);
	bytes_fini(&v->data);
	sign_keys_free(v->keys);
}

/* True: go on. */
bool
verify_progress(struct verify *v)
{
	if (v->out->events < v->told_events + PROGRESS_EVENTS)
		return true;
	v->told_events = v->out->events;
	if (v->what->on_progress != NULL &&
	    !v->what->on_progress(v->what->ctx, v->file, v->out))
		v->stopped = true;
	return !v->stopped;
}

enum rc
store_verify(const struct store_verify *what, struct store_verified *out,
    struct error *err)
{
	struct store *own = what->store == NULL ? store_bare(what->dir) : NULL;
	struct verify v = { .what = what, .out = out };
	struct days days;
	enum rc rc;

	*out = (struct store_verified){ 0 };
	v.dir = what->store != NULL ? what->store->dir : what->dir;
	rc = days_begin(own != NULL ? own : what->store, &days, err);
	if (rc != RC_OK) {
		store_close(own);
		return rc;
	}
	verify_init(&v);
	rc = read_keys(&v, err);
	if (rc == RC_OK)
		rc = check_authority(&v, err);
	if (rc == RC_OK && days.n == 0)
		rc = find_soc(&v, err);
	for (size_t i = 0; rc == RC_OK && i < days.n && !v.stopped; i++)
		verify_one(&v, days.list[i], i + 1 == days.n);
	if (rc == RC_OK && !v.stopped)
		check_end(&v, days.n > 0);
	days_end(&days);
	verify_fini(&v);
	store_close(own);
	return rc;
}
