/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl parse: what the collector would make of a log, offline. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "input.h"
#include "json.h"
#include "timestamp.h"

enum { OUTPUT_MAX = 64 << 20, YEAR_MIN = 1970, YEAR_MAX = 9999 };

struct printing {
	struct buf out;
	enum json_shape shape;
	bool failed;
};

static bool
on_event(void *ctx, struct event *ev)
{
	struct printing *p = ctx;

	buf_clear(&p->out);
	json_write_event(&p->out, ev, p->shape);
	(void)buf_add_char(&p->out, '\n');
	p->failed = fwrite(p->out.ptr, 1, p->out.len, stdout) != p->out.len;
	return !p->failed;
}

static void
usage(FILE *out)
{
	(void)fputs(
	    "usage: kuzetctl parse [OPTION...] FILE...\n\n"
	    "Prints one JSON object for each line of FILE (\"-\": standard "
	    "input):\nthe ECS event that the collector would store.\n\n"
	    "  --dataset NAME     the format, e.g. system.auth; else found from "
	    "the content\n"
	    "  --program NAME     process.name, where the lines do not say it\n"
	    "  --year YEAR        for time stamps without a year\n"
	    "  --timezone ZONE    for time stamps without a zone; UTC\n"
	    "  --flat             dotted names instead of nested objects\n"
	    "  --json             accepted: the output always is\n",
	    out);
}

static bool
read_year(const char *text, int *year)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || value < YEAR_MIN ||
	    value > YEAR_MAX)
		return false;
	*year = (int)value;
	return true;
}

static int
parse_options(int argc, char *argv[], struct input_options *input,
    struct printing *p)
{
	static const struct option options[] = {
		{ "dataset", required_argument, NULL, 'd' },
		{ "program", required_argument, NULL, 'p' },
		{ "year", required_argument, NULL, 'y' },
		{ "timezone", required_argument, NULL, 'z' },
		{ "flat", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			input->dataset = optarg;
			break;
		case 'p':
			input->program = optarg;
			break;
		case 'y':
			if (!read_year(optarg, &input->year)) {
				(void)fprintf(stderr,
				    "kuzetctl: --year takes a year from %d to "
				    "%d, not \"%s\"\n",
				    YEAR_MIN, YEAR_MAX, optarg);
				return EXIT_USAGE;
			}
			break;
		case 'z':
			input->timezone = optarg;
			break;
		case 'f':
			p->shape = JSON_FLAT;
			break;
		case 'j':
			break;
		case 'h':
			usage(stdout);
			return EXIT_GOOD;
		default:
			return EXIT_USAGE;
		}
	}
	return -1;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct input_options input = { .year = 0 };
	struct printing p = { .shape = JSON_NESTED };
	struct timezone_info *tz = NULL;
	struct error err;
	int status = parse_options(argc, argv, &input, &p);

	(void)global;
	if (status != -1)
		return status;
	if (optind >= argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (input.timezone != NULL &&
	    timezone_open(input.timezone, &tz, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl: --timezone: %s\n", err.text);
		return EXIT_USAGE;
	}
	timezone_close(tz);
	buf_init(&p.out, OUTPUT_MAX);
	status = EXIT_GOOD;
	for (int i = optind; i < argc && !p.failed; i++) {
		if (input_log(argv[i], &input, on_event, &p, &err) != RC_OK) {
			(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
			status = EXIT_FAILED;
		}
	}
	if (fflush(stdout) != 0 || p.failed) {
		(void)fputs("kuzetctl: standard output cannot be written\n",
		    stderr);
		status = EXIT_FAILED;
	}
	buf_fini(&p.out);
	return status;
}

const struct command cmd_parse = {
	.name = "parse",
	.summary = "print the events that a log file makes, offline",
	.run = run,
};
