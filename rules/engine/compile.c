/* SPDX-License-Identifier: Apache-2.0 */
#include "compile.h"

#include <stdlib.h>

#include "serial.h"
#include "xalloc.h"

/* ---- lists and maps ---------------------------------------------------- */

void
ids_add(struct ids *ids, uint32_t id)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap == 0 ? 4 : 2 * ids->cap;
		ids->items =
		    xreallocarray(ids->items, ids->cap, sizeof(ids->items[0]));
	}
	ids->items[ids->n++] = id;
}

const uint32_t *
ids_take(struct ids *ids, struct arena *arena, uint32_t *n)
{
	uint32_t *copy = arena_alloc(arena, (ids->n + 1) * sizeof(copy[0]));

	if (ids->n > 0)
		memcpy(copy, ids->items, ids->n * sizeof(copy[0]));
	*n = ids->n;
	free(ids->items);
	*ids = (struct ids){ 0 };
	return copy;
}

uint32_t
program_hash(struct slice s)
{
	uint64_t h = s.len * UINT64_C(0x9e3779b97f4a7c15), word;
	size_t i = 0;

	for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
		memcpy(&word, s.ptr + i, sizeof(word));
		h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	word = 0;
	if (i < s.len)
		memcpy(&word, s.ptr + i, s.len - i);
	h = (h ^ word) * UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 29;
	return (uint32_t)(h ^ (h >> 32));
}

/* Table and keys together: there is always a key's room. */
static void
grow(struct byte_map *m)
{
	uint32_t size = m->table == NULL ? 64 : 2 * (m->mask + 1);

	m->keys = xreallocarray(m->keys, size, sizeof(m->keys[0]));
	free(m->table);
	m->table = xcalloc(size, sizeof(m->table[0]));
	m->mask = size - 1;
	for (uint32_t i = 0; i < m->n; i++) {
		uint32_t at = m->keys[i].hash & m->mask;

		while (m->table[at] != 0)
			at = (at + 1) & m->mask;
		m->table[at] = i + 1;
	}
}

uint32_t *
byte_map_at(struct byte_map *m, struct slice key, bool *is_new)
{
	uint32_t hash = program_hash(key), at;

	if (m->keys == NULL || 2 * m->n > m->mask)
		grow(m);
	for (at = hash & m->mask; m->table[at] != 0; at = (at + 1) & m->mask) {
		struct byte_key *k = &m->keys[m->table[at] - 1];

		if (k->hash == hash &&
		    slice_eq(key, (struct slice){ k->bytes, k->len })) {
			*is_new = false;
			return &k->value;
		}
	}
	m->keys[m->n] =
	    (struct byte_key){ xmemdupz(key.ptr, key.len), key.len, hash, 0 };
	m->table[at] = ++m->n;
	*is_new = true;
	return &m->keys[m->n - 1].value;
}

void
byte_map_fini(struct byte_map *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		free(m->keys[i].bytes);
	free(m->keys);
	free(m->table);
	*m = (struct byte_map){ 0 };
}

/* ---- units ------------------------------------------------------------- */

static void
add_part(struct buf *key, struct slice s)
{
	(void)buf_add_varint(key, s.len);
	(void)buf_add_slice(key, s);
}

static uint32_t
unit_of(struct compiler *c, const struct sigma_logsource *ls)
{
	struct buf key;
	uint32_t *at;
	bool is_new;

	buf_init(&key, 1 << 16);
	add_part(&key, ls->product);
	add_part(&key, ls->category);
	add_part(&key, ls->service);
	at = byte_map_at(&c->unit_map, buf_slice(&key), &is_new);
	if (is_new) {
		if (c->n_units == c->cap_units) {
			c->cap_units =
			    c->cap_units == 0 ? 32 : 2 * c->cap_units;
			c->units = xreallocarray(c->units, c->cap_units,
			    sizeof(c->units[0]));
		}
		*at = c->n_units++;
		c->units[*at] = (struct unit_draft){ .always = { 0 } };
		c->units[*at].unit.logsource = (struct sigma_logsource){
			arena_copy(c->arena, ls->product),
			arena_copy(c->arena, ls->category),
			arena_copy(c->arena, ls->service),
		};
	}
	buf_fini(&key);
	return *at;
}

