/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions over the timespan that begins with a hit: the hit is an anchor,
 * and its window closes when every source that fed the group has passed its
 * end.  Anchors that held and whose windows overlap are one incident, and so is
 * one that lies within the times of an incident.
 *
 * An anchor is judged if its window is closed, or if an incident fired at it,
 * whoever feeds the group since.  Behind the floor (what comes there is too
 * late, so a window there may lack hits) nothing begins: an anchor is judged
 * only if it lies within the times of an incident.  So what is judged follows
 * from the hits that are kept, the watermarks and the incidents; a restart has
 * these three.
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
corr_absence_feed(struct correlator *c, struct corr_group *g, int64_t time_ns)
{
	struct corr_absence *a = g->extra.absence;

	if (a == NULL) {
		a = xzalloc(sizeof(*a));
		a->passed_ns = INT64_MIN;
		g->extra.absence = a;
	}
	a->before_ns = INT64_MIN;
	for (uint32_t i = 0; i < a->n; i++) {
		struct corr_fed *f = &a->fed[i];

		if (f->source != c->source)
			continue;
		if (time_ns > f->newest_ns) {
			a->before_ns = f->newest_ns;
			f->newest_ns = time_ns;
		}
		return;
	}
	if ((a->n & (a->n - 1)) == 0)
		a->fed = xreallocarray(a->fed, a->n == 0 ? 1 : 2 * a->n,
		    sizeof(*a->fed));
	a->fed[a->n++] = (struct corr_fed){ c->source, time_ns };
	source_at(c, c->source)->users++;
}

/* Sources of which no hit is kept. */
void
corr_absence_unfeed(struct correlator *c, struct corr_group *g)
{
	struct corr_absence *a = g->extra.absence;
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		if (a->fed[i].newest_ns > g->trimmed_ns)
			a->fed[n++] = a->fed[i];
		else
			source_at(c, a->fed[i].source)->users--;
	}
	if (n < a->n)
		a->queued = false; /* it may have waited for one of them */
	a->n = n;
}

void
corr_absence_free(struct correlator *c, struct corr_group *g)
{
	struct corr_absence *a = g->extra.absence;

	if (a == NULL)
		return;
	for (uint32_t i = 0; i < a->n; i++)
		source_at(c, a->fed[i].source)->users--;
	free(a->fed);
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
	uint32_t slow = a->fed[0].source;

	for (uint32_t i = 1; i < a->n; i++)
		if (source_at(c, a->fed[i].source)->watermark_ns <
		    source_at(c, slow)->watermark_ns)
			slow = a->fed[i].source;
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

uint32_t
corr_absence_unjudged(struct correlator *c, const struct corr_group *g,
    uint32_t n)
{
	uint32_t unjudged = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!corr_hits(g)[i].closed && anchor_holds(c, g, i))
			unjudged++;
	return unjudged;
}

/* ---- which are judged --------------------------------------------------- */

static bool
is_behind_floor(const struct correlator *c, const struct corr_group *g,
    int64_t time_ns)
{
	return g->trimmed_ns != INT64_MIN &&
	    time_ns <= g->trimmed_ns + corr_rule_of(c, g)->span_ns;
}

/* The latest incident from `inc` on that fired by then. */
static int32_t
fired_by(const struct correlator *c, int32_t inc, int64_t time_ns)
{
	while (inc != CORR_NONE && corr_incident(c, inc)->fired_ns > time_ns)
		inc = corr_incident(c, inc)->next;
	return inc;
}

/* Of the anchor at `time_ns`; `inc`: fired_by() then. */
static bool
is_judged(const struct correlator *c, const struct corr_group *g,
    int64_t time_ns, int32_t inc)
{
	const struct corr_rule *r = corr_rule_of(c, g);

	if (inc != CORR_NONE && corr_incident(c, inc)->fired_ns == time_ns)
		return true;
	if (g->extra.absence->passed_ns <= time_ns + r->due_ns)
		return false;
	if (!is_behind_floor(c, g, time_ns))
		return true;
	while (inc != CORR_NONE && corr_incident(c, inc)->last_ns < time_ns)
		inc = corr_incident(c, inc)->next;
	return inc != CORR_NONE;
}

/* Looks at what is judged from `from` on; true if what held changed. */
static bool
judge(struct correlator *c, struct corr_group *g, uint32_t from)
{
	struct corr_hit *hits = corr_hits(g);
	int32_t inc = g->incidents;
	bool changed = false;

	for (uint32_t i = g->n; i-- > from;) {
		bool judged, held;

		if (hits[i].time_ns <= g->trimmed_ns)
			break; /* as good as gone */
		inc = fired_by(c, inc, hits[i].time_ns);
		judged = is_judged(c, g, hits[i].time_ns, inc);
		if (judged == (hits[i].closed != 0))
			continue;
		held = judged && anchor_holds(c, g, i);
		changed = changed || held != (hits[i].held != 0);
		hits[i].closed = judged ? 1 : 0;
		hits[i].held = held ? 1 : 0;
	}
	return changed;
}

/* ---- which incident has them -------------------------------------------- */

/* The last hit that the anchors up to `at` count. */
static int64_t
last_counted(struct correlator *c, const struct corr_group *g, uint32_t at)
{
	const struct corr_hit *hits = corr_hits(g);
	uint32_t end =
	    corr_hits_after(g, hits[at].time_ns + corr_rule_of(c, g)->due_ns);

	return hits[end - 1].time_ns;
}

/* True if an incident's times changed. */
static bool
grow(struct correlator *c, int32_t incident, int64_t fired_ns, int64_t last_ns)
{
	const struct corr_incident *inc = corr_incident(c, incident);
	bool grows = fired_ns < inc->fired_ns || last_ns > inc->last_ns;

	corr_incident_grow(c, incident, fired_ns, last_ns);
	return grows;
}

