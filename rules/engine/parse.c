/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <stdarg.h>
#include <stdio.h>

#include "digest.h"
#include "near.h"
#include "utf8.h"

enum { TEXT_MAX = 1024, TAGS_MAX = 256 };

bool
parse_fail(struct rule_parser *p, unsigned line, const char *fmt, ...)
{
	va_list ap;

	p->line = line;
	va_start(ap, fmt);
	(void)vsnprintf(p->message, sizeof(p->message), fmt, ap);
	va_end(ap);
	return false;
}

void
parse_warn(struct rule_parser *p, unsigned line, const char *fmt, ...)
{
	char message[sizeof(p->message)];
	va_list ap;

	if (p->on_warning == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	p->on_warning(p->ctx, line, message);
}

static const char *const level_names[] = {
	[RULE_INFORMATIONAL] = "informational",
	[RULE_LOW] = "low",
	[RULE_MEDIUM] = "medium",
	[RULE_HIGH] = "high",
	[RULE_CRITICAL] = "critical",
};

const char *
rule_level_name(enum rule_level level)
{
	return level_names[level];
}

bool
parse_strings(struct rule_parser *p, const struct yaml_node *node,
    const char *what, const struct slice **out, uint32_t *n)
{
	bool list = node->kind == YAML_SEQUENCE;
	size_t count = list ? node->n : 1;
	struct slice *texts =
	    arena_alloc(p->arena, (count + 1) * sizeof(texts[0]));

	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *one = list ? node->items[i] : node;

		if (one->kind != YAML_SCALAR || !utf8_valid(one->text))
			return parse_fail(p, one->line,
			    "\"%s\" must be a text or a list of texts", what);
		texts[i] = arena_copy(p->arena, one->text);
	}
	*out = texts;
	*n = (uint32_t)count;
	return true;
}

const unsigned *
parse_lines(struct rule_parser *p, const struct yaml_node *node)
{
	bool list = node->kind == YAML_SEQUENCE;
	size_t count = list ? node->n : 1;
	unsigned *lines = arena_alloc(p->arena, (count + 1) * sizeof(lines[0]));

	for (size_t i = 0; i < count; i++)
		lines[i] = list ? node->items[i]->line : node->line;
	return lines;
}

/* A text key of the rule; absent or null is empty. */
static bool
parse_text(struct rule_parser *p, const struct yaml_node *root, const char *key,
    struct slice *out)
{
	const struct yaml_node *node = yaml_get(root, key);

	*out = SLICE("");
	if (node == NULL || yaml_is_null(node))
		return true;
	if (node->kind != YAML_SCALAR || !utf8_valid(node->text))
		return parse_fail(p, node->line, "\"%s\" must be a text", key);
	*out = arena_copy(p->arena,
	    (struct slice){ node->text.ptr, utf8_cut(node->text, TEXT_MAX) });
	return true;
}

/* `author` may be a list in rules of the wild. */
static bool
parse_author(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	const struct yaml_node *node = yaml_get(root, "author");
	struct buf all;

	if (node == NULL || node->kind != YAML_SEQUENCE)
		return parse_text(p, root, "author", &rule->author);
	buf_init(&all, TEXT_MAX);
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *one = node->items[i];

		if (one->kind != YAML_SCALAR || !utf8_valid(one->text))
			continue;
		if (all.len > 0)
			(void)buf_add_str(&all, ", ");
		(void)buf_add_slice(&all, one->text);
	}
	rule->author = arena_copy(p->arena, buf_slice(&all));
	buf_fini(&all);
	return true;
}

static bool
parse_level(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	const struct yaml_node *node = yaml_get(root, "level");

	rule->level = RULE_MEDIUM;
	if (node == NULL || yaml_is_null(node))
		return true;
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]);
	     i++) {
		if (slice_eq(node->text,
			(struct slice){ level_names[i],
			    strlen(level_names[i]) })) {
			rule->level = (enum rule_level)i;
			rule->has_level = true;
			return true;
		}
	}
	return parse_fail(p, node->line,
	    "\"level\" must be informational, low, medium, high or critical");
}

void
warn_unknown(struct rule_parser *p, const struct yaml_node *map,
    const char *what, const struct slice *known, size_t n)
{
	for (size_t i = 0; i < map->n; i++) {
		struct slice key = map->keys[i]->text, near;
		bool is_known = false;

		for (size_t k = 0; k < n && !is_known; k++)
			is_known = slice_eq(key, known[k]);
		if (is_known)
			continue;
		near = near_of(key, known, n);
		if (near.len > 0)
			parse_warn(p, map->keys[i]->line,
			    "\"%.*s\" in \"%s\" means nothing: is \"%.*s\" "
			    "meant?",
			    (int)(key.len < 64 ? key.len : 64), key.ptr, what,
			    SLICE_ARG(near));
		else
			parse_warn(p, map->keys[i]->line,
			    "\"%.*s\" in \"%s\" means nothing: leave it out",
			    (int)(key.len < 64 ? key.len : 64), key.ptr, what);
	}
}

