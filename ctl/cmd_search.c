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
#include "saved_search.h"
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
	struct saved_arguments kept;
	char path[SAVED_PATH_MAX];
	struct buf target; /* behind the path; without what ask() adds */
	bool json, count, follow, groups, any, by_open;
	struct arena *arena;
	char tail[32]; /* position of --follow, or "now" */
};

static const char help[] =
    "usage: kuzetctl search QUERY [--since T] [--until T] [--limit N]\n"
    "                       [--sort time|-time|arrival] [--after CURSOR]\n"
    "                       [--count | --follow] [--flat] [--json]\n"
    "       kuzetctl search QUERY [--by FIELD...] [--every SPAN]\n"
    "                       [--distinct FIELD]\n"
    "                       [--measure FIELD [--percentiles 50,95,99]]\n"
    "       kuzetctl search --save NAME QUERY [--share] [--replace] [...]\n"
    "       kuzetctl search --saved NAME [...]\n"
    "       kuzetctl search --list-saved | --delete-saved NAME\n\n"
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
    "  --json             one JSON object a line\n"
    "  --save NAME        keeps the search with its span and its groups\n"
    "  --share            others of the organization see it too\n"
    "  --replace          in place of the one of that name\n"
    "  --saved NAME       runs it; OWNER/NAME is that owner's, and what is\n"
    "                     given besides goes before what was saved\n"
    "  --list-saved       your own, and those that others share\n"
    "  --delete-saved NAME\n\n"
    "T is RFC 3339 (2026-11-22T01:02:03Z), a date, now, or a span back from\n"
    "now: 30s 15m 2h 30d 8w.\n";

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- arguments --------------------------------------------------------------- */

/* As it was written: "24h" of a saved search is a day before each run. */
static int
keep(struct search_command *s, const char *name, struct slice value)
{
	struct saved_arguments *k = &s->kept;

	if (k->n_given == SAVED_GIVEN_MAX) {
		(void)fputs("kuzetctl search: too many options\n", stderr);
		return EXIT_USAGE;
	}
	k->given[k->n_given++] = (struct saved_given){ name, value };
	return -1;
}

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
	return keep(s, name, slice_of(text));
}

/* "a,b" is two. */
static int
add_fields(struct search_command *s, const char *list)
{
	int status = -1;
	size_t n;

	for (; *list != '\0' && status == -1; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n == 0)
			continue;
		client_param(&s->target, "by", (struct slice){ list, n });
		status = keep(s, "by", (struct slice){ list, n });
	}
	s->groups = true;
	return status;
}

/* A word that is no option: the query, or one more field of --by. */
static int
add_word(struct search_command *s, const char *word)
{
	if (s->by_open && (s->query != NULL || s->kept.saved != NULL))
		return add_fields(s, word);
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
	return keep(s, "limit", slice_of(text));
}

enum {
	OPT_TIME = 256,
	OPT_PLAIN,
	OPT_AFTER,
	OPT_GROUP,
	OPT_FLAG,
	OPT_SAVE,
	OPT_SAVED,
	OPT_DELETE,
	OPT_LIST,
	OPT_SHARE,
	OPT_REPLACE,
};

/* False: it is none of these. */
static bool
add_saved(struct search_command *s, int c)
{
	switch (c) {
	case OPT_SAVE:
		s->kept.save = optarg;
		return true;
	case OPT_SAVED:
		s->kept.saved = optarg;
		return true;
	case OPT_DELETE:
		s->kept.remove = optarg;
		return true;
	case OPT_LIST:
		s->kept.list = true;
		return true;
	case OPT_SHARE:
		s->kept.share = true;
		return true;
	case OPT_REPLACE:
		s->kept.replace = true;
		return true;
	default:
		return false;
	}
}

static int
add_flag(struct search_command *s, const char *name)
{
	if (strcmp(name, "count") == 0) {
		s->count = true;
		(void)keep(s, name, SLICE("1"));
	} else if (strcmp(name, "follow") == 0) {
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
		return add_fields(s, optarg);
	case 'l':
		return add_limit(s, optarg);
	case OPT_TIME:
		return add_time(s, name, optarg);
	case OPT_GROUP:
		s->groups = true;
		client_param(&s->target, name, slice_of(optarg));
		return keep(s, name, slice_of(optarg));
	case OPT_PLAIN:
		client_param(&s->target, name, slice_of(optarg));
		return keep(s, name, slice_of(optarg));
	case OPT_AFTER:
		client_param(&s->target, name, slice_of(optarg));
		return -1;
	case OPT_FLAG:
		return add_flag(s, name);
	default:
		return add_saved(s, c) ? -1 : EXIT_USAGE;
	}
}

