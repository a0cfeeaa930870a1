/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration lets the opener open. */
#pragma once

#include <limits.h>

#include "agent/config.h"
#include "agent/roles/grants.h"

/* The caller's. */
struct grants *granted_by(const struct agent_config *c);

/* Whole, as the grants are; `out` is cut where it is too long for a path. */
void granted_name(const char *path, char out[PATH_MAX]);

/* Reads the file and what it grants: struct opener_policy's, ctx is the path. */
enum rc granted_read(void *path, struct buf *text, struct grants **out,
    struct error *err);
