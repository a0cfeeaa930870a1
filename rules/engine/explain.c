/* SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "explain_engine.h"
#include "pattern.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 1 << 16, TEXT_MAX = 1 << 20, V4_BITS = 96 };

static const char *const operators[] = { "=", "!=", ">", ">=", "<", "<=" };

static struct explanation *
make(struct explainer *x, enum explain_kind kind, uint32_t n_children)
{
	struct explanation *e = arena_alloc(x->now, sizeof(*e));

	*e = (struct explanation){ .kind = kind,
		.name = SLICE(""),
		.definition = SLICE(""),
		.group = SLICE(""),
		.counted = SLICE(""),
		.missing = SLICE("") };
	if (n_children > 0)
		e->children = arena_alloc(x->now, n_children * sizeof(void *));
	return e;
}

static void
add_child(struct explanation *e, const struct explanation *child)
{
	/* ours until it is handed out */
	((const struct explanation **)(uintptr_t)e->children)[e->n++] = child;
}

/* ---- comparisons, as text ---------------------------------------------- */

static void
pattern_text(struct buf *out, const struct pattern *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		const struct pattern_part *part = &p->parts[i];

		if (part->kind != PART_TEXT)
			(void)buf_add_char(out,
			    part->kind == PART_ANY ? '*' : '?');
		for (size_t k = 0;
		     part->kind == PART_TEXT && k < part->text.len; k++) {
			if (strchr("*?", part->text.ptr[k]) != NULL &&
			    part->text.ptr[k] != '\0')
				(void)buf_add_char(out, '\\');
			(void)buf_add_char(out, part->text.ptr[k]);
		}
	}
}

static void
cidr_text(struct buf *out, const struct sigma_match *m)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = m->prefix >= V4_BITS &&
	    memcmp(m->address, mapped, sizeof(mapped)) == 0;

	(void)inet_ntop(v4 ? AF_INET : AF_INET6,
	    m->address + (v4 ? sizeof(mapped) : 0), text, sizeof(text));
	(void)buf_printf(out, "%s/%d", text, m->prefix - (v4 ? V4_BITS : 0));
}

static const char *
match_text(struct buf *out, const struct sigma_match *m)
{
	static const char *const parts[] = { "minute", "hour", "day", "week",
		"month", "year" };

	switch (m->kind) {
	case MATCH_PATTERN:
		pattern_text(out, &m->pattern);
		return "text";
	case MATCH_REGEX:
		(void)buf_printf(out, "/%.*s/%s%s%s", SLICE_ARG(m->text),
		    (m->flags & REGEX_CASELESS) != 0 ? "i" : "",
		    (m->flags & REGEX_MULTILINE) != 0 ? "m" : "",
		    (m->flags & REGEX_DOTALL) != 0 ? "s" : "");
		return "regex";
	case MATCH_CIDR:
		cidr_text(out, m);
		return "cidr";
	case MATCH_NUMBER:
		(void)buf_printf(out, "%s %.15g", operators[m->op], m->number);
		return "number";
	case MATCH_TIME:
		(void)buf_printf(out, "%s %s %.15g", parts[m->part],
		    operators[m->op], m->number);
		return "time";
	case MATCH_NULL:
		(void)buf_add_str(out, "null");
		return "null";
	case MATCH_EXISTS:
		(void)buf_add_str(out,
		    m->exists ? "the field is there"
			      : "the field is not there");
		return "exists";
	case MATCH_FIELD:
		(void)buf_printf(out, "%svalue of %.*s%s",
		    (m->flags & OPEN_START) != 0 ? "* " : "",
		    SLICE_ARG(m->text), (m->flags & OPEN_END) != 0 ? " *" : "");
		return "field";
	}
	return "text";
}

/* ---- comparisons ------------------------------------------------------- */

