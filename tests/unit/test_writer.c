/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/writer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store_fixture.h"
#include "tap.h"

#define FLUSH_NS INT64_C(100000000000) /* long enough for any machine */

/* What the writer said, in order: "ack 1 10;", "fail 1 why;", ... */
struct said {
	pthread_mutex_t lock;
	struct buf text;
	uint64_t commits, events;
	uint64_t room_after; /* a connection: its failure frees the disk */
	struct rlimit room;
};

static void add(struct said *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
add(struct said *s, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)pthread_mutex_lock(&s->lock);
	(void)buf_add_str(&s->text, text);
	(void)pthread_mutex_unlock(&s->lock);
}

static bool
has_said(struct said *s, const char *what)
{
	bool found;

	(void)pthread_mutex_lock(&s->lock);
	(void)buf_add_char(&s->text, '\0');
	found = strstr(s->text.ptr, what) != NULL;
	s->text.len--;
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

static bool
comes_to_say(struct said *s, const char *what)
{
	for (int i = 0; i < 1000 && !has_said(s, what); i++)
		(void)usleep(10000);
	return has_said(s, what);
}

static void
on_ack(void *ctx, uint64_t connection, uint32_t count)
{
	add(ctx, "ack %llu %u;", (unsigned long long)connection, count);
}

static void
on_fail(void *ctx, uint64_t connection, const char *why)
{
	const struct said *s = ctx;

	if (s->room_after == connection)
		(void)setrlimit(RLIMIT_FSIZE, &s->room);
	add(ctx, "fail %llu %s;", (unsigned long long)connection, why);
}

static void
on_commit(void *ctx, struct log_record *record)
{
	struct said *s = ctx;

	s->commits++;
	s->events += record->stored;
	log_record_fini(record);
}

static void
on_trouble(void *ctx, const char *message)
{
	add(ctx, "%s;", message[0] != '\0' ? "trouble" : "over");
}

struct bench {
	char *dir;
	struct store *store;
	struct writer *writer;
	struct said said;
};

static void
bench_open(struct bench *b)
{
	struct error err;

	*b = (struct bench){ .dir = fixture_folder() };
	(void)pthread_mutex_init(&b->said.lock, NULL);
	buf_init(&b->said.text, 1 << 20);
	if (store_open(b->dir, &b->store, &err) != RC_OK)
		abort();
	b->writer = writer_new(&(struct writer_options){ .store = b->store,
	    .max_queued = 8,
	    .on_ack = on_ack,
	    .on_fail = on_fail,
	    .on_commit = on_commit,
	    .on_trouble = on_trouble,
	    .ctx = &b->said });
}

/* Waits until the writer has done all; what it said is then ours. */
static const char *
bench_drain(struct bench *b)
{
	writer_free(b->writer);
	b->writer = NULL;
	(void)buf_add_char(&b->said.text, '\0');
	return b->said.text.ptr;
}

static void
bench_close(struct bench *b)
{
	writer_free(b->writer);
	store_close(b->store);
	fixture_remove(b->dir);
	buf_fini(&b->said.text);
	(void)pthread_mutex_destroy(&b->said.lock);
}

struct piece {
	uint64_t connection, piece;
	uint32_t part;
	bool more; /* not the last part */
	uint32_t window, frames;
	const char *failure;
	unsigned offset, n;
	enum source_kind kind;
};

static void
submit(struct bench *b, const struct piece *p)
{
	struct batch *batch = fixture_batch(&(struct fixture_batch){
	    .stream =
		p->kind == SOURCE_SYSLOG ? 0 : (uint8_t)(p->connection + 1),
	    .kind = p->kind,
	    .offset = 100ULL * p->offset,
	    .n = p->n });

	batch->connection = p->connection;
	batch->piece = p->piece;
	batch->part = p->part;
	batch->last_part = !p->more;
	batch->window = p->window;
	batch->frames = p->frames;
	batch->failure = p->failure;
	batch->acked = p->kind != SOURCE_SYSLOG;
	CHECK(writer_submit(b->writer, batch), "a batch is taken");
}

static void
check_said(struct bench *b, const char *want, uint64_t stored, const char *name)
{
	const char *got = bench_drain(b);
	uint64_t n = fixture_count(b->store);

	CHECK(strcmp(got, want) == 0 && n == stored, "%s", name);
	if (strcmp(got, want) != 0 || n != stored)
		(void)printf("# said %s\n# stored %llu\n", got,
		    (unsigned long long)n);
	bench_close(b);
}

static void
order_is_restored_and_windows_are_acknowledged(void)
{
	static const struct piece pieces[] = {
		{ 1, 2, 0, .window = 5, .frames = 5, .offset = 20, .n = 5 },
		{ 1, 0, 1, .more = true, .frames = 4, .offset = 4, .n = 4 },
		{ 1, 1, 0, .frames = 8, .offset = 12, .n = 8 },
		{ 1, 0, 2, .frames = 4, .offset = 8, .n = 4 },
		{ 1, 0, 0, .more = true, .window = 20, .frames = 4, .n = 4 },
		{ 2, 0, 0, .window = 3, .frames = 3, .n = 3 },
	};
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		submit(&b, &pieces[i]);
	check_said(&b, "ack 1 20;ack 1 5;ack 2 3;", 28,
	    "parts are put in order; each window is acknowledged once");
}

static void
what_stays_incomplete_is_not_acknowledged(void)
{
	struct bench b;

	bench_open(&b);
	submit(&b,
	    &(struct piece){ 1, 0, 0, .window = 9, .frames = 5, .n = 5 });
	submit(&b,
	    &(struct piece){ 1, 2, 0, .frames = 4, .offset = 5, .n = 4 });
	check_said(&b, "", 5, "half a window is stored, without an ACK");
}

static void
frames_that_hold_no_event_count_too(void)
{
	struct bench b;

	bench_open(&b);
	submit(&b,
	    &(struct piece){ 1, 0, 0, .window = 9, .frames = 9, .n = 5 });
	submit(&b,
	    &(struct piece){ 1, 1, 0, .window = 2, .frames = 2, .n = 0 });
	check_said(&b, "ack 1 9;ack 1 2;", 5,
	    "control messages are part of their window");
}

static void
a_broken_window_ends_the_connection(void)
{
	static const struct piece pieces[] = {
		{ 1, 0, 0, .window = 5, .frames = 5, .n = 5 },
		{ 1, 1, 0, .window = 5, .frames = 6, .offset = 5, .n = 6 },
		{ 1, 2, 0, .window = 5, .frames = 5, .offset = 11, .n = 5 },
		{ 2, 0, 0, .window = 5, .frames = 4, .n = 4 },
		{ 2, 1, 0, .window = 5, .frames = 5, .offset = 4, .n = 5 },
		{ 3, 0, 0, .frames = 5, .n = 5 },
		{ 4, 0, 0, .window = 5, .frames = 2, .failure = "torn",
		    .n = 2 },
		{ 4, 1, 0, .frames = 3, .offset = 2, .n = 3 },
	};
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		submit(&b, &pieces[i]);
	check_said(&b,
	    "ack 1 5;fail 1 more events than its window announced;"
	    "fail 2 a window began before the last was complete;"
	    "fail 3 more events than its window announced;fail 4 torn;",
	    9, "nothing after the break is stored or acknowledged");
}

static void
syslog_has_no_windows(void)
{
	static const struct piece pieces[] = {
		{ 1, 1, 0, .n = 5, .kind = SOURCE_SYSLOG },
		{ 1, 0, 0, .frames = 4, .n = 4, .kind = SOURCE_SYSLOG },
		{ 1, 2, 0, .n = 2, .failure = "torn", .kind = SOURCE_SYSLOG },
		{ 1, 3, 0, .n = 7, .kind = SOURCE_SYSLOG },
	};
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		submit(&b, &pieces[i]);
	check_said(&b, "fail 1 torn;", 11,
	    "what a syslog sender said before it broke is stored");
}

static void
a_closed_connection_is_counted_out(void)
{
	struct bench b;

	bench_open(&b);
	submit(&b,
	    &(struct piece){ 1, 0, 0, .window = 5, .frames = 5, .n = 5 });
	submit(&b,
	    &(struct piece){ 2, 0, 0, .window = 5, .frames = 5, .n = 5 });
	CHECK(comes_to_say(&b.said, "ack 2 5;"), "two connections write");
	writer_connection_closed(b.writer, 1);
	for (int i = 0; i < 500 && writer_connections(b.writer) != 1; i++)
		(void)usleep(10000);
	CHECK(writer_connections(b.writer) == 1, "one closes");
	submit(&b,
	    &(struct piece){ 1, 1, 0, .window = 5, .frames = 5, .offset = 5,
		.n = 5 });
	check_said(&b, "ack 1 5;ack 2 5;ack 1 5;", 15,
	    "what came whole before still counts");
}

static void
a_full_disk_is_waited_out(void)
{
	struct rlimit old, small;
	struct bench b;

	bench_open(&b);
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 16384;
	(void)setrlimit(RLIMIT_FSIZE, &small);
	submit(&b,
	    &(struct piece){ 1, 0, 0, .window = 500, .frames = 500, .n = 500 });
	CHECK(comes_to_say(&b.said, "trouble;"), "a full disk is told");
	CHECK(!has_said(&b.said, "ack"), "nothing is acknowledged");
	(void)setrlimit(RLIMIT_FSIZE, &old);
	CHECK(comes_to_say(&b.said, "ack 1 500;"),
	    "it goes on when there is room");
	check_said(&b, "trouble;over;ack 1 500;", 500,
	    "the trouble is told once, and its end; nothing is doubled");
}

static void
a_connection_may_close_before_its_pieces_come(void)
{
	struct bench b;

	bench_open(&b);
	writer_connection_closed(b.writer, 1);
	(void)usleep(500000); /* the writer looks five times a second */
	submit(&b,
	    &(struct piece){ 1, 0, 0, .window = 5, .frames = 5, .n = 5 });
	CHECK(comes_to_say(&b.said, "ack 1 5;"), "its pieces count");
	CHECK(writer_connections(b.writer) == 0, "it is followed no longer");
	check_said(&b, "ack 1 5;", 5, "they are stored");
}

/*
 * More than one commit takes waits behind what cannot be written, and there is
 * room again as soon as the first of it is refused.
 */
static void
a_full_disk_holds_up_no_end(void)
{
	enum { QUEUED = 8, MORE = 16, EVENTS = 2000 };
	struct rlimit old, small;
	struct bench b;

	bench_open(&b);
	(void)getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 16384;
	(void)setrlimit(RLIMIT_FSIZE, &small);
	submit(&b,
	    &(struct piece){ 2, 0, 0, .window = 500, .frames = 500, .n = 500 });
	CHECK(comes_to_say(&b.said, "trouble;"), "the disk is full");
	CHECK(!writer_flush(b.writer, FLUSH_NS / 1000) &&
		writer_is_stuck(b.writer),
	    "a flush waits no longer than it is told, and why is known");
	b.said.room_after = 1;
	b.said.room = old;
	for (unsigned i = 0; i < QUEUED + MORE; i++) {
		if (i == QUEUED)
			writer_wait_no_more(b.writer);
		submit(&b,
		    &(struct piece){ 1, i, 0, .window = EVENTS,
			.frames = EVENTS, .offset = EVENTS * i, .n = EVENTS });
	}
	(void)bench_drain(&b);
	CHECK(has_said(&b.said, "fail 1 ") && has_said(&b.said, "fail 2 "),
	    "what cannot be written is not waited for");
	CHECK(fixture_count(b.store) == 0 && !has_said(&b.said, "ack"),
	    "after the refused nothing of the connection is stored");
	(void)setrlimit(RLIMIT_FSIZE, &old);
	bench_close(&b);
}

static void
a_flush_waits_for_all_that_was_submitted(void)
{
	enum { PIECES = 6, EVENTS = 300 };
	struct bench b;
	bool flushed;

	bench_open(&b);
	for (unsigned i = 0; i < PIECES; i++)
		submit(&b,
		    &(struct piece){ 1, i, 0, .window = EVENTS,
			.frames = EVENTS, .offset = EVENTS * i, .n = EVENTS });
	/* its order is incomplete: nothing can come of it */
	submit(&b,
	    &(struct piece){ 2, 1, 0, .window = 5, .frames = 5, .n = 5 });
	flushed = writer_flush(b.writer, FLUSH_NS);
	CHECK(flushed && b.said.events == (uint64_t)PIECES * EVENTS,
	    "all is committed and told of when a flush returns");
	CHECK(writer_flush(b.writer, FLUSH_NS) && !writer_is_stuck(b.writer),
	    "with nothing to do it returns too");
	writer_wait_no_more(b.writer);
	CHECK(!writer_flush(b.writer, FLUSH_NS), "at the end nobody waits");
	bench_close(&b);
}

int
main(void)
{
	order_is_restored_and_windows_are_acknowledged();
	what_stays_incomplete_is_not_acknowledged();
	frames_that_hold_no_event_count_too();
	a_broken_window_ends_the_connection();
	syslog_has_no_windows();
	a_closed_connection_is_counted_out();
	a_connection_may_close_before_its_pieces_come();
	a_full_disk_is_waited_out();
	a_full_disk_holds_up_no_end();
	a_flush_waits_for_all_that_was_submitted();
	return tap_done();
}
