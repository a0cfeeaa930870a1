/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions over the timespan that begins with a hit: the hit is an anchor,
 * and its window closes when every source that fed the group has passed its
 * end.  Anchors that held and whose windows overlap are one incident, and so is
 * one that lies within the times of an incident.
 *
 * Hits with equal times count as following each other, in their order.
 */
#include "correlate_state.h"

#include <stdlib.h>

#include "xalloc.h"

/* Of a series of hits that refute each other's absence, so many a timespan are
 * enough to judge what comes late. */
enum { SERIES_PARTS = 8 };

/* ---- sources ---------------------------------------------------------------- */

static struct corr_source *
source_at(struct correlator *c, uint32_t source)
{
	if (source >= c->n_sources) {
		uint32_t n = source + 1 > 2 * c->n_sources ? source + 1
							   : 2 * c->n_sources;

		c->sources = xreallocarray(c->sources, n, sizeof(*c->sources));
		for (uint32_t i = c->n_sources; i < n; i++)
			c->sources[i] =
			    (struct corr_source){ .watermark_ns = INT64_MIN };
		c->n_sources = n;
	}
	return &c->sources[source];
}

static void
heap_push(struct corr_source *s, struct corr_due due)
{
	uint32_t i = s->n++;

	if (s->n > s->cap) {
		s->cap = s->cap == 0 ? 16 : 2 * s->cap;
		s->heap = xreallocarray(s->heap, s->cap, sizeof(*s->heap));
	}
	for (; i > 0 && s->heap[(i - 1) / 2].due_ns > due.due_ns;
	     i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = due;
}

static struct corr_due
heap_pop(struct corr_source *s)
{
	struct corr_due top = s->heap[0], last = s->heap[--s->n];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= s->n)
			break;
		if (child + 1 < s->n &&
		    s->heap[child + 1].due_ns < s->heap[child].due_ns)
			child++;
		if (s->heap[child].due_ns >= last.due_ns)
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	if (s->n > 0)
		s->heap[i] = last;
	return top;
}

void
corr_sources_fini(struct correlator *c)
{
	for (uint32_t i = 0; i < c->n_sources; i++)
		free(c->sources[i].heap);
	free(c->sources);
}

void
corr_absence_feed(struct correlator *c, struct corr_group *g)
{
	struct corr_absence *a = g->extra.absence;

	if (a == NULL) {
		a = xzalloc(sizeof(*a));
		g->extra.absence = a;
	}
	for (uint32_t i = 0; i < a->n; i++)
		if (a->sources[i] == c->source)
			return;
	if ((a->n & (a->n - 1)) == 0)
		a->sources = xreallocarray(a->sources, a->n == 0 ? 1 : 2 * a->n,
		    sizeof(*a->sources));
	a->sources[a->n++] = c->source;
	source_at(c, c->source)->users++;
}

void
corr_absence_free(struct correlator *c, struct corr_group *g)
{
	struct corr_absence *a = g->extra.absence;

	if (a == NULL)
		return;
	for (uint32_t i = 0; i < a->n; i++)
		source_at(c, a->sources[i])->users--;
	free(a->sources);
	free(a);
	g->extra.absence = NULL;
}

bool
correlator_awaits(const struct correlator *c, uint32_t source)
{
	return source < c->n_sources && c->sources[source].users > 0;
}

/* The source that is furthest behind. */
static uint32_t
slowest(struct correlator *c, const struct corr_absence *a)
{
	uint32_t slow = a->sources[0];

	for (uint32_t i = 1; i < a->n; i++)
		if (source_at(c, a->sources[i])->watermark_ns <
		    source_at(c, slow)->watermark_ns)
			slow = a->sources[i];
	return slow;
}

/* ---- anchors ----------------------------------------------------------------- */

static bool
anchor_holds(struct correlator *c, const struct corr_group *g, uint32_t at)
{
	const struct corr_rule *r = corr_rule_of(c, g);

	return corr_holds(c, g, r->with_anchor ? at : at + 1,
	    corr_hits_after(g, corr_hits(g)[at].time_ns + r->due_ns));
}

bool
corr_absence_pending(const struct corr_group *g)
{
	return g->win < g->n;
}

int64_t
corr_absence_floor(struct correlator *c, const struct corr_group *g,
    int64_t floor_ns)
{
	const struct corr_hit *hits = corr_hits(g);

	for (uint32_t i = g->win; i < g->n && hits[i].time_ns < floor_ns; i++)
		if (!hits[i].closed && anchor_holds(c, g, i))
			return hits[i].time_ns;
	return floor_ns;
}

