/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines a second of CPU time through the normalizers: from the line to the
 * event, and to the event and its JSON, as the chain over the store reads it.
 * bench_normalizer FILE [DATASET].  normalizers.py runs it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datadir.h"
#include "json.h"
#include "normalize.h"
#include "xalloc.h"

enum {
	TEXT_MAX = 32 << 20,
	BATCH = 2048,
	ARENA_BLOCK = 1 << 20,
	JSON_MAX = 16 << 20, /* of one event */
	PATH_BYTES = 4096,
};
static const double min_seconds = 2.0;

static double
cpu_seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct slice
read_file(const char *path)
{
	FILE *f = fopen(path, "rbe");
	struct slice s = { xreallocarray(NULL, TEXT_MAX, 1), 0 };

	if (f == NULL) {
		perror(path);
		return s;
	}
	s.len = fread((char *)s.ptr, 1, TEXT_MAX, f);
	(void)fclose(f);
	return s;
}

struct run {
	struct normalizer *n;
	struct arena *arena;
	struct normalize_hints hints;
	uint64_t lines, known;
	struct buf *json; /* NULL: events are not written */
	struct json_memo *memo;
};

static void
pass(struct run *r, struct slice text)
{
	while (text.len > 0) {
		const char *end = memchr(text.ptr, '\n', text.len);
		size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
		struct event ev;

		if (r->lines++ % BATCH == 0)
			arena_reset(r->arena);
		event_begin(&ev, r->arena);
		r->known += normalizer_line(r->n, &ev,
		    (struct slice){ text.ptr, len }, &r->hints);
		if (r->json != NULL) {
			buf_clear(r->json);
			json_write_event_again(r->json, &ev, r->memo);
		}
		len += end != NULL;
		text = (struct slice){ text.ptr + len, text.len - len };
	}
}

/* Lines a second. */
static double
rate(struct run *r, struct slice text)
{
	double start = cpu_seconds(), end;

	r->lines = r->known = 0;
	do {
		pass(r, text);
		end = cpu_seconds();
	} while (end - start < min_seconds);
	return (double)r->lines / (end - start);
}

int
main(int argc, char *argv[])
{
	struct run r = { .hints.time = { .year = 2026 } };
	char dir[PATH_BYTES];
	struct normalizer_set *set;
	struct error err;
	struct slice text;
	double start = cpu_seconds(), loaded, events, known;
	struct buf json;

	if (argc < 2 || !datadir_path("normalizers", dir, sizeof(dir)) ||
	    normalizer_set_load(dir, NULL, NULL, &set, &err) != RC_OK)
		return 2;
	loaded = cpu_seconds() - start;
	if (argc > 2)
		r.hints.dataset = (struct slice){ argv[2], strlen(argv[2]) };
	text = read_file(argv[1]);
	if (text.len == 0)
		return 1;
	r.n = normalizer_new(set);
	r.arena = arena_new(ARENA_BLOCK);
	events = rate(&r, text);
	known = 100.0 * (double)r.known / (double)r.lines;
	buf_init(&json, JSON_MAX);
	r.json = &json;
	r.memo = json_memo_new(JSON_NESTED);
	(void)printf("%s: %.0f lines/s, %.1f%% known, %u formats loaded in "
		     "%.3f s, %.0f lines/s with their JSON\n",
	    argv[1], events, known, normalizer_set_count(set), loaded,
	    rate(&r, text));
	return 0;
}
