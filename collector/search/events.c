/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events by arrival: block by block.  Events by time: the least (or greatest)
 * keys first, a bounded number of them at once; then, a bounded number of bytes
 * at once, the events that have these keys.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/search/evaluate.h"
#include "xalloc.h"

enum {
	KEYS_MAX = 256 * 1024, /* of one pass over the blocks */
	CHUNK_MAX = 8192,      /* events that are held at once */
	CHUNK_BYTES = 32 << 20,
	CHUNK_BLOCK = 1 << 20,
	TRIES = 20, /* when blocks are merged under our hands */
};

static void
begin_scan(struct store_scan *scan, const struct evaluation *e,
    const struct search_request *r)
{
	*scan = (struct store_scan){ .owner = r->owner,
		.after_commit = r->after_commit,
		.last_commit = r->last_commit };
	evaluation_range(e, &scan->since_ns, &scan->until_ns);
}

static uint32_t *
rows_of(const uint8_t *mask, uint32_t n, uint32_t kept)
{
	uint32_t *rows = xcalloc(kept + 1, sizeof(rows[0]));
	uint32_t k = 0;

	for (uint32_t i = 0; i < n && k < kept; i++)
		if (mask[i])
			rows[k++] = i;
	return rows;
}

/* ---- counting --------------------------------------------------------------- */

struct counting {
	struct evaluation *evaluation;
	uint64_t n;
};

static enum rc
count_block(void *ctx, struct store_block *b, struct error *err)
{
	struct counting *c = ctx;
	const uint8_t *mask;
	uint32_t kept;
	enum rc rc;

	if (evaluation_takes_all(c->evaluation, b)) {
		c->n += store_block_info(b).n;
		return RC_OK;
	}
	rc = evaluation_run(c->evaluation, b, &mask, &kept, err);
	if (rc == RC_OK)
		c->n += kept;
	return rc;
}

static bool
may_count(void *ctx, const struct store_words *w)
{
	const struct counting *c = ctx;

	return evaluation_may_match(c->evaluation, w);
}

enum rc
search_count(struct store *s, const struct search_request *r, uint64_t *count,
    struct error *err)
{
	struct counting c = { .evaluation = evaluation_new(r) };
	struct store_scan scan;
	enum rc rc = RC_AGAIN;

	begin_scan(&scan, c.evaluation, r);
	scan.may_match = may_count;
	scan.on_block = count_block;
	scan.ctx = &c;
	for (unsigned i = 0; i < TRIES && rc == RC_AGAIN; i++) {
		c.n = 0;
		rc = store_scan(s, &scan, err);
	}
	*count = c.n;
	evaluation_free(c.evaluation);
	return rc;
}

/* ---- by arrival -------------------------------------------------------------- */

struct streaming {
	struct evaluation *evaluation;
	search_event_cb *cb;
	void *ctx;
	uint64_t limit, given;
};

static bool
may_stream(void *ctx, const struct store_words *w)
{
	const struct streaming *x = ctx;

	return evaluation_may_match(x->evaluation, w);
}

static bool
give(void *ctx, uint32_t row, const struct event *ev)
{
	struct streaming *x = ctx;

	(void)row;
	return x->cb(x->ctx, ev) && ++x->given != x->limit;
}

static enum rc
stream_block(void *ctx, struct store_block *b, struct error *err)
{
	struct streaming *x = ctx;
	const uint8_t *mask;
	uint32_t kept, *rows;
	enum rc rc = evaluation_run(x->evaluation, b, &mask, &kept, err);

	if (rc != RC_OK || kept == 0)
		return rc;
	rows = rows_of(mask, store_block_info(b).n, kept);
	rc = store_block_events(b, rows, kept, give, x, err);
	free(rows);
	return rc;
}

static enum rc
stream_events(struct store *s, const struct search_request *r, uint64_t limit,
    search_event_cb *cb, void *ctx, struct error *err)
{
	struct streaming x = { .evaluation = evaluation_new(r),
		.cb = cb,
		.ctx = ctx,
		.limit = limit };
	struct store_scan scan;
	enum rc rc;

	begin_scan(&scan, x.evaluation, r);
	scan.may_match = may_stream;
	scan.on_block = stream_block;
	scan.ctx = &x;
	rc = store_scan(s, &scan, err);
	evaluation_free(x.evaluation);
	return rc;
}

