/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that are JSON objects. */
#pragma once

#include "event.h"
#include "normalize.h"

/*
 * The members of the object but for those that only we may write (kuzet.*,
 * organization.*).  Its time is "@timestamp", else an RFC 3339 text in
 * "timestamp", "time" or "ts", else that of `ev`, whose arena it uses.  False:
 * it is no JSON object.
 */
bool json_line_read(struct event *object, const struct event *ev,
    struct slice line, const struct normalize_hints *hints);

/* Adds the fields of `from` that `ev` does not have. */
void json_line_merge(struct event *ev, const struct event *from);
