/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events by time: the least (or greatest) keys first, a bounded number of them
 * at once; then, a bounded number of bytes at once, the events that have these
 * keys.  Where few are wanted they are taken along with their keys, so that each
 * block is read once.
 */
#include "collector/search/sorted.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "xalloc.h"

enum {
	KEYS_MAX = 256 * 1024, /* of one pass over the blocks */
	CHUNK_MAX = 8192,      /* events that are held at once */
	CHUNK_BYTES = 32 << 20,
	CHUNK_BLOCK = 1 << 20,
	ALONG_MAX = 1000, /* wanted: then they are taken with their keys */
	TRIES = 20,       /* when blocks are merged under our hands */
};

/* ---- keys -------------------------------------------------------------------- */

/* What sorts events, the same wherever they lie in the store. */
struct key {
	int64_t time_ns;
	uint8_t stream[16];
	uint64_t offset; /* without a stream: a hash of the identity */
	uint32_t row;    /* of the block that is being looked at */
	uint32_t taken;  /* its event, counted from 1; 0: not taken yet */
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
	/* events that were taken along, those whose keys were given up too */
	bool along;
	struct event *events;
	uint32_t n_events, cap_events;
	struct arena *arena;
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
		k.row = i;
		x->keys[x->n++] = k;
		if (x->n == 2 * x->most)
			drop_last(x);
	}
	return RC_OK;
}

/* ---- events taken along -------------------------------------------------------- */

/* The keys of the block that have stayed, by row. */
struct fresh {
	struct sorting *sorting;
	struct key **keys;
	uint32_t n, at;
};

static int
compare_rows(const void *a, const void *b)
{
	const struct key *const *x = a, *const *y = b;

	return ((*x)->row > (*y)->row) - ((*x)->row < (*y)->row);
}

static bool
keep_event(void *ctx, uint32_t row, const struct event *ev)
{
	struct fresh *f = ctx;
	struct sorting *x = f->sorting;

	if (f->keys[f->at]->row != row)
		abort(); /* rows come as they were asked for */
	if (x->n_events == x->cap_events) {
		x->cap_events = x->cap_events > 0 ? 2 * x->cap_events : 128;
		x->events = xreallocarray(x->events, x->cap_events,
		    sizeof(x->events[0]));
	}
	event_copy(&x->events[x->n_events++], x->arena, ev);
	f->keys[f->at++]->taken = x->n_events;
	return arena_used(x->arena) <= CHUNK_BYTES;
}

static enum rc
take_fresh(struct fresh *f, struct store_block *b, struct error *err)
{
	uint32_t *rows = xcalloc(f->n + 1, sizeof(rows[0]));
	enum rc rc;

	/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
	qsort(f->keys, f->n, sizeof(f->keys[0]), compare_rows);
	for (uint32_t i = 0; i < f->n; i++)
		rows[i] = f->keys[i]->row;
	rc = store_block_events(b, rows, f->n, keep_event, f, err);
	free(rows);
	if (rc != RC_EOF)
		return rc;
	f->sorting->along = false; /* too large: as many others are */
	return RC_OK;
}

/* The events of those keys of the block that are still wanted. */
static enum rc
take_along(struct sorting *x, struct store_block *b, struct error *err)
{
	struct fresh f = { .sorting = x };
	enum rc rc = RC_OK;

	if (x->n > x->most)
		drop_last(x);
	f.keys = xcalloc(x->n + 1, sizeof(struct key *));
	for (size_t i = 0; i < x->n; i++)
		if (x->keys[i].taken == 0)
			f.keys[f.n++] = &x->keys[i];
	if (f.n > 0)
		rc = take_fresh(&f, b, err);
	free(f.keys);
	return rc;
}

static void
forget_events(struct sorting *x)
{
	x->n_events = 0;
	if (x->arena != NULL)
		arena_reset(x->arena);
}

static void
give_taken(struct sorting *x)
{
	for (size_t i = 0; i < x->n && !x->stopped; i++) {
		x->last = x->keys[i];
		x->begun = true;
		x->given++;
		x->stopped = !x->cb(x->ctx, &x->events[x->keys[i].taken - 1]) ||
		    x->given == x->limit;
	}
}

/* ---- the keys of all blocks ------------------------------------------------------ */

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
	if (rc == RC_OK && kept > 0 && x->along)
		rc = take_along(x, b, err);
	return rc;
}

/* The next keys in order, at most x->most. */
static enum rc
next_keys(struct sorting *x, struct error *err)
{
	struct store_scan scan;
	enum rc rc;

	search_begin_scan(&scan, x->evaluation, x->request);
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
	forget_events(x);
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
give_pages(struct sorting *x, struct error *err)
{
	unsigned tries = 0;
	enum rc rc;

	do {
		rc = next_keys(x, err);
		if (rc == RC_AGAIN && ++tries < TRIES) {
			x->n = x->most; /* from the same place again */
			rc = RC_OK;
			continue;
		}
		if (rc == RC_OK && x->along)
			give_taken(x);
		else if (rc == RC_OK)
			rc = give_keys(x, err);
	} while (rc == RC_OK && !x->stopped && x->n == x->most);
	return rc;
}

static enum rc
read_after(struct sorting *x, struct slice after, struct error *err)
{
	if (after.ptr == NULL || after.len == 0)
		return RC_OK;
	if (!read_cursor(after, &x->last))
		return error_set(err, RC_INVALID, "\"%.*s\" is no cursor",
		    (int)(after.len < 64 ? after.len : 64), after.ptr);
	x->begun = true;
	return RC_OK;
}

enum rc
sorted_events(struct store *s, const struct search_request *r,
    struct search_page *page, search_event_cb *cb, void *ctx, struct error *err)
{
	struct sorting x = { .store = s,
		.request = r,
		.newest = page->sort == SEARCH_NEWEST,
		.cb = cb,
		.ctx = ctx,
		.limit = page->limit,
		.along = page->limit > 0 && page->limit <= ALONG_MAX };
	enum rc rc = read_after(&x, page->after, err);

	if (rc != RC_OK)
		return rc;
	x.evaluation = evaluation_new(r);
	x.most = x.limit > 0 && x.limit < KEYS_MAX ? (size_t)x.limit : KEYS_MAX;
	x.keys = xcalloc(2 * x.most, sizeof(x.keys[0]));
	if (x.along)
		x.arena = arena_new(CHUNK_BLOCK);
	rc = give_pages(&x, err);
	arena_free(x.arena);
	free(x.events);
	free(x.keys);
	evaluation_free(x.evaluation);
	if (rc == RC_OK && x.limit > 0 && x.given == x.limit)
		write_cursor(&x.last, page->next);
	return rc;
}
