/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "json.h"
#include "store_fixture.h"
#include "tap.h"

static void
append(struct store *s, const struct fixture_batch *f, uint64_t stored,
    uint64_t duplicates, const char *name)
{
	struct log_record r;
	struct error err;
	enum rc rc = fixture_append(s, f, &r, &err);

	if (rc != RC_OK)
		(void)printf("# %s\n", err.text);
	CHECK(rc == RC_OK && r.stored == stored && r.duplicates == duplicates,
	    "%s", name);
	if (rc == RC_OK)
		log_record_fini(&r);
}

struct compare {
	const struct batch *b;
	uint32_t at;
	unsigned different;
};

static bool
compare_event(void *ctx, const struct event *ev)
{
	struct compare *c = ctx;
	struct event want = c->b->events[c->at++];
	struct buf a, b;

	event_unset(&want, FIELD_KUZET_INPUT);
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	json_write_event(&a, ev, JSON_NESTED);
	json_write_event(&b, &want, JSON_NESTED);
	if (!slice_eq(buf_slice(&a), buf_slice(&b)) ||
	    ev->arrival_ns != want.arrival_ns) {
		c->different++;
		(void)printf("# got %.*s\n# not %.*s\n",
		    SLICE_ARG(buf_slice(&a)), SLICE_ARG(buf_slice(&b)));
	}
	buf_fini(&a);
	buf_fini(&b);
	return c->different < 3;
}

/* Every kind of value, alone, in lists and mixed in one column. */
static void
add_odd_values(struct batch *b)
{
	static const struct value list[] = {
		{ .kind = VALUE_INT, .i = -5 },
		{ .kind = VALUE_STRING, .s = SLICE_INIT("") },
		{ .kind = VALUE_NULL },
		{ .kind = VALUE_BOOL, .b = true },
		{ .kind = VALUE_DOUBLE, .d = 1.5 },
	};
	const struct value odd[] = {
		{ .kind = VALUE_NULL },
		{ .kind = VALUE_BOOL, .b = false },
		{ .kind = VALUE_INT, .i = INT64_MIN },
		{ .kind = VALUE_INT, .i = INT64_MAX },
		{ .kind = VALUE_DOUBLE, .d = -0.25 },
		{ .kind = VALUE_STRING, .s = SLICE_INIT("a\0b") },
		{ .kind = VALUE_JSON, .s = SLICE_INIT("[{\"a\":[]}]") },
		{ .kind = VALUE_LIST, .n = 5, .list = list },
		{ .kind = VALUE_LIST, .n = 0, .list = list },
	};
	enum { ODD = sizeof(odd) / sizeof(odd[0]) };

	for (uint32_t i = 0; i < 40; i++)
		event_set_value(&b->events[3 * (size_t)i],
		    field_intern(SLICE("my.odd")), odd[i % ODD]);
	for (uint32_t i = 0; i < ODD; i++)
		event_set_value(&b->events[200 + i],
		    i % 2 == 0 ? field_intern(SLICE("my.odd2"))
			       : field_intern(SLICE("my.odd3")),
		    odd[i]);
	event_set_string(&b->events[7], FIELD_MESSAGE, SLICE("elsewhere"));
	event_unset(&b->events[8], FIELD_EVENT_ORIGINAL);
	event_set_int(&b->events[9], FIELD_EVENT_ORIGINAL, 4);
}

static void
events_come_back_as_they_went_in(void)
{
	struct fixture_batch f = { .stream = 1, .n = 1000 };
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct batch *b = fixture_batch(&f);
	struct compare c = { .b = b };
	struct log_record r;
	struct error err = { 0 };
	enum rc rc;

	add_odd_values(b);
	rc = store_append(s, &b, 1, &r, &err);
	CHECK(rc == RC_OK && r.stored == 1000 && r.commit == 1,
	    "a thousand events are stored");
	log_record_fini(&r);
	CHECK(fixture_count(s) == 1000, "and counted");
	rc = fixture_events(s, &q, compare_event, &c, &err);
	CHECK(rc == RC_OK && c.at == 1000 && c.different == 0,
	    "they come back as they went in, in order, without their input");
	fixture_batch_free(b);
	store_close(s);
	fixture_remove(dir);
}

