/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of an event through the collector, top-down:
 *
 *   listeners/   I/O thread: TLS, framing             -> struct piece
 *   worker.c     N threads: inflate, JSON (decode.c),
 *                normalize/, enrich/, match           -> struct batch
 *   store/       writer thread: order, marks, commit  -> ACK, log record
 *   incidents/   correlator thread: hits -> incidents -> soc.db, outbox
 *   publish/     publisher thread: outbox -> Kafka
 *   api/         API thread: kuzetctl's questions
 */
#include "pipeline.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agents.h"
#include "api/api.h"
#include "audit_feed.h"
#include "budget.h"
#include "certificate_watch.h"
#include "findings.h"
#include "health.h"
#include "identities.h"
#include "incidents/incidents.h"
#include "listeners/listener.h"
#include "log.h"
#include "loop.h"
#include "object_watch.h"
#include "orders.h"
#include "presence.h"
#include "publish/publish.h"
#include "reload.h"
#include "soc.h"
#include "stages.h"
#include "store.h"
#include "store/keeper.h"
#include "store/writer.h"
#include "timestamp.h"
#include "tls.h"
#include "volume_watch.h"
#include "worker.h"
#include "xalloc.h"

enum {
	PIECES_QUEUED = 256,
	BATCHES_QUEUED = 64,
	RECORDS_QUEUED = 16, /* a record may hold megabytes of hits */
	HANDSHAKE_SECONDS = 10,
	FLUSH_MS = 300, /* for the last ACKs to leave */
	/* for syslog peers, whose handshakes are finished and sockets emptied */
	DRAIN_MS = 3000,
	DRAIN_LOOK_MS = 10,
};

struct pipeline {
	const char *path;                      /* borrowed */
	const struct collector_config *config; /* borrowed */

	struct loop *loop;
	struct loop_timer *flushed, *drained;
	int64_t drain_until_ns;
	struct listener_tls tls;
	struct budget *budget;
	struct presence *presence;
	struct agents *agents;
	struct findings *findings;
	struct orders *orders;
	struct certificate_watch *certificates;
	struct object_watch *objects; /* NULL: there is no register */
	struct volume_watch *volumes;
	struct listener *beats;
	struct listener *syslog;

	struct stages *stages;
	struct workers *workers;
	struct reload *reload;

	struct store *store;
	struct identities *identities;
	struct writer *writer;
	struct keeper *keeper;
	struct incidents *incidents;
	struct publish *publish; /* NULL: no Kafka is configured */
	struct api *api;
	struct audit_feed *audit;
	struct health *health;

	/* For the API's threads: __atomic. */
	bool ready;
	uint64_t rules_loaded, rules_refused, n_objects, handshakes_limited;
};

/* ---- listeners -> workers -------------------------------------------- */

static bool
on_piece(void *ctx, struct piece *piece)
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

static void
set_admission(struct pipeline *p, const struct listener_tls *tls)
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
static void
on_room(void *ctx)
{
	struct pipeline *p = ctx;

	loop_post(p->loop, resume, p);
}

/* ---- workers -> writer ------------------------------------------------ */

static void
on_batch(void *ctx, struct batch *b)
{
	struct pipeline *p = ctx;

	(void)writer_submit(p->writer, b); /* takes it, whatever it says */
}

static void
on_control(void *ctx, const struct batch *b, const struct event *control)
{
	struct pipeline *p = ctx;

	orders_heard(p->orders, &b->source, b->connection, control);
}

/* ---- orders -> listeners ---------------------------------------------- */

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
static void
on_tell(void *ctx, uint64_t connection, struct slice wire)
{
	struct pipeline *p = ctx;
	struct telling *t = xzalloc(sizeof(*t) + wire.len);

	t->pipeline = p;
	t->connection = connection;
	t->len = wire.len;
	memcpy(t->text, wire.ptr, wire.len);
	loop_post(p->loop, deliver_order, t);
}

/* ---- writer -> listeners, correlator ---------------------------------- */

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

static void
post_reply(struct pipeline *p, uint64_t connection, uint32_t count)
{
	struct reply *r;

	if (audit_feed_reply(p->audit, connection, count) ||
	    findings_reply(p->findings, connection, count))
		return;
	r = xzalloc(sizeof(*r));
	*r = (struct reply){ p, connection, count };
	loop_post(p->loop, deliver_reply, r);
}

