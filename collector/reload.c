/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "timestamp.h"
#include "xalloc.h"

#define LOOK_NS (NS_PER_SEC / 5) /* at what holds it up */

struct reload {
	struct reload_options o;
	bool running, ended; /* the loop's thread */
	pthread_t thread;

	pthread_mutex_t lock; /* of all that follows up to the blank line */
	pthread_cond_t ends;
	bool ending;
	uint64_t asked;  /* the newest number given away */
	uint64_t served; /* it was asked when the one that runs began */
	struct reload_report report;

	/* the thread's, then the loop's */
	struct listener_tls tls;
	struct stages *stages; /* those to be used; NULL: refused */
	struct stages *used;   /* the loop's, while no thread runs */
};

/* ---- certificates ------------------------------------------------------- */

/* Who signs agents' certificates; those must be let in. */
static enum rc
load_authority(const struct collector_config *config, struct authority **out,
    struct error *err)
{
	const struct authority_files files = {
		.certificate = config->enrolment_certificate != NULL
		    ? config->enrolment_certificate
		    : config->tls_ca,
		.key = config->enrolment_key,
		.trust = config->enrolment_trust != NULL
		    ? config->enrolment_trust
		    : config->tls_ca,
	};
	enum rc rc;

	if (files.key == NULL)
		return RC_OK;
	rc = authority_open(&files, out, err);
	if (rc == RC_OK)
		rc = authority_check(*out, config->tls_ca, files.trust,
		    config->tls_certificate, err);
	return rc == RC_OK ? rc : error_prefix(err, "enrolment");
}

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
	if (rc == RC_OK)
		rc = load_authority(config, &out->authority, err);
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
	authority_free(tls->authority);
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
		rc = stages_load(&config, r->used, true, &r->stages, err);
	collector_config_free(&config);
	if (rc != RC_OK)
		listener_tls_free(&r->tls);
	return rc;
}

/* What is to be said of the one that goes on. */
static void
tell(struct reload *r, enum reload_state state, const char *message)
{
	(void)pthread_mutex_lock(&r->lock);
	r->report.state = state;
	(void)snprintf(r->report.message, sizeof(r->report.message), "%s",
	    message);
	(void)pthread_mutex_unlock(&r->lock);
}

static bool
is_ending(struct reload *r)
{
	bool ending;

	(void)pthread_mutex_lock(&r->lock);
	ending = r->ending;
	(void)pthread_mutex_unlock(&r->lock);
	return ending;
}

/* Nothing that was received can get to its end now. */
static bool
is_stuck(const struct reload *r)
{
	return writer_is_stuck(r->o.writer) ||
	    incidents_is_stuck(r->o.incidents);
}

static void
nap(struct reload *r)
{
	int64_t end_ns = loop_now() + LOOK_NS;
	const struct timespec until = { .tv_sec = end_ns / NS_PER_SEC,
		.tv_nsec = end_ns % NS_PER_SEC };

	(void)pthread_mutex_lock(&r->lock);
	if (!r->ending)
		(void)pthread_cond_timedwait(&r->ends, &r->lock, &until);
	(void)pthread_mutex_unlock(&r->lock);
}

static void
wait_for_store(struct reload *r)
{
	static const char why[] =
	    "the store cannot write now; what ran before stays in use, and the "
	    "reload goes on by itself as soon as the store can: make room on "
	    "its disk";

	if (!is_stuck(r))
		return;
	log_warn("reload: %s", why);
	tell(r, RELOAD_WAITING, why);
	while (is_stuck(r) && !is_ending(r))
		nap(r);
	tell(r, RELOAD_READING, "");
}

/* While the workers pause.  False: what holds it up may do so for long. */
static bool
change_rules(struct reload *r)
{
	while (!workers_pause(r->o.workers, LOOK_NS))
		if (is_stuck(r) || is_ending(r))
			return false;
	while (!writer_flush(r->o.writer, LOOK_NS))
		if (is_stuck(r) || is_ending(r))
			return false;
	while (!incidents_set_rules(r->o.incidents, r->stages->rules)) {
		if (is_stuck(r) || is_ending(r))
			return false;
		nap(r);
	}
	workers_set_stages(r->o.workers, r->stages);
	return true;
}

/* False: the collector ends, and the old rules stay to its end. */
static bool
switch_stages(struct reload *r)
{
	bool done = false;

	while (!done && !is_ending(r)) {
		wait_for_store(r);
		done = !is_ending(r) && change_rules(r);
		workers_resume(r->o.workers);
	}
	return done;
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
	bool again;

	if (r->ended)
		return;
	(void)pthread_join(r->thread, NULL);
	r->running = false;
	r->stages = NULL;
	if (stages != NULL) {
		stages_unref(r->used);
		r->used = stages_ref(stages);
		r->o.on_stages(r->o.ctx, stages);
	}
	(void)pthread_mutex_lock(&r->lock);
	r->report.number = r->served;
	again = r->asked > r->served;
	(void)pthread_mutex_unlock(&r->lock);
	if (again)
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
		tell(r, RELOAD_REFUSED, err.text);
	} else {
		loop_post(r->o.loop, hand_tls, r);
		if (switch_stages(r)) {
			tell(r, RELOAD_DONE, r->stages->remark);
		} else {
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
	(void)pthread_mutex_lock(&r->lock);
	r->served = r->asked;
	(void)pthread_mutex_unlock(&r->lock);
	tell(r, RELOAD_READING, "");
	r->running = true;
	if (pthread_create(&r->thread, NULL, run, r) != 0)
		abort(); /* as for memory: nothing works without threads */
}

/* Those that were asked for while one went on are served by one. */
static void
begin(void *ctx)
{
	struct reload *r = ctx;
	bool wanted;

	(void)pthread_mutex_lock(&r->lock);
	wanted = r->asked > r->served;
	(void)pthread_mutex_unlock(&r->lock);
	if (!r->ended && !r->running && wanted)
		start(r);
}

/* ---- public ------------------------------------------------------------- */

struct reload *
reload_new(const struct reload_options *options)
{
	struct reload *r = xzalloc(sizeof(*r));
	pthread_condattr_t attr;

	r->o = *options;
	r->used = stages_ref(options->stages);
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&r->ends, &attr);
	(void)pthread_condattr_destroy(&attr);
	return r;
}

uint64_t
reload_begin(struct reload *r)
{
	uint64_t number;

	(void)pthread_mutex_lock(&r->lock);
	number = ++r->asked;
	(void)pthread_mutex_unlock(&r->lock);
	loop_post(r->o.loop, begin, r);
	return number;
}

void
reload_report(struct reload *r, struct reload_report *out)
{
	(void)pthread_mutex_lock(&r->lock);
	*out = r->report;
	(void)pthread_mutex_unlock(&r->lock);
}

const char *
reload_state_name(enum reload_state state)
{
	static const char *const names[] = {
		[RELOAD_NONE] = "none",
		[RELOAD_READING] = "reading",
		[RELOAD_WAITING] = "waiting",
		[RELOAD_DONE] = "done",
		[RELOAD_REFUSED] = "refused",
	};

	return names[state];
}

void
reload_end(struct reload *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->ending = true;
	(void)pthread_cond_broadcast(&r->ends);
	(void)pthread_mutex_unlock(&r->lock);
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
	stages_unref(r->used);
	(void)pthread_cond_destroy(&r->ends);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}