/* Whether `b` stands in `a` where the flags let it. */
static bool
holds_other(uint8_t flags, struct slice a, struct slice b)
{
	for (size_t at = 0; at + b.len <= a.len; at++) {
		if ((at > 0 && (flags & OPEN_START) == 0) ||
		    (at + b.len < a.len && (flags & OPEN_END) == 0))
			continue;
		if (slice_eq((struct slice){ a.ptr + at, b.len }, b))
			return true;
	}
	return false;
}

static bool
equals_field(struct explainer *x, const struct sigma_match *m, struct ref *r)
{
	struct explain_field *other = explain_field(x, m->text);
	struct slice own =
	    m->cased ? ref_raw(&x->values, r) : ref_folded(&x->values, r);

	for (uint32_t i = 0; i < other->n; i++) {
		struct ref *o = &other->refs[i];

		if (holds_other(m->flags, own,
			m->cased ? ref_raw(&x->values, o)
				 : ref_folded(&x->values, o)))
			return true;
	}
	return false;
}

/* The value that the comparison holds for: an index in f->refs, or n. */
static uint32_t
find_value(struct explainer *x, const struct sigma_match *m,
    struct explain_field *f)
{
	struct atom a = { .match = *m };
	uint32_t i;

	if (m->kind == MATCH_PATTERN && !m->cased)
		a.match.pattern = pattern_fold(x->now, m->pattern);
	if (m->kind == MATCH_REGEX && f->n > 0)
		a.code = regex_compile(m->text, m->flags);
	for (i = 0; i < f->n; i++)
		if (m->kind == MATCH_FIELD
			? equals_field(x, m, &f->refs[i])
			: match_value(&x->values, &a, &f->refs[i]))
			break;
	pcre2_code_free(a.code);
	return i;
}

static bool
holds(struct explainer *x, const struct sigma_match *m, struct explain_field *f,
    uint32_t *by)
{
	*by = UINT32_MAX;
	if (m->kind == MATCH_EXISTS)
		return f->present == m->exists;
	if (m->kind == MATCH_NULL)
		return f->n == 0;
	*by = find_value(x, m, f);
	return *by < f->n;
}

static struct explain_pattern
explain_value(struct explainer *x, const struct sigma_value *v,
    struct explain_field *f)
{
	struct explain_pattern p = { .variants = v->n, .by = UINT32_MAX };
	const struct sigma_match *shown = &v->matches[0];
	struct buf text;

	for (uint32_t i = 0; i < v->n && !p.hit; i++) {
		p.hit = holds(x, &v->matches[i], f, &p.by);
		if (p.hit)
			shown = &v->matches[i];
	}
	if (!p.hit)
		p.by = UINT32_MAX;
	buf_init(&text, TEXT_MAX);
	p.kind = match_text(&text, shown);
	p.cased = shown->cased;
	p.text = arena_copy(x->now, buf_slice(&text));
	buf_fini(&text);
	return p;
}

/* ---- selections -------------------------------------------------------- */

static const struct explanation *
explain_item(struct explainer *x, const struct sigma_item *item)
{
	struct explanation *e = make(x, EXPLAIN_ITEM, 0);
	struct explain_field *f = explain_field(x, item->field);
	struct explain_pattern *patterns =
	    arena_alloc(x->now, (item->n + 1) * sizeof(patterns[0]));
	uint32_t hits = 0;

	for (uint32_t i = 0; i < item->n; i++) {
		patterns[i] = explain_value(x, &item->values[i], f);
		hits += patterns[i].hit ? 1 : 0;
	}
	e->name = item->field;
	e->line = item->line;
	e->negated = item->negated;
	e->all = item->all && !item->negated;
	e->present = f->present;
	e->seen = f->seen;
	e->n_seen = f->n;
	e->patterns = patterns;
	e->n_patterns = item->n;
	if (item->negated)
		e->holds = hits == 0;
	else
		e->holds = item->all ? hits == item->n : hits > 0;
	return e;
}

