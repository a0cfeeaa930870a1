/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl parse: what the collector would make of a log, offline. */
#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "input.h"
#include "json.h"

enum { OUTPUT_MAX = 64 << 20 };

struct printing {
	struct buf out;
	enum json_shape shape;
	struct json_memo *memo; /* of that shape */
	bool failed;
};

static bool
on_event(void *ctx, struct event *ev)
{
	struct printing *p = ctx;

	buf_clear(&p->out);
	json_write_event_again(&p->out, ev, p->memo);
	(void)buf_add_char(&p->out, '\n');
	p->failed = fwrite(p->out.ptr, 1, p->out.len, stdout) != p->out.len;
	return !p->failed;
}

static void
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: kuzetctl parse [OPTION...] FILE...\n\n"
	    "Prints one JSON object for each line of FILE (\"-\": standard "
	    "input):\nthe ECS event that the collector would store.\n\n"
	    "%s"
	    "  --flat             dotted names instead of nested objects\n"
	    "  --json             accepted: the output always is\n",
	    input_options_help);
}

static int
parse_options(int argc, char *argv[], struct input_options *input,
    struct printing *p)
{
	static const struct option options[] = {
		INPUT_OPTIONS,
		{ "flat", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct error err;
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return EXIT_GOOD;
		}
		if (c == 'f') {
			p->shape = JSON_FLAT;
		} else if (c >= INPUT_FIRST && c < INPUT_END) {
			if (input_option(input, c, optarg, &err) == RC_OK)
				continue;
			(void)fprintf(stderr, "kuzetctl parse: --%s\n",
			    err.text);
			return EXIT_USAGE;
		} else if (c != 'j') {
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
	struct error err;
	int status = parse_options(argc, argv, &input, &p);

	(void)global;
	if (status != -1)
		return status;
	if (optind >= argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	buf_init(&p.out, OUTPUT_MAX);
	p.memo = json_memo_new(p.shape);
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
	json_memo_free(p.memo);
	buf_fini(&p.out);
	return status;
}

const struct command cmd_parse = {
	.name = "parse",
	.summary = "print the events that a log file makes, offline",
	.run = run,
};
