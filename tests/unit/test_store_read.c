/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "json.h"
#include "store.h"
#include "store_fixture.h"
#include "tap.h"

static struct error err;

/* ---- the log ------------------------------------------------------------ */

/* A record as text, so that two can be compared whole. */
static void
print_record(struct buf *out, const struct log_record *r)
{
	(void)buf_printf(out, "commit %llu at %lld: %llu, %llu\n",
	    (unsigned long long)r->commit, (long long)r->arrival_ns,
	    (unsigned long long)r->stored, (unsigned long long)r->duplicates);
	for (size_t i = 0; i < r->n_watermarks; i++)
		(void)buf_printf(out, " mark %u %lld %lld %d\n",
		    r->watermarks[i].source,
		    (long long)r->watermarks[i].time_ns,
		    (long long)r->watermarks[i].arrival_ns,
		    r->watermarks[i].live);
	for (size_t i = 0; i < r->n_hits; i++) {
		const struct log_hit *h = &r->hits[i];

		(void)buf_printf(out,
		    " hit %.*s %d %d %lld %lld %u:%llu %.*s %.*s %.*s %u",
		    SLICE_ARG(h->rule_id), h->rule_digest[0], h->visible,
		    (long long)h->time_ns, (long long)h->arrival_ns,
		    h->id.stream[0], (unsigned long long)h->id.offset,
		    SLICE_ARG(h->id_text), SLICE_ARG(h->owner),
		    SLICE_ARG(h->agent), h->source);
		for (uint32_t k = 0; k < h->n_fields; k++) {
			(void)buf_printf(out, " %u=", h->fields[k]);
			json_write_value(out, &h->values[k]);
		}
		(void)buf_add_char(out, '\n');
	}
}

static const uint32_t *
fields_of(void *ctx, const uint8_t digest[SHA256_BYTES], uint32_t *n)
{
	(void)ctx;
	return ruleset_hit_fields(NULL, digest[0] - 1U, n);
}

static bool
add_record(void *ctx, const struct log_record *r)
{
	print_record(ctx, r);
	return true;
}

static void
append_and_print(struct store *s, struct batch *const *batches, size_t n,
    struct buf *out)
{
	struct log_record r;

