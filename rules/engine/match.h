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
	PLAN_WAYS = 4, /* places that a plan may have */
	PLAN_ROUTES = 8,
	PLAN_LASTS = 16,
	PLAN_LISTS = 16,   /* of several values, of an event as planned */
	PLAN_FIELDS = 128, /* of a plan that is kept */
	MEMO_VALUES = 16,  /* of an index */
	MEMO_MANY = 256,   /* of one that was asked so many others, */
	MEMO_MISSES = 4096,
	MEMO_GROWN = 48, /* and of no more indexes than these */
	MEMO_TEXT = 192,
	MEMO_ATOMS = 10
};

/* A scalar of the event, its texts made when asked for. */
struct ref {
	uint32_t epoch; /* of `refs` of a matcher: the event it is of */
	const struct value *value; /* NULL: `raw` is all there is */
	struct slice raw;          /* ptr NULL: not made yet */
	struct slice folded;
};

struct link {
	uint32_t ref;
	uint32_t next; /* link + 1; 0: the last */
};

/* A field of the event: the chain of its values. */
struct slot_state {
	uint32_t epoch; /* of `slots` of a matcher: the event that has it */
	uint32_t first; /* link + 1; 0: it is null */
	uint32_t last;
};

/* A value that keywords are sought in. */
struct keyword {
	struct ref ref;
	uint32_t end; /* in the text of all */
};

/*
 * What the units of a route want besides scans of the slots that events have.
 */
struct route_work {
	uint32_t n_joined, n_busy;
	/* databases of literals that are sought in all keywords' texts */
	const struct slot_index **joined;
	uint16_t *busy; /* units that want more than those */
};

struct route_entry {
	struct route_work work; /* owned */
	uint64_t number;        /* grows with each that is made */
	uint16_t key_len;       /* 0: free */
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
 * The route that an event of a plan took lately, and what it had in the fields
 * that decide: the next ones mostly have the same.
 */
struct plan_last {
	const struct route_entry *route; /* NULL: none */
	uint64_t number;                 /* it had: an entry may be made anew */
	char text[ROUTE_KEY_MAX];
};

/*
 * What events have in common that have the same fields in the same order: which
 * fields have slots, and which of these are scanned on the routes they took.
 */
struct plan {
	uint32_t n; /* fields; UINT32_MAX: the plan is free */
	uint32_t n_used;
	uint32_t cap;
	uint32_t original; /* where event.original is; UINT32_MAX: nowhere */
	uint32_t *ids;     /* owned, as all below */
	struct plan_field *used;
	/* how slots and links look where each field of `used` is one scalar,
	 * and that is ref i of the event */
	struct plan_slot *slots;
	uint32_t n_slots, cap_slots;
	uint16_t *by_slot; /* slot -> place in `slots` + 1; 0: not there */
	uint16_t *routing; /* places in `slots` of what decides about units */
	uint32_t n_routing;
	struct link *links;
	uint32_t n_links, cap_links;
	struct plan_route routes[PLAN_ROUTES];
	/* fields whose values decide about units, each once */
	uint16_t *deciding;
	uint32_t n_deciding;
	struct plan_last *lasts; /* PLAN_LASTS, by last_place(); owned */
	struct plan_last *last;  /* of these, of the event before */
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

struct memo {
	struct memo_value *values; /* a power of two of them, or NULL */
	uint32_t n;
	uint32_t misses; /* so far; not counted when it has grown */
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
	const struct link *links; /* of the plan, or own: match_event.c */
	struct link *own_links;
	uint32_t n_links, cap_links;
	bool as_planned; /* slots and refs not made here are as the plan says */
	uint16_t lists[PLAN_LISTS]; /* places in `used` */
	uint32_t n_lists;
	struct slot_state *slots;
	bool
	    extras_ready; /* slots that no field of the event names are made: */
	uint16_t *extras;
	uint32_t n_extras;
	struct keyword *keywords;
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
	uint32_t n_plans;   /* made so far */
	struct plan *plan;  /* of this event */
	/* of this event: what is scanned of the plan's slots; NULL: not known */
	const struct plan_route *plan_route;

