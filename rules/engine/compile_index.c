/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the values of an event's field find the atoms that hold of them: exact
 * texts by hash table, texts within by Hyperscan's literal matcher on folded
 * values, regular expressions by Hyperscan on the values as they are, the rest
 * one by one.
 */
#include <stdlib.h>

#include "compile.h"
#include "pattern.h"
#include "utf8.h"
#include "xalloc.h"

/* A leaf of so few texts is cheaper compared when a tree asks for it. */
enum { LAZY_ATOMS_MAX = 12 };

/* The atoms of one (unit, slot), sorted out; malloc'ed. */
struct draft {
	uint32_t unit;
	uint16_t slot;
	struct ids exact, literals, regexes, others;
};

static bool
is_lazy(const struct compiler *c, const struct leaf_draft *leaf)
{
	if (leaf->trigger)
		return false;
	if (leaf->unit == UINT32_MAX) /* of a route */
		return true;
	for (uint32_t i = 0; i < leaf->atoms.n; i++)
		if (c->atoms[leaf->atoms.items[i]].atom.match.kind !=
		    MATCH_PATTERN)
			return true;
	return leaf->atoms.n <= LAZY_ATOMS_MAX;
}

static bool
is_wanted(const struct compiler *c, const struct atom_draft *a)
{
	for (uint32_t i = 0; i < a->leaves.n; i++)
		if (!is_lazy(c, &c->leaves[a->leaves.items[i]]))
			return true;
	return false;
}

static void
sort_out(struct draft *d, const struct atom *a, uint32_t id)
{
	struct slice text;
	uint32_t part;

	bool pattern = a->match.kind == MATCH_PATTERN;

	if (a->match.kind == MATCH_REGEX)
		ids_add(&d->regexes, id);
	else if (pattern && d->slot != NO_SLOT &&
	    pattern_is_plain(&a->match.pattern, &text))
		ids_add(&d->exact, id);
	else if (pattern && compile_literal(a, &part).len > 0)
		ids_add(&d->literals, id);
	else
		ids_add(&d->others, id);
}

/* ---- exact ------------------------------------------------------------- */

static void
build_exact(struct compiler *c, const struct draft *d,
    struct exact_table *table)
{
	uint32_t size = 8;

	if (d->exact.n == 0)
		return;
	while (size < 2 * d->exact.n)
		size *= 2;
	table->mask = size - 1;
	table->atoms = arena_alloc(c->arena, size * sizeof(uint32_t));
	table->hashes = arena_alloc(c->arena, size * sizeof(uint32_t));
	memset(table->atoms, 0, size * sizeof(uint32_t));
	for (uint32_t i = 0; i < d->exact.n; i++) {
		struct atom *a = &c->atoms[d->exact.items[i]].atom;
		struct pattern folded = a->match.cased
		    ? pattern_fold(c->arena, a->match.pattern)
		    : a->match.pattern;
		struct slice text =
		    folded.n == 0 ? SLICE("") : folded.parts[0].text;
		uint32_t h = program_hash(text), at = h & table->mask;

		table->lengths |= UINT64_C(1) << length_bit(text.len);
		a->verify = a->match.cased;
		while (table->atoms[at] != 0)
			at = (at + 1) & table->mask;
		table->atoms[at] = d->exact.items[i] + 1;
		table->hashes[at] = h;
	}
}

/* ---- literals ---------------------------------------------------------- */

/* What Hyperscan looks for to find the atom; sets how a hit is judged. */
static struct slice
literal_of(struct compiler *c, struct atom *a)
{
	const struct pattern *p = &a->match.pattern;
	uint32_t part = 0;
	struct slice text = compile_literal(a, &part);
	bool first = part == 0, last = part + 1 == p->n;
	bool open_start = part == 1 && p->parts[0].kind == PART_ANY;
	bool open_end = part + 2 == p->n && p->parts[part + 1].kind == PART_ANY;

	a->verify = a->match.cased || text.len > LITERAL_MAX ||
	    !(first || open_start) || !(last || open_end);
	a->at_start = !a->verify && first;
	a->at_end = !a->verify && last;
	if (text.len > LITERAL_MAX)
		text.len = LITERAL_MAX;
	if (!a->match.cased)
		return text;
	/* a piece of the whole, folded, is a piece of the folded whole */
	text = pattern_fold(c->arena,
	    pattern_plain(c->arena,
		(struct slice){ text.ptr, utf8_cut(text, text.len) }))
		   .parts[0]
		   .text;
	return text;
}

struct literal_draft {
	struct slice text;
	struct ids atoms;
};

