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
	ROUTE_UNITS_MAX = 24,
	PLANS = 256,
	PLAN_ROUTES = 8,
	PLAN_FIELDS = 128, /* of a plan that is kept */
	MEMO_VALUES = 16,  /* of an index */
	MEMO_TEXT = 192,
	MEMO_ATOMS = 10
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
	uint64_t number; /* grows with each that is made */
	uint32_t hash;
	uint16_t key_len; /* 0: free */
	uint16_t n_units;
	uint16_t units[ROUTE_UNITS_MAX];
	char key[ROUTE_KEY_MAX];
};

/* A field of an event that has slots: `n` of them at `slots` in the pool. */
struct plan_field {
	uint16_t field;
	uint16_t n;
	uint32_t slots;
	uint32_t links; /* the first of its `n` */
};

/* Which slots of a plan are scanned on a route. */
struct plan_route {
	uint64_t number; /* of the route entry; 0: free */
	uint32_t n, cap;
	const struct slot_index **scans; /* owned */
};

struct plan_slot {
	uint16_t slot;
	struct slot_state state;
};

/*
 * What events have in common that have the same fields in the same order: which
 * fields have slots, and which of these are scanned on the routes they took.
 */
struct plan {
	uint32_t n; /* fields; 0: the plan is free */
	uint32_t n_used;
	uint32_t cap;
	uint32_t original; /* where event.original is; UINT32_MAX: nowhere */
	uint32_t *ids;     /* owned, as all below */
	struct plan_field *used;
	/* how slots and links look where each field of `used` is one scalar,
	 * and that is ref i of the event */
	struct plan_slot *slots;
	uint32_t n_slots, cap_slots;
	struct link *links;
	uint32_t n_links, cap_links;
	struct plan_route routes[PLAN_ROUTES];
};

/*
 * A value that an index was asked before, and the atoms that hold of it: logs
 * say the same programs, users and browsers over and over.
 */
struct memo_value {
	uint16_t len; /* 0: free */
	uint16_t n;   /* MEMO_ATOMS + 1: they are too many */
	uint32_t atoms[MEMO_ATOMS];
	char text[MEMO_TEXT];
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
	uint32_t n_planned;     /* of these, those of the plan */
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

	struct plan *plans; /* and one more, of events with many fields */
	struct plan *plan;  /* of this event */
	/* of this event: what is scanned of the plan's slots; NULL: not known */
	const struct plan_route *plan_route;

	struct route_entry *routes;
	uint64_t n_routes; /* made so far */
	uint32_t *units;   /* that the event belongs to */
	uint32_t n_units;

	struct memo_value **memos; /* by index: MEMO_VALUES, or NULL */
	struct memo_value *memo;   /* that the scan notes atoms in, or NULL */
};

/* match_memo.c */
/*
 * The place of a value in the memo of an index: one that `is_known`, or one to
 * be filled; NULL: it is empty or too long.
 */
struct memo_value *match_memo(struct matcher *m, const struct slot_index *x,
    struct slice text, bool *is_known);
void match_memo_fill(struct memo_value *v, struct slice text);

/* match_plan.c */
void match_plans_init(struct matcher *m);
void match_plans_fini(struct matcher *m);
void match_plan(struct matcher *m, const struct event *ev);
/* Finds plan_route for the units of a route. */
void match_plan_route(struct matcher *m, const struct route_entry *e);

/* match_event.c */
void match_begin(struct matcher *m, const struct event *ev);
void match_route(struct matcher *m, const struct logsource *ls);
void match_keywords(struct matcher *m); /* fills keyword_refs */

/* match_atom.c */
struct slice ref_make_raw(struct matcher *m, struct ref *r);
static inline struct slice
ref_raw(struct matcher *m, struct ref *r)
{
	return r->raw.ptr != NULL ? r->raw : ref_make_raw(m, r);
}
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
