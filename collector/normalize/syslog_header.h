/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of syslog lines, as they are met in files and frames:
 *
 *   <PRI>1 TIME HOST APP PROCID MSGID SD MSG       RFC 5424
 *   [<PRI>]Nov 22 01:02:03 [HOST] TAG[PID]: MSG    RFC 3164 section 4.1
 *   [<PRI>]Nov 22 2026 01:02:03 …, 2026 Nov 22 01:02:03 …
 *   [<PRI>]2026-11-22T01:02:03.5+05:00 HOST TAG[PID]: MSG     rsyslog, journald
 *   [<PRI>][HOST] TAG[PID]: MSG                    no time at all
 *
 * Everything found is a part of the line.
 */
#pragma once

#include "event.h"
#include "timestamp.h"

enum header_kind {
	HEADER_NONE,
	HEADER_BARE, /* no time: good only if its program is a known one */
	HEADER_BSD,  /* RFC 3164 and its relatives */
	HEADER_5424,
};

struct syslog_header {
	enum header_kind kind;
	int priority; /* -1: none */
	int version;
	bool time_set;
	int64_t time_ns;
	struct slice hostname;
	struct slice program; /* without path and "(pam_unix)" */
	struct slice appname; /* RFC 5424: as written */
	struct slice procid;
	struct slice msgid;
	struct slice structured_data; /* "[…]…", checked */
	struct slice level;           /* a word such as INFO before the tag */
	struct slice message;
};

/*
 * The last time stamp and what it was: lines of one second share it.  It holds
 * for the same hints, and for arrivals within a second of the one before.
 */
struct time_cache {
	char text[32];
	uint8_t len; /* 0: empty */
	int64_t time_ns;
	const struct timezone_info *tz;
	int year;
	int64_t now_ns;
};

/* False: `line` has none of these headers (then *out is HEADER_NONE). */
bool syslog_header_read(struct slice line, const struct timestamp_hints *hints,
    struct time_cache *cache, struct syslog_header *out);

/* host.*, process.*, log.syslog.* and, if it has one, the event's time. */
void syslog_header_apply(const struct syslog_header *h, struct event *ev);
