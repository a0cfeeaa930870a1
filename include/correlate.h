/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlation: hits in the order of the log go in, incidents' changes come out.
 *
 * Evaluation is on event time (doc/ARCHITECTURE.md, "The one model"): a
 * condition is evaluated at each hit over the half-open timespan that ends with
 * it; a late hit re-evaluates the hits that follow it within the timespan.
 * Equal times are ordered by event id.  An incident is a run of consecutive
 * hits of a group at which the condition held, each less than a timespan after
 * the one before; its id = hash(rule, owner, group, first contributing event
 * when it fired) never changes.  Two runs that fired with the same event first
 * are one, with all hits between them (it held, did not, and held again).
 *
 * Runs that a late hit joins stay two incidents, cut where the later one fired.
 *
 * Conditions that zero events satisfy (lt, lte, eq 0) and windows that must be
 * complete (other eq, ranges) are evaluated for each hit over the timespan that
 * begins with it, when the watermarks of all sources that fed the group have
 * passed; that hit anchors the incident.
 *
 * State: for each (rule, owner, group) the hits of the last 3 timespans behind
 * the group's newest one, of `late_ns` while memory allows.  A hit less than one
 * timespan short of that behind is taken as if it had come in time (its own
 * window reaches one further back); an older one is counted, reported through
 * on_evict and otherwise ignored.
 *
 * For conditions over what follows a hit the same bound holds: no hit waits for
 * a source longer.  A source of which the group has no hit within its state
 * is not waited for.  A hit that so old is not judged yet never anchors an
 * incident (hits after it may have come too late) and is counted, and an
 * incident that fired there is never disproved.  A source that joins and is
 * behind the others makes hits wait again, except those an incident fired at.
 * So what is said follows from the hits kept, the watermarks and the incidents,
 * and a restart, which has the three, changes nothing.
 *
 * Pure: no clock, no I/O.  What the state cannot hold is evicted, counted and
 * reported through on_evict.
 */
#pragma once

#include "engine.h"

/* One hit of a base rule with copies of the fields it needs. */
struct correlate_hit {
	uint32_t rule; /* base rule, index in the ruleset */
	int64_t time_ns;
	struct event_id id;
	struct slice id_text; /* event.id as printed; read if no stream */
	struct slice owner;
	struct slice agent; /* agent.id */
	uint64_t position;  /* in the log, ascending: rebuild starts from one */
	uint64_t ordinal;   /* caller's: e.g. INDEX of `rules match`; < 2^32 */
	/* parallel to ruleset_hit_fields(); kind VALUE_NULL if missing */
	const struct value *values;
};

/* The state of one incident (also of a single rule's) after a change. */
struct correlate_incident {
	uint32_t rule;
	char id[2 * 16 + 1]; /* hex */
	struct slice owner;
	struct slice group; /* JSON object {"source.ip":"…"}; canonical */
	int64_t first_seen_ns;
	int64_t last_seen_ns;
	int64_t fired_ns;      /* time of the first hit at which it held */
	uint64_t events;       /* contributing */
	struct slice agents;   /* JSON array of strings, sorted, at most 64 */
	bool opened;           /* first change of this incident */
	bool disproved;        /* an absence that late events refuted */
	uint64_t completed_by; /* ordinal of the event that completed it;
				 * UINT64_MAX: the end of a window did */
	const uint64_t *ordinals; /* contributing, ascending, if kept */
	size_t n_ordinals;
};

struct correlate_options {
	uint64_t max_hits;         /* bound of hits held; 0: 4,000,000 */
	uint64_t max_groups;       /* bound of groups held; 0: 1,000,000 */
	bool keep_ordinals;        /* for `rules match` */
	int64_t absence_forget_ns; /* a group is expected for this long: 30 d */
	/* A group that no hit touched for so long by the log's clock (see
	 * correlator_log_time) is forgotten; 0: 6 h; at least 3 timespans. */
	int64_t keep_ns;
	/* A hit may come so far behind its group's newest while memory allows;
	 * 0: 24 h; at least 2 timespans. */
	int64_t late_ns;
	/*
	 * Visible matches of base rules of this level and above are incidents
	 * too: one for each rule and source.ip, a match within `single_gap_ns`
	 * (0: 1 h) of the last joins it.
	 */
	bool singles;
	enum rule_level single_level;
	int64_t single_gap_ns;
	/*
	 * Changes are reported at correlator_flush() only, once for each
	 * incident, not from each call: for those who group them anyway.
	 */
	bool coalesce;
	void (*on_incident)(void *ctx, const struct correlate_incident *inc);
	void (*on_evict)(void *ctx, uint32_t rule, uint64_t hits);
	void *ctx;
};

struct correlator;
struct correlator *correlator_new(struct ruleset *rs,
    const struct correlate_options *options);
void correlator_free(struct correlator *c);

void correlator_hit(struct correlator *c, const struct correlate_hit *hit);
/* Whether anything counts hits of this base rule: others need no values. */
bool correlator_wants(const struct correlator *c, uint32_t rule);

/*
 * A source's watermark: windows of groups fed by it close when all sources that
 * fed them have passed.  `source` is a small number that the caller keeps for
 * (owner, agent, input); hits carry it through correlator_source().
 */
void correlator_source(struct correlator *c, uint32_t source);
void correlator_watermark(struct correlator *c, uint32_t source,
    int64_t time_ns);

/*
 * The log's own clock, ascending, any start: what passed while the log was
 * written.  (Not event time, which old files have too; not the wall clock,
 * which runs while the collector stands.)  Never called: nothing is forgotten.
 */
void correlator_log_time(struct correlator *c, int64_t ns);

/* With `coalesce`: reports what changed; and how many incidents did. */
void correlator_flush(struct correlator *c);
size_t correlator_changed(const struct correlator *c);

/*
 * Rebuilding after a restart: feed the hits of the log from
 * correlator_rebuild_position() of the last commit in rebuild mode (windows fill,
 * nothing is evaluated), then every open incident as stored, then leave it.
 */
void correlator_rebuild(struct correlator *c, bool on);
void correlator_restore(struct correlator *c,
    const struct correlate_incident *inc);
/*
 * Where a rebuild must begin: not after the oldest hit that the state holds
 * (a little before it, to save memory); UINT64_MAX: none.
 */
uint64_t correlator_rebuild_position(const struct correlator *c);
/* Whether a group waits for this source's watermark: it must be rebuilt too. */
bool correlator_awaits(const struct correlator *c, uint32_t source);

struct correlator_stats {
	uint64_t hits, groups; /* held now */
	uint64_t bytes;        /* of them */
	uint64_t evicted_hits, evicted_groups;
	uint64_t late_hits; /* too old for the state; in evicted_hits too */
	/* Hits that left the state sooner than `late_ns` because it held a
	 * sixteenth of `max_hits`: all that is in time was judged by then.  What
	 * is so late meets a group that knows less (and is late_hits), or none
	 * (and counts alone), the more so after a restart. */
	uint64_t shortened_hits;
	/* Hits that left the state while a source that fed the group was so far
	 * behind that what follows them was not known yet. */
	uint64_t unjudged_hits;
};
void correlator_stats(const struct correlator *c, struct correlator_stats *out);

/*
 * A reload: state of rules whose digest is unchanged moves over; takes both.
 */
struct correlator *correlator_reload(struct correlator *old,
    struct ruleset *rs);
