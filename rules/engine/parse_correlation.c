/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "parse.h"
#include "timestamp.h"

static const struct {
	const char *name;
	enum correlation_type type;
	bool temporal;
	bool field;
} types[] = {
	{ "event_count", CORRELATION_EVENT_COUNT, false, false },
	{ "value_count", CORRELATION_VALUE_COUNT, false, true },
	{ "temporal", CORRELATION_TEMPORAL, true, false },
	{ "temporal_ordered", CORRELATION_TEMPORAL_ORDERED, true, false },
	{ "value_sum", CORRELATION_VALUE_SUM, false, true },
	{ "value_avg", CORRELATION_VALUE_AVG, false, true },
	{ "value_percentile", CORRELATION_VALUE_PERCENTILE, false, true },
	{ "value_median", CORRELATION_VALUE_MEDIAN, false, true },
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

const char *
correlation_type_name(enum correlation_type type)
{
	for (size_t i = 0; i < N_TYPES; i++)
		if (types[i].type == type)
			return types[i].name;
	return "";
}

static bool
parse_type(struct rule_parser *p, const struct yaml_node *map, size_t *index)
{
	const struct yaml_node *type = yaml_get(map, "type");

	for (size_t i = 0; type != NULL && i < N_TYPES; i++) {
		if (slice_eq(type->text,
			(struct slice){ types[i].name,
			    strlen(types[i].name) })) {
			*index = i;
			return true;
		}
	}
	return parse_fail(p, type != NULL ? type->line : map->line,
	    "\"type\" of a correlation must be event_count, value_count, "
	    "temporal, temporal_ordered, value_sum, value_avg, "
	    "value_percentile or value_median");
}

/* ---- timespan ---------------------------------------------------------- */

static bool
parse_timespan(struct rule_parser *p, const struct yaml_node *map,
    int64_t *out_ns)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 604800 }, { 'M', 2629746 }, { 'y', 31556952 } };
	const struct yaml_node *node = yaml_get(map, "timespan");
	int64_t n = 0, seconds = 0;
	struct slice s;

	if (node == NULL || node->kind != YAML_SCALAR || node->text.len < 2 ||
	    node->text.len > 10)
		goto bad;
	s = node->text;
	for (size_t i = 0; i + 1 < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			goto bad;
		n = n * 10 + (s.ptr[i] - '0');
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == s.ptr[s.len - 1])
			seconds = n * units[i].seconds;
	/* ten years: below what int64_t nanoseconds hold twice */
	if (seconds <= 0 || seconds > 10 * units[6].seconds)
		goto bad;
	*out_ns = seconds * NS_PER_SEC;
	return true;
bad:
	return parse_fail(p, node != NULL ? node->line : map->line,
	    node == NULL
		? "\"timespan\" is missing: a number and a unit (s, "
		  "m, h, d, w, M, y), as 15m"
		: "\"timespan\" must be a number and a unit (s, m, h, d, w, M, y), "
		  "as 15m, and at most ten years");
}

/* ---- condition --------------------------------------------------------- */

static bool
parse_bound(struct rule_parser *p, const struct yaml_node *key,
    const struct yaml_node *value, struct sigma_correlation *c)
{
	static const char *const ops[] = { [OP_EQ] = "eq",
		[OP_NEQ] = "neq",
		[OP_GT] = "gt",
		[OP_GTE] = "gte",
		[OP_LT] = "lt",
		[OP_LTE] = "lte" };
	double number;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!slice_eq(key->text,
			(struct slice){ ops[i], strlen(ops[i]) }))
			continue;
		if (!yaml_double(value, &number) || !isfinite(number))
			return parse_fail(p, value->line,
			    "\"%s\" must be a number, as 10", ops[i]);
		if (c->n_bounds == 2)
			return parse_fail(p, key->line,
			    "a condition has one operator, or two as a range");
		c->bounds[c->n_bounds++] =
		    (struct correlation_bound){ (enum compare_op)i, number };
		return true;
	}
	return parse_fail(p, key->line,
	    "unknown key \"%.*s\" in the condition: gt, gte, lt, lte, eq, neq, "
	    "field and percentile are known",
	    (int)(key->text.len < 64 ? key->text.len : 64), key->text.ptr);
}

