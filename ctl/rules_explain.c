/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl rules explain: why a rule matches an event, or does not. */
#include "explain.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "input.h"
#include "json.h"
#include "query.h"
#include "rules.h"

enum { OUT_MAX = 64 << 20, INDENT = 2, MISSES_MAX = 8 };

struct explaining {
	struct rules_paths paths;
	const char *rule, *events;
	struct logsource logsource;
	bool json;

	struct ruleset *rules;
	struct explainer *explainer;
	uint32_t index; /* of the rule */
	uint64_t event; /* of the next event */
};

/* ---- as JSON ----------------------------------------------------------- */

static const char *const kind_names[] = {
	[EXPLAIN_RULE] = "rule",
	[EXPLAIN_CORRELATION] = "correlation",
	[EXPLAIN_LOGSOURCE] = "logsource",
	[EXPLAIN_AND] = "and",
	[EXPLAIN_OR] = "or",
	[EXPLAIN_NOT] = "not",
	[EXPLAIN_AT_LEAST] = "at_least",
	[EXPLAIN_SELECTION] = "selection",
	[EXPLAIN_MAP] = "map",
	[EXPLAIN_ITEM] = "item",
};

static void
write_patterns(struct json_writer *w, const struct explanation *e)
{
	json_key(w, "patterns");
	json_open(w, '[');
	for (uint32_t i = 0; i < e->n_patterns; i++) {
		const struct explain_pattern *p = &e->patterns[i];

		json_open(w, '{');
		json_key(w, "kind");
		json_str(w, p->kind);
		json_key(w, "pattern");
		json_string(w, p->text);
		json_key(w, "cased");
		json_bool(w, p->cased);
		json_key(w, "hit");
		json_bool(w, p->hit);
		if (p->by != UINT32_MAX) {
			json_key(w, "field");
			json_string(w, e->seen[p->by].field);
			json_key(w, "value");
			json_string(w, e->seen[p->by].text);
		}
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void
write_item(struct json_writer *w, const struct explanation *e)
{
	json_key(w, "field");
	json_string(w, e->name);
	json_key(w, "all");
	json_bool(w, e->all);
	json_key(w, "negated");
	json_bool(w, e->negated);
	json_key(w, "present");
	json_bool(w, e->present);
	json_key(w, "seen");
	json_open(w, '[');
	for (uint32_t i = 0; i < e->n_seen; i++) {
		json_open(w, '{');
		json_key(w, "field");
		json_string(w, e->seen[i].field);
		json_key(w, "value");
		json_string(w, e->seen[i].text);
		json_close(w, '}');
	}
	json_close(w, ']');
	write_patterns(w, e);
}

static void
write_node(struct json_writer *w, const struct explanation *e)
{
	json_open(w, '{');
	json_key(w, "kind");
	json_str(w, kind_names[e->kind]);
	json_key(w, "holds");
	json_bool(w, e->holds);
	if (e->line > 0) {
		json_key(w, "line");
		json_uint(w, e->line);
	}
	if (e->kind == EXPLAIN_AT_LEAST) {
		json_key(w, "needed");
		json_uint(w, e->needed);
	}
	if (e->kind == EXPLAIN_ITEM) {
		write_item(w, e);
	} else if (e->name.len > 0) {
		json_key(w, "name");
		json_string(w, e->name);
	}
	if (e->n > 0) {
		json_key(w, "children");
		json_open(w, '[');
		/* as deep as a condition may be, and a selection below it */
		for (uint32_t i = 0; i < e->n; i++)
			write_node(w, e->children[i]);
		json_close(w, ']');
	}
	json_close(w, '}');
}

static void
print_json(const struct explaining *x, const struct explanation *e)
{
	const struct rule_info *info = ruleset_rule(x->rules, x->index);
	struct json_writer w;
	struct buf out;

	buf_init(&out, OUT_MAX);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "event");
	json_uint(&w, x->event);
	json_key(&w, "rule");
	json_string(&w, info->id);
	json_key(&w, "title");
	json_string(&w, info->title);
	json_key(&w, "matches");
	json_bool(&w, e->holds);
	json_key(&w, "why");
	write_node(&w, e);
	json_close(&w, '}');
	(void)buf_add_char(&out, '\n');
	(void)fwrite(out.ptr, 1, out.len, stdout);
	buf_fini(&out);
}

/* ---- as a tree --------------------------------------------------------- */

static void
print_patterns(const struct explanation *e, int depth)
{
	uint32_t misses = 0;

	for (uint32_t i = 0; i < e->n_patterns; i++) {
		const struct explain_pattern *p = &e->patterns[i];

		misses += p->hit ? 0 : 1;
		if (!p->hit && misses > MISSES_MAX)
			continue;
		(void)printf("%*s%s %s%s ", depth * INDENT, "",
		    p->hit ? "hit   " : "no hit", p->kind,
		    p->cased ? " (cased)" : "");
		print_text(p->text, 0);
		if (p->variants > 1)
			(void)printf("  (one of %u variants)", p->variants);
		(void)putchar('\n');
	}
	if (misses > MISSES_MAX)
		(void)printf("%*s... and %u more that do not hit\n",
		    depth * INDENT, "", misses - MISSES_MAX);
}

static void
print_item(const struct explanation *e, int depth)
{
	const char *wanted = e->negated ? " (none of)" : "";

	if (e->all)
		wanted = " (all of)";
	print_text(e->name.len > 0 ? e->name : SLICE("keywords"), 0);
	(void)printf("%s: %s\n", wanted, e->holds ? "yes" : "no");
	depth++;
	for (uint32_t i = 0; i < e->n_seen; i++) {
		(void)printf("%*ssaw    ", depth * INDENT, "");
		print_text(e->seen[i].field, 0);
		(void)fputs(" = ", stdout);
		print_text(e->seen[i].text, 0);
		(void)putchar('\n');
	}
	if (e->n_seen == 0)
		(void)printf("%*s%s\n", depth * INDENT, "",
		    e->present ? "saw    null" : "the event has no such field");
	print_patterns(e, depth);
}

static void
print_node(const struct explanation *e, int depth)
{
	const char *answer = e->holds ? "yes" : "no";

	/* the only map of a selection is the selection */
	if (e->kind == EXPLAIN_SELECTION && e->n == 1 &&
	    e->children[0]->kind == EXPLAIN_MAP) {
		const struct explanation *map = e->children[0];

		(void)printf("%*sselection ", depth * INDENT, "");
		print_text(e->name, 0);
		(void)printf(": %s\n", answer);
		for (uint32_t i = 0; i < map->n; i++)
			print_node(map->children[i], depth + 1);
		return;
	}
	(void)printf("%*s", depth * INDENT, "");
	if (e->kind == EXPLAIN_ITEM) {
		print_item(e, depth);
		return;
	}
	if (e->kind == EXPLAIN_AT_LEAST)
		(void)printf("at least %u of", e->needed);
	else
		(void)fputs(kind_names[e->kind], stdout);
	if (e->name.len > 0) {
		(void)putchar(' ');
		print_text(e->name, 0);
	}
	(void)printf(": %s\n", answer);
	for (uint32_t i = 0; i < e->n; i++)
		print_node(e->children[i], depth + 1);
}

static void
print_tree(const struct explaining *x, const struct explanation *e)
{
	(void)printf("event %llu: ", (unsigned long long)x->event);
	print_text(ruleset_rule(x->rules, x->index)->title, 0);
	if (e->kind == EXPLAIN_CORRELATION)
		(void)printf(": the event %s for the correlation\n",
		    e->holds ? "counts" : "does not count");
	else
		(void)printf(": %s\n", e->holds ? "matches" : "does not match");
	print_node(e, 1);
}

/* ---- all of it --------------------------------------------------------- */

static bool
on_event(void *ctx, struct event *ev)
{
	struct explaining *x = ctx;
	const struct explanation *e;

	explainer_event(x->explainer, ev, &x->logsource);
	e = explainer_rule(x->explainer, x->index);
	if (x->json)
		print_json(x, e);
	else
		print_tree(x, e);
	x->event++;
	return !ferror(stdout);
}

static int
explain_all(struct explaining *x)
{
	struct slice id = { x->rule, strlen(x->rule) };
	struct error err;
	enum rc rc;

	x->rules = rules_load(&x->paths, true);
	if (x->rules == NULL)
		return EXIT_USAGE;
	x->index = ruleset_find(x->rules, id);
	if (x->index == UINT32_MAX) {
		(void)fprintf(stderr,
		    "kuzetctl rules explain: no rule \"%s\" is loaded\n",
		    x->rule);
		return EXIT_USAGE;
	}
	x->explainer = explainer_new(x->rules);
	rc = input_jsonl(x->events, on_event, x, &err);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
	return rc == RC_OK && fflush(stdout) == 0 && !ferror(stdout)
	    ? EXIT_GOOD
	    : EXIT_FAILED;
}

static void
usage(FILE *out)
{
	(void)fputs(
	    "usage: kuzetctl rules explain --rule ID --event FILE "
	    "[--rules PATH...]\n"
	    "           [--logsource product=P,category=C,service=S] "
	    "[--json]\n\n"
	    "Why the rule matches each event of the file, or does not: every "
	    "selection and\nfield, the values seen, the patterns that hit.\n\n"
	    "  --rule ID          the rule's id\n"
	    "  --event FILE       one JSON object a line; - is standard "
	    "input\n"
	    "  --rules PATH...    files, or folders of *.yml; without it: the "
	    "packs\n"
	    "  --logsource ...    what the events are, where they do not say "
	    "it themselves\n",
	    out);
}

static int
read_arguments(struct explaining *x, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "rule", required_argument, NULL, 'i' },
		{ "event", required_argument, NULL, 'e' },
		{ "rules", required_argument, NULL, 'r' },
		{ "logsource", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return EXIT_GOOD;
		}
		if (c == 'i')
			x->rule = optarg;
		else if (c == 'e')
			x->events = optarg;
		else if (c == 'r')
			x->paths.paths[x->paths.n++] = optarg;
		else if (c == 'j')
			x->json = true;
		else if (c != 's' || !rules_logsource(optarg, &x->logsource))
			return EXIT_USAGE;
	}
	while (optind < argc)
		x->paths.paths[x->paths.n++] = argv[optind++];
	if (x->rule != NULL && x->events != NULL)
		return -1;
	usage(stderr);
	return EXIT_USAGE;
}

int
rules_explain(bool json, int argc, char *argv[])
{
	struct explaining x = { .json = json };
	int status;

	rules_paths_init(&x.paths, argc);
	status = read_arguments(&x, argc, argv);
	if (status == -1)
		status = explain_all(&x);
	explainer_free(x.explainer);
	ruleset_unref(x.rules);
	rules_paths_fini(&x.paths);
	return status;
}