uint32_t
corr_absence_spare(struct correlator *c, const struct corr_group *g, uint32_t n)
{
	const struct corr_hit *hits = corr_hits(g);
	int64_t forget_ns =
	    hits[g->n - 1].time_ns - c->options.absence_forget_ns;
	uint32_t i = 0;

	while (i < n &&
	    (hits[i].closed || hits[i].time_ns < forget_ns ||
		!anchor_holds(c, g, i)))
		i++;
	/* what has one time counts together */
	while (i > 0 && i < g->n && hits[i].time_ns == hits[i - 1].time_ns)
		i--;
	return i;
}

/* The last hit that the anchors up to `at` count. */
static int64_t
last_counted(struct correlator *c, const struct corr_group *g, uint32_t at)
{
	const struct corr_hit *hits = corr_hits(g);
	uint32_t end =
	    corr_hits_after(g, hits[at].time_ns + corr_rule_of(c, g)->due_ns);

	return hits[end - 1].time_ns;
}

static void
assign_anchors(struct correlator *c, uint32_t group, uint32_t from, uint32_t to)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_hit *hits = corr_hits(g);
	int64_t first_ns = hits[from].time_ns;
	int64_t end_ns = last_counted(c, g, to);
	int32_t earliest = CORR_NONE;

	for (int32_t i = g->incidents; i != CORR_NONE;
	     i = corr_incident(c, i)->next) {
		struct corr_incident *inc = corr_incident(c, i);
		uint32_t before;

		if ((inc->claimed && inc->fired_ns > first_ns) ||
		    inc->fired_ns > hits[to].time_ns || inc->last_ns < first_ns)
			continue;
		inc->claimed = true;
		corr_incident_grow(c, i, inc->fired_ns, end_ns);
		earliest = i;
		before = corr_hits_after(g, inc->fired_ns - 1);
		end_ns = before > from ? hits[before - 1].time_ns : first_ns;
	}
	if (earliest == CORR_NONE) {
		earliest = corr_incident_open(c, group, from, from);
		corr_incident_grow(c, earliest, first_ns, end_ns);
		corr_incident(c, earliest)->claimed = true;
	} else if (corr_incident(c, earliest)->fired_ns > first_ns) {
		corr_incident_grow(c, earliest, first_ns,
		    corr_incident(c, earliest)->last_ns);
	}
}

static void
disprove_unclaimed(struct correlator *c, struct corr_group *g)
{
	int32_t next;

	for (int32_t i = g->incidents; i != CORR_NONE; i = next) {
		struct corr_incident *inc = corr_incident(c, i);

		next = inc->next;
		if (inc->claimed || inc->fired_ns < corr_hits(g)[0].time_ns)
			continue;
		inc->disproved = true;
		corr_incident_dirty(c, i);
		corr_incident_detach(c, g, i);
	}
}

static void
assign_all(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *hits = corr_hits(g);
	uint32_t i = 0;

	for (int32_t j = g->incidents; j != CORR_NONE;
	     j = corr_incident(c, j)->next)
		corr_incident(c, j)->claimed = false;
	while (i < g->n) {
		uint32_t to = i;

		if (!hits[i].held) {
			i++;
			continue;
		}
		for (uint32_t k = i + 1; k < g->n &&
		     hits[k].time_ns - hits[to].time_ns <= r->due_ns;
		     k++)
			if (hits[k].held)
				to = k;
		assign_anchors(c, group, i, to);
		i = to + 1;
	}
	disprove_unclaimed(c, g);
}

static void
wait_for(struct correlator *c, uint32_t group, uint32_t source)
{
	struct corr_group *g = corr_group(c, group);
	struct corr_absence *a = g->extra.absence;
	int64_t due_ns =
	    corr_hits(g)[g->win].time_ns + corr_rule_of(c, g)->due_ns;

	if (a->queued && a->due_ns <= due_ns)
		return; /* comes earlier: it will look again then */
	a->queued = true;
	a->due_ns = due_ns;
	heap_push(source_at(c, source),
	    (struct corr_due){ due_ns, group, g->generation });
}

