/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/bench/coverage.py: reads {"log", "dataset", "program", "year"}
 * objects, one a line, and prints the event that each log makes, with dotted
 * names.  A log may be of several lines.
 */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "normalize.h"

enum { ARENA_BLOCK = 256 * 1024, TEXT_MAX = 16 << 20 };

static struct slice
given(const struct event *ev, const char *name)
{
	return event_get_string(ev,
	    field_intern((struct slice){ name, strlen(name) }));
}

static bool
one(struct normalizer *n, struct slice line, struct buf *out)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct event request, made;
	struct normalize_hints hints = { .time = { .year = 2026 } };
	const struct value *year;
	struct error err;

	event_begin(&request, arena);
	event_begin(&made, arena);
	if (json_read_event(line, &json_limits_default, &request, &err) !=
	    RC_OK) {
		(void)fprintf(stderr, "coverage_events: %s\n", err.text);
		arena_free(arena);
		return false;
	}
	year = event_get(&request, field_intern(SLICE("year")));
	if (year != NULL && year->kind == VALUE_INT)
		hints.time.year = (int)year->i;
	hints.dataset = given(&request, "dataset");
	hints.program = given(&request, "program");
	(void)normalizer_line(n, &made, given(&request, "log"), &hints);
	buf_clear(out);
	json_write_event(out, &made, JSON_FLAT);
	(void)buf_add_char(out, '\n');
	(void)fwrite(out->ptr, 1, out->len, stdout);
	arena_free(arena);
	return true;
}

int
main(int argc, char *argv[])
{
	struct normalizer_set *set;
	struct normalizer *n;
	struct buf out;
	struct error err;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	bool good = true;

	if (argc != 2 ||
	    normalizer_set_load(argv[1], NULL, NULL, &set, &err) != RC_OK) {
		(void)fputs("usage: coverage_events NORMALIZERS <requests\n",
		    stderr);
		return EXIT_FAILURE;
	}
	n = normalizer_new(set);
	buf_init(&out, TEXT_MAX);
	while (good && (len = getline(&line, &cap, stdin)) > 0)
		good = one(n, (struct slice){ line, (size_t)len }, &out);
	free(line);
	buf_fini(&out);
	normalizer_free(n);
	normalizer_set_unref(set);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
