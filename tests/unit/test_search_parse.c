/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "search.h"
#include "tap.h"
#include "timestamp.h"

static struct error err;

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* The column of the mistake; 0: there is none. */
static size_t
column_of(const char *text)
{
	struct search_query *q;
	size_t column;

	if (search_parse(slice_of(text), timestamp_now(), &q, &column, &err) ==
	    RC_OK)
		search_free(q);
	return column;
}

static void
what_is_well_written_is_read(void)
{
	static const char *const good[] = {
		"",
		"   ",
		"*",
		"*:*",
		"root",
		"user.name:root",
		"user.name : root",
		"user.name:\"root\"",
		"\"Failed password\" AND NOT user.name:root",
		"a && b || !c",
		"+must -other",
		"a and (b or not c)",
		"source.ip:10.0.0.0/8",
		"source.ip:2001:db8::/32",
		"source.port:[1024 TO 65535]",
		"source.port:{1 TO 5]",
		"source.port:[* TO 5}",
		"source.port:[* TO *]",
		"source.port >= 1024",
		"source.port>1024",
		"source.port:<=5",
		"http.response.status_code:(404 OR 403)",
		"user.name:(ro* -root)",
		"_exists_:user.name",
		"user.name:*",
		"source.*:192.0.2.1",
		"/fail(ed|ure)/",
		"/fail(ed|ure)/i",
		"url.path:/\\/admin\\/[a-z/]+/",
		"url.path:/admin/users",
		"file.path:/etc/passwd",
		"a:b\\:c\\ d",
		"@timestamp:[now-1h TO now]",
		"@timestamp >= 2026-11-22",
		"@timestamp:\"2026-11-22T01:02:03Z\"",
		"event.original:\"tab\\\\\"",
		"ANDROID OR ORACLE NOTE",
		"status:not",
		"күзет AND \"ағаш\"",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(column_of(good[i]) == 0, "\"%s\" is a query", good[i]);
}

static void
a_mistake_is_pointed_at(void)
{
	static const struct {
		const char *text;
		size_t column;
		const char *says;
	} bad[] = {
		{ "(a", 1, "never closed" },
		{ "a)", 2, "closes nothing" },
		{ "a AND", 6, "missing here" },
		{ "a OR )", 6, "closes nothing" },
		{ "AND a", 1, "before this word" },
		{ "a OR OR b", 6, "before this word" },
		{ "()", 2, "empty" },
		{ "user.name:", 11, "a value for this field" },
		{ "user.name:)", 11, "a value for this field" },
		{ "user.name:\"root", 11, "never closed" },
		{ "a \"b", 3, "never closed" },
		{ "a:[1 TO", 8, "a range is written" },
		{ "a:[1 2]", 6, "a range is written" },
		{ "a:[1 TO 2", 10, "a range is written" },
		{ "a >", 4, "compare with" },
		{ "/a(b/", 5, "regular expression" },
		{ "күзет:/[/", 0, NULL },
		{ "күзет:/(/", 9, "regular expression" },
		{ "@timestamp:yesterday", 12, "" },
		{ "@timestamp:/2026/", 12, "takes a time" },
		{ "@timestamp:2026*", 12, "takes a time" },
		{ "source.ip:[192.0.2.1 TO 2001:db8::1]", 11, "IPv6" },
		{ "_exists_:", 10, "name of a field" },
		{ "\xff", 1, "UTF-8" },
		{ "ab \xc3", 4, "UTF-8" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t column;

		err.text[0] = '\0';
		column = column_of(bad[i].text);
		CHECK(column == bad[i].column &&
			(bad[i].says == NULL ||
			    strstr(err.text, bad[i].says) != NULL),
		    "case %zu is wrong in column %zu (%zu: %s)", i,
		    bad[i].column, column, err.text);
	}
}

static void
what_is_too_large_is_refused(void)
{
	const size_t n = 2 * ((size_t)SEARCH_TERMS_MAX + 1);
	char *text = malloc(SEARCH_TEXT_MAX + 2);

	if (text == NULL)
		abort();
	memset(text, 'a', SEARCH_TEXT_MAX + 1);
	text[SEARCH_TEXT_MAX + 1] = '\0';
	CHECK(column_of(text) == SEARCH_TEXT_MAX + 1 && err.code == RC_LIMIT,
	    "a query of too many bytes is refused");
	memset(text, '(', SEARCH_TEXT_MAX);
	text[SEARCH_TEXT_MAX] = '\0';
	CHECK(column_of(text) == SEARCH_DEPTH_MAX + 1 && err.code == RC_LIMIT,
	    "parentheses that are too deep are refused");
	memset(text, '!', SEARCH_TEXT_MAX);
	CHECK(column_of(text) == SEARCH_DEPTH_MAX + 2 && err.code == RC_LIMIT,
	    "so are too many NOTs");
	for (size_t i = 0; i < n; i += 2) {
		text[i] = 'a';
		text[i + 1] = ' ';
	}
	text[n] = '\0';
	CHECK(column_of(text) == n - 1 && err.code == RC_LIMIT,
	    "so are too many terms");
	free(text);
}

static void
people_see_the_place(void)
{
	struct buf out;

	buf_init(&out, 1024);
	search_explain(&out, SLICE("a\tOR )"), 6, "no");
	CHECK(slice_eq(buf_slice(&out), SLICE("a OR )\n     ^ column 6: no")),
	    "a caret stands below the mistake");
	buf_fini(&out);
}

int
main(void)
{
	what_is_well_written_is_read();
	a_mistake_is_pointed_at();
	what_is_too_large_is_refused();
	people_see_the_place();
	return tap_done();
}
