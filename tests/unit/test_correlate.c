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

/* KUZET_TEST_ROUNDS and KUZET_TEST_SEED ask for more, and for others. */
enum { BASES = 3, ROUNDS = 12, SPAN = 100, VALUES_BELOW_0 = 2 };

/* ---- a plan by hand --------------------------------------------------------- */

struct spec {
	const char *name;
	enum correlation_type type;
	unsigned n_rules;
	unsigned n_bounds;
	bool single;
	struct correlation_bound bounds[2];
	const struct sigma_node *extended;
};

static bool
has_value(enum correlation_type type)
{
	return type != CORRELATION_EVENT_COUNT &&
	    type != CORRELATION_TEMPORAL &&
	    type != CORRELATION_TEMPORAL_ORDERED;
}

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
		.bounds = { spec->bounds[0], spec->bounds[1] },
		.n_bounds = spec->n_bounds,
		.percentile = 90,
		.extended = spec->extended };
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
			.n_values = has_value(spec->type) };
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
		{ .kind = VALUE_INT, .i = s->value } };
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
	hit.id.offset = s->id;
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
	struct correlator_stats stats;
	struct correlator *c;

	out->n = 0;
	c = start(spec, out);
	for (unsigned i = 0; i < n; i++) {
		if (i == cut || cut > LOG_MAX)
			c = restart(c, spec, log, i, out);
		feed(c, log, i);
	}
	correlator_stats(c, &stats);
	out->late = (unsigned)stats.late_hits;
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

enum shape { IN_ORDER, LATE, TOO_LATE, EQUAL_TIMES, TWICE, N_SHAPES };

static const char *const shapes[] = { "in order", "with late hits",
	"with hits too late", "with equal times", "with events twice" };

/* A hit at about `now`. */
static struct step
make_step(uint64_t *rnd, enum shape shape, int64_t now, unsigned n_groups,
    unsigned values)
{
	static const unsigned late_of[] = { 1, SPAN, 3 * SPAN, SPAN, SPAN };
	unsigned late = below(rnd, 3) == 0 ? below(rnd, late_of[shape]) : 0;
	struct step s = { .time_ns = now - late,
		.base = below(rnd, BASES),
		.group = below(rnd, n_groups),
		.value = (int)below(rnd, values) - VALUES_BELOW_0,
		.source = below(rnd, SOURCES_MAX) };

	if (shape == EQUAL_TIMES)
		s.time_ns -= s.time_ns % 50;
	return s;
}

static unsigned
make_log(uint64_t *rnd, enum shape shape, struct step log[LOG_MAX])
{
	static const unsigned gaps[] = { 10, 30, 60, 150 };
	unsigned n = 20 + below(rnd, LOG_MAX - 20);
	unsigned gap = gaps[below(rnd, 4)], n_groups = 1 + below(rnd, 3);
	unsigned values = 2 + below(rnd, 8);
	int64_t now = 10000;
	int64_t newest[SOURCES_MAX] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct step *s = &log[i];

		now += below(rnd, gap);
		if (below(rnd, 20) == 0)
			now += below(rnd, 5 * SPAN);
		if (shape == TWICE && i > 0 && below(rnd, 3) == 0) {
			*s = log[i - 1 - below(rnd, i < 8 ? i : 8)];
			s->base = below(rnd, BASES);
		} else {
			*s = make_step(rnd, shape, now, n_groups, values);
			s->id = i;
		}
		if (s->time_ns > newest[s->source])
			newest[s->source] = s->time_ns;
		s->watermark_ns = newest[s->source];
	}
	return n;
}

/* ---- the test ----------------------------------------------------------------------- */

/* a and not (b or c) */
static const struct sigma_node leaf_a = { .kind = NODE_LEAF, .index = 0 };
static const struct sigma_node leaf_b = { .kind = NODE_LEAF, .index = 1 };
static const struct sigma_node leaf_c = { .kind = NODE_LEAF, .index = 2 };
static const struct sigma_node *const b_or_c[] = { &leaf_b, &leaf_c };
static const struct sigma_node any = { NODE_OR, 0, b_or_c, 2 };
static const struct sigma_node *const of_any[] = { &any };
static const struct sigma_node none = { NODE_NOT, 0, of_any, 1 };
static const struct sigma_node *const a_and_none[] = { &leaf_a, &none };
static const struct sigma_node only_a = { NODE_AND, 0, a_and_none, 2 };

