/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command of kuzetctl offers: one command (or family, as `rules`)
 * is one cmd_NAME.c that ends with one `const struct command`.
 */
#pragma once

#include <stdbool.h>

/* Exit statuses, the same for every program. */
enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct profile;

/* What stood before the command's name. */
struct global_options {
	const char *socket;  /* NULL: from `config`, else the default */
	const char *config;  /* collector.yaml, may be NULL */
	const char *profile; /* of kuzetctl login, may be NULL */
	/* what is asked instead of any of these: not saved yet; may be NULL */
	const struct profile *given;
	bool json; /* also accepted behind the command's name */
};

struct command {
	const char *name;
	const char *summary; /* one line for --help */
	/* argv[0] is the command's name; returns the exit status */
	int (*run)(const struct global_options *global, int argc, char *argv[]);
};

struct subcommand {
	const char *name;
	/* argv[0] is the subcommand's name; optind is 0 */
	int (*run)(const struct global_options *global, int argc, char *argv[]);
};

/* The subcommand of argv[1], of a list that ends with NULL; `help` is all of
 * --help. */
int family_run(const char *family, const struct subcommand *list,
    const char *help, const struct global_options *global, int argc,
    char *argv[]);

/*
 * Options where there are but --json and --help, and then `n` arguments.  -1:
 * go on, they begin at argv[optind]; else the exit status.
 */
int plain_options(const char *command, const char *help, int n, int argc,
    char *argv[], bool *json);

/* Ends with NULL; in kuzetctl.c. */
extern const struct command *const commands[];

/* Each in its cmd_NAME.c. */
extern const struct command cmd_audit;
extern const struct command cmd_detections;
extern const struct command cmd_events;
extern const struct command cmd_incident;
extern const struct command cmd_incidents;
extern const struct command cmd_login;
extern const struct command cmd_logout;
extern const struct command cmd_normalizers;
extern const struct command cmd_objects;
extern const struct command cmd_parse;
extern const struct command cmd_respond;
extern const struct command cmd_rules;
extern const struct command cmd_agent;
extern const struct command cmd_search;
extern const struct command cmd_status;
extern const struct command cmd_store;
extern const struct command cmd_token;
extern const struct command cmd_user;
