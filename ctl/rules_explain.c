/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl rules explain: why a rule matches an event, or does not. */
#include "explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "json.h"
#include "query.h"
#include "rules.h"
#include "rules_output.h"
#include "xalloc.h"

enum { OUT_MAX = 64 << 20, INDENT = 2, MISSES_MAX = 8, GROUPS_MAX = 1000 };

struct counted_group {
	char *text; /* owned */
	uint64_t events;
};

struct explaining {
	struct rules_arguments arguments;
	const char *rule;
	bool json;

	struct ruleset *rules;
	struct explainer *explainer;
	/* of a correlation: it runs, and what counts is counted */
	struct matcher *matcher;
	struct rules_output *output;
	struct counted_group *groups;
	size_t n_groups;
	uint64_t uncounted; /* events of further groups */
	uint32_t index;     /* of the rule */
	uint64_t event;     /* of the next event */
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
write_counts(struct json_writer *w, const struct explanation *e)
{
	json_optional(w, "definition", e->definition);
	if (e->group.len > 0) {
		json_key(w, "group");
		json_raw(w, e->group);
	}
	if (e->counted.len > 0) {
		json_key(w, "counted");
		json_raw(w, e->counted);
	}
	json_optional(w, "missing", e->missing);
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
	write_counts(w, e);
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
print_count(const char *what, struct slice text, int depth)
{
	if (text.len == 0)
		return;
	(void)printf("%*s%s ", depth * INDENT, "", what);
	print_text(text, 0);
	(void)putchar('\n');
}

static void
print_counts(const struct explanation *e, int depth)
{
	print_count("wants", e->definition, depth);
	print_count("counts in the group", e->group, depth);
	print_count("counts the value", e->counted, depth);
	print_count("does not count: the event has no field", e->missing,
	    depth);
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
	print_counts(e, depth + 1);
	/* of a logsource only what is wrong is worth the lines */
	for (uint32_t i = 0;
	     i < e->n && !(e->kind == EXPLAIN_LOGSOURCE && e->holds); i++)
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

/* ---- correlations ------------------------------------------------------ */

/* One event more for a group. */
static void
count_group(struct explaining *x, struct slice group)
{
	struct counted_group *g = NULL;

	for (size_t i = 0; i < x->n_groups && g == NULL; i++)
		if (strlen(x->groups[i].text) == group.len &&
		    memcmp(x->groups[i].text, group.ptr, group.len) == 0)
			g = &x->groups[i];
	if (g == NULL) {
		if (x->n_groups == GROUPS_MAX) {
			x->uncounted++;
			return;
		}
		x->groups = xreallocarray(x->groups, x->n_groups + 1,
		    sizeof(x->groups[0]));
		g = &x->groups[x->n_groups++];
		*g =
		    (struct counted_group){ xmemdupz(group.ptr, group.len), 0 };
	}
	g->events++;
}

static void
count_event(struct explaining *x, const struct explanation *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (e->children[i]->group.len > 0 &&
		    e->children[i]->missing.len == 0)
			count_group(x, e->children[i]->group);
}

/* What became of it over all events. */
static void
print_outcome(struct explaining *x)
{
	if (!x->json) {
		(void)puts("\nevents that count, by group:");
		for (size_t i = 0; i < x->n_groups; i++) {
			(void)printf("%*s%llu  ", INDENT, "",
			    (unsigned long long)x->groups[i].events);
			print_text((struct slice){ x->groups[i].text,
				       strlen(x->groups[i].text) },
			    0);
			(void)putchar('\n');
		}
		if (x->n_groups == 0)
			(void)printf("%*snone\n", INDENT, "");
		if (x->uncounted > 0)
			(void)printf("%*s... and %llu events of more groups\n",
			    INDENT, "", (unsigned long long)x->uncounted);
		(void)puts("it fires (event, level, rule, title, group, "
			   "events; nothing below: it does not):");
	}
	rules_output_end(x->output);
}

/* ---- all of it --------------------------------------------------------- */

static bool
on_event(void *ctx, struct event *ev)
{
	struct explaining *x = ctx;
	const struct logsource *said = &x->arguments.logsource;
	const struct explanation *e;

	explainer_event(x->explainer, ev, said);
	e = explainer_rule(x->explainer, x->index);
	if (x->json)
		print_json(x, e);
	else
		print_tree(x, e);
	if (x->output != NULL) {
		uint32_t n;
		const uint32_t *hits = matcher_run(x->matcher, ev, said, &n);

		count_event(x, e);
		rules_output_event(x->output, ev, x->event, hits, n);
	}
	x->event++;
	return !ferror(stdout);
}

static int
explain_all(struct explaining *x)
{
	struct slice id = { x->rule, strlen(x->rule) };
	struct error err;
	enum rc rc;

	x->rules = rules_load(&x->arguments, true);
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
	if (ruleset_rule(x->rules, x->index)->correlation) {
		x->matcher = matcher_new(x->rules);
		x->output = rules_output_new(x->rules, x->json, stdout);
		rules_output_only(x->output, x->index);
	}
	rc = rules_input(&x->arguments, on_event, x, &err);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
	if (x->output != NULL)
		print_outcome(x);
	return rc == RC_OK && fflush(stdout) == 0 && !ferror(stdout)
	    ? EXIT_GOOD
	    : EXIT_FAILED;
}

static void
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: kuzetctl rules explain --rule ID (--event FILE | --log "
	    "FILE)\n"
	    "           [--rules PATH...] [--logsource "
	    "product=P,category=C,service=S]\n"
	    "           [--json]\n\n"
	    "Why the rule matches each event of the file, or does not: every "
	    "selection and\nfield, the values seen, the patterns that hit.  Of "
	    "a correlation: what each event\ncounts for, in which group, and "
	    "last where it fires.\n\n"
	    "  --rule ID          the rule's id\n"
	    "  --event FILE       one JSON object a line; - is standard "
	    "input\n%s"
	    "  --rules PATH...    files, or folders of *.yml; without it: the "
	    "packs\n%s"
	    "  --json             one object an event\n\n"
	    "With --log:\n%s",
	    rules_input_help, rules_taxonomy_help, input_options_help);
}

static void
take_own(void *ctx, int code, const char *text)
{
	struct explaining *x = ctx;

	(void)code;
	x->rule = text;
}

int
rules_explain(bool json, int argc, char *argv[])
{
	static const struct option options[] = { RULES_OPTIONS,
		RULES_INPUT_OPTIONS("event"),
		{ "rule", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 } };
	struct explaining x = { .arguments = { .json = json } };
	const struct rules_command command = {
		.name = "explain",
		.options = options,
		.usage = usage,
		.own = take_own,
		.ctx = &x,
	};
	struct rules_arguments *a = &x.arguments;
	int status = rules_arguments_read(a, &command, argc, argv);

	rules_rest_is_rules(a);
	x.json = a->json;
	if (status == -1 &&
	    (x.rule == NULL || (a->events == NULL) == (a->log == NULL))) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (status == -1)
		status = explain_all(&x);
	for (size_t i = 0; i < x.n_groups; i++)
		free(x.groups[i].text);
	free(x.groups);
	rules_output_free(x.output);
	matcher_free(x.matcher);
	explainer_free(x.explainer);
	ruleset_unref(x.rules);
	rules_arguments_fini(a);
	return status;
}
