/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of an event's fields correlations read: by each referred rule's
 * spelling (aliases), and by each name that an event may carry it under.
 */
#include <stdlib.h>

#include "compile.h"
#include "derived.h"
#include "ruleset.h"
#include "xalloc.h"

enum { NAMES_MAX = 32 };

static void
add_id(uint32_t *ids, uint32_t *n, uint32_t id)
{
	for (uint32_t i = 0; i < *n; i++)
		if (ids[i] == id)
			return;
	if (id != FIELD_NONE && *n < NAMES_MAX)
		ids[(*n)++] = id;
}

static void
add_prefixed(uint32_t *ids, uint32_t *n, struct slice prefix, struct slice name)
{
	struct buf text;

	if (memchr(prefix.ptr, '*', prefix.len) != NULL)
		return;
	buf_init(&text, FIELD_NAME_MAX);
	if (buf_add_slice(&text, prefix) && buf_add_char(&text, '.') &&
	    buf_add_slice(&text, name))
		add_id(ids, n, field_intern(buf_slice(&text)));
	buf_fini(&text);
}

/* Every name an event may carry a field under; in the set's arena. */
static const uint32_t *
ids_of(struct loader *l, struct slice name, uint32_t *count)
{
	uint32_t found[NAMES_MAX], n = 0, n_names;
	uint32_t own = field_intern(name);
	bool dotted = memchr(name.ptr, '.', name.len) != NULL;
	const struct slice *names, *written;
	uint32_t *ids;

	add_id(found, &n, own);
	if (own != FIELD_NONE)
		add_id(found, &n, field_folded(own));
	names = taxonomy_names(l->taxonomy, name, &n_names);
	for (uint32_t i = 0; i < n_names; i++)
		add_id(found, &n, field_intern(names[i]));
	names = taxonomy_prefixes(l->taxonomy, &n_names);
	written = taxonomy_prefixes_written(l->taxonomy);
	for (uint32_t i = 0; !dotted && i < n_names; i++) {
		add_prefixed(found, &n, written[i], name);
		if (!slice_eq(written[i], names[i]))
			add_prefixed(found, &n, names[i], name);
	}
	ids = arena_alloc(l->set->arena, (n + 1) * sizeof(ids[0]));
	memcpy(ids, found, n * sizeof(ids[0]));
	*count = n;
	return ids;
}

static struct correlation_field
field_of(struct loader *l, struct slice name)
{
	struct arena *arena = l->set->arena;
	struct correlation_field f = { .name = arena_copy(arena, name) };
	struct slice from, key;

	f.ids = ids_of(l, name, &f.n_ids);
	if (taxonomy_derived(l->taxonomy, name, &from, &key)) {
		f.from = ids_of(l, from, &f.n_from);
		f.key = arena_copy(arena, key);
	}
	return f;
}

struct value
correlation_value(const struct correlation_field *f, const struct event *ev)
{
	for (uint32_t i = 0; i < f->n_ids; i++) {
		const struct value *v = event_get(ev, f->ids[i]);

		if (v != NULL && v->kind != VALUE_NULL)
			return *v;
	}
	for (uint32_t i = 0; i < f->n_from; i++) {
		struct slice member =
		    derived_member(event_get_string(ev, f->from[i]), f->key);

		if (member.ptr != NULL)
			return (
			    struct value){ .kind = VALUE_STRING, .s = member };
	}
	return (struct value){ .kind = VALUE_NULL };
}

static bool
is_called(const struct loader *l, uint32_t rule, struct slice name)
{
	const struct ruleset_entry *e = &l->set->entries[rule];

	return (e->name.len > 0 && slice_eq(name, e->name)) ||
	    (name.len == e->info.id.len && name.len > 0 &&
		strncasecmp(name.ptr, e->info.id.ptr, name.len) == 0);
}

/* How rule `rule` spells what the correlation calls `name`. */
static struct slice
spelled(const struct loader *l, const struct sigma_correlation *c,
    struct slice name, uint32_t rule)
{
	for (uint32_t i = 0; i < c->n_aliases; i++)
		if (slice_eq(c->aliases[i].alias, name) &&
		    is_called(l, rule, c->aliases[i].rule))
			return c->aliases[i].field;
	return name;
}

static const struct correlation_key *
keep_keys(struct loader *l, const struct sigma_correlation *c,
    const struct correlation_key *keys, uint32_t n)
{
	struct correlation_key *kept =
	    arena_alloc(l->set->arena, (n + 1) * sizeof(kept[0]));

	for (uint32_t i = 0; i < n; i++) {
		struct correlation_field *fields = arena_alloc(l->set->arena,
		    (c->n_rules + 1) * sizeof(fields[0]));

		for (uint32_t k = 0; k < c->n_rules; k++)
			fields[k] = field_of(l,
			    spelled(l, c, keys[i].name, c->rules[k]));
		kept[i] = (struct correlation_key){
			arena_copy(l->set->arena, keys[i].name),
			fields,
		};
	}
	return kept;
}

