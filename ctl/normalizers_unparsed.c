/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl normalizers unparsed: what a log format should be written for. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "client.h"
#include "input.h"
#include "json.h"
#include "normalizers.h"
#include "query.h"
#include "shape.h"

enum {
	SHOWN = 20,
	PATTERN_MAX = 16 * SHAPE_TEXT_MAX,
	LINE_MAX_BYTES = 256 * 1024,
	ARENA_BLOCK = 64 * 1024,
	TARGET_MAX = 4096,
};

static const char help[] =
    "usage: kuzetctl normalizers unparsed [OPTION...] [FILE...]\n\n"
    "Prints the commonest shapes of lines that no log format knows (or only\n"
    "their syslog header): how many there are, their program, an example, and a pattern to begin a format\n"
    "with (kuzet-normalizers(5)).  Numbers, hexadecimal numbers, UUIDs,\n"
    "addresses, times and quoted texts stand for any of their kind.\n"
    "Without FILE: of the events in the collector's store.\n\n"
    "  --limit N          so many shapes; default 20, 0: all\n"
    "  --since T          not before T (the store's only)\n"
    "  --until T          before T (the same)\n"
    "  --json             one object a shape, last the sums\n"
    "%s";

struct unparsed {
	const struct global_options *global;
	struct input_options input;
	const char *since, *until;
	size_t limit;
	bool json;
	struct shapes *shapes;
	struct arena *arena; /* of an event of the store */
	uint64_t events;     /* looked at */
};

/* The syslog header is known where the program is: MSG is what counts. */
static void
take(struct unparsed *u, const struct event *ev)
{
	struct slice line = event_get_string(ev, FIELD_MESSAGE);
	struct slice program = event_get_string(ev, FIELD_PROCESS_NAME);

	if (line.len == 0)
		line = event_get_string(ev, FIELD_EVENT_ORIGINAL);
	if (program.len == 0)
		program = event_get_string(ev, FIELD_LOG_SYSLOG_APPNAME);
	shapes_add(u->shapes, program, line);
}

/* Nothing was read of it, or its syslog header alone. */
static bool
is_unknown(const struct event *ev)
{
	if (slice_eq(event_get_string(ev, FIELD_EVENT_KIND),
		SLICE("pipeline_error")))
		return true;
	return slice_eq(event_get_string(ev, FIELD_EVENT_DATASET),
		   SLICE("system.syslog")) &&
	    event_get(ev, FIELD_EVENT_CATEGORY) == NULL &&
	    event_get(ev, FIELD_EVENT_ACTION) == NULL;
}

static bool
on_event(void *ctx, struct event *ev)
{
	struct unparsed *u = ctx;

	u->events++;
	if (is_unknown(ev))
		take(u, ev);
	return true;
}

static bool
on_stored(void *ctx, struct slice line)
{
	struct unparsed *u = ctx;
	struct event ev;
	struct error err;

	arena_reset(u->arena);
	event_begin(&ev, u->arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) == RC_OK)
		(void)on_event(u, &ev);
	return true;
}

/* ---- printing --------------------------------------------------------------------- */

static void
print_json(const struct shape *s, struct slice pattern)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, LINE_MAX_BYTES);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "count");
	json_uint(&w, s->count);
	json_key(&w, "program");
	json_string(&w, s->program);
	json_key(&w, "shape");
	json_string(&w, s->text);
	json_key(&w, "example");
	json_string(&w, s->example);
	json_key(&w, "pattern");
	json_string(&w, pattern);
	json_close(&w, '}');
	(void)fwrite(out.ptr, 1, out.len, stdout);
	(void)putchar('\n');
	buf_fini(&out);
}

static void
print_shape(const struct unparsed *u, const struct shape *s)
{
	struct buf pattern;

	buf_init(&pattern, PATTERN_MAX);
	shape_pattern(s->text, &pattern);
	if (u->json) {
		print_json(s, buf_slice(&pattern));
	} else {
		(void)printf("%8llu  ", (unsigned long long)s->count);
		print_text(s->program.len > 0 ? s->program : SLICE("-"), 16);
		(void)fputs("\n          shape    ", stdout);
		print_text(s->text, 0);
		(void)fputs("\n          example  ", stdout);
		print_text(s->example, 0);
		(void)fputs("\n          pattern  ", stdout);
		print_text(buf_slice(&pattern), 0);
		(void)fputs("\n\n", stdout);
	}
	buf_fini(&pattern);
}

