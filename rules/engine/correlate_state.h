/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside correlation: what its files share.
 *
 *   correlate.c          the public functions; the way of a hit
 *   correlate_plan.c     ruleset -> plan: which fields of which hits go where
 *   correlate_group.c    groups and their hits: table, order, bounds
 *   correlate_window.c   whether a condition holds over a window
 *   correlate_run.c      conditions at each hit: runs of hits -> incidents
 *   correlate_absence.c  conditions over what follows a hit; watermarks
 *   correlate_incident.c incidents: ids, growth, reports, restoring
 *
 * A run is a series of hits at which the condition held; an incident is the
 * part of a run from its `fired` time up to the next incident's.  A late hit
 * may lengthen and join runs, and never takes one back: what held is what lies
 * within an incident's times.  So a restart rebuilds everything from the hits
 * and the incidents.
 */
#pragma once

#include "correlate.h"
#include "intern.h"
#include "rule.h"

enum {
	CORR_SLOTS_MAX = RULE_TEMPORAL_MAX,
	CORR_AGENTS_MAX = 64,
	/* Hits behind a group's newest are kept for so many timespans at the
	 * least; while fewer than one of CORR_RELAXED_PART of `max_hits` are
	 * held, for `late_ns`: an agent may be far behind the others; what
	 * waits for sources is kept for CORR_WAIT_NS of it always: these fall
	 * silent after minutes.  What leaves sooner than `late_ns` is counted. */
	CORR_KEEP_SPANS = 3,
	CORR_RELAXED_PART = 16,
	CORR_NONE = -1
};

#define CORR_WAIT_NS (INT64_C(3600) * 1000000000)

/* ---- the plan ----------------------------------------------------------- */

enum corr_kind {
	CORR_AT_HIT, /* at each hit, over the timespan that ends with it */
	CORR_AFTER,  /* for each hit, over the timespan that begins with it */
	CORR_SINGLE  /* matches of one rule, near to each other */
};

/*
 * The first of these places in a hit's values that is not null; else what
 * stands under `key` in the first of `from`.
 */
struct corr_pick {
	const uint16_t *at;
	uint32_t n;
	const uint16_t *from;
	uint32_t n_from;
	struct slice key;
};

struct corr_rule {
	uint32_t index; /* in the ruleset */
	enum corr_kind kind;
	const struct sigma_correlation *def; /* borrowed; NULL: SINGLE */
	int64_t span_ns;
	/*
	 * An incident that fired at t counts the hits after t - reach:
	 * the timespan, or 1 ns where it begins with the hit itself.
	 */
	int64_t reach_ns;
	int64_t due_ns;     /* AFTER: closed once watermarks are beyond */
	bool with_anchor;   /* AFTER: the window holds its hit */
	bool pure_absence;  /* AFTER: one hit more refutes it */
	bool count_events;  /* AT_HIT: true where `need` hits are */
	bool scalar_values; /* numbers, not texts, are aggregated */
	uint32_t need;      /* AT_HIT: fewer hits cannot hold */
	bool scope_all;
	bool visible;
	struct slice id;               /* of the rule */
	const struct slice *key_names; /* group-by, as in the rule */
	uint32_t n_keys;
};

/* How the hits of one rule of the ruleset enter one corr_rule. */
struct corr_feed {
	uint32_t rule; /* in the plan */
	uint32_t slot; /* in the correlation's list of rules */
	bool optional; /* a missing key is left out of the group */
	/* parallel to key_names; `at` is a place in ruleset_hit_fields(), or in
	 * key_names of the correlation that it comes from */
	struct corr_pick *keys;
	struct corr_pick *values;
	uint32_t n_values;
};

struct corr_feeds {
	struct corr_feed *feeds;
	uint32_t n;
};

struct corr_plan {
	struct arena *arena;
	struct ruleset *rs; /* counted; NULL in tests */
	struct corr_rule *rules;
	uint32_t n;
	struct corr_feeds *by_rule; /* by index in the ruleset */
	uint32_t n_by_rule;
};

struct corr_plan *corr_plan_new(struct ruleset *rs,
    const struct correlate_options *options);
