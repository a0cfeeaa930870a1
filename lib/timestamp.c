/* SPDX-License-Identifier: Apache-2.0 */
#include "timestamp.h"

#include <time.h>

#include "timestamp_scan.h"

enum {
	SECS_PER_MINUTE = 60,
	SECS_PER_HOUR = 3600,
	SECS_PER_DAY = 86400,
	GUESS_YEARS = 8, /* 29 February may be eight years away (1904) */
};

int64_t
timestamp_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_days(int year, int month)
{
	static const signed char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
		31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01 (proleptic Gregorian) of a date from the year 1 on. */
static int64_t
days_of(int year, int month, int day)
{
	/* before each month of a year that ends with February */
	static const short before[] = { 306, 337, 0, 31, 61, 92, 122, 153, 184,
		214, 245, 275 };
	unsigned y = (unsigned)(month <= 2 ? year - 1 : year);

	return (int64_t)(y * 365 + y / 4 - y / 100 + y / 400) +
	    before[month - 1] + day - 719469;
}

static void
civil_of(int64_t days, struct civil_time *c)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c->year = (int)(yoe + era * 400 + (c->month <= 2));
}

bool
civil_seconds(const struct civil_time *c, int64_t *seconds)
{
	if (c->year < 1 || c->year > 9999 || c->month < 1 || c->month > 12 ||
	    c->day < 1 || c->day > month_days(c->year, c->month) ||
	    c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59 ||
	    c->second < 0 || c->second > 60 || c->nanosecond < 0 ||
	    c->nanosecond >= NS_PER_SEC)
		return false;
	*seconds =
	    c->hour * SECS_PER_HOUR + c->minute * SECS_PER_MINUTE + c->second;
	*seconds += days_of(c->year, c->month, c->day) * SECS_PER_DAY;
	return true;
}

bool
instant_of(int64_t seconds, int32_t nanosecond, int64_t *time_ns)
{
	int64_t ns;

	if (__builtin_mul_overflow(seconds, NS_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, nanosecond, &ns))
		return false;
	*time_ns = ns;
	return true;
}

bool
timestamp_from_civil(const struct civil_time *c, const struct timezone_info *tz,
    int64_t *time_ns)
{
	int64_t local, early, late, ns;
	int32_t before, after;

	if (!civil_seconds(c, &local) || !instant_of(local, c->nanosecond, &ns))
		return false;
	if (tz == NULL) {
		*time_ns = ns;
		return true;
	}
	/* no zone is as much as a day from UTC: these two enclose the instant */
	if (ns < INT64_MIN + SECS_PER_DAY * NS_PER_SEC ||
	    ns > INT64_MAX - SECS_PER_DAY * NS_PER_SEC)
		return false;
	before = timezone_offset(tz, ns - SECS_PER_DAY * NS_PER_SEC);
	after = timezone_offset(tz, ns + SECS_PER_DAY * NS_PER_SEC);
	early = ns - before * NS_PER_SEC;
	late = ns - after * NS_PER_SEC;
	/* `before` wins where it is true of its result, and where the clock
	 * skipped this time, so that neither is; it is the earlier of two */
	if (before == after || timezone_offset(tz, early) == before ||
	    timezone_offset(tz, late) != after)
		*time_ns = early;
	else
		*time_ns = late;
	return true;
}

void
timestamp_to_civil(int64_t time_ns, const struct timezone_info *tz,
    struct civil_time *c)
{
	int64_t seconds = time_ns / NS_PER_SEC;
	int64_t rest = time_ns % NS_PER_SEC;
	int64_t days;

	if (rest < 0) {
		rest += NS_PER_SEC;
		seconds--;
	}
	if (tz != NULL)
		seconds += timezone_offset(tz, time_ns);
	c->nanosecond = (int32_t)rest;
	days = seconds / SECS_PER_DAY;
	rest = seconds % SECS_PER_DAY;
	if (rest < 0) {
		rest += SECS_PER_DAY;
		days--;
	}
	civil_of(days, c);
	c->hour = (int)(rest / SECS_PER_HOUR);
	c->minute = (int)(rest / SECS_PER_MINUTE % 60);
	c->second = (int)(rest % SECS_PER_MINUTE);
}

static char *
two_digits(char *to, int v)
{
	*to++ = (char)('0' + v / 10);
	*to++ = (char)('0' + v % 10);
	return to;
}

struct slice
timestamp_format(int64_t time_ns, char out[TIMESTAMP_TEXT_MAX])
{
	struct civil_time c;
	int32_t fraction;
	int digits = 3;
	char *to = out;

	timestamp_to_civil(time_ns, NULL, &c);
	to = two_digits(to, c.year / 100);
	to = two_digits(to, c.year % 100);
	*to++ = '-';
	to = two_digits(to, c.month);
	*to++ = '-';
	to = two_digits(to, c.day);
	*to++ = 'T';
	to = two_digits(to, c.hour);
	*to++ = ':';
	to = two_digits(to, c.minute);
	*to++ = ':';
	to = two_digits(to, c.second);
	*to++ = '.';
	fraction = c.nanosecond;
	if (fraction % 1000 != 0) {
		digits = 9;
	} else if (fraction % 1000000 != 0) {
		digits = 6;
		fraction /= 1000;
	} else {
		fraction /= 1000000;
	}
	for (int i = digits - 1; i >= 0; i--) {
		to[i] = (char)('0' + fraction % 10);
		fraction /= 10;
	}
	to += digits;
	*to++ = 'Z';
	return (struct slice){ out, (size_t)(to - out) };
}

