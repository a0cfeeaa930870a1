/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate_watch.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "certificate.h"
#include "file_watch.h"
#include "log.h"
#include "state_file.h"
#include "timestamp.h"
#include "xalloc.h"

enum { LOOK_SECONDS = 60, AGENTS_SECONDS = 3600 };

#define DAY_NS (86400 * NS_PER_SEC)
/* Who is gone for good is not told for ever. */
#define ENDED_TOLD_NS (7 * DAY_NS)
/* Whoever reads a list that is over lets nobody in: a collector may be away for
 * long. */
#define CRL_LIFE_NS (30 * DAY_NS)

struct certificate_watch {
	struct certificate_watch_options o;
	struct loop_timer *timer;
	bool stopped;
	int64_t looked_ns, agents_ns, listed_ns; /* of the loop's clock */
	struct authority *authority; /* counted; NULL: nobody signs */
	struct file_watch crl;

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

/* ---- what was revoked here ----------------------------------------------------- */

static bool
add_revoked(void *ctx, const struct identity_certificate *c)
{
	struct crl *crl = ctx;

	return authority_crl_add(crl, c->certificate.serial, c->revoked_ns);
}

static enum rc
write_crl(const struct certificate_watch *w, const char *path, struct crl *crl,
    struct error *err)
{
	char dir[PATH_MAX];
	char *slash;
	struct buf pem;
	enum rc rc = identities_revoked(w->o.identities, timestamp_now(),
	    add_revoked, crl, err);

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	buf_init(&pem, CRL_PEM_MAX);
	if (rc == RC_OK)
		rc = authority_crl_sign(w->authority, crl, timestamp_now(),
		    CRL_LIFE_NS, &pem, err);
	if (rc == RC_OK && slash != NULL) {
		*slash = '\0';
		rc = state_file_replace(slash == dir ? "/" : dir, slash + 1,
		    buf_slice(&pem), err);
	}
	/* who is revoked is no secret, and others are to read it */
	if (rc == RC_OK && chmod(path, 0644) != 0)
		rc = error_set_errno(err, errno, "%s", path);
	buf_fini(&pem);
	return rc;
}

void
certificate_watch_revoked(struct certificate_watch *w)
{
	const char *path = w->o.config->enrolment_crl;
	struct error err;
	struct crl *crl;

	w->listed_ns = loop_now();
	if (path == NULL || w->authority == NULL)
		return;
	crl = authority_crl_new();
	if (write_crl(w, path, crl, &err) != RC_OK)
		log_error("enrolment.crl: what was revoked is not told to "
			  "other collectors: %s",
		    err.text);
	authority_crl_free(crl);
}

void
certificate_watch_authority(struct certificate_watch *w,
    struct authority *authority)
{
	authority_free(w->authority);
	w->authority = authority != NULL ? authority_share(authority) : NULL;
	certificate_watch_revoked(w);
}

static void
watch_crl(struct certificate_watch *w)
{
	const char *path = w->o.config->tls_crl;

	if (path == NULL || !file_watch_changed(&w->crl, path))
		return;
	log_info("%s has changed", path);
	w->o.changed(w->o.ctx);
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
	if (now_ns - w->listed_ns >= DAY_NS)
		certificate_watch_revoked(w);
	watch_crl(w);
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
	if (c->tls_crl != NULL)
		file_watch_begin(&w->crl, c->tls_crl);
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
	authority_free(w->authority);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
