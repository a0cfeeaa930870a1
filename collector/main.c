/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "buf.h"
#include "check.h"
#include "config.h"
#include "log.h"
#include "pipeline.h"
#include "privileges.h"

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, HELP_BYTES = 1 << 16 };

struct arguments {
	const char *config;
	bool check;
	enum log_level level;
	enum log_format format;
};

static void
usage(FILE *out)
{
	struct buf keys;

	(void)fputs(
	    "usage: kuzet-collector -c FILE [--check-config]\n"
	    "         [--log-format text|json] "
	    "[--log-level error|warn|info|debug]\n"
	    "       kuzet-collector --help | --version\n\n"
	    "Receives events, matches rules, correlates incidents, stores and "
	    "publishes them.\nStays in the foreground and logs to standard "
	    "error.  SIGHUP reloads, SIGTERM\ndrains and stops.  The manual is "
	    "kuzet-collector(8).\n\n"
	    "keys of the configuration file, collector.yaml(5):\n",
	    out);
	buf_init(&keys, HELP_BYTES);
	conf_help(collector_options, &keys);
	(void)fwrite(keys.ptr, 1, keys.len, out);
	buf_fini(&keys);
}

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, 'C' },
	{ "log-format", required_argument, NULL, 'f' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* -1: go on; else the exit status. */
static int
take_argument(struct arguments *a, int c)
{
	switch (c) {
	case 'c':
		a->config = optarg;
		return -1;
	case 'C':
		a->check = true;
		return -1;
	case 'f':
		if (log_parse_format(optarg, &a->format))
			return -1;
		(void)fprintf(stderr,
		    "kuzet-collector: --log-format is text or json, not %s\n",
		    optarg);
		return EXIT_USAGE;
	case 'l':
		if (log_parse_level(optarg, &a->level))
			return -1;
		(void)fprintf(stderr,
		    "kuzet-collector: --log-level is error, warn, info or "
		    "debug, not %s\n",
		    optarg);
		return EXIT_USAGE;
	case 'h':
		usage(stdout);
		return EXIT_GOOD;
	case 'V':
		(void)puts("kuzet-collector " PACKAGE_VERSION);
		return EXIT_GOOD;
	default:
		(void)fputs("kuzet-collector --help tells the usage\n", stderr);
		return EXIT_USAGE;
	}
}

static int
parse_arguments(int argc, char *argv[], struct arguments *a)
{
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		int status = take_argument(a, c);

		if (status != -1)
			return status;
	}
	if (a->config == NULL || optind < argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

static int
run(const char *path, const struct collector_config *config)
{
	struct pipeline *p = NULL;
	struct error err;

	if (privileges_drop(config->user, &err) != RC_OK) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	if (pipeline_new(path, config, &p, &err) != RC_OK) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	pipeline_run(p);
	pipeline_free(p);
	log_info("stopped");
	return EXIT_GOOD;
}

/*
 * Blocks of 256 KiB come and go with every batch: kept in the heap, they are
 * not taken from the system and cleared by it each time.
 */
static void
keep_memory(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): before the first thread */
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
	(void)mallopt(M_TOP_PAD, 1 << 20);
	/* NOLINTEND(concurrency-mt-unsafe) */
}

int
main(int argc, char *argv[])
{
	struct arguments a = { .level = LOG_LEVEL_INFO, .format = LOG_TEXT };
	struct collector_config config;
	struct error err;
	int status = parse_arguments(argc, argv, &a);

	if (status != -1)
		return status;
	keep_memory();
	log_setup("kuzet-collector", a.level, a.format);
	(void)signal(SIGPIPE, SIG_IGN);
	if (collector_config_load(a.config, &config, &err) != RC_OK ||
	    (a.check && collector_check(a.config, &config, &err) != RC_OK)) {
		log_error("%s", err.text);
		status = EXIT_USAGE;
	} else if (a.check) {
		(void)printf("%s is good\n", a.config);
		status = EXIT_GOOD;
	} else {
		status = run(a.config, &config);
	}
	collector_config_free(&config);
	return status;
}
