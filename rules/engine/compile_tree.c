/* SPDX-License-Identifier: Apache-2.0 */
/* Selections -> trees over leaves; equal leaves and atoms are made once. */
#include <stdlib.h>

#include "compile.h"
#include "serial.h"
#include "utf8.h"
#include "xalloc.h"

/* a folded character can be longer: at most 3 bytes for 2 */
enum { KEY_MAX = 1 << 27 };

static const struct sigma_node *
make_node(struct compiler *c, enum node_kind kind, uint32_t index)
{
	struct sigma_node *n = arena_alloc(c->arena, sizeof(*n));

	*n = (struct sigma_node){ .kind = kind, .index = index };
	return n;
}

/* AND or OR; one child is itself. */
static const struct sigma_node *
make_list(struct compiler *c, enum node_kind kind, uint32_t index,
    const struct sigma_node *const *children, uint32_t n)
{
	struct sigma_node *list;
	const struct sigma_node **copy;

	if (n == 1 && (kind == NODE_AND || kind == NODE_OR))
		return children[0];
	list = arena_alloc(c->arena, sizeof(*list));
	copy = arena_alloc(c->arena, (n + 1) * sizeof(void *));
	if (n > 0)
		memcpy(copy, children, n * sizeof(void *));
	*list = (struct sigma_node){ kind, index, copy, n };
	return list;
}

static const struct sigma_node *
make_not(struct compiler *c, const struct sigma_node *child)
{
	return make_list(c, NODE_NOT, 0, &child, 1);
}

uint16_t
compile_slot(struct compiler *c, struct slice field)
{
	struct buf folded;
	uint32_t *slot;
	bool is_new;

	if (field.len == 0)
		return NO_SLOT;
	buf_init(&folded, FIELD_NAME_MAX + 1);
	serial_field(&folded, field);
	slot = byte_map_at(&c->slot_map,
	    (struct slice){ folded.ptr, folded.len - 1 }, &is_new);
	if (is_new) {
		if (c->n_slots == SLOTS_MAX) {
			c->overflow = true;
			*slot = 0;
		} else {
			if (c->n_slots == c->cap_slots) {
				c->cap_slots =
				    c->cap_slots == 0 ? 64 : 2 * c->cap_slots;
				c->slots = xreallocarray(c->slots, c->cap_slots,
				    sizeof(c->slots[0]));
			}
			*slot = c->n_slots++;
			c->slots[*slot] = (struct slot){
				.name = arena_copy(c->arena,
				    (struct slice){ folded.ptr,
					folded.len - 1 }),
				.derived_from = NO_SLOT,
			};
		}
	}
	buf_fini(&folded);
	return (uint16_t)*slot;
}

static struct slice
keep_text(struct compiler *c, struct slice text, bool cased)
{
	struct slice folded = cased ? text : utf8_fold(c->arena, text);

	return folded.ptr == text.ptr ? arena_copy(c->arena, text) : folded;
}

/*
 * In the arena.  Of a run of wildcards all "?" come first, which says the same:
 * what is behind a star is then a text, and found at once.
 */
static struct pattern
keep_pattern(struct compiler *c, const struct pattern *p, bool cased)
{
	static const struct pattern_part any = { .kind = PART_ANY };
	struct pattern_part *parts =
	    arena_alloc(c->arena, (p->n + 1) * sizeof(parts[0]));
	bool star = false; /* to come behind this run */
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		if (p->parts[i].kind == PART_ANY) {
			star = true;
			continue;
		}
		if (p->parts[i].kind == PART_TEXT && star) {
			parts[n++] = any;
			star = false;
		}
		parts[n] = p->parts[i];
		if (parts[n].kind == PART_TEXT)
			parts[n].text = keep_text(c, parts[n].text, cased);
		n++;
	}
	if (star)
		parts[n++] = any;
	return (struct pattern){ parts, n };
}

