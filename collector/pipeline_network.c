/* SPDX-License-Identifier: Apache-2.0 */
/* The listeners: who is let in, and what goes back to peers. */
#include <stdlib.h>
#include <string.h>

#include "pipeline_parts.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	HANDSHAKE_SECONDS = 10,
	/* for syslog peers, whose handshakes are finished and sockets emptied */
	DRAIN_MS = 3000,
	DRAIN_LOOK_MS = 10,
};

bool
pipeline_submit(void *ctx, struct piece *piece)
{
	struct pipeline *p = ctx;

	return workers_submit(p->workers, piece);
}

static void
on_open(void *ctx, uint64_t connection, const char *agent, const char *peer)
{
	struct pipeline *p = ctx;

	log_debug("%s connected from %s", agent, peer);
	if (presence_add(p->presence, connection, agent, peer))
		log_warn("%s is connected from %s and from another host: two "
			 "agents with one certificate?",
		    agent, peer);
}

static void
on_close(void *ctx, uint64_t connection)
{
	struct pipeline *p = ctx;

	presence_remove(p->presence, connection);
	orders_closed(p->orders, connection);
	if (p->writer != NULL)
		writer_connection_closed(p->writer, connection);
}

/* In handshakes of agents, and in those of the API's thread. */
static bool
on_admit(void *ctx, const char *agent, const char *certificate)
{
	struct pipeline *p = ctx;

	return identities_admit(p->identities,
	    (struct slice){ agent, strlen(agent) },
	    (struct slice){ certificate, strlen(certificate) });
}

void
pipeline_admit(struct pipeline *p, const struct listener_tls *tls)
{
	tls_context_admit(tls->beats, on_admit, p);
	tls_context_admit(tls->syslog, on_admit, p);
	if (tls->api != NULL)
		tls_context_admit(tls->api, on_admit, p);
}

static void
on_limited(void *ctx)
{
	struct pipeline *p = ctx;

	(void)__atomic_add_fetch(&p->handshakes_limited, 1, __ATOMIC_RELAXED);
}

static void
on_listener_log(void *ctx, const char *message)
{
	(void)ctx;
	log_warn("%s", message);
}

enum rc
pipeline_start_listeners(struct pipeline *p, struct error *err)
{
	struct listener_options o = {
		.budget = p->budget,
		.limits = &lumberjack_limits_default,
		.max_connections = (size_t)p->config->max_connections,
		.connection_rate = (double)p->config->connection_rate,
		.on_limited = on_limited,
		.idle_timeout_ns = p->config->idle_timeout_ns,
		.handshake_timeout_ns = HANDSHAKE_SECONDS * NS_PER_SEC,
		.on_piece = pipeline_submit,
		.admit = on_admit,
		.on_open = on_open,
		.on_close = on_close,
		.on_log = on_listener_log,
		.ctx = p,
	};
	enum rc rc = RC_OK;

	if (p->config->beats_address != NULL) {
		o.address = p->config->beats_address;
		o.tls = p->tls.beats;
		rc = beats_listen(p->loop, &o, &p->beats, err);
		if (rc != RC_OK)
			return rc;
		log_info("Lumberjack over TLS on %s",
		    listener_address(p->beats));
	}
	if (p->config->syslog_address != NULL) {
		o.address = p->config->syslog_address;
		o.tls = p->tls.syslog;
		rc = syslog_listen(p->loop, &o, &p->syslog, err);
		if (rc != RC_OK)
			return rc;
		log_info("syslog over TLS on %s", listener_address(p->syslog));
	}
	return rc;
}

/* ---- room ------------------------------------------------------------- */

static void
resume(void *ctx)
{
	struct pipeline *p = ctx;

	if (p->beats != NULL)
		listener_resume(p->beats);
	if (p->syslog != NULL)
		listener_resume(p->syslog);
}