static bool
parse_fields(struct rule_parser *p, const struct yaml_node *node,
    const char *what, uint32_t most, const struct correlation_key **out,
    uint32_t *n_out)
{
	const struct slice *names;
	struct correlation_key *keys;
	uint32_t n;

	if (!parse_strings(p, node, what, &names, &n))
		return false;
	if (n == 0 || n > most)
		return parse_fail(p, node->line,
		    "\"%s\" must have 1 to %u fields", what, most);
	keys = arena_alloc(p->arena, n * sizeof(keys[0]));
	for (uint32_t i = 0; i < n; i++) {
		if (names[i].len == 0 || names[i].len > FIELD_NAME_MAX)
			return parse_fail(p, node->line,
			    "\"%s\": a field name has 1 to %d bytes", what,
			    FIELD_NAME_MAX);
		keys[i] = (struct correlation_key){ .name = names[i] };
	}
	*out = keys;
	*n_out = n;
	return true;
}

static bool
parse_condition_map(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_correlation *c)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->keys[i];
		const struct yaml_node *value = map->items[i];

		if (slice_eq(key->text, SLICE("field"))) {
			if (!parse_fields(p, value, "field", RULE_GROUP_BY_MAX,
				&c->values, &c->n_values))
				return false;
		} else if (slice_eq(key->text, SLICE("percentile"))) {
			if (!yaml_double(value, &c->percentile) ||
			    !(c->percentile >= 0 && c->percentile <= 100))
				return parse_fail(p, value->line,
				    "\"percentile\" must be a number from 0 "
				    "to 100");
		} else if (!parse_bound(p, key, value, c)) {
			return false;
		}
	}
	return true;
}

/* Names of rules that a textual condition uses, where `rules` has none. */
static bool
rules_from_condition(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_correlation *c)
{
	struct slice text = node->text;
	unsigned *lines =
	    arena_alloc(p->arena, RULE_REFERENCES_MAX * sizeof(lines[0]));
	struct slice *names =
	    arena_alloc(p->arena, RULE_REFERENCES_MAX * sizeof(names[0]));
	size_t at = 0;
	uint32_t n = 0;

	while (at < text.len) {
		size_t end = at;
		struct slice word;
		bool known = false;

		while (
		    end < text.len && strchr(" \t\n()", text.ptr[end]) == NULL)
			end++;
		word = (struct slice){ text.ptr + at, end - at };
		at = end + 1;
		if (word.len == 0 || slice_eq(word, SLICE("and")) ||
		    slice_eq(word, SLICE("or")) || slice_eq(word, SLICE("not")))
			continue;
		for (uint32_t i = 0; i < n; i++)
			known = known || slice_eq(names[i], word);
		if (known || n == RULE_REFERENCES_MAX)
			continue;
		lines[n] = node->line;
		names[n++] = arena_copy(p->arena, word);
	}
	c->rule_names = names;
	c->rule_lines = lines;
	c->n_rules = n;
	return n > 0;
}

/* a and b and c */
static bool
is_and_only(const struct sigma_node *n)
{
	if (n->kind == NODE_LEAF)
		return true;
	for (uint32_t i = 0; i < n->n; i++)
		if (!is_and_only(n->children[i]))
			return false;
	return n->kind == NODE_AND;
}

/* There is an order of rules only where all of them are wanted. */
static bool
drop_ordered(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_correlation *c)
{
	if (c->type != CORRELATION_TEMPORAL_ORDERED)
		return true;
	if (!is_and_only(c->extended))
		return parse_fail(p, node->line,
		    "the condition of \"temporal_ordered\" joins rules by "
		    "\"and\" only: they match in the order listed; \"temporal\" "
		    "takes any condition");
	c->extended = NULL;
	return true;
}

static bool
parse_extended(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_correlation *c)
{
	bool used[RULE_REFERENCES_MAX] = { false };
	struct condition_names names = { .what = "rule" };

	if (c->n_rules == 0 && !rules_from_condition(p, node, c))
		return parse_fail(p, node->line, "the condition names no rule");
	names.names = c->rule_names;
	names.n = c->n_rules;
	if (!parse_condition(p, node, &names, &c->extended))
		return false;
	condition_mark(c->extended, used);
	for (uint32_t i = 0; i < c->n_rules; i++)
		if (!used[i])
			return parse_fail(p, node->line,
			    "rule \"%.*s\" is listed but not in the condition: name "
			    "it there, or take it out",
			    SLICE_ARG(c->rule_names[i]));
	return drop_ordered(p, node, c);
}

