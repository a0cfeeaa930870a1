/* SPDX-License-Identifier: Apache-2.0 */
/* What an input of type fim watches: its patterns, and which paths they name. */
#pragma once

#include "agent/inputs/fim/fim_store.h"

/* One `fim` entry of agent.yaml; borrowed. */
struct fim_spec {
	const char *name;
	const char *const *paths;
	size_t n_paths;
	const char *const *exclude;
	size_t n_exclude;
	bool full; /* rescan: full */
	uint64_t max_file_size;
};

/* Whether the pattern names `path` or a folder above it. */
bool fim_pattern_covers(const char *pattern, const char *path);
/* Whether the input watches `path`. */
bool fim_spec_covers(const struct fim_spec *spec, const char *path);

/* The next path from *at on (0: the first) that is no pattern and not there;
 * NULL: there is no more. */
const char *fim_spec_missing(struct opener *o, const struct fim_spec *spec,
    size_t *at);

/*
 * Which of the input's patterns have their baseline: they are stored, or lie
 * below one that is.  `known` has room for each; may be NULL.
 */
enum rc fim_spec_known(struct fim_store *store, int64_t input,
    const struct fim_spec *spec, bool known[], bool *any, struct error *err);
