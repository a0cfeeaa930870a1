/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread's matching; internal to match*.c.
 *
 * Everything about "this event" is marked with the event's number (`epoch`),
 * so nothing has to be cleared between events.
 */
#pragma once

#include "program.h"

enum {
	ROUTE_CACHE = 1024, /* entries */
	ROUTE_KEY_MAX = 256,
	ROUTE_UNITS_MAX = 24
};

/* A scalar of the event, its texts made when asked for. */
struct ref {
	const struct value *value; /* NULL: `raw` is all there is */
	struct slice raw;          /* ptr NULL: not made yet */
	struct slice folded;
};

struct link {
	uint32_t ref;
	uint32_t next; /* link + 1; 0: the last */
};

struct slot_state {
	uint32_t epoch; /* the event has the field */
	uint32_t first; /* link + 1; 0: it is null */
	uint32_t last;
};

struct route_entry {
	uint32_t hash;
	uint16_t key_len; /* 0: free */
	uint16_t n_units;
	uint16_t units[ROUTE_UNITS_MAX];
	char key[ROUTE_KEY_MAX];
};

struct matcher {
	struct ruleset *ruleset; /* a reference */
	const struct program *program;
	struct arena *arena; /* of this event */
	hs_scratch_t *scratch;
	struct regex_scratch regex;
	uint32_t epoch;

	const struct event *event;
	struct ref *refs;
	uint32_t n_refs, cap_refs;
	struct link *links;
	uint32_t n_links, cap_links;
	uint32_t *field_refs; /* by field of the event: its first ref */
	struct slot_state *slots;
	uint16_t *present; /* slots of this event */
	uint32_t n_present;
	uint32_t *keyword_refs; /* values that keywords are sought in */
	uint32_t *keyword_ends; /* where each ends in `joined` */
	uint32_t n_keywords, cap_keywords;
	bool keywords_ready;
	struct slice joined; /* ptr NULL: not made yet */

	uint32_t *leaf_true;  /* by leaf: epoch */
	uint32_t *leaf_false; /* lazy ones that were evaluated */
	uint32_t *rule_seen;
	uint32_t *results; /* candidates, then matches */
	uint32_t n_results;

	/* field id -> offset in `pool` + 1; 0: not looked up yet */
	uint32_t *field_slots;
	uint32_t cap_field_slots;
	uint16_t *pool; /* count, slots... */
	uint32_t n_pool, cap_pool;

	struct route_entry *routes;
	uint32_t *units; /* that the event belongs to */
	uint32_t n_units;
};

/* match_event.c */
void match_begin(struct matcher *m, const struct event *ev);
void match_route(struct matcher *m, const struct logsource *ls);
void match_keywords(struct matcher *m); /* fills keyword_refs */

/* match_atom.c */
struct slice ref_raw(struct matcher *m, struct ref *r);
struct slice ref_folded(struct matcher *m, struct ref *r);
/*
 * The folded texts of keyword_refs, a byte after each that no text has, so that
 * nothing is found across two.
 */
struct slice match_joined(struct matcher *m);
bool match_value(struct matcher *m, const struct atom *a, struct ref *r);
bool match_atom(struct matcher *m, const struct atom *a);
bool match_leaf(struct matcher *m, uint32_t leaf);
bool match_tree(struct matcher *m, const struct sigma_node *n);
