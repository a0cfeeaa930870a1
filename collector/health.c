/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <stdlib.h>

#include "log.h"
#include "soc.h"
#include "timestamp.h"
#include "xalloc.h"

enum { WATCH_SECONDS = 60 };

struct health {
	struct health_of of;
	int64_t started_ns;
	struct loop_timer *watch;
	/* What was said so far. */
	uint64_t evicted_hits, unknown_hits, unjudged_hits, left_out;
	uint64_t given_up;
	uint64_t shortened_hits;
};

static void
watch_correlation(struct health *h)
{
	struct correlator_stats stats;
	uint64_t unknown = incidents_unknown_hits(h->of.incidents);

	incidents_stats(h->of.incidents, &stats);
	if (stats.evicted_hits > h->evicted_hits)
		log_warn("correlation left out %llu hits since the start: %llu "
			 "came too late, for the others there was no room",
		    (unsigned long long)stats.evicted_hits,
		    (unsigned long long)stats.late_hits);
	h->evicted_hits = stats.evicted_hits;
	if (stats.shortened_hits > 0 && h->shortened_hits == 0)
		log_warn(
		    "correlation holds so many hits that it keeps them for "
		    "three timespans only: events that come later than "
		    "that no longer count (shortened_hits of `status`)");
	h->shortened_hits = stats.shortened_hits;
	if (stats.unjudged_hits > h->unjudged_hits)
		log_warn("correlation gave up waiting for what follows %llu "
			 "hits since the start: a source is too far behind",
		    (unsigned long long)stats.unjudged_hits);
	h->unjudged_hits = stats.unjudged_hits;
	if (unknown > h->unknown_hits)
		log_warn("correlation passed over %llu hits since the start: "
			 "their rules changed while the collector was stopped",
		    (unsigned long long)unknown);
	h->unknown_hits = unknown;
}

static void
watch_rules(struct health *h)
{
	struct workers_counters counters;

	workers_counters(h->of.workers, &counters);
	if (counters.given_up > h->given_up)
		log_warn("rules gave up %llu matches since the start, which "
			 "count as none: a regular expression takes too many "
			 "steps (kuzetctl rules check says which are slow)",
		    (unsigned long long)counters.given_up);
	h->given_up = counters.given_up;
}

static void
on_watch(void *ctx)
{
	struct health *h = ctx;
	uint64_t left_out = agents_left_out(h->of.agents);

	watch_correlation(h);
	watch_rules(h);
	if (left_out > h->left_out)
		log_warn("%llu status messages of agents since the start were "
			 "too much to keep",
		    (unsigned long long)left_out);
	h->left_out = left_out;
	loop_timer_start(h->watch, WATCH_SECONDS * NS_PER_SEC);
}

struct health *
health_new(const struct health_of *of)
{
	struct health *h = xzalloc(sizeof(*h));

	h->of = *of;
	h->started_ns = loop_now();
	h->watch = loop_timer_new(of->loop, on_watch, h);
	loop_timer_start(h->watch, WATCH_SECONDS * NS_PER_SEC);
	return h;
}

void
health_free(struct health *h)
{
	if (h == NULL)
		return;
	loop_timer_free(h->watch);
	free(h);
}

static void
count_correlation(const struct health *h, struct api_status *out)
{
	struct correlator_stats stats;

	incidents_stats(h->of.incidents, &stats);
	out->correlated = incidents_position(h->of.incidents);
	out->hits = stats.hits;
	out->groups = stats.groups;
	out->late_hits = stats.late_hits;
	out->evicted_hits = stats.evicted_hits - stats.late_hits;
	out->evicted_groups = stats.evicted_groups;
	out->shortened_hits = stats.shortened_hits;
	out->unknown_hits = incidents_unknown_hits(h->of.incidents);
	out->unjudged_hits = stats.unjudged_hits;
}

static void
count_kept(const struct health *h, struct api_status *out)
{
	struct keeper_counters c;

	keeper_counters(h->of.keeper, &c);
	out->merged_blocks = c.blocks_before;
	out->archived_days = c.archived;
	out->removed_days = c.removed;
	out->removed_events = c.removed_events;
}

static void
count_outbox(const struct health *h, struct api_status *out)
{
	struct outbox *outbox = NULL;
	struct error err;

	if (!h->of.publishes)
		return;
	if (outbox_open(h->of.store, &outbox, &err) != RC_OK ||
	    outbox_counts(outbox, &out->outbox_pending, &out->outbox_delivered,
		&err) != RC_OK)
		log_warn("outbox: %s", err.text);
	outbox_close(outbox);
}

void
health_status(struct health *h, struct api_status *out)
{
	struct workers_counters counters;
	struct findings_counters found;

	workers_counters(h->of.workers, &counters);
	findings_counters(h->of.findings, &found);
	out->uptime_ns = loop_now() - h->started_ns;
	out->received = counters.received;
	out->unparsed = counters.unparsed;
	out->rules_given_up = counters.given_up;
	out->n_programs = workers_unparsed(h->of.workers, out->programs);
	out->findings = found.told;
	out->findings_left_out = found.left_out;
	out->agents_connected = presence_agents(h->of.presence);
	count_correlation(h, out);
	count_kept(h, out);
	count_outbox(h, out);
}

struct agent_question {
	struct api_agent answer;
	api_agent_cb *cb;
	void *ctx;
};

static void
on_agent_says(void *ctx, const struct agent_says *says)
{
	struct agent_question *q = ctx;

	q->answer.heard_ns = says->heard_ns;
	q->answer.version = says->version;
	q->answer.instance = says->instance;
	q->answer.started = says->started;
	q->answer.peer = says->peer;
	q->answer.status = says->status;
	q->answer.positions = says->positions;
	q->cb(q->ctx, &q->answer);
}

void
health_agent(struct health *h, struct slice owner, struct slice agent,
    api_agent_cb *cb, void *ctx)
{
	struct agent_question q = {
		.answer = { .connected = presence_has(h->of.presence, agent) },
		.cb = cb,
		.ctx = ctx,
	};

	if (!agents_get(h->of.agents, owner, agent, on_agent_says, &q))
		cb(ctx, &q.answer);
}
