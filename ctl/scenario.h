/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scenario of `kuzetctl rules test`, run.  It is a folder with
 *
 *   input.log, or input.jsonl   lines, or events as `rules match --events`
 *   rules.yml, or rules/        rules of its own, optional
 *   scenario.json               optional: "about", one sentence; "rules", files
 *                               or folders below the base; "dataset",
 *                               "program", "year", "timezone", "logsource"
 *   expected.jsonl              what `rules match --json` must print, in this
 *                               order; only the keys given count.  Empty:
 *                               nothing of level medium or above and no
 *                               correlation may match
 */
#pragma once

#include "arena.h"
#include "buf.h"
#include "rules.h"
#include "scenario_diff.h"

struct scenario_options {
	const char *base; /* where the rules of scenario.json are */
	const struct rules_paths *taxonomy; /* besides the installed one */
	const char *cache;                  /* of compiled rules, may be NULL */
};

struct scenario {
	const struct scenario_options *options; /* borrowed */
	const char *folder;                     /* borrowed */
	struct arena *arena;                    /* owned: all below */
	struct slice about;
	struct buf errors; /* why it could not be run as meant: a line each */
	struct diff diff;  /* where it was */
};

/* Whether the folder looks like one: any of its files but the rules. */
bool scenario_is_one(const char *folder);

/* scenario_fini() it. */
void scenario_run(struct scenario *s, const char *folder,
    const struct scenario_options *options);
bool scenario_passed(const struct scenario *s);
void scenario_fini(struct scenario *s);