static bool
assign_anchors(struct correlator *c, uint32_t group, uint32_t from, uint32_t to)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_hit *hits = corr_hits(g);
	int64_t first_ns = hits[from].time_ns;
	int64_t end_ns = last_counted(c, g, to);
	int32_t earliest = CORR_NONE;
	bool changed = false;

	for (int32_t i = g->incidents; i != CORR_NONE;
	     i = corr_incident(c, i)->next) {
		struct corr_incident *inc = corr_incident(c, i);
		uint32_t before;

		if ((inc->claimed && inc->fired_ns > first_ns) ||
		    inc->fired_ns > hits[to].time_ns || inc->last_ns < first_ns)
			continue;
		inc->claimed = true;
		changed |= grow(c, i, inc->fired_ns, end_ns);
		earliest = i;
		before = corr_hits_after(g, inc->fired_ns - 1);
		end_ns = before > from ? hits[before - 1].time_ns : first_ns;
	}
	if (earliest == CORR_NONE) {
		earliest = corr_incident_open(c, group, from, from);
		corr_incident_grow(c, earliest, first_ns, end_ns);
		corr_incident(c, earliest)->claimed = true;
		return true;
	}
	return grow(c, earliest, first_ns,
		   corr_incident(c, earliest)->last_ns) ||
	    changed;
}

/* What fired where windows may lack hits stays. */
static bool
disprove_unclaimed(struct correlator *c, struct corr_group *g)
{
	bool changed = false;
	int32_t next;

	for (int32_t i = g->incidents; i != CORR_NONE; i = next) {
		struct corr_incident *inc = corr_incident(c, i);

		next = inc->next;
		if (inc->claimed || inc->fired_ns <= g->trimmed_ns)
			continue;
		inc->disproved = true;
		corr_incident_dirty(c, i);
		corr_incident_detach(c, g, i);
		changed = true;
	}
	return changed;
}

/* True if any incident changed. */
static bool
assign_all(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *hits = corr_hits(g);
	bool changed = false;
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
		changed |= assign_anchors(c, group, i, to);
		i = to + 1;
	}
	return disprove_unclaimed(c, g) || changed;
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

/* Judges the hits from `from` on, and all whose windows the watermarks passed;
 * waits for the next. */
static void
close_windows(struct correlator *c, uint32_t group, uint32_t from, bool changed)
{
	struct corr_group *g = corr_group(c, group);
	struct corr_absence *a = g->extra.absence;
	const struct corr_hit *hits = corr_hits(g);
	uint32_t slow = slowest(c, a);
	int64_t passed_ns = source_at(c, slow)->watermark_ns;

	if (passed_ns < a->passed_ns)
		from = g->win = 0; /* it waits for a slower one now */
	a->passed_ns = passed_ns;
	while (g->win < g->n &&
	    passed_ns > hits[g->win].time_ns + corr_rule_of(c, g)->due_ns) {
		from = g->win < from ? g->win : from;
		g->win++;
	}
	changed |= judge(c, g, from);
	while (changed && assign_all(c, group))
		(void)judge(c, g, 0); /* and what one left, another has */
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
		if (!hits[i].held && is_behind_floor(c, g, hits[i].time_ns))
			hits[i].closed = is_judged(c, g, hits[i].time_ns,
			    fired_by(c, g->incidents, hits[i].time_ns));
		held = hits[i].closed && anchor_holds(c, g, i);
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

/* Thins out a series: drops the hit at `at` if its neighbours say enough; not
 * what shows that a source feeds the group. */
static bool
spare(struct correlator *c, struct corr_group *g, uint32_t at)
{
	const struct corr_absence *a = g->extra.absence;
	const struct corr_hit *hits = corr_hits(g);

	if (at == 0 || at + 1 >= g->n ||
	    hits[at + 1].time_ns - hits[at - 1].time_ns >
		corr_rule_of(c, g)->span_ns / SERIES_PARTS)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->fed[i].newest_ns == hits[at].time_ns)
			return false;
	corr_hit_remove(c, g, at);
	return true;
}

static void
thin_out(struct correlator *c, struct corr_group *g, uint32_t at)
{
	int64_t before_ns = g->extra.absence->before_ns;

	if (!spare(c, g, at) && at > 0)
		(void)spare(c, g, at - 1);
	if (before_ns != INT64_MIN && (at = corr_hits_after(g, before_ns)) > 0)
		(void)spare(c, g, at - 1);
}

void
corr_absence_update(struct correlator *c, uint32_t group, uint32_t at,
    bool fresh)
{
	struct corr_group *g = corr_group(c, group);
	bool changed = c->rebuilding ? false : reopen(c, g, at);
	uint32_t n = g->n;

	if (fresh)
		join_incidents(c, g, at);
	if (fresh && g->win > at)
		g->win = at;
	if (fresh && corr_rule_of(c, g)->pure_absence)
		thin_out(c, g, at);
	at -= at < n - g->n ? at : n - g->n; /* so many before it may be gone */
	if (!c->rebuilding)
		close_windows(c, group, at, changed);
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
		if (!c->rebuilding)
			close_windows(c, due.group, g->n, false);
		s = source_at(c, source);
	}
	if (!c->options.coalesce)
		corr_incidents_report(c);
}

/* ---- after a restart ------------------------------------------------------------- */

void
corr_absence_restore(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	struct corr_absence *a = g->extra.absence;

	if (g->n == 0)
		return;
	a->passed_ns = source_at(c, slowest(c, a))->watermark_ns;
	g->win = 0;
	(void)judge(c, g, 0); /* what held has its incident */
	close_windows(c, group, g->n, false);
}
