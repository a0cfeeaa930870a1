/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/maintenance.h"
#include "agent/inputs/probe/probe.h"
#include "tap.h"
#include "timestamp.h"

static int64_t
at(const char *text)
{
	struct timestamp_hints hints = { .now_ns = 0 };
	int64_t ns = 0;

	(void)timestamp_parse_rfc3339((struct slice){ text, strlen(text) },
	    &hints, &ns);
	return ns;
}

static void
windows(void)
{
	/* 2026-11-22 is a Sunday */
	static const struct {
		const char *window, *zone, *time;
		bool within;
	} cases[] = {
		{ "02:00-03:00", NULL, "2026-11-22T02:00:00Z", true },
		{ "02:00-03:00", NULL, "2026-11-22T02:59:59Z", true },
		{ "02:00-03:00", NULL, "2026-11-22T03:00:00Z", false },
		{ "02:00-03:00", NULL, "2026-11-22T01:59:59Z", false },
		{ "00:00-24:00", NULL, "2026-11-22T23:59:59Z", true },
		{ "23:00-01:00", NULL, "2026-11-22T23:30:00Z", true },
		{ "23:00-01:00", NULL, "2026-11-22T00:30:00Z", true },
		{ "23:00-01:00", NULL, "2026-11-22T12:00:00Z", false },
		{ "Sun 02:00-04:00", NULL, "2026-11-22T03:00:00Z", true },
		{ "Mon 02:00-04:00", NULL, "2026-11-22T03:00:00Z", false },
		{ "sat 23:00-01:00", NULL, "2026-11-22T00:30:00Z", true },
		{ "Sun 23:00-01:00", NULL, "2026-11-22T00:30:00Z", false },
		{ "02:00-03:00", "+05:00", "2026-11-21T21:30:00Z", true },
		{ "02:00-03:00", "+05:00", "2026-11-22T02:30:00Z", false },
		{ "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z", NULL,
		    "2026-11-22T21:00:00Z", true },
		{ "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z", NULL,
		    "2026-11-22T22:00:00Z", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct timezone_info *tz = NULL;
		struct error err;
		bool good = cases[i].zone == NULL ||
		    timezone_open(cases[i].zone, &tz, &err) == RC_OK;

		CHECK(good && maintenance_valid(cases[i].window) &&
			maintenance_now(cases[i].window, tz,
			    at(cases[i].time)) == cases[i].within,
		    "%s is %s %s", cases[i].time,
		    cases[i].within ? "within" : "not within", cases[i].window);
		timezone_close(tz);
	}
}

static void
bad_windows(void)
{
	static const char *const bad[] = { "", "02:00", "02:00-02:00",
		"2:00-3:00", "25:00-26:00", "02:60-03:00", "Xyz 02:00-03:00",
		"02:00-03:00 ", "24:01-03:00",
		"2026-11-22T22:00:00Z/2026-11-22T20:00:00Z",
		"2026-11-22T20:00:00Z", "2026-11-22/", "/" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!maintenance_valid(bad[i]), "\"%s\" is no window",
		    bad[i]);
}

static void
targets(void)
{
	static const struct {
		const char *target;
		enum probe_check check;
		bool valid;
	} cases[] = {
		{ "example.org", PROBE_DNS, true },
		{ "example.org/x", PROBE_DNS, false },
		{ "", PROBE_DNS, false },
		{ "example.org:25", PROBE_TCP, true },
		{ "[2001:db8::1]:25", PROBE_TCP, true },
		{ "example.org", PROBE_TCP, false },
		{ "example.org", PROBE_TLS, true },
		{ "192.0.2.1", PROBE_NTP, true },
		{ "a b", PROBE_NTP, false },
		{ "http://example.org", PROBE_HTTP, true },
		{ "https://example.org:8443/a?b=c", PROBE_HTTP, true },
		{ "HTTPS://example.org/", PROBE_HTTP, true },
		{ "ftp://example.org/", PROBE_HTTP, false },
		{ "http://", PROBE_HTTP, false },
		{ "http://user@example.org/", PROBE_HTTP, false },
		{ "http://example.org/a b", PROBE_HTTP, false },
		{ "http://example.org/\r\nX: y", PROBE_HTTP, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(probe_target_valid(cases[i].check, cases[i].target) ==
			cases[i].valid,
		    "target %zu is %s", i, cases[i].valid ? "one" : "none");
}

int
main(void)
{
	windows();
	bad_windows();
	targets();
	return tap_done();
}
