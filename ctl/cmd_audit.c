/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl audit log: who did what. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd_account.h"

enum { TARGET_MAX = 4096 };

static const char help[] =
    "usage: kuzetctl audit log [--since T] [--until T] [--user NAME]\n"
    "                          [--limit N] [--json]\n\n"
    "Prints the audit log, the oldest first: every access over HTTPS and\n"
    "every change.\n";

static const struct account_column columns[] = {
	{ "TIME", "@timestamp", 20 },
	{ "USER", "user", 16 },
	{ "ADDRESS", "address", 16 },
	{ "STATUS", "status", 6 },
	{ "ACTION", "action", 18 },
	{ "DETAIL", "detail", 0 },
};

static int
print_log(const struct global_options *global, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "since", required_argument, NULL, 's' },
		{ "until", required_argument, NULL, 'u' },
		{ "user", required_argument, NULL, 'n' },
		{ "limit", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct global_options own = *global;
	struct client_request request = { .method = "GET" };
	struct buf target;
	int c, at = 0, status = -1;

	buf_init(&target, TARGET_MAX);
	(void)buf_add_str(&target, "/v1/audit");
	optind = 0;
	while (status < 0 &&
	    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	    (c = getopt_long(argc, argv, "h", options, &at)) != -1) {
		if (c == 'h') {
			(void)fputs(help, stdout);
			status = EXIT_GOOD;
		} else if (c == 'j') {
			own.json = true;
		} else if (c == '?') {
			status = EXIT_USAGE;
		} else {
			client_param(&target, options[at].name,
			    (struct slice){ optarg, strlen(optarg) });
		}
	}
	if (status < 0 && optind < argc) {
		(void)fputs(help, stderr);
		status = EXIT_USAGE;
	}
	(void)buf_add_char(&target, '\0');
	request.target = target.ptr;
	if (status < 0)
		status = account_ask(&own, &request, columns, "audit log");
	buf_fini(&target);
	return status;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "log", print_log },
		{ NULL, NULL },
	};

	return family_run("audit", list, help, global, argc, argv);
}

const struct command cmd_audit = { "audit", "print who did what", run };
