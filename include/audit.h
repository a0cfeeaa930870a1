/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the Linux audit system, as auditd writes them (auditd.conf(5)):
 * which event a record is of, and the joining of an event's records.
 *
 *   [node=N ]type=T msg=audit(SECONDS.MILLISECONDS:SERIAL): …
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

struct audit_head {
	struct slice node;  /* may be empty */
	struct slice type;  /* SYSCALL */
	struct slice stamp; /* 1763773323.123:9 */
	int64_t time_ns;
	uint64_t serial;
	struct slice rest; /* behind "): " */
};

/* False: the line is no record. */
bool audit_head(struct slice line, struct audit_head *out);

/* Of one event: equal node and stamp. */
bool audit_same_event(const struct audit_head *a, const struct audit_head *b);

/*
 * Joins records, which may stand among those of other events.  What is joined
 * comes out in the order of the first lines; lines that are no records come
 * out by themselves.
 *
 * Bounds: AUDIT_OPEN_MAX events wait at a time, an event has at most
 * AUDIT_TEXT_MAX bytes (what is above begins another), and it is whole with its
 * EOE record or when AUDIT_LINES_MAX lines came without one of its own.
 */
enum {
	AUDIT_OPEN_MAX = 64,
	AUDIT_LINES_MAX = 256,
	AUDIT_TEXT_MAX = 1024 * 1024
};

struct audit_join;

/* The records with LF between them; valid during the call. */
typedef void audit_join_cb(void *ctx, struct slice text, bool cut);

struct audit_join *audit_join_new(audit_join_cb *cb, void *ctx);
void audit_join_free(struct audit_join *j); /* NULL is fine; flush before */
/* `cut`: the line is not all there; so is its event then. */
void audit_join_line(struct audit_join *j, struct slice line, bool cut);
void audit_join_flush(struct audit_join *j);
/* For input that comes as it happens: gives out what had no line of its own
 * since the call before. */
void audit_join_flush_idle(struct audit_join *j);
