/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"
#include "json.h"
#include "timestamp.h"

enum { TARGET_MAX = 64 * 1024, ARENA_BLOCK = 64 * 1024, CELL_MAX = 64 * 1024 };
enum { TIME_WIDTH = 20 };

enum {
	OPT_SINCE = 256,
	OPT_UNTIL,
	OPT_RULE,
	OPT_WHERE,
	OPT_LIMIT,
	OPT_AFTER,
	OPT_COUNT,
	OPT_FLAT,
	OPT_JSON,
	OPT_HELP
};

struct query {
	const struct query_spec *spec;
	struct buf target;
	bool json;
	bool count;
	bool page; /* of so many: the answer says where the next begins */
	bool colour;
	bool any;
	struct arena *arena;
};

static const struct option all_options[] = {
	{ "since", required_argument, NULL, OPT_SINCE },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "rule", required_argument, NULL, OPT_RULE },
	{ "where", required_argument, NULL, OPT_WHERE },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "after", required_argument, NULL, OPT_AFTER },
	{ "count", no_argument, NULL, OPT_COUNT },
	{ "flat", no_argument, NULL, OPT_FLAT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
};

enum { N_OPTIONS = sizeof(all_options) / sizeof(all_options[0]) };

static bool
is_accepted(unsigned accepts, int option)
{
	switch (option) {
	case OPT_SINCE:
	case OPT_UNTIL:
		return (accepts & QUERY_TIME) != 0;
	case OPT_RULE:
		return (accepts & QUERY_RULE) != 0;
	case OPT_WHERE:
	case OPT_COUNT:
	case OPT_FLAT:
		return (accepts & QUERY_EVENTS) != 0;
	case OPT_LIMIT:
		return (accepts & QUERY_LIMIT) != 0;
	case OPT_AFTER:
		return (accepts & QUERY_AFTER) != 0;
	default:
		return true;
	}
}

static enum rc
add_time(struct query *q, const char *name, const char *text, struct error *err)
{
	char out[TIMESTAMP_TEXT_MAX];
	int64_t time_ns;

	if (timestamp_parse_argument(text, timestamp_now(), &time_ns, err) !=
	    RC_OK)
		return error_prefix(err, "--%s", name);
	client_param(&q->target, name, timestamp_format(time_ns, out));
	return RC_OK;
}

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static enum rc
add_option(struct query *q, int option, struct error *err)
{
	switch (option) {
	case OPT_SINCE:
		return add_time(q, "since", optarg, err);
	case OPT_UNTIL:
		return add_time(q, "until", optarg, err);
	case OPT_RULE:
		client_param(&q->target, "rule", slice_of(optarg));
		return RC_OK;
	case OPT_WHERE:
		if (optarg[0] == '=' || strchr(optarg, '=') == NULL)
			return error_set(err, RC_INVALID,
			    "--where: write FIELD=VALUE, such as "
			    "source.ip=203.0.113.7");
		client_param(&q->target, "where", slice_of(optarg));
		return RC_OK;
	case OPT_LIMIT:
		if (optarg[0] == '\0' ||
		    strspn(optarg, "0123456789") != strlen(optarg))
			return error_set(err, RC_INVALID,
			    "--limit: write a whole number; 0 is all");
		client_param(&q->target, "limit", slice_of(optarg));
		q->page = strspn(optarg, "0") != strlen(optarg);
		return RC_OK;
	case OPT_AFTER:
		client_param(&q->target, "after", slice_of(optarg));
		return RC_OK;
	case OPT_COUNT:
		q->count = true;
		client_param(&q->target, "count", SLICE("1"));
		return RC_OK;
	case OPT_FLAT:
		client_param(&q->target, "flat", SLICE("1"));
		return RC_OK;
	default:
		q->json = true;
		return RC_OK;
	}
}