static const struct spec specs[] = {

	{ "event_count gte 3", CORRELATION_EVENT_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_GTE, 3 } } },
	{ "event_count gt 4", CORRELATION_EVENT_COUNT, 3, .n_bounds = 1,
	    .bounds = { { OP_GT, 4 } } },
	{ "event_count gte 1", CORRELATION_EVENT_COUNT, 1, .n_bounds = 1,
	    .bounds = { { OP_GTE, 1 } } },
	{ "event_count neq 2", CORRELATION_EVENT_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_NEQ, 2 } } },
	{ "event_count gte 2, gt 2", CORRELATION_EVENT_COUNT, 2, .n_bounds = 2,
	    .bounds = { { OP_GTE, 2 }, { OP_GT, 2 } } },
	{ "value_count gte 3", CORRELATION_VALUE_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_GTE, 3 } } },
	{ "value_count gt 4", CORRELATION_VALUE_COUNT, 3, .n_bounds = 1,
	    .bounds = { { OP_GT, 4 } } },
	{ "value_count neq 1", CORRELATION_VALUE_COUNT, 3, .n_bounds = 1,
	    .bounds = { { OP_NEQ, 1 } } },
	{ "temporal", CORRELATION_TEMPORAL, 3, .n_bounds = 0 },
	{ "temporal gte 2", CORRELATION_TEMPORAL, 3, .n_bounds = 1,
	    .bounds = { { OP_GTE, 2 } } },
	{ "temporal: one and not the others", CORRELATION_TEMPORAL, 3,
	    .extended = &only_a },
	{ "temporal_ordered", CORRELATION_TEMPORAL_ORDERED, 3, .n_bounds = 0 },
	{ "temporal_ordered gte 2", CORRELATION_TEMPORAL_ORDERED, 3,
	    .n_bounds = 1, .bounds = { { OP_GTE, 2 } } },
	{ "value_sum gt 9", CORRELATION_VALUE_SUM, 2, .n_bounds = 1,
	    .bounds = { { OP_GT, 9 } } },
	{ "value_sum lte 2", CORRELATION_VALUE_SUM, 2, .n_bounds = 1,
	    .bounds = { { OP_LTE, 2 } } },
	{ "value_sum gte 1, lt 4", CORRELATION_VALUE_SUM, 2, .n_bounds = 2,
	    .bounds = { { OP_GTE, 1 }, { OP_LT, 4 } } },
	{ "value_sum eq 0", CORRELATION_VALUE_SUM, 2, .n_bounds = 1,
	    .bounds = { { OP_EQ, 0 } } },
	{ "value_sum lt -2", CORRELATION_VALUE_SUM, 3, .n_bounds = 1,
	    .bounds = { { OP_LT, -2 } } },
	{ "value_median lte 0", CORRELATION_VALUE_MEDIAN, 2, .n_bounds = 1,
	    .bounds = { { OP_LTE, 0 } } },
	{ "value_percentile neq 1", CORRELATION_VALUE_PERCENTILE, 3,
	    .n_bounds = 1, .bounds = { { OP_NEQ, 1 } } },
	{ "temporal eq 2", CORRELATION_TEMPORAL, 3, .n_bounds = 1,
	    .bounds = { { OP_EQ, 2 } } },
	{ "temporal_ordered lt 2", CORRELATION_TEMPORAL_ORDERED, 2,
	    .n_bounds = 1, .bounds = { { OP_LT, 2 } } },
	{ "value_avg gte 2.5", CORRELATION_VALUE_AVG, 3, .n_bounds = 1,
	    .bounds = { { OP_GTE, 2.5 } } },
	{ "value_avg gte 1, lt 2", CORRELATION_VALUE_AVG, 3, .n_bounds = 2,
	    .bounds = { { OP_GTE, 1 }, { OP_LT, 2 } } },
	{ "value_median gt 2", CORRELATION_VALUE_MEDIAN, 2, .n_bounds = 1,
	    .bounds = { { OP_GT, 2 } } },
	{ "value_percentile gte 4", CORRELATION_VALUE_PERCENTILE, 2,
	    .n_bounds = 1, .bounds = { { OP_GTE, 4 } } },
	{ "absence lt 1", CORRELATION_EVENT_COUNT, 3, .n_bounds = 1,
	    .bounds = { { OP_LT, 1 } } },
	{ "absence eq 0", CORRELATION_EVENT_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_EQ, 0 } } },
	{ "event_count lt 3", CORRELATION_EVENT_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_LT, 3 } } },
	{ "event_count lte 1", CORRELATION_EVENT_COUNT, 3, .n_bounds = 1,
	    .bounds = { { OP_LTE, 1 } } },
	{ "event_count eq 2", CORRELATION_EVENT_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_EQ, 2 } } },
	{ "event_count gt 1, lte 3", CORRELATION_EVENT_COUNT, 2, .n_bounds = 2,
	    .bounds = { { OP_GT, 1 }, { OP_LTE, 3 } } },
	{ "value_count lt 2", CORRELATION_VALUE_COUNT, 2, .n_bounds = 1,
	    .bounds = { { OP_LT, 2 } } },
	{ "value_count eq 2", CORRELATION_VALUE_COUNT, 3, .n_bounds = 1,
	    .bounds = { { OP_EQ, 2 } } },
	{ "temporal lte 1", CORRELATION_TEMPORAL, 3, .n_bounds = 1,
	    .bounds = { { OP_LTE, 1 } } },
	{ "single matches", CORRELATION_EVENT_COUNT, 2, .single = true },
};

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
		ok = findings_equal(&want, &got) &&
		    (cuts[i] != LOG_MAX || got.late == want.late);
		if (!ok) {
			(void)printf("# restart at %u of %u\n", cuts[i], n);
			findings_print("oracle", &want);
			findings_print("engine", &got);
			for (unsigned j = 0; j < n; j++)
				(void)printf(
				    "# %u: t %lld u%u base %u value %d "
				    "source %u wm %lld\n",
				    j, (long long)log[j].time_ns, log[j].group,
				    log[j].base, log[j].value, log[j].source,
				    (long long)log[j].watermark_ns);
		}
	}
	free(plan->arena == NULL ? NULL : (arena_free(plan->arena), plan));
	return ok;
}

