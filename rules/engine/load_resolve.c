/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that speak of other rules: filters, doubles, correlations. */
#include <stdio.h>
#include <stdlib.h>

#include "compile.h"
#include "ruleset.h"
#include "xalloc.h"

/* Ids compare without case, names with. */
static struct slice
lower(struct arena *arena, struct slice s)
{
	char *out = arena_alloc(arena, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		out[i] = ascii_lower(s.ptr[i]);
	return (struct slice){ out, s.len };
}

struct names {
	struct byte_map ids;
	struct byte_map names;
};

/* The rule of an id or name, or NULL. */
static struct loading_rule *
find(struct loader *l, struct names *n, struct slice reference)
{
	bool is_new;
	uint32_t *at =
	    byte_map_at(&n->ids, lower(l->syntax, reference), &is_new);

	if (*at == 0)
		at = byte_map_at(&n->names, reference, &is_new);
	return *at == 0 ? NULL : l->rules[*at - 1];
}

static void
take_name(struct loader *l, struct byte_map *map, struct slice key, uint32_t i,
    const char *what)
{
	struct loading_rule *r = l->rules[i], *other;
	bool is_new;
	uint32_t *at;

	if (key.len == 0 || r->refused)
		return;
	at = byte_map_at(map, key, &is_new);
	if (*at == 0) {
		*at = i + 1;
		return;
	}
	other = l->rules[*at - 1];
	loader_refuse(l, r, 0,
	    "the %s \"%.*s\" is taken by %s:%u: give each rule its own", what,
	    SLICE_ARG(key), other->rule.file, other->rule.line);
}

static void
collect_names(struct loader *l, struct names *n)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct sigma_rule *r = &l->rules[i]->rule;

		take_name(l, &n->ids, lower(l->syntax, r->id), i, "id");
		take_name(l, &n->names, r->name, i, "name");
	}
}

/* ---- filters ----------------------------------------------------------- */

static bool
part_fits(struct slice filter, struct slice rule)
{
	return filter.len == 0 || slice_eq(filter, rule);
}

static const struct sigma_node *
shift(struct arena *arena, const struct sigma_node *n, uint32_t by)
{
	struct sigma_node *copy = arena_alloc(arena, sizeof(*copy));
	const struct sigma_node **children =
	    arena_alloc(arena, (n->n + 1) * sizeof(void *));

	*copy = *n;
	if (n->kind == NODE_LEAF)
		copy->index += by;
	for (uint32_t i = 0; i < n->n; i++)
		children[i] = shift(arena, n->children[i], by);
	copy->children = children;
	return copy;
}

/* (rule condition) and (filter condition) */
static void
narrow(struct loader *l, struct sigma_rule *r, const struct sigma_rule *f)
{
	uint32_t n = r->n_selections + f->n_selections;
	struct sigma_selection *all =
	    arena_alloc(l->syntax, (n + 1) * sizeof(all[0]));
	struct sigma_node *both = arena_alloc(l->syntax, sizeof(*both));
	const struct sigma_node **children =
	    arena_alloc(l->syntax, 2 * sizeof(void *));

	memcpy(all, r->selections, r->n_selections * sizeof(all[0]));
	memcpy(all + r->n_selections, f->selections,
	    f->n_selections * sizeof(all[0]));
	children[0] = r->condition;
	children[1] = shift(l->syntax, f->condition, r->n_selections);
	*both = (struct sigma_node){ NODE_AND, 0, children, 2 };
	r->selections = all;
	r->n_selections = n;
	r->condition = both;
}

static bool
names_rule(const struct sigma_filter *f, const struct sigma_rule *r)
{
	for (uint32_t i = 0; i < f->n_rules; i++) {
		struct slice s = f->rule_names[i];

		if ((r->name.len > 0 && slice_eq(s, r->name)) ||
		    (s.len == r->id.len && s.len > 0 &&
			strncasecmp(s.ptr, r->id.ptr, s.len) == 0))
			return true;
	}
	return false;
}

/* A name of the filter that none of the rules it can narrow has. */
static void
report_useless(struct loader *l, const struct loading_rule *filter, uint32_t i,
    const struct loading_rule *named)
{
	const struct sigma_filter *f = filter->rule.filter;
	char message[512];

	if (named == NULL)
		(void)snprintf(message, sizeof(message),
		    "the filter names the rule \"%.*s\", which is not loaded: "
		    "mend the name, or load it too",
		    SLICE_ARG(f->rule_names[i]));
	else
		(void)snprintf(message, sizeof(message),
		    "the filter names the correlation \"%.*s\", which no "
		    "filter narrows: name the rules that it counts",
		    SLICE_ARG(f->rule_names[i]));
	loader_report(l, filter, f->rule_lines[i], RULE_WARNING, message);
}