static const struct sigma_node *
keep_node(struct arena *arena, const struct sigma_node *n)
{
	struct sigma_node *copy;
	const struct sigma_node **children;

	if (n == NULL)
		return NULL;
	copy = arena_alloc(arena, sizeof(*copy));
	children = arena_alloc(arena, (n->n + 1) * sizeof(void *));
	*copy = *n;
	for (uint32_t i = 0; i < n->n; i++)
		children[i] = keep_node(arena, n->children[i]);
	copy->children = children;
	return copy;
}

static struct sigma_correlation *
keep_correlation(struct loader *l, const struct sigma_correlation *c)
{
	struct arena *arena = l->set->arena;
	struct sigma_correlation *kept = arena_alloc(arena, sizeof(*kept));
	uint32_t *rules =
	    arena_alloc(arena, (c->n_rules + 1) * sizeof(rules[0]));
	struct slice *names =
	    arena_alloc(arena, (c->n_rules + 1) * sizeof(names[0]));

	*kept = *c;
	memcpy(rules, c->rules, c->n_rules * sizeof(rules[0]));
	for (uint32_t i = 0; i < c->n_rules; i++)
		names[i] = arena_copy(arena, c->rule_names[i]);
	kept->rules = rules;
	kept->rule_names = names;
	kept->rule_lines = NULL;
	kept->group_by = keep_keys(l, c, c->group_by, c->n_group_by);
	kept->values = keep_keys(l, c, c->values, c->n_values);
	kept->extended = keep_node(arena, c->extended);
	kept->aliases = NULL;
	kept->n_aliases = 0;
	return kept;
}

static void
set_referrers(struct loader *l)
{
	struct ids *all = xcalloc(l->set->n + 1, sizeof(all[0]));

	for (uint32_t i = 0; i < l->set->n; i++) {
		const struct sigma_correlation *c =
		    l->set->entries[i].correlation;

		for (uint32_t k = 0; c != NULL && k < c->n_rules; k++)
			ids_add(&all[c->rules[k]], i);
	}
	for (uint32_t i = 0; i < l->set->n; i++) {
		struct ruleset_entry *e = &l->set->entries[i];

		e->referrers =
		    ids_take(&all[i], l->set->arena, &e->n_referrers);
		e->info.visible = e->n_referrers == 0;
		for (uint32_t k = 0; k < e->n_referrers; k++)
			if (l->set->entries[e->referrers[k]]
				.correlation->generate)
				e->info.visible = true;
	}
	free(all);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
add_keys(struct ids *ids, const struct correlation_key *keys, uint32_t n,
    uint32_t position)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct correlation_field *f = &keys[i].by_rule[position];

		for (uint32_t k = 0; k < f->n_ids; k++)
			ids_add(ids, f->ids[k]);
		for (uint32_t k = 0; k < f->n_from; k++)
			ids_add(ids, f->from[k]);
	}
}

/*
 * A hit of `rule` reaches every correlation above it; one that is above another
 * correlation reads the group keys of that one only, which are there already.
 */
static void
set_hit_fields(struct loader *l, uint32_t rule)
{
	struct ruleset_entry *e = &l->set->entries[rule];
	struct ids ids = { 0 };
	uint32_t kept = 0, total;
	uint32_t *fields;

	ids_add(&ids, FIELD_SOURCE_IP);
	for (uint32_t i = 0; i < e->n_referrers; i++) {
		const struct sigma_correlation *c =
		    l->set->entries[e->referrers[i]].correlation;

		for (uint32_t k = 0; k < c->n_rules; k++) {
			if (c->rules[k] != rule)
				continue;
			add_keys(&ids, c->group_by, c->n_group_by, k);
			add_keys(&ids, c->values, c->n_values, k);
		}
	}
	fields = (uint32_t *)(uintptr_t)ids_take(&ids, l->set->arena, &total);
	qsort(fields, total, sizeof(fields[0]), by_number);
	for (uint32_t i = 0; i < total; i++)
		if (i == 0 || fields[i] != fields[i - 1])
			fields[kept++] = fields[i];
	e->hit_fields = fields;
	e->n_hit_fields = kept;
}

void
loader_fields(struct loader *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct loading_rule *r = l->rules[i];

		if (!r->refused && r->rule.kind == RULE_CORRELATION)
			l->set->entries[r->index].correlation =
			    keep_correlation(l, r->rule.correlation);
	}
	set_referrers(l);
	for (uint32_t i = 0; i < l->set->n; i++)
		set_hit_fields(l, i);
}