/* -1: go on; else the exit status. */
static int
parse_options(struct query *q, int argc, char *argv[])
{
	struct option options[N_OPTIONS + 1];
	struct error err;
	size_t n = 0;
	int c;

	for (size_t i = 0; i < N_OPTIONS; i++)
		if (is_accepted(q->spec->accepts, all_options[i].val))
			options[n++] = all_options[i];
	options[n] = (struct option){ NULL, 0, NULL, 0 };
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == OPT_HELP || c == 'h') {
			(void)fputs(q->spec->help, stdout);
			return EXIT_GOOD;
		}
		if (c == '?')
			return EXIT_USAGE;
		if (add_option(q, c, &err) != RC_OK) {
			(void)fprintf(stderr, "kuzetctl %s: %s\n",
			    q->spec->name, err.text);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr,
		    "kuzetctl %s: \"%s\" is one too many; --help tells more\n",
		    q->spec->name, argv[optind]);
		return EXIT_USAGE;
	}
	if (q->target.overflowed) {
		(void)fprintf(stderr, "kuzetctl %s: the request is too long\n",
		    q->spec->name);
		return EXIT_USAGE;
	}
	return -1;
}

static bool
table_row(struct query *q, struct slice line)
{
	struct event ev;
	struct error err;

	arena_reset(q->arena);
	event_begin(&ev, q->arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) != RC_OK) {
		print_text(line, 0);
		(void)putchar('\n');
		return true;
	}
	if (q->count) {
		print_field(&ev, "count", 0);
		(void)putchar('\n');
		return true;
	}
	if (!q->any)
		(void)puts(q->spec->header);
	q->any = true;
	q->spec->row(&ev, q->colour);
	(void)putchar('\n');
	return true;
}

static bool
on_line(void *ctx, struct slice line)
{
	struct query *q = ctx;

	if (q->page && print_next(line))
		return true;
	if (!q->json)
		return table_row(q, line) && ferror(stdout) == 0;
	(void)fwrite(line.ptr, 1, line.len, stdout);
	(void)putchar('\n');
	return ferror(stdout) == 0;
}

int
query_run(const struct query_spec *spec, const struct global_options *global,
    int argc, char *argv[])
{
	struct query q = { .spec = spec,
		.json = global->json,
		.colour = print_in_colour() };
	struct error err;
	enum rc rc;
	int status;

	buf_init(&q.target, TARGET_MAX);
	(void)buf_add_str(&q.target, spec->path);
	status = parse_options(&q, argc, argv);
	if (status >= 0) {
		buf_fini(&q.target);
		return status;
	}
	q.page = q.page && (spec->accepts & QUERY_AFTER) != 0;
	if (q.page)
		client_param(&q.target, "next", SLICE("1"));
	(void)buf_add(&q.target, "", 1);
	q.arena = arena_new(ARENA_BLOCK);
	rc = client_get(global, q.target.ptr, on_line, &q, &err);
	arena_free(q.arena);
	buf_fini(&q.target);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl %s: %s\n", spec->name,
		    err.text);
	else if (!q.json && !q.any && !q.count)
		(void)fprintf(stderr, "none\n");
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		(void)fprintf(stderr,
		    "kuzetctl %s: cannot write: the answer "
		    "is not complete\n",
		    spec->name);
		return EXIT_FAILED;
	}
	if (rc == RC_OK)
		return EXIT_GOOD;
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

bool
print_next(struct slice line)
{
	const struct slice begin = SLICE("{\"next\":");

	if (line.len <= begin.len ||
	    memcmp(line.ptr, begin.ptr, begin.len) != 0)
		return false;
	if (line.ptr[begin.len] == '"')
		(void)fprintf(stderr, "more: --after %.*s\n",
		    (int)(line.len - begin.len - 3), line.ptr + begin.len + 1);
	return true;
}

/* C0, DEL and C1 controls (U+0080..U+009F): what terminals obey. */
void
print_text(struct slice s, int width)
{
	int columns = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == 0xc2 && i + 1 < s.len &&
		    (unsigned char)s.ptr[i + 1] < 0xa0) {
			(void)putchar('?');
			columns++;
			i++;
			continue;
		}
		(void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
		columns += (c & 0xc0) != 0x80;
	}
	for (; columns < width; columns++)
		(void)putchar(' ');
	if (width > 0)
		(void)putchar(' ');
}