void corr_plan_free(struct corr_plan *p);
/* From the definition alone: kind, need ...; span and index are set. */
void corr_rule_derive(struct corr_rule *r, const struct sigma_correlation *def);
/* Whether state of a's rule may go on as b's. */
bool corr_plan_same(const struct corr_plan *a, uint32_t i,
    const struct corr_plan *b, uint32_t j);
/* The rule of the plan that makes incidents of ruleset rule `index`. */
uint32_t corr_plan_find(const struct corr_plan *p, uint32_t index);

/* ---- the state ---------------------------------------------------------- */

/* One event of a group. */
struct corr_hit {
	int64_t time_ns;
	uint64_t k;      /* offset; without a stream: hash of the id, or 0 */
	uint32_t stream; /* interned; INTERN_NONE: none */
	uint32_t agent;  /* interned */
	uint32_t value;  /* interned; INTERN_NONE: none needed */
	uint32_t epoch;  /* of the position in the log */
	uint32_t ordinal;
      uint32_t slots : 30;
	uint32_t held : 1;
	uint32_t closed : 1; /* AFTER: it is judged */
};

struct corr_window;
struct corr_absence;

struct corr_group {
	struct corr_hit *hits; /* [first, first + n), sorted; may be &one */
	struct corr_hit one;
	union {
		char small[24];
		char *text; /* owned; if key_len > sizeof(small) */
	} key;              /* JSON of the values, joined by commas */
	union {
		struct corr_window *window;   /* AT_HIT: of the newest hit */
		struct corr_absence *absence; /* AFTER */
	} extra;
	uint32_t hash;
	uint32_t next; /* of the free list */
	uint32_t rule, owner, key_len;
	uint32_t n, first, cap;
	/* AT_HIT: where the newest hit's window begins; AFTER: the watermarks
	 * passed the windows of all hits before it.  Both count from `first`. */
	uint32_t win;
	int32_t older, newer; /* in the order of last touch, a rule's groups */
	uint32_t touched;     /* seconds of the log's clock */
	int32_t incidents;    /* by fired time, the latest first */
	uint32_t generation;
	int64_t
	    trimmed_ns; /* what is not after it is forgotten; INT64_MIN: none */
};

struct corr_incident {
	uint8_t id[16];
	bool claimed; /* scratch */
	int64_t fired_ns, first_ns, last_ns;
	uint64_t events;
	int32_t next;
	uint32_t group;
	uint32_t *agents; /* interned, sorted by text */
	uint32_t n_agents;
	uint32_t completed_by;
	bool ended_window; /* the end of a window completed it */
	bool reported;
	bool stood; /* it was there, not disproved, when a record ended */
	bool dirty;
	bool disproved;
	uint32_t *ordinals;
	uint32_t n_ordinals, cap_ordinals;
};

/* Consecutive positions of the log share an epoch; the oldest that is used
 * says where a rebuild begins. */
struct corr_epoch {
	uint64_t position; /* the first */
	uint32_t users;
};

struct corr_due {
	int64_t due_ns;
	uint32_t group, generation;
};

/* A watermark, and the groups that wait for it: a heap by due time. */
struct corr_source {
	int64_t watermark_ns;
	struct corr_due *heap;
	uint32_t n, cap;
	uint32_t users; /* groups that it fed */
};

/* A source of a group, and its newest hit there. */
struct corr_fed {
	uint32_t source;
	int64_t newest_ns;
};

struct corr_absence {
	struct corr_fed *fed;
	uint32_t n;
	int64_t passed_ns; /* the least watermark, when it was looked at */
	int64_t before_ns; /* the newest hit of the source that fed last, before
			    * this one; INT64_MIN: none, or this is older */
	bool queued;
	int64_t due_ns; /* the entry of a heap that counts */
};

/* A rule's groups in the order of last touch. */
struct corr_list {
	int32_t oldest, newest;
	int64_t newest_ns; /* latest hit of any */
};

/* Of the table of groups: a look-up that fails touches no group. */
struct corr_slot {
	uint32_t hash;
	uint32_t group; /* UINT32_MAX: free */
};

enum { CORR_CHUNK = 256 };

