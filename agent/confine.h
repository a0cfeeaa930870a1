/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's processes and the worker's sandbox, as a configuration wants. */
#pragma once

#include <limits.h>

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

/* What the worker can open by itself, for good: its state, libraries, zones of
 * time, and what names of hosts, certificates and journals need where inputs
 * use them. */
struct confined;

/* The worker becomes `user:`, and is confined where it is `split`. */
enum rc confine_worker(const struct agent_config *c, bool split,
    struct confined **out, struct error *err);
void confined_free(struct confined *k); /* NULL is fine */
/* The kernel's version of it; 0: it has none, or nothing is confined. */
int confined_landlock(const struct confined *k);
/* Whether this configuration wants what only a new start can give: `path`. */
bool confined_lacks(const struct confined *k, const struct agent_config *fresh,
    char path[PATH_MAX]);
/* A file of /etc that names of hosts need was replaced by another, which the
 * kernel does not let us open: only a new start helps. */
bool confined_stale(const struct confined *k);
