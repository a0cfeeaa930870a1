/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines as the JSON of Lumberjack's J frames, written by hand: all of it but
 * the line and its offset is the same for each line of a file and made once.
 *
 *   {"@timestamp":"T","message":"LINE","log":{"file":{"path":"P"},"offset":N
 *   `--- prefix -------------'    '--- middle ----------------------------'
 *   ,"flags":["truncated"]},"input":{"type":"file"},...}
 *   '- where it has any ---'`--- suffix --------------'
 */
#pragma once

#include "agent/inputs/input.h"
#include "slice.h"

struct line_shape {
	struct slice middle; /* owned: one piece of memory with suffix */
	struct slice suffix;
};

struct line_source {
	const char *path;
	const char *input;
	const char *dataset;  /* NULL: none */
	const char *timezone; /* NULL: none */
	int year;             /* 0: none */
	const char *host_name;
	const char *stream; /* UUID text */
};

void line_shape_init(struct line_shape *s, const struct line_source *src);
void line_shape_fini(struct line_shape *s);

enum line_flag {
	LINE_CUT = 1,    /* there was more of it: "truncated" */
	LINE_JOINED = 2, /* several lines: "multiline" */
	LINE_SPLIT = 4   /* its next lines are another event: "split" */
};

struct line {
	struct slice text;    /* any bytes, no line end */
	uint64_t offset;      /* of its first byte */
	unsigned flags;       /* enum line_flag */
	const char *read_at;  /* RFC 3339 */
	struct slice members; /* more of the event's JSON: `,"a":1`; may be
	                       * empty */
};

/* Adds one event; its receipt is the caller's to fill: w->receipts[w->n - 1]. */
void line_event_add(struct window *w, const struct line_shape *shape,
    const struct line *line);

/*
 * Adds an event that is there as JSON, one object with a member at least, and
 * its identity as "log.offset" and "kuzet.stream".  Its receipt as above.
 */
void json_event_add(struct window *w, struct slice json, const char *stream,
    uint64_t offset);

/* Control messages (doc/protocol.md). */
void control_heartbeat_add(struct window *w, const char *input,
    const char *now);
void control_stream_end_add(struct window *w, const char *stream);
/* Any other, whole. */
void control_add(struct window *w, struct slice json);

/*
 * Adds `s` as the inside of a JSON string: control characters escaped, what is
 * no UTF-8 (RFC 3629) becomes U+FFFD, one for each maximal part of a character.
 * Room for 6 bytes for each byte must be reserved; returns the end.
 */
char *json_escape(char *out, struct slice s);
