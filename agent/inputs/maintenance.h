/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows of maintenance: "2026-11-22T20:00Z/2026-11-22T22:00Z", "02:00-03:00",
 * "Sun 02:00-04:00" (over midnight: the day is that of its beginning).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timezone_info;

bool maintenance_valid(const char *text);
/* `tz` NULL: hours are UTC's. */
bool maintenance_now(const char *text, const struct timezone_info *tz,
    int64_t now_ns);
