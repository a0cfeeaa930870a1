/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kuzetctl rules replay: the events of a store, as they came in, through the
 * matcher and the correlator that the collector runs.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collector/api/api_private.h"
#include "collector/incidents/changes.h"
#include "command.h"
#include "correlate.h"
#include "json.h"
#include "rules.h"
#include "store.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	LINE_BYTES = 64 << 20,
	FLUSH_CHANGES = 20000, /* incidents that are held back */
	SOURCES_MAX = 1 << 20,
};

/* As the collector's: what passed while nothing came in is no time. */
#define GAP_NS      (60 * NS_PER_SEC)
#define PROGRESS_NS (NS_PER_SEC / 2)

static const char default_dir[] = "/var/lib/kuzet";

static const char help[] =
    "usage: kuzetctl rules replay --rules PATH... [--since T] [--until T]\n"
    "                             [--dir STATE_DIR] [--incidents]\n"
    "                             [--level LEVEL] [--json]\n\n"
    "Runs rules, correlations included, over the events of a store, and prints\n"
    "what they would have raised: detections, then incidents, and last what was\n"
    "read and how fast.  Nothing is changed; the collector may run meanwhile.\n\n"
    "  --rules PATH...  files, or folders of *.yml\n"
    "  --since T        events not before T (@timestamp)\n"
    "  --until T        before T\n"
    "  --dir STATE_DIR  the collector's state; /var/lib/kuzet without it\n"
    "  --incidents      no detections\n"
    "  --level LEVEL    matches of single rules from here on are incidents:\n"
    "                   high without it\n"
    "  --json           one JSON object a line\n\n"
    "T is RFC 3339 (2026-11-22T01:02:03Z), a date, now, or a span back from\n"
    "now: 30s 15m 2h 30d 8w.\n";

struct replay {
	struct rules_arguments arguments; /* of it the rules only */
	const char *dir;
	int64_t since_ns, until_ns;
	enum rule_level level;
	bool json, quiet_detections, terminal;

	struct ruleset *ruleset;
	struct matcher *matcher;
	struct correlator *correlator;
	struct changes changes;
	struct value *values; /* of one hit */
	uint32_t cap_values;
	int64_t *newest, *told; /* watermarks by source: told to correlation */
	uint32_t n_sources;
	uint32_t *moved; /* sources whose watermark the commit moved */
	uint32_t n_moved, cap_moved;
	uint64_t commit;   /* of the event before */
	uint64_t *commits; /* of the block at hand */
	int64_t clock_ns, arrival_ns;
	uint64_t total, events, detections, incidents;
	int64_t began_ns, shown_ns;
	struct buf line, about, group;
	struct store_ids ids; /* of the block at hand */
};

/* ---- arguments ------------------------------------------------------------------ */

static int
wrong(const char *option, const char *why)
{
	(void)fprintf(stderr, "kuzetctl rules replay: %s: %s\n", option, why);
	return EXIT_USAGE;
}

static int
add_time(const char *option, const char *text, int64_t *out)
{
	struct error err;

	if (timestamp_parse_argument(text, timestamp_now(), out, &err) != RC_OK)
		return wrong(option, err.text);
	return -1;
}

static int
add_level(struct replay *r, const char *name)
{
	for (int i = RULE_INFORMATIONAL; i <= RULE_CRITICAL; i++) {
		if (strcmp(rule_level_name((enum rule_level)i), name) == 0) {
			r->level = (enum rule_level)i;
			return -1;
		}
	}
	return wrong("--level",
	    "write informational, low, medium, high or critical");
}

static int
take_option(struct replay *r, int c)
{
	switch (c) {
	case 'r':
		r->arguments.rules.paths[r->arguments.rules.n++] = optarg;
		return -1;
	case 'd':
		r->dir = optarg;
		return -1;
	case 's':
		return add_time("--since", optarg, &r->since_ns);
	case 'u':
		return add_time("--until", optarg, &r->until_ns);
	case 'i':
		r->quiet_detections = true;
		return -1;
	case 'l':
		return add_level(r, optarg);
	case 'j':
		r->json = true;
		return -1;
	case 'h':
		(void)fputs(help, stdout);
		return EXIT_GOOD;
	default:
		return EXIT_USAGE;
	}
}

