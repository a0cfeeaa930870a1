/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What correlation costs: hits a CPU second and bytes a live key.
 *   bench_correlate [HITS [WHICH]]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "correlate.h"
#include "xalloc.h"

enum { HITS = 1000000, MAX_GROUPS = 2000000, PATH_BYTES = 64 };

#define SECOND INT64_C(1000000000)

static const char rules_text[] =
    "title: Failed log-in\n"
    "name: failed\n"
    "id: 11111111-1111-4111-8111-111111111111\n"
    "logsource: {product: linux}\n"
    "detection: {sel: {event.action: failed}, condition: sel}\n"
    "---\n"
    "title: Correlated\n"
    "id: 22222222-2222-4222-8222-222222222222\n"
    "correlation:\n"
    "  rules: [failed]\n"
    "  group-by: [source.ip]\n"
    "  timespan: 5m\n";

struct run {
	const char *name;
	const char *condition;
	unsigned keys;
	unsigned late_every; /* a hit a minute late */
	unsigned per_second;
};

static const struct run runs[] = {
	{ "event_count gte 5, each key once",
	    "  type: event_count\n  condition: {gte: 5}\n", HITS, 0, 4000 },
	{ "event_count gte 5, 1,000 keys",
	    "  type: event_count\n  condition: {gte: 5}\n", 1000, 0, 1000 },
	{ "event_count gte 5, 1 key",
	    "  type: event_count\n  condition: {gte: 5}\n", 1, 0, 1000 },
	{ "event_count gte 5, 1,000 keys, 10 % late",
	    "  type: event_count\n  condition: {gte: 5}\n", 1000, 10, 1000 },
	{ "value_count gte 5, 1,000 keys",
	    "  type: value_count\n  condition: {gte: 5, field: user.name}\n",
	    1000, 0, 1000 },
	{ "value_count gte 5, 1,000 keys, 10 % late",
	    "  type: value_count\n  condition: {gte: 5, field: user.name}\n",
	    1000, 10, 1000 },
	{ "event_count lt 1 (absence), 1,000 keys",
	    "  type: event_count\n  condition: {lt: 1}\n", 1000, 0, 1000 },
};

static double
cpu_seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
count(void *ctx, const struct correlate_incident *inc)
{
	*(uint64_t *)ctx += inc->opened ? 1 : 0;
}

static struct ruleset *
load(const struct run *run)
{
	char path[PATH_BYTES] = "/tmp/bench-correlate-XXXXXX.yml";
	const char *paths[] = { path };
	struct rule_options o = { .paths = paths,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy" };
	struct ruleset *rs;
	struct error err;
	FILE *f = fdopen(mkstemps(path, 4), "w");

	(void)fprintf(f, "%s%s", rules_text, run->condition);
	(void)fclose(f);
	if (ruleset_load(&o, &rs, &err) != RC_OK || ruleset_loaded(rs) != 2) {
		(void)fprintf(stderr, "rules: %s\n", err.text);
		abort();
	}
	(void)unlink(path);
	return rs;
}

struct feeder {
	struct correlator *c;
	const uint32_t *fields;
	uint32_t n_fields;
	uint32_t rule;
};

static void
feed(struct feeder *f, const struct run *run, unsigned i)
{
	char ip[32], user[16];
	unsigned key = i % run->keys;
	struct value values[8];
	struct correlate_hit hit = { .rule = f->rule,
		.time_ns = (int64_t)i * SECOND / run->per_second,
		.owner = SLICE("default"),
		.agent = SLICE("web-1"),
		.position = i / 100 + 1,
		.values = values };

	if (run->late_every > 0 && i % run->late_every == 0)
		hit.time_ns -= 60 * SECOND;
	memset(hit.id.stream, 1, sizeof(hit.id.stream));
	hit.id.offset = i;
	for (uint32_t j = 0; j < f->n_fields; j++) {
		int n;

		if (f->fields[j] == FIELD_SOURCE_IP) {
			n = snprintf(ip, sizeof(ip), "10.%u.%u.%u", key >> 16,
			    key >> 8 & 255, key & 255);
			values[j] = (struct value){ .kind = VALUE_STRING,
				.s = { ip, (size_t)n } };
		} else {
			n = snprintf(user, sizeof(user), "u%u", i * 7 % 1001);
			values[j] = (struct value){ .kind = VALUE_STRING,
				.s = { user, (size_t)n } };
		}
	}
	correlator_source(f->c, 1);
	correlator_hit(f->c, &hit);
	if (i % 100 == 0)
		correlator_watermark(f->c, 1, hit.time_ns);
}

static void
bench(const struct run *run, unsigned n)
{
	uint64_t incidents = 0;
	struct correlate_options o = { .on_incident = count,
		.ctx = &incidents,
		.max_groups = MAX_GROUPS,
		.coalesce = true };
	struct ruleset *rs = load(run);
	struct feeder f = { .rule = 0 };
	struct correlator_stats stats;
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, used;
	double begin, took;

	f.c = correlator_new(rs, &o);
	while (ruleset_rule(rs, f.rule)->correlation)
		f.rule++;
	f.fields = ruleset_hit_fields(rs, f.rule, &f.n_fields);
	begin = cpu_seconds();
	for (unsigned i = 0; i < n; i++) {
		feed(&f, run, i);
		if (i % 1000 == 0)
			correlator_flush(f.c);
	}
	correlator_flush(f.c);
	took = cpu_seconds() - begin;
	used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	correlator_stats(f.c, &stats);
	(void)printf("%-46s %6.2f M hits/s  %7llu keys %8llu hits held"
		     "  %6.0f B/key  %5.1f B/hit  %llu incidents"
		     "  %llu evicted\n",
	    run->name, n / took / 1e6, (unsigned long long)stats.groups,
	    (unsigned long long)stats.hits, (double)used / (double)stats.groups,
	    (double)used / (double)stats.hits, (unsigned long long)incidents,
	    (unsigned long long)stats.evicted_hits);
	correlator_free(f.c);
	ruleset_unref(rs);
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : HITS;
	size_t which = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		if (which == 0 || which == i + 1)
			bench(&runs[i], n);
	return 0;
}