static void
what_is_sent_again_adds_nothing(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct store_counters n;

	append(s, &(struct fixture_batch){ .stream = 1, .n = 10 }, 10, 0,
	    "a stream's first offset may be 0");
	append(s, &(struct fixture_batch){ .stream = 1, .n = 10 }, 0, 10,
	    "the same again is dropped");
	append(s,
	    &(struct fixture_batch){ .stream = 1, .offset = 500, .n = 10 }, 5,
	    5, "what overlaps is cut");
	append(s, &(struct fixture_batch){ .stream = 2, .n = 10 }, 10, 0,
	    "another stream has a mark of its own");
	append(s,
	    &(struct fixture_batch){ .agent = "web-2", .stream = 1, .n = 10 },
	    10, 0, "so has another agent");
	append(s,
	    &(struct fixture_batch){ .owner = "north", .stream = 1, .n = 10 },
	    10, 0, "and another owner");
	append(s, &(struct fixture_batch){ .n = 10 }, 10, 0,
	    "without an identity each counts");
	append(s, &(struct fixture_batch){ .n = 10 }, 10, 0, "and again");
	store_counters(s, &n);
	CHECK(n.events == 65 && n.duplicates == 15 && n.commits == 8,
	    "all is counted");
	store_close(s);

	s = fixture_open(dir);
	append(s,
	    &(struct fixture_batch){ .stream = 1, .offset = 1000, .n = 10 }, 5,
	    5, "marks outlive a restart");
	store_counters(s, &n);
	CHECK(n.events == 70 && n.commits == 9,
	    "counters and commit numbers too");
	store_close(s);
	fixture_remove(dir);
}

static void
foreign_identities_are_remembered(void)
{
	struct fixture_batch f = { .kind = SOURCE_FOREIGN, .n = 1000 };
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);

	append(s, &f, 1000, 0, "foreign events are stored");
	append(s, &f, 0, 1000, "the same identities again are dropped");
	store_close(s);
	s = fixture_open(dir);
	append(s, &f, 0, 1000, "also after a restart");
	for (f.offset = 1000; f.offset < 66000; f.offset += 1000) {
		struct log_record r;
		struct error err;

		(void)fixture_append(s, &f, &r, &err);
		log_record_fini(&r);
	}
	f.offset = 65000;
	f.arrival_ns = T0 + 2 * DAY;
	append(s, &f, 0, 1000, "a new day remembers the last 65,536");
	store_close(s);
	s = fixture_open(dir);
	f.offset = 0;
	append(s, &f, 464, 536, "those before them are forgotten");
	f.offset = 2000;
	append(s, &f, 0, 1000, "those after them are not");
	store_close(s);
	fixture_remove(dir);
}

static void
a_new_day_goes_on_where_the_old_one_ended(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct store_counters n;
	struct batch *b;
	struct log_record r;
	struct error err;

	append(s,
	    &(struct fixture_batch){ .stream = 1, .n = 10, .hits_every = 5 },
	    10, 0, "first day");
	append(s, &(struct fixture_batch){ .stream = 2, .n = 10 }, 10, 0,
	    "a stream that ends");
	b = fixture_batch(&(struct fixture_batch){ .n = 0 });
	(void)fixture_control(b, "stream_end", 2, T0 + 20 * SECOND);
	(void)store_append(s, &b, 1, &r, &err);
	log_record_fini(&r);
	fixture_batch_free(b);
	append(s, &(struct fixture_batch){ .stream = 2, .n = 10 }, 0, 10,
	    "is not forgotten at once");
	append(s,
	    &(struct fixture_batch){ .stream = 1,
		.offset = 500,
		.n = 10,
		.time_ns = T0 + DAY,
		.hits_every = 5 },
	    5, 5, "marks are copied to the new day");
	append(s,
	    &(struct fixture_batch){ .stream = 2,
		.n = 10,
		.time_ns = T0 + DAY },
	    10, 0, "but for those of streams that ended");
	append(s,
	    &(struct fixture_batch){ .stream = 3, .n = 10, .time_ns = T0 }, 10,
	    0, "a clock that goes back does not reopen a day");
	store_counters(s, &n);
	CHECK(n.commits == 7 && n.events == 45 && n.detections == 3,
	    "numbers go on across days");
	store_close(s);
	s = fixture_open(dir);
	store_counters(s, &n);
	CHECK(n.commits == 7 && n.events == 45 && n.detections == 3,
	    "and over a restart");
	CHECK(fixture_count(s) == 45, "a query reads both days");
	store_close(s);
	fixture_remove(dir);
}