static int
read_arguments(struct replay *r, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "rules", required_argument, NULL, 'r' },
		{ "dir", required_argument, NULL, 'd' },
		{ "since", required_argument, NULL, 's' },
		{ "until", required_argument, NULL, 'u' },
		{ "incidents", no_argument, NULL, 'i' },
		{ "level", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	rules_paths_init(&r->arguments.rules, argc);
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		int status = take_option(r, c);

		if (status != -1)
			return status;
	}
	/* --rules A B: what is no option is one more path */
	while (optind < argc)
		r->arguments.rules.paths[r->arguments.rules.n++] =
		    argv[optind++];
	if (r->arguments.rules.n == 0)
		return wrong("--rules", "which rules? --help tells more");
	return -1;
}

/* ---- what is printed -------------------------------------------------------------- */

static void
print_line(struct replay *r)
{
	(void)buf_add_char(&r->line, '\n');
	(void)fwrite(r->line.ptr, 1, r->line.len, stdout);
	buf_clear(&r->line);
}

static void
print_detection(struct replay *r, const struct rule_info *info,
    const struct event *ev)
{
	char time[TIMESTAMP_TEXT_MAX];
	struct detection d = {
		.rule_id = info->id,
		.level = { rule_level_name(info->level),
		    strlen(rule_level_name(info->level)) },
		.event_id = event_id_text(ev),
		.time_ns = ev->time_ns,
	};

	r->detections++;
	if (r->quiet_detections)
		return;
	if (!r->json) {
		(void)buf_printf(&r->line, "%.*s  %-13.*s %.*s  %.*s",
		    SLICE_ARG(timestamp_format(ev->time_ns, time)),
		    SLICE_ARG(d.level), SLICE_ARG(info->title),
		    SLICE_ARG(d.event_id));
		print_line(r);
		return;
	}
	buf_clear(&r->about);
	rule_write_about(&r->about, info);
	d.rule = buf_slice(&r->about);
	buf_clear(&r->group);
	if (event_get(ev, FIELD_SOURCE_IP) != NULL) {
		(void)buf_add_str(&r->group, "{\"source.ip\":");
		json_write_value(&r->group, event_get(ev, FIELD_SOURCE_IP));
		(void)buf_add_char(&r->group, '}');
	}
	d.group = buf_slice(&r->group);
	detection_write(&r->line, &d);
	print_line(r);
}

static void
print_incident(struct replay *r, const struct incident *i)
{
	char time[TIMESTAMP_TEXT_MAX];

	r->incidents += i->opened;
	if (r->json) {
		incident_write(&r->line, i);
	} else {
		(void)buf_printf(&r->line,
		    "%.*s  %-13.*s incident: %.*s  %.*s  %llu events%s",
		    SLICE_ARG(timestamp_format(i->first_seen_ns, time)),
		    SLICE_ARG(i->level), SLICE_ARG(i->rule_title),
		    SLICE_ARG(i->group), (unsigned long long)i->events,
		    i->reason.len > 0 ? "  (disproved)" : "");
	}
	print_line(r);
}

static void
on_incident(void *ctx, const struct correlate_incident *inc)
{
	struct replay *r = ctx;

	changes_add(&r->changes, r->ruleset, NULL, inc);
}

static void
flush_incidents(struct replay *r)
{
	correlator_flush(r->correlator);
	for (size_t i = 0; i < r->changes.n; i++)
		print_incident(r, &r->changes.list[i]);
	changes_clear(&r->changes);
}

