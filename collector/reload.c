/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include <pthread.h>
#include <stdlib.h>

#include "log.h"
#include "xalloc.h"

struct reload {
	struct reload_options o;
	bool running, again, ended; /* the loop's thread */
	pthread_t thread;

	/* the thread's, then the loop's */
	struct listener_tls tls;
	struct stages *stages; /* those to be used; NULL: refused */
};

/* ---- certificates ------------------------------------------------------- */

enum rc
listener_tls_load(const struct collector_config *config,
    struct listener_tls *out, struct error *err)
{
	struct tls_files files = {
		.ca = config->tls_ca,
		.certificate = config->tls_certificate,
		.key = config->tls_key,
		.crl = config->tls_crl,
	};
	enum rc rc;

	*out = (struct listener_tls){ .api = NULL };
	rc = tls_context_new(TLS_SERVER, &files, true, &out->beats, err);
	if (rc == RC_OK)
		rc = tls_context_new(TLS_SERVER, &files, true, &out->syslog,
		    err);
	if (config->api_certificate != NULL) {
		files.certificate = config->api_certificate;
		files.key = config->api_key;
	}
	if (rc == RC_OK && config->api_address != NULL)
		rc = tls_context_new(TLS_SERVER, &files, true, &out->api, err);
	if (rc != RC_OK)
		listener_tls_free(out);
	return rc;
}

void
listener_tls_free(struct listener_tls *tls)
{
	tls_context_free(tls->beats);
	tls_context_free(tls->syslog);
	tls_context_free(tls->api);
	*tls = (struct listener_tls){ .api = NULL };
}

/* ---- the thread --------------------------------------------------------- */

static enum rc
read_all(struct reload *r, struct error *err)
{
	struct collector_config config;
	enum rc rc = collector_config_load(r->o.path, &config, err);

	if (rc == RC_OK)
		rc = listener_tls_load(&config, &r->tls, err);
	if (rc == RC_OK)
		rc = stages_load(&config, true, &r->stages, err);
	collector_config_free(&config);
	if (rc != RC_OK)
		listener_tls_free(&r->tls);
	return rc;
}

/* False: the collector ends, and the old rules stay to its end. */
static bool
switch_stages(struct reload *r)
{
	bool ok;

	workers_pause(r->o.workers);
	ok = writer_flush(r->o.writer) &&
	    incidents_set_rules(r->o.incidents, r->stages->rules);
	if (ok)
		workers_set_stages(r->o.workers, r->stages);
	workers_resume(r->o.workers);
	return ok;
}

static void
hand_tls(void *ctx)
{
	struct reload *r = ctx;
	struct listener_tls tls = r->tls;

	if (r->ended)
		return;
	r->tls = (struct listener_tls){ .api = NULL };
	r->o.on_tls(r->o.ctx, &tls);
}

static void start(struct reload *r);

static void
finished(void *ctx)
{
	struct reload *r = ctx;
	struct stages *stages = r->stages;

	if (r->ended)
		return;
	(void)pthread_join(r->thread, NULL);
	r->running = false;
	r->stages = NULL;
	if (stages != NULL)
		r->o.on_stages(r->o.ctx, stages);
	if (r->again)
		start(r);
}

static void *
run(void *ctx)
{
	struct reload *r = ctx;
	struct error err;

	if (read_all(r, &err) != RC_OK) {
		log_error("reload refused, everything stays as it was: %s",
		    err.text);
	} else {
		loop_post(r->o.loop, hand_tls, r);
		if (!switch_stages(r)) {
			stages_unref(r->stages);
			r->stages = NULL;
		}
	}
	loop_post(r->o.loop, finished, r);
	return NULL;
}

static void
start(struct reload *r)
{
	r->again = false;
	r->running = true;
	if (pthread_create(&r->thread, NULL, run, r) != 0)
		abort(); /* as for memory: nothing works without threads */
}

/* ---- public ------------------------------------------------------------- */

struct reload *
reload_new(const struct reload_options *options)
{
	struct reload *r = xzalloc(sizeof(*r));

	r->o = *options;
	return r;
}

void
reload_begin(struct reload *r)
{
	if (r->ended)
		return;
	if (r->running)
		r->again = true;
	else
		start(r);
}

void
reload_end(struct reload *r)
{
	if (r->running)
		(void)pthread_join(r->thread, NULL);
	r->running = false;
	r->ended = true; /* what it has posted is void */
}

void
reload_free(struct reload *r)
{
	if (r == NULL)
		return;
	listener_tls_free(&r->tls);
	stages_unref(r->stages);
	free(r);
}
