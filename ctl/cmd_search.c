/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl search: the query language, over the collector's store. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "client.h"
#include "json.h"
#include "query.h"
#include "search.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	TARGET_MAX = 64 * 1024,
	ARENA_BLOCK = 64 * 1024,
	EXPLAIN_MAX = 4 * SEARCH_TEXT_MAX,
	COUNT_WIDTH = 10,
	FOLLOW_NS = 500000000,
};

struct search_command {
	const struct global_options *global;
	const char *query;
	const char **fields; /* of --by */
	size_t n_fields;
	struct buf target; /* without what ask() adds */
	bool json, count, follow, groups, colour, any, by_open;
	struct arena *arena;
	char tail[32]; /* position of --follow, or "now" */
};

static const char help[] =
    "usage: kuzetctl search QUERY [--since T] [--until T] [--limit N]\n"
    "                       [--sort time|-time|arrival] [--after CURSOR]\n"
    "                       [--count | --follow] [--flat] [--json]\n"
    "       kuzetctl search QUERY [--by FIELD...] [--every SPAN]\n"
    "                       [--distinct FIELD]\n"
    "                       [--measure FIELD [--percentiles 50,95,99]]\n\n"
    "Prints the events that match a query, or counts and groups them.  The\n"
    "language is described in kuzet-query(7):\n\n"
    "  kuzetctl search 'user.name:root AND source.ip:10.0.0.0/8'\n"
    "  kuzetctl search '\"Failed password\" -user.name:root' --since 2h\n"
    "  kuzetctl search 'url.path:*admin*' --by source.ip --limit 10\n\n"
    "  --since T          not before T (@timestamp)\n"
    "  --until T          before T\n"
    "  --limit N          at most N events or groups; 0, and without it: all\n"
    "  --sort ORDER       time (the default), -time: newest first, arrival\n"
    "  --after CURSOR     goes on where an earlier --limit ended\n"
    "  --count            only how many\n"
    "  --follow           what comes in from now on, until interrupted\n"
    "  --by FIELD...      count by the values of up to three fields\n"
    "  --every SPAN       count by time: 1m, 1h, 1d\n"
    "  --distinct FIELD   how many different values the field has\n"
    "  --measure FIELD    percentiles of a number\n"
    "  --percentiles LIST which ones; 50,95,99\n"
    "  --flat             dotted names instead of nested objects\n"
    "  --json             one JSON object a line\n\n"
    "T is RFC 3339 (2026-11-22T01:02:03Z), a date, now, or a span back from\n"
    "now: 30s 15m 2h 30d 8w.\n";

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- arguments --------------------------------------------------------------- */

static int
add_time(struct search_command *s, const char *name, const char *text)
{
	char out[TIMESTAMP_TEXT_MAX];
	struct error err;
	int64_t time_ns;

	if (timestamp_parse_argument(text, timestamp_now(), &time_ns, &err) !=
	    RC_OK) {
		(void)fprintf(stderr, "kuzetctl search: --%s: %s\n", name,
		    err.text);
		return EXIT_USAGE;
	}
	client_param(&s->target, name, timestamp_format(time_ns, out));
	return -1;
}

/* "a,b" is two. */
static void
add_fields(struct search_command *s, const char *list)
{
	size_t n;

	for (; *list != '\0'; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n > 0)
			client_param(&s->target, "by",
			    (struct slice){ list, n });
	}
	s->groups = true;
}

/* A word that is no option: the query, or one more field of --by. */
static int
add_word(struct search_command *s, const char *word)
{
	if (s->by_open && s->query != NULL) {
		add_fields(s, word);
		return -1;
	}
	if (s->query != NULL) {
		(void)fprintf(stderr,
		    "kuzetctl search: \"%s\" is one too many; quote the "
		    "query: 'a AND b'\n",
		    word);
		return EXIT_USAGE;
	}
	s->query = word;
	return -1;
}

static int
add_limit(struct search_command *s, const char *text)
{
	if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text)) {
		(void)fputs("kuzetctl search: --limit: write a whole number; "
			    "0 is all\n",
		    stderr);
		return EXIT_USAGE;
	}
	client_param(&s->target, "limit", slice_of(text));
	return -1;
}

enum { OPT_TIME = 256, OPT_PLAIN, OPT_GROUP, OPT_FLAG };