static bool
is_temporal(enum correlation_type type)
{
	return type == CORRELATION_TEMPORAL ||
	    type == CORRELATION_TEMPORAL_ORDERED;
}

/* What no count is, or each. */
static void
warn_count(struct rule_parser *p, const struct yaml_node *node,
    const struct sigma_correlation *c)
{
	double most =
	    is_temporal(c->type) ? (double)c->n_rules : (double)INFINITY;
	double low = 0, high = most;
	bool any = true;

	for (uint32_t i = 0; i < c->n_bounds; i++) {
		double value = c->bounds[i].value;
		enum compare_op op = c->bounds[i].op;

		if (op == OP_GT || op == OP_GTE || op == OP_EQ)
			low = fmax(low,
			    op == OP_GT ? floor(value) + 1 : ceil(value));
		if (op == OP_LT || op == OP_LTE || op == OP_EQ)
			high = fmin(high,
			    op == OP_LT ? ceil(value) - 1 : floor(value));
		any = any && op != OP_NEQ;
	}
	if (low > high && is_temporal(c->type))
		parse_warn(p, node->line,
		    "the condition never holds: a number of rules is a whole "
		    "one, and %u are listed",
		    c->n_rules);
	else if (low > high)
		parse_warn(p, node->line,
		    "the condition never holds: a count is a whole number, 0 or "
		    "more");
	else if (any && low <= 0 && high >= most)
		parse_warn(p, node->line,
		    "the condition always holds: no event is needed for it; "
		    "gte: 1 is any");
}

/* A range that nothing is in. */
static void
warn_never(struct rule_parser *p, const struct yaml_node *node,
    const struct sigma_correlation *c)
{
	double least = -INFINITY, most = INFINITY;

	for (uint32_t i = 0; i < c->n_bounds; i++) {
		enum compare_op op = c->bounds[i].op;

		if (op == OP_GT || op == OP_GTE || op == OP_EQ)
			least = fmax(least, c->bounds[i].value);
		if (op == OP_LT || op == OP_LTE || op == OP_EQ)
			most = fmin(most, c->bounds[i].value);
	}
	if (least > most)
		parse_warn(p, node->line,
		    "the condition never holds: nothing is above %g and below "
		    "%g",
		    least, most);
	else if (c->type == CORRELATION_EVENT_COUNT ||
	    c->type == CORRELATION_VALUE_COUNT || is_temporal(c->type))
		warn_count(p, node, c);
}

static bool
parse_conditions(struct rule_parser *p, const struct yaml_node *map,
    size_t type, struct sigma_correlation *c)
{
	const struct yaml_node *node = yaml_get(map, "condition");
	bool percentile = c->type == CORRELATION_VALUE_PERCENTILE;

	c->percentile = -1;
	if (node == NULL) {
		if (!types[type].temporal)
			return parse_fail(p, map->line,
			    "\"condition\" is missing: as {gte: 10}");
		c->percentile = 0;
		return true;
	}
	if (node->kind == YAML_SCALAR && types[type].temporal) {
		c->percentile = 0;
		return parse_extended(p, node, c);
	}
	if (node->kind != YAML_MAPPING)
		return parse_fail(p, node->line,
		    "the condition of \"%s\" must be a map, as {gte: 10}",
		    types[type].name);
	if (!parse_condition_map(p, node, c))
		return false;
	if (c->n_bounds == 0)
		return parse_fail(p, node->line,
		    "the condition has no operator: gt, gte, lt, lte, eq, neq");
	warn_never(p, node, c);
	if (types[type].field != (c->n_values > 0))
		return parse_fail(p, node->line,
		    types[type].field
			? "\"%s\" needs \"field\" in its condition, as {gte: "
			  "10, field: user.name}"
			: "\"%s\" takes no \"field\": leave it out",
		    types[type].name);
	if (c->n_values > 1 && c->type != CORRELATION_VALUE_COUNT)
		return parse_fail(p, node->line, "\"%s\" takes one field",
		    types[type].name);
	if (percentile != (c->percentile >= 0))
		return parse_fail(p, node->line,
		    percentile ? "\"value_percentile\" needs \"percentile\" "
				 "beside \"field\", as percentile: 95"
			       : "\"percentile\" belongs to "
				 "\"value_percentile\" only");
	if (c->percentile < 0)
		c->percentile = 0;
	return true;
}

/* ---- the rest ---------------------------------------------------------- */