static void
compile_routes(struct compiler *c)
{
	for (uint32_t i = 0; i < c->n_units; i++) {
		struct unit *u = &c->units[i].unit;
		struct taxonomy_term terms[TAXONOMY_TERMS_MAX];

		u->n_terms = taxonomy_route(c->taxonomy, &u->logsource, terms);
		for (uint32_t k = 0; k < u->n_terms; k++)
			u->terms[k] = (struct route_term){ terms[k].parts,
				compile_selection(c, UINT32_MAX,
				    terms[k].where) };
	}
}

/* Whether its answer is the same for all values. */
static bool
is_presence(const struct sigma_match *m)
{
	return m->kind == MATCH_EXISTS ||
	    (m->kind == MATCH_PATTERN && m->pattern.n == 1 &&
		m->pattern.parts[0].kind == PART_ANY);
}

static void
find_routing(struct compiler *c)
{
	uint8_t *routing = arena_alloc(c->arena, c->n_slots + 1);

	memset(routing, ROUTING_NOTHING, c->n_slots + 1);
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		const struct atom *a = &c->atoms[i].atom;

		if (c->atoms[i].unit != UINT32_MAX)
			continue;
		if (a->slot != NO_SLOT && !is_presence(&a->match))
			routing[a->slot] = ROUTING_VALUE;
		else if (a->slot != NO_SLOT &&
		    routing[a->slot] == ROUTING_NOTHING)
			routing[a->slot] = ROUTING_PRESENCE;
		if (a->other != NO_SLOT)
			routing[a->other] = ROUTING_VALUE;
	}
	c->program->routing = routing;
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (routing[i] != ROUTING_NOTHING &&
		    c->program->slots[i].is_extra)
			c->program->extras_route = true;
}

/* ---- slots ------------------------------------------------------------- */

static void
add_name(struct compiler *c, struct slice name, uint16_t slot)
{
	struct program *p = c->program;
	struct buf folded;
	struct slot_name *n = &p->names[p->n_names];
	uint32_t at;

	buf_init(&folded, FIELD_NAME_MAX + 1);
	serial_field(&folded, name);
	n->name = arena_copy(c->arena,
	    (struct slice){ folded.ptr, folded.len > 0 ? folded.len - 1 : 0 });
	buf_fini(&folded);
	n->slot = slot;
	n->next = 0;
	for (at = program_hash(n->name) & p->name_mask; p->name_table[at] != 0;
	     at = (at + 1) & p->name_mask) {
		if (slice_eq(p->names[p->name_table[at] - 1].name, n->name)) {
			n->next = p->name_table[at];
			break;
		}
	}
	p->name_table[at] = ++p->n_names;
}

/* Slots that other slots are derived from must exist before names do. */
static void
derive_slots(struct compiler *c)
{
	uint16_t *derived;
	uint32_t n = 0, n_slots = c->n_slots;

	for (uint32_t i = 0; i < n_slots; i++) {
		struct slice from, key;
		uint16_t source;

		if (!taxonomy_derived(c->taxonomy, c->slots[i].name, &from,
			&key))
			continue;
		source = compile_slot(c, from);
		c->slots[i].derived_from = source;
		c->slots[i].derived_key = arena_copy(c->arena, key);
		n++;
	}
	derived = arena_alloc(c->arena, (n + 1) * sizeof(derived[0]));
	n = 0;
	for (uint32_t i = 0; i < n_slots; i++)
		if (c->slots[i].derived_from != NO_SLOT)
			derived[n++] = (uint16_t)i;
	c->program->derived = derived;
	c->program->n_derived = n;
}

static uint16_t
slot_named(struct compiler *c, const char *name)
{
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (slice_eq(c->slots[i].name,
			(struct slice){ name, strlen(name) }))
			return (uint16_t)i;
	return NO_SLOT;
}

