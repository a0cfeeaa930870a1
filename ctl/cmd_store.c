/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl store: the collector's store itself. */
#include "store_commands.h"

static const struct subcommand subcommands[] = {
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
	return family_run("store", subcommands, help, global, argc, argv);
}

const struct command cmd_store = { "store", "verify and manage the store",
	run };
