/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `kuzetctl rules`; each returns the exit status. */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "command.h"
#include "engine.h"
#include "input.h"

int rules_check(bool json, int argc, char *argv[]);
int rules_coverage(bool json, int argc, char *argv[]);
int rules_explain(bool json, int argc, char *argv[]);
int rules_match(bool json, int argc, char *argv[]);
int rules_reload(const struct global_options *global, int argc, char *argv[]);
int rules_replay(bool json, int argc, char *argv[]);
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

/* The options that several subcommands take, each where it is in its table. */
struct rules_arguments {
	bool json;
	struct rules_paths rules;
	struct rules_paths taxonomy; /* besides the installed one */
	struct logsource logsource;
	const char *events, *log; /* one of them */
	struct input_options input;
	char **rest; /* what is no option */
	int n_rest;
};

struct rules_command {
	const char *name;
	const struct option *options;
	void (*usage)(FILE *out);
	/* an option of its own; may be NULL */
	void (*own)(void *ctx, int code, const char *text);
	void *ctx;
};

/* -1 to go on, else the exit status; then too rules_arguments_fini() it. */
int rules_arguments_read(struct rules_arguments *a,
    const struct rules_command *command, int argc, char *argv[]);
void rules_arguments_fini(struct rules_arguments *a);
/* --rules A B: what is no option is one more path. */
void rules_rest_is_rules(struct rules_arguments *a);

enum {
	RULES_FIRST = INPUT_END,
	RULES_RULES = RULES_FIRST,
	RULES_TAXONOMY,
	RULES_LOGSOURCE,
	RULES_EVENTS,
	RULES_LOG,
	RULES_JSON,
	RULES_END
};
/* clang-format off */
#define RULES_OPTIONS \
	{ "rules", required_argument, NULL, RULES_RULES }, \
	{ "taxonomy", required_argument, NULL, RULES_TAXONOMY }, \
	{ "json", no_argument, NULL, RULES_JSON }, \
	{ "help", no_argument, NULL, 'h' }
/* `events`: how the command calls a file of events */
#define RULES_INPUT_OPTIONS(events) \
	{ events, required_argument, NULL, RULES_EVENTS }, \
	{ "log", required_argument, NULL, RULES_LOG }, \
	{ "logsource", required_argument, NULL, RULES_LOGSOURCE }, \
	INPUT_OPTIONS
/* clang-format on */
extern const char rules_input_help[];
extern const char rules_taxonomy_help[];

/* The events that the arguments name. */
enum rc rules_input(const struct rules_arguments *a, input_event_cb *cb,
    void *ctx, struct error *err);

/* The folder of the packs; false: it has no place. */
bool rules_packs(char *out, size_t room);

/* The folder of compiled patterns, or NULL: it is switched off. */
const char *rules_cache(char *out, size_t room);

/*
 * Loads the rules, or the packs where none is named; refusals go to standard
 * error.  NULL: nothing could be read, said on standard error.
 */
struct ruleset *rules_load(const struct rules_arguments *a, bool keep_syntax);

/* "product=P,category=C,service=S"; borrows from `text`. */
bool rules_logsource(const char *text, struct logsource *ls);
