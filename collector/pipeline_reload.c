/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes while the collector runs: certificates, rules, formats, the
 * register of objects; by SIGHUP, by a question, by a file that changed.
 */
#include "objects.h"
#include "pipeline_parts.h"

void
pipeline_tell_rules(struct pipeline *p)
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

static void
replace_tls(void *ctx, struct listener_tls *tls)
{
	struct pipeline *p = ctx;

	pipeline_admit(p, tls);
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
		presence_each(p->presence, pipeline_end_connection, p);
}

static void
replace_stages(void *ctx, struct stages *stages)
{
	struct pipeline *p = ctx;
	struct error err;

	stages_unref(p->stages);
	p->stages = stages;
	pipeline_tell_rules(p);
	object_watch_set(p->objects, stages->objects);
	if (orders_reload(p->orders, false, &err) != RC_OK)
		log_error("the agents' configurations stay as they were: %s",
		    err.text);
	log_info("reloaded: %u rules, %u refused, %u log formats",
	    ruleset_loaded(stages->rules), ruleset_refused(stages->rules),
	    normalizer_set_count(stages->normalizers));
}

/* Addresses and folders need a restart. */
void
pipeline_on_reload(void *ctx, int signo)
{
	struct pipeline *p = ctx;

	(void)signo;
	(void)reload_begin(p->reload);
}

void
pipeline_start_reload(struct pipeline *p)
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
on_file_changed(void *ctx)
{
	struct pipeline *p = ctx;

	(void)reload_begin(p->reload);
}

void
pipeline_start_watches(struct pipeline *p)
{
	const struct certificate_watch_options certificates = {
		.loop = p->loop,
		.config = p->config,
		.identities = p->identities,
		.findings = p->findings,
		.submit = pipeline_submit,
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
