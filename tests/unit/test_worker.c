/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of workers between a stand-in listener and a stand-in writer. */
#include "collector/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "budget.h"
#include "engine.h"
#include "tap.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	CONNECTIONS = 4,
	PIECES = 12, /* of each connection */
	PARTS = 2,   /* of each piece */
	EVENTS = BATCH_EVENTS + 100,
	ALL = CONNECTIONS * PIECES * EVENTS,
	SEEN_MAX = CONNECTIONS * PIECES * PARTS,
	WAIT_SECONDS = 60,
};

/* What came of a batch. */
struct seen {
	uint64_t connection, piece;
	uint32_t part, n, n_hits;
	bool last_part;
	const struct ruleset *rules; /* to compare only */
};

struct bench {
	struct budget *budget;
	struct conf_map owners;
	struct stages *stages;
	struct workers *workers;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct seen seen[SEEN_MAX];
	size_t n;
	bool held; /* on_batch does not return */
	unsigned entered, rooms;
};

static void
on_batch(void *ctx, struct batch *b)
{
	struct bench *bench = ctx;

	(void)pthread_mutex_lock(&bench->lock);
	bench->entered++;
	(void)pthread_cond_broadcast(&bench->changed);
	while (bench->held)
		(void)pthread_cond_wait(&bench->changed, &bench->lock);
	if (bench->n == SEEN_MAX)
		abort();
	bench->seen[bench->n++] = (struct seen){ b->connection, b->piece,
		b->part, b->n, b->n_hits, b->last_part, b->rules };
	(void)pthread_mutex_unlock(&bench->lock);
	ruleset_unref(b->rules);
	batch_free(b);
}

static void
on_room(void *ctx)
{
	struct bench *b = ctx;

	(void)pthread_mutex_lock(&b->lock);
	b->rooms++;
	(void)pthread_cond_broadcast(&b->changed);
	(void)pthread_mutex_unlock(&b->lock);
}

/* False: it did not come to be so in time. */
static bool
wait_above(struct bench *b, const unsigned *value, unsigned bound)
{
	struct timespec until;
	bool above;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	(void)pthread_mutex_lock(&b->lock);
	while (*value <= bound && rc == 0)
		rc = pthread_cond_timedwait(&b->changed, &b->lock, &until);
	above = *value > bound;
	(void)pthread_mutex_unlock(&b->lock);
	return above;
}

static unsigned
rooms(struct bench *b)
{
	unsigned n;

	(void)pthread_mutex_lock(&b->lock);
	n = b->rooms;
	(void)pthread_mutex_unlock(&b->lock);
	return n;
}

static void
hold(struct bench *b, bool held)
{
	(void)pthread_mutex_lock(&b->lock);
	b->held = held;
	(void)pthread_cond_broadcast(&b->changed);
	(void)pthread_mutex_unlock(&b->lock);
}

/* A rule that matches every event of these tests, or none. */
static struct stages *
load_stages(const char *word)
{
	char path[] = "/tmp/kuzet-worker-XXXXXX.yml";
	char *paths[] = { path };
	struct collector_config config = {
		.rules = { .items = paths, .n = 1 },
		.normalizers = (char *)KUZET_SRCDIR "/rules/normalizers",
		.taxonomy = (char *)KUZET_SRCDIR "/rules/taxonomy",
	};
	struct stages *stages;
	struct error err;
	FILE *f = fdopen(mkstemps(path, 4), "w");

	if (f == NULL)
		abort();
	(void)fprintf(f,
	    "title: A word\nid: 6ba7b810-9dad-41d1-80b4-00c04fd430c8\n"
	    "logsource: {}\ndetection:\n  word:\n    - '%s'\n"
	    "  condition: word\nlevel: low\n",
	    word);
	(void)fclose(f);
	if (stages_load(&config, NULL, false, &stages, &err) != RC_OK) {
		(void)printf("Bail out! %s\n", err.text);
		abort();
	}
	(void)unlink(path);
	return stages;
}

static void
bench_open(struct bench *b, size_t workers, size_t queued)
{
	*b = (struct bench){ .budget = budget_new(64 << 20, NULL, NULL),
		.stages = load_stages("apple") };
	(void)pthread_mutex_init(&b->lock, NULL);
	(void)pthread_cond_init(&b->changed, NULL);
	b->workers = workers_new(&(struct workers_options){ .n = workers,
	    .max_queued = queued,
	    .decoder = { .limits = &lumberjack_limits_default,
		.owner = "default",
		.owners = &b->owners,
		.budget = b->budget },
	    .stages = b->stages,
	    .on_batch = on_batch,
	    .on_room = on_room,
	    .ctx = b });
}

