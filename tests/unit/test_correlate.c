/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlation against an oracle that is too simple to be wrong, over random
 * logs, with restarts at every position.
 */
#include "correlate.h"

#include <stdio.h>
#include <stdlib.h>

#include "correlate_oracle.h"
#include "tap.h"
#include "xalloc.h"

enum { BASES = 3, ROUNDS = 40, SPAN = 100 };

/* ---- a plan by hand --------------------------------------------------------- */

struct spec {
	const char *name;
	enum correlation_type type;
	enum compare_op op;
	double bound; /* < 0: none */
	unsigned n_rules;
	bool single;
};

static struct corr_plan *
plan_of(const struct spec *spec)
{
	struct corr_plan *p = xzalloc(sizeof(*p));
	struct sigma_correlation *def;
	struct slice *name;

	p->arena = arena_new(4096);
	def = arena_alloc(p->arena, sizeof(*def));
	*def = (struct sigma_correlation){ .type = spec->type,
		.n_rules = spec->n_rules,
		.timespan_ns = SPAN,
		.bounds = { { spec->op, spec->bound } },
		.n_bounds = spec->bound < 0 ? 0 : 1 };
	name = arena_alloc(p->arena, sizeof(*name));
	*name = SLICE("user.name");
	p->rules = arena_alloc(p->arena, sizeof(*p->rules));
	p->n = 1;
	p->rules[0] = (struct corr_rule){ .index = BASES,
		.visible = true,
		.id = SLICE("the-rule"),
		.key_names = name,
		.n_keys = 1 };
	if (spec->single)
		p->rules[0] = (struct corr_rule){ .kind = CORR_SINGLE,
			.index = BASES,
			.span_ns = SPAN,
			.reach_ns = 1,
			.need = 1,
			.visible = true,
			.id = SLICE("the-rule"),
			.key_names = name,
			.n_keys = 1 };
	else
		corr_rule_derive(&p->rules[0], def);
	p->n_by_rule = BASES + 1;
	p->by_rule = arena_alloc(p->arena, (BASES + 1) * sizeof(*p->by_rule));
	memset(p->by_rule, 0, (BASES + 1) * sizeof(*p->by_rule));
	for (uint32_t i = 0; i < spec->n_rules; i++) {
		struct corr_feed *f = arena_alloc(p->arena, sizeof(*f));
		struct corr_pick *picks =
		    arena_alloc(p->arena, 2 * sizeof(*picks));
		uint16_t *at = arena_alloc(p->arena, 2 * sizeof(*at));

		at[0] = 0;
		at[1] = 1;
		picks[0] = (struct corr_pick){ .at = &at[0], .n = 1 };
		picks[1] = (struct corr_pick){ .at = &at[1], .n = 1 };
		*f = (struct corr_feed){ .slot = i,
			.keys = &picks[0],
			.values = &picks[1],
			.n_values = spec->type == CORRELATION_VALUE_COUNT };
		p->by_rule[i] = (struct corr_feeds){ f, 1 };
	}
	return p;
}

/* ---- running the engine --------------------------------------------------------- */

static void
on_incident(void *ctx, const struct correlate_incident *inc)
{
	struct findings *f = ctx;
	struct found *x = NULL;

	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->all[i].id, inc->id) == 0)
			x = &f->all[i];
	if (x == NULL)
		x = &f->all[f->n++];
	memcpy(x->id, inc->id, sizeof(x->id));
	x->group = (unsigned)(inc->group.ptr[15] - '0');
	x->first_ns = inc->first_seen_ns;
	x->last_ns = inc->last_seen_ns;
	x->fired_ns = inc->fired_ns;
	x->events = inc->events;
	x->disproved = inc->disproved;
}

