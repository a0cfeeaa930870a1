/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A POSIX TZ string, as TZif's footer has it: "CET-1CEST,M3.5.0,M10.5.0/3",
 * "<+05>-5".  Private to lib/timezone*.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

enum timezone_day { DAY_JULIAN, DAY_ZERO_BASED, DAY_OF_WEEK };

/* When the clock changes, in every year. */
struct timezone_change {
	enum timezone_day kind;
	int day;   /* Jn: 1..365 without 29 February; n: 0..365; M: weekday */
	int month; /* M: 1..12 */
	int week;  /* M: 1..5, 5 is the last */
	int32_t seconds; /* of that day's clock, may be negative */
};

struct timezone_rule {
	int32_t standard; /* seconds east of UTC */
	int32_t summer;
	bool has_summer;
	struct timezone_change begin, end; /* of summer time */
};

bool timezone_rule_parse(struct slice text, struct timezone_rule *out);
int32_t timezone_rule_offset(const struct timezone_rule *rule, int64_t seconds);
