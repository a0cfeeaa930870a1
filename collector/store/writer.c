/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "engine.h"
#include "queue.h"
#include "xalloc.h"

#define NS_A_SECOND   INT64_C(1000000000)
#define GROUP_WAIT_NS (10 * INT64_C(1000000))
#define RETRY_NS      NS_A_SECOND
#define LOOK_NS       (NS_A_SECOND / 5) /* for closed connections */
#define FORGET_NS     (60 * NS_A_SECOND)
#define SEAL_NS       (3600 * NS_A_SECOND)

enum {
	GROUP_READY = 512 * 1024, /* bytes: do not wait for more */
	GROUP_BYTES = 8 << 20,
	GROUP_EVENTS = 10000,
	CONNECTION_SLOTS = 1024,
};

/* A batch on its way: waiting for those before it, then for its commit. */
struct item {
	struct item *next;
	struct batch *batch;
	uint32_t ack;     /* its window is complete with it; 0: no */
	const char *fail; /* the connection ends with it, uncommitted */
};

/*
 * A connection's order.  `early` holds what came before its turn, sorted.  The
 * entry outlives the connection for a while: workers may still hold pieces.
 */
struct connection {
	struct connection *next; /* of its slot */
	uint64_t id;
	uint64_t piece;
	uint32_t part;
	uint32_t window; /* size of the open one; 0: none */
	uint32_t left;   /* of it */
	bool failed;     /* nothing more of it is committed */
	bool closed;
	int64_t closed_ns;
	struct item *early;
};

struct writer {
	struct writer_options o;
	struct queue *queue;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic bool stuck; /* a commit failed and is tried again */

	/* closed connections that the thread has not looked at */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* with `lock`: stop, while waiting for the disk */
	pthread_cond_t flushed; /* with `lock` */
	_Atomic bool flush;     /* somebody waits until all is committed */
	uint64_t *closed;
	size_t n_closed, cap_closed;
	_Atomic size_t n_open;

	/* the thread's alone */
	struct connection *slots[CONNECTION_SLOTS];
	struct item *ready; /* in order: committed from the front */
	struct item **ready_end;
	size_t ready_bytes;
	uint64_t ready_events;
	int64_t last_commit_ns;
	bool trouble;
	int64_t trouble_ns; /* when it last was */
	int64_t seal_ns;    /* when the head is to be signed next */
};

static int64_t
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_A_SECOND + t.tv_nsec;
}

static struct timespec
time_after(int64_t ns)
{
	int64_t t = now() + ns;

	return (struct timespec){ .tv_sec = t / NS_A_SECOND,
		.tv_nsec = t % NS_A_SECOND };
}

static void
drop_batch(struct batch *b)
{
	if (b == NULL)
		return;
	if (b->rules != NULL)
		ruleset_unref(b->rules);
	b->rules = NULL;
	batch_free(b);
}

static void
item_free(struct item *it)
{
	drop_batch(it->batch);
	free(it);
}

/* ---- connections -------------------------------------------------------- */

static struct connection **
slot_of(struct writer *w, uint64_t id)
{
	struct connection **at = &w->slots[id % CONNECTION_SLOTS];

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static struct connection *
connection_of(struct writer *w, uint64_t id)
{
	struct connection **at = slot_of(w, id);

	if (*at == NULL) {
		*at = xzalloc(sizeof(**at));
		(*at)->id = id;
		atomic_fetch_add(&w->n_open, 1);
	}
	return *at;
}

static void
free_early(struct connection *c)
{
	while (c->early != NULL) {
		struct item *it = c->early;

		c->early = it->next;
		item_free(it);
	}
}

static void
connection_free(struct writer *w, struct connection **at)
{
	struct connection *c = *at;

	*at = c->next;
	if (!c->closed)
		atomic_fetch_sub(&w->n_open, 1);
	free_early(c);
	free(c);
}

/* Of one that nothing has come of yet as well: its pieces may be on the way. */
static void
mark_closed(struct writer *w, uint64_t id)
{
	struct connection *c = connection_of(w, id);

	if (c->closed)
		return;
	c->closed = true;
	c->closed_ns = now();
	atomic_fetch_sub(&w->n_open, 1);
}

/* Of closed connections, those whose last pieces have long been here. */
static void
forget_closed(struct writer *w)
{
	int64_t before = now() - FORGET_NS;

	for (size_t i = 0; i < CONNECTION_SLOTS; i++)
		for (struct connection **at = &w->slots[i]; *at != NULL;) {
			if ((*at)->closed && (*at)->closed_ns < before)
				connection_free(w, at);
			else
				at = &(*at)->next;
		}
}

static void
look_for_closed(struct writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n_closed; i++)
		mark_closed(w, w->closed[i]);
	w->n_closed = 0;
	(void)pthread_mutex_unlock(&w->lock);
}