/* A hit that a correlation's firing is for the ones that refer to it. */
struct corr_chained {
	uint32_t rule; /* of the plan: the one that fired */
	uint32_t owner;
	struct corr_hit hit;
	char *key; /* owned */
	uint32_t key_len;
};

struct correlator {
	struct corr_plan *plan;
	struct correlate_options options;
	uint64_t hash_key[2];
	struct intern streams, agents, owners, values;
	uint32_t last_stream, last_agent, last_owner; /* of the hit before */

	struct corr_group **chunks; /* of CORR_CHUNK */
	uint32_t n_groups, free_group;
	uint32_t live_groups;
	struct corr_slot *slots; /* open addressing, linear */
	uint32_t mask;
	struct corr_list *touched; /* by rule of the plan */

	struct corr_incident *incidents;
	uint32_t n_incidents, cap_incidents;
	int32_t free_incident;
	int32_t *dirty; /* incidents to report */
	uint32_t n_dirty, cap_dirty;

	struct corr_epoch *epochs; /* ring of cap */
	uint32_t epoch_cap, epoch_n, epoch_first;
	uint32_t epoch_hits; /* in the newest */
	uint64_t epoch_last; /* position of the last hit */

	struct corr_source *sources;
	uint32_t n_sources, source;

	struct corr_chained *chained;
	uint32_t n_chained, cap_chained;

	struct corr_window *scratch;
	double *numbers; /* scratch of aggregates */
	uint32_t cap_numbers;
	struct buf key, group, agents_json;
	uint64_t *ordinals;
	uint32_t cap_ordinals;

	bool rebuilding;
	uint32_t clock; /* seconds of the log's clock */
	struct correlator_stats stats;
};

/* correlator_new() with a plan of one's own, which it takes. */
struct correlator *corr_new(struct corr_plan *plan,
    const struct correlate_options *options);

/* ---- groups ------------------------------------------------------------- */

static inline struct corr_group *
corr_group(const struct correlator *c, uint32_t i)
{
	return &c->chunks[i / CORR_CHUNK][i % CORR_CHUNK];
}

static inline struct corr_hit *
corr_hits(const struct corr_group *g)
{
	return g->hits + g->first;
}

static inline struct corr_rule *
corr_rule_of(const struct correlator *c, const struct corr_group *g)
{
	return &c->plan->rules[g->rule];
}

static inline struct slice
corr_key(const struct corr_group *g)
{
	return (struct slice){ g->key_len > sizeof(g->key.small) ? g->key.text
								 : g->key.small,
		g->key_len };
}

void corr_groups_init(struct correlator *c);
void corr_groups_fini(struct correlator *c);
/* Rule i of the plan became rule places[i]; groups of none are removed. */
void corr_groups_renumber(struct correlator *c, const uint32_t *places);
/* CORR_NONE unless `make`; takes no reference of `owner`. */
int32_t corr_group_find(struct correlator *c, uint32_t rule, uint32_t owner,
    struct slice key, bool make);
void corr_group_remove(struct correlator *c, uint32_t group);
/* It got a hit: the newest of its rule's. */
void corr_group_touch(struct correlator *c, uint32_t group);
/* What neither the bounds nor the log's clock allow any more. */
void corr_groups_bound(struct correlator *c, uint32_t keep);
void corr_groups_forget(struct correlator *c);

/* By time, stream, offset; 0: the same place. */
int corr_hit_order(const struct correlator *c, const struct corr_hit *a,
    const struct corr_hit *b);
/* The first hit later than `after_ns`; from 0 to n. */
uint32_t corr_hits_after(const struct corr_group *g, int64_t after_ns);
/* Puts it at `at`, takes its references over. */
void corr_hit_insert(struct correlator *c, struct corr_group *g, uint32_t at,
    const struct corr_hit *hit);
void corr_hit_remove(struct correlator *c, struct corr_group *g, uint32_t at);
/* Drops the first `n`. */
void corr_hits_trim(struct correlator *c, struct corr_group *g, uint32_t n);
/* How far behind its newest hit a rule's group keeps hits now. */
int64_t corr_kept_ns(const struct correlator *c, const struct corr_rule *r);

