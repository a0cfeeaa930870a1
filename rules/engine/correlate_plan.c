/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate_state.h"

#include <math.h>
#include <stdlib.h>

#include "xalloc.h"

enum { ARENA_BLOCK = 16384 };

/* ---- what a condition is ----------------------------------------------------- */

static bool
is_lower(const struct correlation_bound *b)
{
	return b->op == OP_GT || b->op == OP_GTE;
}

static bool
satisfied_by(const struct sigma_correlation *def, double x)
{
	for (uint32_t i = 0; i < def->n_bounds; i++) {
		double v = def->bounds[i].value;
		bool ok = false;

		switch (def->bounds[i].op) {
		case OP_EQ:
			ok = x == v;
			break;
		case OP_NEQ:
			ok = x != v;
			break;
		case OP_GT:
			ok = x > v;
			break;
		case OP_GTE:
			ok = x >= v;
			break;
		case OP_LT:
			ok = x < v;
			break;
		case OP_LTE:
			ok = x <= v;
			break;
		}
		if (!ok)
			return false;
	}
	return true;
}

static bool
all_lower(const struct sigma_correlation *def)
{
	for (uint32_t i = 0; i < def->n_bounds; i++)
		if (!is_lower(&def->bounds[i]))
			return false;
	return def->n_bounds > 0;
}