	struct route_entry *routes;
	uint64_t n_routes; /* made so far */
	/* those that the event belongs to, and what they want: of its route
	 * entry, or own */
	const uint16_t *units;
	uint32_t n_units;
	const struct route_work *work;
	uint16_t *own_units;
	struct route_work own_work;
	uint16_t *in_group; /* by group; scratch of match_route.c, all 0 */

	struct memo *memos;      /* by index */
	uint32_t n_grown;        /* of these */
	struct memo_value *memo; /* that the scan notes atoms in, or NULL */
};

/*
 * Whether `n` bytes are the same: values are short, and a call takes longer
 * than that.  The last word is compared again where n is no multiple of it.
 */
static inline bool
match_same(const char *a, const char *b, size_t n)
{
	uint64_t x, y;
	uint32_t u, v;
	size_t i = 0;

	if (n >= sizeof(x)) {
		for (;; i = i + 2 * sizeof(x) <= n ? i + sizeof(x)
						   : n - sizeof(x)) {
			memcpy(&x, a + i, sizeof(x));
			memcpy(&y, b + i, sizeof(y));
			if (x != y)
				return false;
			if (i + sizeof(x) == n)
				return true;
		}
	}
	if (n >= sizeof(u)) {
		memcpy(&u, a, sizeof(u));
		memcpy(&v, b, sizeof(v));
		if (u != v)
			return false;
		memcpy(&u, a + n - sizeof(u), sizeof(u));
		memcpy(&v, b + n - sizeof(v), sizeof(v));
		return u == v;
	}
	for (; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

/* match_memo.c */
void match_memos_init(struct matcher *m);
void match_memos_fini(struct matcher *m);
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
void match_keywords(struct matcher *m); /* fills `keywords` */
void match_extras(struct matcher *m);   /* makes them */
void match_make_ref(struct matcher *m, uint32_t ref);

/* What a plan's ref is of: a scalar, or the one item of a list. */
static inline const struct value *
match_planned_value(const struct matcher *m, uint32_t ref)
{
	const struct value *v =
	    &m->event->fields[m->plan->used[ref].field].value;

	return v->kind == VALUE_LIST ? v->list : v;
}

static inline struct ref *
match_ref(struct matcher *m, uint32_t ref)
{
	if (m->refs[ref].epoch != m->epoch)
		match_make_ref(m, ref);
	return &m->refs[ref];
}

/* NULL: the event does not have it. */
static inline const struct slot_state *
match_slot(struct matcher *m, uint16_t slot)
{
	uint16_t at;

	if (m->program->slots[slot].is_extra && !m->extras_ready)
		match_extras(m);
	if (m->slots[slot].epoch == m->epoch)
		return &m->slots[slot];
	at = m->as_planned ? m->plan->by_slot[slot] : 0;
	return at != 0 ? &m->plan->slots[at - 1].state : NULL;
}

/* link + 1; 0: missing or null */
static inline uint32_t
match_first(struct matcher *m, uint16_t slot)
{
	const struct slot_state *s = match_slot(m, slot);

	return s != NULL ? s->first : 0;
}

/* match_route.c */
void match_routes_init(struct matcher *m);
void match_routes_fini(struct matcher *m);
void match_route(struct matcher *m, const struct logsource *ls);

/* match_atom.c */
struct slice ref_make_raw(struct matcher *m, struct ref *r);
static inline struct slice
ref_raw(struct matcher *m, struct ref *r)
{
	return r->raw.ptr != NULL ? r->raw : ref_make_raw(m, r);
}
struct slice ref_folded(struct matcher *m, struct ref *r);

/* Its text; no ref is made where it is one already. */
static inline struct slice
match_raw(struct matcher *m, uint32_t ref)
{
	const struct value *v;

	if (m->refs[ref].epoch == m->epoch)
		return ref_raw(m, &m->refs[ref]);
	v = match_planned_value(m, ref);
	return v->kind == VALUE_STRING ? v->s : ref_raw(m, match_ref(m, ref));
}
/*
 * The folded texts of `keywords`, a byte after each that no text has, so that
 * nothing is found across two.
 */
struct slice match_joined(struct matcher *m);
bool match_value(struct matcher *m, const struct atom *a, struct ref *r);
bool match_atom(struct matcher *m, const struct atom *a);
bool match_leaf(struct matcher *m, uint32_t leaf);
bool match_tree(struct matcher *m, const struct sigma_node *n);
