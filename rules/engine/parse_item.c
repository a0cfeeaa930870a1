/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a selection: "Field|modifier|modifier: value or values". */
#include <math.h>

#include "parse_modifier.h"
#include "pattern.h"
#include "utf8.h"

enum { MODIFIERS_MAX = 16, NUMBER_BYTES = 32 };

struct item_key {
	const struct modifier *chain[MODIFIERS_MAX];
	uint32_t n;
};

static bool
find_modifier(struct rule_parser *p, unsigned line, struct slice name,
    struct item_key *key)
{
	const struct modifier *m = modifier_find(name);
	struct slice near;

	if (m != NULL && key->n == MODIFIERS_MAX)
		return parse_fail(p, line,
		    "more than %d modifiers on one field", MODIFIERS_MAX);
	if (m != NULL) {
		key->chain[key->n++] = m;
		return true;
	}
	near = modifier_near(name);
	if (near.len > 0)
		return parse_fail(p, line,
		    "unknown modifier \"%.*s\": is \"%.*s\" meant?",
		    (int)(name.len < 64 ? name.len : 64), name.ptr,
		    SLICE_ARG(near));
	return parse_fail(p, line,
	    "unknown modifier \"%.*s\": Sigma 2.1.0 has contains, startswith, "
	    "endswith, all, exists, cased, neq, re, cidr, windash, wide, "
	    "utf16*, base64*, lt, lte, gt, gte, minute ... year, expand and "
	    "fieldref",
	    (int)(name.len < 64 ? name.len : 64), name.ptr);
}

static bool
parse_key(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_item *item, struct item_key *key)
{
	struct slice rest = node->text;
	bool first = true;

	item->line = node->line;
	for (;;) {
		const char *bar =
		    rest.len == 0 ? NULL : memchr(rest.ptr, '|', rest.len);
		struct slice part = { rest.ptr,
			bar != NULL ? (size_t)(bar - rest.ptr) : rest.len };

		if (first)
			item->field = arena_copy(p->arena, part);
		else if (slice_eq(part, SLICE("all")))
			item->all = true;
		else if (slice_eq(part, SLICE("neq")))
			item->negated = true;
		else if (!find_modifier(p, node->line, part, key))
			return false;
		first = false;
		if (bar == NULL)
			break;
		rest = (struct slice){ bar + 1, rest.len - part.len - 1 };
	}
	if (item->field.len > FIELD_NAME_MAX)
		return parse_fail(p, node->line,
		    "field name of %zu bytes; at most %d are allowed",
		    item->field.len, FIELD_NAME_MAX);
	return true;
}

/* The scalar as the text it is compared as. */
static struct pattern
scalar_pattern(struct rule_parser *p, const struct yaml_node *node)
{
	struct buf b;
	int64_t number;
	struct pattern made;

	if (!node->plain || !yaml_int(node, &number))
		return pattern_parse(p->arena, node->text);
	/* 0x1F, +5 and 007 are numbers: compared as they print */
	buf_init(&b, NUMBER_BYTES);
	(void)buf_printf(&b, "%lld", (long long)number);
	made = pattern_plain(p->arena, buf_slice(&b));
	buf_fini(&b);
	return made;
}

/* As a field's value 1.50 is also what an event's number prints as, and 0x1F
 * and 007 are also the texts. */
static void
add_number(struct chain *c, struct pattern *second)
{
	struct slice text = c->node->text;
	double number;
	int64_t whole;
	struct buf b;

	if (!yaml_double(c->node, &number) || !isfinite(number))
		return;
	buf_init(&b, NUMBER_BYTES);
	if (yaml_int(c->node, &whole))
		(void)buf_printf(&b, "%lld", (long long)whole);
	else
		(void)buf_printf(&b, "%.15g", number);
	if (!slice_eq(buf_slice(&b), text)) {
		*second = pattern_plain(c->p->arena,
		    yaml_int(c->node, &whole) ? text : buf_slice(&b));
		c->n = 2;
	}
	buf_fini(&b);
}

