/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "command.h"
#include "rules.h"
#include "rules_output.h"

struct matching {
	struct rules_arguments arguments;
	bool stats;
	struct ruleset *rules;
	struct matcher *matcher;
	struct rules_output *output;
	uint64_t index; /* of the next event */
};

static void
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: kuzetctl rules match --rules PATH... (--events FILE | "
	    "--log FILE)\n"
	    "           [--logsource product=P,category=C,service=S] "
	    "[--stats] [--json]\n\n"
	    "Prints which rules match which events.  Events are counted from "
	    "0.\n\n"
	    "  --rules PATH...    files, or folders of *.yml\n%s"
	    "  --events FILE      one JSON object a line: ECS, Winlogbeat, "
	    "Windows events;\n"
	    "                     - is standard input\n%s"
	    "  --stats            last, how many events a second\n"
	    "  --json             one object a match\n\n"
	    "With --log:\n%s",
	    rules_taxonomy_help, rules_input_help, input_options_help);
}

/* ---- events ------------------------------------------------------------ */

static bool
on_event(void *ctx, struct event *ev)
{
	struct matching *m = ctx;
	uint32_t n;
	const uint32_t *hits =
	    matcher_run(m->matcher, ev, &m->arguments.logsource, &n);

	rules_output_event(m->output, ev, m->index++, hits, n);
	return rules_output_good(m->output);
}

static void
tell_given_up(struct matcher *m)
{
	uint64_t n = matcher_given_up(m);

	if (n > 0)
		(void)fprintf(stderr,
		    "kuzetctl: a regular expression took too many steps %llu "
		    "times and was given up, which is no match: rules check "
		    "says which are slow\n",
		    (unsigned long long)n);
}

/* ---- all of it --------------------------------------------------------- */

static double
seconds_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
print_stats(const struct matching *m, double load_seconds, double seconds)
{
	uint32_t rules = ruleset_loaded(m->rules);
	double rate = seconds > 0 ? (double)m->index / seconds : 0;
	const char *format = m->arguments.json
	    ? "{\"events\":%llu,\"rules\":%u,\"load_seconds\":%.3f,"
	      "\"seconds\":%.3f,\"events_per_second\":%.0f}\n"
	    : "%llu events, %u rules, loaded in %.3f s, run in %.3f s, "
	      "%.0f events/s\n";

	(void)printf(format, (unsigned long long)m->index, rules, load_seconds,
	    seconds, rate);
}

static int
match_all(struct matching *m)
{
	struct error err;
	double start = seconds_now(), loaded;
	enum rc rc;

	m->rules = rules_load(&m->arguments, false);
	if (m->rules == NULL)
		return EXIT_USAGE;
	m->matcher = matcher_new(m->rules);
	m->output = rules_output_new(m->rules, m->arguments.json, stdout);
	loaded = seconds_now();
	rc = rules_input(&m->arguments, on_event, m, &err);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
	rules_output_end(m->output);
	tell_given_up(m->matcher);
	if (m->stats)
		print_stats(m, loaded - start, seconds_now() - loaded);
	if (fflush(stdout) != 0 || !rules_output_good(m->output)) {
		(void)fputs("kuzetctl: standard output cannot be written\n",
		    stderr);
		return EXIT_FAILED;
	}
	return rc == RC_OK ? EXIT_GOOD : EXIT_FAILED;
}

static void
take_own(void *ctx, int code, const char *text)
{
	struct matching *m = ctx;

	(void)code;
	(void)text;
	m->stats = true;
}

int
rules_match(bool json, int argc, char *argv[])
{
	static const struct option options[] = { RULES_OPTIONS,
		RULES_INPUT_OPTIONS("events"),
		{ "stats", no_argument, NULL, 'S' }, { NULL, 0, NULL, 0 } };
	struct matching m = { .arguments = { .json = json } };
	const struct rules_command command = {
		.name = "match",
		.options = options,
		.usage = usage,
		.own = take_own,
		.ctx = &m,
	};
	struct rules_arguments *a = &m.arguments;
	int status = rules_arguments_read(a, &command, argc, argv);

	rules_rest_is_rules(a);
	if (status == -1 &&
	    (a->rules.n == 0 || (a->events == NULL) == (a->log == NULL))) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (status == -1)
		status = match_all(&m);
	rules_output_free(m.output);
	matcher_free(m.matcher);
	ruleset_unref(m.rules);
	rules_arguments_fini(a);
	return status;
}