static void
print_all(struct unparsed *u)
{
	size_t n, shown;
	const struct shape *list = shapes_sorted(u->shapes, &n);

	shown = u->limit > 0 && u->limit < n ? u->limit : n;
	for (size_t i = 0; i < shown; i++)
		print_shape(u, &list[i]);
	(void)printf(u->json ? "{\"events\":%llu,\"unparsed\":%llu,\"shapes\":"
			       "%zu,\"left_out\":%llu}\n"
			     : "%llu events, %llu unparsed, of %zu shapes; "
			       "%llu were too rare to keep\n",
	    (unsigned long long)u->events,
	    (unsigned long long)shapes_lines(u->shapes), n,
	    (unsigned long long)shapes_left_out(u->shapes));
}

/* ---- where they come from ----------------------------------------------------------- */

static int
read_store(struct unparsed *u)
{
	struct buf target;
	struct error err;
	enum rc rc;

	buf_init(&target, TARGET_MAX);
	(void)buf_add_str(&target, "/v1/search");
	client_param(&target, "query",
	    SLICE("event.kind:pipeline_error OR "
		  "event.dataset:system.syslog"));
	client_param(&target, "sort", SLICE("arrival"));
	if (u->since != NULL)
		client_param(&target, "since",
		    (struct slice){ u->since, strlen(u->since) });
	if (u->until != NULL)
		client_param(&target, "until",
		    (struct slice){ u->until, strlen(u->until) });
	(void)buf_add_char(&target, '\0');
	u->arena = arena_new(ARENA_BLOCK);
	rc = client_get(u->global, target.ptr, on_stored, u, &err);
	arena_free(u->arena);
	buf_fini(&target);
	if (rc == RC_OK)
		return EXIT_GOOD;
	(void)fprintf(stderr, "kuzetctl normalizers: %s\n", err.text);
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int
read_files(struct unparsed *u, int n, char *paths[])
{
	int status = EXIT_GOOD;
	struct error err;

	for (int i = 0; i < n; i++) {
		if (input_log(paths[i], &u->input, on_event, u, &err) == RC_OK)
			continue;
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
		status = EXIT_FAILED;
	}
	return status;
}

static bool
read_limit(const char *text, size_t *out)
{
	char *end = NULL;
	long n = strtol(text, &end, 10);

	*out = (size_t)n;
	return *end == '\0' && end != text && n >= 0;
}

static int
parse_options(struct unparsed *u, int argc, char *argv[])
{
	static const struct option options[] = {
		INPUT_OPTIONS,
		{ "limit", required_argument, NULL, 'l' },
		{ "since", required_argument, NULL, 's' },
		{ "until", required_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct error err = { .text = "limit: a whole number is needed" };
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		bool good = c != '?';

		if (c == 'h') {
			(void)printf(help, input_options_help);
			return EXIT_GOOD;
		}
		if (c == 'l')
			good = read_limit(optarg, &u->limit);
		else if (c == 's')
			u->since = optarg;
		else if (c == 'u')
			u->until = optarg;
		else if (c == 'j')
			u->json = true;
		else if (good)
			good =
			    input_option(&u->input, c, optarg, &err) == RC_OK;
		if (!good) {
			if (c != '?')
				(void)fprintf(stderr,
				    "kuzetctl normalizers: --%s\n", err.text);
			return EXIT_USAGE;
		}
	}
	return -1;
}

int
normalizers_unparsed(const struct global_options *global, int argc,
    char *argv[])
{
	struct unparsed u = { .global = global,
		.limit = SHOWN,
		.json = global->json };
	int status;

	optind = 0;
	status = parse_options(&u, argc, argv);
	if (status != -1)
		return status;
	u.shapes = shapes_new();
	status = optind < argc ? read_files(&u, argc - optind, argv + optind)
			       : read_store(&u);
	if (status == EXIT_GOOD || u.events > 0)
		print_all(&u);
	shapes_free(u.shapes);
	return status;
}
