/* SPDX-License-Identifier: Apache-2.0 */
/* What the collector tells the agent: configurations, and what is to be done. */
#include "agent/pipeline_parts.h"
#include "timestamp.h"

static enum rc
apply_central(void *ctx, enum central_copy which, struct error *err)
{
	struct pipeline *p = ctx;

	if (p->drain_began_ns != 0)
		return error_set(err, RC_AGAIN, "the agent is stopping");
	return pipeline_reload(p, which, true, err);
}

static enum rc
check_central(void *ctx, enum central_copy which, struct buf *changes,
    struct error *err)
{
	struct pipeline *p = ctx;
	struct agent_config fresh = { 0 };
	enum rc rc = pipeline_load_again(p, which, true, &fresh, err);

	opener_reloaded(p->opener, false);
	tls_context_free(p->tls_fresh);
	p->tls_fresh = NULL;
	if (rc == RC_OK)
		agent_config_diff(&p->config, &fresh, changes);
	agent_config_free(&fresh);
	return rc;
}

static void
respond(void *ctx, struct slice id, struct slice wire)
{
	struct pipeline *p = ctx;

	response_take(p->response, id, wire);
}

static void
wake_central(void *ctx)
{
	struct pipeline *p = ctx;

	if (p->status != NULL)
		status_now(p->status);
	pipeline_wake(p);
}

void
pipeline_open_central(struct pipeline *p, struct central_start *start)
{
	p->central =
	    central_new(&(struct central_options){ .loop = p->loop,
			    .state_dir = p->config.state_dir,
			    .accept = p->config.central.accept,
			    .fall_back_ns = p->config.central.fall_back,
			    .apply = apply_central,
			    .check = check_central,
			    .respond = respond,
			    .wake = wake_central,
			    .ctx = p },
		start);
}

void
pipeline_on_told(void *ctx, struct slice json)
{
	struct pipeline *p = ctx;

	central_take(p->central, json);
}

void
pipeline_on_up(void *ctx)
{
	struct pipeline *p = ctx;

	status_now(p->status);
}

enum rc
pipeline_start_responder(struct pipeline *p, const struct central_start *start,
    struct error *err)
{
	const struct agent_config *c = &p->config;
	struct responder_options options = {
		.keys = start->keys,
		.agent = start->agent,
		.enabled = &c->response.enabled,
		.services = &c->response.services,
		.evidence = &c->response.evidence,
		.never = &c->response.never,
		.hosts = &c->hosts,
		.max_ns = c->response.max_time,
		.started_ns = timestamp_now(),
	};

	return c->response.enabled.n == 0
	    ? RC_OK
	    : responder_start(&options, &p->processes, &p->responder, err);
}

void
pipeline_open_response(struct pipeline *p)
{
	p->response = response_new(&(struct response_options){ .loop = p->loop,
	    .channel = p->responder,
	    .spool = p->spool,
	    .host_name = p->config.host_name,
	    .central = p->central });
	p->responder = -1;
}