/* ---- keys -------------------------------------------------------------------- */

/* What sorts events, the same wherever they lie in the store. */
struct key {
	int64_t time_ns;
	uint8_t stream[16];
	uint64_t offset; /* without a stream: a hash of the identity */
};

static uint64_t
hash_text(struct slice s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.ptr[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct key
key_of(int64_t time_ns, const struct event_id *id, struct slice foreign)
{
	struct key k = { .time_ns = time_ns, .offset = id->offset };

	memcpy(k.stream, id->stream, sizeof(k.stream));
	if (foreign.len > 0)
		k.offset = hash_text(foreign);
	return k;
}

static int
compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int c;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	c = memcmp(x->stream, y->stream, sizeof(x->stream));
	return c != 0 ? c : (x->offset > y->offset) - (x->offset < y->offset);
}

/* As the answer has them: the newest first where that is asked for. */
static int
compare_newest(const void *a, const void *b)
{
	return compare_keys(b, a);
}

static void
write_cursor(const struct key *k, char out[SEARCH_CURSOR_MAX])
{
	int n = snprintf(out, SEARCH_CURSOR_MAX, "%" PRIx64 ".",
	    (uint64_t)k->time_ns);

	for (unsigned i = 0; i < sizeof(k->stream); i++)
		n += snprintf(out + n, SEARCH_CURSOR_MAX - (size_t)n, "%02x",
		    k->stream[i]);
	(void)snprintf(out + n, SEARCH_CURSOR_MAX - (size_t)n, ".%" PRIx64,
	    k->offset);
}

static bool
read_hex(struct slice *s, size_t most, uint64_t *out)
{
	size_t n = 0;

	*out = 0;
	for (; n < most && n < s->len; n++) {
		char c = s->ptr[n];

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*out = *out << 4 | (uint64_t)(c - 'a' + 10);
		else
			break;
	}
	s->ptr += n;
	s->len -= n;
	return n > 0;
}

static bool
skip_dot(struct slice *s)
{
	bool dot = s->len > 0 && s->ptr[0] == '.';

	s->ptr += dot;
	s->len -= dot;
	return dot;
}

static bool
read_cursor(struct slice s, struct key *k)
{
	uint64_t v;

	*k = (struct key){ 0 };
	if (!read_hex(&s, 16, &v) || !skip_dot(&s))
		return false;
	k->time_ns = (int64_t)v;
	for (unsigned i = 0; i < sizeof(k->stream); i++) {
		if (!read_hex(&s, 2, &v))
			return false;
		k->stream[i] = (uint8_t)v;
	}
	return skip_dot(&s) && read_hex(&s, 16, &k->offset) && s.len == 0;
}

/* ---- first the keys ---------------------------------------------------------- */

struct sorting {
	struct store *store;
	const struct search_request *request;
	struct evaluation *evaluation;
	bool newest;
	bool begun; /* `last` is set: only what comes behind it */
	struct key last;
	struct key *keys; /* 2 * most of them */
	size_t n, most;
	bool full; /* `bound` is set: nothing behind it is wanted */
	struct key bound;
	search_event_cb *cb;
	void *ctx;
	uint64_t limit, given; /* 0: all */
	bool stopped;
};

static bool
may_sort(void *ctx, const struct store_words *w)
{
	const struct sorting *x = ctx;

	return evaluation_may_match(x->evaluation, w);
}

static bool
comes_before(const struct sorting *x, const struct key *a, const struct key *b)
{
	int c = compare_keys(a, b);

	return x->newest ? c > 0 : c < 0;
}

static void
sort_keys(struct sorting *x)
{
	if (x->n > 1)
		qsort(x->keys, x->n, sizeof(x->keys[0]),
		    x->newest ? compare_newest : compare_keys);
}

/* Keeps the first `most`. */
static void
drop_last(struct sorting *x)
{
	sort_keys(x);
	x->n = x->most;
	x->bound = x->keys[x->n - 1];
	x->full = true;
}

/* Nothing of the block, nor of those that follow it, can be wanted. */
static bool
is_behind(const struct sorting *x, const struct store_block_info *info)
{
	if (!x->full)
		return false;
	return x->newest ? info->last_ns < x->bound.time_ns
			 : info->first_ns > x->bound.time_ns;
}

static enum rc
collect_keys(struct sorting *x, struct store_block *b, const uint8_t *mask,
    uint32_t n, struct error *err)
{
	const int64_t *times;
	struct store_ids ids;

	if (store_block_ids(b, &ids, err) != RC_OK ||
	    store_block_times(b, &times, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < n; i++) {
		struct key k;

		if (!mask[i])
			continue;
		k = key_of(times[i], &ids.ids[i], ids.foreign[i]);
		if ((x->begun && !comes_before(x, &x->last, &k)) ||
		    (x->full && !comes_before(x, &k, &x->bound)))
			continue;
		x->keys[x->n++] = k;
		if (x->n == 2 * x->most)
			drop_last(x);
	}
	return RC_OK;
}

static enum rc
sort_block(void *ctx, struct store_block *b, struct error *err)
{
	struct sorting *x = ctx;
	struct store_block_info info = store_block_info(b);
	const uint8_t *mask;
	uint32_t kept;
	enum rc rc;

	/* a bound ends the scan early; of few keys it costs nothing */
	if (x->n >= x->most + (x->most > CHUNK_MAX ? x->most / 2 : 0))
		drop_last(x);
	if (is_behind(x, &info))
		return RC_EOF;
	rc = evaluation_run(x->evaluation, b, &mask, &kept, err);
	if (rc == RC_OK && kept > 0)
		rc = collect_keys(x, b, mask, info.n, err);
	return rc;
}

/* The next keys in order, at most x->most. */
static enum rc
next_keys(struct sorting *x, struct error *err)
{
	struct store_scan scan;
	enum rc rc;

	begin_scan(&scan, x->evaluation, x->request);
	scan.order = x->newest ? STORE_LATEST_TIME : STORE_FIRST_TIME;
	scan.may_match = may_sort;
	scan.on_block = sort_block;
	scan.ctx = x;
	if (x->begun && x->newest && x->last.time_ns < scan.until_ns)
		scan.until_ns = x->last.time_ns + 1;
	if (x->begun && !x->newest && x->last.time_ns > scan.since_ns)
		scan.since_ns = x->last.time_ns;
	x->n = 0;
	x->full = false;
	rc = store_scan(x->store, &scan, err);
	if (x->n > x->most)
		drop_last(x);
	else
		sort_keys(x);
	return rc;
}

/* ---- then the events --------------------------------------------------------- */

struct taking {
	struct sorting *sorting;
	const struct key *keys; /* in the answer's order */
	size_t n;
	struct event *events; /* parallel; cap 0: not found yet */
	bool *found;
	struct arena *arena;
	bool too_large;
	struct store_ids ids;
};

static struct key *
find_key(const struct taking *t, const struct key *k)
{
	return bsearch(k, t->keys, t->n, sizeof(*k),
	    t->sorting->newest ? compare_newest : compare_keys);
}

static bool
take_event(void *ctx, uint32_t row, const struct event *ev)
{
	struct taking *t = ctx;
	struct key k = key_of(ev->time_ns, &ev->id, ev->foreign);
	const struct key *at = find_key(t, &k);

	(void)row;
	if (at == NULL || t->found[at - t->keys])
		return true;
	event_copy(&t->events[at - t->keys], t->arena, ev);
	t->found[at - t->keys] = true;
	t->too_large = arena_used(t->arena) > CHUNK_BYTES;
	return !t->too_large || t->n == 1;
}

static enum rc
take_block(void *ctx, struct store_block *b, struct error *err)
{
	struct taking *t = ctx;
	const struct search_request *r = t->sorting->request;
	uint32_t n = store_block_info(b).n, some = 0, *rows;
	const int64_t *times;
	struct store_ids ids;
	enum rc rc;

	if (r->cancelled != NULL && r->cancelled(r->ctx))
		return RC_EOF;
	if (store_block_ids(b, &ids, err) != RC_OK ||
	    store_block_times(b, &times, err) != RC_OK)
		return err->code;
	rows = xcalloc(n + 1, sizeof(rows[0]));
	for (uint32_t i = 0; i < n; i++) {
		struct key k = key_of(times[i], &ids.ids[i], ids.foreign[i]);

		if (find_key(t, &k) != NULL)
			rows[some++] = i;
	}
	rc = some > 0 ? store_block_events(b, rows, some, take_event, t, err)
		      : RC_OK;
	free(rows);
	return rc;
}

static void
give_chunk(const struct taking *t)
{
	struct sorting *x = t->sorting;

	for (size_t i = 0; i < t->n && !x->stopped; i++) {
		x->last = t->keys[i];
		x->begun = true;
		if (!t->found[i])
			continue; /* its day was removed meanwhile */
		x->given++;
		x->stopped =
		    !x->cb(x->ctx, &t->events[i]) || x->given == x->limit;
	}
}

static enum rc
find_chunk(struct taking *t, struct error *err)
{
	const struct key *first = &t->keys[0], *last = &t->keys[t->n - 1];
	const struct sorting *x = t->sorting;
	struct store_scan scan = { .owner = x->request->owner,
		.after_commit = x->request->after_commit,
		.last_commit = x->request->last_commit,
		.since_ns = x->newest ? last->time_ns : first->time_ns,
		.until_ns = (x->newest ? first->time_ns : last->time_ns) + 1,
		.on_block = take_block,
		.ctx = t };

	arena_reset(t->arena);
	memset(t->found, 0, t->n * sizeof(t->found[0]));
	t->too_large = false;
	return store_scan(x->store, &scan, err);
}

/* The events of x->keys, as many at a time as memory allows. */
static enum rc
give_keys(struct sorting *x, struct error *err)
{
	struct taking t = { .sorting = x };
	size_t at = 0, chunk = CHUNK_MAX;
	unsigned tries = 0;
	enum rc rc = RC_OK;

	t.events = xcalloc(CHUNK_MAX, sizeof(t.events[0]));
	t.found = xcalloc(CHUNK_MAX, sizeof(t.found[0]));
	t.arena = arena_new(CHUNK_BLOCK);
	while (rc == RC_OK && at < x->n && !x->stopped) {
		t.keys = x->keys + at;
		t.n = x->n - at < chunk ? x->n - at : chunk;
		rc = find_chunk(&t, err);
		if (rc == RC_AGAIN && ++tries < TRIES) {
			rc = RC_OK;
		} else if (rc == RC_OK && t.too_large && t.n > 1) {
			chunk = t.n / 2;
		} else if (rc == RC_OK) {
			give_chunk(&t);
			at += t.n;
		}
	}
	arena_free(t.arena);
	free(t.events);
	free(t.found);
	return rc;
}

static enum rc
sorted_events(struct sorting *x, struct error *err)
{
	unsigned tries = 0;
	enum rc rc;

	x->evaluation = evaluation_new(x->request);
	x->most =
	    x->limit > 0 && x->limit < KEYS_MAX ? (size_t)x->limit : KEYS_MAX;
	x->keys = xcalloc(2 * x->most, sizeof(x->keys[0]));
	do {
		rc = next_keys(x, err);
		if (rc == RC_AGAIN && ++tries < TRIES) {
			x->n = x->most; /* from the same place again */
			rc = RC_OK;
			continue;
		}
		if (rc == RC_OK)
			rc = give_keys(x, err);
	} while (rc == RC_OK && !x->stopped && x->n == x->most);
	free(x->keys);
	evaluation_free(x->evaluation);
	return rc;
}

enum rc
search_events(struct store *s, const struct search_request *r,
    struct search_page *page, search_event_cb *cb, void *ctx, struct error *err)
{
	struct sorting x = { .store = s,
		.request = r,
		.newest = page->sort == SEARCH_NEWEST,
		.cb = cb,
		.ctx = ctx,
		.limit = page->limit };
	enum rc rc;

	page->next[0] = '\0';
	if (page->sort == SEARCH_ARRIVAL)
		return stream_events(s, r, page->limit, cb, ctx, err);
	if (page->after.ptr != NULL && page->after.len > 0) {
		if (!read_cursor(page->after, &x.last))
			return error_set(err, RC_INVALID,
			    "\"%.*s\" is no cursor",
			    (int)(page->after.len < 64 ? page->after.len : 64),
			    page->after.ptr);
		x.begun = true;
	}
	rc = sorted_events(&x, err);
	if (rc == RC_OK && x.limit > 0 && x.given == x.limit)
		write_cursor(&x.last, page->next);
	return rc;
}
