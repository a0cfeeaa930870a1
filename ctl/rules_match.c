/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "engine.h"
#include "input.h"
#include "rules.h"
#include "rules_output.h"
#include "timestamp.h"
#include "xalloc.h"

struct arguments {
	const char **rules;
	size_t n_rules;
	const char *events, *log;
	struct input_options input;
	struct logsource logsource;
	bool json, stats;
};

struct matching {
	const struct arguments *arguments;
	struct ruleset *rules;
	struct matcher *matcher;
	struct rules_output *output;
	uint64_t index; /* of the next event */
};

/* ---- arguments --------------------------------------------------------- */

static void
usage(FILE *out)
{
	(void)fputs(
	    "usage: kuzetctl rules match --rules PATH... (--events FILE | "
	    "--log FILE)\n"
	    "           [--logsource product=P,category=C,service=S] "
	    "[--stats] [--json]\n\n"
	    "Prints which rules match which events.  Events are counted from "
	    "0.\n\n"
	    "  --rules PATH...    files, or folders of *.yml\n"
	    "  --events FILE      one JSON object a line: ECS, Winlogbeat, "
	    "Windows events\n"
	    "  --log FILE         a log, through the normalizers; with "
	    "--dataset NAME,\n"
	    "                     --year YEAR, --timezone ZONE\n"
	    "  --logsource ...    what the events are, where they do not say "
	    "it themselves\n"
	    "  --stats            last, how many events a second\n",
	    out);
}

static bool
read_year(const char *text, int *year)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || value < 1970 ||
	    value > 9999)
		return false;
	*year = (int)value;
	return true;
}

static int
wrong(const char *option, const char *allowed)
{
	(void)fprintf(stderr, "kuzetctl rules match: %s takes %s\n", option,
	    allowed);
	return EXIT_USAGE;
}

/* One option; -1 to go on, else an exit status. */
static int
take_option(struct arguments *a, int c)
{
	switch (c) {
	case 'r':
		a->rules[a->n_rules++] = optarg;
		break;
	case 'e':
		a->events = optarg;
		break;
	case 'l':
		a->log = optarg;
		break;
	case 'd':
		a->input.dataset = optarg;
		break;
	case 'p':
		a->input.program = optarg;
		break;
	case 'y':
		if (!read_year(optarg, &a->input.year))
			return wrong("--year", "a year, as 2026");
		break;
	case 'z':
		a->input.timezone = optarg;
		break;
	case 's':
		if (!rules_logsource(optarg, &a->logsource))
			return wrong("--logsource",
			    "product=P,category=C,service=S");
		break;
	case 'S':
		a->stats = true;
		break;
	case 'j':
		a->json = true;
		break;
	case 'h':
		usage(stdout);
		return EXIT_GOOD;
	default:
		return EXIT_USAGE;
	}
	return -1;
}

static int
read_arguments(struct arguments *a, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "rules", required_argument, NULL, 'r' },
		{ "events", required_argument, NULL, 'e' },
		{ "log", required_argument, NULL, 'l' },
		{ "dataset", required_argument, NULL, 'd' },
		{ "program", required_argument, NULL, 'p' },
		{ "year", required_argument, NULL, 'y' },
		{ "timezone", required_argument, NULL, 'z' },
		{ "logsource", required_argument, NULL, 's' },
		{ "stats", no_argument, NULL, 'S' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	a->rules = xcalloc((size_t)argc + 1, sizeof(a->rules[0]));
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		int status = take_option(a, c);

		if (status != -1)
			return status;
	}
	/* --rules A B: what is no option is one more path */
	while (optind < argc)
		a->rules[a->n_rules++] = argv[optind++];
	if (a->n_rules == 0 || (a->events == NULL) == (a->log == NULL)) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- events ------------------------------------------------------------ */

static bool
on_event(void *ctx, struct event *ev)
{
	struct matching *m = ctx;
	uint32_t n;
	const uint32_t *hits =
	    matcher_run(m->matcher, ev, &m->arguments->logsource, &n);

	rules_output_event(m->output, ev, m->index++, hits, n);
	return rules_output_good(m->output);
}

/* ---- all of it --------------------------------------------------------- */

static void
on_finding(void *ctx, const struct rule_finding *f)
{
	(void)ctx;
	if (f->severity == RULE_ERROR)
		(void)fprintf(stderr, "%s:%u: refused: %s\n", f->file, f->line,
		    f->message);
}

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
	const char *format = m->arguments->json
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
	const struct arguments *a = m->arguments;
	struct rule_options load = {
		.paths = a->rules,
		.n_paths = a->n_rules,
		.on_finding = on_finding,
	};
	struct error err;
	double start = seconds_now(), loaded;
	enum rc rc;

	if (ruleset_load(&load, &m->rules, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
		return EXIT_USAGE;
	}
	m->matcher = matcher_new(m->rules);
	m->output = rules_output_new(m->rules, a->json, stdout);
	loaded = seconds_now();
	rc = a->events != NULL
	    ? input_jsonl(a->events, on_event, m, &err)
	    : input_log(a->log, &a->input, on_event, m, &err);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
	rules_output_end(m->output);
	if (a->stats)
		print_stats(m, loaded - start, seconds_now() - loaded);
	if (fflush(stdout) != 0 || !rules_output_good(m->output)) {
		(void)fputs("kuzetctl: standard output cannot be written\n",
		    stderr);
		return EXIT_FAILED;
	}
	return rc == RC_OK ? EXIT_GOOD : EXIT_FAILED;
}

int
rules_match(bool json, int argc, char *argv[])
{
	struct arguments a = { .json = json };
	struct matching m = { .arguments = &a };
	int status = read_arguments(&a, argc, argv);

	if (status == -1)
		status = match_all(&m);
	rules_output_free(m.output);
	matcher_free(m.matcher);
	ruleset_unref(m.rules);
	free(a.rules);
	return status;
}
