/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "correlate_state.h"
#include "derived.h"
#include "digest.h"
#include "json.h"
#include "xalloc.h"

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

/* Times beyond are taken as these: so that no sum overflows. */
#define TIME_MIN (INT64_MIN / 2)
#define TIME_MAX (INT64_MAX / 2)

enum {
	KEY_BYTES = 65536,
	GROUP_BYTES = 1 << 19,
	AGENTS_BYTES = 1 << 20,
	NUMBER_TEXT = 64
};

/* Where the key and value texts of a hit come from. */
struct input {
	const struct value *values; /* of a base rule's hit */
	struct slice key;           /* of a correlation's group */
};

/* ---- the parts of a hit ------------------------------------------------------- */

static bool
add_part(struct buf *out, const struct input *in, const struct corr_pick *pick)
{
	if (in->values == NULL) {
		struct slice part = { NULL, 0 };

		if (pick->n > 0)
			part = corr_key_part(in->key, pick->at[0]);
		return part.ptr != NULL && buf_add_slice(out, part);
	}
	for (uint32_t i = 0; i < pick->n; i++)
		if (in->values[pick->at[i]].kind != VALUE_NULL) {
			json_write_value(out, &in->values[pick->at[i]]);
			return true;
		}
	for (uint32_t i = 0; i < pick->n_from; i++) {
		const struct value *v = &in->values[pick->from[i]];
		struct slice member = { NULL, 0 };

		if (v->kind == VALUE_STRING)
			member = derived_member(v->s, pick->key);
		if (member.ptr != NULL) {
			json_write_string(out, member);
			return true;
		}
	}
	return false;
}

/* The group's key in c->key; false: it has no group. */
static bool
make_key(struct correlator *c, const struct corr_feed *f,
    const struct input *in)
{
	const struct corr_rule *r = &c->plan->rules[f->rule];

	buf_clear(&c->key);
	for (uint32_t i = 0; i < r->n_keys; i++) {
		if (i > 0)
			(void)buf_add_char(&c->key, ',');
		if (!add_part(&c->key, in, &f->keys[i]) && !f->optional)
			return false;
	}
	return !c->key.overflowed;
}

static bool
text_number(struct slice s, double *x)
{
	char text[NUMBER_TEXT];
	char *end;

	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	errno = 0;
	*x = strtod(text, &end);
	return errno == 0 && *end == '\0' && isfinite(*x);
}

static bool
number(const struct input *in, const struct corr_pick *pick, double *x)
{
	for (uint32_t i = 0; i < pick->n && in->values != NULL; i++) {
		const struct value *v = &in->values[pick->at[i]];

		switch (v->kind) {
		case VALUE_INT:
			*x = (double)v->i;
			return true;
		case VALUE_DOUBLE:
			*x = v->d;
			return true;
		case VALUE_STRING:
			return text_number(v->s, x);
		case VALUE_NULL:
			continue;
		default:
			return false;
		}
	}
	return false;
}

/* What is counted or summed, interned; false: it has none, so it is no hit. */
static bool
make_value(struct correlator *c, const struct corr_feed *f,
    const struct input *in, uint32_t *value)
{
	double x;
	size_t at = c->key.len; /* behind the key */

	*value = INTERN_NONE;
	if (f->n_values == 0)
		return true;
	if (c->plan->rules[f->rule].scalar_values) {
		if (!number(in, &f->values[0], &x))
			return false;
		*value = intern_take(&c->values,
		    (struct slice){ (const char *)&x, sizeof(x) });
		return true;
	}
	for (uint32_t i = 0; i < f->n_values; i++) {
		if (i > 0)
			(void)buf_add_char(&c->key, ',');
		if (!add_part(&c->key, in, &f->values[i]))
			return false;
	}
	if (c->key.overflowed)
		return false;
	*value = intern_take(&c->values,
	    (struct slice){ c->key.ptr + at, c->key.len - at });
	c->key.len = at;
	return true;
}

/* The same text as the hit before it, mostly. */
static uint32_t
take_again(struct intern *in, uint32_t *last, struct slice text)
{
	if (*last != INTERN_NONE && slice_eq(intern_text(in, *last), text)) {
		intern_ref(in, *last);
		return *last;
	}
	intern_drop(in, *last);
	*last = intern_take(in, text);
	intern_ref(in, *last);
	return *last;
}

