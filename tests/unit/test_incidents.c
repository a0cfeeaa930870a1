/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The correlator thread over a real store and a real rule set: what soc.db
 * holds in the end, however often the collector stopped in between.
 */
#include "collector/incidents/incidents.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "folder.h"
#include "tap.h"
#include "timestamp.h"
#include "xalloc.h"

enum { PATH_BYTES = 512, TEXT_BYTES = 16384, WAIT_MS = 10000 };

#define T0     INT64_C(1763773323000000000)
#define MINUTE (60 * NS_PER_SEC)

static const char rules_text[] =
    "title: Failed log-in\n"
    "id: 11111111-1111-4111-8111-111111111111\n"
    "name: failed\n"
    "logsource: {product: linux}\n"
    "detection: {sel: {event.action: failed}, condition: sel}\n"
    "level: low\n"
    "---\n"
    "title: Many failed log-ins\n"
    "id: 22222222-2222-4222-8222-222222222222\n"
    "correlation:\n"
    "  type: event_count\n"
    "  rules: [failed]\n"
    "  group-by: [source.ip]\n"
    "  timespan: 5m\n"
    "  condition: {gte: 4}\n"
    "level: high\n"
    "---\n"
    "title: No log-in at all\n"
    "id: 33333333-3333-4333-8333-333333333333\n"
    "correlation:\n"
    "  type: event_count\n"
    "  rules: [failed]\n"
    "  group-by: [host.name]\n"
    "  timespan: 10m\n"
    "  condition: {lt: 1}\n"
    "level: medium\n"
    "---\n"
    "title: Root shell\n"
    "id: 44444444-4444-4444-8444-444444444444\n"
    "logsource: {product: linux}\n"
    "detection: {sel: {event.action: shell}, condition: sel}\n"
    "level: critical\n";

/* Moves the places of the others. */
static const char another_rule[] =
    "title: Another\n"
    "id: 00000000-0000-4000-8000-000000000000\n"
    "logsource: {product: linux}\n"
    "detection: {sel: {event.action: another}, condition: sel}\n";

struct world {
	char dir[PATH_BYTES];
	struct ruleset *rules;
	struct matcher *matcher;
	struct store *store;
};

static void
die(const char *what, const struct error *err)
{
	(void)printf("Bail out! %s: %s\n", what, err->text);
	abort();
}