/* Of the first `n` hits, which leave now, those that only a shortage forces. */
uint32_t corr_shortened(const struct correlator *c, const struct corr_group *g,
    uint32_t n);

void corr_hit_drop(struct correlator *c, const struct corr_hit *hit);

/* The epoch of a position; users keep it. */
uint32_t corr_epoch_of(struct correlator *c, uint64_t position);
void corr_epoch_ref(struct correlator *c, uint32_t epoch);
void corr_epoch_drop(struct correlator *c, uint32_t epoch);

/* ---- windows ------------------------------------------------------------ */

struct corr_window *corr_window_new(void);
void corr_window_free(struct corr_window *w);
void corr_window_clear(struct corr_window *w);
void corr_window_add(struct corr_window *w, const struct corr_rule *r,
    const struct corr_hit *h);
void corr_window_remove(struct corr_window *w, const struct corr_rule *r,
    const struct corr_hit *h);
/* `begin_ns`: hits at it or before are outside (temporal_ordered). */
bool corr_window_holds(const struct corr_window *w, const struct corr_rule *r,
    uint32_t n, int64_t begin_ns);
/* Over the hits [from, to) of a group; any type. */
bool corr_holds(struct correlator *c, const struct corr_group *g, uint32_t from,
    uint32_t to);

/* ---- evaluation --------------------------------------------------------- */

/* The hit at `at` is new (`fresh`), or has a new slot. */
void corr_run_update(struct correlator *c, uint32_t group, uint32_t at,
    bool fresh);
void corr_run_forget_window(struct corr_group *g);
/* After restoring: what held. */
void corr_run_restore(struct correlator *c, uint32_t group);

void corr_absence_update(struct correlator *c, uint32_t group, uint32_t at,
    bool fresh);
void corr_absence_restore(struct correlator *c, uint32_t group);
void corr_absence_feed(struct correlator *c, struct corr_group *g,
    int64_t time_ns);
/* After `trimmed_ns` moved. */
void corr_absence_unfeed(struct correlator *c, struct corr_group *g);
bool corr_absence_pending(const struct corr_group *g);
/* Of the first `n` hits, how many go though they may have been incidents. */
uint32_t corr_absence_unjudged(struct correlator *c, const struct corr_group *g,
    uint32_t n);
void corr_absence_free(struct correlator *c, struct corr_group *g);
void corr_sources_fini(struct correlator *c);

/* ---- incidents ---------------------------------------------------------- */

static inline struct corr_incident *
corr_incident(const struct correlator *c, int32_t i)
{
	return &c->incidents[i];
}

void corr_incidents_fini(struct correlator *c);
/* The one whose id comes from the hit at `from`, too; CORR_NONE: none. */
int32_t corr_incident_namesake(struct correlator *c, const struct corr_group *g,
    uint32_t from);
/* A new one that holds from the hit at `at`; its id from the hit at `from`. */
int32_t corr_incident_open(struct correlator *c, uint32_t group, uint32_t from,
    uint32_t at);
/* It now goes from `fired_ns` to `last_ns`; counts the hits that join. */
void corr_incident_grow(struct correlator *c, int32_t incident,
    int64_t fired_ns, int64_t last_ns);
/* A hit joins it. */
void corr_incident_add(struct correlator *c, int32_t incident,
    const struct corr_hit *h);
void corr_incident_dirty(struct correlator *c, int32_t incident);
/* Out of its group; reported first if it must be. */
void corr_incident_detach(struct correlator *c, struct corr_group *g,
    int32_t incident);
int32_t corr_incident_restore(struct correlator *c, uint32_t group,
    const struct correlate_incident *inc);
/* `group` as JSON: into c->group. */
struct slice corr_group_json(struct correlator *c, const struct corr_group *g);
/* The i-th value of a group's key; ptr NULL: none. */
struct slice corr_key_part(struct slice key, uint32_t i);
/* The key of a group's JSON; false if it is no group of this rule. */
bool corr_group_parse(struct correlator *c, const struct corr_rule *r,
    struct slice json, struct buf *key);
/* A record ended: what it left standing exists, whatever comes later. */
void corr_incidents_stand(struct correlator *c);
void corr_incidents_report(struct correlator *c);