static struct corr_hit
make_hit(struct correlator *c, const struct correlate_hit *hit)
{
	static const uint8_t none[16];
	static const uint64_t fixed[2] = { 0, 0 };
	struct corr_hit h = { .time_ns = hit->time_ns,
		.stream = INTERN_NONE,
		.value = INTERN_NONE,
		.ordinal = (uint32_t)hit->ordinal };

	if (h.time_ns < TIME_MIN)
		h.time_ns = TIME_MIN;
	if (h.time_ns > TIME_MAX)
		h.time_ns = TIME_MAX;
	if (memcmp(hit->id.stream, none, sizeof(none)) != 0) {
		h.stream = take_again(&c->streams, &c->last_stream,
		    (struct slice){ (const char *)hit->id.stream, 16 });
		h.k = hit->id.offset;
	} else if (hit->id_text.len > 0) {
		h.k = sip_hash(fixed, hit->id_text.ptr, hit->id_text.len);
		h.k += h.k == 0 ? 1 : 0;
	}
	h.agent = take_again(&c->agents, &c->last_agent, hit->agent);
	return h;
}

/* ---- into its group ------------------------------------------------------------- */

static void
too_late(struct correlator *c, const struct corr_rule *r)
{
	c->stats.late_hits++;
	c->stats.evicted_hits++;
	if (c->options.on_evict != NULL && !c->rebuilding)
		c->options.on_evict(c->options.ctx, r->index, 1);
}

static bool
is_too_late(struct correlator *c, const struct corr_group *g, int64_t time_ns)
{
	/* windows are whole from a timespan behind the first that is kept */
	return g->trimmed_ns != INT64_MIN &&
	    time_ns <= g->trimmed_ns + corr_rule_of(c, g)->span_ns;
}

/* Where it belongs; *same: the hit before that place is of the same event. */
static uint32_t
place_of(const struct correlator *c, const struct corr_group *g,
    const struct corr_hit *h, bool *same)
{
	const struct corr_hit *hits = corr_hits(g);
	uint32_t at = g->n;

	*same = false;
	if (at > 0 && corr_hit_order(c, &hits[at - 1], h) >= 0) {
		at = corr_hits_after(g, h->time_ns);
		while (at > 0 && corr_hit_order(c, &hits[at - 1], h) > 0)
			at--;
		*same = at > 0 && corr_hit_order(c, &hits[at - 1], h) == 0 &&
		    (h->stream != INTERN_NONE || h->k != 0);
	}
	return at;
}

/* The bound moves on with the newest hit. */
static void
advance(struct correlator *c, struct corr_group *g)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	int64_t cut_ns = corr_hits(g)[g->n - 1].time_ns - corr_kept_ns(c, r);

	if (cut_ns <= g->trimmed_ns)
		return;
	g->trimmed_ns = cut_ns;
	if (r->kind == CORR_AFTER)
		corr_absence_unfeed(c, g);
}

static void
trim(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	uint32_t n;
	int32_t next;

	if (corr_hits(g)[0].time_ns > g->trimmed_ns)
		return;
	n = corr_hits_after(g, g->trimmed_ns);
	if (corr_rule_of(c, g)->kind == CORR_AFTER && !c->rebuilding)
		c->stats.unjudged_hits += corr_absence_unjudged(c, g, n);
	c->stats.shortened_hits += corr_shortened(c, g, n);
	corr_hits_trim(c, g, n);
	for (int32_t i = g->incidents; i != CORR_NONE; i = next) {
		next = corr_incident(c, i)->next;
		if (corr_incident(c, i)->last_ns <= g->trimmed_ns)
			corr_incident_detach(c, g, i);
	}
}

static void
evaluate(struct correlator *c, uint32_t group, uint32_t at, bool fresh)
{
	const struct corr_rule *r = corr_rule_of(c, corr_group(c, group));

	if (r->kind == CORR_AFTER) {
		corr_absence_update(c, group, at, fresh);
	} else if (!c->rebuilding || !r->visible) {
		/* what nobody stores is evaluated again in a rebuild: others
		 * may count its firings */
		corr_run_update(c, group, at, fresh);
	}
}

/* An event that matches two of a correlation's rules is one event. */
static void
merge(struct correlator *c, uint32_t group, uint32_t at, uint32_t slots)
{
	struct corr_hit *h = &corr_hits(corr_group(c, group))[at];

	if ((slots & ~h->slots) == 0)
		return;
	h->slots |= slots & ((UINT32_C(1) << CORR_SLOTS_MAX) - 1);
	evaluate(c, group, at, false);
}

/* `h` is borrowed, what it refers to too. */
static void
admit(struct correlator *c, uint32_t rule, uint32_t owner,
    const struct corr_hit *h)
{
	const struct corr_rule *r = &c->plan->rules[rule];
	uint32_t group =
	    (uint32_t)corr_group_find(c, rule, owner, buf_slice(&c->key), true);
	struct corr_group *g = corr_group(c, group);
	struct corr_hit own = *h;
	bool same;
	uint32_t at;

	if (is_too_late(c, g, h->time_ns)) {
		too_late(c, r);
		return;
	}
	at = place_of(c, g, h, &same);
	if (same) {
		merge(c, group, at - 1, h->slots);
		return;
	}
	if (r->kind == CORR_AFTER)
		corr_absence_feed(c, g, own.time_ns);
	intern_ref(&c->streams, own.stream);
	intern_ref(&c->agents, own.agent);
	intern_ref(&c->values, own.value);
	corr_hit_insert(c, g, at, &own);
	corr_group_touch(c, group);
	advance(c, g);
	evaluate(c, group, at, true);
	trim(c, group);
	corr_groups_bound(c, group);
}

