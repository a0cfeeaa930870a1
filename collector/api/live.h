/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events (WHATWG HTML, 9.2): incidents and detections as they come,
 * to each listener those of its owner.  A listener that lags too far behind is
 * ended: it connects again and asks for what it missed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

struct live;
struct http_reply;

enum live_kind { LIVE_INCIDENT = 1, LIVE_DETECTION = 2 };
enum {
	LIVE_LISTENERS_MAX = 64,
	/* then its right to listen is asked for again */
	LIVE_SECONDS_MAX = 600,
};

struct live *live_new(void);
void live_free(struct live *l); /* NULL is fine; all of them are gone by then */

/* Whether anybody wants that kind: else it need not be written. */
bool live_wanted(struct live *l, unsigned kinds);

/* Any thread.  `json` is one line. */
void live_send(struct live *l, enum live_kind kind, struct slice owner,
    struct slice json);

/* False: there are too many.  `owner` ptr NULL: of all. */
bool live_listen(struct live *l, struct http_reply *reply, unsigned kinds,
    struct slice owner);

uint64_t live_listeners(struct live *l);
