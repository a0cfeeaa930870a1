/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of one event, as files: its line is one of the commit's lines,
 * whose digest is in the commit's row, which is one of the rows that a signed
 * head names.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "collector/store/scan.h"
#include "store_verify.h"

enum { PROOF_ARENA = 64 * 1024, KEY_BYTES = 4096, WAIT_MS = 50 };

static const char readme[] =
    "What proves this event, and how to check it with standard tools:\n"
    "\n"
    "  event.json    the event\n"
    "  lines.jsonl   the events of its commit, as kuzetctl events --json\n"
    "                prints them\n"
    "  commits.txt   the commits under the signature, a line each: number,\n"
    "                first and last event, SHA-256 of its lines, SHA-256 of\n"
    "                its rule hits, chain\n"
    "  head.txt      what was signed; head.sig is the Ed25519 signature\n"
    "  key.pem       the public key; compare it with the one that you got\n"
    "                from the collector's owner at another time or place\n"
    "  head.tsr      if it is there: an RFC 3161 time stamp of head.sig\n"
    "\n"
    "1. The event is one of the commit's lines:\n"
    "     grep -c -x -F -f event.json lines.jsonl\n"
    "2. The lines are those of a commit; this prints its line:\n"
    "     grep \" $(sha256sum < lines.jsonl | cut -c 1-64) \" commits.txt\n"
    "3. The commits are those of the head; this prints its line:\n"
    "     grep \"^rows: $(sha256sum < commits.txt | cut -c 1-64)$\" head.txt\n"
    "4. The head was signed with the key:\n"
    "     openssl pkeyutl -verify -pubin -inkey key.pem -rawin \\\n"
    "         -in head.txt -sigfile head.sig\n"
    "5. With head.tsr and the authority's certificate, when it was signed:\n"
    "     openssl ts -verify -data head.sig -in head.tsr -CAfile tsa-ca.pem\n"
    "\n"
    "kuzet-store(5) says more.\n";

struct proof {
	struct store *store;
	const struct store_proof *what;
	struct sql *day;
	struct arena *arena;
	struct block_decoder *decoder;
	struct segments segments;
	struct bytes data, keep;
	struct buf line;
	/* the event's */
	int64_t block;
	uint64_t commit;
	/* the head's */
	uint64_t head, first;
	struct slice key; /* its id; in the arena */
};

static bool
give(struct proof *p, const char *name, struct slice bytes)
{
	return p->what->on_file(p->what->ctx, name, bytes);
}

static enum rc
stopped(struct error *err)
{
	return error_set(err, RC_SYSTEM, "the proof could not be written");
}

/* ---- the event ---------------------------------------------------------- */

/* Opens a live block of the day: decoder and segments are its. */
static enum rc
open_block(struct proof *p, int64_t id, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(p->day,
	    "SELECT commit_number, n, segments FROM live WHERE id = ?1", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, id);
	rc = sql_step(p->day, q, err);
	if (rc != RC_OK)
		return rc == RC_EOF
		    ? error_set(err, RC_INVALID, "block %lld is missing",
			  (long long)id)
		    : rc;
	rc = segments_read(sql_blob(q, 2), (uint64_t)sqlite3_column_int64(q, 0),
	    (uint32_t)sqlite3_column_int64(q, 1), &p->segments, err);
	(void)sqlite3_reset(q);
	if (rc == RC_OK)
		rc = read_block(p->day, id, &p->data, err);
	if (rc == RC_OK)
		rc = block_decoder_open(p->decoder, bytes_slice(&p->data), err);
	return rc;
}

/* Row of the event in the block; UINT32_MAX: it is not in it. */
static enum rc
row_in_block(struct proof *p, const struct store_query *q, uint32_t *row,
    struct error *err)
{
	uint8_t *keep, *at;
	uint32_t n = block_events(p->decoder);

