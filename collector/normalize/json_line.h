/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that are JSON objects. */
#pragma once

#include "event.h"
#include "normalize.h"

/*
 * The members of the object become fields that `ev` does not have yet, but for
 * those that only we may write (kuzet.*, organization.*).  Its time is
 * "@timestamp", else an RFC 3339 text in "timestamp", "time" or "ts".  False:
 * it is no JSON object; `ev` is as it was.
 */
bool json_line_read(struct event *ev, struct slice line,
    const struct normalize_hints *hints);

/* Adds the fields of `from` that `ev` does not have. */
void json_line_merge(struct event *ev, const struct event *from);
