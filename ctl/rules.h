/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `kuzetctl rules`; each returns the exit status. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine.h"

int rules_check(bool json, int argc, char *argv[]);
int rules_coverage(bool json, int argc, char *argv[]);
int rules_explain(bool json, int argc, char *argv[]);
int rules_match(bool json, int argc, char *argv[]);
int rules_test(bool json, int argc, char *argv[]);

/* ---- what they share (rules_common.c) ---------------------------------- */

/* --rules PATH..., as often as wanted. */
struct rules_paths {
	const char **paths; /* owned, the texts are not */
	size_t n;
};

/* Room for as many paths as there are arguments. */
void rules_paths_init(struct rules_paths *p, int argc);
void rules_paths_fini(struct rules_paths *p); /* a zeroed one is fine */

/* The folder of the packs; false: it has no place. */
bool rules_packs(char *out, size_t room);

/*
 * Loads the paths, or the packs where none is given; refusals go to standard
 * error.  NULL: nothing could be read, said on standard error.
 */
struct ruleset *rules_load(const struct rules_paths *p, bool keep_syntax);

/* "product=P,category=C,service=S"; borrows from `text`. */
bool rules_logsource(const char *text, struct logsource *ls);
