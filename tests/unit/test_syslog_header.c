/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/normalize/syslog_header.h"

#include "tap.h"

static const struct {
	const char *line;
	const char *time; /* NULL: none */
	const char *host, *program, *procid, *message;
	int priority; /* 0: none, as most lines have */
} cases[] = {
	{ "Nov 22 01:02:03 web-1 sshd[34]: Failed x",
	    "2026-11-22T01:02:03.000Z", "web-1", "sshd", "34", "Failed x", 0 },
	{ "Nov  2 01:02:03 web-1 sudo:  bob : x", "2026-11-02T01:02:03.000Z",
	    "web-1", "sudo", "", " bob : x", 0 },
	{ "<38>Nov 22 01:02:03 web-1 /usr/sbin/cron[3]: x",
	    "2026-11-22T01:02:03.000Z", "web-1", "cron", "3", "x", 38 },
	{ "Nov 22 2025 01:02:03 fw-1 app: x", "2025-11-22T01:02:03.000Z",
	    "fw-1", "app", "", "x", 0 },
	{ "2025 Nov 22 01:02:03 fw-1 app: x", "2025-11-22T01:02:03.000Z",
	    "fw-1", "app", "", "x", 0 },
	{ "Nov 22 01:02:03 sshd[34]: no host", "2026-11-22T01:02:03.000Z", "",
	    "sshd", "34", "no host", 0 },
	{ "Nov 22 01:02:03 sogod [34]: spaced", "2026-11-22T01:02:03.000Z", "",
	    "sogod", "34", "spaced", 0 },
	{ "Nov 22 01:02:03 [sshd]: bracketed", "2026-11-22T01:02:03.000Z", "",
	    "sshd", "", "bracketed", 0 },
	{ "Nov 22 01:02:03 web-1 pop(pam_unix)[34]: x",
	    "2026-11-22T01:02:03.000Z", "web-1", "pop", "34", "x", 0 },
	{ "Nov 22 01:02:03 web-1 last message repeated 3 times",
	    "2026-11-22T01:02:03.000Z", "web-1", "", "",
	    "last message repeated 3 times", 0 },
	{ "Nov 22 01:02:03: --- last message repeated 3 times ---",
	    "2026-11-22T01:02:03.000Z", "", "", "",
	    "--- last message repeated 3 times ---", 0 },
	{ "2026-11-22T01:02:03.123456+05:00 web-1 sshd[34]: x",
	    "2026-11-21T20:02:03.123456Z", "web-1", "sshd", "34", "x", 0 },
	{ "2026-11-22T01:02:03Z INFO cleanup[34]: x",
	    "2026-11-22T01:02:03.000Z", "", "cleanup", "34", "x", 0 },
	{ "2026-11-22 01:02:03,388 fail2ban.actions[34]: x",
	    "2026-11-22T01:02:03.388Z", "", "fail2ban.actions", "34", "x", 0 },
	{ "web-1 sshd[34]: no time", NULL, "web-1", "sshd", "34", "no time",
	    0 },
	{ "<38>1 2026-11-22T01:02:03Z web-1 sshd 34 - - x",
	    "2026-11-22T01:02:03.000Z", "web-1", "sshd", "34", "x", 38 },
	{ "<38>1 - - - - - -", NULL, "", "", "", "", 38 },
	{ "<0>1 2026-11-22T01:02:03Z web-1 a - ID1 [x@1 k=\"v]\\\"\"][y] \xef"
	  "\xbb\xbfm",
	    "2026-11-22T01:02:03.000Z", "web-1", "a", "", "m", -1 },
	{ "<0>1 2026-11-22T01:02:03Z web-1 a - - [k:\"v w\"; l:\"x\"]",
	    "2026-11-22T01:02:03.000Z", "web-1", "a", "",
	    "[k:\"v w\"; l:\"x\"]", -1 },
	{ "<13>text without a header", NULL, "", "", "",
	    "text without a header", 13 },
};

static const char *const strangers[] = {
	"",
	" ",
	"garbage",
	"some words: and more",
	"2019-10-21 18:55:15|-1|0|0|[WEB] x",
	"2026-11-22T01:02:03Z a sentence, no header",
	"192.0.2.7 - - [22/Nov/2026:01:02:03 +0500] \"GET / HTTP/1.1\" 200 1",
	"[Sun Nov 22 01:02:03 2026] [error] [client 192.0.2.1] x",
	"2026/11/22 01:02:03 [error] 5#5: *7 x",
};

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static void
check_case(size_t i, const struct timestamp_hints *hints)
{
	struct time_cache cache = { .len = 0 };
	struct syslog_header h;
	char stamp[TIMESTAMP_TEXT_MAX];
	bool good = syslog_header_read(text(cases[i].line), hints, &cache, &h);
	bool time_good = cases[i].time == NULL ? !h.time_set
					       : h.time_set &&
		slice_eq(timestamp_format(h.time_ns, stamp),
		    text(cases[i].time));
	int priority = cases[i].priority == 0 ? -1
	    : cases[i].priority == -1         ? 0
					      : cases[i].priority;

	CHECK(good && time_good && slice_eq(h.hostname, text(cases[i].host)) &&
		slice_eq(h.program, text(cases[i].program)) &&
		slice_eq(h.procid, text(cases[i].procid)) &&
		slice_eq(h.message, text(cases[i].message)) &&
		h.priority == priority,
	    "the header of \"%s\" is read", cases[i].line);
	CHECK(syslog_header_read(text(cases[i].line), hints, &cache, &h) &&
		(cases[i].time == NULL || h.time_set),
	    "and once more from the cache");
}

static void
structured_data_becomes_fields(const struct timestamp_hints *hints)
{
	struct arena *arena = arena_new(4096);
	struct time_cache cache = { .len = 0 };
	struct syslog_header h;
	struct event ev;

	event_begin(&ev, arena);
	(void)syslog_header_read(
	    SLICE("<165>1 2026-11-22T01:02:03Z h app 7 ID47 "
		  "[ex@32473 iut=\"3\" s=\"a\\\"b\\]c\\\\d\\e\"][two] msg"),
	    hints, &cache, &h);
	syslog_header_apply(&h, &ev);
	CHECK(slice_eq(event_get_string(&ev,
			   field_intern(SLICE("log.syslog.structured_data."
					      "ex@32473.iut"))),
		  SLICE("3")),
	    "a parameter of structured data is a field");
	CHECK(slice_eq(event_get_string(&ev,
			   field_intern(SLICE("log.syslog.structured_data."
					      "ex@32473.s"))),
		  SLICE("a\"b]c\\d\\e")),
	    "its escapes are undone, and only those of RFC 5424");
	CHECK(slice_eq(event_get_string(&ev, FIELD_LOG_SYSLOG_MSGID),
		  SLICE("ID47")) &&
		event_get(&ev, FIELD_LOG_SYSLOG_PRIORITY)->i == 165,
	    "MSGID and PRI are fields");
	arena_free(arena);
}

int
main(void)
{
	/* 2026-12-01T00:00:00Z */
	struct timestamp_hints hints = { NULL, 0,
		INT64_C(1796083200) * NS_PER_SEC };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(i, &hints);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		struct time_cache cache = { .len = 0 };
		struct syslog_header h;

		CHECK(!syslog_header_read(text(strangers[i]), &hints, &cache,
			  &h),
		    "\"%s\" has no header", strangers[i]);
	}
	structured_data_becomes_fields(&hints);
	return tap_done();
}