static int64_t
monotonic(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static void
show_progress(struct replay *r, bool last)
{
	int64_t now_ns = monotonic();
	double seconds = (double)(now_ns - r->began_ns) / 1e9;

	if (!r->terminal || (!last && now_ns - r->shown_ns < PROGRESS_NS))
		return;
	r->shown_ns = now_ns;
	(void)fprintf(stderr, "\r\033[K");
	if (!last)
		(void)fprintf(stderr,
		    "%llu of %llu events, %.0f events/s, %llu detections",
		    (unsigned long long)r->events, (unsigned long long)r->total,
		    seconds > 0 ? (double)r->events / seconds : 0,
		    (unsigned long long)r->detections);
}

static void
print_summary(struct replay *r)
{
	double seconds = (double)(monotonic() - r->began_ns) / 1e9;
	double rate = seconds > 0 ? (double)r->events / seconds : 0;
	struct correlator_stats stats;

	correlator_stats(r->correlator, &stats);
	(void)printf(r->json
		? "{\"type\":\"summary\",\"events\":%llu,\"rules\":%u,"
		  "\"detections\":%llu,\"incidents\":%llu,\"late_hits\":%llu,"
		  "\"evicted_hits\":%llu,\"seconds\":%.3f,\"events_per_second\":%.0f}\n"
		: "%llu events, %u rules: %llu detections, %llu incidents, "
		  "%llu hits too late, %llu evicted; %.1f s, %.0f events/s\n",
	    (unsigned long long)r->events, ruleset_loaded(r->ruleset),
	    (unsigned long long)r->detections, (unsigned long long)r->incidents,
	    (unsigned long long)stats.late_hits,
	    (unsigned long long)(stats.evicted_hits - stats.late_hits), seconds,
	    rate);
}

/* ---- events ------------------------------------------------------------------------ */

static struct slice
text_or(const struct event *ev, uint32_t field, struct slice otherwise)
{
	struct slice s = event_get_string(ev, field);

	return s.ptr != NULL ? s : otherwise;
}

static void
correlate(struct replay *r, const struct event *ev, uint32_t rule,
    uint32_t source)
{
	struct correlate_hit hit = {
		.rule = rule,
		.time_ns = ev->time_ns,
		.id = ev->id,
		.owner = text_or(ev, FIELD_ORGANIZATION_ID, SLICE("default")),
		.agent = text_or(ev, FIELD_AGENT_ID, SLICE("")),
		.position = r->events + 1,
		.ordinal = 0,
	};
	uint32_t n;
	const uint32_t *fields;

	if (!correlator_wants(r->correlator, rule))
		return;
	fields = ruleset_hit_fields(r->ruleset, rule, &n);
	if (n > r->cap_values) {
		r->values = xreallocarray(r->values, n, sizeof(r->values[0]));
		r->cap_values = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct value *v = event_get(ev, fields[i]);

		r->values[i] =
		    v != NULL ? *v : (struct value){ .kind = VALUE_NULL };
	}
	if (!event_has_stream(ev))
		hit.id_text = event_id_text(ev);
	hit.values = r->values;
	correlator_source(r->correlator, source);
	correlator_hit(r->correlator, &hit);
}

/*
 * A source's watermark is its newest event: heartbeats are not replayed.  It
 * moves behind the hits of the whole commit, as it did when they came in: what
 * is late within a commit comes in time.
 */
static void
move_watermark(struct replay *r, uint32_t source, int64_t time_ns)
{
	if (source >= SOURCES_MAX)
		return;
	if (source >= r->n_sources) {
		uint32_t n = source + 1;

		r->newest = xreallocarray(r->newest, n, sizeof(r->newest[0]));
		r->told = xreallocarray(r->told, n, sizeof(r->told[0]));
		for (; r->n_sources < n; r->n_sources++)
			r->newest[r->n_sources] = r->told[r->n_sources] =
			    INT64_MIN;
	}
	if (time_ns <= r->newest[source])
		return;
	if (r->newest[source] == r->told[source]) {
		if (r->n_moved == r->cap_moved) {
			r->cap_moved = 2 * r->cap_moved + 16;
			r->moved = xreallocarray(r->moved, r->cap_moved,
			    sizeof(r->moved[0]));
		}
		r->moved[r->n_moved++] = source;
	}
	r->newest[source] = time_ns;
}

static void
end_commit(struct replay *r)
{
	for (uint32_t i = 0; i < r->n_moved; i++) {
		uint32_t source = r->moved[i];

		r->told[source] = r->newest[source];
		correlator_watermark(r->correlator, source, r->told[source]);
	}
	r->n_moved = 0;
}

static void
move_clock(struct replay *r, int64_t arrival_ns)
{
	int64_t gap_ns = arrival_ns - r->arrival_ns;

	if (r->arrival_ns != 0 && gap_ns > 0)
		r->clock_ns += gap_ns < GAP_NS ? gap_ns : GAP_NS;
	if (arrival_ns > r->arrival_ns)
		r->arrival_ns = arrival_ns;
	correlator_log_time(r->correlator, r->clock_ns);
}

static bool
on_event(void *ctx, uint32_t row, const struct event *ev)
{
	struct replay *r = ctx;
	uint32_t n, source = r->ids.sources[row];
	const uint32_t *hits = matcher_run(r->matcher, ev, NULL, &n);

	/* live, the clock goes on from record to record, which a commit is */
	if (r->commits[row] != r->commit) {
		end_commit(r);
		move_clock(r, ev->arrival_ns);
	}
	r->commit = r->commits[row];
	for (uint32_t i = 0; i < n; i++) {
		const struct rule_info *info =
		    ruleset_rule(r->ruleset, hits[i]);

		if (info->visible)
			print_detection(r, info, ev);
		correlate(r, ev, hits[i], source);
	}
	move_watermark(r, source, ev->time_ns);
	r->events++;
	return true;
}

static enum rc
on_block(void *ctx, struct store_block *b, struct error *err)
{
	struct replay *r = ctx;
	uint32_t n = store_block_info(b).n, kept = 0;
	uint32_t *rows = xcalloc(n + 1, sizeof(rows[0]));
	const int64_t *times;
	enum rc rc = store_block_ids(b, &r->ids, err);

	if (rc == RC_OK)
		rc = store_block_times(b, &times, err);
	r->commits = xreallocarray(r->commits, n + 1, sizeof(r->commits[0]));
	if (rc == RC_OK)
		rc = store_block_commits(b, r->commits, err);
	for (uint32_t i = 0; rc == RC_OK && i < n; i++)
		if (times[i] >= r->since_ns && times[i] < r->until_ns)
			rows[kept++] = i;
	if (rc == RC_OK && kept > 0)
		rc = store_block_events(b, rows, kept, on_event, r, err);
	free(rows);
	if (correlator_changed(r->correlator) >= FLUSH_CHANGES)
		flush_incidents(r);
	show_progress(r, false);
	if (rc == RC_OK && ferror(stdout) != 0)
		return RC_EOF;
	return rc;
}

/* ---- all of it ---------------------------------------------------------------------- */

static void
prepare(struct replay *r)
{
	struct correlate_options options = {
		.singles = true,
		.single_level = r->level,
		.coalesce = true,
		.on_incident = on_incident,
		.ctx = r,
	};

	r->matcher = matcher_new(r->ruleset);
	r->correlator = correlator_new(r->ruleset, &options);
	changes_init(&r->changes);
	buf_init(&r->line, LINE_BYTES);
	buf_init(&r->about, LINE_BYTES);
	buf_init(&r->group, LINE_BYTES);
	r->terminal = isatty(STDERR_FILENO) == 1;
	r->began_ns = monotonic();
}

static void
finish(struct replay *r)
{
	correlator_free(r->correlator);
	matcher_free(r->matcher);
	changes_fini(&r->changes);
	buf_fini(&r->line);
	buf_fini(&r->about);
	buf_fini(&r->group);
	free(r->newest);
	free(r->told);
	free(r->moved);
	free(r->commits);
	free(r->values);
}

static int
replay_store(struct replay *r, struct store *s)
{
	struct store_scan scan = { .since_ns = r->since_ns,
		.until_ns = r->until_ns,
		.on_block = on_block,
		.ctx = r };
	struct store_counters counters;
	struct error err;
	enum rc rc;

	prepare(r);
	store_counters(s, &counters);
	r->total = counters.events;
	rc = store_scan(s, &scan, &err);
	show_progress(r, true);
	if (rc == RC_OK) {
		end_commit(r);
		flush_incidents(r);
		print_summary(r);
	} else {
		(void)fprintf(stderr, "kuzetctl rules replay: %s\n", err.text);
	}
	finish(r);
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		(void)fputs("kuzetctl rules replay: cannot write\n", stderr);
		return EXIT_FAILED;
	}
	return rc == RC_OK ? EXIT_GOOD : EXIT_FAILED;
}

int
rules_replay(bool json, int argc, char *argv[])
{
	struct replay r = { .dir = default_dir,
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.level = RULE_HIGH,
		.json = json };
	struct store *s = NULL;
	struct error err;
	int status = read_arguments(&r, argc, argv);

	if (status == -1) {
		r.ruleset = rules_load(&r.arguments, false);
		status = r.ruleset != NULL ? -1 : EXIT_USAGE;
	}
	if (status == -1 && store_open_readonly(r.dir, &s, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl rules replay: %s\n", err.text);
		status = EXIT_FAILED;
	}
	if (status == -1)
		status = replay_store(&r, s);
	store_close(s);
	ruleset_unref(r.ruleset);
	rules_paths_fini(&r.arguments.rules);
	return status;
}
