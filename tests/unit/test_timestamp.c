/* SPDX-License-Identifier: Apache-2.0 */
#include "timestamp.h"

#include <stdio.h>

#include "tap.h"

typedef size_t parse_fn(struct slice s, const struct timestamp_hints *hints,
    int64_t *time_ns);

static struct timezone_info *almaty;

/* 2026-11-22T12:00:00Z */
static const int64_t now_ns = INT64_C(1795348800) * NS_PER_SEC;

static bool
reads_as(parse_fn *parse, const char *text, size_t rest, const char *want)
{
	struct timestamp_hints hints = { .tz = almaty, .now_ns = now_ns };
	struct slice s = { text, strlen(text) };
	char out[TIMESTAMP_TEXT_MAX];
	int64_t t = 0;
	size_t n = parse(s, &hints, &t);
	struct slice got;

	if (want == NULL)
		return n == 0;
	got = timestamp_format(t, out);
	if (n + rest == s.len &&
	    slice_eq(got, (struct slice){ want, strlen(want) }))
		return true;
	(void)printf("# %s: %zu bytes, %.*s\n", text, n, SLICE_ARG(got));
	return false;
}

static void
formats_are_read(void)
{
	static const struct {
		parse_fn *parse;
		const char *text;
		size_t rest;
		const char *want;
	} cases[] = {
		{ timestamp_parse_rfc3339, "2026-11-22T01:02:03Z", 0,
		    "2026-11-22T01:02:03.000Z" },
		{ timestamp_parse_rfc3339, "2026-11-22 01:02:03,5+05:00 x", 2,
		    "2026-11-21T20:02:03.500Z" },
		{ timestamp_parse_rfc3339, "2026-11-22T01:02:03.123456-0330", 0,
		    "2026-11-22T04:32:03.123456Z" },
		{ timestamp_parse_rfc3339, "2026-11-22T01:02:03.1234567891", 0,
		    "2026-11-21T20:02:03.123456789Z" },
		{ timestamp_parse_rfc3339, "2016-12-31T23:59:60Z", 0,
		    "2017-01-01T00:00:00.000Z" },
		{ timestamp_parse_rfc3339, "2026-11-22 01:02:03 +0500", 0,
		    "2026-11-21T20:02:03.000Z" },
		{ timestamp_parse_rfc3339, "2026-11-22 01:02:03 -1 x", 5,
		    "2026-11-21T20:02:03.000Z" },
		{ timestamp_parse_rfc3339, "2026-02-29T00:00:00Z", 0, NULL },
		{ timestamp_parse_rfc3339, "2026-11-22T25:02:03Z", 0, NULL },
		{ timestamp_parse_rfc3339, "2026-11-22T01:02", 0, NULL },
		{ timestamp_parse_rfc3339, "9999-11-22T01:02:03Z", 0, NULL },
		{ timestamp_parse_rfc3339, "", 0, NULL },
		{ timestamp_parse_rfc3164, "Nov 22 01:02:03 host", 5,
		    "2026-11-21T20:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Nov  2 01:02:03", 0,
		    "2026-11-01T20:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Nov 2 01:02:03.5", 0,
		    "2026-11-01T20:02:03.500Z" },
		{ timestamp_parse_rfc3164, "Nov 23 16:59:59", 0,
		    "2026-11-23T11:59:59.000Z" },
		{ timestamp_parse_rfc3164, "Nov 23 17:00:01", 0,
		    "2025-11-23T12:00:01.000Z" },
		{ timestamp_parse_rfc3164, "Dec 31 01:02:03", 0,
		    "2025-12-30T20:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Feb 29 01:02:03", 0,
		    "2024-02-28T19:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Nov 22 2019 01:02:03: x", 3,
		    "2019-11-21T19:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Nov 22 01:02:03 2019 x", 2,
		    "2019-11-21T19:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Nov 22 01:02:03 20190 x", 8,
		    "2026-11-21T20:02:03.000Z" },
		{ timestamp_parse_rfc3164, "Nob 22 01:02:03", 0, NULL },
		{ timestamp_parse_rfc3164, "Nov 31 01:02:03", 0, NULL },
		{ timestamp_parse_clf, "22/Nov/2026:01:02:03 +0000]", 1,
		    "2026-11-22T01:02:03.000Z" },
		{ timestamp_parse_clf, "22/Nov/2026:01:02:03 -", 2,
		    "2026-11-21T20:02:03.000Z" },
		{ timestamp_parse_ctime, "Sun Nov 22 01:02:03.123456 2026", 0,
		    "2026-11-21T20:02:03.123456Z" },
		{ timestamp_parse_ctime, "Sun Nov  2 01:02:03 2026] x", 3,
		    "2026-11-01T20:02:03.000Z" },
		{ timestamp_parse_slashed, "2026/11/22 01:02:03 [error]", 8,
		    "2026-11-21T20:02:03.000Z" },
		{ timestamp_parse_unix, "1763773323.25 x", 2,
		    "2025-11-22T01:02:03.250Z" },
		{ timestamp_parse_unix, "1763773323250", 0,
		    "2025-11-22T01:02:03.250Z" },
		{ timestamp_parse_unix, "17637733232", 0, NULL },
		{ timestamp_parse_unix, "12345678901234", 0, NULL },
		{ timestamp_parse_unix, "9999999999", 0, NULL },
		{ timestamp_parse_unix, "9999999999999", 0, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(reads_as(cases[i].parse, cases[i].text, cases[i].rest,
			  cases[i].want),
		    "%s", cases[i].text);
}

static void
patterns_are_read(void)
{
	static const struct {
		const char *format, *text, *want;
	} cases[] = {
		{ "%Y-%m-%d %H:%M:%S.%f", "2026-11-22  01:02:03.5",
		    "2026-11-21T20:02:03.500Z" },
		{ "%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:01:02:03 +0500",
		    "2026-11-21T20:02:03.000Z" },
		{ "%a, %e %b %Y %I:%M:%S %p %Z",
		    "Sunday,  2 November 2026 12:02:03 am GMT",
		    "2026-11-02T00:02:03.000Z" },
		{ "%I %p %y-%j", "11 PM 24-366", "2024-12-31T18:00:00.000Z" },
		{ "%b %d %H:%M:%S", "Dec 31 01:02:03",
		    "2025-12-30T20:02:03.000Z" },
		{ "%s.%f", "1763773323.001", "2025-11-22T01:02:03.001Z" },
		{ "%H%%", "5%", NULL },
		{ "%Y-%m-%d", "2026-13-01", NULL },
		{ "%Y-%q", "2026-13", NULL },
		{ "%Y", "202", NULL },
	};
	struct timestamp_hints hints = { .tz = almaty, .now_ns = now_ns };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice s = { cases[i].text, strlen(cases[i].text) };
		char out[TIMESTAMP_TEXT_MAX];
		int64_t t = 0;
		size_t n =
		    timestamp_parse_format(s, cases[i].format, &hints, &t);
		struct slice got = timestamp_format(t, out);

		if (cases[i].want == NULL) {
			CHECK(n == 0, "refused: %s", cases[i].text);
			continue;
		}
		CHECK(n == s.len &&
			slice_eq(got,
			    (struct slice){ cases[i].want,
				strlen(cases[i].want) }),
		    "%s by %s is %.*s", cases[i].text, cases[i].format,
		    SLICE_ARG(got));
	}
}

static bool
wall_is(const char *zone, struct civil_time c, const char *want)
{
	struct timezone_info *tz;
	struct error err;
	char out[TIMESTAMP_TEXT_MAX];
	struct slice got;
	int64_t t = 0;
	bool ok;

	if (timezone_open(zone, &tz, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return false;
	}
	ok = timestamp_from_civil(&c, tz, &t);
	timezone_close(tz);
	got = timestamp_format(t, out);
	if (ok && slice_eq(got, (struct slice){ want, strlen(want) }))
		return true;
	(void)printf("# %s: %.*s\n", zone, SLICE_ARG(got));
	return false;
}

static void
zones_are_known(void)
{
	static const struct {
		const char *zone;
		struct civil_time c;
		const char *want, *says;
	} cases[] = {
		{ "UTC", { 2026, 7, 1, 12, 0, 0, 0 },
		    "2026-07-01T12:00:00.000Z", "UTC" },
		{ "+05:30", { 2026, 7, 1, 12, 0, 0, 0 },
		    "2026-07-01T06:30:00.000Z", "a fixed offset" },
		{ "Asia/Almaty", { 2024, 2, 29, 12, 0, 0, 0 },
		    "2024-02-29T06:00:00.000Z", "a zone before it moved" },
		{ "Asia/Almaty", { 2024, 3, 1, 12, 0, 0, 0 },
		    "2024-03-01T07:00:00.000Z", "and after" },
		{ "Europe/Berlin", { 2026, 7, 1, 12, 0, 0, 0 },
		    "2026-07-01T10:00:00.000Z", "summer" },
		{ "Europe/Berlin", { 2099, 7, 1, 12, 0, 0, 0 },
		    "2099-07-01T10:00:00.000Z", "a far summer, by the footer" },
		{ "Europe/Berlin", { 2099, 12, 1, 12, 0, 0, 0 },
		    "2099-12-01T11:00:00.000Z", "a far winter" },
		{ "Europe/Berlin", { 2026, 3, 29, 2, 30, 0, 0 },
		    "2026-03-29T01:30:00.000Z", "a time that was skipped" },
		{ "Europe/Berlin", { 2026, 10, 25, 2, 30, 0, 0 },
		    "2026-10-25T00:30:00.000Z", "a time that came twice" },
		{ "America/New_York", { 2090, 3, 12, 2, 30, 0, 0 },
		    "2090-03-12T07:30:00.000Z", "skipped, by the footer" },
		{ "America/New_York", { 2090, 11, 5, 1, 30, 0, 0 },
		    "2090-11-05T05:30:00.000Z", "twice, by the footer" },
		{ "Australia/Sydney", { 2090, 1, 1, 12, 0, 0, 0 },
		    "2090-01-01T01:00:00.000Z", "summer in the south" },
		{ "Europe/Dublin", { 2090, 1, 1, 12, 0, 0, 0 },
		    "2090-01-01T12:00:00.000Z",
		    "a winter that is the exception" },
		{ "Pacific/Apia", { 2011, 12, 31, 0, 30, 0, 0 },
		    "2011-12-30T10:30:00.000Z",
		    "the other side of the date line" },
	};
	static const char *const bad[] = { "Nowhere/City", "../etc/passwd",
		"/etc/localtime", "", "+5", "Europe" };
	struct timezone_info *tz;
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(wall_is(cases[i].zone, cases[i].c, cases[i].want),
		    "%s: %s", cases[i].zone, cases[i].says);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(timezone_open(bad[i], &tz, &err) == RC_INVALID,
		    "no zone: %s", bad[i]);
}

static void
instants_print(void)
{
	char out[TIMESTAMP_TEXT_MAX];
	int64_t t;
	bool same = true;

	CHECK(slice_eq(timestamp_format(-1, out),
		  SLICE("1969-12-31T23:59:59.999999999Z")),
	    "before 1970");
	CHECK(slice_eq(timestamp_format(INT64_MIN, out),
		  SLICE("1677-09-21T00:12:43.145224192Z")),
	    "the first instant");
	for (int64_t s = -9000000000; s < 9000000000; s += 12345678) {
		struct slice text = timestamp_format(s * NS_PER_SEC, out);

		same &= timestamp_parse_rfc3339(text, NULL, &t) == text.len &&
		    t == s * NS_PER_SEC;
	}
	CHECK(same, "what is printed reads as the same instant");
}

static bool
argument_is(const char *text, int64_t want)
{
	struct error err;
	int64_t t;

	return timestamp_parse_argument(text, now_ns, &t, &err) == RC_OK &&
	    t == want;
}

static void
arguments_are_read(void)
{
	static const char *const bad[] = { "", "yesterday", "2h30m", "-2h", "2",
		"2026-11", "99999999999999999999s", "2026-11-22T01:02:03x" };
	struct error err;
	int64_t t;

	CHECK(argument_is("now", now_ns), "now");
	CHECK(argument_is("2h", now_ns - 7200 * NS_PER_SEC), "a span back");
	CHECK(argument_is("8w", now_ns - INT64_C(56) * 86400 * NS_PER_SEC),
	    "weeks");
	CHECK(argument_is("2026-11-22", now_ns - 43200 * NS_PER_SEC), "a date");
	CHECK(argument_is("2026-11-22T12:00:00Z", now_ns), "RFC 3339");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(timestamp_parse_argument(bad[i], now_ns, &t, &err) ==
			RC_INVALID,
		    "no time: \"%s\"", bad[i]);
	CHECK(duration_parse(SLICE("500ms"), &t, &err) == RC_OK &&
		t == 500 * NS_PER_MS,
	    "half a second");
	CHECK(duration_parse(SLICE("ms"), &t, &err) == RC_INVALID,
	    "a number is wanted");
}

int
main(void)
{
	struct error err;

	if (timezone_open("Asia/Almaty", &almaty, &err) != RC_OK) {
		(void)printf("1..0 # SKIP no tzdata\n");
		return 0;
	}
	formats_are_read();
	patterns_are_read();
	zones_are_known();
	instants_print();
	arguments_are_read();
	timezone_close(almaty);
	return tap_done();
}