/* ---- order and windows -------------------------------------------------- */

/* NULL: the batch keeps to its connection's windows. */
static const char *
follow_window(struct connection *c, struct item *it)
{
	const struct batch *b = it->batch;

	if (b->failure != NULL)
		return b->failure;
	if (b->window > 0) {
		if (c->left > 0)
			return "a window began before the last was complete";
		c->window = c->left = b->window;
	}
	if (c->window == 0 && b->frames == 0)
		return NULL;
	if (!b->acked && c->window == 0)
		return NULL; /* syslog: no windows */
	if (b->frames > c->left)
		return "more events than its window announced";
	c->left -= b->frames;
	if (c->left == 0 && c->window > 0) {
		it->ack = b->acked ? c->window : 0;
		c->window = 0;
	}
	return NULL;
}

static void
make_ready(struct writer *w, struct item *it)
{
	it->next = NULL;
	*w->ready_end = it;
	w->ready_end = &it->next;
	w->ready_bytes += it->batch->bytes;
	w->ready_events += it->batch->n;
}

/* The batch whose turn it is. */
static void
take_turn(struct writer *w, struct connection *c, struct item *it)
{
	const struct batch *b = it->batch;

	if (b->last_part) {
		c->piece++;
		c->part = 0;
	} else {
		c->part++;
	}
	if (c->failed) {
		item_free(it);
		return;
	}
	it->fail = follow_window(c, it);
	c->failed = it->fail != NULL;
	make_ready(w, it);
}

static bool
comes_before(const struct batch *a, const struct batch *b)
{
	return a->piece != b->piece ? a->piece < b->piece : a->part < b->part;
}

static bool
is_next(const struct connection *c, const struct batch *b)
{
	return b->piece == c->piece && b->part == c->part;
}

static void
take_in(struct writer *w, struct batch *b)
{
	struct connection *c = connection_of(w, b->connection);
	struct item *it = xzalloc(sizeof(*it));
	struct item **at = &c->early;

	it->batch = b;
	while (*at != NULL && comes_before((*at)->batch, b))
		at = &(*at)->next;
	it->next = *at;
	*at = it;
	while (c->early != NULL && is_next(c, c->early->batch)) {
		it = c->early;
		c->early = it->next;
		take_turn(w, c, it);
	}
}

/* ---- committing --------------------------------------------------------- */

/* The front of what is ready, as much as one commit takes. */
static struct item *
take_group(struct writer *w, size_t *n)
{
	struct item *group = w->ready;
	struct item *last = NULL;
	size_t bytes = 0, events = 0;

	*n = 0;
	for (struct item *it = group; it != NULL; it = it->next) {
		if (last != NULL &&
		    (bytes + it->batch->bytes > GROUP_BYTES ||
			events + it->batch->n > GROUP_EVENTS))
			break;
		bytes += it->batch->bytes;
		events += it->batch->n;
		last = it;
		(*n)++;
	}
	if (last == NULL)
		return NULL;
	w->ready = last->next;
	if (w->ready == NULL)
		w->ready_end = &w->ready;
	last->next = NULL;
	w->ready_bytes -= bytes;
	w->ready_events -= events;
	return group;
}

static void
say_trouble(struct writer *w, const char *message)
{
	bool trouble = message[0] != '\0';

	if (w->trouble != trouble)
		w->o.on_trouble(w->o.ctx, message);
	w->trouble = trouble;
}

/* False: the writer is stopped meanwhile. */
static bool
wait_to_retry(struct writer *w)
{
	struct timespec until = time_after(RETRY_NS);

	(void)pthread_mutex_lock(&w->lock);
	while (!atomic_load(&w->stop) &&
	    pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0)
		;
	(void)pthread_mutex_unlock(&w->lock);
	return !atomic_load(&w->stop);
}

