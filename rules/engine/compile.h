/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of program_compile() share; internal to compile*.c. */
#pragma once

#include "database_cache.h"
#include "program.h"

/* A list that grows; malloc'ed. */
struct ids {
	uint32_t *items;
	uint32_t n, cap;
};
void ids_add(struct ids *ids, uint32_t id);
/* A copy in the arena; the list is freed and empty. */
const uint32_t *ids_take(struct ids *ids, struct arena *arena, uint32_t *n);

/* Bytes -> number, malloc'ed. */
struct byte_map {
	struct byte_key {
		char *bytes;
		size_t len;
		uint32_t hash;
		uint32_t value;
	} * keys;
	uint32_t n;
	uint32_t *table;
	uint32_t mask;
};
/* The place of the value; *is_new tells if it was just made (0). */
uint32_t *byte_map_at(struct byte_map *m, struct slice key, bool *is_new);
void byte_map_fini(struct byte_map *m);

struct leaf_draft {
	struct ids atoms;
	struct ids rules;
	uint32_t unit; /* UINT32_MAX: of a route */
	uint32_t uses; /* in trees */
	uint16_t slot;
	float weight; /* of compile_weights() */
	bool trigger;
};

struct atom_draft {
	struct atom atom;
	struct ids leaves;
	uint32_t unit;
};

struct unit_draft {
	struct unit unit;
	struct ids always;
	struct byte_map leaf_map;
	struct byte_map atom_map;
};

struct compiler {
	struct arena *arena;
	struct taxonomy *taxonomy;
	struct database_cache *cache;
	struct program *program;

	struct byte_map slot_map; /* folded name -> slot + 1 */
	struct slot *slots;       /* malloc'ed */
	uint32_t n_slots, cap_slots;

	struct leaf_draft *leaves; /* malloc'ed, as all below */
	uint32_t n_leaves, cap_leaves;
	struct atom_draft *atoms;
	uint32_t n_atoms, cap_atoms;
	struct unit_draft *units;
	uint32_t n_units, cap_units;
	struct byte_map unit_map;

	struct byte_map route_leaves, route_atoms;
	bool overflow; /* more slots than SLOTS_MAX */
};

/* compile_tree.c: the tree of a rule or selection over leaves. */
const struct sigma_node *compile_tree(struct compiler *c, uint32_t unit,
    const struct sigma_rule *rule);
const struct sigma_node *compile_selection(struct compiler *c, uint32_t unit,
    const struct sigma_selection *s);
/* The slot of a field; NO_SLOT for an empty name. */
uint16_t compile_slot(struct compiler *c, struct slice field);

/* When leaves are known to be lazy or not: what is cheap is asked first. */
void compile_order(struct compiler *c);

/*
 * compile_cover.c, when all trees are made.  First how often each leaf may
 * hold, from 0 to 1; < 0: it can hold where nothing is found.
 */
void compile_weights(struct compiler *c);
/*
 * Then, for each tree: chooses leaves of which one holds whenever the tree
 * does, marks them and adds `rule` to them; false: there are none.
 */
bool compile_cover(struct compiler *c, const struct sigma_node *tree,
    uint32_t rule);

/* compile_index.c: tables and databases of every unit. */
enum rc compile_indexes(struct compiler *c, struct error *err);

/*
 * compile_regex.c: the database of a field's expressions, which are taken; what
 * no database can hold is added to `others`.
 */
void compile_regexes(struct compiler *c, struct ids *regexes,
    struct ids *others, struct slot_index *index);

/* REGEX_* as Hyperscan's flags. */
unsigned compile_hs_flags(uint8_t flags);

/* The longest text that must be in what a pattern matches; folded. */
struct slice compile_literal(const struct atom *a, uint32_t *part);
