/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool, on a disk that is full, fails, or ends with the agent at any
 * single operation.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/spool/record.h"
#include "agent/spool/spool.h"
#include "digest.h"
#include "folder.h"
#include "tap.h"

enum {
	SMALL = 512 * 1024, /* segments of 64 KiB */
	PAD = 9000,         /* bytes of an event: seven a segment */
	EVENTS_MAX = 400,
	DIED = 86
};

/* ---- a disk that fails on demand ----------------------------------------- */

enum fate { NEVER, FULL, BROKEN, TORN, KILL };
static enum fate fate;
static unsigned fate_at, operations;

/* -1 with errno, or ends the process; 0: goes on. */
static int
fails(void)
{
	unsigned n = operations++;

	if (fate == KILL && n == fate_at)
		_exit(DIED);
	if (fate == FULL && n >= fate_at)
		errno = ENOSPC;
	else if (fate == BROKEN && n == fate_at)
		errno = EIO;
	else
		return 0;
	return -1;
}

static int
bad_create(int dir_fd, const char *name)
{
	return fails() != 0 ? -1 : spool_disk_real.create(dir_fd, name);
}

static ssize_t
bad_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	if (fate == TORN && operations == fate_at) {
		(void)pwrite(fd, bytes, len / 2, at);
		_exit(DIED);
	}
	return fails() != 0 ? -1 : pwrite(fd, bytes, len, at);
}

static int
bad_truncate(int fd, off_t size)
{
	if (fate == FULL) /* makes room: works */
		return ftruncate(fd, size);
	return fails() != 0 ? -1 : ftruncate(fd, size);
}

static int
bad_sync(int fd)
{
	return fails() != 0 ? -1 : fsync(fd);
}

static int
bad_rename(int dir_fd, const char *from, const char *to)
{
	return fails() != 0 ? -1 : spool_disk_real.rename(dir_fd, from, to);
}

static int
bad_unlink(int dir_fd, const char *name)
{
	if (fate == FULL)
		return spool_disk_real.unlink(dir_fd, name);
	return fails() != 0 ? -1 : spool_disk_real.unlink(dir_fd, name);
}

static const struct spool_disk bad_disk = {
	bad_create,
	bad_pwrite,
	bad_truncate,
	bad_sync,
	bad_rename,
	bad_unlink,
};

/* ---- helpers -------------------------------------------------------------- */

static char dir[64];
static struct error err;

static struct spool *
open_with(uint64_t max_bytes, enum spool_full full)
{
	struct spool *s = NULL;

	if (spool_open(&(struct spool_options){ .dir = dir,
			   .max_bytes = max_bytes,
			   .when_full = full,
			   .disk = &bad_disk },
		&s, &err) != RC_OK) {
		(void)printf("Bail out! %s\n", err.text);
		abort();
	}
	return s;
}

static enum rc
put(struct spool *s, unsigned i)
{
	static char text[PAD];
	int n = snprintf(text, sizeof(text), "{\"i\":%u,\"pad\":\"", i);

	memset(text + n, 'x', sizeof(text) - (size_t)n);
	text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = '}';
	return spool_put(s, (struct slice){ text, sizeof(text) }, &err);
}

static void
put_many(struct spool *s, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		assert(put(s, i) == RC_OK);
}

static unsigned
number_in(struct slice json)
{
	assert(json.len == PAD && memcmp(json.ptr, "{\"i\":", 5) == 0);
	return (unsigned)strtoul(json.ptr + 5, NULL, 10);
}

/* Reads `n` at most; true if they are from, from + 1, ... */
static unsigned
read_many(struct spool *s, unsigned from, unsigned n, bool ack)
{
	struct spool_event e;
	unsigned i = 0;

	while (i < n && spool_next(s, &e)) {
		if (number_in(e.json) != from + i)
			return i;
		if (ack)
			spool_acked(s, e.segment, e.sequence);
		i++;
	}
	return i;
}

static struct spool_counts
counts_of(const struct spool *s)
{
	struct spool_counts c;

	spool_counts(s, &c);
	return c;
}

static unsigned
files(void)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned n = 0;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	while (d != NULL && (e = readdir(d)) != NULL)
		n += strstr(e->d_name, ".seg") != NULL;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

/* Writes into the middle of, or cuts, the `nth` segment's file. */
static void
spoil(unsigned number, off_t at, const char *bytes, off_t size)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%020u.seg", dir, number);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert(fd != -1);
	if (bytes != NULL)
		assert(pwrite(fd, bytes, strlen(bytes), at) > 0);
	if (size != 0)
		assert(ftruncate(fd, size) == 0);
	(void)close(fd);
}