static void
feed(struct correlator *c, const struct step *log, unsigned at)
{
	const struct step *s = &log[at];
	char user[8];
	struct value values[2] = { { .kind = VALUE_STRING },
		{ .kind = VALUE_INT, .i = (int64_t)s->value } };
	struct correlate_hit hit = { .rule = s->base,
		.time_ns = s->time_ns,
		.owner = SLICE("default"),
		.agent = SLICE("a1"),
		.position = at,
		.ordinal = at,
		.values = values };

	(void)snprintf(user, sizeof(user), "u%u", s->group);
	values[0].s = (struct slice){ user, 2 };
	oracle_stream(s->source, hit.id.stream);
	hit.id.offset = at;
	correlator_source(c, s->source);
	correlator_hit(c, &hit);
	correlator_watermark(c, s->source, s->watermark_ns);
	correlator_log_time(c, 0); /* each step is a record of its own */
}

static void
restore(struct correlator *c, const struct findings *stored)
{
	for (unsigned i = 0; i < stored->n; i++) {
		const struct found *x = &stored->all[i];
		struct correlate_incident inc = { .rule = BASES,
			.owner = SLICE("default"),
			.first_seen_ns = x->first_ns,
			.last_seen_ns = x->last_ns,
			.fired_ns = x->fired_ns,
			.events = x->events,
			.agents = SLICE("[\"a1\"]"),
			.disproved = x->disproved };
		char group[32];

		oracle_group(x->group, group);
		memcpy(inc.id, x->id, sizeof(inc.id));
		inc.group = (struct slice){ group, strlen(group) };
		correlator_restore(c, &inc);
	}
}

/* Where the state begins: hits, and watermarks that groups wait for. */
static unsigned
rebuild_from(const struct correlator *c, const struct step *log, unsigned at)
{
	uint64_t from = correlator_rebuild_position(c);

	for (unsigned s = 0; s < SOURCES_MAX; s++) {
		int64_t best = INT64_MIN;
		unsigned moved = 0;

		for (unsigned i = 0; i < at; i++)
			if (log[i].source == s && log[i].watermark_ns > best) {
				best = log[i].watermark_ns;
				moved = i;
			}
		if (best != INT64_MIN && correlator_awaits(c, s) &&
		    moved < from)
			from = moved;
	}
	return from > at ? at : (unsigned)from;
}

static struct correlator *
start(const struct spec *spec, struct findings *out)
{
	struct correlate_options o = { .late_ns = 1,
		.on_incident = on_incident,
		.ctx = out };

	return corr_new(plan_of(spec), &o);
}

static struct correlator *
restart(struct correlator *c, const struct spec *spec, const struct step *log,
    unsigned at, struct findings *out)
{
	unsigned from = rebuild_from(c, log, at);

	correlator_free(c);
	c = start(spec, out);
	correlator_rebuild(c, true);
	for (unsigned i = from; i < at; i++)
		feed(c, log, i);
	restore(c, out);
	correlator_rebuild(c, false);
	return c;
}

/* `cut`: restart before this step; LOG_MAX: never; LOG_MAX + 1: before each. */
static void
engine_run(const struct spec *spec, const struct step *log, unsigned n,
    unsigned cut, struct findings *out)
{
	struct correlator *c;

	out->n = 0;
	c = start(spec, out);
	for (unsigned i = 0; i < n; i++) {
		if (i == cut || cut > LOG_MAX)
			c = restart(c, spec, log, i, out);
		feed(c, log, i);
	}
	correlator_free(c);
	findings_sort(out);
}

/* ---- random logs ------------------------------------------------------------------ */

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned
below(uint64_t *state, unsigned n)
{
	return (unsigned)(next_random(state) % n);
}

/* `shape`: 0 in order, 1 somewhat late, 2 very late, 3 many equal times. */
static unsigned
make_log(uint64_t *rnd, unsigned shape, struct step log[LOG_MAX])
{
	static const unsigned late_of[] = { 1, SPAN, 3 * SPAN, SPAN };
	static const unsigned gaps[] = { 10, 30, 60, 150 };
	unsigned n = 20 + below(rnd, LOG_MAX - 20);
	unsigned gap = gaps[below(rnd, 4)], n_groups = 1 + below(rnd, 3);
	unsigned values = 2 + below(rnd, 8);
	int64_t now = 10000;
	int64_t newest[SOURCES_MAX] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct step *s = &log[i];
		unsigned late =
		    below(rnd, 3) == 0 ? below(rnd, late_of[shape]) : 0;

		now += below(rnd, gap);
		if (below(rnd, 20) == 0)
			now += below(rnd, 5 * SPAN);
		*s = (struct step){ .time_ns = now - late,
			.base = below(rnd, BASES),
			.group = below(rnd, n_groups),
			.value = below(rnd, values),
			.source = below(rnd, SOURCES_MAX) };
		if (shape == 3)
			s->time_ns -= s->time_ns % 50;
		if (s->time_ns > newest[s->source])
			newest[s->source] = s->time_ns;
		s->watermark_ns = newest[s->source];
	}
	return n;
}

