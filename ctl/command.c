/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

int
family_run(const char *family, const struct subcommand *list, const char *help,
    const struct global_options *global, int argc, char *argv[])
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
	for (; argc >= 2 && list->name != NULL; list++)
		if (strcmp(list->name, argv[1]) == 0) {
			optind = 0;
			return list->run(&own, argc - 1, argv + 1);
		}
	if (argc >= 2)
		(void)fprintf(stderr, "kuzetctl %s: no subcommand \"%s\"\n",
		    family, argv[1]);
	(void)fputs(help, stderr);
	return EXIT_USAGE;
}

int
plain_options(const char *command, const char *help, int n, int argc,
    char *argv[], bool *json)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		}
		if (c != 'j')
			return EXIT_USAGE;
		*json = true;
	}
	if (argc - optind == n)
		return -1;
	if (argc - optind > n)
		(void)fprintf(stderr,
		    "kuzetctl %s: \"%s\" is one too many; --help tells more\n",
		    command, argv[optind + n]);
	else
		(void)fputs(help, stderr);
	return EXIT_USAGE;
}
