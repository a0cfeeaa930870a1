/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlation rules as people write them: what each type and condition makes of
 * a few events.  (That it stays exact in any order: test_correlate.c.)
 */
#include "correlate.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"
#include "xalloc.h"

enum { TEXT_BYTES = 8192, PATH_BYTES = 64, FIELDS = 16 };

#define SECOND INT64_C(1000000000)

static const char base_rules[] =
    "title: A\nname: a\nid: aaaaaaaa-0000-4000-8000-000000000001\n"
    "logsource: {product: linux}\n"
    "detection: {s: {event.action: a}, condition: s}\n---\n"
    "title: B\nname: b\nid: bbbbbbbb-0000-4000-8000-000000000001\n"
    "logsource: {product: linux}\n"
    "detection: {s: {event.action: b}, condition: s}\n---\n"
    "title: C\nname: c\nid: cccccccc-0000-4000-8000-000000000001\n"
    "logsource: {product: linux}\n"
    "detection: {s: {event.action: c}, condition: s}\n---\n";

/* Rule a letter, time in seconds, user, bytes; a user of "" is missing. */
struct happening {
	char rule;
	int time;
	const char *user, *id;
	int bytes;
};

struct scenario {
	const char *name;
	const char *rules; /* after the base rules */
	struct happening log[12];
	/* one line an incident: title group first..last events at last-ordinal
	 * that completed it ordinals */
	const char *expected;
};

#define CORRELATION(title, body)                                               \
 "title: " title "\ncorrelation:\n  timespan: 1m\n" body "level: high\n"

