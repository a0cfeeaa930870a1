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
 *
 * Here the stages behind the listeners meet, and the order in which they all
 * start and end stands; pipeline_parts.h says where the rest is.
 */
#include "pipeline.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline_parts.h"
#include "soc.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	PIECES_QUEUED = 256,
	BATCHES_QUEUED = 64,
	RECORDS_QUEUED = 16, /* a record may hold megabytes of hits */
	FLUSH_MS = 300,      /* for the last ACKs to leave */
};

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

/* ---- writer -> listeners, correlator ---------------------------------- */

static void
on_ack(void *ctx, uint64_t connection, uint32_t count)
{
	pipeline_reply(ctx, connection, count);
}

static void
on_fail(void *ctx, uint64_t connection, const char *why)
{
	log_warn("connection closed without an ACK: %s", why);
	pipeline_reply(ctx, connection, 0);
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
		.tell = pipeline_on_tell,
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
		.on_room = pipeline_on_room,
		.ctx = p,
	};

	if (options.n == 0)
		options.n = cores > 0 ? (size_t)cores : 1;
	p->workers = workers_new(&options);
}

static enum rc
start_audit(struct pipeline *p, struct error *err)
{
	const struct audit_feed_options options = { .store = p->store,
		.submit = pipeline_submit,
		.ctx = p };

	return audit_feed_new(&options, &p->audit, err);
}

/* ---- stop ---------------------------------------------------------------- */

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
		rc =
		    loop_on_signal(p->loop, SIGHUP, pipeline_on_reload, p, err);
	return rc;
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
	pipeline_stop_listening(p);
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
	p->drained = loop_timer_new(p->loop, pipeline_look_drained, p);
	p->budget =
	    budget_new((size_t)config->memory_bytes, pipeline_on_room, p);
	p->presence = presence_new();
	p->agents = agents_new();
	p->findings = findings_new();
	rc = listener_tls_load(config, &p->tls, err);
	if (rc == RC_OK)
		rc = stages_load(config, NULL, true, &p->stages, err);
	if (rc == RC_OK)
		rc = open_store(p, err);
	if (rc == RC_OK)
		pipeline_admit(p, &p->tls);
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
		pipeline_start_reload(p);
		rc = watch_signals(p, err);
	}
	if (rc == RC_OK)
		rc = start_audit(p, err);
	if (rc == RC_OK)
		rc = pipeline_start_api(p, err);
	if (rc == RC_OK)
		pipeline_tell_rules(p);
	if (rc == RC_OK)
		pipeline_start_watches(p);
	if (rc == RC_OK)
		rc = pipeline_start_listeners(p, err);
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
