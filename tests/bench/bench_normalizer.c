/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines a second of CPU time through the normalizers, without output:
 * bench_normalizer FILE [DATASET].  normalizers.py runs it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datadir.h"
#include "normalize.h"
#include "xalloc.h"

enum {
	TEXT_MAX = 32 << 20,
	BATCH = 2048,
	ARENA_BLOCK = 1 << 20,
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
		len += end != NULL;
		text = (struct slice){ text.ptr + len, text.len - len };
	}
}

int
main(int argc, char *argv[])
{
	struct run r = { .hints.time = { .year = 2026 } };
	char dir[PATH_BYTES];
	struct normalizer_set *set;
	struct error err;
	struct slice text;
	double start = cpu_seconds(), loaded;

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
	start = cpu_seconds();
	do
		pass(&r, text);
	while (cpu_seconds() - start < min_seconds);
	(void)printf("%s: %.0f lines/s, %.1f%% known, %u formats loaded in "
		     "%.3f s\n",
	    argv[1], (double)r.lines / (cpu_seconds() - start),
	    100.0 * (double)r.known / (double)r.lines,
	    normalizer_set_count(set), loaded);
	return 0;
}
