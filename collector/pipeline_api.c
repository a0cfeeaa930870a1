/* SPDX-License-Identifier: Apache-2.0 */
/* What the API asks the stages; in its threads. */
#include <string.h>

#include "pipeline_parts.h"

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

/* In a thread of the API. */
static uint64_t
on_reload_asked(void *ctx)
{
	struct pipeline *p = ctx;

	return reload_begin(p->reload);
}

/* In the auditor's thread. */
static void
on_audited(void *ctx)
{
	struct pipeline *p = ctx;

	audit_feed_wake(p->audit);
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

enum rc
pipeline_start_api(struct pipeline *p, struct error *err)
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
		.revoked = pipeline_on_revoked,
		.audited = on_audited,
		.ctx = p,
	};
	enum rc rc = api_start(&options, &p->api, err);

	if (rc == RC_OK && options.https_address != NULL)
		log_info("HTTPS on %s", options.https_address);
	return rc;
}