/* All that is queued is done: `seen` is ours. */
static void
bench_end(struct bench *b)
{
	workers_free(b->workers);
	b->workers = NULL;
	CHECK(budget_used(b->budget) == 0, "the budget got all back");
}

static void
bench_close(struct bench *b)
{
	stages_unref(b->stages);
	budget_free(b->budget);
	(void)pthread_cond_destroy(&b->changed);
	(void)pthread_mutex_destroy(&b->lock);
}

static struct piece *
make_piece(struct bench *b, uint64_t connection, uint64_t number, uint32_t n)
{
	static const char event[] = "{\"message\":\"an apple\"}";
	struct piece *p = xzalloc(sizeof(*p));
	struct buf frames;

	buf_init(&frames, 1 << 20);
	for (uint32_t i = 0; i < n; i++)
		lumberjack_put_json(&frames, i,
		    (struct slice){ event, sizeof(event) - 1 });
	p->kind = PIECE_JSON;
	p->connection = connection;
	p->number = number;
	p->window = n;
	p->bytes = xmemdupz(frames.ptr, frames.len);
	p->len = frames.len;
	p->agent = xstrdup("web-1");
	p->peer = xstrdup("192.0.2.1:1");
	p->arrival_ns = 1;
	p->charged = p->len;
	budget_charge(b->budget, p->charged);
	buf_fini(&frames);
	return p;
}

/* As a listener does: who is refused waits to be told. */
static bool
submit(struct bench *b, struct piece *p)
{
	unsigned before = rooms(b);

	while (!workers_submit(b->workers, p)) {
		if (!wait_above(b, &b->rooms, before)) {
			budget_release(b->budget, p->charged);
			piece_free(p);
			return false;
		}
		before = rooms(b);
	}
	return true;
}

/* The parts of each piece, in their order; NULL: all as it must be. */
static const char *
find_fault(const struct bench *b)
{
	uint32_t next[CONNECTIONS][PIECES] = { 0 };

	for (size_t i = 0; i < b->n; i++) {
		const struct seen *s = &b->seen[i];
		uint32_t part = next[s->connection][s->piece]++;

		if (s->part != part)
			return "a part out of order, or twice";
		if (s->last_part != (part == PARTS - 1))
			return "the last part does not say so";
		if (s->n != (part == 0 ? BATCH_EVENTS : EVENTS - BATCH_EVENTS))
			return "events are missing";
		if (s->n_hits != s->n)
			return "hits are missing";
	}
	return b->n == SEEN_MAX ? NULL : "a part is missing";
}

static void
pieces_of_many_connections_keep_their_parts_in_order(void)
{
	struct workers_counters counters = { 0 };
	const char *fault;
	struct bench b;
	bool taken = true;

	bench_open(&b, 3, 2);
	for (uint64_t piece = 0; piece < PIECES; piece++)
		for (uint64_t c = 0; c < CONNECTIONS; c++)
			taken = submit(&b, make_piece(&b, c, piece, EVENTS)) &&
			    taken;
	CHECK(taken, "who was refused is told of room, every time");
	for (int i = 0; i < WAIT_SECONDS * 1000 && counters.received < ALL;
	     i++) {
		(void)usleep(1000);
		workers_counters(b.workers, &counters);
	}
	CHECK(counters.received == ALL, "each event is counted once");
	bench_end(&b);
	fault = find_fault(&b);
	CHECK(fault == NULL, "each piece comes whole, its parts in order");
	if (fault != NULL)
		(void)printf("# %s\n", fault);
	bench_close(&b);
}

static void
a_full_queue_refuses_and_tells_of_room(void)
{
	enum { QUEUED = 3 };
	struct piece *more;
	struct bench b;
	bool taken = true;

	bench_open(&b, 1, QUEUED);
	hold(&b, true);
	CHECK(workers_submit(b.workers, make_piece(&b, 0, 0, 1)) &&
		wait_above(&b, &b.entered, 0),
	    "the only worker is busy");
	for (uint64_t i = 1; i <= QUEUED; i++)
		taken =
		    workers_submit(b.workers, make_piece(&b, 0, i, 1)) && taken;
	more = make_piece(&b, 0, QUEUED + 1, 1);
	CHECK(taken && !workers_submit(b.workers, more),
	    "one more than the bound is refused at once");
	CHECK(rooms(&b) == 0, "there is no room yet");
	hold(&b, false);
	CHECK(wait_above(&b, &b.rooms, 0), "room is told of");
	CHECK(submit(&b, more), "what was refused is taken then");
	bench_end(&b);
	CHECK(b.n == QUEUED + 2 && b.seen[QUEUED + 1].piece == QUEUED + 1,
	    "the end works off what is queued");
	bench_close(&b);
}