static void
warn_status(struct rule_parser *p, const struct yaml_node *root,
    struct slice status)
{
	static const struct slice known[] = { SLICE_INIT("stable"),
		SLICE_INIT("test"), SLICE_INIT("experimental"),
		SLICE_INIT("deprecated"), SLICE_INIT("unsupported") };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_eq(status, known[i]))
			return;
	if (status.len > 0)
		parse_warn(p, yaml_get(root, "status")->line,
		    "\"status\" is stable, test, experimental, deprecated or "
		    "unsupported, not \"%.*s\"",
		    (int)(status.len < 64 ? status.len : 64), status.ptr);
}

/* 2026-11-22. */
static bool
is_date(struct slice s)
{
	static const char form[] = "dddd-dd-dd";
	unsigned part[3] = { 0 }, n = 0;

	if (s.len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (form[i] == '-' ? s.ptr[i] != '-'
				   : s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		if (form[i] == '-')
			n++;
		else
			part[n] = part[n] * 10 + (unsigned)(s.ptr[i] - '0');
	}
	return part[1] >= 1 && part[1] <= 12 && part[2] >= 1 && part[2] <= 31;
}

static void
warn_dates(struct rule_parser *p, const struct yaml_node *root)
{
	static const char *const keys[] = { "date", "modified" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct yaml_node *node = yaml_get(root, keys[i]);

		if (node != NULL && !yaml_is_null(node) &&
		    (node->kind != YAML_SCALAR || !is_date(node->text)))
			parse_warn(p, node->line,
			    "\"%s\" is no date: write it as YYYY-MM-DD",
			    keys[i]);
	}
}

static void
warn_id(struct rule_parser *p, const struct yaml_node *root,
    const struct sigma_rule *rule)
{
	uint8_t uuid[16];

	if (rule->id.len == 0)
		parse_warn(p, rule->line,
		    "there is no id: add a UUID (uuidgen makes one), by which "
		    "its incidents stay the same when the rule is worked on");
	else if (!uuid_parse(rule->id, uuid))
		parse_warn(p, yaml_get(root, "id")->line,
		    "the id \"%.*s\" is no UUID: uuidgen makes one",
		    (int)(rule->id.len < 64 ? rule->id.len : 64), rule->id.ptr);
}

static struct slice
lower(struct arena *arena, struct slice s)
{
	char *out = arena_alloc(arena, s.len + 1);

	for (size_t i = 0; i < s.len; i++) {
		out[i] = ascii_lower(s.ptr[i]);
	}
	return (struct slice){ out, s.len };
}

static bool
parse_logsource(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	static const struct slice source_keys[] = { SLICE_INIT("product"),
		SLICE_INIT("category"), SLICE_INIT("service"),
		SLICE_INIT("definition") };
	const struct yaml_node *map = yaml_get(root, "logsource");
	struct sigma_logsource *ls = &rule->logsource;

	if (map == NULL || map->kind != YAML_MAPPING)
		return parse_fail(p, map != NULL ? map->line : rule->line,
		    map != NULL ? "\"logsource\" must be a map of product, "
				  "category, service"
				: "\"logsource\" is missing: a map of product, "
				  "category, service, as {product: linux}");
	if (!parse_text(p, map, "product", &ls->product) ||
	    !parse_text(p, map, "category", &ls->category) ||
	    !parse_text(p, map, "service", &ls->service))
		return false;
	rule->logsource_line = map->line;
	ls->product = lower(p->arena, ls->product);
	ls->category = lower(p->arena, ls->category);
	ls->service = lower(p->arena, ls->service);
	warn_unknown(p, map, "logsource", source_keys,
	    sizeof(source_keys) / sizeof(source_keys[0]));
	return true;
}

static bool
parse_filter(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_rule *rule)
{
	struct sigma_filter *f = arena_alloc(p->arena, sizeof(*f));
	const struct yaml_node *rules;

	*f = (struct sigma_filter){ .any_rule = true };
	rule->filter = f;
	if (map->kind != YAML_MAPPING)
		return parse_fail(p, map->line, "\"filter\" must be a map");
	rules = yaml_get(map, "rules");
	if (rules == NULL)
		return parse_fail(p, map->line,
		    "\"rules\" is missing in \"filter\": a list of rules, or "
		    "any");
	if (!parse_strings(p, rules, "rules", &f->rule_names, &f->n_rules))
		return false;
	f->rule_lines = parse_lines(p, rules);
	f->any_rule = f->n_rules == 0 ||
	    (rules->kind == YAML_SCALAR && slice_eq(rules->text, SLICE("any")));
	return parse_detection(p, map, rule);
}

/* Keys of one's own are allowed there, misspelt ones are told. */
static void
warn_near(struct rule_parser *p, const struct yaml_node *map,
    const struct slice *known, size_t n)
{
	for (size_t i = 0; i < map->n; i++) {
		struct slice key = map->keys[i]->text, near;
		bool is_known = false;

		for (size_t k = 0; k < n && !is_known; k++)
			is_known = slice_eq(key, known[k]);
		near = is_known ? SLICE("") : near_of(key, known, n);
		if (near.len > 0)
			parse_warn(p, map->keys[i]->line,
			    "\"%.*s\" means nothing: is \"%.*s\" meant?",
			    SLICE_ARG(key), SLICE_ARG(near));
	}
}

static void
warn_keys(struct rule_parser *p, const struct yaml_node *root)
{
	static const struct slice known[] = { SLICE_INIT("title"),
		SLICE_INIT("id"), SLICE_INIT("name"), SLICE_INIT("status"),
		SLICE_INIT("author"), SLICE_INIT("level"), SLICE_INIT("tags"),
		SLICE_INIT("logsource"), SLICE_INIT("detection"),
		SLICE_INIT("correlation"), SLICE_INIT("filter"),
		SLICE_INIT("generate"), SLICE_INIT("kuzet"), SLICE_INIT("date"),
		SLICE_INIT("modified"), SLICE_INIT("description"),
		SLICE_INIT("references"), SLICE_INIT("falsepositives"),
		SLICE_INIT("fields"), SLICE_INIT("license"),
		SLICE_INIT("related"), SLICE_INIT("scope"),
		SLICE_INIT("taxonomy") };

	warn_near(p, root, known, sizeof(known) / sizeof(known[0]));
}

/* kuzet: {scope: all} */
static bool
parse_own(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	static const struct slice known[] = { SLICE_INIT("scope"),
		SLICE_INIT("requirement"), SLICE_INIT("article") };
	const struct yaml_node *map = yaml_get(root, "kuzet");
	const struct yaml_node *scope;

	if (map == NULL || map->kind != YAML_MAPPING)
		return true;
	warn_near(p, map, known, sizeof(known) / sizeof(known[0]));
	scope = yaml_get(map, "scope");
	if (scope == NULL)
		return true;
	rule->scope_all = slice_eq(scope->text, SLICE("all"));
	if (!rule->scope_all && !slice_eq(scope->text, SLICE("organization")))
		return parse_fail(p, scope->line,
		    "\"kuzet.scope\" must be organization or all");
	return true;
}

static bool
is_map(const struct yaml_node *node)
{
	return node != NULL && node->kind == YAML_MAPPING;
}

static bool
parse_metadata(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	const struct yaml_node *tags = yaml_get(root, "tags");

	if (!parse_text(p, root, "id", &rule->id) ||
	    !parse_text(p, root, "title", &rule->title) ||
	    !parse_text(p, root, "name", &rule->name) ||
	    !parse_text(p, root, "status", &rule->status) ||
	    !parse_author(p, root, rule) || !parse_own(p, root, rule))
		return false;
	if (tags != NULL && !yaml_is_null(tags) &&
	    (tags->n > TAGS_MAX ||
		!parse_strings(p, tags, "tags", &rule->tags, &rule->n_tags)))
		return parse_fail(p, tags->line,
		    "\"tags\" must be a list of at most %d texts", TAGS_MAX);
	if (rule->title.len == 0)
		return parse_fail(p, rule->line,
		    "\"title\" is missing: add what it finds, in a few words");
	warn_keys(p, root);
	warn_id(p, root, rule);
	warn_status(p, root, rule->status);
	warn_dates(p, root);
	return parse_level(p, root, rule);
}

/* The rules of a correlation show their matches: at either place. */
static bool
parse_generate(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	const struct yaml_node *node = yaml_get(root, "generate");
	bool on;

	if (node == NULL)
		return true;
	if (!yaml_bool(node, &on))
		return parse_fail(p, node->line,
		    "\"generate\" must be true or false");
	rule->correlation->generate = rule->correlation->generate || on;
	return true;
}

bool
parse_rule(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule)
{
	const struct yaml_node *detection, *correlation, *filter;

	rule->line = root != NULL ? root->line : 1;
	if (!is_map(root))
		return parse_fail(p, rule->line,
		    "a rule must be a map of title, logsource, detection and "
		    "more");
	detection = yaml_get(root, "detection");
	correlation = yaml_get(root, "correlation");
	filter = yaml_get(root, "filter");
	if (!parse_metadata(p, root, rule))
		return false;
	/* elsewhere `correlation` is a remark in words */
	if (is_map(correlation)) {
		rule->kind = RULE_CORRELATION;
		return parse_correlation(p, correlation, rule) &&
		    parse_generate(p, root, rule);
	}
	if (is_map(filter) && detection == NULL) {
		rule->kind = RULE_FILTER;
		return parse_logsource(p, root, rule) &&
		    parse_filter(p, filter, rule);
	}
	rule->kind = RULE_DETECTION;
	if (detection == NULL)
		return parse_fail(p, rule->line,
		    "there is no \"detection\", \"correlation\" or "
		    "\"filter\": %s",
		    yaml_get(root, "action") != NULL
			? "\"action\" is of the old Sigma; write each rule in "
			  "full"
			: "add what it is sought by");
	return parse_logsource(p, root, rule) &&
	    parse_detection(p, detection, rule);
}