static void
field_text(struct buf *out, const struct value *v)
{
	if (v->kind == VALUE_STRING) {
		(void)buf_add_slice(out, v->s);
	} else if (v->kind == VALUE_LIST) {
		for (uint32_t i = 0; i < v->n; i++) {
			if (i > 0)
				(void)buf_add_char(out, ',');
			if (v->list[i].kind == VALUE_STRING)
				(void)buf_add_slice(out, v->list[i].s);
			else
				json_write_value(out, &v->list[i]);
		}
	} else {
		json_write_value(out, v);
	}
}

void
print_field(const struct event *ev, const char *name, int width)
{
	const struct value *v = event_get(ev, field_intern(slice_of(name)));
	struct buf text;

	if (v == NULL) {
		print_text(SLICE("-"), width);
		return;
	}
	buf_init(&text, CELL_MAX);
	field_text(&text, v);
	print_text(buf_slice(&text), width);
	buf_fini(&text);
}

bool
print_in_colour(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	const char *no = getenv("NO_COLOR");

	return (no == NULL || no[0] == '\0') && isatty(STDOUT_FILENO) == 1;
}

void
print_level(const struct event *ev, bool colour)
{
	static const struct {
		struct slice name;
		const char *colour;
	} levels[] = {
		{ SLICE_INIT("critical"), "\033[1;31m" },
		{ SLICE_INIT("high"), "\033[31m" },
		{ SLICE_INIT("medium"), "\033[33m" },
		{ SLICE_INIT("low"), "\033[36m" },
	};
	struct slice level = event_get_string(ev, field_intern(SLICE("level")));
	const char *begin = NULL;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (colour && slice_eq(level, levels[i].name))
			begin = levels[i].colour;
	if (begin != NULL)
		(void)fputs(begin, stdout);
	print_field(ev, "level", 13);
	if (begin != NULL)
		(void)fputs("\033[0m", stdout);
}

void
print_members(const struct event *ev, const char *name)
{
	struct slice prefix = slice_of(name);
	bool any = false;

	for (uint32_t i = 0; i < ev->n; i++) {
		struct slice full = field_name(ev->fields[i].id);
		struct buf text;

		if (full.len <= prefix.len + 1 ||
		    memcmp(full.ptr, prefix.ptr, prefix.len) != 0 ||
		    full.ptr[prefix.len] != '.')
			continue;
		full.ptr += prefix.len + 1;
		full.len -= prefix.len + 1;
		buf_init(&text, CELL_MAX);
		(void)buf_add_slice(&text, full);
		(void)buf_add_char(&text, '=');
		field_text(&text, &ev->fields[i].value);
		if (any)
			(void)putchar(' ');
		any = true;
		print_text(buf_slice(&text), 0);
		buf_fini(&text);
	}
	if (!any)
		(void)putchar('-');
}

static void
put_time(int64_t time_ns, int width)
{
	char out[TIMESTAMP_TEXT_MAX];
	struct slice text =
	    timestamp_format(time_ns - time_ns % NS_PER_SEC, out);

	/* without ".000" */
	text.ptr = out;
	out[19] = 'Z';
	text.len = 20;
	print_text(text, width);
}

void
print_time(int64_t time_ns)
{
	put_time(time_ns, TIME_WIDTH);
}

/* The whole text, so that no name that begins like a time is cut. */
static bool
is_time(struct slice text, int64_t *time_ns)
{
	const struct timestamp_hints hints = { .tz = NULL };

	return text.len >= TIME_WIDTH &&
	    timestamp_parse_rfc3339(text, &hints, time_ns) == text.len;
}

void
print_time_field(const struct event *ev, const char *name)
{
	struct slice text = event_get_string(ev, field_intern(slice_of(name)));
	int64_t time_ns;

	if (is_time(text, &time_ns))
		print_time(time_ns);
	else
		print_text(SLICE("-"), TIME_WIDTH);
}

void
print_cell(const struct event *ev, const char *name, int width)
{
	struct slice text = event_get_string(ev, field_intern(slice_of(name)));
	int64_t time_ns;

	if (is_time(text, &time_ns))
		put_time(time_ns, width);
	else
		print_field(ev, name, width);
}
