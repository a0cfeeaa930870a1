/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the stages are: what the API tells of them, and what is said in the log
 * when a bound has forced something out, which is never silent.
 */
#pragma once

#include <stdbool.h>

#include "agents.h"
#include "api/api.h"
#include "findings.h"
#include "incidents/incidents.h"
#include "loop.h"
#include "presence.h"
#include "store/keeper.h"
#include "worker.h"

/* All borrowed; they outlive the health. */
struct health_of {
	struct loop *loop;
	struct workers *workers;
	struct store *store;
	struct keeper *keeper;
	struct incidents *incidents;
	bool publishes; /* there is an outbox that somebody empties */
	struct presence *presence;
	struct agents *agents;
	struct findings *findings;
};

struct health;

/* Looks at the bounds once a minute from now on, in the loop's thread. */
struct health *health_new(const struct health_of *of);
void health_free(struct health *h); /* NULL is fine */

/* In any thread; all but `ready`, the rules and the
 * register of objects. */
void health_status(struct health *h, struct api_status *out);
/* In any thread: how an agent is, told within the call. */
void health_agent(struct health *h, struct slice owner, struct slice agent,
    api_agent_cb *cb, void *ctx);
