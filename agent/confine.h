/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's processes and the worker's sandbox, as a configuration wants. */
#pragma once

#include "agent/config.h"
#include "agent/roles/processes.h"
#include "agent/roles/sandbox.h"

/* Splits where there is something to split.  Before any thread; `path` is the
 * configuration's, borrowed. */
enum rc confine_start(const char *path, const struct agent_config *c,
    struct processes *out, struct error *err);

/* The TLS context of a configuration, its files opened by `o`; the caller's. */
enum rc confine_tls(const struct agent_config *c, struct opener *o,
    struct tls_context **out, struct error *err);

/* The worker becomes `user:`, and then can reach its state and what every
 * program may read. */
enum rc confine_worker(const struct agent_config *c, bool split,
    struct sandbox_state *out, struct error *err);
