/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate_oracle.h"

#include <stdio.h>
#include <stdlib.h>

#include "digest.h"

struct entry {
	const struct step *step;
	uint64_t offset;
	unsigned slots; /* the rules that it matched */
	bool held;
};

struct run_state {
	const struct corr_rule *rule;
	unsigned group, n;
	struct entry list[LOG_MAX];
	const int64_t *watermarks;
	struct findings *out;
};

void
oracle_stream(unsigned source, uint8_t out[16])
{
	memset(out, 0x40 + (int)source, 16);
}

void
oracle_group(unsigned group, char out[32])
{
	(void)snprintf(out, 32, "{\"user.name\":\"u%u\"}", group);
}

static int
by_place(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->fired_ns != y->fired_ns)
		return x->fired_ns < y->fired_ns ? -1 : 1;
	return strcmp(x->id, y->id);
}

void
findings_sort(struct findings *f)
{
	qsort(f->all, f->n, sizeof(f->all[0]), by_place);
}

bool
findings_equal(const struct findings *a, const struct findings *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		const struct found *x = &a->all[i], *y = &b->all[i];

		if (strcmp(x->id, y->id) != 0 || x->group != y->group ||
		    x->first_ns != y->first_ns || x->last_ns != y->last_ns ||
		    x->fired_ns != y->fired_ns || x->events != y->events ||
		    x->disproved != y->disproved)
			return false;
	}
	return true;
}

void
findings_print(const char *who, const struct findings *f)
{
	for (unsigned i = 0; i < f->n; i++)
		(void)printf("# %s: u%u %.6s fired %lld seen %lld..%lld "
			     "events %llu%s\n",
		    who, f->all[i].group, f->all[i].id,
		    (long long)f->all[i].fired_ns,
		    (long long)f->all[i].first_ns, (long long)f->all[i].last_ns,
		    (unsigned long long)f->all[i].events,
		    f->all[i].disproved ? " disproved" : "");
}

static void
make_id(const struct run_state *s, const struct entry *e, char out[33])
{
	char bytes[256], group[32];
	uint8_t stream[16], digest[SHA256_BYTES];
	int n;

	oracle_group(s->group, group);
	oracle_stream(e->step->source, stream);
	n = snprintf(bytes, sizeof(bytes), "%.*s%cdefault%c%s%c",
	    SLICE_ARG(s->rule->id), 0, 0, group, 0);
	memcpy(bytes + n, stream, 16);
	n += 16;
	n += snprintf(bytes + n, sizeof(bytes) - (size_t)n, "%llu",
	    (unsigned long long)e->offset);
	sha256_of((struct slice){ bytes, (size_t)n }, digest);
	hex_text(digest, 16, out);
}

static bool
before(const struct entry *a, const struct entry *b)
{
	if (a->step->time_ns != b->step->time_ns)
		return a->step->time_ns < b->step->time_ns;
	if (a->step->source != b->step->source)
		return a->step->source < b->step->source;
	return a->offset < b->offset;
}

/* Values that differ; or rules. */
static unsigned
distinct_values(const struct run_state *s, unsigned from, unsigned to)
{
	unsigned n = 0;

	for (unsigned i = from; i < to; i++) {
		bool seen = false;

		for (unsigned j = from; j < i; j++)
			seen = seen ||
			    s->list[j].step->value == s->list[i].step->value;
		n += seen ? 0 : 1;
	}
	return n;
}

static unsigned
rules_there(const struct run_state *s, unsigned from, unsigned to)
{
	unsigned slots = 0;

	for (unsigned i = from; i < to; i++)
		slots |= s->list[i].slots;
	return slots;
}

/* How many of the rules match one after the other, from the first on. */
static unsigned
in_order(const struct run_state *s, unsigned from, unsigned to)
{
	unsigned next = 0;

	for (unsigned i = from; i < to; i++)
		if (next < s->rule->def->n_rules &&
		    (s->list[i].slots >> next & 1) != 0)
			next++;
	return next;
}