static void
on_ack(void *ctx, uint64_t connection, uint32_t count)
{
	post_reply(ctx, connection, count);
}

static void
on_fail(void *ctx, uint64_t connection, const char *why)
{
	log_warn("connection closed without an ACK: %s", why);
	post_reply(ctx, connection, 0);
}

static void
on_commit(void *ctx, struct log_record *record)
{
	struct pipeline *p = ctx;

	if (__atomic_load_n(&p->ready, __ATOMIC_ACQUIRE))
		api_record(p->api, record);
	incidents_submit(p->incidents, record);
}

static void
on_store_trouble(void *ctx, const char *message)
{
	(void)ctx;
	if (message[0] == '\0')
		log_info("the store can write again");
	else
		log_error("the store cannot write; nothing is acknowledged "
			  "until it can: %s",
		    message);
}

static void
on_kept_day(void *ctx, const char *day, const char *what)
{
	(void)ctx;
	log_info("the day %s %s", day, what);
}

static void
on_keeper_trouble(void *ctx, const char *message)
{
	(void)ctx;
	if (message[0] == '\0')
		log_info("the store is kept again");
	else
		log_warn("the store is not kept, events are: %s", message);
}

static void
on_incident(void *ctx, const struct incident *i)
{
	struct pipeline *p = ctx;

	if (i->opened)
		log_info("incident %.*s %.*s: %.*s %.*s, %llu events",
		    SLICE_ARG(i->id), SLICE_ARG(i->level),
		    SLICE_ARG(i->rule_title), SLICE_ARG(i->group),
		    (unsigned long long)i->events);
	if (p->publish != NULL)
		publish_wake(p->publish);
	if (__atomic_load_n(&p->ready, __ATOMIC_ACQUIRE))
		api_incident(p->api, i);
}

static void
on_incidents_trouble(void *ctx, const char *message)
{
	(void)ctx;
	if (message[0] == '\0')
		log_info("incidents are stored again");
	else
		log_error("incidents wait: %s", message);
}

static void
on_publish_trouble(void *ctx, const char *message)
{
	(void)ctx;
	if (message[0] == '\0')
		log_info("Kafka takes incidents again");
	else
		log_warn("incidents wait for Kafka: %s", message);
}

/* ---- start -------------------------------------------------------------- */