static enum rc
compile_literals(const struct database_patterns *p, hs_database_t **db,
    struct error *err)
{
	unsigned *numbers = xcalloc(p->n, sizeof(numbers[0]));
	hs_compile_error_t *why = NULL;
	hs_error_t code;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < p->n; i++)
		numbers[i] = i;
	code = hs_compile_lit_multi(p->texts, p->flags, numbers, p->lens, p->n,
	    HS_MODE_BLOCK, NULL, db, &why);
	if (code != HS_SUCCESS)
		rc = error_set(err, RC_LIBRARY, "Hyperscan: %s (%d)",
		    why != NULL ? why->message : "failed", code);
	(void)hs_free_compile_error(why);
	free(numbers);
	return rc;
}

/* From the cache, or made. */
static enum rc
literals_database(struct compiler *c, const struct literal_draft *drafts,
    uint32_t n, hs_database_t **db, struct error *err)
{
	const char **texts = xcalloc(n, sizeof(texts[0]));
	size_t *lens = xcalloc(n, sizeof(lens[0]));
	unsigned *flags = xcalloc(n, sizeof(flags[0]));
	const struct database_patterns patterns = { 'l', texts, lens, flags,
		n };
	uint8_t key[SHA256_BYTES];
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < n; i++) {
		texts[i] = drafts[i].text.ptr;
		lens[i] = drafts[i].text.len;
	}
	database_cache_key(&patterns, key);
	if (!database_cache_get(c->cache, key, db, NULL, 0)) {
		rc = compile_literals(&patterns, db, err);
		if (rc == RC_OK)
			database_cache_put(c->cache, key, *db, NULL, 0);
	}
	free(texts);
	free(lens);
	free(flags);
	return rc;
}

static enum rc
index_literals(struct compiler *c, struct literal_draft *drafts, uint32_t n,
    struct slot_index *index, struct error *err)
{
	struct literal *literals =
	    arena_alloc(c->arena, n * sizeof(literals[0]));

	for (uint32_t i = 0; i < n; i++) {
		literals[i].len = (uint32_t)drafts[i].text.len;
		literals[i].atoms =
		    ids_take(&drafts[i].atoms, c->arena, &literals[i].n);
	}
	index->literals = literals;
	return literals_database(c, drafts, n, &index->folded, err);
}

static enum rc
build_literals(struct compiler *c, const struct draft *d,
    struct slot_index *index, struct error *err)
{
	struct byte_map map = { 0 };
	struct literal_draft *drafts;
	uint32_t n = 0;
	enum rc rc;

	if (d->literals.n == 0)
		return RC_OK;
	drafts = xcalloc(d->literals.n, sizeof(drafts[0]));
	for (uint32_t i = 0; i < d->literals.n; i++) {
		uint32_t id = d->literals.items[i];
		struct slice text = literal_of(c, &c->atoms[id].atom);
		bool is_new;
		uint32_t *at = byte_map_at(&map, text, &is_new);

		if (is_new) {
			*at = n;
			drafts[n++].text = text;
		}
		ids_add(&drafts[*at].atoms, id);
	}
	byte_map_fini(&map);
	rc = index_literals(c, drafts, n, index, err);
	free(drafts);
	return rc;
}

/* ---- a unit ------------------------------------------------------------ */

static enum rc
build_index(struct compiler *c, struct draft *d, struct slot_index *index,
    struct error *err)
{
	enum rc rc;

	*index = (struct slot_index){ .slot = d->slot };
	build_exact(c, d, &index->exact);
	rc = build_literals(c, d, index, err);
	if (rc != RC_OK)
		return rc;
	if (d->regexes.n > 0)
		compile_regexes(c, &d->regexes, &d->others, index);
	index->others = ids_take(&d->others, c->arena, &index->n_others);
	return RC_OK;
}

static void
draft_fini(struct draft *d)
{
	free(d->exact.items);
	free(d->literals.items);
	free(d->regexes.items);
	free(d->others.items);
}

/* (unit, slot) -> draft, over all atoms that something must look for. */
static struct draft *
make_drafts(struct compiler *c, uint32_t *n)
{
	struct byte_map map = { 0 };
	struct draft *drafts = NULL;
	uint32_t cap = 0;

	*n = 0;
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		struct atom_draft *a = &c->atoms[i];
		uint32_t key[2] = { a->unit, a->atom.slot };
		uint32_t *at;
		bool is_new;

		if (a->unit == UINT32_MAX || !is_wanted(c, a))
			continue;
		at = byte_map_at(&map,
		    (struct slice){ (const char *)key, sizeof(key) }, &is_new);
		if (is_new || drafts == NULL) {
			if (*n == cap) {
				cap = cap == 0 ? 256 : 2 * cap;
				drafts = xreallocarray(drafts, cap,
				    sizeof(drafts[0]));
			}
			*at = *n;
			drafts[(*n)++] = (struct draft){ .unit = a->unit,
				.slot = a->atom.slot };
		}
		sort_out(&drafts[*at], &a->atom, i);
	}
	byte_map_fini(&map);
	return drafts;
}