	if (store_append(s, batches, n, &r, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	print_record(out, &r);
	log_record_fini(&r);
}

static void
a_record_reads_back_as_it_was_live(void)
{
	static const struct fixture_batch all[][3] = {
		{ { .stream = 1, .n = 20, .hits_every = 3 },
		    { .agent = "web-2", .stream = 2, .n = 5, .hits_every = 1 },
		    { .owner = "north",
			.stream = 1,
			.n = 9,
			.hits_every = 2 } },
		{ { .stream = 1, .offset = 1000, .n = 20, .hits_every = 3 },
		    { .kind = SOURCE_FOREIGN, .n = 7, .hits_every = 2 },
		    { .owner = "north",
			.kind = SOURCE_SYSLOG,
			.n = 4,
			.hits_every = 1 } },
		{ { .stream = 1,
		      .offset = 5000,
		      .n = 20,
		      .hits_every = 3,
		      .time_ns = T0 + DAY },
		    { .kind = SOURCE_FOREIGN, .n = 7, .hits_every = 2 },
		    { .agent = "new",
			.stream = 9,
			.n = 4,
			.hits_every = 1,
			.time_ns = T0 - DAY,
			.arrival_ns = T0 } },
	};
	char *dir = fixture_folder();
	struct buf live, back;
	struct store *s;

	buf_init(&live, 1 << 20);
	buf_init(&back, 1 << 20);
	(void)store_open(dir, &s, &err);
	for (unsigned i = 0; i < 3; i++) {
		struct batch *b[3];

		for (unsigned k = 0; k < 3; k++)
			b[k] = fixture_batch(&all[i][k]);
		(void)fixture_control(b[0], "heartbeat", 0,
		    T0 + (int64_t)i * DAY + 40 * SECOND);
		append_and_print(s, b, 3, &live);
		for (unsigned k = 0; k < 3; k++)
			fixture_batch_free(b[k]);
	}
	CHECK(store_read_log(s, 1, fields_of, add_record, &back, &err) ==
		    RC_OK &&
		slice_eq(buf_slice(&live), buf_slice(&back)),
	    "records read back are the live ones, over two days");
	if (!slice_eq(buf_slice(&live), buf_slice(&back)))
		(void)printf("# live %.*s\n# back %.*s\n",
		    SLICE_ARG(buf_slice(&live)), SLICE_ARG(buf_slice(&back)));
	CHECK(strstr((buf_add_char(&live, '\0'), live.ptr), "beat-2 default") !=
		NULL,
	    "foreign identities are their ids");
	buf_clear(&back);
	CHECK(store_read_log(s, 3, fields_of, add_record, &back, &err) ==
		    RC_OK &&
		strncmp(back.ptr, "commit 3 ", 9) == 0,
	    "reading begins where it is told");
	buf_clear(&back);
	CHECK(store_read_log(s, 4, fields_of, add_record, &back, &err) ==
		    RC_OK &&
		back.len == 0,
	    "and beyond the end there is nothing");
	buf_fini(&live);
	buf_fini(&back);
	store_close(s);
	fixture_remove(dir);
}

static struct log_watermark
watermark_after(struct store *s, struct batch *b)
{
	struct log_watermark w = { 0 };
	struct log_record r;

	if (store_append(s, &b, 1, &r, &err) == RC_OK) {
		if (r.n_watermarks > 0)
			w = r.watermarks[0];
		log_record_fini(&r);
	}
	fixture_batch_free(b);
	return w;
}

static void
watermarks_follow_live_sources(void)
{
	char *dir = fixture_folder();
	struct log_watermark w;
	struct store *s;
	struct batch *b;

	(void)store_open(dir, &s, &err);
	b = fixture_batch(&(struct fixture_batch){ .n = 0 });
	(void)fixture_control(b, "heartbeat", 0, T0);
	w = watermark_after(s, b);
	CHECK(w.source == 1 && w.time_ns == 0 && w.arrival_ns == T0 && !w.live,
	    "a source without events has no time");
	w = watermark_after(s,
	    fixture_batch(&(struct fixture_batch){ .stream = 1, .n = 10 }));
	CHECK(w.source == 1 && w.time_ns == T0 + 9 * SECOND && w.live,
	    "its highest event time is its watermark");
	b = fixture_batch(&(struct fixture_batch){ .n = 0 });
	(void)fixture_control(b, "heartbeat", 0, T0 + 60 * SECOND);
	w = watermark_after(s, b);
	CHECK(w.time_ns == T0 + 60 * SECOND && w.live,
	    "a live one follows its agent's heartbeat");
	w = watermark_after(s,
	    fixture_batch(&(struct fixture_batch){ .agent = "old",
		.stream = 1,
		.n = 10,
		.arrival_ns = T0 + DAY }));
	CHECK(w.source == 2 && w.time_ns == T0 + 9 * SECOND && !w.live,
	    "a source of old events is not live");
	b = fixture_batch(&(struct fixture_batch){ .agent = "old" });
	(void)fixture_control(b, "heartbeat", 0, T0 + DAY);
	w = watermark_after(s, b);
	CHECK(w.time_ns == T0 + 9 * SECOND && w.arrival_ns == T0 + DAY,
	    "and stays where its events are");
	store_close(s);
	fixture_remove(dir);
}

/* ---- queries ------------------------------------------------------------ */

static bool
count_one(void *ctx, const struct event *ev)
{
	unsigned *n = ctx;

	(void)ev;
	(*n)++;
	return true;
}

/* Each event has one that is visible. */
static bool
count_detection(void *ctx, const struct store_detection *d)
{
	unsigned *n = ctx;

	(void)d;
	(*n)++;
	return true;
}

struct query_case {
	const char *name;
	struct store_query q;
	struct store_filter filters[2];
	uint64_t count;
};

static void
queries_find_what_they_ask_for(void)
{
	const struct query_case cases[] = {
		{ "everything", { .limit = 0 }, { { 0 } }, 300 },
		{ "at most so many", { .limit = 7 }, { { 0 } }, 7 },
		{ "one owner", { .owner = SLICE("north") }, { { 0 } }, 100 },
		{ "no such owner", { .owner = SLICE("nor") }, { { 0 } }, 0 },
		{ "since a time", { .since_ns = T0 + 90 * SECOND }, { { 0 } },
		    30 },
		{ "until a time", { .until_ns = T0 + 1 * SECOND }, { { 0 } },
		    3 },
		{ "a string", { .n_filters = 1 },
		    { { FIELD_USER_NAME, SLICE("user3") } }, 42 },
		{ "a number", { .n_filters = 1 },
		    { { FIELD_SOURCE_PORT, SLICE("50") } }, 3 },
		{ "an item of a list", { .n_filters = 1 },
		    { { FIELD_EVENT_CATEGORY, SLICE("session") } }, 300 },
		{ "two fields", { .n_filters = 2, .owner = SLICE("north") },
		    { { FIELD_USER_NAME, SLICE("user1") },
			{ FIELD_SOURCE_PORT, SLICE("50") } },
		    1 },
		{ "a part of a value is not the value", { .n_filters = 1 },
		    { { FIELD_USER_NAME, SLICE("user") } }, 0 },
		{ "a value without a token", { .n_filters = 1 },
		    { { FIELD_USER_NAME, SLICE("-") } }, 0 },
		{ "a field that no event has", { .n_filters = 1 },
		    { { FIELD_URL_ORIGINAL, SLICE("user1") } }, 0 },
		{ "an event's id", { .n_filters = 1 },
		    { { FIELD_EVENT_ID,
			SLICE("02000000-0000-0000-0000-000000000000:500") } },
		    1 },
		{ "an id that nobody has", { .n_filters = 1 },
		    { { FIELD_EVENT_ID,
			SLICE("02000000-0000-0000-0000-000000000000:501") } },
		    0 },
		{ "a time stamp", { .n_filters = 1 },
		    { { FIELD_TIMESTAMP, SLICE("2025-11-22T01:02:05Z") } }, 3 },
		{ "no time stamp", { .n_filters = 1 },
		    { { FIELD_TIMESTAMP, SLICE("2025") } }, 0 },
	};
	struct slice any = { NULL, 0 };
	char *dir = fixture_folder();
	struct store *s;

	(void)store_open(dir, &s, &err);
	for (unsigned i = 0; i < 3; i++) {
		struct log_record r;

		(void)fixture_append(s,
		    &(struct fixture_batch){ .stream = (uint8_t)(i + 1),
			.owner = i == 2 ? "north" : NULL,
			.hits_every = 1,
			.n = 100 },
		    &r, &err);
		log_record_fini(&r);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_query q = cases[i].q;
		unsigned n = 0, detected = 0;
		enum rc rc;

		q.filters = cases[i].filters;
		if (q.since_ns == 0)
			q.since_ns = INT64_MIN;
		if (q.until_ns == 0)
			q.until_ns = INT64_MAX;
		rc = fixture_events(s, &q, count_one, &n, &err);
		if (rc == RC_OK)
			rc = store_detections(s, &q, any, count_detection,
			    &detected, &err);
		CHECK(rc == RC_OK && n == cases[i].count &&
			detected == cases[i].count,
		    "finds %s: %u, %u detections", cases[i].name, n, detected);
	}
	store_close(s);
	fixture_remove(dir);
}

#define RULE_ZERO                                                              \
 "{\"id\":\"rule-zero\",\"title\":\"Zero\",\"author\":\"\",\"tags\":[]} "      \
 "informational "

static bool
add_detection(void *ctx, const struct store_detection *d)
{
	struct buf *out = ctx;

	(void)buf_printf(out, "%.*s %.*s %llu %.*s\n", SLICE_ARG(d->rule),
	    SLICE_ARG(d->level), (unsigned long long)d->event->id.offset,
	    SLICE_ARG(d->group));
	return true;
}

static bool
add_agent(void *ctx, const struct store_agent *a)
{
	(void)buf_printf(ctx, "%.*s/%.*s %llu\n", SLICE_ARG(a->owner),
	    SLICE_ARG(a->agent), (unsigned long long)a->events);
	return true;
}

static void
detections_and_agents_come_from_the_log(void)
{
	struct store_query all = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	struct store_query one = { .since_ns = T0 + SECOND,
		.until_ns = INT64_MAX,
		.limit = 1 };
	struct slice any = { NULL, 0 };
	char *dir = fixture_folder();
	struct log_record r;
	struct store *s;
	struct buf out;

	buf_init(&out, 1 << 16);
	(void)store_open(dir, &s, &err);
	CHECK(store_agents(s, (struct slice){ NULL, 0 }, add_agent, &out,
		  &err) == RC_OK &&
		out.len == 0,
	    "an empty store has no agents");
	(void)fixture_append(s,
	    &(struct fixture_batch){ .stream = 1, .n = 10, .hits_every = 5 },
	    &r, &err);
	log_record_fini(&r);
	(void)fixture_append(s,
	    &(struct fixture_batch){ .agent = "db-1", .stream = 1, .n = 3 }, &r,
	    &err);
	log_record_fini(&r);
	CHECK(store_detections(s, &all, any, add_detection, &out, &err) ==
		    RC_OK &&
		slice_eq(buf_slice(&out),
		    SLICE(
			RULE_ZERO "0 {\"source.ip\":\"192.0.2.7\"}\n" RULE_ZERO
				  "500 {\"source.ip\":\"192.0.2.7\"}"
				  "\n")),
	    "visible matches are detections");
	buf_clear(&out);
	CHECK(store_detections(s, &all, SLICE("rule-one"), add_detection, &out,
		  &err) == RC_OK &&
		out.len == 0,
	    "others are not");
	CHECK(store_detections(s, &one, SLICE("rule-zero"), add_detection, &out,
		  &err) == RC_OK &&
		slice_eq(buf_slice(&out),
		    SLICE(RULE_ZERO "500 {\"source.ip\":\"192.0.2.7\"}"
				    "\n")),
	    "by rule and time");
	buf_clear(&out);
	CHECK(store_agents(s, (struct slice){ NULL, 0 }, add_agent, &out,
		  &err) == RC_OK &&
		slice_eq(buf_slice(&out),
		    SLICE("default/db-1 3\ndefault/web-1 10\n")),
	    "agents are known with what they sent");
	store_close(s);
	buf_fini(&out);
	fixture_remove(dir);
}

int
main(void)
{
	a_record_reads_back_as_it_was_live();
	watermarks_follow_live_sources();
	queries_find_what_they_ask_for();
	detections_and_agents_come_from_the_log();
	return tap_done();
}
