/* SPDX-License-Identifier: Apache-2.0 */
#include "timezone_rule.h"

#include "timestamp_scan.h"

enum {
	SECS_PER_DAY = 86400,
	NAME_MIN = 3,
	OFFSET_HOURS_MAX = 23,
	CHANGE_HOURS_MAX = 167, /* RFC 8536, 3.3.1 */
};

/* Three letters or more, or anything of "+-", letters and digits in <>. */
static bool
name(struct stamp *s)
{
	const char *from = s->at;

	if (stamp_char(s, '<')) {
		while (s->at < s->end && *s->at != '>')
			s->at++;
		return stamp_char(s, '>') && s->at - from >= NAME_MIN + 2;
	}
	while (s->at < s->end &&
	    ((*s->at >= 'a' && *s->at <= 'z') ||
		(*s->at >= 'A' && *s->at <= 'Z')))
		s->at++;
	return s->at - from >= NAME_MIN;
}

/* One to `width` digits up to `max`. */
static bool
number(struct stamp *s, int width, int max, int *out)
{
	int v = 0, n = 0, digit;

	while (n < width && stamp_digits(s, 1, &digit)) {
		v = v * 10 + digit;
		n++;
	}
	*out = v;
	return n > 0 && v <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool
clock_time(struct stamp *s, int hours_max, int32_t *seconds)
{
	bool minus = stamp_char(s, '-');
	int h, m = 0, sec = 0;

	if (!minus)
		(void)stamp_char(s, '+');
	if (!number(s, 3, hours_max, &h))
		return false;
	if (stamp_char(s, ':')) {
		if (!number(s, 2, 59, &m))
			return false;
		if (stamp_char(s, ':') && !number(s, 2, 59, &sec))
			return false;
	}
	*seconds = h * 3600 + m * 60 + sec;
	if (minus)
		*seconds = -*seconds;
	return true;
}

static bool
change(struct stamp *s, struct timezone_change *c)
{
	*c = (struct timezone_change){ .seconds = 2 * 3600 };
	if (!stamp_char(s, ','))
		return false;
	if (stamp_char(s, 'M')) {
		c->kind = DAY_OF_WEEK;
		if (!number(s, 2, 12, &c->month) || c->month < 1 ||
		    !stamp_char(s, '.') || !number(s, 1, 5, &c->week) ||
		    c->week < 1 || !stamp_char(s, '.') ||
		    !number(s, 1, 6, &c->day))
			return false;
	} else if (stamp_char(s, 'J')) {
		c->kind = DAY_JULIAN;
		if (!number(s, 3, 365, &c->day) || c->day < 1)
			return false;
	} else {
		c->kind = DAY_ZERO_BASED;
		if (!number(s, 3, 365, &c->day))
			return false;
	}
	return !stamp_char(s, '/') ||
	    clock_time(s, CHANGE_HOURS_MAX, &c->seconds);
}

bool
timezone_rule_parse(struct slice text, struct timezone_rule *out)
{
	struct stamp s = { text.ptr, text.ptr + text.len };
	struct timezone_rule r = { .has_summer = false };
	int32_t west;

	/* POSIX counts west of Greenwich */
	if (!name(&s) || !clock_time(&s, OFFSET_HOURS_MAX, &west))
		return false;
	r.standard = -west;
	if (s.at < s.end) {
		r.has_summer = true;
		r.summer = r.standard + 3600;
		if (!name(&s))
			return false;
		if (s.at < s.end && *s.at != ',') {
			if (!clock_time(&s, OFFSET_HOURS_MAX, &west))
				return false;
			r.summer = -west;
		}
		if (!change(&s, &r.begin) || !change(&s, &r.end))
			return false;
	}
	if (s.at != s.end)
		return false;
	*out = r;
	return true;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The change of a year that begins at `new_year`, in its own clock. */
static int64_t
change_in(const struct timezone_change *c, int year, int64_t new_year)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243,
		273, 304, 334, 365 };
	int day, length, weekday;

	switch (c->kind) {
	case DAY_JULIAN:
		day = c->day - 1 + (is_leap(year) && c->day >= 60);
		break;
	case DAY_ZERO_BASED:
		day = c->day;
		break;
	case DAY_OF_WEEK:
	default:
		day = before[c->month - 1] + (is_leap(year) && c->month > 2);
		length = before[c->month] - before[c->month - 1] +
		    (is_leap(year) && c->month == 2);
		/* 1970-01-01 was a Thursday */
		weekday = (int)((new_year / SECS_PER_DAY + day + 4) % 7);
		if (weekday < 0)
			weekday += 7;
		weekday = (c->day - weekday + 7) % 7 + 7 * (c->week - 1);
		while (weekday >= length)
			weekday -= 7;
		day += weekday;
		break;
	}
	return new_year + (int64_t)day * SECS_PER_DAY + c->seconds;
}

int32_t
timezone_rule_offset(const struct timezone_rule *rule, int64_t seconds)
{
	struct civil_time c = { .month = 1, .day = 1 };
	struct civil_time now;
	int64_t time_ns, new_year, begin, end;

	if (!rule->has_summer ||
	    !instant_of(seconds + rule->standard, 0, &time_ns))
		return rule->standard;
	timestamp_to_civil(time_ns, NULL, &now);
	c.year = now.year;
	if (!civil_seconds(&c, &new_year))
		return rule->standard;
	begin = change_in(&rule->begin, now.year, new_year) - rule->standard;
	end = change_in(&rule->end, now.year, new_year) - rule->summer;
	if (begin < end)
		return seconds >= begin && seconds < end ? rule->summer
							 : rule->standard;
	/* south of the equator, and zones whose winter is the exception */
	return seconds >= begin || seconds < end ? rule->summer
						 : rule->standard;
}