/* Any thread: a queue or the budget has room again. */
void
pipeline_on_room(void *ctx)
{
	struct pipeline *p = ctx;

	loop_post(p->loop, resume, p);
}

/* ---- what goes back ----------------------------------------------------- */

struct reply {
	struct pipeline *pipeline;
	uint64_t connection;
	uint32_t count; /* 0: end the connection */
};

static void
deliver_reply(void *ctx)
{
	struct reply *r = ctx;
	struct listener *const listeners[] = { r->pipeline->beats,
		r->pipeline->syslog };

	/* a connection's number is its own: only one of them knows it */
	for (size_t i = 0; i < 2; i++) {
		if (listeners[i] == NULL)
			continue;
		if (r->count > 0)
			listener_ack(listeners[i], r->connection, r->count);
		else
			listener_fail(listeners[i], r->connection);
	}
	free(r);
}

void
pipeline_reply(struct pipeline *p, uint64_t connection, uint32_t count)
{
	struct reply *r;

	if (audit_feed_reply(p->audit, connection, count) ||
	    findings_reply(p->findings, connection, count))
		return;
	r = xzalloc(sizeof(*r));
	*r = (struct reply){ p, connection, count };
	loop_post(p->loop, deliver_reply, r);
}

/* Ending a connection loses nothing: what was not acknowledged comes again. */
void
pipeline_end_connection(void *ctx, uint64_t connection)
{
	pipeline_reply(ctx, connection, 0);
}

struct telling {
	struct pipeline *pipeline;
	uint64_t connection;
	size_t len;
	char text[];
};

static void
deliver_order(void *ctx)
{
	struct telling *t = ctx;

	if (t->pipeline->beats != NULL)
		listener_tell(t->pipeline->beats, t->connection,
		    (struct slice){ t->text, t->len });
	free(t);
}

/* Any thread. */
void
pipeline_on_tell(void *ctx, uint64_t connection, struct slice wire)
{
	struct pipeline *p = ctx;
	struct telling *t = xzalloc(sizeof(*t) + wire.len);

	t->pipeline = p;
	t->connection = connection;
	t->len = wire.len;
	memcpy(t->text, wire.ptr, wire.len);
	loop_post(p->loop, deliver_order, t);
}

struct revoked {
	struct pipeline *pipeline;
	char *agent;
};

static void
end_connections_of(void *ctx)
{
	struct revoked *r = ctx;

	presence_each_of(r->pipeline->presence, r->agent,
	    pipeline_end_connection, r->pipeline);
	certificate_watch_revoked(r->pipeline->certificates);
	free(r->agent);
	free(r);
}

/* In a thread of the API; who is on its way in is looked at once more. */
void
pipeline_on_revoked(void *ctx, struct slice agent)
{
	struct revoked *r = xzalloc(sizeof(*r));

	*r = (struct revoked){ ctx, xmemdupz(agent.ptr, agent.len) };
	loop_post(r->pipeline->loop, end_connections_of, r);
}

/* ---- stop --------------------------------------------------------------- */

void
pipeline_look_drained(void *ctx)
{
	struct pipeline *p = ctx;

	if (listener_drained(p->syslog) || loop_now() >= p->drain_until_ns)
		loop_stop(p->loop);
	else
		loop_timer_start(p->drained, DRAIN_LOOK_MS * NS_PER_MS);
}

/* What syslog peers have sent by now is nobody's but ours. */
static void
drain_syslog(struct pipeline *p)
{
	p->drain_until_ns = loop_now() + DRAIN_MS * NS_PER_MS;
	loop_timer_start(p->drained, 0);
	loop_run(p->loop);
	loop_timer_stop(p->drained);
	listener_end_drain(p->syslog);
}

void
pipeline_stop_listening(struct pipeline *p)
{
	if (p->beats != NULL)
		listener_stop_accepting(p->beats);
	if (p->syslog != NULL) {
		listener_stop_accepting(p->syslog);
		drain_syslog(p);
	}
}