static const struct scenario scenarios[] = {
	{ "event_count counts within the timespan, its border outside",
	    CORRELATION("Many",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 3}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 30, "u", "", 0 },
		{ 'a', 60, "u", "", 0 }, { 'a', 89, "u", "", 0 } },
	    "Many {\"user.name\":\"u\"} 30..89 3 at 3 [1,2,3]\n" },
	{ "an event without a group-by field forms no group",
	    CORRELATION("Many",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gt: 1}\n"),
	    { { 'a', 0, "", "", 0 }, { 'a', 1, "", "", 0 },
		{ 'a', 2, "u", "", 0 } },
	    "" },
	{ "without group-by there is one group",
	    CORRELATION("Many",
		"  type: event_count\n  rules: [a, b]\n"
		"  condition: {gte: 3}\n"),
	    { { 'a', 0, "x", "", 0 }, { 'b', 1, "y", "", 0 },
		{ 'a', 2, "z", "", 0 } },
	    "Many {} 0..2 3 at 2 [0,1,2]\n" },
	{ "events with one id count once, those without an id each",
	    CORRELATION("Many",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 2}\n"),
	    { { 'a', 0, "u", "e1", 0 }, { 'a', 0, "u", "e1", 0 },
		{ 'a', 0, "v", "", 0 }, { 'a', 0, "v", "", 0 } },
	    "Many {\"user.name\":\"v\"} 0..0 2 at 3 [2,3]\n" },
	{ "a timespan without a hit ends what one event fulfils",
	    CORRELATION("Any",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 1}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 59, "u", "", 0 },
		{ 'a', 119, "u", "", 0 }, { 'a', 120, "u", "", 0 } },
	    "Any {\"user.name\":\"u\"} 0..59 2 at 0 [0,1]\n"
	    "Any {\"user.name\":\"u\"} 119..120 2 at 2 [2,3]\n" },
	{ "two firings with the same event first are one incident",
	    CORRELATION("Odd",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {neq: 2}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 1, "u", "", 0 },
		{ 'a', 2, "u", "", 0 } },
	    "Odd {\"user.name\":\"u\"} 0..2 3 at 0 [0,1,2]\n" },
	{ "it fires again only after it was false",
	    CORRELATION("Many",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 2}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 50, "u", "", 0 },
		{ 'a', 100, "u", "", 0 }, { 'a', 200, "u", "", 0 },
		{ 'a', 210, "u", "", 0 } },
	    "Many {\"user.name\":\"u\"} 0..100 3 at 1 [0,1,2]\n"
	    "Many {\"user.name\":\"u\"} 200..210 2 at 4 [3,4]\n" },
	{ "value_count counts what differs",
	    CORRELATION("Spray",
		"  type: value_count\n  rules: [a]\n"
		"  condition: {gte: 3, field: user.name}\n"),
	    { { 'a', 0, "x", "", 0 }, { 'a', 1, "x", "", 0 },
		{ 'a', 2, "y", "", 0 }, { 'a', 3, "", "", 0 },
		{ 'a', 4, "z", "", 0 } },
	    "Spray {} 0..4 4 at 4 [0,1,2,4]\n" },
	{ "temporal wants all rules, in any order",
	    CORRELATION("Both",
		"  type: temporal\n  rules: [a, b]\n"
		"  group-by: [user.name]\n"),
	    { { 'b', 0, "u", "", 0 }, { 'a', 5, "u", "", 0 },
		{ 'a', 6, "v", "", 0 } },
	    "Both {\"user.name\":\"u\"} 0..5 2 at 1 [0,1]\n" },
	{ "temporal_ordered wants them in their order",
	    CORRELATION("Then",
		"  type: temporal_ordered\n  rules: [a, b]\n"
		"  group-by: [user.name]\n"),
	    { { 'b', 0, "u", "", 0 }, { 'a', 5, "u", "", 0 },
		{ 'b', 7, "u", "", 0 } },
	    "Then {\"user.name\":\"u\"} 0..7 3 at 2 [0,1,2]\n" },
	{ "an extended condition has rules that must not match",
	    CORRELATION("Only",
		"  type: temporal\n  rules: [a, b, c]\n"
		"  group-by: [user.name]\n  condition: a and b and not c\n"),
	    { { 'a', 0, "u", "", 0 }, { 'c', 1, "u", "", 0 },
		{ 'b', 2, "u", "", 0 }, { 'a', 3, "v", "", 0 },
		{ 'b', 4, "v", "", 0 } },
	    "Only {\"user.name\":\"v\"} 3..4 2 at 4 [3,4]\n" },
	{ "value_sum adds up",
	    CORRELATION("Sum",
		"  type: value_sum\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gt: 100, field: http.response.body.bytes}\n"),
	    { { 'a', 0, "u", "", 60 }, { 'a', 1, "u", "", 40 },
		{ 'a', 2, "u", "", 1 } },
	    "Sum {\"user.name\":\"u\"} 0..2 3 at 2 [0,1,2]\n" },
	{ "value_avg averages",
	    CORRELATION("Avg",
		"  type: value_avg\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 50, field: http.response.body.bytes}\n"),
	    { { 'a', 0, "u", "", 10 }, { 'a', 1, "u", "", 90 } },
	    "Avg {\"user.name\":\"u\"} 0..1 2 at 1 [0,1]\n" },
	{ "value_median takes the middle",
	    CORRELATION("Median",
		"  type: value_median\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 50, field: http.response.body.bytes}\n"),
	    { { 'a', 0, "u", "", 10 }, { 'a', 1, "u", "", 1 },
		{ 'a', 2, "u", "", 900 }, { 'a', 3, "u", "", 90 } },
	    "Median {\"user.name\":\"u\"} 0..3 4 at 3 [0,1,2,3]\n" },
	{ "absence fires when the timespan is over, and not at the end",
	    CORRELATION("Silent",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {lt: 1}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 50, "u", "", 0 },
		{ 'b', 111, "x", "", 0 }, { 'a', 112, "u", "", 0 } },
	    "Silent {\"user.name\":\"u\"} 50..50 1 at null [1]\n" },
	{ "too few within a window is one incident",
	    CORRELATION("Few",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {lt: 3}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 10, "u", "", 0 },
		{ 'b', 200, "x", "", 0 } },
	    "Few {\"user.name\":\"u\"} 0..10 2 at null [0,1]\n" },
	{ "a range is judged when its window is complete",
	    CORRELATION("Some",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gt: 1, lte: 3}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 10, "u", "", 0 },
		{ 'a', 0, "v", "", 0 }, { 'b', 200, "x", "", 0 } },
	    "Some {\"user.name\":\"u\"} 0..10 2 at null [0,1]\n" },
	{ "a correlation counts another's firings",
	    CORRELATION("Inner",
		"  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
		"  condition: {gte: 2}\n") "name: inner\n---\n" CORRELATION("Outer",
		"  type: event_count\n  rules: [inner]\n"
		"  condition: {gte: 2}\n"),
	    { { 'a', 0, "u", "", 0 }, { 'a', 1, "u", "", 0 },
		{ 'a', 2, "u", "", 0 }, { 'a', 3, "v", "", 0 },
		{ 'a', 4, "v", "", 0 } },
	    "Outer {} 1..4 2 at 4 [1,4]\n" },
	{ "owners are apart unless the rule says all",
	    CORRELATION("Many",
		"  type: event_count\n  rules: [a]\n"
		"  condition: {gte: 2}\n") "---\n" CORRELATION("All",
		"  type: event_count\n  rules: [a]\n"
		"  condition: {gte: 2}\n") "kuzet: {scope: all}\n",
	    { { 'a', 0, "u", "@other", 0 }, { 'a', 1, "u", "", 0 } },
	    "All {} 0..1 2 at 1 [0,1]\n" },
};