/* ---- tests ---------------------------------------------------------------- */

static void
kept_until_acknowledged(void)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	unsigned n_files;

	put_many(s, 0, 30);
	n_files = files();
	CHECK(n_files > 3, "events fill several segments");
	CHECK(read_many(s, 0, 30, false) == 30, "they come out in order");
	CHECK(files() == n_files, "nothing is removed before the ACK");
	spool_close(s);
	s = open_with(SMALL, SPOOL_DROP_NEWEST);
	CHECK(counts_of(s).events == 30, "the next start knows how many");
	CHECK(read_many(s, 0, 10, true) == 10, "and gives them out again");
	CHECK(files() == n_files - 1, "acknowledged segments go");
	spool_close(s);
	s = open_with(SMALL, SPOOL_DROP_NEWEST);
	CHECK(read_many(s, 10, 30, true) == 20,
	    "what was acknowledged before a clean end is not given out again");
	CHECK(files() == 1, "the stream's last segment waits for its end");
	spool_close(s);
	folder_remove(dir);
}

static void
streams_end(void)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	uint8_t first[16], stream[16];
	struct spool_event e;

	put_many(s, 0, 2);
	assert(spool_next(s, &e));
	memcpy(first, e.stream, sizeof(first));
	CHECK(e.sequence == 1, "sequences begin with 1");
	spool_acked(s, e.segment, e.sequence);
	CHECK(!spool_ended(s, stream), "this run's stream goes on");
	spool_close(s);
	s = open_with(SMALL, SPOOL_DROP_NEWEST);
	put_many(s, 2, 1);
	CHECK(!spool_ended(s, stream), "an old one with events goes on");
	assert(spool_next(s, &e));
	CHECK(memcmp(e.stream, first, 16) == 0 && e.sequence == 2,
	    "an old event keeps its identity");
	spool_acked(s, e.segment, e.sequence);
	assert(spool_next(s, &e));
	CHECK(memcmp(e.stream, first, 16) != 0 && e.sequence == 1,
	    "a new run has a stream of its own");
	CHECK(spool_ended(s, stream) && memcmp(stream, first, 16) == 0,
	    "all acknowledged, the old one has ended");
	spool_close(s);
	s = open_with(SMALL, SPOOL_DROP_NEWEST);
	CHECK(spool_ended(s, stream) && memcmp(stream, first, 16) == 0,
	    "a start later it still has");
	spool_forget(s, stream);
	CHECK(files() == 1 && !spool_ended(s, stream), "then it is forgotten");
	CHECK(read_many(s, 2, 5, true) == 1, "and others are not");
	spool_close(s);
	folder_remove(dir);
}

static void
damage(void)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	unsigned seen = 0;
	struct spool_event e;
	char path[128];

	put_many(s, 0, 28); /* segments 1 to 4, seven events each */
	spool_close(s);
	spoil(2, 36 + 2 * (PAD + 20) + 6, "\xff\xff", 0);
	spoil(3, 0, "nothing", 0);
	spoil(4, 0, NULL, 36 + 6 * (PAD + 20) + 4000);
	s = open_with(SMALL, SPOOL_DROP_NEWEST);
	CHECK(counts_of(s).torn_bytes == 4000, "a torn end is cut off");
	CHECK(counts_of(s).damaged_bytes == 36 + 8 * (PAD + 20),
	    "a damaged record and a damaged segment are counted");
	CHECK(counts_of(s).events == 7 + 6 + 6, "the others are there");
	while (spool_next(s, &e)) {
		unsigned i = number_in(e.json);

		if (i == 9 || (i >= 14 && i < 21) || i == 27)
			seen = UINT32_MAX;
		else
			seen++;
		spool_acked(s, e.segment, e.sequence);
	}
	CHECK(seen == 19, "and come out");
	CHECK(counts_of(s).damaged_bytes == 36 + 8 * (PAD + 20),
	    "damage counts once");
	(void)snprintf(path, sizeof(path), "%s/damaged", dir);
	CHECK(access(path, F_OK) == 0, "what is no segment is put aside");
	spool_close(s);
	folder_remove(dir);
}