static uint64_t
asked(const char *name, uint64_t otherwise)
{
	const char *text = secure_getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void
the_oracle_agrees(const struct spec *spec, unsigned shape)
{
	uint64_t rnd =
	    asked("KUZET_TEST_SEED", UINT64_C(88172645463325252)) + shape;
	uint64_t rounds = asked("KUZET_TEST_ROUNDS", ROUNDS), round = 0;

	while (round < rounds && agree(spec, &rnd, shape))
		round++;
	CHECK(round == rounds, "%s, %s: as the oracle, restarts or not",
	    spec->name, shapes[shape]);
}

static void
no_source_is_waited_for_beyond_the_state(void)
{
	static const struct spec absence = { "absence", CORRELATION_EVENT_COUNT,
		1, .n_bounds = 1, .bounds = { { OP_LT, 1 } } };
	/* source 1 tells nothing any more after its one hit */
	static const struct step log[] = {
		{ .time_ns = 1000, .source = 0, .id = 0, .watermark_ns = 1000 },
		{ .time_ns = 1010, .source = 1, .id = 1, .watermark_ns = 1010 },
		{ .time_ns = 1250, .source = 0, .id = 2, .watermark_ns = 1250 },
		{ .time_ns = 1400, .source = 0, .id = 3, .watermark_ns = 1400 },
		{ .time_ns = 1400, .source = 0, .id = 4, .watermark_ns = 1501 },
	};
	static struct findings found;
	struct correlator_stats stats;
	struct correlator *c = start(&absence, &found);

	for (unsigned i = 0; i < 3; i++)
		feed(c, log, i);
	correlator_stats(c, &stats);
	CHECK(found.n == 0 && stats.unjudged_hits == 0,
	    "a window waits for a source that is behind");
	feed(c, log, 3);
	correlator_stats(c, &stats);
	CHECK(found.all[0].fired_ns == 1250 && found.n == 1 &&
		stats.unjudged_hits == 1,
	    "one that is behind the state is waited for no longer: counted");
	feed(c, log, 4);
	CHECK(found.n == 2 && found.all[1].fired_ns == 1400,
	    "and the others go on");
	correlator_free(c);
}

int
main(void)
{
	for (unsigned i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
		for (unsigned shape = 0; shape < N_SHAPES; shape++)
			the_oracle_agrees(&specs[i], shape);
	no_source_is_waited_for_beyond_the_state();
	return tap_done();
}