struct world {
	struct ruleset *rs;
	struct buf text[64]; /* of an incident, its newest state */
	char ids[64][33];
	unsigned n;
};

static void
on_incident(void *ctx, const struct correlate_incident *inc)
{
	struct world *w = ctx;
	unsigned i = 0;
	struct buf *b;

	while (i < w->n && strcmp(w->ids[i], inc->id) != 0)
		i++;
	b = &w->text[i];
	if (i == w->n) {
		memcpy(w->ids[w->n++], inc->id, sizeof(inc->id));
		buf_init(b, TEXT_BYTES);
	}
	buf_clear(b);
	(void)buf_printf(b, "%.*s %.*s %lld..%lld %llu at ",
	    SLICE_ARG(ruleset_rule(w->rs, inc->rule)->title),
	    SLICE_ARG(inc->group), (long long)(inc->first_seen_ns / SECOND),
	    (long long)(inc->last_seen_ns / SECOND),
	    (unsigned long long)inc->events);
	if (inc->completed_by == UINT64_MAX)
		(void)buf_add_str(b, "null [");
	else
		(void)buf_printf(b, "%llu [",
		    (unsigned long long)inc->completed_by);
	for (size_t o = 0; o < inc->n_ordinals; o++)
		(void)buf_printf(b, "%s%llu", o > 0 ? "," : "",
		    (unsigned long long)inc->ordinals[o]);
	(void)buf_add_str(b, "]\n");
}

