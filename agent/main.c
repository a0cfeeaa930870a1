/* SPDX-License-Identifier: Apache-2.0 */
/* kuzet-agent(8): options, then pipeline.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/enroll_command.h"
#include "agent/fim_command.h"
#include "agent/identity.h"
#include "agent/pipeline.h"
#include "agent/policy_command.h"
#include "agent/roles/sandbox.h"
#include "agent/status.h"
#include "footprint.h"
#include "log.h"

enum { EXIT_USAGE = 2 };
enum { OPT_CHECK = 256, OPT_VERSION, OPT_FORMAT, OPT_LEVEL };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ "log-format", required_argument, NULL, OPT_FORMAT },
	{ "log-level", required_argument, NULL, OPT_LEVEL },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
    "Usage: kuzet-agent -c FILE [--check-config] [--log-format text|json]\n"
    "                   [--log-level error|warn|info|debug]\n"
    "       kuzet-agent enroll --server HOST --token TOKEN (see enroll "
    "--help)\n"
    "       kuzet-agent status [-c FILE] [--json]\n"
    "       kuzet-agent fim baseline|check|window (see fim --help)\n"
    "       kuzet-agent policy check [-c FILE] [--json] [POLICY...]\n"
    "       kuzet-agent --version | --help\n"
    "\n"
    "Ships the lines of log files to a collector, each once.\n"
    "\n"
    "  -c, --config FILE     configuration, see agent.yaml(5)\n"
    "      --check-config    open and parse everything it names, then end\n"
    "      --log-format F    text (default) or json, on standard error\n"
    "      --log-level L     error, warn, info (default) or debug\n"
    "      --version         print the version\n"
    "  -h, --help            print this\n"
    "\n"
    "SIGHUP reloads the configuration, SIGUSR1 logs the counters, SIGTERM\n"
    "sends what is there and ends.\n"
    "Exit status: 0 good, 1 failed at run time, 2 wrong usage or "
    "configuration.\n";

struct arguments {
	const char *config;
	bool check;
	enum log_format format;
	enum log_level level;
};

static int
print_help(void)
{
	struct buf keys;

	buf_init(&keys, 65536);
	conf_help(agent_options, &keys);
	(void)printf("%s\nConfiguration keys:\n%.*s", usage, (int)keys.len,
	    keys.ptr);
	buf_fini(&keys);
	return EXIT_SUCCESS;
}

/* -1: go on; else the exit status. */
static int
one_option(int option, struct arguments *args)
{
	switch (option) {
	case 'c':
		args->config = optarg;
		return -1;
	case OPT_CHECK:
		args->check = true;
		return -1;
	case OPT_VERSION:
		(void)printf("kuzet-agent %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	case 'h':
		return print_help();
	case OPT_FORMAT:
		if (log_parse_format(optarg, &args->format))
			return -1;
		break;
	case OPT_LEVEL:
		if (log_parse_level(optarg, &args->level))
			return -1;
		break;
	default:
		(void)fputs("Try kuzet-agent --help.\n", stderr);
		return EXIT_USAGE;
	}
	(void)fprintf(stderr, "kuzet-agent: there is no \"%s\"\n", optarg);
	return EXIT_USAGE;
}

static int
parse_arguments(int argc, char **argv, struct arguments *args)
{
	int option, status;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) !=
	    -1) {
		status = one_option(option, args);
		if (status != -1)
			return status;
	}
	if (optind < argc) {
		(void)fprintf(stderr,
		    "kuzet-agent: unexpected \"%s\"; the commands are enroll, "
		    "status, fim and policy\nTry kuzet-agent --help.\n",
		    argv[optind]);
		return EXIT_USAGE;
	}
	if (args->config == NULL) {
		(void)fputs(usage, stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* A renewal that a crash broke off; the check of a configuration writes
 * nothing. */
static enum rc
mend_and_check(const char *path, const struct agent_config *c, bool check,
    struct error *err)
{
	const struct identity_files files = agent_identity_files(c);

	if (!check)
		identity_mend(&files);
	return agent_config_check(path, c, err);
}

int
main(int argc, char **argv)
{
	struct arguments args = { .format = LOG_TEXT, .level = LOG_LEVEL_INFO };
	struct agent_config config = { 0 };
	struct pipeline *pipeline = NULL;
	struct error err = { .code = RC_OK };
	int status;

	if (argc > 1 && strcmp(argv[1], "status") == 0)
		return status_command(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "enroll") == 0)
		return enroll_command(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "fim") == 0)
		return fim_command(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "policy") == 0)
		return policy_command_main(argc - 1, argv + 1);
	status = parse_arguments(argc, argv, &args);
	if (status != -1)
		return status;
	footprint_keep_small();
	log_setup("kuzet-agent", args.level, args.format);
	status = EXIT_SUCCESS;
	if (agent_config_load(args.config, &config, &err) != RC_OK ||
	    mend_and_check(args.config, &config, args.check, &err) != RC_OK) {
		log_error("%s", err.text);
		status = EXIT_USAGE;
	} else if (args.check) {
		log_info("%s is good", args.config);
		if (config.sandbox && sandbox_landlock() == 0)
			log_warn("this kernel has no Landlock (CONFIG_SECURITY_"
				 "LANDLOCK, lsm=landlock): the sandbox is "
				 "seccomp and the user only");
	} else if (pipeline_open(args.config, &config, &pipeline, &err) !=
	    RC_OK) {
		log_error("%s", err.text);
		status = EXIT_FAILURE;
	} else {
		pipeline_run(pipeline);
		pipeline_close(pipeline);
	}
	agent_config_free(&config);
	return status;
}
