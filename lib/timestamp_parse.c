/* SPDX-License-Identifier: Apache-2.0 */
/* Time stamps of the usual logs, read digit by digit: once a line. */
#include <stdlib.h>

#include "timestamp.h"
#include "timestamp_scan.h"

enum { YEAR_MIN = 1970, YEAR_MAX = 2261 };

static struct stamp
stamp_at(struct slice s)
{
	return (struct stamp){ s.ptr, s.ptr + s.len };
}

/* YYYY-MM-DD with any one separator. */
static bool
date(struct stamp *s, char separator, struct civil_time *c)
{
	return stamp_digits(s, 4, &c->year) && stamp_char(s, separator) &&
	    stamp_digits(s, 2, &c->month) && stamp_char(s, separator) &&
	    stamp_digits(s, 2, &c->day);
}

/* " +0500" and " +05:00", as icinga, exim and others have it; no " -1". */
static bool
zone_behind_space(struct stamp *s, int32_t *offset)
{
	enum { SHORTEST = 5 };
	struct stamp t = *s;
	const char *sign;

	if (!stamp_char(&t, ' '))
		return false;
	sign = t.at;
	if (t.end - sign < SHORTEST || (*sign != '+' && *sign != '-') ||
	    !stamp_zone(&t, offset) || t.at - sign < SHORTEST ||
	    (t.at < t.end && *t.at >= '0' && *t.at <= '9'))
		return false;
	*s = t;
	return true;
}

size_t
timestamp_parse_rfc3339(struct slice text, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct stamp s = stamp_at(text);
	struct civil_time c = { .year = 0 };
	int32_t offset;

	if (!date(&s, '-', &c))
		return 0;
	if (!stamp_char(&s, 'T') && !stamp_char(&s, ' ') &&
	    !stamp_char(&s, 't'))
		return 0;
	if (!stamp_clock(&s, &c))
		return 0;
	stamp_optional_fraction(&s, &c.nanosecond);
	if (stamp_zone(&s, &offset) || zone_behind_space(&s, &offset))
		return stamp_done_offset(&s, text, &c, offset, time_ns);
	return stamp_done(&s, text, &c, hints, time_ns);
}

/* "22", " 2" or "2" */
static bool
day_of_month(struct stamp *s, int *day)
{
	struct stamp t = *s;

	if (stamp_digits(&t, 2, day)) {
		*s = t;
		return true;
	}
	(void)stamp_char(&t, ' ');
	if (!stamp_digits(&t, 1, day))
		return false;
	*s = t;
	return true;
}

/* " 2026" that nothing but a separator follows. */
static bool
year_behind(struct stamp *s, int *year)
{
	struct stamp t = *s;
	int y;

	if (!stamp_char(&t, ' ') || !stamp_digits(&t, 4, &y) || y < YEAR_MIN ||
	    y > YEAR_MAX)
		return false;
	if (t.at < t.end && *t.at != ' ' && *t.at != ':' && *t.at != ',')
		return false;
	*s = t;
	*year = y;
	return true;
}

size_t
timestamp_parse_rfc3164(struct slice text, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct stamp s = stamp_at(text);
	struct civil_time c = { .year = 0 };

	if (!stamp_month(&s, &c.month) || !stamp_char(&s, ' ') ||
	    !day_of_month(&s, &c.day))
		return 0;
	(void)year_behind(&s, &c.year);
	if (!stamp_char(&s, ' ') || !stamp_clock(&s, &c))
		return 0;
	stamp_optional_fraction(&s, &c.nanosecond);
	if (c.year == 0)
		(void)year_behind(&s, &c.year);
	if (c.year == 0)
		return stamp_done_guess(&s, text, &c, hints, time_ns);
	return stamp_done(&s, text, &c, hints, time_ns);
}

size_t
timestamp_parse_clf(struct slice text, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct stamp s = stamp_at(text);
	struct civil_time c = { .year = 0 };
	struct stamp zone;
	int32_t offset;

	if (!stamp_digits(&s, 2, &c.day) || !stamp_char(&s, '/') ||
	    !stamp_month(&s, &c.month) || !stamp_char(&s, '/') ||
	    !stamp_digits(&s, 4, &c.year) || !stamp_char(&s, ':') ||
	    !stamp_clock(&s, &c))
		return 0;
	stamp_optional_fraction(&s, &c.nanosecond);
	zone = s;
	if (stamp_char(&zone, ' ') && stamp_zone(&zone, &offset))
		return stamp_done_offset(&zone, text, &c, offset, time_ns);
	return stamp_done(&s, text, &c, hints, time_ns);
}