static struct ruleset *
load(const char *rules, uint32_t *refused)
{
	char path[PATH_BYTES] = "/tmp/kuzet-correlate-XXXXXX.yml";
	const char *paths[] = { path };
	struct rule_options o = { .paths = paths,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy" };
	struct ruleset *rs;
	struct error err;
	FILE *f = fdopen(mkstemps(path, 4), "w");

	(void)fprintf(f, "%s%s", base_rules, rules);
	(void)fclose(f);
	if (ruleset_load(&o, &rs, &err) != RC_OK)
		abort();
	(void)unlink(path);
	*refused = ruleset_refused(rs);
	return rs;
}

static void
feed(struct correlator *c, struct ruleset *rs, const struct happening *h,
    unsigned at)
{
	struct value values[FIELDS] = { { .kind = VALUE_NULL } };
	struct correlate_hit hit = { .time_ns = h->time * SECOND,
		.owner = SLICE("default"),
		.agent = SLICE("a1"),
		.position = at + 1,
		.ordinal = at,
		.values = values };
	const uint32_t *fields;
	uint32_t n;

	for (hit.rule = 0;
	     ruleset_rule(rs, hit.rule)->title.ptr[0] != h->rule - 'a' + 'A' ||
	     ruleset_rule(rs, hit.rule)->correlation;)
		hit.rule++;
	if (h->id[0] == '@')
		hit.owner = (struct slice){ h->id + 1, strlen(h->id + 1) };
	else
		hit.id_text = (struct slice){ h->id, strlen(h->id) };
	fields = ruleset_hit_fields(rs, hit.rule, &n);
	for (uint32_t i = 0; i < n && i < FIELDS; i++) {
		if (fields[i] == FIELD_USER_NAME && h->user[0] != '\0')
			values[i] = (struct value){ .kind = VALUE_STRING,
				.s = { h->user, strlen(h->user) } };
		else if (fields[i] ==
		    field_intern(SLICE("http.response.body.bytes")))
			values[i] =
			    (struct value){ .kind = VALUE_INT, .i = h->bytes };
	}
	correlator_source(c, 0);
	correlator_hit(c, &hit);
	correlator_watermark(c, 0, hit.time_ns);
}

static void
a_scenario(const struct scenario *s)
{
	static struct world w;
	struct correlate_options o = { .keep_ordinals = true,
		.on_incident = on_incident,
		.ctx = &w };
	struct correlator *c;
	struct buf all;
	uint32_t refused;

	memset(&w, 0, sizeof(w));
	w.rs = load(s->rules, &refused);
	CHECK(refused == 0, "%s: the rules load", s->name);
	c = correlator_new(w.rs, &o);
	for (unsigned i = 0; s->log[i].rule != '\0'; i++)
		feed(c, w.rs, &s->log[i], i);
	correlator_free(c);
	buf_init(&all, TEXT_BYTES);
	for (unsigned i = 0; i < w.n; i++) {
		(void)buf_add_slice(&all, buf_slice(&w.text[i]));
		buf_fini(&w.text[i]);
	}
	CHECK(slice_eq(buf_slice(&all),
		  (struct slice){ s->expected, strlen(s->expected) }),
	    "%s", s->name);
	if (!slice_eq(buf_slice(&all),
		(struct slice){ s->expected, strlen(s->expected) }))
		(void)printf("# got %.*s", SLICE_ARG(buf_slice(&all)));
	buf_fini(&all);
	ruleset_unref(w.rs);
}

/* ---- bounds ------------------------------------------------------------------- */

static void
on_evict(void *ctx, uint32_t rule, uint64_t hits)
{
	(void)rule;
	*(uint64_t *)ctx += hits;
}

static void
bounds_are_kept_and_counted(void)
{
	static const char rules[] = CORRELATION("Many",
	    "  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
	    "  condition: {gte: 3}\n");
	uint64_t evicted = 0;
	struct correlate_options o = { .late_ns = 1,
		.max_groups = 10,
		.max_hits = 100,
		.on_evict = on_evict,
		.ctx = &evicted };
	struct correlator_stats stats;
	struct correlator *c;
	uint32_t refused;
	struct ruleset *rs = load(rules, &refused);
	char user[16];
	struct happening h = { 'a', 0, user, "", 0 };

	c = correlator_new(rs, &o);
	for (unsigned i = 0; i < 25; i++) {
		h.time = (int)i;
		(void)snprintf(user, sizeof(user), "u%u", i);
		feed(c, rs, &h, i);
	}
	correlator_stats(c, &stats);
	CHECK(stats.groups == 10 && stats.evicted_groups == 15 && evicted == 15,
	    "the groups hit longest ago go, and are counted");
	for (unsigned i = 0; i < 300; i++)
		feed(c, rs, &h, i);
	correlator_stats(c, &stats);
	CHECK(stats.hits <= 100 && stats.evicted_hits > 200,
	    "one group alone keeps the bound of hits too");
	h.time = -100000;
	feed(c, rs, &h, 1);
	correlator_stats(c, &stats);
	CHECK(stats.late_hits == 1, "a hit too old is counted");
	correlator_log_time(c, INT64_C(7) * 3600 * SECOND);
	correlator_stats(c, &stats);
	CHECK(stats.groups == 0 && stats.hits == 0 &&
		correlator_rebuild_position(c) == UINT64_MAX,
	    "groups that nothing touched are forgotten");
	correlator_free(c);
	ruleset_unref(rs);
}

/* Every hit is held, or counted where it left. */
static bool
all_are_accounted_for(const struct correlator *c, uint64_t fed)
{
	struct correlator_stats s;

	correlator_stats(c, &s);
	return s.hits + s.evicted_hits + s.shortened_hits == fed;
}

static void
what_a_shortage_cuts_is_counted(void)
{
	static const char rules[] = CORRELATION("Many",
	    "  type: event_count\n  rules: [a]\n  group-by: [user.name]\n"
	    "  condition: {gte: 3}\n");
	/* short of memory from 100 hits on */
	struct correlate_options o = { .max_hits = 1600, .max_groups = 1000 };
	struct correlator_stats stats;
	struct correlator *c;
	uint32_t refused;
	struct ruleset *rs = load(rules, &refused);
	char user[16] = "u";
	struct happening h = { 'a', 0, user, "", 0 };
	unsigned n = 0;
	bool all = true;

	c = correlator_new(rs, &o);
	for (; n < 99; n++) {
		h.time = (int)(10 * n);
		feed(c, rs, &h, n);
	}
	correlator_stats(c, &stats);
	CHECK(stats.hits == n && stats.shortened_hits == 0,
	    "hits stay for late ones while there is room");
	for (; n < 300; n++) {
		h.time = (int)(10 * n);
		feed(c, rs, &h, n);
		all = all && all_are_accounted_for(c, n + 1);
	}
	correlator_stats(c, &stats);
	CHECK(all && stats.hits <= 100 && stats.shortened_hits >= 200 &&
		stats.evicted_hits == 0,
	    "those of one group that a shortage cuts are counted");
	h.time = 0;
	feed(c, rs, &h, n++);
	correlator_stats(c, &stats);
	CHECK(stats.late_hits == 1 && all_are_accounted_for(c, n),
	    "what comes too late for what is left is counted too");
	for (; n < 900; n++) {
		(void)snprintf(user, sizeof(user), "u%u", n);
		h.time = (int)(10 * n);
		feed(c, rs, &h, n);
		all = all && all_are_accounted_for(c, n + 1);
	}
	correlator_stats(c, &stats);
	CHECK(all && stats.hits <= 101 && stats.evicted_groups == 0,
	    "hits of groups that a shortage ends are counted");
	correlator_free(c);
	ruleset_unref(rs);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		a_scenario(&scenarios[i]);
	bounds_are_kept_and_counted();
	what_a_shortage_cuts_is_counted();
	return tap_done();
}