static enum rc
start_listeners(struct pipeline *p, struct error *err)
{
	struct listener_options o = {
		.budget = p->budget,
		.limits = &lumberjack_limits_default,
		.max_connections = (size_t)p->config->max_connections,
		.connection_rate = (double)p->config->connection_rate,
		.on_limited = on_limited,
		.idle_timeout_ns = p->config->idle_timeout_ns,
		.handshake_timeout_ns = HANDSHAKE_SECONDS * NS_PER_SEC,
		.on_piece = on_piece,
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

static enum rc
start_incidents(struct pipeline *p, struct error *err)
{
	const struct incidents_options options = {
		.store = p->store,
		.rules = p->stages->rules,
		.objects = p->stages->objects,
		.single_rule_level = (enum rule_level)p->config->incident_level,
		.silent_after_ns = p->config->silent_after_ns,
		.outbox = p->config->kafka_brokers.n > 0,
		.max_queued = RECORDS_QUEUED,
		.on_incident = on_incident,
		.on_trouble = on_incidents_trouble,
		.ctx = p,
	};

	return incidents_new(&options, &p->incidents, err);
}

static enum rc
start_publish(struct pipeline *p, struct error *err)
{
	struct publish_options options = collector_publish(p->config);

	if (options.n_brokers == 0)
		return RC_OK;
	options.store = p->store;
	options.on_trouble = on_publish_trouble;
	options.ctx = p;
	return publish_new(&options, &p->publish, err);
}

static void
start_writer(struct pipeline *p)
{
	const struct writer_options options = {
		.store = p->store,
		.max_queued = BATCHES_QUEUED,
		.seal_every_ns = p->config->store_sign_every_ns,
		.on_ack = on_ack,
		.on_fail = on_fail,
		.on_commit = on_commit,
		.on_trouble = on_store_trouble,
		.ctx = p,
	};

	p->writer = writer_new(&options);
}

static void
start_keeper(struct pipeline *p)
{
	const struct keeper_options options = {
		.store = p->store,
		.no_merge = !p->config->store_merge,
		.tsa_url = p->config->store_tsa_url,
		.tsa_ca = p->config->store_tsa_ca,
		.retention = {
		    .keep_ns = p->config->store_keep_ns,
		    .disk_bytes = (uint64_t)p->config->store_disk_bytes,
		    .archive = p->config->store_archive,
		    .archive_first = p->config->store_archive != NULL &&
			p->config->store_archive_first,
		},
		.on_trouble = on_keeper_trouble,
		.on_day = on_kept_day,
		.ctx = p,
	};

	p->keeper = keeper_new(&options);
}

static void
start_health(struct pipeline *p)
{
	const struct health_of of = {
		.loop = p->loop,
		.workers = p->workers,
		.store = p->store,
		.keeper = p->keeper,
		.incidents = p->incidents,
		.publishes = p->publish != NULL,
		.presence = p->presence,
		.agents = p->agents,
		.findings = p->findings,
	};

	p->health = health_new(&of);
}

static bool
on_group(void *ctx, struct slice agent, char out[AGENT_GROUP])
{
	struct pipeline *p = ctx;
	struct agent_identity known;
	struct error err;

	if (identities_get(p->identities, agent, timestamp_now(), &known,
		&err) != RC_OK ||
	    known.enrolled_ns == 0)
		return false;
	memcpy(out, known.group, sizeof(known.group));
	return true;
}

static enum rc
start_orders(struct pipeline *p, struct error *err)
{
	struct orders_options options = {
		.groups = p->config->agent_groups,
		.state_dir = p->config->state_dir,
		.group_of = on_group,
		.tell = on_tell,
		.ctx = p,
	};
	char path[PATH_MAX];
	const char *key = p->config->orders_key;
	enum rc rc;

	(void)snprintf(path, sizeof(path), "%s/orders.key",
	    p->config->state_dir);
	rc = signer_open(key != NULL ? key : path, true, &options.signer, err);
	return rc == RC_OK ? orders_new(&options, &p->orders, err) : rc;
}

static enum rc
open_store(struct pipeline *p, struct error *err)
{
	const struct store_options options = {
		.dir = p->config->state_dir,
		.key = p->config->store_key,
	};

	enum rc rc = store_open_with(&options, &p->store, err);

	return rc == RC_OK ? identities_open(p->store, &p->identities, err)
			   : rc;
}

static void
start_workers(struct pipeline *p)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct workers_options options = {
		.n = (size_t)p->config->workers,
		.max_queued = PIECES_QUEUED,
		.decoder = {
		    .limits = &lumberjack_limits_default,
		    .owner = p->config->organization,
		    .owners = &p->config->organizations,
		    .budget = p->budget,
		},
		.stages = p->stages,
		.agents = p->agents,
		.findings = p->findings,
		.on_batch = on_batch,
		.on_control = on_control,
		.on_room = on_room,
		.ctx = p,
	};

	if (options.n == 0)
		options.n = cores > 0 ? (size_t)cores : 1;
	p->workers = workers_new(&options);
}

/* In threads of the API. */
static void
on_status(void *ctx, struct api_status *out)
{
	struct pipeline *p = ctx;
	struct reload_report reload;

	out->ready = __atomic_load_n(&p->ready, __ATOMIC_ACQUIRE);
	if (!out->ready)
		return;
	reload_report(p->reload, &reload);
	out->reload.number = reload.number;
	out->reload.state = reload_state_name(reload.state);
	memcpy(out->reload.message, reload.message,
	    sizeof(out->reload.message));
	health_status(p->health, out);
	certificate_watch_status(p->certificates, out);
	/* whom agents do not believe is not ready for them */
	if (out->n_certificates > 0 &&
	    out->certificates[0].state == CERTIFICATE_ENDED)
		out->ready = false;
	out->objects = __atomic_load_n(&p->n_objects, __ATOMIC_RELAXED);
	out->objects_unmonitored = object_watch_silent(p->objects);
	out->handshakes_limited =
	    __atomic_load_n(&p->handshakes_limited, __ATOMIC_RELAXED);
	out->rules_loaded = __atomic_load_n(&p->rules_loaded, __ATOMIC_RELAXED);
	out->rules_refused =
	    __atomic_load_n(&p->rules_refused, __ATOMIC_RELAXED);
}

static void
on_agent(void *ctx, struct slice owner, struct slice agent, api_agent_cb *cb,
    void *cb_ctx)
{
	struct pipeline *p = ctx;

	health_agent(p->health, owner, agent, cb, cb_ctx);
}

static void
on_file_changed(void *ctx)
{
	struct pipeline *p = ctx;

	(void)reload_begin(p->reload);
}

/* In a thread of the API. */
static uint64_t
on_reload_asked(void *ctx)
{
	struct pipeline *p = ctx;

	return reload_begin(p->reload);
}

/* Ending a connection loses nothing: what was not acknowledged comes again. */
static void
end_connection(void *ctx, uint64_t connection)
{
	post_reply(ctx, connection, 0);
}

struct revoked {
	struct pipeline *pipeline;
	char *agent;
};

static void
end_connections_of(void *ctx)
{
	struct revoked *r = ctx;

	presence_each_of(r->pipeline->presence, r->agent, end_connection,
	    r->pipeline);
	certificate_watch_revoked(r->pipeline->certificates);
	free(r->agent);
	free(r);
}

/* In a thread of the API; who is on its way in is looked at once more. */
static void
on_revoked(void *ctx, struct slice agent)
{
	struct revoked *r = xzalloc(sizeof(*r));

	*r = (struct revoked){ ctx, xmemdupz(agent.ptr, agent.len) };
	loop_post(r->pipeline->loop, end_connections_of, r);
}

/* In the auditor's thread. */
static void
on_audited(void *ctx)
{
	struct pipeline *p = ctx;

	audit_feed_wake(p->audit);
}

static enum rc
start_audit(struct pipeline *p, struct error *err)
{
	const struct audit_feed_options options = { .store = p->store,
		.submit = on_piece,
		.ctx = p };

	return audit_feed_new(&options, &p->audit, err);
}

/* In threads of the API. */
static enum rc
ask_order(void *ctx, struct slice owner, const struct order *what,
    char id[UUID_TEXT], struct error *err)
{
	return orders_ask(((struct pipeline *)ctx)->orders, owner, what, id,
	    err);
}

static void
list_orders(void *ctx, struct slice owner, struct slice id, struct slice agent,
    api_line_cb *cb, void *cb_ctx)
{
	orders_list(((struct pipeline *)ctx)->orders, owner, id, agent, cb,
	    cb_ctx);
}

static enum rc
list_configs(void *ctx, const struct api_configs *which, api_line_cb *cb,
    void *cb_ctx, struct error *err)
{
	return orders_configs(((struct pipeline *)ctx)->orders, which, cb,
	    cb_ctx, err);
}

static enum rc
push_configs(void *ctx, struct error *err)
{
	return orders_reload(((struct pipeline *)ctx)->orders, true, err);
}

static void
show_key(void *ctx, struct buf *pem)
{
	orders_key(((struct pipeline *)ctx)->orders, pem);
}

static const struct api_orders order_calls = {
	.ask = ask_order,
	.list = list_orders,
	.configs = list_configs,
	.push = push_configs,
	.key = show_key,
};

static enum rc
start_api(struct pipeline *p, struct error *err)
{
	const struct api_options options = {
		.control_path = p->config->control,
		.store = p->store,
		.https_address = p->config->api_address,
		.tls = p->tls.api,
		.identities = p->identities,
		.authority = p->tls.authority,
		.certificate_ns = p->config->enrolment_lifetime_ns,
		.renew_before_ns = p->config->enrolment_renew_before_ns,
		.max_connections = (size_t)p->config->api_max_connections,
		.rate = (double)p->config->api_rate,
		.tsa_ca = p->config->store_tsa_ca,
		.session_idle_ns = p->config->api_session_idle_ns,
		.request_timeout_ns = p->config->api_request_timeout_ns,
		.outbox = p->config->kafka_brokers.n > 0,
		.status = on_status,
		.agent = on_agent,
		.orders = &order_calls,
		.reload = on_reload_asked,
		.revoked = on_revoked,
		.audited = on_audited,
		.ctx = p,
	};
	enum rc rc = api_start(&options, &p->api, err);

	if (rc == RC_OK && options.https_address != NULL)
		log_info("HTTPS on %s", options.https_address);
	return rc;
}

static void
tell_rules(struct pipeline *p)
{
	api_set_rules(p->api, p->stages->rules);
	api_set_objects(p->api, p->stages->objects);
	incidents_set_objects(p->incidents, p->stages->objects);
	__atomic_store_n(&p->rules_loaded, ruleset_loaded(p->stages->rules),
	    __ATOMIC_RELAXED);
	__atomic_store_n(&p->n_objects,
	    p->stages->objects != NULL ? objects_count(p->stages->objects) : 0,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&p->rules_refused, ruleset_refused(p->stages->rules),
	    __ATOMIC_RELAXED);
}

/* ---- reload, stop ------------------------------------------------------- */

static void
replace_tls(void *ctx, struct listener_tls *tls)
{
	struct pipeline *p = ctx;

	set_admission(p, tls);
	if (p->beats != NULL)
		listener_set_tls(p->beats, tls->beats);
	if (p->syslog != NULL)
		listener_set_tls(p->syslog, tls->syslog);
	if (tls->api != NULL && p->tls.api != NULL)
		api_set_tls(p->api, tls->api);
	api_set_authority(p->api, tls->authority);
	certificate_watch_authority(p->certificates, tls->authority);
	listener_tls_free(&p->tls);
	p->tls = *tls;
	/* a revocation acts at once: everybody shows the certificate again */
	if (p->config->tls_crl != NULL)
		presence_each(p->presence, end_connection, p);
}

static void
replace_stages(void *ctx, struct stages *stages)
{
	struct pipeline *p = ctx;
	struct error err;

	stages_unref(p->stages);
	p->stages = stages;
	tell_rules(p);
	object_watch_set(p->objects, stages->objects);
	if (orders_reload(p->orders, false, &err) != RC_OK)
		log_error("the agents' configurations stay as they were: %s",
		    err.text);
	log_info("reloaded: %u rules, %u refused, %u log formats",
	    ruleset_loaded(stages->rules), ruleset_refused(stages->rules),
	    normalizer_set_count(stages->normalizers));
}

/* Addresses and folders need a restart. */
static void
on_reload(void *ctx, int signo)
{
	struct pipeline *p = ctx;

	(void)signo;
	(void)reload_begin(p->reload);
}

static void
start_reload(struct pipeline *p)
{
	const struct reload_options options = {
		.path = p->path,
		.loop = p->loop,
		.workers = p->workers,
		.writer = p->writer,
		.incidents = p->incidents,
		.stages = p->stages,
		.on_tls = replace_tls,
		.on_stages = replace_stages,
		.ctx = p,
	};

	p->reload = reload_new(&options);
}

static void
start_watches(struct pipeline *p)
{
	const struct certificate_watch_options certificates = {
		.loop = p->loop,
		.config = p->config,
		.identities = p->identities,
		.findings = p->findings,
		.submit = on_piece,
		.changed = on_file_changed,
		.ctx = p,
	};
	const struct object_watch_options objects = {
		.loop = p->loop,
		.path = p->config->objects,
		.objects = p->stages->objects,
		.findings = p->findings,
		.changed = on_file_changed,
		.ctx = p,
	};

	p->certificates = certificate_watch_new(&certificates);
	certificate_watch_authority(p->certificates, p->tls.authority);
	if (p->config->objects != NULL)
		p->objects = object_watch_new(&objects);
	p->volumes = volume_watch_new(p->store, p->findings);
}

static void
on_stop(void *ctx, int signo)
{
	struct pipeline *p = ctx;

	log_info("%s: draining", signo == SIGTERM ? "SIGTERM" : "SIGINT");
	loop_stop(p->loop);
}

static enum rc
watch_signals(struct pipeline *p, struct error *err)
{
	enum rc rc = loop_on_signal(p->loop, SIGTERM, on_stop, p, err);

	if (rc == RC_OK)
		rc = loop_on_signal(p->loop, SIGINT, on_stop, p, err);
	if (rc == RC_OK)
		rc = loop_on_signal(p->loop, SIGHUP, on_reload, p, err);
	return rc;
}

static void
look_drained(void *ctx)
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
	if (p->syslog == NULL)
		return;
	p->drain_until_ns = loop_now() + DRAIN_MS * NS_PER_MS;
	loop_timer_start(p->drained, 0);
	loop_run(p->loop);
	loop_timer_stop(p->drained);
	listener_end_drain(p->syslog);
}

