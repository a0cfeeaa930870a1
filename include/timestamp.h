/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instants as int64_t nanoseconds since 1970-01-01T00:00:00Z, their texts, and
 * time zones read from the system's TZif files (RFC 8536); setenv(TZ) never.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "slice.h"

#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS  INT64_C(1000000)

int64_t timestamp_now(void); /* CLOCK_REALTIME */

/* A time zone; immutable, so threads may share it. */
struct timezone_info;

/*
 * "Asia/Almaty", "UTC", "local" (/etc/localtime), "+05:00", "-0330", "Z".
 * RC_INVALID: no such zone.
 */
enum rc timezone_open(const char *name, struct timezone_info **out,
    struct error *err);
/* The same from a TZif file's bytes. */
enum rc timezone_parse(struct slice tzif, struct timezone_info **out,
    struct error *err);
void timezone_close(struct timezone_info *tz); /* NULL is fine */

/* Seconds east of UTC at an instant. */
int32_t timezone_offset(const struct timezone_info *tz, int64_t time_ns);

/*
 * Wall clock of a zone to an instant.  A time that a change of the clock skips
 * is read with the offset before it; one that comes twice is the first.
 * month 1..12, day 1..31, hour 0..23, second 0..60.  NULL tz is UTC.
 */
struct civil_time {
	int year, month, day, hour, minute, second;
	int32_t nanosecond;
};
bool timestamp_from_civil(const struct civil_time *c,
    const struct timezone_info *tz, int64_t *time_ns);
void timestamp_to_civil(int64_t time_ns, const struct timezone_info *tz,
    struct civil_time *c);

/* What a time stamp that says less than everything is completed with. */
struct timestamp_hints {
	const struct timezone_info *tz; /* NULL: UTC */
	int year;       /* 0: the year in which the result is nearest before
	                 * `now_ns` plus one day */
	int64_t now_ns; /* arrival */
};

/*
 * Each reads a time stamp at the start of `s` and says how many bytes it was,
 * 0 if there is none.
 *   rfc3339:  2026-11-22T01:02:03[.fraction](Z|+05:00|+0500|), 'T' or ' ';
 *             ',' before the fraction too; the zone may stand behind a
 *             space; without one hints->tz counts
 *   rfc3164:  Nov 22 01:02:03, "Nov  2 ...", also with a year after the day or
 *             at the end
 *   clf:      22/Nov/2026:01:02:03 +0500 (Apache, nginx)
 *   ctime:    Sun Nov 22 01:02:03[.fraction] 2026 (Apache error log)
 *   slashed:  2026/11/22 01:02:03 (nginx error log)
 *   unix:     1763773323[.fraction], 10 digits; 13 are milliseconds
 */
size_t timestamp_parse_rfc3339(struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns);
size_t timestamp_parse_rfc3164(struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns);
size_t timestamp_parse_clf(struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns);
size_t timestamp_parse_ctime(struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns);
size_t timestamp_parse_slashed(struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns);
size_t timestamp_parse_unix(struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns);

/*
 * Any format by a pattern, for data files: strptime's %Y %m %d %e %b %a %H %I
 * %M %S %f (fraction, 1-9 digits) %z %Z (UTC and GMT only) %y %j %p %s %%,
 * white space matches white space.
 */
size_t timestamp_parse_format(struct slice text, const char *format,
    const struct timestamp_hints *hints, int64_t *time_ns);

/* 2026-11-22T01:02:03.000Z; 6 or 9 digits where 3 would lose something. */
enum { TIMESTAMP_TEXT_MAX = 40 };
struct slice timestamp_format(int64_t time_ns, char out[TIMESTAMP_TEXT_MAX]);

/*
 * What people type: RFC 3339, a date, "now", or a span back from now such as
 * 30s 15m 2h 30d 8w.
 */
enum rc timestamp_parse_argument(const char *text, int64_t now_ns,
    int64_t *time_ns, struct error *err);

/* "30s" "15m" "2h" "30d" "8w" "500ms" "10us" to nanoseconds; RC_INVALID
 * otherwise. */
enum rc duration_parse(struct slice text, int64_t *ns, struct error *err);
