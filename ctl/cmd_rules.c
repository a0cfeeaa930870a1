/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl rules: what an analyst does with rules, offline but for reload. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "rules.h"

static const struct {
	const char *name;
	int (*offline)(bool json, int argc, char *argv[]);
	/* the one that asks the collector */
	int (*online)(const struct global_options *global, int argc,
	    char *argv[]);
	const char *summary;
} subcommands[] = {
	{ "check", rules_check, NULL,
	    "validate rules: kuzetctl rules check PATH..." },
	{ "coverage", rules_coverage, NULL,
	    "which ATT&CK techniques the rules speak of" },
	{ "explain", rules_explain, NULL,
	    "why a rule matches: kuzetctl rules explain --rule ID "
	    "--event FILE" },
	{ "match", rules_match, NULL,
	    "run rules over events: kuzetctl rules match --rules PATH... "
	    "--events FILE" },
	{ "reload", NULL, rules_reload,
	    "have the collector read its rules again" },
	{ "replay", rules_replay, NULL,
	    "what rules would have raised: kuzetctl rules replay --rules "
	    "PATH... --since 30d" },
	{ "test", rules_test, NULL,
	    "run scenarios: kuzetctl rules test DIR..." },
};
enum { N_SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]) };

static void
usage(FILE *out)
{
	(void)fputs("usage: kuzetctl rules SUBCOMMAND [ARGUMENT...]\n\n", out);
	for (size_t i = 0; i < N_SUBCOMMANDS; i++)
		(void)fprintf(out, "  %-8s %s\n", subcommands[i].name,
		    subcommands[i].summary);
	(void)fputs("\nCompiled rules are kept in KUZET_CACHEDIR, else in "
		    "~/.cache/kuzet; set it empty to keep none.\n",
	    out);
}

static int
run_subcommand(size_t i, const struct global_options *global, int argc,
    char *argv[])
{
	optind = 0;
	if (subcommands[i].online != NULL)
		return subcommands[i].online(global, argc, argv);
	return subcommands[i].offline(global->json, argc, argv);
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	int at = 1;

	while (at < argc && strcmp(argv[at], "--json") == 0) {
		own.json = true;
		at++;
	}
	if (at >= argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
		usage(stdout);
		return EXIT_GOOD;
	}
	for (size_t i = 0; i < N_SUBCOMMANDS; i++)
		if (strcmp(argv[at], subcommands[i].name) == 0)
			return run_subcommand(i, &own, argc - at, argv + at);
	(void)fprintf(stderr, "kuzetctl rules: no subcommand \"%s\"\n",
	    argv[at]);
	usage(stderr);
	return EXIT_USAGE;
}

const struct command cmd_rules = {
	.name = "rules",
	.summary = "check rules, run them over events, reload them",
	.run = run,
};