static uint32_t
new_atom(struct compiler *c, uint32_t unit, uint16_t slot,
    const struct sigma_match *m)
{
	struct atom_draft *d;

	if (c->n_atoms == c->cap_atoms) {
		c->cap_atoms = c->cap_atoms == 0 ? 1024 : 2 * c->cap_atoms;
		c->atoms =
		    xreallocarray(c->atoms, c->cap_atoms, sizeof(c->atoms[0]));
	}
	d = &c->atoms[c->n_atoms];
	*d = (struct atom_draft){ .unit = unit };
	d->atom.match = *m;
	d->atom.slot = slot;
	d->atom.unit = (uint16_t)unit;
	d->atom.other = NO_SLOT;
	if (m->kind == MATCH_PATTERN)
		d->atom.match.pattern = keep_pattern(c, &m->pattern, m->cased);
	if (m->kind == MATCH_REGEX)
		d->atom.match.text = arena_copy(c->arena, m->text);
	if (m->kind == MATCH_FIELD)
		d->atom.other = compile_slot(c, m->text);
	return c->n_atoms++;
}

/* The atom of a comparison: an equal one, or a new one. */
static uint32_t
atom_of(struct compiler *c, uint32_t unit, uint16_t slot,
    const struct sigma_match *m)
{
	struct byte_map *map =
	    unit == UINT32_MAX ? &c->route_atoms : &c->units[unit].atom_map;
	struct buf key;
	uint32_t *at;
	bool is_new;

	buf_init(&key, KEY_MAX);
	(void)buf_add(&key, &slot, sizeof(slot));
	serial_match(&key, m);
	at = byte_map_at(map, buf_slice(&key), &is_new);
	if (is_new)
		*at = new_atom(c, unit, slot, m);
	buf_fini(&key);
	return *at;
}

static uint32_t
new_leaf(struct compiler *c, uint32_t unit, uint16_t slot)
{
	if (c->n_leaves == c->cap_leaves) {
		c->cap_leaves = c->cap_leaves == 0 ? 1024 : 2 * c->cap_leaves;
		c->leaves = xreallocarray(c->leaves, c->cap_leaves,
		    sizeof(c->leaves[0]));
	}
	c->leaves[c->n_leaves] =
	    (struct leaf_draft){ .unit = unit, .slot = slot };
	return c->n_leaves++;
}

static void
fill_leaf(struct compiler *c, uint32_t leaf, const struct sigma_value *values,
    uint32_t n)
{
	uint32_t unit = c->leaves[leaf].unit;
	uint16_t slot = c->leaves[leaf].slot;

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < values[i].n; k++) {
			uint32_t atom =
			    atom_of(c, unit, slot, &values[i].matches[k]);

			ids_add(&c->leaves[leaf].atoms, atom);
			ids_add(&c->atoms[atom].leaves, leaf);
		}
	}
}

/* OR of values of one field. */
static const struct sigma_node *
make_leaf(struct compiler *c, uint32_t unit, uint16_t slot,
    const struct sigma_value *values, uint32_t n)
{
	struct byte_map *map =
	    unit == UINT32_MAX ? &c->route_leaves : &c->units[unit].leaf_map;
	struct buf key;
	uint32_t leaf;
	bool is_new;

	buf_init(&key, KEY_MAX);
	(void)buf_add(&key, &slot, sizeof(slot));
	serial_values(&key, values, n);
	leaf = *byte_map_at(map, buf_slice(&key), &is_new);
	if (is_new) {
		leaf = new_leaf(c, unit, slot);
		*byte_map_at(map, buf_slice(&key), &is_new) = leaf;
		fill_leaf(c, leaf, values, n);
	}
	buf_fini(&key);
	c->leaves[leaf].uses++;
	return make_node(c, NODE_LEAF, leaf);
}

static const struct sigma_node *
compile_item(struct compiler *c, uint32_t unit, const struct sigma_item *item)
{
	uint16_t slot = compile_slot(c, item->field);
	const struct sigma_node *node;

	if (item->all && item->n > 1 && !item->negated) {
		const struct sigma_node **each =
		    xcalloc(item->n, sizeof(void *));

		for (uint32_t i = 0; i < item->n; i++)
			each[i] = make_leaf(c, unit, slot, &item->values[i], 1);
		node = make_list(c, NODE_AND, 0, each, item->n);
		free(each);
		return node;
	}
	node = make_leaf(c, unit, slot, item->values, item->n);
	return item->negated ? make_not(c, node) : node;
}

