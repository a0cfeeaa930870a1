/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents said of themselves last: the newest status message of each, and
 * whether two that live share one id.
 *
 * A status message names its process by a UUID.  A process that was followed by
 * another one and yet speaks of a time after that one's start is alive beside
 * it: a copied disk, or a certificate on two machines.  Both would write the
 * same streams, so it is told once an hour.
 *
 * Thread-safe.  In memory: after a start each agent's next heartbeat fills it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "slice.h"

struct agents;

struct agents *agents_new(void);
void agents_free(struct agents *a); /* NULL is fine */

enum {
	AGENTS_MAX = 100000,             /* beyond it: counted, not kept */
	AGENT_STATUS_BYTES = 64 * 1024,  /* of one agent */
	AGENTS_BYTES = 64 * 1024 * 1024, /* of all */
	AGENT_PEER_BYTES = 64
};

/* Two processes under one id. */
struct agent_double {
	char peers[2][AGENT_PEER_BYTES]; /* where each speaks from */
};

/*
 * Keeps a control message of `agent`; other ones than "status" are nothing.
 * True: *out is a finding.
 */
bool agents_note(struct agents *a, struct slice owner, struct slice agent,
    struct slice peer, const struct event *control, struct agent_double *out);

/* JSON texts; "" where there is none.  Valid during the call. */
struct agent_says {
	int64_t heard_ns; /* arrival of the newest */
	struct slice version, instance, started;
	struct slice peer;
	struct slice status;    /* object */
	struct slice positions; /* array */
};
/* False: it has said nothing.  The callback must not call back into this. */
bool agents_get(struct agents *a, struct slice owner, struct slice agent,
    void (*cb)(void *ctx, const struct agent_says *says), void *ctx);

/* Status messages that the bounds forced out, since the start. */
uint64_t agents_left_out(struct agents *a);