static bool
parse_aliases(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_correlation *c)
{
	struct correlation_alias *aliases;
	size_t n = 0;

	if (map->kind != YAML_MAPPING)
		goto bad;
	for (size_t i = 0; i < map->n; i++) {
		if (map->items[i]->kind != YAML_MAPPING)
			goto bad;
		n += map->items[i]->n;
	}
	if (n > (size_t)RULE_REFERENCES_MAX * RULE_GROUP_BY_MAX)
		return parse_fail(p, map->line, "more than %d aliases",
		    RULE_REFERENCES_MAX * RULE_GROUP_BY_MAX);
	aliases = arena_alloc(p->arena, (n + 1) * sizeof(aliases[0]));
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *inner = map->items[i];

		for (size_t k = 0; k < inner->n; k++) {
			if (inner->items[k]->kind != YAML_SCALAR)
				goto bad;
			aliases[c->n_aliases++] = (struct correlation_alias){
				arena_copy(p->arena, map->keys[i]->text),
				arena_copy(p->arena, inner->keys[k]->text),
				arena_copy(p->arena, inner->items[k]->text),
				inner->keys[k]->line,
			};
		}
	}
	c->aliases = aliases;
	return true;
bad:
	return parse_fail(p, map->line,
	    "\"aliases\" must be a map: alias: {rule: field}");
}

static bool
parse_references(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_correlation *c)
{
	const struct yaml_node *rules = yaml_get(map, "rules");
	const struct yaml_node *condition = yaml_get(map, "condition");

	if (rules == NULL) {
		/* an extended condition may be all there is */
		if (condition != NULL && condition->kind == YAML_SCALAR)
			return true;
		return parse_fail(p, map->line,
		    "\"rules\" is missing: the rules to correlate, by name or "
		    "id");
	}
	if (!parse_strings(p, rules, "rules", &c->rule_names, &c->n_rules))
		return false;
	c->rule_lines = parse_lines(p, rules);
	if (c->n_rules == 0 || c->n_rules > RULE_REFERENCES_MAX)
		return parse_fail(p, rules->line,
		    "\"rules\" must name 1 to %d rules", RULE_REFERENCES_MAX);
	for (uint32_t i = 0; i < c->n_rules; i++)
		for (uint32_t k = 0; k < i; k++)
			if (slice_eq(c->rule_names[i], c->rule_names[k]))
				return parse_fail(p, rules->line,
				    "rule \"%.*s\" is listed twice",
				    SLICE_ARG(c->rule_names[i]));
	return true;
}

bool
parse_correlation(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_rule *rule)
{
	static const struct slice known[] = { SLICE_INIT("type"),
		SLICE_INIT("rules"), SLICE_INIT("group-by"),
		SLICE_INIT("group_by"), SLICE_INIT("timespan"),
		SLICE_INIT("condition"), SLICE_INIT("aliases"),
		SLICE_INIT("generate") };
	struct sigma_correlation *c = arena_alloc(p->arena, sizeof(*c));
	const struct yaml_node *node;
	size_t type = 0;

	*c = (struct sigma_correlation){ .n_rules = 0 };
	rule->correlation = c;
	if (!parse_type(p, map, &type))
		return false;
	warn_unknown(p, map, "correlation", known,
	    sizeof(known) / sizeof(known[0]));
	c->type = types[type].type;
	if (!parse_references(p, map, c) ||
	    !parse_timespan(p, map, &c->timespan_ns) ||
	    !parse_conditions(p, map, type, c))
		return false;
	if (is_temporal(c->type) && c->n_rules > RULE_TEMPORAL_MAX)
		return parse_fail(p, map->line,
		    "a temporal correlation of %u rules; at most %d are "
		    "allowed: correlate some of them first, and those "
		    "correlations then",
		    c->n_rules, RULE_TEMPORAL_MAX);
	node = yaml_get(map, "group-by");
	if (node == NULL)
		node = yaml_get(map, "group_by");
	if (node != NULL && !yaml_is_null(node) &&
	    !(node->kind == YAML_SEQUENCE && node->n == 0) &&
	    !parse_fields(p, node, "group-by", RULE_GROUP_BY_MAX, &c->group_by,
		&c->n_group_by))
		return false;
	node = yaml_get(map, "aliases");
	if (node != NULL && !parse_aliases(p, node, c))
		return false;
	node = yaml_get(map, "generate");
	if (node != NULL && !yaml_bool(node, &c->generate))
		return parse_fail(p, node->line,
		    "\"generate\" must be true or false");
	return true;
}
