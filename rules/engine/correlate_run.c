/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions at each hit: runs of hits at which they held, and the incidents
 * that runs are.
 */
#include "correlate_state.h"

/* Windows of so few hits are looked through anew each time. */
enum { WINDOW_SMALL = 16 };

void
corr_run_forget_window(struct corr_group *g)
{
	corr_window_free(g->extra.window);
	g->extra.window = NULL;
}

/*
 * What has one time has no order: where it holds at one of them, it holds at
 * all.  Of the hits [from, to) and those of their times; true if one is new.
 */
static bool
level(struct corr_group *g, uint32_t from, uint32_t to)
{
	struct corr_hit *hits = corr_hits(g);
	bool changed = false;

	while (from > 0 && hits[from - 1].time_ns == hits[from].time_ns)
		from--;
	for (uint32_t i = from; i < to;) {
		uint32_t end = i;
		bool held = false, all = true;

		for (; end < g->n && hits[end].time_ns == hits[i].time_ns;
		     end++) {
			held = held || hits[end].held;
			all = all && hits[end].held;
		}
		changed = changed || (held && !all);
		for (; i < end; i++)
			hits[i].held = held ? 1 : 0;
	}
	return changed;
}

/* ---- runs -> incidents ------------------------------------------------- */

/*
 * Whether the hits at i - 1 and i are of one run.  After a timespan without any
 * hit nothing goes on: what one event fulfils (gte 1) would never end.
 */
static bool
joined(const struct corr_rule *r, const struct corr_hit *hits, uint32_t i)
{
	int64_t gap_ns = hits[i].time_ns - hits[i - 1].time_ns;

	return hits[i - 1].held && hits[i].held &&
	    (r->kind == CORR_SINGLE ? gap_ns <= r->span_ns
				    : gap_ns < r->span_ns);
}

/*
 * A condition that hits can make false again (neq, averages) may fire twice with
 * the same event first.  Every hit between is then within the window of the
 * later firing, so all of them are one run: from *from to *to.  False: the run
 * that fires at `at` has no such namesake.
 */
static bool
join_namesake(struct correlator *c, struct corr_group *g, uint32_t at,
    uint32_t *from, uint32_t *to)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_hit *hits = corr_hits(g);
	int64_t time_ns = hits[at].time_ns, fired_ns;
	int32_t i = CORR_NONE;

	if (r->kind == CORR_AT_HIT)
		i = corr_incident_namesake(c, g,
		    corr_hits_after(g, time_ns - r->reach_ns));
	if (i == CORR_NONE)
		return false;
	fired_ns = corr_incident(c, i)->fired_ns;
	*from =
	    corr_hits_after(g, (fired_ns < time_ns ? fired_ns : time_ns) - 1);
	*to = corr_hits_after(g, fired_ns < time_ns ? time_ns : fired_ns) - 1;
	for (uint32_t k = *from; k <= *to; k++)
		hits[k].held = 1;
	return true;
}

/* The incidents that lie in the run [from, to] divide it where they fired; the
 * earliest has its beginning.  False: there is none. */
static bool
divide_run(struct correlator *c, uint32_t group, uint32_t from, uint32_t to)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_hit *hits = corr_hits(g);
	int64_t first_ns = hits[from].time_ns, last_ns = hits[to].time_ns;
	int64_t end_ns = last_ns;
	int32_t earliest = CORR_NONE;

	for (int32_t i = g->incidents; i != CORR_NONE;
	     i = corr_incident(c, i)->next) {
		struct corr_incident *inc = corr_incident(c, i);
		uint32_t before;

		if (inc->fired_ns > last_ns || inc->last_ns < first_ns)
			continue;
		corr_incident_grow(c, i, inc->fired_ns, end_ns);
		earliest = i;
		before = corr_hits_after(g, inc->fired_ns - 1);
		end_ns = before > from ? hits[before - 1].time_ns : first_ns;
	}
	if (earliest != CORR_NONE &&
	    corr_incident(c, earliest)->fired_ns > first_ns)
		corr_incident_grow(c, earliest, first_ns,
		    corr_incident(c, earliest)->last_ns);
	return earliest != CORR_NONE;
}

/* It holds at hits of [from, to] where it did not: every run that these touch
 * has an incident now. */
