/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules after compiling: what the matcher runs.  Immutable, shared by threads.
 *
 *   event field --names--> slot      a field as rules call it
 *   event       --routes-> units     one for each logsource that rules name
 *   unit, slot  --index--> atoms     one comparison each; equal ones are one
 *   atom        ---------> leaves    OR of atoms: the values of one item
 *   leaf        ---------> rules     those that cannot match unless one of
 *                                    such leaves holds
 *
 * A rule's tree is evaluated only when one of its leaves is hit; leaves that
 * nothing looks for (`lazy`) are evaluated when a tree asks for them.
 */
#pragma once

#include <hs.h>

#include "regex.h"
#include "rule.h"
#include "taxonomy.h"

enum {
	SLOTS_MAX = 8192,
	NO_SLOT = UINT16_MAX, /* of an item: a keyword */
	LITERAL_MAX = 64 /* bytes that Hyperscan looks for, of one pattern */
};

struct atom {
	struct sigma_match match; /* texts folded unless cased */
	const uint32_t *leaves;
	uint32_t n_leaves;
	uint16_t slot;
	uint16_t other;   /* FIELD: the other slot */
	uint16_t unit;    /* of whose keywords it is; else unspecified */
	bool verify;      /* an index hit is not enough */
	bool at_start;    /* a literal counts at offset 0 only, */
	bool at_end;      /* at the end only */
	pcre2_code *code; /* REGEX where it is not in a database; owned */
};

struct leaf {
	const uint32_t *atoms;
	uint32_t n_atoms;
	const uint32_t *rules; /* to evaluate when it holds; ascending */
	uint32_t n_rules;
	uint16_t slot;
	bool lazy;
};

/* Text -> atom, open addressing; `atoms` holds index + 1. */
struct exact_table {
	uint32_t *atoms;
	uint32_t *hashes;
	uint32_t mask;
	uint64_t lengths; /* bit n: a text of n bytes, the last: or of more */
};

/* One text that Hyperscan looks for, and whose it is. */
struct literal {
	const uint32_t *atoms;
	uint32_t n;
	uint32_t len;
};

/* How one field's values are looked up for the rules of one unit. */
struct slot_index {
	uint16_t slot;
	uint32_t number;          /* among all of the program */
	struct exact_table exact; /* folded values */
	hs_database_t *folded;    /* literals; owned */
	const struct literal *literals;
	hs_database_t *raw;      /* regular expressions; owned */
	const uint32_t *regexes; /* id in `raw` -> atom */
	const uint32_t *others;  /* atoms to try one by one */
	uint32_t n_others;
};

struct route_term {
	unsigned parts;                /* SOURCE_* */
	const struct sigma_node *tree; /* leaves are lazy */
};

struct unit {
	struct sigma_logsource logsource;
	struct route_term terms[TAXONOMY_TERMS_MAX];
	uint32_t n_terms;
	struct slot_index *indexes;
	uint32_t n_indexes;
	const uint16_t *by_slot;     /* slot -> index + 1; program's n_slots */
	struct slot_index *keywords; /* among indexes, or NULL */
	uint16_t group;  /* units of one product: events are of several */
	bool has_extras; /* it has an index of such a slot */
	const uint32_t *always; /* rules that no hit can announce */
	uint32_t n_always;
};

struct slot {
	struct slice name;        /* folded */
	bool is_extra;            /* made of something else than a field */
	uint16_t derived_from;    /* NO_SLOT: none */
	struct slice derived_key; /* lower case */
};

struct slot_name {
	struct slice name; /* folded */
	uint16_t slot;
	uint32_t next; /* of the same name: index + 1 */
};

/* What of a slot decides about units. */
enum routing { ROUTING_NOTHING, ROUTING_PRESENCE, ROUTING_VALUE };

/* Of exact_table's `lengths`. */
static inline unsigned
length_bit(size_t len)
{
	return len < 63 ? (unsigned)len : 63;
}

struct program {
	struct slot *slots;
	uint32_t n_slots;
	struct slot_name *names;
	uint32_t n_names;
	uint32_t *name_table; /* hash -> index + 1 of `names` */
	uint32_t name_mask;
	struct slice *prefixes; /* folded */
	uint32_t n_prefixes;
	const uint16_t *derived; /* slots that are */
	uint32_t n_derived;
	uint16_t timestamp; /* slot of @timestamp, or NO_SLOT */
	uint16_t event_id;

	struct atom *atoms;
	uint32_t n_atoms;
	struct leaf *leaves;
	uint32_t n_leaves;
	struct unit *units;
	uint32_t n_units;
	/* by unit.group: `folded` and `literals` of all its units' keywords */
	struct slot_index *groups;
	uint32_t n_groups;
	uint32_t n_indexes;              /* of all units */
	bool has_extras;                 /* slots that are */
	bool extras_route;               /* `routing` has one of them */
	const uint8_t *routing;          /* by slot: enum routing */
	const struct sigma_node **trees; /* by rule; NULL: a correlation */
	uint32_t n_rules;

	hs_scratch_t *scratch; /* prototype; owned */
};

struct database_cache;

/* What a program is made of; read during program_compile() only. */
struct program_source {
	const struct sigma_rule *const *rules; /* NULL: nothing to match */
	uint32_t n;
	struct taxonomy *taxonomy;
	struct database_cache *cache;
};

/* What lives on is in `arena`. */
enum rc program_compile(const struct program_source *source,
    struct arena *arena, struct program **out, struct error *err);
void program_free(struct program *p); /* NULL is fine */

/* The first slot name equal to a folded name: index + 1; 0: none. */
uint32_t program_name(const struct program *p, struct slice folded);

uint32_t program_hash(struct slice s);
