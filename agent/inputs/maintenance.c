/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/maintenance.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "timestamp.h"

enum { MINUTES_OF_DAY = 24 * 60, DAYS = 7, ANY_DAY = -1 };

struct window {
	bool once;
	int64_t from_ns, to_ns; /* once */
	int day;                /* 0 is Sunday */
	int from, to;           /* minutes of the day */
};

static bool
parse_once(const char *text, struct window *out)
{
	const char *slash = strchr(text, '/');
	struct timestamp_hints hints = { .now_ns = 0 };
	struct slice from, to;

	if (slash == NULL)
		return false;
	from = (struct slice){ text, (size_t)(slash - text) };
	to = (struct slice){ slash + 1, strlen(slash + 1) };
	out->once = true;
	return timestamp_parse_rfc3339(from, &hints, &out->from_ns) ==
	    from.len &&
	    timestamp_parse_rfc3339(to, &hints, &out->to_ns) == to.len &&
	    out->from_ns < out->to_ns;
}

static bool
parse_minutes(const char *text, int *out)
{
	unsigned hours, minutes;
	int used = 0;

	/* NOLINTNEXTLINE(cert-err34-c): bounds are checked, digits are two */
	if (sscanf(text, "%2u:%2u%n", &hours, &minutes, &used) != 2 ||
	    used != 5 || hours > 24 || minutes > 59 ||
	    (hours == 24 && minutes > 0))
		return false;
	*out = (int)(hours * 60 + minutes);
	return true;
}

static bool
parse_daily(const char *text, struct window *out)
{
	static const char *const days[DAYS] = { "Sun", "Mon", "Tue", "Wed",
		"Thu", "Fri", "Sat" };

	out->day = ANY_DAY;
	for (int i = 0; i < DAYS; i++) {
		if (strncasecmp(text, days[i], 3) == 0 && text[3] == ' ') {
			out->day = i;
			text += 4;
			break;
		}
	}
	return strlen(text) == 11 && text[5] == '-' &&
	    parse_minutes(text, &out->from) &&
	    parse_minutes(text + 6, &out->to) && out->from != out->to;
}

static bool
parse(const char *text, struct window *out)
{
	*out = (struct window){ .once = false };
	return parse_once(text, out) || parse_daily(text, out);
}

bool
maintenance_valid(const char *text)
{
	struct window w;

	return parse(text, &w);
}

bool
maintenance_now(const char *text, const struct timezone_info *tz,
    int64_t now_ns)
{
	struct window w;
	int64_t minutes;
	int day, at;

	if (!parse(text, &w))
		return false;
	if (w.once)
		return now_ns >= w.from_ns && now_ns < w.to_ns;
	minutes = (now_ns / NS_PER_SEC +
		      (tz == NULL ? 0 : timezone_offset(tz, now_ns))) /
	    60;
	at = (int)(minutes % MINUTES_OF_DAY);
	day = (int)((minutes / MINUTES_OF_DAY + 4) % DAYS); /* a Thursday */
	if (w.from < w.to)
		return (w.day == ANY_DAY || w.day == day) && at >= w.from &&
		    at < w.to;
	/* over midnight: the day is that of its beginning */
	if (at >= w.from)
		return w.day == ANY_DAY || w.day == day;
	return at < w.to &&
	    (w.day == ANY_DAY || w.day == (day + DAYS - 1) % DAYS);
}
