/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's way of an event, from the inputs to the collector. */
#pragma once

#include "agent/config.h"
#include "error.h"

struct pipeline;

/* The state folder, and `user:`'s where root makes it; problems are logged. */
void pipeline_make_state_dir(const struct agent_config *c);

/*
 * Takes the state folder (made if it is not there, locked), becomes `user:`,
 * opens the inputs.  *config becomes the pipeline's.  `path` is the
 * configuration's, for SIGHUP; borrowed.
 */
enum rc pipeline_open(const char *path, struct agent_config *config,
    struct pipeline **out, struct error *err);

/* Until SIGTERM or SIGINT, and then until everything read is acknowledged, or
 * for some seconds. */
void pipeline_run(struct pipeline *p);

void pipeline_close(struct pipeline *p); /* NULL is fine */