static void
feed_all(struct correlator *c, const struct corr_feeds *feeds,
    const struct input *in, struct corr_hit h, uint32_t owner)
{
	for (uint32_t i = 0; i < feeds->n; i++) {
		const struct corr_feed *f = &feeds->feeds[i];
		uint32_t nobody;

		if (!make_key(c, f, in) || !make_value(c, f, in, &h.value))
			continue;
		h.slots = f->slot < CORR_SLOTS_MAX ? (UINT32_C(1) << f->slot) &
			((UINT32_C(1) << CORR_SLOTS_MAX) - 1)
						   : 0;
		nobody = INTERN_NONE;
		if (c->plan->rules[f->rule].scope_all)
			nobody = intern_take(&c->owners, SLICE(""));
		admit(c, f->rule, nobody != INTERN_NONE ? nobody : owner, &h);
		intern_drop(&c->owners, nobody);
		intern_drop(&c->values, h.value);
		h.value = INTERN_NONE;
	}
}

/* Firings that are hits of other correlations; these may fire again. */
static void
run_chain(struct correlator *c)
{
	for (uint32_t i = 0; i < c->n_chained; i++) {
		struct corr_chained x = c->chained[i];
		struct input in = { NULL, { x.key, x.key_len } };
		uint32_t index = c->plan->rules[x.rule].index;

		x.hit.held = 0;
		x.hit.closed = 0;
		feed_all(c, &c->plan->by_rule[index], &in, x.hit, x.owner);
		corr_epoch_drop(c, x.hit.epoch);
		intern_drop(&c->agents, x.hit.agent);
		intern_drop(&c->owners, x.owner);
		free(x.key);
	}
	c->n_chained = 0;
}

/* ---- public ---------------------------------------------------------------------- */

struct correlator *
corr_new(struct corr_plan *plan, const struct correlate_options *options)
{
	struct correlator *c = xzalloc(sizeof(*c));

	c->plan = plan;
	c->options = *options;
	if (c->options.max_hits == 0)
		c->options.max_hits = 4000000;
	if (c->options.max_groups == 0)
		c->options.max_groups = 1000000;
	if (c->options.absence_forget_ns == 0)
		c->options.absence_forget_ns = 30 * DAY;
	if (c->options.keep_ns == 0)
		c->options.keep_ns = 6 * HOUR;
	if (c->options.late_ns == 0)
		c->options.late_ns = 24 * HOUR;
	random_bytes(c->hash_key, sizeof(c->hash_key));
	intern_init(&c->streams);
	intern_init(&c->agents);
	intern_init(&c->owners);
	intern_init(&c->values);
	c->last_stream = c->last_agent = c->last_owner = INTERN_NONE;
	c->free_incident = CORR_NONE;
	c->scratch = corr_window_new();
	buf_init(&c->key, KEY_BYTES);
	buf_init(&c->group, GROUP_BYTES);
	buf_init(&c->agents_json, AGENTS_BYTES);
	corr_groups_init(c);
	return c;
}

struct correlator *
correlator_new(struct ruleset *rs, const struct correlate_options *options)
{
	struct correlate_options o = *options;

	if (o.single_gap_ns == 0)
		o.single_gap_ns = HOUR;
	return corr_new(corr_plan_new(rs, &o), &o);
}

void
correlator_free(struct correlator *c)
{
	if (c == NULL)
		return;
	c->options.on_incident = NULL;
	corr_groups_fini(c);
	corr_sources_fini(c);
	corr_incidents_fini(c);
	corr_window_free(c->scratch);
	intern_fini(&c->streams);
	intern_fini(&c->agents);
	intern_fini(&c->owners);
	intern_fini(&c->values);
	buf_fini(&c->key);
	buf_fini(&c->group);
	buf_fini(&c->agents_json);
	free(c->numbers);
	free(c->ordinals);
	corr_plan_free(c->plan);
	free(c);
}