static void
on_flushed(void *ctx)
{
	struct pipeline *p = ctx;

	loop_stop(p->loop);
}

/*
 * What has been received is worked off and committed while no socket is read,
 * then the loop runs once more so that the ACKs owed reach their peers.
 */
static void
drain(struct pipeline *p)
{
	if (p->beats != NULL)
		listener_stop_accepting(p->beats);
	if (p->syslog != NULL)
		listener_stop_accepting(p->syslog);
	drain_syslog(p);
	api_stop(p->api); /* it asks the stages that end now */
	audit_feed_stop(p->audit);
	volume_watch_free(p->volumes);
	p->volumes = NULL;
	object_watch_stop(p->objects);
	certificate_watch_stop(p->certificates);
	/* workers wait for the writer, and it for the correlator */
	writer_wait_no_more(p->writer);
	incidents_wait_no_more(p->incidents);
	reload_end(p->reload);
	workers_free(p->workers);
	p->workers = NULL;
	writer_free(p->writer);
	p->writer = NULL;
	keeper_free(p->keeper);
	p->keeper = NULL;
	loop_timer_start(p->flushed, FLUSH_MS * NS_PER_MS);
	loop_run(p->loop);
}

enum rc
pipeline_new(const char *path, const struct collector_config *config,
    struct pipeline **out, struct error *err)
{
	struct pipeline *p = xzalloc(sizeof(*p));
	enum rc rc;