/* One batch of `n` events, each of a stream of its own. */
static void
append_streams(struct store *s, uint32_t first, unsigned n)
{
	struct batch *b =
	    fixture_batch(&(struct fixture_batch){ .stream = 9, .n = n });
	struct log_record r;
	struct error err;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t stream = first + i;

		memcpy(b->events[i].id.stream + 8, &stream, sizeof(stream));
	}
	if (store_append(s, &b, 1, &r, &err) == RC_OK)
		log_record_fini(&r);
	fixture_batch_free(b);
}

static void
marks_are_bounded(void)
{
	enum { MARKS = 65536, STEP = 2000, N = 68000 };

	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct store_counters n;

	for (uint32_t i = 0; i < N; i += STEP)
		append_streams(s, i, STEP);
	append_streams(s, N - STEP, STEP);
	store_counters(s, &n);
	CHECK(n.events == N && n.duplicates == STEP &&
		n.forgotten_marks == 66000 - MARKS / 2,
	    "an agent with too many streams loses the oldest half: %llu",
	    (unsigned long long)n.forgotten_marks);
	append_streams(s, 0, STEP);
	store_counters(s, &n);
	CHECK(n.events == N + STEP, "of which a resend is stored again");
	store_close(s);
	s = fixture_open(dir);
	append_streams(s, 0, STEP);
	append_streams(s, 2 * STEP, STEP);
	store_counters(s, &n);
	CHECK(n.duplicates == STEP && n.events == N + 2 * STEP,
	    "they are gone from the day file too");
	store_close(s);
	fixture_remove(dir);
}

static void
the_future_is_clamped(void)
{
	struct store_query q = { .since_ns = T0 - SECOND,
		.until_ns = T0 + SECOND };
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);

	append(s,
	    &(struct fixture_batch){ .stream = 1,
		.n = 1,
		.time_ns = T0 + 601 * SECOND,
		.arrival_ns = T0 },
	    1, 0, "an event from the future is stored");
	CHECK(fixture_count_of(s, &q) == 1, "at the time of its arrival");
	append(s,
	    &(struct fixture_batch){ .stream = 1,
		.offset = 100,
		.n = 1,
		.time_ns = T0 + 600 * SECOND,
		.arrival_ns = T0 },
	    1, 0, "ten minutes are believed");
	CHECK(fixture_count_of(s, &q) == 1, "and kept");
	store_close(s);
	fixture_remove(dir);
}

static void
set_version(const char *dir, const char *name)
{
	char path[4096];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)sqlite3_open(path, &db);
	(void)sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL);
	(void)sqlite3_close(db);
}

static void
what_cannot_be_opened_says_why(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct store *other = NULL;
	struct error err = { 0 };

	CHECK(store_open(dir, &other, &err) == RC_DENIED && other == NULL,
	    "a second collector is refused: %s", err.text);
	append(s, &(struct fixture_batch){ .stream = 1, .n = 10 }, 10, 0,
	    "the first goes on");
	CHECK(store_open_readonly(dir, &other, &err) == RC_OK,
	    "a reader is welcome");
	CHECK(other != NULL && fixture_count(other) == 10, "and reads");
	store_close(other);
	store_close(s);
	set_version(dir, "2025-11-22.db");
	CHECK(store_open(dir, &s, &err) == RC_INVALID,
	    "a newer day file is refused: %s", err.text);
	fixture_remove(dir);

	dir = fixture_folder();
	s = fixture_open(dir);
	store_close(s);
	set_version(dir, "soc.db");
	CHECK(store_open(dir, &s, &err) == RC_INVALID,
	    "a newer soc.db is refused: %s", err.text);
	fixture_remove(dir);
}

int
main(void)
{
	events_come_back_as_they_went_in();
	what_is_sent_again_adds_nothing();
	foreign_identities_are_remembered();
	a_new_day_goes_on_where_the_old_one_ended();
	marks_are_bounded();
	the_future_is_clamped();
	what_cannot_be_opened_says_why();
	return tap_done();
}