static int
add_flag(struct search_command *s, const char *name)
{
	if (strcmp(name, "count") == 0)
		s->count = true;
	else if (strcmp(name, "follow") == 0) {
		s->follow = true;
		return -1;
	} else if (strcmp(name, "json") == 0) {
		s->json = true;
		return -1;
	}
	client_param(&s->target, name, SLICE("1"));
	return -1;
}

static int
add_option(struct search_command *s, int c, const char *name)
{
	if (c != 1)
		s->by_open = c == 'b';
	switch (c) {
	case 1:
		return add_word(s, optarg);
	case 'h':
		(void)fputs(help, stdout);
		return EXIT_GOOD;
	case 'b':
		add_fields(s, optarg);
		return -1;
	case 'l':
		return add_limit(s, optarg);
	case OPT_TIME:
		return add_time(s, name, optarg);
	case OPT_GROUP:
		s->groups = true;
		client_param(&s->target, name, slice_of(optarg));
		return -1;
	case OPT_PLAIN:
		client_param(&s->target, name, slice_of(optarg));
		return -1;
	case OPT_FLAG:
		return add_flag(s, name);
	default:
		return EXIT_USAGE;
	}
}

static int
parse_arguments(struct search_command *s, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "since", required_argument, NULL, OPT_TIME },
		{ "until", required_argument, NULL, OPT_TIME },
		{ "limit", required_argument, NULL, 'l' },
		{ "sort", required_argument, NULL, OPT_PLAIN },
		{ "after", required_argument, NULL, OPT_PLAIN },
		{ "count", no_argument, NULL, OPT_FLAG },
		{ "follow", no_argument, NULL, OPT_FLAG },
		{ "by", required_argument, NULL, 'b' },
		{ "every", required_argument, NULL, OPT_GROUP },
		{ "distinct", required_argument, NULL, OPT_GROUP },
		{ "measure", required_argument, NULL, OPT_GROUP },
		{ "percentiles", required_argument, NULL, OPT_PLAIN },
		{ "flat", no_argument, NULL, OPT_FLAG },
		{ "json", no_argument, NULL, OPT_FLAG },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c, at = 0, status = -1;

	/* "-": words come in their place, so that --by may have several */
	while (status == -1) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
		c = getopt_long(argc, argv, "-h", options, &at);
		if (c == -1)
			break;
		status = add_option(s, c, options[at].name);
	}
	while (status == -1 && optind < argc)
		status = add_word(s, argv[optind++]);
	if (status != -1)
		return status;
	if (s->query == NULL) {
		(void)fputs("kuzetctl search: what for? '*' is everything; "
			    "--help tells more\n",
		    stderr);
		return EXIT_USAGE;
	}
	if (s->follow && (s->count || s->groups)) {
		(void)fputs("kuzetctl search: --follow prints events: neither "
			    "counts nor groups\n",
		    stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* The mistake with a caret, here, before anybody is asked. */
static int
check_query(const struct search_command *s)
{
	struct search_query *q;
	struct error err;
	struct buf out;
	size_t column;

	if (search_parse(slice_of(s->query), timestamp_now(), &q, &column,
		&err) == RC_OK) {
		search_free(q);
		return -1;
	}
	buf_init(&out, EXPLAIN_MAX);
	if (s->json) {
		struct json_writer w;

		json_begin(&w, &out);
		json_open(&w, '{');
		json_key(&w, "error");
		json_str(&w, err.text);
		json_key(&w, "column");
		json_uint(&w, column);
		json_close(&w, '}');
	} else {
		search_explain(&out, slice_of(s->query), column, err.text);
	}
	(void)fprintf(stderr, "%.*s\n", SLICE_ARG(buf_slice(&out)));
	buf_fini(&out);
	return EXIT_USAGE;
}

/* ---- the answer --------------------------------------------------------------- */

/* "a  b" and what belongs to the group. */
static void
print_group(const struct event *ev)
{
	print_field(ev, "count", COUNT_WIDTH);
	if (event_get(ev, field_intern(SLICE("distinct"))) != NULL)
		print_field(ev, "distinct", COUNT_WIDTH);
	if (event_get(ev, field_intern(SLICE("measured"))) != NULL)
		print_members(ev, "percentiles");
	if (event_get(ev, field_intern(SLICE("measured"))) != NULL)
		print_text(SLICE(""), 1);
	if (event_get(ev, field_intern(SLICE("other"))) != NULL) {
		print_field(ev, "other", COUNT_WIDTH);
		print_text(SLICE("(in groups beyond the bound)"), 0);
	} else {
		print_field(ev, "key", 0);
	}
	(void)putchar('\n');
}

static void
print_header(struct search_command *s)
{
	if (s->any)
		return;
	s->any = true;
	(void)puts(s->groups ? "COUNT      KEY" : event_header);
}

static void
print_line(struct search_command *s, struct slice line)
{
	struct event ev;
	struct error err;

	arena_reset(s->arena);
	event_begin(&ev, s->arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) != RC_OK) {
		print_text(line, 0);
		(void)putchar('\n');
		return;
	}
	if (s->count && !s->groups) {
		print_field(&ev, "count", 0);
		(void)putchar('\n');
		return;
	}
	print_header(s);
	if (s->groups) {
		print_group(&ev);
		return;
	}
	print_event_row(&ev);
	(void)putchar('\n');
}

/* {"tail":N} and {"next":"..."} are for us: members that no event has alone. */
static bool
is_member(struct slice line, struct slice begin)
{
	return line.len > begin.len &&
	    memcmp(line.ptr, begin.ptr, begin.len) == 0;
}

static bool
take_position(struct search_command *s, struct slice line)
{
	struct slice tail = SLICE("{\"tail\":"), next = SLICE("{\"next\":");

	if (s->follow && is_member(line, tail)) {
		(void)snprintf(s->tail, sizeof(s->tail), "%.*s",
		    (int)(line.len - tail.len - 1), line.ptr + tail.len);
		return true;
	}
	if (s->follow || s->groups || s->count || !is_member(line, next))
		return false;
	if (line.ptr[next.len] == '"')
		(void)fprintf(stderr, "more: --after %.*s\n",
		    (int)(line.len - next.len - 3), line.ptr + next.len + 1);
	return true;
}

static bool
on_line(void *ctx, struct slice line)
{
	struct search_command *s = ctx;

	if (take_position(s, line))
		return true;
	if (s->json) {
		(void)fwrite(line.ptr, 1, line.len, stdout);
		(void)putchar('\n');
	} else {
		print_line(s, line);
	}
	return ferror(stdout) == 0;
}

static enum rc
ask(struct search_command *s, struct error *err)
{
	struct buf target;
	enum rc rc;

	buf_init(&target, TARGET_MAX);
	(void)buf_add_slice(&target, buf_slice(&s->target));
	client_param(&target, "query",
	    s->query[0] != '\0' ? slice_of(s->query) : SLICE("*"));
	if (s->follow)
		client_param(&target, "tail", slice_of(s->tail));
	else if (!s->groups && !s->count)
		client_param(&target, "next", SLICE("1"));
	(void)buf_add(&target, "", 1);
	if (target.overflowed)
		rc = error_set(err, RC_INVALID, "the request is too long");
	else
		rc = client_get(s->global, target.ptr, on_line, s, err);
	buf_fini(&target);
	return rc;
}

static enum rc
run_search(struct search_command *s, struct error *err)
{
	const struct timespec pause = { 0, FOLLOW_NS };
	enum rc rc = ask(s, err);

	while (s->follow && rc == RC_OK && fflush(stdout) == 0) {
		(void)nanosleep(&pause, NULL);
		rc = ask(s, err);
	}
	return rc;
}

static int
finish(const struct search_command *s, enum rc rc, const struct error *err)
{
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl search: %s\n", err->text);
	else if (!s->json && !s->any && !s->count)
		(void)fprintf(stderr, "none\n");
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		(void)fputs("kuzetctl search: cannot write: the answer is not "
			    "complete\n",
		    stderr);
		return EXIT_FAILED;
	}
	if (rc == RC_OK)
		return EXIT_GOOD;
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct search_command s = { .global = global,
		.json = global->json,
		.tail = "now" };
	struct error err;
	int status;

	buf_init(&s.target, TARGET_MAX);
	(void)buf_add_str(&s.target, "/v1/search");
	s.arena = arena_new(ARENA_BLOCK);
	status = parse_arguments(&s, argc, argv);
	if (status == -1)
		status = check_query(&s);
	if (status == -1)
		status = finish(&s, run_search(&s, &err), &err);
	arena_free(s.arena);
	buf_fini(&s.target);
	return status;
}

const struct command cmd_search = { "search", "search stored events", run };