static void
name_slots(struct compiler *c)
{
	struct program *p = c->program;
	const struct slice *prefixes;
	uint32_t total = 0, size = 64, n;

	derive_slots(c);
	p->timestamp = slot_named(c, "@timestamp");
	p->event_id = slot_named(c, "event.id");
	for (uint32_t i = 0; i < c->n_slots; i++) {
		(void)taxonomy_names(c->taxonomy, c->slots[i].name, &n);
		total += n + 1;
	}
	while (size < 2 * total)
		size *= 2;
	p->names = arena_alloc(c->arena, total * sizeof(p->names[0]) + 1);
	p->name_table = arena_alloc(c->arena, size * sizeof(uint32_t));
	memset(p->name_table, 0, size * sizeof(uint32_t));
	p->name_mask = size - 1;
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct slice *names =
		    taxonomy_names(c->taxonomy, c->slots[i].name, &n);

		add_name(c, c->slots[i].name, (uint16_t)i);
		for (uint32_t k = 0; k < n; k++)
			add_name(c, names[k], (uint16_t)i);
	}
	prefixes = taxonomy_prefixes(c->taxonomy, &n);
	p->prefixes = arena_alloc(c->arena, (n + 1) * sizeof(p->prefixes[0]));
	for (uint32_t i = 0; i < n; i++)
		p->prefixes[i] = arena_copy(c->arena, prefixes[i]);
	p->n_prefixes = n;
	p->n_slots = c->n_slots;
	p->slots =
	    arena_alloc(c->arena, (c->n_slots + 1) * sizeof(p->slots[0]));
	if (c->n_slots > 0)
		memcpy(p->slots, c->slots, c->n_slots * sizeof(p->slots[0]));
	for (uint32_t i = 0; i < c->n_slots; i++) {
		p->slots[i].is_extra = i == p->timestamp || i == p->event_id ||
		    p->slots[i].derived_from != NO_SLOT;
		p->has_extras = p->has_extras || p->slots[i].is_extra;
	}
}

uint32_t
program_name(const struct program *p, struct slice folded)
{
	for (uint32_t at = program_hash(folded) & p->name_mask;
	     p->name_table[at] != 0; at = (at + 1) & p->name_mask)
		if (slice_eq(p->names[p->name_table[at] - 1].name, folded))
			return p->name_table[at];
	return 0;
}

/* ---- everything -------------------------------------------------------- */

static void
compile_rules(struct compiler *c, const struct sigma_rule *const *rules,
    uint32_t n)
{
	struct program *p = c->program;
	uint32_t *units = xcalloc(n + 1, sizeof(units[0]));

	p->n_rules = n;
	p->trees = arena_alloc(c->arena, (n + 1) * sizeof(void *));
	for (uint32_t i = 0; i < n; i++) {
		p->trees[i] = NULL;
		if (rules[i] == NULL)
			continue;
		units[i] = unit_of(c, &rules[i]->logsource);
		p->trees[i] = compile_tree(c, units[i], rules[i]);
	}
	compile_weights(c);
	for (uint32_t i = 0; i < n; i++)
		if (p->trees[i] != NULL && !compile_cover(c, p->trees[i], i))
			ids_add(&c->units[units[i]].always, i);
	free(units);
}

