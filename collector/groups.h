/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations of agents by group: a folder with one YAML file for each
 * (collector.yaml(5), agent_groups).  A file is the group that is called as it,
 * without its ending; `agents` says whose it is besides, by id or by pattern; the
 * rest is what the agent reads, which gets the whole file.
 *
 * An id that a file names is that file's; else the file of the group counts for
 * which the agent enrolled; else the first one, by name, with a pattern that
 * fits.  The folder as a whole has a version, which grows with
 * each change that is seen and is never given twice, not even when the state
 * is lost: it is at least the time in seconds.
 */
#pragma once

#include <stdint.h>

#include "digest.h"
#include "error.h"
#include "slice.h"

enum { GROUPS_MAX = 1000, GROUP_AGENTS_MAX = 10000, GROUP_NAME_MAX = 128 };

struct group {
	char *name; /* of the file */
	char *text; /* of the file */
	size_t len;
	char hash[SHA256_TEXT]; /* order_hash() of it */
	char **agents;          /* ids and patterns */
	unsigned *lines;
	size_t n_agents;
};

struct groups;

/*
 * Reads all of it; what is wrong is refused as a whole, with file and line.
 * `state_dir` keeps the version; NULL: it is not asked for.  `again`: a new one
 * in any case.
 */
enum rc groups_load(const char *dir, const char *state_dir, bool again,
    struct groups **out, struct error *err);
void groups_free(struct groups *g); /* NULL is fine */

uint64_t groups_version(const struct groups *g);
/* `enrolled`: the group that it enrolled for; empty: none.  NULL: it is in no
 * group that has a file. */
const struct group *groups_find(const struct groups *g, struct slice agent,
    struct slice enrolled);
/* By name; NULL behind the last. */
const struct group *groups_at(const struct groups *g, size_t i);
