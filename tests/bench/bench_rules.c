/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast rules match:
 *   bench_rules RULES EVENTS.jsonl [PASSES]
 * One core, CPU time, the rules' loading left out; JSON read in every pass
 * ("text") and read once ("parsed").  One JSON object on standard output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "engine.h"
#include "json.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 1 << 18, FILE_MAX = 1 << 30 };

struct input {
	struct slice *lines;
	size_t n;
	size_t bytes;
	char *text;
};

static double
cpu_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool
read_input(const char *path, struct input *in)
{
	FILE *f = fopen(path, "rbe");
	struct buf text;
	char *room;
	size_t n = 0, cap = 0;

	if (f == NULL)
		return false;
	buf_init(&text, FILE_MAX);
	while ((room = buf_reserve(&text, 65536)) != NULL &&
	    (n = fread(room, 1, 65536, f)) > 0)
		text.len += n;
	(void)fclose(f);
	*in = (struct input){ .text = text.ptr, .bytes = text.len };
	for (size_t at = 0; at < text.len;) {
		const char *end = memchr(text.ptr + at, '\n', text.len - at);
		size_t len =
		    end != NULL ? (size_t)(end - text.ptr) - at : text.len - at;

		if (in->n == cap) {
			cap = cap == 0 ? 1024 : 2 * cap;
			in->lines =
			    xreallocarray(in->lines, cap, sizeof(in->lines[0]));
		}
		if (len > 0)
			in->lines[in->n++] =
			    (struct slice){ text.ptr + at, len };
		at += len + 1;
	}
	return in->n > 0;
}

static bool
parse(struct slice line, struct event *ev, struct arena *arena,
    struct json_paths *paths)
{
	struct error err;

	event_begin(ev, arena);
	return json_read_event_again(line, &json_limits_default, ev, paths,
		   &err) == RC_OK;
}

static uint64_t
run_text(struct matcher *m, const struct input *in, struct json_paths *paths)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	uint64_t matches = 0;
	struct event ev;
	uint32_t n;

	for (size_t i = 0; i < in->n; i++) {
		arena_reset(arena);
		if (!parse(in->lines[i], &ev, arena, paths))
			continue;
		(void)matcher_run(m, &ev, NULL, &n);
		matches += n;
	}
	arena_free(arena);
	return matches;
}

static uint64_t
run_parsed(struct matcher *m, const struct event *events, size_t n_events)
{
	uint64_t matches = 0;
	uint32_t n;

	for (size_t i = 0; i < n_events; i++) {
		(void)matcher_run(m, &events[i], NULL, &n);
		matches += n;
	}
	return matches;
}

static void
bench(struct ruleset *rs, const struct input *in, int passes, double load)
{
	struct matcher *m = matcher_new(rs);
	struct arena *arena = arena_new(ARENA_BLOCK);
	/* as a worker: for as long as it runs */
	struct json_paths *paths = json_paths_new();
	struct event *events = xcalloc(in->n, sizeof(events[0]));
	double total = (double)in->n * passes, text, parsed;
	struct rusage usage;
	uint64_t matches = 0;

	for (size_t i = 0; i < in->n; i++)
		(void)parse(in->lines[i], &events[i], arena, NULL);
	(void)run_parsed(m, events, in->n);
	text = cpu_seconds();
	for (int i = 0; i < passes; i++)
		matches = run_text(m, in, paths);
	text = cpu_seconds() - text;
	parsed = cpu_seconds();
	for (int i = 0; i < passes; i++)
		(void)run_parsed(m, events, in->n);
	parsed = cpu_seconds() - parsed;
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)printf("{\"rules\":%u,\"events\":%zu,\"bytes_per_event\":%zu,"
		     "\"matches\":%llu,\"load_cpu_seconds\":%.2f,"
		     "\"events_per_second\":%.0f,"
		     "\"cpu_seconds_per_million\":%.2f,"
		     "\"parsed_cpu_seconds_per_million\":%.2f,"
		     "\"rss_mb\":%ld}\n",
	    ruleset_loaded(rs), in->n, in->bytes / in->n,
	    (unsigned long long)matches, load, total / text, text / total * 1e6,
	    parsed / total * 1e6, usage.ru_maxrss / 1024);
	free(events);
	json_paths_free(paths);
	arena_free(arena);
	matcher_free(m);
}

int
main(int argc, char *argv[])
{
	const char *paths[] = { argc > 1 ? argv[1] : NULL };
	struct rule_options options = { .paths = paths, .n_paths = 1 };
	struct ruleset *rs = NULL;
	struct input in = { .n = 0 };
	struct error err;
	double load;
	int passes = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5;

	if (argc < 3 || passes < 1) {
		(void)fputs("usage: bench_rules RULES EVENTS.jsonl [PASSES]\n",
		    stderr);
		return 2;
	}
	load = cpu_seconds();
	if (ruleset_load(&options, &rs, &err) != RC_OK) {
		(void)fprintf(stderr, "bench_rules: %s\n", err.text);
		return 1;
	}
	load = cpu_seconds() - load;
	if (!read_input(argv[2], &in) || in.n == 0) {
		(void)fprintf(stderr, "bench_rules: %s: no events\n", argv[2]);
		return 1;
	}
	bench(rs, &in, passes, load);
	ruleset_unref(rs);
	free(in.lines);
	free(in.text);
	return 0;
}