	keep = bytes_room(&p->keep, n + 1);
	if (scan_filter(p->decoder, q, keep, err) != RC_OK)
		return err->code;
	at = memchr(keep, 1, n);
	*row = at != NULL ? (uint32_t)(at - keep) : UINT32_MAX;
	return RC_OK;
}

static void
note_commit(struct proof *p, uint32_t row)
{
	for (size_t i = 0; i < p->segments.n; i++) {
		if (row < p->segments.list[i].n) {
			p->commit = p->segments.list[i].commit;
			return;
		}
		row -= p->segments.list[i].n;
	}
}

/* The next block, after p->block, whose filter does not exclude the event. */
static enum rc
next_candidate(struct proof *p, const struct store_query *query,
    uint64_t *commit, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(p->day,
	    "SELECT id, commit_number, bloom FROM live"
	    " WHERE (commit_number, id) > (?1, ?2)"
	    " ORDER BY commit_number, id",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)*commit);
	sql_bind_int(q, 2, p->block);
	while ((rc = sql_step(p->day, q, err)) == RC_OK) {
		p->block = sqlite3_column_int64(q, 0);
		*commit = (uint64_t)sqlite3_column_int64(q, 1);
		if (scan_may_match(query, sql_blob(q, 2)))
			break;
	}
	(void)sqlite3_reset(q);
	return rc;
}

/* RC_EOF: the day does not have it. */
static enum rc
find_in_day(struct proof *p, const struct store_query *query, struct error *err)
{
	uint64_t commit = 0;
	uint32_t row = UINT32_MAX;
	struct event ev;
	enum rc rc = RC_OK;

	p->block = 0;
	while (rc == RC_OK && row == UINT32_MAX) {
		rc = next_candidate(p, query, &commit, err);
		if (rc == RC_OK)
			rc = open_block(p, p->block, err);
		if (rc == RC_OK)
			rc = row_in_block(p, query, &row, err);
	}
	if (rc == RC_OK)
		rc = block_decoder_all(p->decoder, err);
	if (rc != RC_OK)
		return rc;
	note_commit(p, row);
	block_event(p->decoder, row, &ev);
	buf_clear(&p->line);
	chain_line(&p->line, &ev, NULL);
	return give(p, "event.json", buf_slice(&p->line)) ? RC_OK
							  : stopped(err);
}

/* Leaves the event's day open. */
static enum rc
find_event(struct proof *p, struct days *days, struct error *err)
{
	struct store_filter id = { FIELD_EVENT_ID, p->what->event };
	struct store_query query = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.filters = &id,
		.n_filters = 1 };
	enum rc rc;

	while ((rc = days_next(days, &p->day, err)) == RC_OK) {
		rc = find_in_day(p, &query, err);
		if (rc != RC_EOF)
			return rc;
		sql_close(p->day);
		p->day = NULL;
	}
	return rc == RC_EOF ? error_set(err, RC_EOF, "no event has the id %.*s",
				  SLICE_ARG(p->what->event))
			    : rc;
}

/* ---- its commit --------------------------------------------------------- */

static enum rc
give_segment(struct proof *p, struct sha256 *lines, struct error *err)
{
	uint32_t row = 0;
	struct event ev;

	if (block_decoder_all(p->decoder, err) != RC_OK)
		return err->code;
	for (size_t i = 0; i < p->segments.n; i++) {
		const struct segment *g = &p->segments.list[i];

		for (uint32_t k = 0; k < g->n; k++, row++) {
			if (g->commit != p->commit)
				continue;
			block_event(p->decoder, row, &ev);
			buf_clear(&p->line);
			chain_line(&p->line, &ev, NULL);
			sha256_add(lines, p->line.ptr, p->line.len);
			if (!give(p, "lines.jsonl", buf_slice(&p->line)))
				return stopped(err);
			p->what->out->events++;
		}
	}
	return RC_OK;
}

struct ids {
	struct arena *arena;
	int64_t *list;
	size_t n;
};