size_t
timestamp_parse_ctime(struct slice text, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct stamp s = stamp_at(text);
	struct civil_time c = { .year = 0 };

	if (!stamp_weekday(&s) || !stamp_char(&s, ' ') ||
	    !stamp_month(&s, &c.month) || !stamp_char(&s, ' ') ||
	    !day_of_month(&s, &c.day) || !stamp_char(&s, ' ') ||
	    !stamp_clock(&s, &c))
		return 0;
	stamp_optional_fraction(&s, &c.nanosecond);
	if (!stamp_char(&s, ' ') || !stamp_digits(&s, 4, &c.year))
		return 0;
	return stamp_done(&s, text, &c, hints, time_ns);
}

size_t
timestamp_parse_slashed(struct slice text, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct stamp s = stamp_at(text);
	struct civil_time c = { .year = 0 };

	if (!date(&s, '/', &c) || !stamp_char(&s, ' ') || !stamp_clock(&s, &c))
		return 0;
	stamp_optional_fraction(&s, &c.nanosecond);
	return stamp_done(&s, text, &c, hints, time_ns);
}

size_t
timestamp_parse_unix(struct slice text, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct stamp s = stamp_at(text);
	int64_t number = 0;
	int32_t nanosecond = 0;
	size_t n = 0;

	(void)hints;
	while (
	    n < text.len && n <= 13 && text.ptr[n] >= '0' && text.ptr[n] <= '9')
		number = number * 10 + (text.ptr[n++] - '0');
	s.at += n;
	if (n == 13)
		return __builtin_mul_overflow(number, NS_PER_MS, time_ns) ? 0
									  : n;
	if (n != 10)
		return 0;
	stamp_optional_fraction(&s, &nanosecond);
	if (!instant_of(number, nanosecond, time_ns))
		return 0;
	return (size_t)(s.at - text.ptr);
}

/* One span such as "2h": a number and a unit, to the end of the text. */
static bool
span(struct slice text, int64_t *ns)
{
	static const struct {
		struct slice name;
		int64_t ns;
	} units[] = {
		{ SLICE_INIT("us"), 1000 },
		{ SLICE_INIT("ms"), NS_PER_MS },
		{ SLICE_INIT("s"), NS_PER_SEC },
		{ SLICE_INIT("m"), 60 * NS_PER_SEC },
		{ SLICE_INIT("h"), 3600 * NS_PER_SEC },
		{ SLICE_INIT("d"), 86400 * NS_PER_SEC },
		{ SLICE_INIT("w"), 604800 * NS_PER_SEC },
	};
	struct slice unit = text;
	int64_t number = 0;

	while (unit.len > 0 && *unit.ptr >= '0' && *unit.ptr <= '9') {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, *unit.ptr - '0', &number))
			return false;
		unit.ptr++;
		unit.len--;
	}
	if (unit.len == text.len)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (slice_eq(unit, units[i].name))
			return !__builtin_mul_overflow(number, units[i].ns, ns);
	return false;
}

enum rc
duration_parse(struct slice text, int64_t *ns, struct error *err)
{
	if (!span(text, ns))
		return error_set(err, RC_INVALID,
		    "\"%.*s\" is no span of time: write a whole number and one "
		    "of us, ms, s, m, h, d, w, such as 30s or 12h",
		    (int)(text.len < 64 ? text.len : 64), text.ptr);
	return RC_OK;
}

enum rc
timestamp_parse_argument(const char *text, int64_t now_ns, int64_t *time_ns,
    struct error *err)
{
	struct slice s = { text, strlen(text) };
	struct stamp day = stamp_at(s);
	struct civil_time c = { .year = 0 };
	int64_t ns;

	if (slice_eq(s, SLICE("now"))) {
		*time_ns = now_ns;
		return RC_OK;
	}
	if (span(s, &ns)) {
		*time_ns = now_ns - ns;
		return RC_OK;
	}
	if (date(&day, '-', &c) && day.at == day.end &&
	    timestamp_from_civil(&c, NULL, time_ns))
		return RC_OK;
	if (s.len > 0 && timestamp_parse_rfc3339(s, NULL, time_ns) == s.len)
		return RC_OK;
	return error_set(err, RC_INVALID,
	    "\"%.64s\" is no time: write 2026-11-22T01:02:03Z, 2026-11-22, "
	    "now, or a span back from now such as 30s, 15m, 2h, 30d",
	    text);
}