/* ---- the test ----------------------------------------------------------------------- */

static const struct spec specs[] = {
	{ "event_count gte 3", CORRELATION_EVENT_COUNT, OP_GTE, 3, 2, false },
	{ "event_count gt 4", CORRELATION_EVENT_COUNT, OP_GT, 4, 3, false },
	{ "event_count gte 1", CORRELATION_EVENT_COUNT, OP_GTE, 1, 1, false },
	{ "value_count gte 3", CORRELATION_VALUE_COUNT, OP_GTE, 3, 2, false },
	{ "value_count gt 4", CORRELATION_VALUE_COUNT, OP_GT, 4, 3, false },
	{ "temporal", CORRELATION_TEMPORAL, OP_EQ, -1, 3, false },
	{ "temporal_ordered", CORRELATION_TEMPORAL_ORDERED, OP_EQ, -1, 3,
	    false },
	{ "absence lt 1", CORRELATION_EVENT_COUNT, OP_LT, 1, 3, false },
	{ "absence eq 0", CORRELATION_EVENT_COUNT, OP_EQ, 0, 2, false },
	{ "single matches", CORRELATION_EVENT_COUNT, OP_EQ, -1, 2, true },
};

static const char *const shapes[] = { "in order", "with late hits",
	"with hits too late", "with equal times" };

static unsigned
log_of_rules(struct step *log, unsigned n, unsigned n_rules)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++)
		if (log[i].base < n_rules)
			log[kept++] = log[i];
	return kept;
}

static bool
agree(const struct spec *spec, uint64_t *rnd, unsigned shape)
{
	static struct step log[LOG_MAX];
	static struct findings want, got;
	struct corr_plan *plan = plan_of(spec);
	unsigned n = make_log(rnd, shape, log);
	unsigned cuts[] = { LOG_MAX, LOG_MAX + 1, 0 };
	bool ok = true;

	n = log_of_rules(log, n, spec->n_rules);
	cuts[2] = n > 0 ? below(rnd, n) : 0;
	oracle_run(&plan->rules[0], log, n, &want);
	for (unsigned i = 0; ok && i < 3; i++) {
		engine_run(spec, log, n, cuts[i], &got);
		ok = findings_equal(&want, &got);
		if (!ok) {
			(void)printf("# restart at %u of %u\n", cuts[i], n);
			findings_print("oracle", &want);
			findings_print("engine", &got);
			for (unsigned j = 0; j < n; j++)
				(void)printf(
				    "# %u: t %lld u%u base %u value %u "
				    "source %u wm %lld\n",
				    j, (long long)log[j].time_ns, log[j].group,
				    log[j].base, log[j].value, log[j].source,
				    (long long)log[j].watermark_ns);
		}
	}
	free(plan->arena == NULL ? NULL : (arena_free(plan->arena), plan));
	return ok;
}

static void
the_oracle_agrees(const struct spec *spec, unsigned shape)
{
	uint64_t rnd = UINT64_C(88172645463325252) + shape;
	unsigned round = 0;

	while (round < ROUNDS && agree(spec, &rnd, shape))
		round++;
	CHECK(round == ROUNDS, "%s, %s: as the oracle, restarts or not",
	    spec->name, shapes[shape]);
}

int
main(void)
{
	for (unsigned i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
		for (unsigned shape = 0; shape < 4; shape++)
			the_oracle_agrees(&specs[i], shape);
	return tap_done();
}
