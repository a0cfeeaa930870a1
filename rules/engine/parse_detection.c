/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

/* A keyword has no field; its key in a map is "|modifier". */
static bool
parse_keywords(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_map *map)
{
	static const struct yaml_node no_key = { .kind = YAML_SCALAR,
		.text = SLICE_INIT("") };
	struct yaml_node key = no_key;
	struct sigma_item *item = arena_alloc(p->arena, sizeof(*item));

	key.line = node->line;
	*map = (struct sigma_map){ item, 1 };
	return parse_item(p, &key, node, item);
}

static bool
parse_map(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_map *out)
{
	struct sigma_item *items;

	if (node->n == 0)
		return parse_fail(p, node->line,
		    "a selection is empty: give it fields, as Image: x");
	if (node->n > RULE_ITEMS_MAX)
		return parse_fail(p, node->line,
		    "a selection of %zu fields; at most %d are allowed: split "
		    "it",
		    node->n, RULE_ITEMS_MAX);
	items = arena_alloc(p->arena, node->n * sizeof(items[0]));
	for (size_t i = 0; i < node->n; i++)
		if (!parse_item(p, node->keys[i], node->items[i], &items[i]))
			return false;
	*out = (struct sigma_map){ items, (uint32_t)node->n };
	return true;
}

static bool
has_maps(const struct yaml_node *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i]->kind != YAML_SCALAR)
			return true;
	return false;
}

bool
parse_selection(struct rule_parser *p, struct slice name,
    const struct yaml_node *node, struct sigma_selection *out)
{
	bool list = node->kind == YAML_SEQUENCE && has_maps(node);
	size_t n = list ? node->n : 1;
	struct sigma_map *maps;

	if (node->kind == YAML_SEQUENCE &&
	    (node->n == 0 || (list && n > RULE_MAPS_MAX)))
		return parse_fail(p, node->line,
		    "selection \"%.*s\" must have 1 to %d parts",
		    SLICE_ARG(name), RULE_MAPS_MAX);
	if (node->kind == YAML_SCALAR && yaml_is_null(node))
		return parse_fail(p, node->line,
		    "selection \"%.*s\" is empty: give it fields or keywords",
		    SLICE_ARG(name));
	maps = arena_alloc(p->arena, n * sizeof(maps[0]));
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *one = list ? node->items[i] : node;

		if (list && one->kind == YAML_SEQUENCE)
			return parse_fail(p, one->line,
			    "selection \"%.*s\" has a list within a list: "
			    "make them one",
			    SLICE_ARG(name));
		if (one->kind == YAML_MAPPING
			? !parse_map(p, one, &maps[i])
			: !parse_keywords(p, one, &maps[i]))
			return false;
	}
	*out = (struct sigma_selection){
		.name = arena_copy(p->arena, name),
		.maps = maps,
		.n = (uint32_t)n,
		.line = node->line,
	};
	return true;
}

static void
warn_unused(struct rule_parser *p, const struct sigma_rule *rule)
{
	bool used[RULE_SELECTIONS_MAX] = { false };

	condition_mark(rule->condition, used);
	for (uint32_t i = 0; i < rule->n_selections; i++)
		if (!used[i])
			parse_warn(p, rule->selections[i].line,
			    "selection \"%.*s\" is not in the condition: name it "
			    "there, or leave it out",
			    SLICE_ARG(rule->selections[i].name));
}

static bool
is_selection(const struct sigma_rule *rule, const struct yaml_node *key)
{
	return !slice_eq(key->text, SLICE("condition")) &&
	    !slice_eq(key->text, SLICE("timeframe")) &&
	    (rule->filter == NULL || !slice_eq(key->text, SLICE("rules")));
}

static bool
parse_selections(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_rule *rule)
{
	struct sigma_selection *selections =
	    arena_alloc(p->arena, map->n * sizeof(selections[0]));

	for (size_t i = 0; i < map->n; i++) {
		if (!is_selection(rule, map->keys[i]))
			continue;
		if (rule->n_selections == RULE_SELECTIONS_MAX)
			return parse_fail(p, map->keys[i]->line,
			    "more than %d selections", RULE_SELECTIONS_MAX);
		if (!parse_selection(p, map->keys[i]->text, map->items[i],
			&selections[rule->n_selections]))
			return false;
		rule->n_selections++;
	}
	rule->selections = selections;
	if (rule->n_selections == 0)
		return parse_fail(p, map->line,
		    "there is no selection beside the condition: add one, as "
		    "selection: {Image: x}");
	return true;
}

bool
parse_detection(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_rule *rule)
{
	const char *what = rule->filter != NULL ? "filter" : "detection";
	const struct yaml_node *condition;
	struct condition_names names = { .what = "selection" };
	struct slice *texts;

	if (map->kind != YAML_MAPPING || map->n == 0)
		return parse_fail(p, map->line,
		    "\"%s\" must be a map of selections and a condition", what);
	condition = yaml_get(map, "condition");
	if (condition == NULL)
		return parse_fail(p, map->line,
		    "\"condition\" is missing in \"%s\": say which selections "
		    "must match, as condition: selection",
		    what);
	if (yaml_get(map, "timeframe") != NULL)
		parse_warn(p, map->line,
		    "\"timeframe\" means nothing without the old aggregation: "
		    "write a correlation rule");
	if (!parse_selections(p, map, rule))
		return false;
	texts = arena_alloc(p->arena, rule->n_selections * sizeof(texts[0]));
	for (uint32_t i = 0; i < rule->n_selections; i++)
		texts[i] = rule->selections[i].name;
	names.names = texts;
	names.n = rule->n_selections;
	if (!parse_condition(p, condition, &names, &rule->condition))
		return false;
	warn_unused(p, rule);
	return true;
}
