/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector that dies, or whose disk fails, at any single operation: what
 * was reported committed is there, nothing is there twice when it is sent
 * again, and marks, events, hits and counters agree.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faulty_vfs.h"
#include "store.h"
#include "store_fixture.h"
#include "tap.h"

enum { STEPS = 8, ROUNDS = 12 };

/* Overlaps, a day change, two agents, foreign events, hits. */
static const struct fixture_batch script[STEPS] = {
	{ .stream = 1, .n = 40, .hits_every = 4 },
	{ .kind = SOURCE_FOREIGN, .agent = "beat", .n = 20, .hits_every = 5 },
	{ .stream = 1, .offset = 2000, .n = 40, .hits_every = 4 },
	{ .agent = "web-2", .stream = 2, .n = 30, .hits_every = 3 },
	{ .stream = 1,
	    .offset = 6000,
	    .n = 40,
	    .hits_every = 4,
	    .time_ns = T0 + DAY },
	{ .kind = SOURCE_FOREIGN,
	    .agent = "beat",
	    .offset = 10,
	    .n = 20,
	    .hits_every = 5,
	    .time_ns = T0 + DAY },
	{ .agent = "web-2",
	    .owner = "north",
	    .stream = 3,
	    .n = 10,
	    .time_ns = T0 + DAY },
	{ .stream = 1,
	    .offset = 10000,
	    .n = 10,
	    .hits_every = 1,
	    .time_ns = T0 + 2 * DAY },
};

static struct error err;

struct totals {
	uint64_t commits, events, counted, hits, detections, counted_detections;
};

static const uint32_t *
no_fields(void *ctx, const uint8_t digest[SHA256_BYTES], uint32_t *n)
{
	(void)ctx;
	(void)digest;
	*n = 0;
	return NULL;
}

static bool
add_hits(void *ctx, const struct log_record *r)
{
	struct totals *t = ctx;

	t->hits += r->n_hits;
	return true;
}

static bool
add_detection(void *ctx, const struct store_detection *d)
{
	struct totals *t = ctx;

	t->counted_detections += d->event->n > 0;
	return true;
}