static void
finish(struct compiler *c)
{
	struct program *p = c->program;

	p->n_atoms = c->n_atoms;
	p->atoms =
	    arena_alloc(c->arena, (c->n_atoms + 1) * sizeof(p->atoms[0]));
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		p->atoms[i] = c->atoms[i].atom;
		p->atoms[i].leaves = ids_take(&c->atoms[i].leaves, c->arena,
		    &p->atoms[i].n_leaves);
	}
	for (uint32_t i = 0; i < c->n_leaves; i++) {
		struct leaf *leaf = &p->leaves[i];

		leaf->slot = c->leaves[i].slot;
		leaf->atoms =
		    ids_take(&c->leaves[i].atoms, c->arena, &leaf->n_atoms);
		leaf->rules =
		    ids_take(&c->leaves[i].rules, c->arena, &leaf->n_rules);
	}
	p->n_leaves = c->n_leaves;
	p->n_units = c->n_units;
	p->units =
	    arena_alloc(c->arena, (c->n_units + 1) * sizeof(p->units[0]));
	for (uint32_t i = 0; i < c->n_units; i++) {
		p->units[i] = c->units[i].unit;
		p->units[i].always = ids_take(&c->units[i].always, c->arena,
		    &p->units[i].n_always);
	}
}

static enum rc
reserve_scratch(struct program *p, const hs_database_t *db, struct error *err)
{
	if (db != NULL && hs_alloc_scratch(db, &p->scratch) != HS_SUCCESS)
		return error_set(err, RC_LIBRARY,
		    "Hyperscan: no scratch memory");
	return RC_OK;
}

static enum rc
allocate_scratch(struct program *p, struct error *err)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < p->n_units; i++) {
		for (uint32_t k = 0; k < p->units[i].n_indexes; k++) {
			const struct slot_index *x = &p->units[i].indexes[k];

			if (rc == RC_OK)
				rc = reserve_scratch(p, x->folded, err);
			if (rc == RC_OK)
				rc = reserve_scratch(p, x->raw, err);
		}
	}
	for (uint32_t i = 0; rc == RC_OK && i < p->n_groups; i++)
		rc = reserve_scratch(p, p->groups[i].folded, err);
	return rc;
}

static void
compiler_fini(struct compiler *c)
{
	byte_map_fini(&c->slot_map);
	byte_map_fini(&c->unit_map);
	byte_map_fini(&c->route_leaves);
	byte_map_fini(&c->route_atoms);
	for (uint32_t i = 0; i < c->n_units; i++) {
		byte_map_fini(&c->units[i].leaf_map);
		byte_map_fini(&c->units[i].atom_map);
	}
	free(c->slots);
	free(c->leaves);
	free(c->atoms);
	free(c->units);
}

enum rc
program_compile(const struct program_source *source, struct arena *arena,
    struct program **out, struct error *err)
{
	struct compiler c = {
		.arena = arena,
		.taxonomy = source->taxonomy,
		.cache = source->cache,
	};
	enum rc rc;

	if (hs_valid_platform() != HS_SUCCESS)
		return error_set(err, RC_LIBRARY,
		    "Hyperscan needs a CPU with SSSE3; install Vectorscan on "
		    "others");
	c.program = xzalloc(sizeof(*c.program));
	compile_rules(&c, source->rules, source->n);
	compile_routes(&c);
	name_slots(&c);
	find_routing(&c);
	c.program->leaves =
	    arena_alloc(arena, (c.n_leaves + 1) * sizeof(c.program->leaves[0]));
	rc = compile_indexes(&c, err);
	compile_order(&c);
	finish(&c);
	if (rc == RC_OK && c.overflow)
		rc = error_set(err, RC_LIMIT,
		    "the rules name more than %d fields", SLOTS_MAX);
	if (rc == RC_OK)
		rc = allocate_scratch(c.program, err);
	compiler_fini(&c);
	if (rc != RC_OK) {
		program_free(c.program);
		return rc;
	}
	*out = c.program;
	return RC_OK;
}

void
program_free(struct program *p)
{
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->n_units; i++) {
		for (uint32_t k = 0; k < p->units[i].n_indexes; k++) {
			(void)hs_free_database(p->units[i].indexes[k].folded);
			(void)hs_free_database(p->units[i].indexes[k].raw);
		}
	}
	for (uint32_t i = 0; i < p->n_groups; i++)
		(void)hs_free_database(p->groups[i].folded);
	for (uint32_t i = 0; i < p->n_atoms; i++)
		pcre2_code_free(p->atoms[i].code);
	(void)hs_free_scratch(p->scratch);
	free(p);
}