void
correlator_hit(struct correlator *c, const struct correlate_hit *hit)
{
	const struct corr_feeds *feeds;
	struct input in = { hit->values, { NULL, 0 } };
	struct corr_hit h;
	uint32_t owner;

	if (hit->rule >= c->plan->n_by_rule)
		return;
	feeds = &c->plan->by_rule[hit->rule];
	if (feeds->n == 0)
		return;
	h = make_hit(c, hit);
	h.epoch = corr_epoch_of(c, hit->position);
	owner = take_again(&c->owners, &c->last_owner, hit->owner);
	feed_all(c, feeds, &in, h, owner);
	intern_drop(&c->owners, owner);
	corr_hit_drop(c, &h);
	run_chain(c);
	if (!c->options.coalesce)
		corr_incidents_report(c);
}

bool
correlator_wants(const struct correlator *c, uint32_t rule)
{
	return rule < c->plan->n_by_rule && c->plan->by_rule[rule].n > 0;
}

void
correlator_source(struct correlator *c, uint32_t source)
{
	c->source = source;
}

void
correlator_log_time(struct correlator *c, int64_t ns)
{
	uint32_t now = (uint32_t)(ns / SECOND);

	corr_incidents_stand(c);
	if (now == c->clock)
		return;
	c->clock = now;
	corr_groups_forget(c);
}

void
correlator_flush(struct correlator *c)
{
	corr_incidents_stand(c);
	corr_incidents_report(c);
}

size_t
correlator_changed(const struct correlator *c)
{
	return c->n_dirty;
}

void
correlator_rebuild(struct correlator *c, bool on)
{
	bool leave = c->rebuilding && !on;

	c->rebuilding = on;
	for (uint32_t i = 0; leave && i < c->n_groups; i++) {
		struct corr_group *g = corr_group(c, i);

		if (g->hits == NULL)
			continue;
		if (corr_rule_of(c, g)->kind == CORR_AFTER)
			corr_absence_restore(c, i);
		else
			corr_run_restore(c, i);
	}
}

void
correlator_restore(struct correlator *c, const struct correlate_incident *inc)
{
	uint32_t rule = corr_plan_find(c->plan, inc->rule);
	const struct corr_rule *r;
	const struct corr_group *g;
	uint32_t owner;
	int32_t group = CORR_NONE;

	if (rule == UINT32_MAX || inc->disproved)
		return;
	r = &c->plan->rules[rule];
	owner = intern_take(&c->owners, r->scope_all ? SLICE("") : inc->owner);
	if (corr_group_parse(c, r, inc->group, &c->key))
		group =
		    corr_group_find(c, rule, owner, buf_slice(&c->key), false);
	intern_drop(&c->owners, owner);
	if (group == CORR_NONE)
		return;
	g = corr_group(c, (uint32_t)group);
	if (g->n == 0 || inc->last_seen_ns <= g->trimmed_ns)
		return;
	(void)corr_incident_restore(c, (uint32_t)group, inc);
}

void
correlator_stats(const struct correlator *c, struct correlator_stats *out)
{
	*out = c->stats;
	out->bytes += c->streams.bytes + c->agents.bytes + c->owners.bytes +
	    c->values.bytes + c->cap_incidents * sizeof(*c->incidents) +
	    c->epoch_cap * sizeof(*c->epochs);
}

/* ---- reload ------------------------------------------------------------------------ */

static uint32_t
new_place(const struct corr_plan *old, uint32_t i, const struct corr_plan *new)
{
	uint32_t index = ruleset_find_digest(new->rs,
	    ruleset_rule(old->rs, old->rules[i].index)->digest);
	uint32_t j =
	    index == UINT32_MAX ? UINT32_MAX : corr_plan_find(new, index);

	return j != UINT32_MAX && corr_plan_same(old, i, new, j) ? j
								 : UINT32_MAX;
}

struct correlator *
correlator_reload(struct correlator *old, struct ruleset *rs)
{
	struct correlator *c = old; /* it lives on with a new plan */
	struct corr_plan *before = c->plan, *new;
	struct corr_list *touched;
	uint32_t *places = xcalloc(before->n + 1, sizeof(*places));

	corr_incidents_report(c);
	new = corr_plan_new(rs, &c->options);
	touched = xcalloc(new->n + 1, sizeof(*touched));
	for (uint32_t j = 0; j < new->n; j++)
		touched[j] =
		    (struct corr_list){ CORR_NONE, CORR_NONE, INT64_MIN };
	for (uint32_t i = 0; i < before->n; i++)
		places[i] = new_place(before, i, new);
	for (uint32_t i = 0; i < c->n_groups; i++) {
		const struct corr_group *g = corr_group(c, i);

		if (g->hits != NULL && places[g->rule] == UINT32_MAX)
			corr_group_remove(c, i);
	}
	for (uint32_t i = 0; i < before->n; i++)
		if (places[i] != UINT32_MAX)
			touched[places[i]] = c->touched[i];
	corr_groups_renumber(c, places);
	free(c->touched);
	c->touched = touched;
	c->plan = new;
	corr_plan_free(before);
	free(places);
	return c;
}