/* What does not go together; NULL: it does. */
static const char *
nonsense(const struct search_command *s)
{
	const struct saved_arguments *k = &s->kept;
	int ways = (k->save != NULL) + (k->saved != NULL) +
	    (k->remove != NULL) + k->list;

	if (ways > 1)
		return "one of --save, --saved, --list-saved, --delete-saved";
	if ((k->share || k->replace) && k->save == NULL)
		return "--share and --replace go with --save";
	if ((k->saved != NULL || k->remove != NULL || k->list) &&
	    s->query != NULL)
		return "a saved search has its query already";
	if (k->save != NULL && s->follow)
		return "--follow is not saved: give it to --saved";
	if (s->query == NULL && (ways == 0 || k->save != NULL))
		return "what for? '*' is everything; --help tells more";
	if (s->follow && (s->count || s->groups))
		return "--follow prints events: neither counts nor groups";
	return NULL;
}

static int
check_arguments(const struct search_command *s)
{
	const char *why = nonsense(s);

	if (why == NULL)
		return -1;
	(void)fprintf(stderr, "kuzetctl search: %s\n", why);
	return EXIT_USAGE;
}

static int
parse_arguments(struct search_command *s, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "since", required_argument, NULL, OPT_TIME },
		{ "until", required_argument, NULL, OPT_TIME },
		{ "limit", required_argument, NULL, 'l' },
		{ "sort", required_argument, NULL, OPT_PLAIN },
		{ "after", required_argument, NULL, OPT_AFTER },
		{ "count", no_argument, NULL, OPT_FLAG },
		{ "follow", no_argument, NULL, OPT_FLAG },
		{ "by", required_argument, NULL, 'b' },
		{ "every", required_argument, NULL, OPT_GROUP },
		{ "distinct", required_argument, NULL, OPT_GROUP },
		{ "measure", required_argument, NULL, OPT_GROUP },
		{ "percentiles", required_argument, NULL, OPT_PLAIN },
		{ "flat", no_argument, NULL, OPT_FLAG },
		{ "json", no_argument, NULL, OPT_FLAG },
		{ "save", required_argument, NULL, OPT_SAVE },
		{ "saved", required_argument, NULL, OPT_SAVED },
		{ "delete-saved", required_argument, NULL, OPT_DELETE },
		{ "list-saved", no_argument, NULL, OPT_LIST },
		{ "share", no_argument, NULL, OPT_SHARE },
		{ "replace", no_argument, NULL, OPT_REPLACE },
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
	return status != -1 ? status : check_arguments(s);
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
take_position(struct search_command *s, struct slice line)
{
	struct slice tail = SLICE("{\"tail\":");

	if (s->follow && line.len > tail.len &&
	    memcmp(line.ptr, tail.ptr, tail.len) == 0) {
		(void)snprintf(s->tail, sizeof(s->tail), "%.*s",
		    (int)(line.len - tail.len - 1), line.ptr + tail.len);
		return true;
	}
	return !s->follow && !s->groups && !s->count && print_next(line);
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
	(void)buf_add_str(&target, s->path);
	(void)buf_add_slice(&target, buf_slice(&s->target));
	if (s->query != NULL)
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

/* What was saved says what comes: events, or counts and groups. */
static enum rc
find_saved(struct search_command *s, struct error *err)
{
	struct saved_found found;
	enum rc rc = saved_find(s->global, s->kept.saved, &found, err);

	if (rc != RC_OK)
		return rc;
	(void)snprintf(s->path, sizeof(s->path), "%s", found.path);
	s->groups = s->groups || found.groups;
	s->count = s->count || found.count;
	if (s->follow && (s->count || s->groups))
		return error_set(err, RC_INVALID,
		    "--follow prints events: this search counts or groups");
	return RC_OK;
}

static int
run_or_keep(struct search_command *s, const struct global_options *own)
{
	const struct saved_arguments *k = &s->kept;
	struct error err;
	enum rc rc = RC_OK;

	if (k->list)
		return saved_list(own);
	if (k->remove != NULL)
		return saved_remove(own, k->remove);
	if (k->save != NULL)
		return saved_save(own, k, s->query);
	if (k->saved != NULL)
		rc = find_saved(s, &err);
	if (rc == RC_OK)
		rc = run_search(s, &err);
	return finish(s, rc, &err);
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct search_command s = { .global = &own,
		.json = global->json,
		.path = "/v1/search",
		.tail = "now" };
	int status;

	buf_init(&s.target, TARGET_MAX);
	s.arena = arena_new(ARENA_BLOCK);
	status = parse_arguments(&s, argc, argv);
	own.json = s.json;
	if (status == -1 && s.query != NULL)
		status = check_query(&s);
	if (status == -1)
		status = run_or_keep(&s, &own);
	arena_free(s.arena);
	buf_fini(&s.target);
	return status;
}

const struct command cmd_search = { "search", "search stored events", run };