const struct sigma_node *
compile_selection(struct compiler *c, uint32_t unit,
    const struct sigma_selection *s)
{
	const struct sigma_node **maps = xcalloc(s->n + 1, sizeof(void *));
	const struct sigma_node *node;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct sigma_map *map = &s->maps[i];
		const struct sigma_node **items =
		    xcalloc(map->n, sizeof(void *));

		for (uint32_t k = 0; k < map->n; k++)
			items[k] = compile_item(c, unit, &map->items[k]);
		maps[i] = make_list(c, NODE_AND, 0, items, map->n);
		free(items);
	}
	node = make_list(c, NODE_OR, 0, maps, s->n);
	free(maps);
	return node;
}

struct tree_walk {
	struct compiler *c;
	const struct sigma_node **selections; /* made when first met */
	const struct sigma_rule *rule;
	uint32_t unit;
};

static const struct sigma_node *
walk(struct tree_walk *w, const struct sigma_node *n)
{
	const struct sigma_node **children;
	const struct sigma_node *made;

	if (n->kind == NODE_LEAF) {
		if (w->selections[n->index] == NULL)
			w->selections[n->index] = compile_selection(w->c,
			    w->unit, &w->rule->selections[n->index]);
		return w->selections[n->index];
	}
	children = xcalloc(n->n + 1, sizeof(void *));
	for (uint32_t i = 0; i < n->n; i++)
		children[i] = walk(w, n->children[i]);
	made = make_list(w->c, n->kind, n->index, children, n->n);
	free(children);
	return made;
}

const struct sigma_node *
compile_tree(struct compiler *c, uint32_t unit, const struct sigma_rule *rule)
{
	struct tree_walk w = {
		.c = c,
		.selections = xcalloc(rule->n_selections, sizeof(void *)),
		.rule = rule,
		.unit = unit,
	};
	const struct sigma_node *tree = walk(&w, rule->condition);

	free(w.selections);
	return tree;
}

/* ---- what is asked first ----------------------------------------------- */

enum { COST_MAX = 1 << 20 };

static uint32_t
atom_cost(const struct atom *a)
{
	uint32_t one = 8;

	switch (a->match.kind) {
	case MATCH_NULL:
	case MATCH_EXISTS:
		return 1;
	case MATCH_PATTERN:
		one = a->match.pattern.n <= 1 ? 3 : 8;
		break;
	case MATCH_REGEX:
		one = 100;
		break;
	default:
		break;
	}
	return a->slot == NO_SLOT ? 20 * one : one;
}

static uint32_t
leaf_cost(const struct compiler *c, uint32_t leaf)
{
	uint32_t total = 1;

	if (!c->program->leaves[leaf].lazy)
		return 0; /* it is known */
	for (uint32_t i = 0; i < c->leaves[leaf].atoms.n && total < COST_MAX;
	     i++)
		total +=
		    atom_cost(&c->atoms[c->leaves[leaf].atoms.items[i]].atom);
	return total;
}

/* Puts cheap children first; what the tree may cost. */
static uint32_t
order_tree(const struct compiler *c, const struct sigma_node *n)
{
	/* made by make_list(): no one else's */
	const struct sigma_node **children =
	    (const struct sigma_node **)(uintptr_t)n->children;
	uint32_t *costs, total = 1;

	if (n->kind == NODE_LEAF)
		return leaf_cost(c, n->index);
	costs = xcalloc(n->n + 1, sizeof(costs[0]));
	for (uint32_t i = 0; i < n->n; i++) {
		const struct sigma_node *child = children[i];
		uint32_t cost = order_tree(c, child), at = i;

		for (; at > 0 && costs[at - 1] > cost; at--) {
			costs[at] = costs[at - 1];
			children[at] = children[at - 1];
		}
		costs[at] = cost;
		children[at] = child;
		total = total + cost < COST_MAX ? total + cost : COST_MAX;
	}
	free(costs);
	return total;
}

void
compile_order(struct compiler *c)
{
	for (uint32_t i = 0; i < c->program->n_rules; i++)
		if (c->program->trees[i] != NULL)
			(void)order_tree(c, c->program->trees[i]);
}
