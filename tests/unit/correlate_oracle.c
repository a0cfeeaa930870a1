/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate_oracle.h"

#include <stdio.h>
#include <stdlib.h>

#include "digest.h"

struct entry {
	const struct step *step;
	uint64_t offset;
	bool held, closed;
};

struct run_state {
	const struct corr_rule *rule;
	unsigned group;
	struct entry list[LOG_MAX];
	unsigned n;
	bool fed_by[SOURCES_MAX];
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

static unsigned
distinct(const struct run_state *s, unsigned from, unsigned to, bool bases)
{
	unsigned n = 0;

	for (unsigned i = from; i < to; i++) {
		bool seen = false;

		for (unsigned j = from; j < i; j++)
			seen = seen ||
			    (bases ? s->list[j].step->base ==
					s->list[i].step->base
				   : s->list[j].step->value ==
					s->list[i].step->value);
		n += seen ? 0 : 1;
	}
	return n;
}

static bool
in_order(const struct run_state *s, unsigned from, unsigned to)
{
	unsigned next = 0;

	for (unsigned i = from; i < to; i++)
		if (next < s->rule->def->n_rules &&
		    s->list[i].step->base == next)
			next++;
	return next == s->rule->def->n_rules;
}

static bool
holds(const struct run_state *s, unsigned from, unsigned to)
{
	const struct sigma_correlation *def = s->rule->def;
	double x;

	if (s->rule->kind == CORR_SINGLE)
		return true;
	if (def->type == CORRELATION_TEMPORAL_ORDERED)
		return in_order(s, from, to);
	if (def->type == CORRELATION_TEMPORAL)
		return distinct(s, from, to, true) == def->n_rules;
	x = def->type == CORRELATION_EVENT_COUNT ? to - from
						 : distinct(s, from, to, false);
	return def->bounds[0].op == OP_GTE ? x >= def->bounds[0].value
	    : def->bounds[0].op == OP_GT   ? x > def->bounds[0].value
	    : def->bounds[0].op == OP_EQ   ? x == def->bounds[0].value
					   : x < def->bounds[0].value;
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

/* Puts the hit in; false if it comes too late. */
static bool
insert(struct run_state *s, const struct step *step, uint64_t offset)
{
	struct entry e = { step, offset, false, false };
	int64_t floor_ns;
	unsigned at = s->n;

	if (s->n > 0) {
		floor_ns = time_of(s, s->n - 1) - 2 * s->rule->span_ns;
		for (unsigned i = 0; i < s->n && s->rule->kind == CORR_AFTER;
		     i++) {
			bool next = i + 1 < s->n &&
			    time_of(s, i + 1) - time_of(s, i) <=
				s->rule->span_ns;

			if (!s->list[i].closed && !next &&
			    time_of(s, i) < floor_ns)
				floor_ns = time_of(s, i);
		}
		if (step->time_ns <= floor_ns)
			return false;
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
	struct found *f = &s->out->all[s->out->n++];

	*f = (struct found){ .group = s->group, .fired_ns = fired_ns };
	make_id(s, &s->list[from], f->id);
	return f;
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

/* The run of hits from `a` to `b`: cut where its incidents fired. */
static void
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
		earliest = add_found(s, from, time_of(s, a));
	}
	earliest->fired_ns = time_of(s, a);
	for (unsigned i = 0; i < s->out->n; i++) {
		struct found *f = &s->out->all[i];
		int64_t end_ns = INT64_MAX;

		if (f->group != s->group || f->fired_ns < time_of(s, a) ||
		    f->fired_ns > time_of(s, b))
			continue;
		for (unsigned j = 0; j < s->out->n; j++)
			if (s->out->all[j].group == s->group &&
			    s->out->all[j].fired_ns > f->fired_ns &&
			    s->out->all[j].fired_ns < end_ns)
				end_ns = s->out->all[j].fired_ns;
		for (unsigned j = a; j <= b; j++)
			if (time_of(s, j) < end_ns)
				f->last_ns = time_of(s, j);
		fill(s, f);
	}
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
		    (s->rule->kind != CORR_SINGLE ||
			time_of(s, b + 1) - time_of(s, b) <= s->rule->span_ns))
			b++;
		name_run(s, a, b);
		a = b + 1;
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
	name_runs(s);
	for (unsigned i = 0; i < s->out->n; i++)
		if (s->out->all[i].group == s->group)
			fill(s, &s->out->all[i]);
}

static struct found *
live_at(struct run_state *s, int64_t time_ns)
{
	for (unsigned i = 0; i < s->out->n; i++)
		if (s->out->all[i].group == s->group &&
		    !s->out->all[i].disproved &&
		    s->out->all[i].fired_ns == time_ns)
			return &s->out->all[i];
	return NULL;
}

static bool
held_at(const struct run_state *s, int64_t time_ns)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->list[i].held && time_of(s, i) == time_ns)
			return true;
	return false;
}

/*
 * Absence of anything: each anchor is an incident of its own; a hit of the same
 * time that comes later takes it over.
 */
static void
after_hits(struct run_state *s)
{
	int64_t passed_ns = INT64_MAX;

	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (s->fed_by[i] && s->watermarks[i] < passed_ns)
			passed_ns = s->watermarks[i];
	for (unsigned i = 0; i < s->n; i++) {
		if (passed_ns > time_of(s, i) + s->rule->span_ns)
			s->list[i].closed = true;
		s->list[i].held = s->list[i].closed &&
		    (i + 1 == s->n ||
			time_of(s, i + 1) - time_of(s, i) > s->rule->span_ns);
		if (s->list[i].held && live_at(s, time_of(s, i)) == NULL) {
			struct found *f = add_found(s, i, time_of(s, i));

			f->first_ns = f->last_ns = f->fired_ns;
			f->events = 1;
		}
	}
	for (unsigned i = 0; i < s->out->n; i++) {
		struct found *f = &s->out->all[i];

		if (f->group == s->group && !held_at(s, f->fired_ns))
			f->disproved = true;
	}
}

void
oracle_run(const struct corr_rule *r, const struct step *log, unsigned n,
    struct findings *out)
{
	int64_t watermarks[SOURCES_MAX] = { INT64_MIN, INT64_MIN, INT64_MIN };
	static struct run_state states[GROUPS_MAX];

	memset(states, 0, sizeof(states));
	out->n = 0;
	for (unsigned g = 0; g < GROUPS_MAX; g++) {
		states[g].rule = r;
		states[g].group = g;
		states[g].watermarks = watermarks;
		states[g].out = out;
	}
	for (unsigned i = 0; i < n; i++) {
		struct run_state *s = &states[log[i].group];
		bool in = insert(s, &log[i], i);

		if (in)
			s->fed_by[log[i].source] = true;
		if (r->kind != CORR_AFTER) {
			if (in)
				at_hits(s, log[i].time_ns);
			continue;
		}
		after_hits(s);
		if (log[i].watermark_ns > watermarks[log[i].source])
			watermarks[log[i].source] = log[i].watermark_ns;
		for (unsigned g = 0; g < GROUPS_MAX; g++)
			after_hits(&states[g]);
	}
	findings_sort(out);
}