static enum rc
add_id(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct ids *ids = ctx;

	(void)err;
	if ((ids->n & (ids->n - 1)) == 0) {
		int64_t *list = arena_alloc(ids->arena,
		    (ids->n > 0 ? 2 * ids->n : 1) * sizeof(list[0]));

		if (ids->n > 0)
			memcpy(list, ids->list, ids->n * sizeof(list[0]));
		ids->list = list;
	}
	ids->list[ids->n++] = sqlite3_column_int64(q, 0);
	return RC_OK;
}

static enum rc
give_lines(struct proof *p, uint8_t digest[SHA256_BYTES], struct error *err)
{
	struct sha256 *lines = sha256_new();
	struct ids ids = { .arena = p->arena };
	const struct sql_value commit = BIND_INT(p->commit);
	enum rc rc = sql_each_of(p->day,
	    "SELECT id FROM live WHERE commit_number <= ?1"
	    " AND last_commit >= ?1 ORDER BY owner, id",
	    &commit, add_id, &ids, err);

	for (size_t i = 0; rc == RC_OK && i < ids.n; i++) {
		rc = open_block(p, ids.list[i], err);
		if (rc == RC_OK)
			rc = give_segment(p, lines, err);
		p->what->out->blocks++;
	}
	sha256_done(lines, digest);
	sha256_free(lines);
	return rc;
}

/* ---- the chain and its head --------------------------------------------- */

static enum rc
give_head(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct proof *p = ctx;
	struct slice head = sql_text(q, 1), token = sql_blob(q, 3);
	char *end;

	p->head = (uint64_t)sqlite3_column_int64(q, 0);
	p->key = arena_copy(p->arena, chain_head_value(head, "key"));
	/* a number, ended by LF */
	p->first = strtoull(chain_head_value(head, "first").len > 0
		? chain_head_value(head, "first").ptr
		: "0",
	    &end, 10);
	if (!give(p, "head.txt", head) ||
	    !give(p, "head.sig", sql_blob(q, 2)) ||
	    (token.len > 0 && !give(p, "head.tsr", token)))
		return stopped(err);
	return RC_OK;
}

static enum rc
give_row(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct proof *p = ctx;
	struct chain_link link = { 0 };
	char text[CHAIN_ROW_TEXT];

	if (link_of_row(q, &link, err) != RC_OK)
		return err->code;
	return give(p, "commits.txt", chain_row(&link, text)) ? RC_OK
							      : stopped(err);
}

static enum rc
give_rows(struct proof *p, struct error *err)
{
	const struct sql_value commit = BIND_INT(p->commit);
	struct sql_value range[2];
	enum rc rc;

	rc = sql_each_of(p->day,
	    "SELECT commit_number, head, signature, timestamp FROM heads"
	    " WHERE commit_number >= ?1 ORDER BY commit_number LIMIT 1",
	    &commit, give_head, p, err);
	if (rc == RC_OK && p->head == 0)
		rc = error_set(err, RC_AGAIN,
		    "commit %llu is not signed yet: heads are signed every "
		    "hour, at a day's end and when the collector stops",
		    (unsigned long long)p->commit);
	if (rc != RC_OK)
		return rc;
	range[0] = BIND_INT(p->first);
	range[1] = BIND_INT(p->head);
	return sql_each_of(p->day,
	    "SELECT number, first, last, digest, hits_digest, chain"
	    " FROM commits WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
	    range, give_row, p, err);
}