static struct totals
totals_of(struct store *s)
{
	struct store_query all = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	struct slice any = { NULL, 0 };
	struct store_counters c;
	struct totals t = { 0 };

	store_counters(s, &c);
	t.commits = c.commits;
	t.events = c.events;
	t.detections = c.detections;
	t.counted = fixture_count(s);
	if (store_read_log(s, 1, no_fields, add_hits, &t, &err) != RC_OK ||
	    store_detections(s, &all, any, add_detection, &t, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		t.counted = UINT64_MAX;
	}
	return t;
}

/* How many steps were committed; `tries` of each. */
static unsigned
run_script(struct store *s, volatile unsigned *done)
{
	for (unsigned i = 0; i < STEPS; i++) {
		struct log_record r;

		if (fixture_append(s, &script[i], &r, &err) != RC_OK)
			return i;
		log_record_fini(&r);
		if (done != NULL)
			*done = i + 1;
	}
	return STEPS;
}

static bool
agree(const struct totals *t)
{
	return t->events == t->counted &&
	    t->detections == t->counted_detections;
}

static bool
same(const struct totals *a, const struct totals *b)
{
	return a->events == b->events && a->hits == b->hits &&
	    a->detections == b->detections;
}

/* Every operation takes minutes: KUZET_EXHAUSTIVE=1; else each seventh. */
static unsigned
stride(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it */
	return getenv("KUZET_EXHAUSTIVE") != NULL ? 1 : 7;
}

/* Opens what a crash left, checks it, sends everything again. */
static bool
recovers(const char *dir, unsigned done, const struct totals *want)
{
	struct totals before, after;
	struct store *s;
	bool ok;

	if (store_open(dir, &s, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return false;
	}
	before = totals_of(s);
	ok = agree(&before) && before.commits >= done &&
	    before.commits <= done + 1U;
	ok = run_script(s, NULL) == STEPS && ok;
	after = totals_of(s);
	ok = ok && agree(&after) && same(&after, want) &&
	    after.commits == before.commits + STEPS;
	if (!ok)
		(void)printf("# done %u: commits %llu events %llu, then %llu "
			     "events of %llu, %llu hits of %llu: %s\n",
		    done, (unsigned long long)before.commits,
		    (unsigned long long)before.events,
		    (unsigned long long)after.events,
		    (unsigned long long)want->events,
		    (unsigned long long)after.hits,
		    (unsigned long long)want->hits, err.text);
	store_close(s);
	return ok;
}

/* A reference run; how many operations it took. */
static struct totals
reference(unsigned *operations)
{
	char *dir = fixture_folder();
	struct totals t = { 0 };
	struct store *s;

	faulty_vfs_set(FAULTY_NEVER, 0);
	if (store_open(dir, &s, &err) != RC_OK)
		abort();
	CHECK(run_script(s, NULL) == STEPS, "the script runs");
	*operations = faulty_vfs_count();
	t = totals_of(s);
	CHECK(agree(&t) && t.events == 180 && t.commits == STEPS,
	    "and stores %llu events", (unsigned long long)t.events);
	store_close(s);
	fixture_remove(dir);
	return t;
}

static void
run_and_die(const char *dir, enum faulty_mode mode, unsigned at,
    volatile unsigned *done)
{
	struct store *s;

	faulty_vfs_set(mode, at);
	if (store_open(dir, &s, &err) == RC_OK) {
		(void)run_script(s, done);
		store_close(s);
	}
	_exit(FAULTY_EXIT);
}

static void
every_point_of_death_is_survived(enum faulty_mode mode, unsigned operations,
    const struct totals *want, const char *name)
{
	volatile unsigned *done = mmap(NULL, sizeof(*done),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned bad = 0;

	for (unsigned at = mode; at < operations; at += stride()) {
		char *dir = fixture_folder();
		int status = 0;
		pid_t pid;

		*done = 0;
		pid = fork();
		if (pid == 0)
			run_and_die(dir, mode, at, done);
		(void)waitpid(pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != FAULTY_EXIT)
			bad++;
		faulty_vfs_set(FAULTY_NEVER, 0);
		if (!recovers(dir, *done, want)) {
			(void)printf("# at operation %u\n", at);
			bad++;
		}
		fixture_remove(dir);
	}
	CHECK(bad == 0, "%s, %u operations, each %uth", name, operations,
	    stride());
	(void)munmap((void *)done, sizeof(*done));
}

/* One process, whose disk fails for a while: it tries again and goes on. */
static bool
goes_on_after(enum faulty_mode mode, unsigned at, const struct totals *want)
{
	char *dir = fixture_folder();
	struct totals t;
	struct store *s;
	unsigned tries = 0;
	bool ok = true;

	faulty_vfs_set(mode, at);
	if (store_open(dir, &s, &err) != RC_OK) {
		ok = err.code == RC_SYSTEM;
		faulty_vfs_set(FAULTY_NEVER, 0);
		if (store_open(dir, &s, &err) != RC_OK)
			return false;
	}
	for (unsigned i = 0; i < STEPS && tries < 3; i++) {
		struct log_record r;
		enum rc rc = fixture_append(s, &script[i], &r, &err);

		if (rc == RC_OK) {
			log_record_fini(&r);
			continue;
		}
		if (rc != RC_SYSTEM)
			(void)printf("# %s\n", err.text);
		ok = ok && rc == RC_SYSTEM;
		faulty_vfs_set(FAULTY_NEVER, 0);
		t = totals_of(s);
		ok = ok && agree(&t) && t.commits == i;
		i--; /* again */
		tries++;
	}
	faulty_vfs_set(FAULTY_NEVER, 0);
	t = totals_of(s);
	ok = ok && agree(&t) && same(&t, want) && t.commits == STEPS;
	store_close(s);
	ok = recovers(dir, STEPS, want) && ok;
	fixture_remove(dir);
	return ok;
}

static void
every_failure_is_taken_back(enum faulty_mode mode, unsigned operations,
    const struct totals *want, const char *name)
{
	unsigned bad = 0;

	for (unsigned at = mode; at < operations; at += stride())
		if (!goes_on_after(mode, at, want)) {
			(void)printf("# at operation %u: %s\n", at, err.text);
			bad++;
		}
	CHECK(bad == 0, "%s, %u operations, each %uth", name, operations,
	    stride());
}

/* ---- kill -9 at random moments ------------------------------------------ */

struct progress {
	_Atomic uint64_t reported; /* events of the stream that are committed */
};

static void
append_for_ever(const char *dir, struct progress *p, uint64_t from)
{
	struct store *s;

	if (store_open(dir, &s, &err) != RC_OK)
		_exit(1);
	for (uint64_t at = from;; at += 50) {
		struct log_record r;

		if (fixture_append(s,
			&(struct fixture_batch){ .stream = 1,
			    .offset = at * 100,
			    .n = 50,
			    .hits_every = 10,
			    .time_ns = T0 + (int64_t)(at / 400) * DAY },
			&r, &err) != RC_OK)
			_exit(2);
		log_record_fini(&r);
		p->reported = at + 50;
	}
}

static bool
comes_next(void *ctx, const struct event *ev)
{
	uint64_t *next = ctx;

	if (ev->id.offset != *next * 100)
		return false;
	(*next)++;
	return true;
}

static bool
is_whole(const char *dir, uint64_t reported)
{
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct totals t;
	struct store *s;
	uint64_t next = 0;
	bool ok;

	if (store_open(dir, &s, &err) != RC_OK)
		return false;
	t = totals_of(s);
	ok = fixture_events(s, &q, comes_next, &next, &err) == RC_OK &&
	    next == t.events && next >= reported && agree(&t) &&
	    t.hits == 2 * (next / 10);
	if (!ok)
		(void)printf("# %llu in order of %llu, %llu reported, %llu "
			     "hits\n",
		    (unsigned long long)next, (unsigned long long)t.events,
		    (unsigned long long)reported, (unsigned long long)t.hits);
	store_close(s);
	return ok;
}

static void
kill_9_loses_and_doubles_nothing(void)
{
	struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *dir = fixture_folder();
	unsigned bad = 0;

	faulty_vfs_set(FAULTY_NEVER, 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t from = p->reported > 100 ? p->reported - 100 : 0;
		pid_t pid = fork();

		if (pid == 0)
			append_for_ever(dir, p, from);
		/* among its commits, not before them */
		while (p->reported <= from + 100 &&
		    waitpid(pid, NULL, WNOHANG) == 0)
			(void)usleep(1000);
		(void)usleep((useconds_t)(i * 7919 % 30000));
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		bad += !is_whole(dir, p->reported);
	}
	CHECK(bad == 0 && p->reported > 0,
	    "kill -9, %d times among %llu events, loses and doubles nothing",
	    ROUNDS, (unsigned long long)p->reported);
	fixture_remove(dir);
	(void)munmap(p, sizeof(*p));
}

int
main(void)
{
	struct totals want;
	unsigned operations;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	faulty_vfs_install();
	want = reference(&operations);
	every_point_of_death_is_survived(FAULTY_KILL, operations, &want,
	    "death is survived");
	every_point_of_death_is_survived(FAULTY_TORN, operations, &want,
	    "death in the middle of a write is survived");
	every_failure_is_taken_back(FAULTY_FULL, operations, &want,
	    "a full disk is taken back");
	every_failure_is_taken_back(FAULTY_IO, operations, &want,
	    "a failed write is taken back");
	kill_9_loses_and_doubles_nothing();
	return tap_done();
}
