/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

const struct command *const commands[] = {
	&cmd_status,
	&cmd_agent,
	&cmd_respond,
	&cmd_events,
	&cmd_search,
	&cmd_incidents,
	&cmd_incident,
	&cmd_detections,
	&cmd_parse,
	&cmd_normalizers,
	&cmd_objects,
	&cmd_rules,
	&cmd_store,
	&cmd_login,
	&cmd_logout,
	&cmd_user,
	&cmd_token,
	&cmd_audit,
	NULL,
};

static void
usage(FILE *out)
{
	(void)fputs("usage: kuzetctl [--socket PATH | --config FILE |\n"
		    "                 --profile NAME] [--json] "
		    "COMMAND [ARGUMENT...]\n\ncommands:\n",
	    out);
	for (size_t i = 0; commands[i] != NULL; i++)
		(void)fprintf(out, "  %-12s %s\n", commands[i]->name,
		    commands[i]->summary);
	(void)fputs(
	    "\n"
	    "  --socket PATH    of the collector "
	    "(/run/kuzet/collector.sock)\n"
	    "  -c, --config FILE\n"
	    "                   collector.yaml, which names the socket\n"
	    "  --profile NAME   over HTTPS, as `kuzetctl login` wrote "
	    "it\n"
	    "  --json           one JSON object a line, and nothing else\n"
	    "  --version        print the version\n"
	    "  -h, --help       print this\n"
	    "\n`kuzetctl COMMAND --help` tells more; "
	    "the manual is kuzetctl(1).\n",
	    out);
}

static int
parse_globals(int argc, char *argv[], struct global_options *global)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "profile", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			global->socket = optarg;
			break;
		case 'c':
			global->config = optarg;
			break;
		case 'p':
			global->profile = optarg;
			break;
		case 'j':
			global->json = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_GOOD;
		case 'V':
			(void)puts("kuzetctl " PACKAGE_VERSION);
			return EXIT_GOOD;
		default:
			return EXIT_USAGE;
		}
	}
	return -1;
}

int
main(int argc, char *argv[])
{
	struct global_options global = { .json = false };
	int status = parse_globals(argc, argv, &global);
	int first = optind;

	if (status != -1)
		return status;
	if (first >= argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	for (size_t i = 0; commands[i] != NULL; i++) {
		if (strcmp(commands[i]->name, argv[first]) == 0) {
			optind = 0;
			return commands[i]->run(&global, argc - first,
			    argv + first);
		}
	}
	(void)fprintf(stderr,
	    "kuzetctl: no command \"%s\"; kuzetctl --help lists them\n",
	    argv[first]);
	return EXIT_USAGE;
}