/* Whether the commit's row says what its lines gave. */
static enum rc
check_digest(struct proof *p, const uint8_t digest[SHA256_BYTES],
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(p->day,
	    "SELECT digest FROM commits WHERE number = ?1", err);
	struct slice want;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)p->commit);
	rc = sql_step(p->day, q, err);
	if (rc == RC_LIBRARY || rc == RC_SYSTEM)
		return rc;
	want = rc == RC_OK ? sql_blob(q, 0) : SLICE("");
	rc = RC_OK;
	if (want.len == 0)
		rc = error_set(err, RC_INVALID,
		    "commit %llu has no place in the chain: a version of kuzet "
		    "without one wrote it",
		    (unsigned long long)p->commit);
	else if (want.len != SHA256_BYTES ||
	    memcmp(want.ptr, digest, SHA256_BYTES) != 0) {
		p->what->out->damaged++;
		rc = error_set(err, RC_DENIED,
		    "the events of commit %llu are not those that were "
		    "committed: nothing can be proven of them",
		    (unsigned long long)p->commit);
	}
	(void)sqlite3_reset(q);
	return rc;
}

static enum rc
give_key(struct proof *p, struct error *err)
{
	struct sign_keys *keys = NULL;
	char path[4096];
	struct buf pem;
	enum rc rc;

	(void)snprintf(path, sizeof(path), "%s/%s", p->store->dir,
	    STORE_PUBLIC);
	rc = sign_keys_read(p->what->key != NULL ? p->what->key : path, &keys,
	    err);
	if (rc != RC_OK)
		return rc;
	buf_init(&pem, KEY_BYTES);
	if (!sign_keys_pem(keys, p->key, &pem))
		rc = error_set(err, RC_INVALID,
		    "the key that signed commit %llu is not known",
		    (unsigned long long)p->commit);
	else if (!give(p, "key.pem", buf_slice(&pem)))
		rc = stopped(err);
	buf_fini(&pem);
	sign_keys_free(keys);
	return rc;
}

static enum rc
prove(struct proof *p, struct days *days, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	enum rc rc = find_event(p, days, err);

	if (rc == RC_OK)
		rc = give_lines(p, digest, err);
	if (rc == RC_OK)
		rc = check_digest(p, digest, err);
	if (rc == RC_OK)
		rc = give_rows(p, err);
	if (rc == RC_OK)
		rc = give_key(p, err);
	if (rc == RC_OK &&
	    !give(p, "README.txt",
		(struct slice){ readme, sizeof(readme) - 1 }))
		rc = stopped(err);
	p->what->out->block = (uint64_t)p->block;
	if (p->day != NULL)
		(void)snprintf(p->what->out->file, sizeof(p->what->out->file),
		    "%s", p->day->path);
	return rc;
}

enum rc
store_prove(const struct store_proof *what, struct error *err)
{
	struct store *own = what->store == NULL ? store_bare(what->dir) : NULL;
	struct proof p = { .what = what };
	struct days days;
	enum rc rc;

	p.store = own != NULL ? own : what->store;
	*what->out = (struct store_proven){ 0 };
	rc = days_begin(p.store, &days, err);
	if (rc == RC_OK) {
		p.arena = arena_new(PROOF_ARENA);
		p.decoder = block_decoder_new();
		buf_init(&p.line, CHAIN_LINE_MAX);
		rc = prove(&p, &days, err);
		sql_close(p.day);
		days_end(&days);
		block_decoder_free(p.decoder);
		arena_free(p.arena);
		segments_fini(&p.segments);
		bytes_fini(&p.data);
		bytes_fini(&p.keep);
		buf_fini(&p.line);
	}
	store_close(own);
	return rc;
}

/* ---- signing on demand -------------------------------------------------- */

bool
store_seal_wanted(struct store *s)
{
	return atomic_load(&s->seal_wanted) > atomic_load(&s->seals_done);
}

bool
store_want_seal(struct store *s, int64_t patience_ns)
{
	const struct timespec step = { 0, WAIT_MS * INT64_C(1000000) };
	uint64_t mine = atomic_load(&s->seals_done) + 1;

	atomic_store(&s->seal_wanted, mine);
	for (; patience_ns > 0; patience_ns -= step.tv_nsec) {
		if (atomic_load(&s->seals_done) >= mine)
			return true;
		(void)nanosleep(&step, NULL);
	}
	return false;
}