static void
assign_runs(struct correlator *c, uint32_t group, uint32_t from, uint32_t to)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *hits = corr_hits(g);
	uint32_t i = from > 0 ? from - 1 : 0;

	while (i > 0 && joined(r, hits, i))
		i--;
	while (i < g->n && i <= to) {
		uint32_t last = i;

		if (!hits[i].held) {
			i++;
			continue;
		}
		while (last + 1 < g->n && joined(r, hits, last + 1))
			last++;
		if (divide_run(c, group, i, last)) {
			i = last + 1;
		} else if (join_namesake(c, g, i, &from, &last)) {
			i = from; /* a longer run: again, from its beginning */
			while (i > 0 && joined(r, hits, i))
				i--;
			to = last > to ? last : to;
		} else {
			corr_incident_grow(c,
			    corr_incident_open(c, group,
				corr_hits_after(g,
				    hits[i].time_ns - r->reach_ns),
				i),
			    hits[i].time_ns, hits[last].time_ns);
			i = last + 1;
		}
	}
}

/* ---- in order: O(1), amortized ------------------------------------------ */

static bool
newest_holds(struct correlator *c, struct corr_group *g, int64_t begin_ns)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *hits = corr_hits(g);
	uint32_t n = g->n - g->win;

	if (r->kind == CORR_SINGLE)
		return true;
	if (n < r->need)
		return false;
	if (r->count_events)
		return true;
	if (g->extra.window == NULL) {
		if (n <= WINDOW_SMALL || r->scalar_values ||
		    r->def->type == CORRELATION_EVENT_COUNT)
			return corr_holds(c, g, g->win, g->n);
		g->extra.window = corr_window_new();
		for (uint32_t i = g->win; i < g->n; i++)
			corr_window_add(g->extra.window, r, &hits[i]);
	}
	return corr_window_holds(g->extra.window, r, n, begin_ns);
}

/* Moves the newest hit's window on. */
static void
slide(struct correlator *c, struct corr_group *g, int64_t begin_ns)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *hits = corr_hits(g);

	for (; hits[g->win].time_ns <= begin_ns; g->win++)
		if (g->extra.window != NULL)
			corr_window_remove(g->extra.window, r, &hits[g->win]);
	if (g->extra.window == NULL)
		return;
	if (g->n - g->win < WINDOW_SMALL / 2)
		corr_run_forget_window(g);
	else
		corr_window_add(g->extra.window, r, &hits[g->n - 1]);
}

static void
append(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_hit *hits = corr_hits(g);
	uint32_t at = g->n - 1, first = at;
	int64_t begin_ns = hits[at].time_ns - r->span_ns;

	slide(c, g, begin_ns);
	if (g->incidents != CORR_NONE &&
	    corr_incident(c, g->incidents)->last_ns == hits[at].time_ns) {
		hits[at].held = 1; /* what has one time has no order */
		corr_incident_add(c, g->incidents, &hits[at]);
		return;
	}
	if (!newest_holds(c, g, begin_ns))
		return;
	hits[at].held = 1;
	for (; first > 0 && hits[first - 1].time_ns == hits[at].time_ns;
	     first--)
		hits[first - 1].held = 1;
	if (first > 0 && g->incidents != CORR_NONE && joined(r, hits, first)) {
		corr_incident(c, g->incidents)->last_ns = hits[at].time_ns;
		for (uint32_t i = first; i <= at; i++)
			corr_incident_add(c, g->incidents, &hits[i]);
		return;
	}
	if (join_namesake(c, g, at, &first, &at))
		assign_runs(c, group, first, at);
	else
		(void)corr_incident_open(c, group,
		    corr_hits_after(g, hits[at].time_ns - r->reach_ns), at);
}

/* ---- out of order -------------------------------------------------------- */

/*
 * Looks again whether it holds at the hits [from, to); true if it now does
 * somewhere new.  What held once is not taken back.
 */