static void
full(void)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	unsigned n = 0;

	while (n < EVENTS_MAX && put(s, n) == RC_OK)
		n++;
	CHECK(n > 50 && err.code == RC_LIMIT, "a full spool refuses");
	CHECK(counts_of(s).refused == 1, "and counts");
	CHECK(spool_put_report(s, SLICE("{\"i\":7}"), &err) == RC_OK,
	    "its report has room");
	CHECK(counts_of(s).bytes <= SMALL + 4096, "its files are bounded");
	CHECK(read_many(s, 0, n, true) == n, "nothing kept is lost");
	put_many(s, n, 20);
	CHECK(true, "it takes events again after the ACK");
	spool_close(s);
	folder_remove(dir);

	s = open_with(SMALL, SPOOL_DROP_OLDEST);
	put_many(s, 0, 200);
	n = (unsigned)counts_of(s).dropped;
	CHECK(n > 100 && counts_of(s).events == 200 - n,
	    "the oldest are dropped and counted");
	CHECK(counts_of(s).bytes <= SMALL, "the files are bounded");
	CHECK(read_many(s, n, 5, false) == 5, "the newer ones are there");
	put_many(s, 200, 100);
	CHECK(counts_of(s).dropped + counts_of(s).events == 300 - 5,
	    "what was given out before does not count as dropped");
	spool_close(s);
	folder_remove(dir);
}

static void
full_disk(void)
{
	struct spool *s;
	unsigned n = 0;

	fate = NEVER;
	s = open_with(SMALL, SPOOL_DROP_NEWEST);
	put_many(s, 0, 20);
	fate = FULL;
	fate_at = 0;
	CHECK(put(s, 20) == RC_LIMIT, "a full disk refuses the newest event");
	fate = NEVER;
	CHECK(put(s, 20) == RC_OK, "and takes it once there is room");
	CHECK(read_many(s, 0, 21, true) == 21, "nothing is torn by that");
	CHECK(counts_of(s).damaged_bytes == 0, "no half record is left");
	spool_close(s);
	folder_remove(dir);

	s = open_with(SMALL, SPOOL_DROP_OLDEST);
	put_many(s, 0, 30);
	fate = FULL;
	fate_at = operations = 0;
	CHECK(put(s, 30) == RC_LIMIT && counts_of(s).dropped > 0,
	    "or drops the oldest segments, as far as that helps");
	fate = NEVER;
	n = (unsigned)counts_of(s).dropped;
	CHECK(read_many(s, n, 30, true) == 30 - n, "the newest is still there");
	spool_close(s);
	folder_remove(dir);
}

static void
failing_disk(void)
{
	unsigned total;
	bool good = true;

	for (unsigned at = 0, more = 1; more; at++) {
		struct spool *s;
		unsigned kept = 0, i;

		fate = BROKEN;
		fate_at = at;
		operations = 0;
		s = open_with(SMALL, SPOOL_DROP_NEWEST);
		for (i = 0; i < 20; i++) {
			while (put(s, kept) != RC_OK)
				;
			kept++;
			(void)spool_sync(s, &err);
		}
		good = good && read_many(s, 0, kept, true) == kept;
		spool_save(s);
		more = operations > at;
		total = at;
		spool_close(s);
		folder_remove(dir);
	}
	fate = NEVER;
	CHECK(good, "a disk that fails once loses nothing that was kept (%s)",
	    total > 30 ? "at each operation" : "TOO FEW");
	CHECK(total > 30, "there were enough operations");
}

/* ---- death at every operation ---------------------------------------------- */

struct witness {
	unsigned put, synced, acked;
	unsigned n_given;
	struct {
		uint8_t stream[16];
		uint64_t sequence;
		unsigned i;
	} given[EVENTS_MAX];
};

static bool
same_identity(struct witness *w, const struct spool_event *e)
{
	unsigned i = number_in(e->json);

	for (unsigned k = 0; k < w->n_given; k++) {
		bool same = w->given[k].sequence == e->sequence &&
		    memcmp(w->given[k].stream, e->stream, 16) == 0;

		if (same != (w->given[k].i == i))
			return false;
		if (same)
			return true;
	}
	w->given[w->n_given].sequence = e->sequence;
	memcpy(w->given[w->n_given].stream, e->stream, 16);
	w->given[w->n_given].i = i;
	w->n_given++;
	return true;
}

/* One run of an agent: puts, syncs, gives out, is acknowledged, forgets. */
static void
one_run(struct witness *w)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	struct spool_event e;
	uint8_t stream[16];

	for (unsigned i = 0; i < 24; i++) {
		if (put(s, w->put) == RC_OK)
			w->put++;
		if (i % 5 == 4 && spool_sync(s, &err) == RC_OK)
			w->synced = w->put;
		if (i % 3 == 2 && spool_next(s, &e)) {
			assert(same_identity(w, &e));
			w->acked = number_in(e.json) + 1;
			spool_acked(s, e.segment, e.sequence);
		}
		if (spool_ended(s, stream))
			spool_forget(s, stream);
		if (i % 8 == 7)
			spool_save(s);
	}
	spool_close(s);
}