/* Closes what the watermarks allow and waits for the next. */
static void
close_windows(struct correlator *c, uint32_t group, bool changed)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_hit *hits = corr_hits(g);
	uint32_t slow = slowest(c, g->extra.absence);
	int64_t passed_ns = source_at(c, slow)->watermark_ns;

	for (; g->win < g->n; g->win++) {
		struct corr_hit *h = &hits[g->win];

		if (h->closed)
			continue;
		if (passed_ns <= h->time_ns + r->due_ns)
			break;
		h->closed = 1;
		if (c->rebuilding)
			continue; /* incidents will say what held */
		h->held = anchor_holds(c, g, g->win) ? 1 : 0;
		changed = changed || h->held;
	}
	if (changed)
		assign_all(c, group);
	if (g->win < g->n)
		wait_for(c, group, slow);
}

/* Whether the hit at `at`, new or with a rule more, changed what held. */
static bool
reopen(struct correlator *c, struct corr_group *g, uint32_t at)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_hit *hits = corr_hits(g);
	bool changed = false;

	for (uint32_t i = at + 1; i-- > 0;) {
		bool held;

		if (hits[at].time_ns - hits[i].time_ns > r->due_ns)
			break;
		if (!hits[i].closed || (!hits[i].held && r->pure_absence))
			continue;
		held = anchor_holds(c, g, i);
		/* what held counts up to its window's last hit: maybe this */
		changed = changed || held || hits[i].held;
		hits[i].held = held ? 1 : 0;
	}
	return changed;
}

/* A late hit within the times of an incident is one of its events. */
static void
join_incidents(struct correlator *c, const struct corr_group *g, uint32_t at)
{
	const struct corr_hit hit = corr_hits(g)[at];

	for (int32_t i = g->incidents; i != CORR_NONE;
	     i = corr_incident(c, i)->next) {
		const struct corr_incident *inc = corr_incident(c, i);

		if (!corr_rule_of(c, g)->pure_absence &&
		    hit.time_ns >= inc->fired_ns && hit.time_ns <= inc->last_ns)
			corr_incident_add(c, i, &hit);
	}
}

/* Thins out a series: drops the hit at `at` if its neighbours say enough. */
static bool
spare(struct correlator *c, struct corr_group *g, uint32_t at)
{
	const struct corr_hit *hits = corr_hits(g);

	if (at == 0 || at + 1 >= g->n ||
	    hits[at + 1].time_ns - hits[at - 1].time_ns >
		corr_rule_of(c, g)->span_ns / SERIES_PARTS)
		return false;
	corr_hit_remove(c, g, at);
	return true;
}

void
corr_absence_update(struct correlator *c, uint32_t group, uint32_t at,
    bool fresh)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	bool changed = c->rebuilding ? false : reopen(c, g, at);

	if (fresh)
		join_incidents(c, g, at);
	if (fresh && g->win > at)
		g->win = at;
	if (fresh && r->pure_absence && !spare(c, g, at) && at > 0)
		(void)spare(c, g, at - 1);
	close_windows(c, group, changed);
}

void
correlator_watermark(struct correlator *c, uint32_t source, int64_t time_ns)
{
	struct corr_source *s = source_at(c, source);

	if (time_ns <= s->watermark_ns)
		return;
	s->watermark_ns = time_ns;
	while (s->n > 0 && s->heap[0].due_ns < time_ns) {
		struct corr_due due = heap_pop(s);
		struct corr_group *g = corr_group(c, due.group);

		if (g->hits == NULL || g->generation != due.generation ||
		    !g->extra.absence->queued ||
		    g->extra.absence->due_ns != due.due_ns)
			continue;
		g->extra.absence->queued = false;
		close_windows(c, due.group, false);
		s = source_at(c, source);
	}
	if (!c->options.coalesce)
		corr_incidents_report(c);
}

/* ---- after a restart ------------------------------------------------------------- */

/*
 * Anchors that watermarks passed were judged before, and so was the one that an
 * incident fired at, whatever is known of its sources now.  The others wait, as
 * they did.
 */
void
corr_absence_restore(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_hit *hits = corr_hits(g);
	int64_t passed_ns;

	if (g->n == 0)
		return;
	passed_ns = source_at(c, slowest(c, g->extra.absence))->watermark_ns;
	for (uint32_t i = 0; i < g->n; i++) {
		bool fired = false;

		for (int32_t j = g->incidents; j != CORR_NONE && !fired;
		     j = corr_incident(c, j)->next)
			fired =
			    hits[i].time_ns == corr_incident(c, j)->fired_ns;
		hits[i].closed =
		    fired || passed_ns > hits[i].time_ns + r->due_ns;
		hits[i].held = hits[i].closed && anchor_holds(c, g, i);
	}
	g->win = 0;
	close_windows(c, group, false);
}
