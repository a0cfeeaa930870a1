/* SPDX-License-Identifier: Apache-2.0 */
/* Time stamps by a pattern, for the formats that data files describe. */

#include "timestamp.h"
#include "timestamp_scan.h"

/* What the pattern has told so far. */
struct pattern {
	struct stamp s;
	struct civil_time c;
	int day_of_year; /* 0: not told */
	bool afternoon, half_day;
	bool has_zone;
	int32_t zone;
	bool has_instant;
	int64_t instant_ns;
};

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
skip_space(struct stamp *s)
{
	while (s->at < s->end && is_space(*s->at))
		s->at++;
}

/* Up to `width` digits, at least one. */
static bool
up_to(struct stamp *s, int width, int *out)
{
	int v = 0, n = 0, digit;

	while (n < width && stamp_digits(s, 1, &digit)) {
		v = v * 10 + digit;
		n++;
	}
	*out = v;
	return n > 0;
}

static bool
read_year2(struct pattern *p)
{
	/* POSIX: 69..99 are 1969..1999 */
	if (!stamp_digits(&p->s, 2, &p->c.year))
		return false;
	p->c.year += p->c.year >= 69 ? 1900 : 2000;
	return true;
}

/* The rest of a month's or weekday's name may follow: "Sept", "Monday". */
static void
skip_letters(struct stamp *s)
{
	while (
	    s->at < s->end && (*s->at | 0x20) >= 'a' && (*s->at | 0x20) <= 'z')
		s->at++;
}

static bool
read_month_name(struct pattern *p)
{
	if (!stamp_month(&p->s, &p->c.month))
		return false;
	skip_letters(&p->s);
	return true;
}

static bool
read_weekday(struct pattern *p)
{
	if (!stamp_weekday(&p->s))
		return false;
	skip_letters(&p->s);
	return true;
}

static bool
read_half(struct pattern *p)
{
	if (p->s.end - p->s.at < 2 || (p->s.at[1] | 0x20) != 'm')
		return false;
	p->afternoon = (p->s.at[0] | 0x20) == 'p';
	if (!p->afternoon && (p->s.at[0] | 0x20) != 'a')
		return false;
	p->half_day = true;
	p->s.at += 2;
	return true;
}

static bool
read_zone_name(struct pattern *p)
{
	static const struct slice names[] = { SLICE_INIT("UTC"),
		SLICE_INIT("GMT"), SLICE_INIT("Z") };
	size_t left = (size_t)(p->s.end - p->s.at);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (left >= names[i].len &&
		    memcmp(p->s.at, names[i].ptr, names[i].len) == 0) {
			p->s.at += names[i].len;
			p->has_zone = true;
			p->zone = 0;
			return true;
		}
	}
	return false;
}

static bool
read_unix(struct pattern *p)
{
	int64_t seconds = 0;
	int digit, n = 0;

	while (n < 12 && stamp_digits(&p->s, 1, &digit)) {
		seconds = seconds * 10 + digit;
		n++;
	}
	p->has_instant = true;
	return n > 0 && instant_of(seconds, 0, &p->instant_ns);
}

static bool
read_day(struct pattern *p)
{
	skip_space(&p->s);
	return up_to(&p->s, 2, &p->c.day);
}

static bool
convert(struct pattern *p, char conversion)
{
	switch (conversion) {
	case 'Y':
		return stamp_digits(&p->s, 4, &p->c.year);
	case 'y':
		return read_year2(p);
	case 'm':
		return up_to(&p->s, 2, &p->c.month);
	case 'd':
	case 'e':
		return read_day(p);
	case 'b':
		return read_month_name(p);
	case 'a':
		return read_weekday(p);
	case 'H':
	case 'I':
		return up_to(&p->s, 2, &p->c.hour);
	case 'M':
		return up_to(&p->s, 2, &p->c.minute);
	case 'S':
		return up_to(&p->s, 2, &p->c.second);
	case 'f':
		return stamp_fraction(&p->s, &p->c.nanosecond);
	case 'z':
		return p->has_zone = stamp_zone(&p->s, &p->zone);
	case 'Z':
		return read_zone_name(p);
	case 'j':
		return up_to(&p->s, 3, &p->day_of_year) && p->day_of_year > 0;
	case 'p':
		return read_half(p);
	case 's':
		return read_unix(p);
	default:
		return conversion == '%' && stamp_char(&p->s, '%');
	}
}

/* Month and day of a day of the year, which is known. */
static bool
apply_day_of_year(struct pattern *p)
{
	struct civil_time day = { .year = p->c.year, .month = 1, .day = 1 };
	int64_t seconds, time_ns;

	if (!civil_seconds(&day, &seconds) ||
	    !instant_of(seconds + (p->day_of_year - 1) * INT64_C(86400), 0,
		&time_ns))
		return false;
	timestamp_to_civil(time_ns, NULL, &day);
	p->c.month = day.month;
	p->c.day = day.day;
	return day.year == p->c.year;
}

static size_t
finish(struct pattern *p, struct slice text,
    const struct timestamp_hints *hints, int64_t *time_ns)
{
	if (p->has_instant) {
		*time_ns = p->instant_ns + p->c.nanosecond;
		return (size_t)(p->s.at - text.ptr);
	}
	if (p->half_day) {
		if (p->c.hour < 1 || p->c.hour > 12)
			return 0;
		p->c.hour = p->c.hour % 12 + (p->afternoon ? 12 : 0);
	}
	if (p->c.year == 0 && (p->has_zone || p->day_of_year != 0)) {
		struct civil_time now;

		timestamp_to_civil(hints != NULL ? hints->now_ns
						 : timestamp_now(),
		    NULL, &now);
		p->c.year =
		    hints != NULL && hints->year != 0 ? hints->year : now.year;
	}
	if (p->day_of_year != 0 && !apply_day_of_year(p))
		return 0;
	if (p->has_zone)
		return stamp_done_offset(&p->s, text, &p->c, p->zone, time_ns);
	if (p->c.year == 0)
		return stamp_done_guess(&p->s, text, &p->c, hints, time_ns);
	return stamp_done(&p->s, text, &p->c, hints, time_ns);
}

size_t
timestamp_parse_format(struct slice text, const char *format,
    const struct timestamp_hints *hints, int64_t *time_ns)
{
	struct pattern p = { .s = { text.ptr, text.ptr + text.len } };

	for (const char *f = format; *f != '\0'; f++) {
		bool fits;

		if (is_space(*f)) {
			skip_space(&p.s);
			continue;
		}
		if (*f == '%' && f[1] != '\0')
			fits = convert(&p, *++f);
		else
			fits = stamp_char(&p.s, *f);
		if (!fits)
			return 0;
	}
	return finish(&p, text, hints, time_ns);
}