bool
stamp_clock(struct stamp *s, struct civil_time *c)
{
	struct stamp t = *s;

	if (!stamp_digits(&t, 2, &c->hour) || !stamp_char(&t, ':') ||
	    !stamp_digits(&t, 2, &c->minute) || !stamp_char(&t, ':') ||
	    !stamp_digits(&t, 2, &c->second))
		return false;
	*s = t;
	return true;
}

bool
stamp_fraction(struct stamp *s, int32_t *nanosecond)
{
	const char *p = s->at;
	int32_t ns = 0, unit = (int32_t)NS_PER_SEC / 10;

	for (; p < s->end && *p >= '0' && *p <= '9'; p++) {
		ns += unit * (*p - '0');
		unit /= 10;
	}
	if (p == s->at)
		return false;
	s->at = p;
	*nanosecond = ns;
	return true;
}

void
stamp_optional_fraction(struct stamp *s, int32_t *nanosecond)
{
	struct stamp t = *s;

	if ((stamp_char(&t, '.') || stamp_char(&t, ',')) &&
	    stamp_fraction(&t, nanosecond))
		*s = t;
}

bool
stamp_zone(struct stamp *s, int32_t *offset)
{
	struct stamp t = *s;
	int hours, minutes = 0;
	bool west;

	if (stamp_char(&t, 'Z') || stamp_char(&t, 'z')) {
		*offset = 0;
		*s = t;
		return true;
	}
	west = stamp_char(&t, '-');
	if (!west && !stamp_char(&t, '+'))
		return false;
	if (!stamp_digits(&t, 2, &hours) || hours > 23)
		return false;
	*s = t;
	if (stamp_char(&t, ':')) {
		if (!stamp_digits(&t, 2, &minutes))
			minutes = 0;
		else
			*s = t;
	} else if (stamp_digits(&t, 2, &minutes)) {
		*s = t;
	} else {
		minutes = 0;
	}
	if (minutes > 59)
		return false;
	*offset = hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE;
	if (west)
		*offset = -*offset;
	return true;
}

/* Three letters as one number, so that a name is compared at once. */
#define LETTERS(a, b, c)                                                       \
 ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (uint32_t)(c))

/* Three letters of a list of such, any case: its place, or -1. */
static int
three_letters(struct stamp *s, const uint32_t *names, int n)
{
	uint32_t word;

	if (s->end - s->at < 3)
		return -1;
	word = LETTERS((unsigned char)s->at[0], (unsigned char)s->at[1],
		   (unsigned char)s->at[2]) |
	    LETTERS(0x20, 0x20, 0x20);
	for (int i = 0; i < n; i++) {
		if (word == names[i]) {
			s->at += 3;
			return i;
		}
	}
	return -1;
}

bool
stamp_month(struct stamp *s, int *month)
{
	static const uint32_t months[12] = { LETTERS('j', 'a', 'n'),
		LETTERS('f', 'e', 'b'), LETTERS('m', 'a', 'r'),
		LETTERS('a', 'p', 'r'), LETTERS('m', 'a', 'y'),
		LETTERS('j', 'u', 'n'), LETTERS('j', 'u', 'l'),
		LETTERS('a', 'u', 'g'), LETTERS('s', 'e', 'p'),
		LETTERS('o', 'c', 't'), LETTERS('n', 'o', 'v'),
		LETTERS('d', 'e', 'c') };

	*month = three_letters(s, months, 12) + 1;
	return *month > 0;
}

bool
stamp_weekday(struct stamp *s)
{
	static const uint32_t days[7] = { LETTERS('s', 'u', 'n'),
		LETTERS('m', 'o', 'n'), LETTERS('t', 'u', 'e'),
		LETTERS('w', 'e', 'd'), LETTERS('t', 'h', 'u'),
		LETTERS('f', 'r', 'i'), LETTERS('s', 'a', 't') };

	return three_letters(s, days, 7) >= 0;
}

size_t
stamp_done_offset(const struct stamp *s, struct slice text,
    const struct civil_time *c, int32_t offset, int64_t *time_ns)
{
	int64_t seconds;

	if (!civil_seconds(c, &seconds) ||
	    !instant_of(seconds - offset, c->nanosecond, time_ns))
		return 0;
	return (size_t)(s->at - text.ptr);
}

size_t
stamp_done(const struct stamp *s, struct slice text, const struct civil_time *c,
    const struct timestamp_hints *hints, int64_t *time_ns)
{
	if (!timestamp_from_civil(c, hints != NULL ? hints->tz : NULL, time_ns))
		return 0;
	return (size_t)(s->at - text.ptr);
}

size_t
stamp_done_guess(const struct stamp *s, struct slice text, struct civil_time *c,
    const struct timestamp_hints *hints, int64_t *time_ns)
{
	const struct timezone_info *tz = hints != NULL ? hints->tz : NULL;
	int64_t latest, ns;
	struct civil_time now;

	if (hints != NULL && hints->year != 0) {
		c->year = hints->year;
		return stamp_done(s, text, c, hints, time_ns);
	}
	latest = (hints != NULL ? hints->now_ns : timestamp_now()) +
	    SECS_PER_DAY * NS_PER_SEC;
	timestamp_to_civil(latest, tz, &now);
	for (int back = 0; back <= GUESS_YEARS; back++) {
		c->year = now.year - back;
		if (timestamp_from_civil(c, tz, &ns) && ns <= latest) {
			*time_ns = ns;
			return (size_t)(s->at - text.ptr);
		}
	}
	return 0;
}
