/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of the journal as an event: fields of ECS, and Filebeat's names for
 * what ECS has none for. */
#pragma once

#include "agent/inputs/journal.h"
#include "json.h"

enum { JOURNAL_EVENT_MAX = 7 * 1024 * 1024 };

/*
 * The event's JSON into `out` (cleared first).  A MESSAGE over max_line is cut
 * and marked; other values over 32 KiB, and fields beyond 128, are left out and
 * marked.  RC_INVALID: the entry is damaged; what could be read is there.
 */
enum rc journal_event(struct journal *j, struct journal_entry *entry,
    const struct input_setup *setup, const struct input_config *config,
    struct buf *out, struct error *err);
