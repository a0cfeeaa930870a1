/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl store: the collector's store itself. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "store_commands.h"

static const struct {
	const char *name;
	int (*run)(const struct global_options *global, int argc, char *argv[]);
} subcommands[] = {
	{ "verify", store_cmd_verify },
	{ "stats", store_cmd_keep },
	{ "archive", store_cmd_keep },
	{ "restore", store_cmd_keep },
	{ "prune", store_cmd_keep },
	{ NULL, NULL },
};

static const char help[] =
    "usage: kuzetctl store SUBCOMMAND [ARGUMENT...]\n\n"
    "  verify   is what is stored what was written? prove a single event\n"
    "  stats    the days, their sizes and what they hold\n"
    "  archive  write closed days as .jsonl.gz with a manifest\n"
    "  restore  put archived days back where searches find them\n"
    "  prune    remove days by age and by disk budget\n\n"
    "`kuzetctl store SUBCOMMAND --help` tells more.\n";

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;

	if (argc >= 2 && strcmp(argv[1], "--json") == 0) {
		own.json = true;
		argc--;
		argv++;
	}
	if (argc >= 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		(void)fputs(help, stdout);
		return EXIT_GOOD;
	}
	for (size_t i = 0; argc >= 2 && subcommands[i].name != NULL; i++)
		if (strcmp(subcommands[i].name, argv[1]) == 0) {
			optind = 0;
			return subcommands[i].run(&own, argc - 1, argv + 1);
		}
	if (argc >= 2)
		(void)fprintf(stderr, "kuzetctl store: no subcommand \"%s\"\n",
		    argv[1]);
	(void)fputs(help, stderr);
	return EXIT_USAGE;
}

const struct command cmd_store = { "store", "verify and manage the store",
	run };