/* ---- keywords of several units at once --------------------------------- */

static void
number_groups(struct compiler *c)
{
	struct program *p = c->program;
	struct byte_map map = { 0 };

	for (uint32_t i = 0; i < c->n_units; i++) {
		struct unit *u = &c->units[i].unit;
		bool is_new;
		uint32_t *at = byte_map_at(&map, u->logsource.product, &is_new);

		if (is_new)
			*at = p->n_groups++;
		u->group = (uint16_t)*at;
	}
	byte_map_fini(&map);
	p->groups =
	    arena_alloc(c->arena, (p->n_groups + 1) * sizeof(p->groups[0]));
	memset(p->groups, 0, (p->n_groups + 1) * sizeof(p->groups[0]));
}

/* A database for the keywords of each group that several units have some in. */
static enum rc
build_groups(struct compiler *c, const struct draft *drafts, uint32_t n,
    struct error *err)
{
	struct program *p = c->program;
	struct draft *groups;
	uint32_t *members;
	enum rc rc = RC_OK;

	number_groups(c);
	groups = xcalloc(p->n_groups + 1, sizeof(groups[0]));
	members = xcalloc(p->n_groups + 1, sizeof(members[0]));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t g = c->units[drafts[i].unit].unit.group;

		if (drafts[i].slot != NO_SLOT || drafts[i].literals.n == 0)
			continue;
		members[g]++;
		for (uint32_t k = 0; k < drafts[i].literals.n; k++)
			ids_add(&groups[g].literals,
			    drafts[i].literals.items[k]);
	}
	for (uint32_t g = 0; g < p->n_groups; g++) {
		groups[g].slot = NO_SLOT;
		if (rc == RC_OK && members[g] > 1)
			rc = build_literals(c, &groups[g], &p->groups[g], err);
		draft_fini(&groups[g]);
	}
	free(groups);
	free(members);
	return rc;
}

/* ---- everything -------------------------------------------------------- */

static void
place_indexes(struct compiler *c, const struct draft *drafts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		c->units[drafts[i].unit].unit.n_indexes++;
	for (uint32_t u = 0; u < c->n_units; u++) {
		struct unit *unit = &c->units[u].unit;
		uint16_t *by_slot = arena_alloc(c->arena,
		    (c->n_slots + 1) * sizeof(by_slot[0]));

		memset(by_slot, 0, (c->n_slots + 1) * sizeof(by_slot[0]));
		unit->by_slot = by_slot;
		unit->indexes = arena_alloc(c->arena,
		    (unit->n_indexes + 1) * sizeof(unit->indexes[0]));
		unit->n_indexes = 0;
	}
}

enum rc
compile_indexes(struct compiler *c, struct error *err)
{
	uint32_t n;
	struct draft *drafts = make_drafts(c, &n);
	enum rc rc = RC_OK;

	place_indexes(c, drafts, n);
	c->program->n_indexes = n;
	for (uint32_t i = 0; i < n; i++) {
		struct unit *unit = &c->units[drafts[i].unit].unit;
		struct slot_index *index = &unit->indexes[unit->n_indexes];

		if (rc == RC_OK) {
			rc = build_index(c, &drafts[i], index, err);
			index->number = i;
			unit->n_indexes++;
			if (drafts[i].slot == NO_SLOT)
				unit->keywords = index;
			else
				((uint16_t *)(uintptr_t)
					unit->by_slot)[drafts[i].slot] =
				    (uint16_t)unit->n_indexes;
			if (drafts[i].slot != NO_SLOT &&
			    c->program->slots[drafts[i].slot].is_extra)
				unit->has_extras = true;
		}
	}
	if (rc == RC_OK)
		rc = build_groups(c, drafts, n, err);
	for (uint32_t i = 0; i < n; i++)
		draft_fini(&drafts[i]);
	free(drafts);
	for (uint32_t i = 0; i < c->n_leaves; i++)
		c->program->leaves[i].lazy = is_lazy(c, &c->leaves[i]);
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		struct atom *a = &c->atoms[i].atom;

		if (a->match.kind == MATCH_REGEX)
			a->code = regex_compile(a->match.text, a->match.flags);
	}
	return rc;
}