static void
apply_filter(struct loader *l, struct names *n, struct loading_rule *filter)
{
	const struct sigma_rule *f = &filter->rule;

	for (uint32_t i = 0; !f->filter->any_rule && i < f->filter->n_rules;
	     i++) {
		const struct loading_rule *named =
		    find(l, n, f->filter->rule_names[i]);

		if (named == NULL || named->rule.kind == RULE_CORRELATION)
			report_useless(l, filter, i, named);
	}
	for (uint32_t i = 0; i < l->n; i++) {
		struct sigma_rule *r = &l->rules[i]->rule;

		if (l->rules[i]->refused || r->kind != RULE_DETECTION ||
		    !part_fits(f->logsource.product, r->logsource.product) ||
		    !part_fits(f->logsource.category, r->logsource.category) ||
		    !part_fits(f->logsource.service, r->logsource.service) ||
		    (!f->filter->any_rule && !names_rule(f->filter, r)))
			continue;
		if (loader_charge(l, l->rules[i],
			filter->work + r->n_selections))
			narrow(l, r, f);
	}
}

/* ---- correlations ------------------------------------------------------ */

static bool resolve(struct loader *l, struct names *n, struct loading_rule *r);

static bool
resolve_reference(struct loader *l, struct names *n, struct loading_rule *r,
    uint32_t i)
{
	struct slice name = r->rule.correlation->rule_names[i];
	unsigned line = r->rule.correlation->rule_lines[i];
	struct loading_rule *to = find(l, n, name);

	if (to == NULL || to->rule.kind == RULE_FILTER) {
		loader_refuse(l, r, line,
		    "the rule \"%.*s\" is not there: load it too, or mend the "
		    "name",
		    SLICE_ARG(name));
		return false;
	}
	if (to->visit == 1) {
		loader_refuse(l, r, line,
		    "it refers to itself through \"%.*s\": correlations must "
		    "not make a circle",
		    SLICE_ARG(name));
		return false;
	}
	if (to->refused || !resolve(l, n, to)) {
		loader_refuse(l, r, line,
		    "the rule \"%.*s\" was refused: mend that one first",
		    SLICE_ARG(name));
		return false;
	}
	if (to->height >= r->height)
		r->height = (uint8_t)(to->height + 1);
	if (r->height > RULE_CHAIN_MAX) {
		loader_refuse(l, r, line,
		    "more than %d correlations above each other",
		    RULE_CHAIN_MAX);
		return false;
	}
	return true;
}

static bool
same_twice(struct loader *l, struct names *n, struct loading_rule *r)
{
	const struct sigma_correlation *c = r->rule.correlation;

	for (uint32_t i = 0; i < c->n_rules; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (find(l, n, c->rule_names[i]) !=
			    find(l, n, c->rule_names[k]))
				continue;
			loader_refuse(l, r, c->rule_lines[i],
			    "\"%.*s\" and \"%.*s\" are the same rule",
			    SLICE_ARG(c->rule_names[k]),
			    SLICE_ARG(c->rule_names[i]));
			return true;
		}
	}
	return false;
}

/* Whether the rule, and all below it, is sound. */
static bool
resolve(struct loader *l, struct names *n, struct loading_rule *r)
{
	const struct sigma_correlation *c = r->rule.correlation;

	if (r->rule.kind != RULE_CORRELATION || r->visit == 2)
		return !r->refused;
	r->visit = 1;
	for (uint32_t i = 0; i < c->n_rules && !r->refused; i++)
		(void)resolve_reference(l, n, r, i);
	for (uint32_t i = 0; i < c->n_aliases && !r->refused; i++) {
		if (find(l, n, c->aliases[i].rule) == NULL)
			loader_refuse(l, r, c->aliases[i].line,
			    "the alias \"%.*s\" names the rule \"%.*s\", "
			    "which is not there: mend the name, or list it "
			    "under \"rules\"",
			    SLICE_ARG(c->aliases[i].alias),
			    SLICE_ARG(c->aliases[i].rule));
	}
	r->visit = 2;
	return !r->refused && !same_twice(l, n, r);
}

static void
set_indices(struct loader *l, struct names *n)
{
	struct ruleset *rs = l->set;

	for (uint32_t i = 0; i < l->n; i++)
		if (!l->rules[i]->refused &&
		    l->rules[i]->rule.kind != RULE_FILTER)
			l->rules[i]->index = rs->n++;
	for (uint32_t i = 0; i < l->n; i++) {
		struct sigma_correlation *c = l->rules[i]->rule.correlation;
		uint32_t *rules;

		if (l->rules[i]->refused || c == NULL)
			continue;
		rules =
		    arena_alloc(l->syntax, (c->n_rules + 1) * sizeof(rules[0]));
		for (uint32_t k = 0; k < c->n_rules; k++)
			rules[k] = find(l, n, c->rule_names[k])->index;
		c->rules = rules;
	}
}

void
loader_resolve(struct loader *l)
{
	struct names n = { 0 };

	collect_names(l, &n);
	for (uint32_t i = 0; i < l->n; i++)
		if (l->rules[i]->rule.kind == RULE_FILTER &&
		    !l->rules[i]->refused)
			apply_filter(l, &n, l->rules[i]);
	for (uint32_t i = 0; i < l->n; i++)
		(void)resolve(l, &n, l->rules[i]);
	set_indices(l, &n);
	byte_map_fini(&n.ids);
	byte_map_fini(&n.names);
}