/* What more time can mend is waited out. */
static enum rc
commit(struct writer *w, struct batch *const *batches, size_t n,
    struct log_record *record, struct error *err)
{
	enum rc rc;

	for (;;) {
		rc = store_append(w->o.store, batches, n, record, err);
		if (rc == RC_OK)
			break;
		say_trouble(w, err->text);
		w->trouble_ns = now();
		atomic_store(&w->stuck, rc != RC_LIMIT && rc != RC_INVALID);
		if (!w->stuck || !wait_to_retry(w))
			break;
	}
	atomic_store(&w->stuck, false);
	if (rc == RC_OK)
		say_trouble(w, "");
	return rc;
}

static void
finish_group(struct writer *w, struct item *group, const char *refused)
{
	for (struct item *it = group, *next; it != NULL; it = next) {
		struct connection *c = *slot_of(w, it->batch->connection);
		const char *why = it->fail != NULL ? it->fail : refused;

		next = it->next;
		if (why != NULL) {
			if (c != NULL)
				c->failed = true;
			w->o.on_fail(w->o.ctx, it->batch->connection, why);
		} else if (it->ack > 0) {
			w->o.on_ack(w->o.ctx, it->batch->connection, it->ack);
		}
		item_free(it);
	}
}

/*
 * After the refused nothing more of their connections is stored: it would move
 * the marks past what was refused, and that, sent again, would look old.
 */
static void
refuse_rest(struct writer *w, const char *why)
{
	for (struct item *it = w->ready; it != NULL; it = it->next) {
		const struct connection *c = *slot_of(w, it->batch->connection);

		if (it->fail == NULL && (c == NULL || c->failed))
			it->fail = why;
	}
}

/*
 * What broke the protocol is not stored if it comes again; a syslog sender
 * repeats nothing, so what it said before it broke counts.
 */
static bool
is_stored(const struct item *it)
{
	return it->fail == NULL || it->batch->source.kind == SOURCE_SYSLOG;
}

static void
commit_group(struct writer *w)
{
	struct log_record record;
	struct batch **batches;
	struct item *group;
	struct error err;
	size_t n, kept = 0;
	enum rc rc;

	group = take_group(w, &n);
	if (group == NULL)
		return;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
	batches = xcalloc(n, sizeof(*batches));
	for (struct item *it = group; it != NULL; it = it->next)
		if (is_stored(it))
			batches[kept++] = it->batch;
	w->last_commit_ns = now();
	rc = commit(w, batches, kept, &record, &err);
	free(batches);
	finish_group(w, group, rc == RC_OK ? NULL : err.text);
	if (rc != RC_OK) {
		refuse_rest(w, "what came before it could not be stored");
		return;
	}
	if (record.arrival_ns != 0)
		w->o.on_commit(w->o.ctx, &record);
	else
		log_record_fini(&record); /* there was nothing to commit */
}

static void
seal_if_due(struct writer *w)
{
	struct error err;

	if (!store_seal_wanted(w->o.store) &&
	    (now() < w->seal_ns || store_unsealed(w->o.store) == 0))
		return;
	w->seal_ns = now() + w->o.seal_every_ns;
	if (store_seal(w->o.store, &err) == RC_OK)
		return;
	say_trouble(w, err.text);
	w->seal_ns = now() + RETRY_NS;
}

/* Nothing is on its way any more: tells who waits for that. */
static void
tell_flushed(struct writer *w)
{
	if (!atomic_load(&w->flush))
		return;
	(void)pthread_mutex_lock(&w->lock);
	/* under the lock: another flush may have begun, after more came */
	if (w->ready == NULL && queue_length(w->queue) == 0) {
		atomic_store(&w->flush, false);
		(void)pthread_cond_broadcast(&w->flushed);
	}
	(void)pthread_mutex_unlock(&w->lock);
}

/* Whatever waits or fails: the next start signs what this one could not. */
static void
seal_last(struct writer *w)
{
	struct error err;

	if (store_seal(w->o.store, &err) != RC_OK)
		say_trouble(w, err.text);
}