static const struct explanation *
explain_selection(struct explainer *x, const struct sigma_selection *s)
{
	struct explanation *e = make(x, EXPLAIN_SELECTION, s->n);

	e->name = s->name.ptr != NULL ? s->name : SLICE("");
	e->line = s->line;
	for (uint32_t i = 0; i < s->n; i++) {
		struct explanation *map = make(x, EXPLAIN_MAP, s->maps[i].n);

		map->holds = true;
		for (uint32_t k = 0; k < s->maps[i].n; k++) {
			add_child(map, explain_item(x, &s->maps[i].items[k]));
			map->holds = map->holds && map->children[k]->holds;
		}
		add_child(e, map);
		e->holds = e->holds || map->holds;
	}
	return e;
}

static const struct explanation *
explain_condition(struct explainer *x, const struct sigma_rule *rule,
    const struct sigma_node *n)
{
	static const enum explain_kind kinds[] = {
		[NODE_NOT] = EXPLAIN_NOT,
		[NODE_AND] = EXPLAIN_AND,
		[NODE_OR] = EXPLAIN_OR,
		[NODE_AT_LEAST] = EXPLAIN_AT_LEAST,
	};
	struct explanation *e;
	uint32_t held = 0;

	if (n->kind == NODE_LEAF)
		return explain_selection(x, &rule->selections[n->index]);
	e = make(x, kinds[n->kind], n->n);
	for (uint32_t i = 0; i < n->n; i++) {
		add_child(e, explain_condition(x, rule, n->children[i]));
		held += e->children[i]->holds ? 1 : 0;
	}
	switch (n->kind) {
	case NODE_NOT:
		e->holds = held == 0;
		break;
	case NODE_AND:
		e->holds = held == n->n;
		break;
	case NODE_AT_LEAST:
		e->needed = n->index;
		e->holds = held >= n->index;
		break;
	default:
		e->holds = held > 0;
		break;
	}
	return e;
}

/* ---- logsources -------------------------------------------------------- */

static bool
contradicts(struct slice said, struct slice wanted)
{
	return said.len > 0 && wanted.len > 0 &&
	    (said.len != wanted.len ||
		strncasecmp(said.ptr, wanted.ptr, said.len) != 0);
}

static void
name_route(struct explainer *x, const struct explain_route *r,
    struct explanation *e)
{
	const struct slice parts[] = { r->ls.product, r->ls.category,
		r->ls.service };
	static const char *const names[] = { "product", "category", "service" };
	struct buf text;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; i < 3; i++)
		if (parts[i].len > 0)
			(void)buf_printf(&text, "%s%s=%.*s",
			    text.len > 0 ? "," : "", names[i],
			    SLICE_ARG(parts[i]));
	e->name = arena_copy(x->now, buf_slice(&text));
	buf_fini(&text);
}

/* What was said from outside is not asked of the event. */
static const struct explanation *
explain_route(struct explainer *x, struct explain_route *r)
{
	const struct logsource *said = &x->logsource;
	struct explanation *e = make(x, EXPLAIN_LOGSOURCE, r->n_terms);
	unsigned known = (said->product.len > 0 ? SOURCE_PRODUCT : 0u) |
	    (said->category.len > 0 ? SOURCE_CATEGORY : 0u) |
	    (said->service.len > 0 ? SOURCE_SERVICE : 0u);

	name_route(x, r, e);
	e->holds = !contradicts(said->product, r->ls.product) &&
	    !contradicts(said->category, r->ls.category) &&
	    !contradicts(said->service, r->ls.service);
	for (uint32_t i = 0; i < r->n_terms; i++) {
		const struct explanation *term;

		if ((r->terms[i].parts & ~known) == 0)
			continue;
		term = explain_selection(x, r->terms[i].where);
		add_child(e, term);
		e->holds = e->holds && term->holds;
	}
	r->epoch = x->epoch;
	r->holds = e->holds;
	return e;
}