/* Everything on the disk and not acknowledged comes, as what it was. */
static bool
recovers(struct witness *w)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	unsigned expected = UINT32_MAX;
	struct spool_event e;
	bool good = true;

	while (good && spool_next(s, &e)) {
		unsigned i = number_in(e.json);

		good = same_identity(w, &e) &&
		    (expected == UINT32_MAX ? i <= w->acked : i == expected);
		expected = i + 1;
		spool_acked(s, e.segment, e.sequence);
	}
	if (expected == UINT32_MAX)
		expected = w->acked;
	good = good && expected >= w->synced && counts_of(s).events == 0 &&
	    counts_of(s).damaged_bytes == 0;
	if (!good)
		(void)printf("# put %u synced %u acked %u, came up to %u\n",
		    w->put, w->synced, w->acked, expected);
	w->put = w->synced = w->acked = expected;
	spool_close(s);
	return good;
}

static void
death_at_every_operation(enum fate how, const char *what)
{
	struct witness *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned deaths = 0;
	bool good = true, died = true;

	for (unsigned at = 0; good && died; at++) {
		int status;
		pid_t pid;

		memset(w, 0, sizeof(*w));
		fate = NEVER;
		one_run(w); /* something of a run before */
		(void)fflush(stdout);
		pid = fork();
		if (pid == 0) {
			fate = how;
			fate_at = at;
			operations = 0;
			one_run(w);
			_exit(0);
		}
		(void)waitpid(pid, &status, 0);
		died = WIFEXITED(status) && WEXITSTATUS(status) == DIED;
		deaths += died;
		if (!died && how == TORN && at < 60)
			died = true; /* that operation was no write */
		good = recovers(w);
		good = good && recovers(w); /* the second finds no more */
		if (!good)
			(void)printf("# after death at operation %u\n", at);
		folder_remove(dir);
	}
	CHECK(good && deaths > 15, "%s: %u deaths, nothing lost or renamed",
	    what, deaths);
	(void)munmap(w, sizeof(*w));
}

static void
bad_events(void)
{
	struct spool *s = open_with(SMALL, SPOOL_DROP_NEWEST);
	static char large[SPOOL_EVENT_MAX + 1];
	struct spool_event e;

	CHECK(spool_put(s, SLICE("{}"), &err) == RC_INVALID,
	    "an empty object is refused");
	CHECK(spool_put(s, SLICE("[1]"), &err) == RC_INVALID,
	    "what is no object is");
	memset(large, 'x', sizeof(large));
	large[0] = '{';
	large[sizeof(large) - 1] = '}';
	CHECK(spool_put(s, (struct slice){ large, sizeof(large) }, &err) ==
		RC_INVALID,
	    "too long an event is");
	CHECK(!spool_next(s, &e) && files() == 0, "nothing is written");
	spool_close(s);
	folder_remove(dir);
}

/* Longer than what is read at once, first and behind others. */
static void
long_events(void)
{
	static const size_t sizes[] = { 70000, 64 * 1024 - RECORD_HEADER,
		SPOOL_EVENT_MAX, 100, 200000, SPOOL_EVENT_MAX };
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };
	struct spool *s = open_with((uint64_t)8 * SMALL, SPOOL_DROP_NEWEST);
	static char text[SPOOL_EVENT_MAX];
	struct spool_event e;
	size_t right = 0;

	for (size_t i = 0; i < N; i++) {
		memset(text, (int)('a' + i), sizes[i]);
		text[0] = '{';
		text[sizes[i] - 1] = '}';
		assert(spool_put(s, (struct slice){ text, sizes[i] }, &err) ==
		    RC_OK);
	}
	while (right < N && spool_next(s, &e) && e.json.len == sizes[right] &&
	    e.json.ptr[1] == (char)('a' + right)) {
		spool_acked(s, e.segment, e.sequence);
		right++;
	}
	CHECK(right == N, "long events come out as they went in");
	CHECK(counts_of(s).damaged_bytes == 0, "and nothing is damaged");
	spool_close(s);
	folder_remove(dir);
}

int
main(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/kuzet-spool-%d", (int)getpid());
	folder_remove(dir);
	kept_until_acknowledged();
	streams_end();
	damage();
	full();
	full_disk();
	failing_disk();
	bad_events();
	long_events();
	death_at_every_operation(KILL, "killed before an operation");
	death_at_every_operation(TORN, "killed within a write");
	return tap_done();
}