	p->path = path;
	p->config = config;
	p->loop = loop_new();
	p->flushed = loop_timer_new(p->loop, on_flushed, p);
	p->drained = loop_timer_new(p->loop, look_drained, p);
	p->budget = budget_new((size_t)config->memory_bytes, on_room, p);
	p->presence = presence_new();
	p->agents = agents_new();
	p->findings = findings_new();
	rc = listener_tls_load(config, &p->tls, err);
	if (rc == RC_OK)
		rc = stages_load(config, NULL, true, &p->stages, err);
	if (rc == RC_OK)
		rc = open_store(p, err);
	if (rc == RC_OK)
		set_admission(p, &p->tls);
	if (rc == RC_OK)
		rc = start_orders(p, err);
	if (rc == RC_OK)
		rc = start_publish(p, err);
	if (rc == RC_OK)
		rc = start_incidents(p, err);
	if (rc == RC_OK) {
		start_writer(p);
		start_keeper(p);
		start_workers(p);
		start_health(p);
		start_reload(p);
		rc = watch_signals(p, err);
	}
	if (rc == RC_OK)
		rc = start_audit(p, err);
	if (rc == RC_OK)
		rc = start_api(p, err);
	if (rc == RC_OK)
		tell_rules(p);
	if (rc == RC_OK)
		start_watches(p);
	if (rc == RC_OK)
		rc = start_listeners(p, err);
	if (rc != RC_OK) {
		pipeline_free(p);
		return rc;
	}
	__atomic_store_n(&p->ready, true, __ATOMIC_RELEASE);
	*out = p;
	return RC_OK;
}