static bool
equal_logsources(const struct sigma_logsource *a,
    const struct sigma_logsource *b)
{
	return slice_eq(a->product, b->product) &&
	    slice_eq(a->category, b->category) &&
	    slice_eq(a->service, b->service);
}

static uint32_t
route_of(struct explainer *x, const struct sigma_logsource *ls)
{
	uint32_t i;

	for (i = 0; i < x->n_routes; i++)
		if (equal_logsources(&x->routes[i].ls, ls))
			return i;
	x->routes =
	    xreallocarray(x->routes, x->n_routes + 1, sizeof(x->routes[0]));
	x->routes[i] = (struct explain_route){ .ls = *ls };
	x->routes[i].n_terms =
	    taxonomy_route(x->rules->taxonomy, ls, x->routes[i].terms);
	x->n_routes++;
	return i;
}

/* ---- rules ------------------------------------------------------------- */

struct explainer *
explainer_new(struct ruleset *rs)
{
	struct explainer *x = xzalloc(sizeof(*x));

	x->rules = ruleset_ref(rs);
	x->forever = arena_new(ARENA_BLOCK);
	x->now = arena_new(ARENA_BLOCK);
	x->values.arena = x->now;
	regex_scratch_init(&x->values.regex);
	x->route_of = xcalloc(rs->n + 1, sizeof(x->route_of[0]));
	for (uint32_t i = 0; i < rs->n; i++)
		if (rs->parsed[i]->kind == RULE_DETECTION)
			x->route_of[i] = route_of(x, &rs->parsed[i]->logsource);
	return x;
}

void
explainer_free(struct explainer *x)
{
	if (x == NULL)
		return;
	regex_scratch_fini(&x->values.regex);
	byte_map_fini(&x->map);
	arena_free(x->forever);
	arena_free(x->now);
	free(x->fields);
	free(x->routes);
	free(x->route_of);
	ruleset_unref(x->rules);
	free(x);
}

void
explainer_event(struct explainer *x, const struct event *ev,
    const struct logsource *ls)
{
	static const struct logsource none = { .product = { NULL, 0 } };

	arena_reset(x->now);
	x->epoch++;
	x->event = ev;
	x->logsource = ls != NULL ? *ls : none;
}

static struct explanation *
explain_rule(struct explainer *x, uint32_t index)
{
	const struct ruleset_entry *entry = &x->rules->entries[index];
	const struct sigma_rule *rule = x->rules->parsed[index];
	const struct sigma_correlation *c = entry->correlation;
	struct explanation *e;

	if (c == NULL) {
		e = make(x, EXPLAIN_RULE, 2);
		add_child(e, explain_route(x, &x->routes[x->route_of[index]]));
		add_child(e, explain_condition(x, rule, rule->condition));
		e->holds = e->children[0]->holds && e->children[1]->holds;
	} else {
		e = make(x, EXPLAIN_CORRELATION, c->n_rules);
		e->definition = explain_definition(x, c);
		for (uint32_t i = 0; i < c->n_rules; i++) {
			struct explanation *base = explain_rule(x, c->rules[i]);

			if (base->holds && base->kind == EXPLAIN_RULE)
				explain_group(x, c, i, base);
			add_child(e, base);
			e->holds =
			    e->holds || (base->holds && base->missing.len == 0);
		}
	}
	e->name = entry->info.id;
	return e;
}

const struct explanation *
explainer_rule(struct explainer *x, uint32_t index)
{
	return explain_rule(x, index);
}

bool
explainer_holds(struct explainer *x, uint32_t index)
{
	const struct sigma_rule *rule = x->rules->parsed[index];
	struct explain_route *r;

	if (rule->kind != RULE_DETECTION)
		return explainer_rule(x, index)->holds;
	r = &x->routes[x->route_of[index]];
	if (r->epoch != x->epoch)
		(void)explain_route(x, r);
	return r->holds && explain_condition(x, rule, rule->condition)->holds;
}