/* How long more events may be waited for; 0: commit now. */
static int64_t
patience(const struct writer *w)
{
	int64_t left;

	if (w->ready == NULL)
		return LOOK_NS;
	if (w->ready_bytes >= GROUP_READY || w->ready_events >= GROUP_EVENTS)
		return 0;
	left = w->last_commit_ns + GROUP_WAIT_NS - now();
	if (left > GROUP_WAIT_NS)
		left = GROUP_WAIT_NS;
	return left > 0 ? left : 0;
}

static void *
run(void *ctx)
{
	struct writer *w = ctx;
	int64_t forgot_ns = now();

	for (;;) {
		int64_t wait = patience(w);
		struct batch *b = queue_pop_timeout(w->queue, wait);

		/* what waits is taken whole: it may complete an order */
		for (size_t n = queue_length(w->queue) + 1; b != NULL && n > 0;
		     n--) {
			take_in(w, b);
			b = n > 1 ? queue_pop_timeout(w->queue, 0) : NULL;
		}
		look_for_closed(w);
		if (w->ready != NULL &&
		    (patience(w) == 0 || queue_closed(w->queue)))
			commit_group(w);
		tell_flushed(w);
		seal_if_due(w);
		if (now() - forgot_ns > FORGET_NS &&
		    now() - w->trouble_ns > FORGET_NS) {
			forgot_ns = now();
			forget_closed(w);
		}
		if (queue_closed(w->queue) && queue_length(w->queue) == 0 &&
		    w->ready == NULL)
			break;
	}
	seal_last(w);
	return NULL;
}

/* ---- public ------------------------------------------------------------- */

struct writer *
writer_new(const struct writer_options *options)
{
	struct writer *w = xzalloc(sizeof(*w));
	pthread_condattr_t attr;

	w->o = *options;
	w->queue = queue_new(options->max_queued);
	w->ready_end = &w->ready;
	if (w->o.seal_every_ns == 0)
		w->o.seal_every_ns = SEAL_NS;
	w->seal_ns = now() + w->o.seal_every_ns;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->wake, &attr);
	(void)pthread_cond_init(&w->flushed, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		abort();
	return w;
}

bool
writer_submit(struct writer *w, struct batch *b)
{
	if (queue_push(w->queue, b))
		return true;
	drop_batch(b);
	return false;
}

void
writer_connection_closed(struct writer *w, uint64_t connection)
{
	(void)pthread_mutex_lock(&w->lock);
	if (w->n_closed == w->cap_closed) {
		w->cap_closed = w->cap_closed > 0 ? 2 * w->cap_closed : 16;
		w->closed = xreallocarray(w->closed, w->cap_closed,
		    sizeof(w->closed[0]));
	}
	w->closed[w->n_closed++] = connection;
	(void)pthread_mutex_unlock(&w->lock);
}

size_t
writer_connections(struct writer *w)
{
	return atomic_load(&w->n_open);
}

bool
writer_flush(struct writer *w, int64_t timeout_ns)
{
	struct timespec until = time_after(timeout_ns);
	bool done;
	int rc = 0;

	(void)pthread_mutex_lock(&w->lock);
	atomic_store(&w->flush, true);
	while (rc == 0 && atomic_load(&w->flush) && !atomic_load(&w->stop))
		rc = pthread_cond_timedwait(&w->flushed, &w->lock, &until);
	done = !atomic_load(&w->flush);
	atomic_store(&w->flush, false);
	(void)pthread_mutex_unlock(&w->lock);
	return done;
}

bool
writer_is_stuck(struct writer *w)
{
	return atomic_load(&w->stuck);
}

void
writer_wait_no_more(struct writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	(void)pthread_cond_broadcast(&w->flushed);
	(void)pthread_cond_broadcast(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
}

void
writer_free(struct writer *w)
{
	if (w == NULL)
		return;
	queue_close(w->queue);
	writer_wait_no_more(w);
	(void)pthread_join(w->thread, NULL);
	for (size_t i = 0; i < CONNECTION_SLOTS; i++)
		while (w->slots[i] != NULL)
			connection_free(w, &w->slots[i]);
	queue_free(w->queue);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->wake);
	(void)pthread_cond_destroy(&w->flushed);
	free(w->closed);
	free(w);
}
