/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses: a reader of time stamps, a pattern (up to a NUL) and
 * its text, or a time zone's file.
 */
#include <stdint.h>
#include <stdlib.h>

#include "timestamp.h"

enum { OFFSET_MAX = 86400, YEAR = 2026 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef size_t parse_fn(struct slice s, const struct timestamp_hints *hints,
    int64_t *time_ns);

static parse_fn *const parsers[] = { timestamp_parse_rfc3339,
	timestamp_parse_rfc3164, timestamp_parse_clf, timestamp_parse_ctime,
	timestamp_parse_slashed, timestamp_parse_unix };

enum { N_PARSERS = sizeof(parsers) / sizeof(parsers[0]) };

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* An instant prints as RFC 3339 and reads back as itself. */
static void
check_instant(int64_t time_ns)
{
	char out[TIMESTAMP_TEXT_MAX];
	struct slice text = timestamp_format(time_ns, out);
	int64_t back;

	must(timestamp_parse_rfc3339(text, NULL, &back) == text.len);
	must(back == time_ns);
}

static void
check_zone(struct slice bytes)
{
	struct timezone_info *tz;
	struct error err;

	if (timezone_parse(bytes, &tz, &err) != RC_OK)
		return;
	for (int64_t year = -290; year < 290; year += 7) {
		int64_t time_ns = year * 31556952 * NS_PER_SEC, back;
		struct civil_time c;

		int32_t offset = timezone_offset(tz, time_ns);

		must(offset >= -OFFSET_MAX && offset <= OFFSET_MAX);
		timestamp_to_civil(time_ns, tz, &c);
		must(timestamp_from_civil(&c, NULL, &back));
		must(back == time_ns + offset * NS_PER_SEC);
		(void)timestamp_from_civil(&c, tz, &back);
	}
	timezone_close(tz);
}

static void
check_pattern(struct slice s)
{
	struct timestamp_hints hints = { .year = YEAR };
	const char *nul = s.len > 0 ? memchr(s.ptr, '\0', s.len) : NULL;
	size_t used, n;
	int64_t t;

	if (nul == NULL)
		return;
	used = (size_t)(nul + 1 - s.ptr);
	n = timestamp_parse_format((struct slice){ nul + 1, s.len - used },
	    s.ptr, &hints, &t);
	must(n <= s.len - used);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = { (const char *)data + 1, size - 1 };
	struct timestamp_hints hints = { .now_ns =
					     INT64_C(1795348800) * NS_PER_SEC };
	struct error err;
	size_t n;
	int64_t t;

	if (size == 0)
		return 0;
	if (*data < N_PARSERS) {
		n = parsers[*data](s, &hints, &t);
		must(n <= s.len);
		if (n > 0)
			check_instant(t);
		(void)duration_parse(s, &t, &err);
	} else if (*data < 128) {
		check_pattern(s);
	} else {
		check_zone(s);
	}
	return 0;
}