static bool
finish_value(struct chain *c, struct sigma_value *out)
{
	struct rule_parser *p = c->p;
	bool text = c->stage == STAGE_TEXT || c->stage == STAGE_BYTES;
	uint32_t n = text ? c->n : 1;
	struct sigma_match *matches;

	p->n_matches += n;
	if (p->n_matches > RULE_MATCHES_MAX)
		return parse_fail(p, c->line,
		    "the rule has more than %d alternatives: split it",
		    RULE_MATCHES_MAX);
	p->n_bytes += (uint64_t)n * c->node->text.len;
	if (p->n_bytes > RULE_MATCH_BYTES)
		return parse_fail(p, c->line,
		    "the rule's alternatives have more than %d bytes: split it",
		    RULE_MATCH_BYTES);
	matches = arena_alloc(p->arena, n * sizeof(matches[0]));
	for (uint32_t i = 0; i < n; i++) {
		struct slice plain;

		matches[i] = c->other;
		matches[i].cased = c->cased;
		if (!text)
			continue;
		matches[i].kind = MATCH_PATTERN;
		matches[i].pattern = c->variants[i];
		if (c->stage == STAGE_BYTES &&
		    pattern_is_plain(&c->variants[i], &plain) &&
		    !utf8_valid(plain))
			return chain_fail(c, "utf16",
			    "the encoded value is not text: put base64offset "
			    "behind it");
	}
	*out = (struct sigma_value){ matches, n };
	return true;
}

static bool
parse_value(struct rule_parser *p, const struct yaml_node *node,
    const struct sigma_item *item, const struct item_key *key,
    struct sigma_value *out)
{
	struct pattern *first = arena_alloc(p->arena, 2 * sizeof(*first));
	struct chain c = {
		.p = p,
		.node = node,
		.line = node->line,
		.keyword = item->field.len == 0,
		.stage = STAGE_TEXT,
		.variants = first,
		.n = 1,
	};

	if (node->kind != YAML_SCALAR)
		return parse_fail(p, node->line,
		    "a value must be text, a number, a boolean or null: make "
		    "lists within lists one, write maps as fields");
	if (node->text.len > RULE_VALUE_BYTES)
		return parse_fail(p, node->line,
		    "value of %zu bytes; at most %d are allowed",
		    node->text.len, RULE_VALUE_BYTES);
	if (!utf8_valid(node->text))
		return parse_fail(p, node->line, "the value is not UTF-8");
	if (yaml_is_null(node)) {
		if (c.keyword || key->n > 0)
			return parse_fail(p, node->line,
			    "null can only be the value of a field without "
			    "modifiers; '' is the empty text");
		c.stage = STAGE_OTHER;
		c.other.kind = MATCH_NULL;
		return finish_value(&c, out);
	}
	*first = scalar_pattern(p, node);
	if (key->n == 0 && !c.keyword)
		add_number(&c, first + 1);
	for (uint32_t i = 0; i < key->n; i++)
		if (!key->chain[i]->apply(&c, key->chain[i]->argument))
			return false;
	if (c.keyword && c.stage == STAGE_TEXT && !c.anchored)
		(void)apply_open(&c, AT_START | AT_END);
	if (!chain_check_regex(&c))
		return false;
	return finish_value(&c, out);
}

bool
parse_item(struct rule_parser *p, const struct yaml_node *key,
    const struct yaml_node *value, struct sigma_item *out)
{
	struct item_key modifiers_of = { .n = 0 };
	bool list = value->kind == YAML_SEQUENCE;
	uint32_t n = list ? (uint32_t)value->n : 1;
	struct sigma_value *values;

	*out = (struct sigma_item){ .n = n };
	if (!parse_key(p, key, out, &modifiers_of))
		return false;
	if (value->kind == YAML_MAPPING)
		return parse_fail(p, value->line,
		    "field \"%.*s\" has a map as its value: a dotted name "
		    "reaches into nested fields, as %.*s.name",
		    SLICE_ARG(out->field), SLICE_ARG(out->field));
	if (n == 0)
		return parse_fail(p, value->line,
		    "field \"%.*s\" has an empty list of values: give it one, "
		    "or null where the field must be missing",
		    SLICE_ARG(out->field));
	if (value->n > RULE_VALUES_MAX)
		return parse_fail(p, value->line,
		    "field \"%.*s\" has %zu values; at most %d are allowed: split "
		    "the list",
		    SLICE_ARG(out->field), value->n, RULE_VALUES_MAX);
	if (out->all && n == 1)
		parse_warn(p, key->line,
		    "modifier \"all\" on a single value means nothing: leave "
		    "it out, or give more values");
	values = arena_alloc(p->arena, n * sizeof(values[0]));
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *one = list ? value->items[i] : value;

		if (list && n > 1 && one->kind == YAML_SCALAR &&
		    yaml_is_null(one))
			return parse_fail(p, one->line,
			    "null cannot be one of several values: write "
			    "`field: null` in a selection of its own");
		if (!parse_value(p, one, out, &modifiers_of, &values[i]))
			return false;
	}
	out->values = values;
	return true;
}