static void
a_reload_takes_effect_between_pieces(void)
{
	const struct ruleset *old;
	struct stages *fresh = load_stages("pear");
	struct bench b;

	bench_open(&b, 1, 4);
	old = b.stages->rules;
	hold(&b, true);
	CHECK(workers_submit(b.workers, make_piece(&b, 0, 0, EVENTS)) &&
		wait_above(&b, &b.entered, 0),
	    "a piece is half done");
	workers_set_stages(b.workers, fresh);
	stages_unref(b.stages); /* the worker alone keeps them now */
	b.stages = fresh;
	CHECK(workers_submit(b.workers, make_piece(&b, 0, 1, EVENTS)),
	    "another waits");
	hold(&b, false);
	bench_end(&b);
	CHECK(b.n == (size_t)2 * PARTS && b.seen[0].rules == old &&
		b.seen[1].rules == old &&
		b.seen[1].n_hits == EVENTS - BATCH_EVENTS,
	    "a piece that was begun ends with the rules it began with");
	CHECK(b.n == (size_t)2 * PARTS && b.seen[2].rules == fresh->rules &&
		b.seen[3].rules == fresh->rules && b.seen[2].n_hits == 0,
	    "the next piece has the new ones");
	bench_close(&b);
}

static void
reloads_in_mid_stream_lose_nothing(void)
{
	const char *fault;
	struct bench b;
	bool taken = true;

	bench_open(&b, 3, 4);
	for (uint64_t piece = 0; piece < PIECES; piece++) {
		struct stages *fresh = load_stages("apple");

		for (uint64_t c = 0; c < CONNECTIONS; c++)
			taken = submit(&b, make_piece(&b, c, piece, EVENTS)) &&
			    taken;
		workers_set_stages(b.workers, fresh);
		stages_unref(b.stages);
		b.stages = fresh;
	}
	bench_end(&b);
	fault = find_fault(&b);
	CHECK(taken && fault == NULL, "every event and every hit is there");
	if (fault != NULL)
		(void)printf("# %s\n", fault);
	bench_close(&b);
}

struct pausing {
	struct workers *workers;
	_Atomic bool late, done;
};

static void *
pause_workers(void *ctx)
{
	struct pausing *p = ctx;

	while (!workers_pause(p->workers, NS_PER_SEC / 100))
		p->late = true;
	p->done = true;
	return NULL;
}

static void
a_pause_is_between_all_pieces(void)
{
	struct stages *fresh = load_stages("pear");
	struct pausing pausing;
	const struct ruleset *old;
	pthread_t thread;
	struct bench b;

	bench_open(&b, 2, 8);
	old = b.stages->rules;
	pausing = (struct pausing){ .workers = b.workers };
	hold(&b, true);
	CHECK(workers_submit(b.workers, make_piece(&b, 0, 0, EVENTS)) &&
		wait_above(&b, &b.entered, 0),
	    "a piece is half done");
	if (pthread_create(&thread, NULL, pause_workers, &pausing) != 0)
		abort();
	while (!pausing.late)
		(void)usleep(1000);
	CHECK(!pausing.done, "the pause waits for its other half");
	hold(&b, false);
	(void)pthread_join(thread, NULL);
	CHECK(workers_submit(b.workers, make_piece(&b, 0, 1, EVENTS)) &&
		workers_submit(b.workers, make_piece(&b, 1, 0, EVENTS)),
	    "pieces are taken in a pause");
	(void)usleep(20000);
	(void)pthread_mutex_lock(&b.lock);
	CHECK(b.n == PARTS && b.seen[1].rules == old,
	    "none is worked on in a pause");
	(void)pthread_mutex_unlock(&b.lock);
	workers_set_stages(b.workers, fresh);
	stages_unref(b.stages);
	b.stages = fresh;
	workers_resume(b.workers);
	bench_end(&b);
	CHECK(b.n == (size_t)3 * PARTS && b.seen[2].rules == fresh->rules &&
		b.seen[5].rules == fresh->rules,
	    "after it all are, with the new rules");
	bench_close(&b);
}

int
main(void)
{
	pieces_of_many_connections_keep_their_parts_in_order();
	a_full_queue_refuses_and_tells_of_room();
	a_reload_takes_effect_between_pieces();
	reloads_in_mid_stream_lose_nothing();
	a_pause_is_between_all_pieces();
	return tap_done();
}
