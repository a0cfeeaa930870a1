/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of time stamps share: small scanners over a slice, and the
 * last step from wall clock to instant.  Private to lib/timestamp*.c.
 */
#pragma once

#include "timestamp.h"

/* A reading position; no function moves it past `end` or unless it succeeds. */
struct stamp {
	const char *at;
	const char *end;
};

static inline bool
stamp_char(struct stamp *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* Exactly `n` digits. */
static inline bool
stamp_digits(struct stamp *s, int n, int *out)
{
	int v = 0;

	if (s->end - s->at < n)
		return false;
	for (int i = 0; i < n; i++) {
		unsigned digit = (unsigned char)s->at[i] - (unsigned)'0';

		if (digit > 9)
			return false;
		v = v * 10 + (int)digit;
	}
	s->at += n;
	*out = v;
	return true;
}

/* HH:MM:SS */
bool stamp_clock(struct stamp *s, struct civil_time *c);

/* One or more digits behind the point, to nanoseconds; more than 9 are cut. */
bool stamp_fraction(struct stamp *s, int32_t *nanosecond);

/* '.' or ',' and digits, if they stand here. */
void stamp_optional_fraction(struct stamp *s, int32_t *nanosecond);

/* Z, +05:00, +0500, +05; seconds east of UTC. */
bool stamp_zone(struct stamp *s, int32_t *offset);

/* "Jan".."Dec", any case, to 1..12; "Sun".."Sat". */
bool stamp_month(struct stamp *s, int *month);
bool stamp_weekday(struct stamp *s);

/* How a reader ends: bytes read, or 0 if there is no such instant. */
size_t stamp_done(const struct stamp *s, struct slice text,
    const struct civil_time *c, const struct timestamp_hints *hints,
    int64_t *time_ns);
size_t stamp_done_offset(const struct stamp *s, struct slice text,
    const struct civil_time *c, int32_t offset, int64_t *time_ns);
/* c->year is not known: see struct timestamp_hints. */
size_t stamp_done_guess(const struct stamp *s, struct slice text,
    struct civil_time *c, const struct timestamp_hints *hints,
    int64_t *time_ns);

/* Seconds since 1970 of a wall clock taken as UTC; false if a part is out of
 * range or the year is not 1..9999. */
bool civil_seconds(const struct civil_time *c, int64_t *seconds);
/* seconds * 1e9 + ns, if int64_t holds it */
bool instant_of(int64_t seconds, int32_t nanosecond, int64_t *time_ns);
