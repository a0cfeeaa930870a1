/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "log.h"
#include "state_file.h"
#include "timestamp.h"
#include "xalloc.h"

enum { LOOK_SECONDS = 60, AGENTS_SECONDS = 3600 };

#define DAY_NS (86400 * NS_PER_SEC)
/* Who is gone for good is not told for ever. */
#define ENDED_TOLD_NS (7 * DAY_NS)

struct certificate_watch {
	struct certificate_watch_options o;
	struct loop_timer *timer;
	bool stopped;
	int64_t looked_ns, agents_ns; /* of the loop's clock */

	pthread_mutex_t lock; /* of the rest */
	struct api_certificate list[API_CERTIFICATES];
	size_t n;
};

/* ---- the collector's own ------------------------------------------------------- */

/* Of a file of authorities the one that ends last: old ones may stay beside the
 * new.  False: it cannot be read now, or names no time. */
static bool
read_file(const struct api_certificate *c, struct certificate *out)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	struct certificate one;
	struct slice rest;
	struct error err;
	struct buf text;
	const char *at;

	*out = (struct certificate){ .not_after_ns = 0 };
	buf_init(&text, CERTIFICATE_PEM_MAX + 65536); /* whole reads */
	if (state_file_read(c->path, &text, &err) != RC_OK)
		buf_clear(&text);
	rest = buf_slice(&text);
	while (rest.len > 0 &&
	    (at = memmem(rest.ptr, rest.len, begin, sizeof(begin) - 1)) !=
		NULL) {
		rest.len -= (size_t)(at - rest.ptr);
		rest.ptr = at;
		/* an authority may be called as it likes */
		(void)certificate_parse(rest, &one, &err);
		if (one.not_after_ns > out->not_after_ns)
			*out = one;
		if (!c->authority)
			break;
		rest.ptr += sizeof(begin) - 1;
		rest.len -= sizeof(begin) - 1;
	}
	buf_fini(&text);
	return out->not_after_ns != 0;
}

static void
look_at(struct certificate_watch *w, struct api_certificate *c)
{
	int64_t now_ns = timestamp_now();
	struct certificate_life life;
	struct certificate found;

	if (!read_file(c, &found))
		return; /* whoever uses it says why */
	life = (struct certificate_life){ .begin_ns = found.not_before_ns,
		.end_ns = found.not_after_ns,
		.authority = c->authority };
	(void)pthread_mutex_lock(&w->lock);
	memcpy(c->subject, found.name, sizeof(c->subject));
	c->expires_ns = found.not_after_ns;
	c->state = certificate_state(&life, now_ns);
	(void)pthread_mutex_unlock(&w->lock);
	if (c->state != CERTIFICATE_GOOD)
		findings_certificate(w->o.findings,
		    &(struct certificate_finding){
			.owner = { w->o.config->organization,
			    strlen(w->o.config->organization) },
			.use = c->use,
			.subject = { c->subject, strlen(c->subject) },
			.file = c->path,
			.expires_ns = c->expires_ns,
			.ended = c->state == CERTIFICATE_ENDED,
		    },
		    now_ns);
}

static void
watch_file(struct certificate_watch *w, const char *use, const char *path,
    bool authority)
{
	struct api_certificate *c;

	if (path == NULL || w->n == API_CERTIFICATES)
		return;
	c = &w->list[w->n++];
	c->use = use;
	c->path = path;
	c->authority = authority;
}

/* ---- agents' ------------------------------------------------------------------- */

static const char *
owner_of(const struct collector_config *c, const char *agent)
{
	for (size_t i = 0; i < c->organizations.n; i++) {
		if (strcmp(c->organizations.names[i], agent) == 0)
			return c->organizations.values[i];
	}
	return c->organization;
}

static bool
on_ending(void *ctx, const struct certificate *c)
{
	struct certificate_watch *w = ctx;
	int64_t now_ns = timestamp_now();
	const char *owner = owner_of(w->o.config, c->name);

	findings_certificate(w->o.findings,
	    &(struct certificate_finding){
		.owner = { owner, strlen(owner) },
		.use = "agent",
		.subject = { c->name, strlen(c->name) },
		.expires_ns = c->not_after_ns,
		.ended = c->not_after_ns <= now_ns,
	    },
	    now_ns);
	return true;
}

static void
look_at_agents(struct certificate_watch *w)
{
	const struct collector_config *c = w->o.config;
	int64_t now_ns = timestamp_now();
	int64_t window_ns = c->enrolment_renew_before_ns > 0
	    ? c->enrolment_renew_before_ns
	    : c->enrolment_lifetime_ns / 3;
	struct error err;

	if (identities_ending(w->o.identities, now_ns - ENDED_TOLD_NS,
		now_ns + window_ns / 2, on_ending, w, &err) != RC_OK)
		log_warn("certificates of agents: %s", err.text);
}

/* ---- the whole ----------------------------------------------------------------- */

static void
on_timer(void *ctx)
{
	struct certificate_watch *w = ctx;
	int64_t now_ns = loop_now();

	if (w->stopped)
		return;
	if (now_ns - w->looked_ns >= LOOK_SECONDS * NS_PER_SEC) {
		w->looked_ns = now_ns;
		for (size_t i = 0; i < w->n; i++)
			look_at(w, &w->list[i]);
	}
	if (w->agents_ns == 0 ||
	    now_ns - w->agents_ns >= AGENTS_SECONDS * NS_PER_SEC) {
		w->agents_ns = now_ns;
		look_at_agents(w);
	}
	findings_send(w->o.findings, w->o.submit, w->o.ctx);
	loop_timer_start(w->timer, NS_PER_SEC);
}

struct certificate_watch *
certificate_watch_new(const struct certificate_watch_options *options)
{
	struct certificate_watch *w = xzalloc(sizeof(*w));
	const struct collector_config *c = options->config;

	w->o = *options;
	(void)pthread_mutex_init(&w->lock, NULL);
	watch_file(w, "tls.certificate", c->tls_certificate, false);
	watch_file(w, "tls.ca", c->tls_ca, true);
	watch_file(w, "api.certificate", c->api_certificate, false);
	watch_file(w, "enrolment.ca_certificate", c->enrolment_certificate,
	    true);
	w->looked_ns = loop_now();
	for (size_t i = 0; i < w->n; i++)
		look_at(w, &w->list[i]);
	w->timer = loop_timer_new(options->loop, on_timer, w);
	loop_timer_start(w->timer, NS_PER_SEC);
	return w;
}

void
certificate_watch_status(struct certificate_watch *w, struct api_status *out)
{
	out->n_certificates = 0;
	if (w == NULL)
		return;
	(void)pthread_mutex_lock(&w->lock);
	memcpy(out->certificates, w->list, sizeof(out->certificates));
	out->n_certificates = w->n;
	(void)pthread_mutex_unlock(&w->lock);
}

void
certificate_watch_stop(struct certificate_watch *w)
{
	if (w == NULL)
		return;
	w->stopped = true;
	loop_timer_stop(w->timer);
}

void
certificate_watch_free(struct certificate_watch *w)
{
	if (w == NULL)
		return;
	loop_timer_free(w->timer);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
