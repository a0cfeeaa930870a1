/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl rules: what an analyst does with rules, offline. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "rules.h"

static const struct {
	const char *name;
	int (*run)(bool json, int argc, char *argv[]);
	const char *summary;
} subcommands[] = {
	{ "check", rules_check,
	    "validate rules: kuzetctl rules check PATH..." },
	{ "coverage", rules_coverage,
	    "which ATT&CK techniques the rules speak of" },
	{ "explain", rules_explain,
	    "why a rule matches: kuzetctl rules explain --rule ID "
	    "--event FILE" },
	{ "match", rules_match,
	    "run rules over events: kuzetctl rules match --rules PATH... "
	    "--events FILE" },
	{ "replay", rules_replay,
	    "what rules would have raised: kuzetctl rules replay --rules "
	    "PATH... --since 30d" },
	{ "test", rules_test, "run scenarios: kuzetctl rules test DIR..." },
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
run(const struct global_options *global, int argc, char *argv[])
{
	bool json = global->json;
	int at = 1;

	while (at < argc && strcmp(argv[at], "--json") == 0) {
		json = true;
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
			return subcommands[i].run(json, argc - at, argv + at);
	(void)fprintf(stderr, "kuzetctl rules: no subcommand \"%s\"\n",
	    argv[at]);
	usage(stderr);
	return EXIT_USAGE;
}

const struct command cmd_rules = {
	.name = "rules",
	.summary = "check rules, run them over events, offline",
	.run = run,
};
