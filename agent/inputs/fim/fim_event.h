/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan found, as ECS events and as lines for people. */
#pragma once

#include "agent/inputs/account_names.h"
#include "agent/inputs/fim/fim_scan.h"

enum { FIM_EVENT_MAX = 512 * 1024 };

/* What every event of an input says; borrowed. */
struct fim_origin {
	const char *host_name;
	const char *input;
	struct account_names *names;
};

void fim_event_change(struct buf *out, const struct fim_origin *origin,
    const struct fim_change *c, const struct fim_window *window);

/* "modified /etc/hosts: size 10 -> 12, sha256 3a7b... -> 91c0...", then the
 * lines of text that differ, each indented; no LF at the end */
void fim_line_change(struct buf *out, const struct fim_change *c,
    const struct fim_window *window);

/* A word on the baseline as a whole. */
struct fim_summary {
	const char
	    *action; /* fim-baseline, fim-scan, fim-baseline-tampered ... */
	const char *reason; /* NULL: none */
	const char *by;     /* user; NULL: nobody */
	const struct fim_totals *totals;
	int64_t duration_ns;
	bool alert;
	const uint8_t *sha256;           /* NULL: none */
	const uint8_t *previous;         /* NULL: none */
	int verified;                    /* -1: there was nothing to verify */
	bool unsealed;                   /* for there was no seal */
	const struct fim_window *window; /* of fim-window-*; NULL */
};
void fim_event_summary(struct buf *out, const struct fim_origin *origin,
    const struct fim_summary *s);

/* created, deleted, modified, attributes_modified, moved */
const char *fim_action_name(const struct fim_change *c);