/* The least count that all lower bounds allow. */
static uint32_t
least(const struct sigma_correlation *def)
{
	double n = 1;

	for (uint32_t i = 0; i < def->n_bounds; i++) {
		const struct correlation_bound *b = &def->bounds[i];
		double x =
		    b->op == OP_GT ? floor(b->value) + 1 : ceil(b->value);

		n = x > n ? x : n;
	}
	return n >= UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static bool
is_aggregate(enum correlation_type type)
{
	return type == CORRELATION_VALUE_SUM || type == CORRELATION_VALUE_AVG ||
	    type == CORRELATION_VALUE_PERCENTILE ||
	    type == CORRELATION_VALUE_MEDIAN;
}

static bool
is_at_hit(const struct sigma_correlation *def)
{
	return is_aggregate(def->type) || def->extended != NULL ||
	    def->n_bounds == 0 || all_lower(def) ||
	    (def->n_bounds == 1 && def->bounds[0].op == OP_NEQ);
}

void
corr_rule_derive(struct corr_rule *r, const struct sigma_correlation *def)
{
	r->def = def;
	r->span_ns = def->timespan_ns;
	r->scalar_values = is_aggregate(def->type);
	r->need = 1;
	if (is_at_hit(def)) {
		bool counts = !r->scalar_values && all_lower(def);

		r->kind = CORR_AT_HIT;
		r->reach_ns = r->span_ns;
		r->count_events =
		    counts && def->type == CORRELATION_EVENT_COUNT;
		if (counts &&
		    (def->type == CORRELATION_EVENT_COUNT ||
			def->type == CORRELATION_VALUE_COUNT))
			r->need = least(def);
		return;
	}
	r->kind = CORR_AFTER;
	r->reach_ns = 1;
	r->with_anchor = !satisfied_by(def, 0);
	r->pure_absence = !r->with_anchor && !satisfied_by(def, 1);
	r->due_ns = r->with_anchor ? r->span_ns - 1 : r->span_ns;
}

/* ---- from a ruleset ------------------------------------------------------------ */

/* Where the fields `ids` stand among those of a hit. */
static const uint16_t *
places_of(struct corr_plan *p, const uint32_t *ids, uint32_t n_ids,
    uint32_t source, uint32_t *count)
{
	uint32_t n;
	const uint32_t *fields = ruleset_hit_fields(p->rs, source, &n);
	uint16_t *at = arena_alloc(p->arena, (n_ids + 1) * sizeof(*at));

	*count = 0;
	for (uint32_t i = 0; i < n_ids; i++)
		for (uint32_t j = 0; j < n; j++)
			if (fields[j] == ids[i])
				at[(*count)++] = (uint16_t)j;
	return at;
}

static struct corr_pick
pick_fields(struct corr_plan *p, const struct correlation_field *f,
    uint32_t source)
{
	struct corr_pick pick = { .key = f->key };

	pick.at = places_of(p, f->ids, f->n_ids, source, &pick.n);
	pick.from = places_of(p, f->from, f->n_from, source, &pick.n_from);
	return pick;
}

/* From a correlation come only its own group-by keys. */
static struct corr_pick
pick_key(struct corr_plan *p, struct slice name,
    const struct sigma_correlation *source)
{
	uint16_t *at = arena_alloc(p->arena, sizeof(*at));
	struct corr_pick pick = { .at = at };

	for (uint32_t i = 0; i < source->n_group_by && pick.n == 0; i++)
		if (slice_eq(source->group_by[i].name, name))
			at[pick.n++] = (uint16_t)i;
	return pick;
}

static struct corr_pick *
pick_all(struct corr_plan *p, const struct correlation_key *keys, uint32_t n,
    uint32_t source, uint32_t slot)
{
	const struct sigma_correlation *from =
	    ruleset_correlation(p->rs, source);
	struct corr_pick *picks =
	    arena_alloc(p->arena, (n + 1) * sizeof(*picks));

	for (uint32_t i = 0; i < n; i++) {
		const struct correlation_field *f = &keys[i].by_rule[slot];

		picks[i] = from != NULL ? pick_key(p, f->name, from)
					: pick_fields(p, f, source);
	}
	return picks;
}

/* Places for what `count` says; the arena has them. */
static void
add_feed(struct corr_plan *p, uint32_t source, const struct corr_feed *feed)
{
	struct corr_feeds *f = &p->by_rule[source];

	if ((f->n & (f->n - 1)) == 0) {
		struct corr_feed *more = arena_alloc(p->arena,
		    (f->n == 0 ? 1 : 2 * f->n) * sizeof(*more));

		if (f->n > 0)
			memcpy(more, f->feeds, f->n * sizeof(*more));
		f->feeds = more;
	}
	f->feeds[f->n++] = *feed;
}

static void
add_correlation(struct corr_plan *p, uint32_t index,
    const struct sigma_correlation *def)
{
	const struct rule_info *info = ruleset_rule(p->rs, index);
	struct corr_rule *r = &p->rules[p->n];
	struct slice *names =
	    arena_alloc(p->arena, (def->n_group_by + 1) * sizeof(*names));

	*r = (struct corr_rule){ .index = index,
		.scope_all = info->scope_all,
		.visible = info->visible,
		.id = info->id,
		.key_names = names,
		.n_keys = def->n_group_by };
	corr_rule_derive(r, def);
	for (uint32_t i = 0; i < def->n_group_by; i++)
		names[i] = def->group_by[i].name;
	for (uint32_t slot = 0; slot < def->n_rules; slot++) {
		uint32_t source = def->rules[slot];

		add_feed(p, source,
		    &(struct corr_feed){ .rule = p->n,
			.slot = slot,
			.keys = pick_all(p, def->group_by, def->n_group_by,
			    source, slot),
			.values = pick_all(p, def->values, def->n_values,
			    source, slot),
			.n_values = def->n_values });
	}
	p->n++;
}

static void
add_single(struct corr_plan *p, uint32_t index,
    const struct correlate_options *options)
{
	static const struct slice source_ip[] = { SLICE_INIT("source.ip") };
	static const uint32_t id = FIELD_SOURCE_IP;
	const struct rule_info *info = ruleset_rule(p->rs, index);
	struct corr_pick *keys = arena_alloc(p->arena, sizeof(*keys));

	p->rules[p->n] = (struct corr_rule){ .index = index,
		.kind = CORR_SINGLE,
		.span_ns = options->single_gap_ns,
		.reach_ns = 1,
		.need = 1,
		.scope_all = info->scope_all,
		.visible = true,
		.id = info->id,
		.key_names = source_ip,
		.n_keys = 1 };
	*keys = pick_fields(p,
	    &(struct correlation_field){ .name = source_ip[0],
		.ids = &id,
		.n_ids = 1 },
	    index);
	add_feed(p, index,
	    &(struct corr_feed){ .rule = p->n,
		.optional = true,
		.keys = keys });
	p->n++;
}

struct corr_plan *
corr_plan_new(struct ruleset *rs, const struct correlate_options *options)
{
	struct corr_plan *p = xzalloc(sizeof(*p));
	uint32_t n = ruleset_count(rs);

	p->arena = arena_new(ARENA_BLOCK);
	p->rs = ruleset_ref(rs);
	p->n_by_rule = n;
	p->by_rule = arena_alloc(p->arena, (n + 1) * sizeof(*p->by_rule));
	memset(p->by_rule, 0, (n + 1) * sizeof(*p->by_rule));
	p->rules = arena_alloc(p->arena, (n + 1) * sizeof(*p->rules));
	for (uint32_t i = 0; i < n; i++) {
		const struct sigma_correlation *def =
		    ruleset_correlation(rs, i);
		const struct rule_info *info = ruleset_rule(rs, i);

		if (def != NULL)
			add_correlation(p, i, def);
		else if (options->singles && info->visible &&
		    info->level >= options->single_level)
			add_single(p, i, options);
	}
	return p;
}

void
corr_plan_free(struct corr_plan *p)
{
	if (p == NULL)
		return;
	ruleset_unref(p->rs);
	arena_free(p->arena);
	free(p);
}

uint32_t
corr_plan_find(const struct corr_plan *p, uint32_t index)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->rules[i].index == index)
			return i;
	return UINT32_MAX;
}

static bool
same_digest(const struct corr_plan *a, uint32_t i, const struct corr_plan *b,
    uint32_t j)
{
	return memcmp(ruleset_rule(a->rs, i)->digest,
		   ruleset_rule(b->rs, j)->digest, SHA256_BYTES) == 0;
}

bool
corr_plan_same(const struct corr_plan *a, uint32_t i, const struct corr_plan *b,
    uint32_t j)
{
	const struct corr_rule *x = &a->rules[i], *y = &b->rules[j];

	if (x->kind != y->kind || x->span_ns != y->span_ns ||
	    !same_digest(a, x->index, b, y->index))
		return false;
	for (uint32_t k = 0; x->def != NULL && k < x->def->n_rules; k++)
		if (k >= y->def->n_rules ||
		    !same_digest(a, x->def->rules[k], b, y->def->rules[k]))
			return false;
	return true;
}