static bool
node_says(const struct sigma_node *n, unsigned slots)
{
	unsigned yes = 0;

	if (n->kind == NODE_LEAF)
		return (slots >> n->index & 1) != 0;
	for (unsigned i = 0; i < n->n; i++)
		yes += node_says(n->children[i], slots) ? 1 : 0;
	if (n->kind == NODE_NOT)
		return yes == 0;
	return n->kind == NODE_AND ? yes == n->n : yes > 0;
}

/* The value that `percent` of the others are not above, between two of them. */
static double
ranked(const struct run_state *s, unsigned from, unsigned to, double percent)
{
	double sorted[LOG_MAX] = { 0 }, rank = percent / 100 * (to - from - 1);
	unsigned n = 0, low = (unsigned)rank;

	for (unsigned i = from; i < to; i++, n++) {
		unsigned at = n;

		for (; at > 0 && sorted[at - 1] > s->list[i].step->value; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = s->list[i].step->value;
	}
	if (n == 0)
		return 0;
	return low + 1 < n
	    ? sorted[low] + (rank - low) * (sorted[low + 1] - sorted[low])
	    : sorted[n - 1];
}

static double
aggregate(const struct run_state *s, unsigned from, unsigned to)
{
	const struct sigma_correlation *def = s->rule->def;
	double sum = 0;

	for (unsigned i = from; i < to; i++)
		sum += s->list[i].step->value;
	switch (def->type) {
	case CORRELATION_EVENT_COUNT:
		return to - from;
	case CORRELATION_VALUE_COUNT:
		return distinct_values(s, from, to);
	case CORRELATION_TEMPORAL:
		return __builtin_popcount(rules_there(s, from, to));
	case CORRELATION_TEMPORAL_ORDERED:
		return in_order(s, from, to);
	case CORRELATION_VALUE_SUM:
		return sum;
	case CORRELATION_VALUE_AVG:
		return sum / (to - from);
	case CORRELATION_VALUE_PERCENTILE:
		return ranked(s, from, to, def->percentile);
	default:
		return ranked(s, from, to, 50);
	}
}

static bool
is_within(const struct correlation_bound *b, double x)
{
	switch (b->op) {
	case OP_EQ:
		return x == b->value;
	case OP_NEQ:
		return x != b->value;
	case OP_GT:
		return x > b->value;
	case OP_GTE:
		return x >= b->value;
	case OP_LT:
		return x < b->value;
	default:
		return x <= b->value;
	}
}

static bool
holds(const struct run_state *s, unsigned from, unsigned to)
{
	const struct sigma_correlation *def = s->rule->def;
	double x;

	if (s->rule->kind == CORR_SINGLE)
		return true;
	if (def->extended != NULL)
		return node_says(def->extended, rules_there(s, from, to));
	x = aggregate(s, from, to);
	if (def->n_bounds == 0)
		return x == def->n_rules;
	for (unsigned i = 0; i < def->n_bounds; i++)
		if (!is_within(&def->bounds[i], x))
			return false;
	return true;
}

static int64_t
time_of(const struct run_state *s, unsigned i)
{
	return s->list[i].step->time_ns;
}

/* Within an incident no hit is one of no run. */
static bool
covered(const struct run_state *s, int64_t time_ns)
{
	for (unsigned i = 0; i < s->out->n; i++)
		if (s->out->all[i].group == s->group &&
		    time_ns > s->out->all[i].fired_ns &&
		    time_ns <= s->out->all[i].last_ns)
			return true;
	return false;
}

/* Behind all hits of the timespan that an anchor opens. */
static unsigned
window_end(const struct run_state *s, unsigned anchor)
{
	unsigned to = anchor;

	while (
	    to < s->n && time_of(s, to) - time_of(s, anchor) <= s->rule->due_ns)
		to++;
	return to;
}

static bool
anchor_holds(const struct run_state *s, unsigned anchor)
{
	return holds(s, s->rule->with_anchor ? anchor : anchor + 1,
	    window_end(s, anchor));
}

/* What is not after it comes too late. */
static int64_t
floor_ns(const struct run_state *s)
{
	return time_of(s, s->n - 1) - (CORR_KEEP_SPANS - 1) * s->rule->span_ns;
}

/* Puts the hit in; false if it comes too late. */
static bool
insert(struct run_state *s, const struct step *step)
{
	struct entry e = { step, step->id, 1U << step->base, false };
	unsigned at = s->n;

	if (s->n > 0 && step->time_ns <= floor_ns(s))
		return false;
	for (unsigned i = 0; i < s->n; i++) {
		const struct entry *x = &s->list[i];

		if (x->offset != step->id || x->step->source != step->source ||
		    x->step->time_ns != step->time_ns)
			continue;
		s->list[i].slots |= e.slots; /* the same event */
		return true;
	}
	e.held = s->rule->kind != CORR_AFTER && covered(s, step->time_ns);
	for (; at > 0 && before(&e, &s->list[at - 1]); at--)
		s->list[at] = s->list[at - 1];
	s->list[at] = e;
	s->n++;
	return true;
}

static struct found *
add_found(struct run_state *s, unsigned from, int64_t fired_ns)
{
	char id[33];
	unsigned at = 0;

	make_id(s, &s->list[from], id);
	/* one that was disproved may come again */
	while (at < s->out->n && strcmp(s->out->all[at].id, id) != 0)
		at++;
	s->out->n += at == s->out->n ? 1 : 0;
	s->out->all[at] = (struct found){ .group = s->group,
		.fired_ns = fired_ns,
		.last_ns = fired_ns };
	memcpy(s->out->all[at].id, id, sizeof(id));
	return &s->out->all[at];
}

/* With the same event first it is the same run, and what is between too. */
static bool
join_namesake(struct run_state *s, unsigned from, int64_t fired_ns)
{
	char id[33];

	make_id(s, &s->list[from], id);
	for (unsigned i = 0; i < s->out->n; i++) {
		int64_t a = s->out->all[i].fired_ns, b = fired_ns;

		if (s->rule->kind != CORR_AT_HIT ||
		    strcmp(s->out->all[i].id, id) != 0)
			continue;
		for (unsigned k = 0; k < s->n; k++)
			if ((time_of(s, k) >= a && time_of(s, k) <= b) ||
			    (time_of(s, k) >= b && time_of(s, k) <= a))
				s->list[k].held = true;
		return true;
	}
	return false;
}

/* Counts the hits in (fired - reach, last]. */
static void
fill(const struct run_state *s, struct found *f)
{
	f->events = 0;
	for (unsigned i = 0; i < s->n; i++) {
		if (time_of(s, i) <= f->fired_ns - s->rule->reach_ns ||
		    time_of(s, i) > f->last_ns)
			continue;
		if (f->events++ == 0)
			f->first_ns = time_of(s, i);
	}
}

/* An incident of the run lasts until the next one fired. */
static void
cut_run(const struct run_state *s, struct found *f, unsigned a, unsigned b)
{
	int64_t end_ns = INT64_MAX;

	for (unsigned j = 0; j < s->out->n; j++)
		if (s->out->all[j].group == s->group &&
		    s->out->all[j].fired_ns > f->fired_ns &&
		    s->out->all[j].fired_ns < end_ns)
			end_ns = s->out->all[j].fired_ns;
	for (unsigned j = a; j <= b; j++)
		if (time_of(s, j) < end_ns)
			f->last_ns = time_of(s, j);
}

/* The run of hits from `a` to `b`: cut where its incidents fired.  False: it is
 * longer than that. */
static bool
name_run(struct run_state *s, unsigned a, unsigned b)
{
	struct found *earliest = NULL;
	unsigned from = 0;

	for (unsigned i = 0; i < s->out->n; i++) {
		struct found *f = &s->out->all[i];

		if (f->group == s->group && f->fired_ns >= time_of(s, a) &&
		    f->fired_ns <= time_of(s, b) &&
		    (earliest == NULL || f->fired_ns < earliest->fired_ns))
			earliest = f;
	}
	if (earliest == NULL) {
		while (time_of(s, from) <= time_of(s, a) - s->rule->reach_ns)
			from++;
		if (join_namesake(s, from, time_of(s, a)))
			return false;
		earliest = add_found(s, from, time_of(s, a));
	}
	if (earliest->fired_ns > time_of(s, a))
		earliest->fired_ns = time_of(s, a);
	for (unsigned i = 0; i < s->out->n; i++) {
		struct found *f = &s->out->all[i];

		if (f->group != s->group || f->fired_ns < time_of(s, a) ||
		    f->fired_ns > time_of(s, b))
			continue;
		cut_run(s, f, a, b);
		fill(s, f);
	}
	return true;
}

static void
name_runs(struct run_state *s)
{
	for (unsigned a = 0; a < s->n;) {
		unsigned b = a;

		if (!s->list[a].held) {
			a++;
			continue;
		}
		while (b + 1 < s->n && s->list[b + 1].held &&
		    time_of(s, b + 1) - time_of(s, b) < s->rule->span_ns +
			    (s->rule->kind == CORR_SINGLE ? 1 : 0))
			b++;
		a = name_run(s, a, b) ? b + 1 : 0;
	}
}

static void
at_hits(struct run_state *s, int64_t time_ns)
{
	for (unsigned i = 0; i < s->n; i++) {
		unsigned from = 0;

		if (time_of(s, i) < time_ns ||
		    time_of(s, i) >= time_ns + s->rule->span_ns)
			continue;
		while (time_of(s, from) <= time_of(s, i) - s->rule->span_ns)
			from++;
		s->list[i].held = s->list[i].held || holds(s, from, i + 1);
	}
	/* what has one time has no order */
	for (unsigned i = 1; i < s->n; i++)
		if (s->list[i - 1].held && time_of(s, i - 1) == time_of(s, i))
			s->list[i].held = true;
	for (unsigned i = s->n; i-- > 1;)
		if (s->list[i].held && time_of(s, i - 1) == time_of(s, i))
			s->list[i - 1].held = true;
	name_runs(s);
	for (unsigned i = 0; i < s->out->n; i++)
		if (s->out->all[i].group == s->group)
			fill(s, &s->out->all[i]);
}

/* The latest live incident of the group that may be of the anchors from `a` to
 * `b`: of no others, or they begin within it. */
static struct found *
latest(struct run_state *s, const bool *claimed, const bool *tried, unsigned a,
    unsigned b)
{
	struct found *best = NULL;

	for (unsigned i = 0; i < s->out->n; i++) {
		struct found *f = &s->out->all[i];

		if (f->group != s->group || f->disproved || tried[i] ||
		    (claimed[i] && f->fired_ns > time_of(s, a)) ||
		    f->fired_ns > time_of(s, b) || f->last_ns < time_of(s, a))
			continue;
		if (best == NULL || f->fired_ns > best->fired_ns)
			best = f;
	}
	return best;
}

/* The run of anchors from `a` to `b`: cut where its incidents fired. */
static void
name_anchors(struct run_state *s, bool *claimed, unsigned a, unsigned b)
{
	int64_t end_ns = time_of(s, window_end(s, b) - 1);
	struct found *f, *earliest = NULL;
	bool tried[FOUND_MAX] = { false };

	while ((f = latest(s, claimed, tried, a, b)) != NULL) {
		unsigned i = s->n;

		claimed[f - s->out->all] = tried[f - s->out->all] = true;
		if (f->last_ns < end_ns)
			f->last_ns = end_ns;
		earliest = f;
		while (i > a && time_of(s, i - 1) >= f->fired_ns)
			i--;
		end_ns = i > a ? time_of(s, i - 1) : time_of(s, a);
	}
	if (earliest == NULL) {
		earliest = add_found(s, a, time_of(s, a));
		earliest->first_ns = time_of(s, a);
		earliest->last_ns = end_ns;
		claimed[earliest - s->out->all] = true;
	}
	if (earliest->fired_ns > time_of(s, a))
		earliest->fired_ns = time_of(s, a);
}

/* Whether an incident of the group, not disproved, fired at the time; or has it
 * within its times. */
static bool
is_of_incident(const struct run_state *s, int64_t time_ns, bool fired)
{
	for (unsigned i = 0; i < s->out->n; i++) {
		const struct found *f = &s->out->all[i];

		if (f->group != s->group || f->disproved)
			continue;
		if (f->fired_ns == time_ns ||
		    (!fired && f->fired_ns < time_ns && f->last_ns >= time_ns))
			return true;
	}
	return false;
}

/* Judges every anchor whose window all sources have passed: those of which a
 * hit is kept.  Behind the floor nothing begins. */
static void
judge_anchors(struct run_state *s)
{
	int64_t passed_ns = INT64_MAX;

	for (unsigned i = 0; i < s->n; i++) {
		int64_t wm_ns = s->watermarks[s->list[i].step->source];

		if (time_of(s, i) > floor_ns(s) - s->rule->span_ns &&
		    wm_ns < passed_ns)
			passed_ns = wm_ns;
	}
	for (unsigned i = 0; i < s->n; i++) {
		int64_t t = time_of(s, i);

		/* forgotten, it stays as it is */
		if (t <= floor_ns(s) - s->rule->span_ns)
			continue;
		s->list[i].held = anchor_holds(s, i) &&
		    (is_of_incident(s, t, true) ||
			(passed_ns > t + s->rule->due_ns &&
			    (t > floor_ns(s) || is_of_incident(s, t, false))));
	}
}

/* The incidents of the group that are not disproved. */
static void
fill_live(struct run_state *s)
{
	for (unsigned i = 0; i < s->out->n; i++) {
		struct found *f = &s->out->all[i];

		if (f->group != s->group || f->disproved)
			continue;
		if (s->rule->pure_absence)
			f->events = 1; /* the anchor; its equals say no more */
		else
			fill(s, f);
	}
}

/* Windows that begin with a hit, when every source has passed their end.  True
 * if an incident changed. */
static bool
after_hits(struct run_state *s)
{
	bool claimed[FOUND_MAX] = { false };
	static struct findings was;

	fill_live(s);
	was = *s->out;
	judge_anchors(s);
	for (unsigned a = 0; a < s->n; a++) {
		unsigned b = a;

		if (!s->list[a].held ||
		    time_of(s, a) <= floor_ns(s) - s->rule->span_ns)
			continue;
		for (unsigned k = a + 1; k < s->n &&
		     time_of(s, k) - time_of(s, b) <= s->rule->due_ns;
		     k++)
			if (s->list[k].held)
				b = k;
		name_anchors(s, claimed, a, b);
		a = b;
	}
	for (unsigned i = 0; i < s->out->n; i++)
		if (s->out->all[i].group == s->group && !claimed[i] &&
		    s->out->all[i].fired_ns > floor_ns(s) - s->rule->span_ns)
			s->out->all[i].disproved = true;
	fill_live(s);
	return !findings_equal(&was, s->out);
}

static void
after_step(struct run_state *s)
{
	while (s->n > 0 && after_hits(s))
		;
}

void
oracle_run(const struct corr_rule *r, const struct step *log, unsigned n,
    struct findings *out)
{
	int64_t watermarks[SOURCES_MAX] = { INT64_MIN, INT64_MIN, INT64_MIN };
	static struct run_state states[GROUPS_MAX];

	memset(states, 0, sizeof(states));
	out->n = out->late = 0;
	for (unsigned g = 0; g < GROUPS_MAX; g++) {
		states[g].rule = r;
		states[g].group = g;
		states[g].watermarks = watermarks;
		states[g].out = out;
	}
	for (unsigned i = 0; i < n; i++) {
		struct run_state *s = &states[log[i].group];
		bool in = insert(s, &log[i]);

		out->late += in ? 0 : 1;
		if (r->kind != CORR_AFTER) {
			if (in)
				at_hits(s, log[i].time_ns);
			continue;
		}
		after_step(s);
		if (log[i].watermark_ns > watermarks[log[i].source])
			watermarks[log[i].source] = log[i].watermark_ns;
		for (unsigned g = 0; g < GROUPS_MAX; g++)
			after_step(&states[g]);
	}
	findings_sort(out);
}