void
pipeline_run(struct pipeline *p)
{
	log_info("ready: %u rules, %u refused, %u log formats",
	    ruleset_loaded(p->stages->rules), ruleset_refused(p->stages->rules),
	    normalizer_set_count(p->stages->normalizers));
	loop_run(p->loop);
	drain(p);
}

void
pipeline_free(struct pipeline *p)
{
	if (p == NULL)
		return;
	api_stop(p->api);
	audit_feed_stop(p->audit);
	volume_watch_free(p->volumes);
	listener_free(p->beats);
	listener_free(p->syslog);
	workers_free(p->workers);
	writer_free(p->writer);
	keeper_free(p->keeper);
	incidents_free(p->incidents);
	publish_free(p->publish);
	api_free(p->api);
	audit_feed_free(p->audit);
	identities_close(p->identities);
	store_close(p->store);
	reload_free(p->reload);
	stages_unref(p->stages);
	listener_tls_free(&p->tls);
	health_free(p->health);
	loop_timer_free(p->flushed);
	loop_timer_free(p->drained);
	presence_free(p->presence);
	object_watch_free(p->objects);
	certificate_watch_free(p->certificates);
	findings_free(p->findings);
	orders_free(p->orders);
	agents_free(p->agents);
	budget_free(p->budget);
	loop_free(p->loop);
	free(p);
}