static struct ruleset *
load_rules(const char *dir, const char *text)
{
	char path[PATH_BYTES + 16];
	const char *paths[] = { path };
	struct rule_options o = { .paths = paths,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy" };
	struct ruleset *rs;
	struct error err;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/rules.yml", dir);
	f = fopen(path, "w");
	(void)fputs(text, f);
	(void)fclose(f);
	if (ruleset_load(&o, &rs, &err) != RC_OK)
		die("rules", &err);
	return rs;
}

static void
open_world(struct world *w)
{
	const char *tmp = secure_getenv("TMPDIR");
	struct error err;

	(void)snprintf(w->dir, sizeof(w->dir), "%s/kuzet-incidents-XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(w->dir) == NULL)
		abort();
	w->rules = load_rules(w->dir, rules_text);
	w->matcher = matcher_new(w->rules);
	if (store_open(w->dir, &w->store, &err) != RC_OK)
		die("store", &err);
}

static void
close_world(struct world *w)
{
	store_close(w->store);
	matcher_free(w->matcher);
	ruleset_unref(w->rules);
	folder_remove(w->dir);
}

/* ---- events ---------------------------------------------------------------- */

struct line {
	int64_t second;
	const char *action, *ip;
};

/* Seconds after T0; one commit each. */
static const struct line lines[] = {
	{ 0, "failed", "192.0.2.1" },
	{ 10, "failed", "192.0.2.1" },
	{ 12, "failed", "192.0.2.2" },
	{ 20, "failed", "192.0.2.1" },
	{ 25, "quiet", "192.0.2.9" },
	{ 30, "failed", "192.0.2.1" }, /* the fourth: fires */
	{ 40, "failed", "192.0.2.1" },
	{ 15, "failed", "192.0.2.2" }, /* late */
	{ 60, "shell", "192.0.2.1" },
	{ 61, "shell", "192.0.2.1" },   /* joins */
	{ 2000, "quiet", "192.0.2.9" }, /* now the log-ins are absent */
	{ 300, "failed", "192.0.2.3" }, /* refutes the absence after 40 */
	{ 2010, "failed", "192.0.2.2" },
	{ 2011, "failed", "192.0.2.2" },
	{ 2012, "failed", "192.0.2.2" },
	{ 2005, "failed", "192.0.2.2" }, /* late: fires at 2012 */
	{ 2300, "failed", "192.0.2.2" },
	{ 6000, "shell", "192.0.2.1" }, /* too far to join */
	{ 6001, "shell", "198.51.100.7" },
	{ 6002, "quiet", "192.0.2.9" },
};
enum { COMMITS = sizeof(lines) / sizeof(lines[0]) };

static struct batch *
batch_of(struct world *w, unsigned i)
{
	static const struct logsource linux_logs = { .product =
							 SLICE_INIT("linux") };
	const struct line *line = &lines[i];
	struct batch *b = batch_new();
	struct event *ev = batch_add_event(b);
	const uint32_t *hits;
	uint32_t n;

	b->source.kind = SOURCE_AGENT;
	b->source.owner = SLICE("default");
	b->source.agent = SLICE("web-1");
	ev->time_ns = T0 + line->second * NS_PER_SEC;
	ev->arrival_ns = T0 + 1440 * MINUTE;
	memset(ev->id.stream, 7, sizeof(ev->id.stream));
	ev->id.offset = i;
	event_set_string(ev, FIELD_KUZET_INPUT, SLICE("auth"));
	event_set_string(ev, FIELD_HOST_NAME, SLICE("web-1"));
	event_set_string(ev, FIELD_EVENT_ACTION,
	    (struct slice){ line->action, strlen(line->action) });
	event_set_string(ev, FIELD_SOURCE_IP,
	    (struct slice){ line->ip, strlen(line->ip) });
	hits = matcher_run(w->matcher, ev, &linux_logs, &n);
	for (uint32_t h = 0; h < n; h++)
		batch_add_hit(b, 0, hits[h]);
	b->rules = ruleset_ref(w->rules);
	return b;
}

static void
append(struct world *w, unsigned i, struct log_record *r)
{
	struct batch *b = batch_of(w, i);
	struct error err;

	if (store_append(w->store, &b, 1, r, &err) != RC_OK)
		die("append", &err);
	ruleset_unref(b->rules);
	b->rules = NULL;
	batch_free(b);
}

/* ---- the thread --------------------------------------------------------------- */

static struct incidents *
start(struct world *w)
{
	struct incidents_options o = { .store = w->store,
		.rules = w->rules,
		.single_rule_level = RULE_HIGH,
		.silent_after_ns = 10 * MINUTE,
		.max_queued = 8 };
	struct incidents *in;
	struct error err;

	if (incidents_new(&o, &in, &err) != RC_OK)
		die("incidents", &err);
	return in;
}

static bool
wait_for(struct incidents *in, uint64_t commit)
{
	const struct timespec ms = { 0, NS_PER_MS };

	for (int i = 0; i < WAIT_MS; i++) {
		if (incidents_position(in) >= commit)
			return true;
		(void)nanosleep(&ms, NULL);
	}
	return false;
}

static bool
print_incident(void *ctx, const struct incident *i)
{
	struct buf *out = ctx;

	(void)buf_printf(out, "%.8s %.4s %.*s +%lld..+%lld %llu %.*s%.*s\n",
	    i->id.ptr, i->rule_id.ptr, SLICE_ARG(i->group),
	    (long long)((i->first_seen_ns - T0) / NS_PER_SEC),
	    (long long)((i->last_seen_ns - T0) / NS_PER_SEC),
	    (unsigned long long)i->events, SLICE_ARG(i->status),
	    SLICE_ARG(i->agents));
	return true;
}

static void
print_all(struct world *w, struct buf *out)
{
	struct soc_query all = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct error err;

	buf_init(out, TEXT_BYTES);
	if (soc_incidents(w->store, &all, print_incident, out, &err) != RC_OK)
		die("incidents", &err);
}

/*
 * Commits `n` lines; `alive` says before which of them the thread is there, and
 * `restarts` before which it is stopped and started; `reloads`: the rules are
 * loaded anew before each, now and then with another one before them.
 */
static void
play(bool (*alive)(unsigned i), bool (*restarts)(unsigned i), bool reloads,
    struct buf *out)
{
	char other_order[2 * sizeof(rules_text)];
	struct world w;
	struct incidents *in = NULL;
	bool reached;

	(void)snprintf(other_order, sizeof(other_order), "%s---\n%s",
	    another_rule, rules_text);
	open_world(&w);
	for (unsigned i = 0; i < COMMITS; i++) {
		struct log_record r;

		if (in != NULL && (!alive(i) || restarts(i))) {
			incidents_free(in);
			in = NULL;
		}
		if (in == NULL && alive(i))
			in = start(&w);
		if (reloads) {
			struct ruleset *again = load_rules(w.dir,
			    i % 2 == 0 ? other_order : rules_text);

			(void)incidents_set_rules(in, again);
			ruleset_unref(again);
		}
		append(&w, i, &r);
		if (in != NULL)
			incidents_submit(in, &r);
		else
			log_record_fini(&r);
	}
	if (in == NULL)
		in = start(&w);
	reached = wait_for(in, COMMITS);
	CHECK(reached, "the position reaches the last commit");
	incidents_free(in);
	print_all(&w, out);
	close_world(&w);
}

static bool
always(unsigned i)
{
	(void)i;
	return true;
}

static bool
never(unsigned i)
{
	(void)i;
	return false;
}

static bool
now_and_then(unsigned i)
{
	return i % 5 < 2;
}

static void
print_tap(struct slice text)
{
	for (size_t i = 0, from = 0; i < text.len; i++)
		if (text.ptr[i] == '\n') {
			(void)printf("# %.*s\n", (int)(i - from),
			    text.ptr + from);
			from = i + 1;
		}
}

/* Without the ids, which are hashes. */
static const char *const expected[] = {
	" 2222 {\"source.ip\":\"192.0.2.1\"} +0..+40 5 new[\"web-1\"]\n",
	" 3333 {\"host.name\":\"web-1\"} +40..+40 1 closed[\"web-1\"]\n",
	" 4444 {\"source.ip\":\"192.0.2.1\"} +60..+61 2 new[\"web-1\"]\n",
	" 3333 {\"host.name\":\"web-1\"} +300..+300 1 new[\"web-1\"]\n",
	" 2222 {\"source.ip\":\"192.0.2.2\"} +2005..+2300 5 new[\"web-1\"]\n",
	" 3333 {\"host.name\":\"web-1\"} +2300..+2300 1 new[\"web-1\"]\n",
	" 4444 {\"source.ip\":\"192.0.2.1\"} +6000..+6000 1 new[\"web-1\"]\n",
	" 4444 {\"source.ip\":\"198.51.100.7\"} +6001..+6001 1 new[",
};

static bool
holds_all(struct slice text)
{
	size_t n = 0, lines_n = 0;

	for (size_t i = 0; i < text.len; i++)
		lines_n += text.ptr[i] == '\n';
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		n += memmem(text.ptr, text.len, expected[i],
			 strlen(expected[i])) != NULL;
	return n == sizeof(expected) / sizeof(expected[0]) && lines_n == n;
}

static void
a_log_becomes_incidents(void)
{
	struct buf straight, other;

	play(always, never, false, &straight);
	CHECK(holds_all(buf_slice(&straight)), "the incidents are these");
	if (!holds_all(buf_slice(&straight)))
		print_tap(buf_slice(&straight));

	play(always, always, false, &other);
	CHECK(slice_eq(buf_slice(&straight), buf_slice(&other)),
	    "a restart before each commit changes nothing");
	buf_fini(&other);

	play(always, never, true, &other);
	CHECK(slice_eq(buf_slice(&straight), buf_slice(&other)),
	    "neither does a reload, nor other rules beside them");
	buf_fini(&other);

	play(never, never, false, &other);
	CHECK(slice_eq(buf_slice(&straight), buf_slice(&other)),
	    "read from the log alone they are the same");
	buf_fini(&other);

	play(now_and_then, never, false, &other);
	CHECK(slice_eq(buf_slice(&straight), buf_slice(&other)),
	    "what was committed while nobody listened is made up for");
	buf_fini(&other);
	buf_fini(&straight);
}

/* Rules that changed in the middle; hits of the old ones come before and after. */
static void
a_changed_rule_begins_where_it_changed(void)
{
	static const char other_text[] =
	    "title: Failed log-in\n"
	    "id: 11111111-1111-4111-8111-111111111111\n"
	    "name: failed\n"
	    "logsource: {product: linux}\n"
	    "detection: {sel: {event.action: refused}, condition: sel}\n"
	    "level: low\n";
	enum { BEFORE = 6, ALL = 8, UNKNOWN = 2 };
	struct incidents *in;
	struct ruleset *other;
	struct buf out;
	struct world w;

	open_world(&w);
	in = start(&w);
	for (unsigned i = 0; i < ALL; i++) {
		struct log_record r;

		if (i == BEFORE) {
			other = load_rules(w.dir, other_text);
			/* a late start would read the rest from the log */
			CHECK(wait_for(in, BEFORE) &&
				incidents_set_rules(in, other),
			    "rules are taken in order with the records");
			ruleset_unref(other);
		}
		append(&w, i, &r);
		incidents_submit(in, &r);
	}
	CHECK(wait_for(in, ALL), "the position reaches the last commit");
	CHECK(incidents_unknown_hits(in) == UNKNOWN,
	    "hits of a rule that has changed since are counted");
	incidents_free(in);
	print_all(&w, &out);
	CHECK(memmem(out.ptr, out.len, " +0..+30 4 new", 14) != NULL,
	    "what came before is the old rules'");
	buf_fini(&out);
	close_world(&w);
}

int
main(void)
{
	a_log_becomes_incidents();
	a_changed_rule_begins_where_it_changed();
	return tap_done();
}
