/* SPDX-License-Identifier: Apache-2.0 */
#include "junit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "utf8.h"
#include "xalloc.h"

enum { CASES_MAX = 256 << 20, ARENA_BLOCK = 4096 };

struct junit {
	const char *suite;
	struct buf cases;
	unsigned n, failed;
	double seconds;
};

struct junit *
junit_new(const char *suite)
{
	struct junit *j = xzalloc(sizeof(*j));

	j->suite = suite;
	buf_init(&j->cases, CASES_MAX);
	return j;
}

void
junit_free(struct junit *j)
{
	if (j == NULL)
		return;
	buf_fini(&j->cases);
	free(j);
}

/* XML 1.0, production 2. */
static bool
has_place(uint32_t c)
{
	return c == '\n' || c == '\t' ||
	    (c >= ' ' && c != 0xfffe && c != 0xffff);
}

/* Of a text or an attribute. */
static void
add_escaped(struct buf *out, struct slice s)
{
	while (s.len > 0) {
		uint32_t c;
		size_t n = utf8_decode(s, &c);

		if (c == '&')
			(void)buf_add_str(out, "&amp;");
		else if (c == '<')
			(void)buf_add_str(out, "&lt;");
		else if (c == '>')
			(void)buf_add_str(out, "&gt;");
		else if (c == '"')
			(void)buf_add_str(out, "&quot;");
		else if (has_place(c))
			(void)buf_add(out, s.ptr, n);
		else
			(void)buf_add_char(out, '?');
		s.ptr += n;
		s.len -= n;
	}
}

static void
add_any(struct buf *out, struct slice s)
{
	struct arena *arena = arena_new(ARENA_BLOCK);

	add_escaped(out, utf8_repair(arena, s));
	arena_free(arena);
}

static void
begin_case(struct junit *j, const char *path, double seconds)
{
	const char *slash = strrchr(path, '/');
	struct slice folder = { path,
		slash != NULL ? (size_t)(slash - path) : 0 };
	const char *name = slash != NULL ? slash + 1 : path;

	j->n++;
	j->seconds += seconds;
	(void)buf_add_str(&j->cases, "<testcase classname=\"");
	add_any(&j->cases, folder);
	(void)buf_add_str(&j->cases, "\" name=\"");
	add_any(&j->cases, (struct slice){ name, strlen(name) });
	(void)buf_printf(&j->cases, "\" time=\"%.3f\"", seconds);
}

void
junit_pass(struct junit *j, const char *path, double seconds)
{
	begin_case(j, path, seconds);
	(void)buf_add_str(&j->cases, "/>\n");
}

void
junit_fail(struct junit *j, const char *path, double seconds,
    struct slice message, struct slice text)
{
	j->failed++;
	begin_case(j, path, seconds);
	(void)buf_add_str(&j->cases, "><failure message=\"");
	add_any(&j->cases, message);
	(void)buf_add_str(&j->cases, "\">");
	add_any(&j->cases, text);
	(void)buf_add_str(&j->cases, "</failure></testcase>\n");
}

enum rc
junit_save(const struct junit *j, const char *path, struct error *err)
{
	FILE *f;
	int bad;

	if (j->cases.overflowed)
		return error_set(err, RC_LIMIT,
		    "%s: the report would be larger than %d bytes", path,
		    CASES_MAX);
	f = fopen(path, "we");
	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	bad = fprintf(f,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<testsuites>\n<testsuite name=\"%s\" tests=\"%u\" failures=\"%u\" "
	    "errors=\"0\" time=\"%.3f\">\n%.*s</testsuite>\n</testsuites>\n",
	    j->suite, j->n, j->failed, j->seconds,
	    SLICE_ARG(buf_slice(&j->cases)));
	if (fclose(f) != 0 || bad < 0)
		return error_set_errno(err, errno, "%s", path);
	return RC_OK;
}