static bool
recompute(struct correlator *c, struct corr_group *g, uint32_t from,
    uint32_t to)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_hit *hits = corr_hits(g);
	bool whole =
	    r->count_events || r->scalar_values || r->kind == CORR_SINGLE;
	uint32_t low = corr_hits_after(g, hits[from].time_ns - r->span_ns);
	bool changed = false;

	if (!whole)
		corr_window_clear(c->scratch);
	for (uint32_t i = low; i < from && !whole; i++)
		corr_window_add(c->scratch, r, &hits[i]);
	for (uint32_t i = from; i < to; i++) {
		int64_t begin_ns = hits[i].time_ns - r->span_ns;
		bool held;

		if (!whole)
			corr_window_add(c->scratch, r, &hits[i]);
		for (; hits[low].time_ns <= begin_ns; low++)
			if (!whole)
				corr_window_remove(c->scratch, r, &hits[low]);
		if (r->kind == CORR_SINGLE)
			held = true;
		else if (r->count_events)
			held = i - low + 1 >= r->need;
		else if (r->scalar_values)
			held = corr_holds(c, g, low, i + 1);
		else
			held = corr_window_holds(c->scratch, r, i - low + 1,
			    begin_ns);
		if (held && !hits[i].held) {
			hits[i].held = 1;
			changed = true;
		}
	}
	return level(g, from, to) || changed;
}

/* The newest hit's window, after a hit came in before it. */
static void
mend_window(struct correlator *c, struct corr_group *g, uint32_t at, bool fresh)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	int64_t begin_ns = corr_hits(g)[g->n - 1].time_ns - r->span_ns;

	g->win = corr_hits_after(g, begin_ns);
	if (g->extra.window == NULL || at < g->win)
		return;
	if (fresh && r->def->type != CORRELATION_TEMPORAL_ORDERED)
		corr_window_add(g->extra.window, r, &corr_hits(g)[at]);
	else
		corr_run_forget_window(g);
}

/* Whether a time lies within an incident: there, no hit is one of no run. */
static bool
covered(const struct correlator *c, const struct corr_group *g, int64_t time_ns)
{
	for (int32_t i = g->incidents; i != CORR_NONE;
	     i = corr_incident(c, i)->next) {
		const struct corr_incident *inc = corr_incident(c, i);

		if (time_ns > inc->fired_ns && time_ns <= inc->last_ns)
			return true;
	}
	return false;
}

static void
amend(struct correlator *c, uint32_t group, uint32_t at, bool fresh)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit hit = corr_hits(g)[at];
	uint32_t to = corr_hits_after(g, hit.time_ns + r->span_ns - 1);

	mend_window(c, g, at, fresh);
	for (int32_t i = g->incidents; i != CORR_NONE && fresh;
	     i = corr_incident(c, i)->next) {
		const struct corr_incident *inc = corr_incident(c, i);

		if (hit.time_ns > inc->fired_ns - r->reach_ns &&
		    hit.time_ns <= inc->last_ns)
			corr_incident_add(c, i, &hit);
	}
	corr_hits(g)[at].held |= covered(c, g, hit.time_ns) ? 1 : 0;
	if (recompute(c, g, at, r->kind == CORR_SINGLE ? at + 1 : to))
		assign_runs(c, group, at, to);
}

void
corr_run_update(struct correlator *c, uint32_t group, uint32_t at, bool fresh)
{
	if (fresh && at + 1 == corr_group(c, group)->n)
		append(c, group);
	else
		amend(c, group, at, fresh);
}

/* ---- after a restart ------------------------------------------------------ */

/*
 * What held is in an incident; of the hits at the time when that fired, what
 * holds.  What would hold and is in none is of a rule that was not there then:
 * it does not count, so that the next hit fires.
 */
void
corr_run_restore(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	struct corr_hit *hits = corr_hits(g);

	if (g->n == 0)
		return;
	for (uint32_t i = 0; i < g->n; i++)
		hits[i].held = covered(c, g, hits[i].time_ns) ? 1 : 0;
	for (int32_t i = g->incidents; i != CORR_NONE;
	     i = corr_incident(c, i)->next) {
		int64_t fired_ns = corr_incident(c, i)->fired_ns;
		uint32_t from = corr_hits_after(g, fired_ns - 1);
		uint32_t to = corr_hits_after(g, fired_ns);

		for (uint32_t k = from; k < to; k++)
			hits[k].held = 1;
	}
	g->win = corr_hits_after(g,
	    hits[g->n - 1].time_ns - corr_rule_of(c, g)->span_ns);
}
