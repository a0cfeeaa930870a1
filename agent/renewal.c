/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/renewal.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

enum { ERROR_TEXT = 512 };

/* The clock may be set: it is looked at so often. */
static const int64_t look_ns = 3600 * NS_PER_SEC;
static const int64_t retry_min_ns = NS_PER_SEC;
static const int64_t retry_first_max_ns = 600 * NS_PER_SEC;

/*
 * Who asked and the thread share it, as in output/resolve.c: cancelled before
 * the thread is done, it is the thread's to free, which then never touches the
 * loop.
 */
struct job {
	struct loop *loop;
	struct renewal *renewal;
	char *ca, *certificate, *key; /* owned */
	struct identity_record record;
	struct enrolment got;
	struct error err;
	enum rc rc;
	pthread_mutex_t lock;
	bool cancelled, posted;
};

struct renewal {
	struct loop *loop;
	struct renewal_events events;
	struct loop_timer *timer;
	char *ca, *certificate, *key, *state_dir; /* owned */
	struct identity_record record;
	bool enrolled;
	struct certificate current; /* sha256 empty: it cannot be read */
	int64_t renew_ns, retry_ns;
	struct job *job; /* NULL: none */
	int64_t renewed_ns;
	uint64_t renewals, failures;
	char error[ERROR_TEXT];
};

static struct identity_files
files_of(const char *ca, const char *certificate, const char *key,
    const char *state_dir)
{
	return (struct identity_files){ .ca = ca,
		.certificate = certificate,
		.key = key,
		.state_dir = state_dir,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
}

/* ---- the thread ------------------------------------------------------------------- */

static void
job_free(struct job *j)
{
	free(j->ca);
	free(j->certificate);
	free(j->key);
	enrolment_fini(&j->got);
	(void)pthread_mutex_destroy(&j->lock);
	free(j);
}

static void
ask(struct job *j)
{
	const struct identity_files files =
	    files_of(j->ca, j->certificate, j->key, NULL);
	const struct enrolment_server server = { .address = j->record.server,
		.fingerprint = j->record.fingerprint[0] != '\0'
		    ? j->record.fingerprint
		    : NULL,
		.ca = j->ca,
		.certificate = j->certificate,
		.key = j->key };
	char key[IDENTITY_PATH];

	identity_new_name(j->key, key);
	j->rc = identity_new_key(&files, false, &j->err);
	if (j->rc == RC_OK)
		j->rc = enrolment_ask(&server, (struct slice){ NULL, 0 }, key,
		    j->record.agent, &j->got, &j->err);
}

static void on_answer(void *ctx);

static void *
thread(void *ctx)
{
	struct job *j = ctx;
	bool cancelled;

	ask(j);
	(void)pthread_mutex_lock(&j->lock);
	cancelled = j->cancelled;
	if (!cancelled) {
		j->posted = true;
		loop_post(j->loop, on_answer, j);
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (cancelled)
		job_free(j);
	return NULL;
}

/* ---- when ------------------------------------------------------------------------- */

static void
note_error(struct renewal *r, const char *text)
{
	(void)snprintf(r->error, sizeof(r->error), "%.*s",
	    (int)sizeof(r->error) - 1, text);
	for (char *c = r->error; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

__attribute__((format(printf, 3, 4))) static void
say(struct renewal *r, enum log_level level, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->events.say(r->events.ctx, level, text);
}

/* Not all agents that enrolled together come together. */
static int64_t
by_chance(int64_t up_to_ns)
{
	uint32_t n;

	random_bytes(&n, sizeof(n));
	return (int64_t)((double)up_to_ns * (n / 4294967296.0));
}

/* When what there is is to be renewed: the collector's word, or a third of its
 * life before its end. */
static void
read_current(struct renewal *r)
{
	const struct certificate *c = &r->current;
	struct error err;
	int64_t left_ns;

	r->renew_ns = 0;
	if (certificate_read(r->certificate, &r->current, &err) != RC_OK) {
		r->current = (struct certificate){ .not_after_ns = 0 };
		if (r->enrolled) {
			note_error(r, err.text);
			say(r, LOG_LEVEL_WARN,
			    "the certificate will not be renewed: %s",
			    r->error);
		}
		return;
	}
	r->renew_ns = r->record.renew_ns;
	if (r->renew_ns <= c->not_before_ns || r->renew_ns >= c->not_after_ns)
		r->renew_ns =
		    c->not_after_ns - (c->not_after_ns - c->not_before_ns) / 3;
	left_ns = (r->renew_ns - timestamp_now()) / 10;
	if (left_ns > (c->not_after_ns - r->renew_ns) / 4)
		left_ns = (c->not_after_ns - r->renew_ns) / 4;
	if (left_ns > 0)
		r->renew_ns += by_chance(left_ns);
}

static void
wait_until(struct renewal *r, int64_t time_ns)
{
	int64_t left_ns = time_ns - timestamp_now();

	if (left_ns < 0)
		left_ns = 0;
	loop_timer_start(r->timer, left_ns < look_ns ? left_ns : look_ns);
}

static int64_t
clamp(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static void
failed(struct renewal *r, const struct error *err)
{
	int64_t left_ns = r->current.not_after_ns - timestamp_now();
	int64_t most_ns = clamp(left_ns / 4, retry_min_ns, look_ns);

	r->failures++;
	note_error(r, err->text);
	if (left_ns <= 0)
		most_ns = look_ns / 6;
	r->retry_ns = r->retry_ns == 0
	    ? clamp(left_ns / 20, retry_min_ns, retry_first_max_ns)
	    : clamp(2 * r->retry_ns, retry_min_ns, most_ns);
	say(r, LOG_LEVEL_WARN,
	    "the certificate is not renewed: %s; again in %lld s%s", r->error,
	    (long long)(r->retry_ns / NS_PER_SEC),
	    left_ns <= 0 ? "; it has ended: kuzet-agent enroll --force" : "");
	loop_timer_start(r->timer, r->retry_ns);
}

/* ---- what came -------------------------------------------------------------------- */

static void
install(struct renewal *r, struct job *j, struct error *err)
{
	const struct identity_files files =
	    files_of(r->ca, r->certificate, r->key, r->state_dir);
	struct error why;

	if (identity_install(&files, &j->got, err) != RC_OK) {
		failed(r, err);
		return;
	}
	r->retry_ns = 0;
	r->error[0] = '\0';
	r->renewals++;
	r->renewed_ns = timestamp_now();
	r->record.renew_ns = j->got.renew_ns;
	memcpy(r->record.group, j->got.group, sizeof(r->record.group));
	if (identity_record_write(&files, &r->record, &why) != RC_OK)
		say(r, LOG_LEVEL_WARN, "%s", why.text);
	read_current(r);
	say(r, LOG_LEVEL_INFO, "the certificate is renewed, serial %s",
	    r->current.serial);
	wait_until(r, r->renew_ns);
	r->events.renewed(r->events.ctx);
}

static void
on_answer(void *ctx)
{
	struct job *j = ctx;
	struct renewal *r = j->renewal;

	/* what was cancelled after it was posted */
	if (j->cancelled) {
		job_free(j);
		return;
	}
	r->job = NULL;
	if (j->rc == RC_OK)
		install(r, j, &j->err);
	else
		failed(r, &j->err);
	job_free(j);
}

static void
begin(struct renewal *r)
{
	struct job *j = xzalloc(sizeof(*j));
	pthread_attr_t attr;
	pthread_t id;
	int why;

	j->loop = r->loop;
	j->renewal = r;
	j->ca = xstrdup(r->ca);
	j->certificate = xstrdup(r->certificate);
	j->key = xstrdup(r->key);
	j->record = r->record;
	enrolment_init(&j->got);
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	why = pthread_create(&id, &attr, thread, j);
	(void)pthread_attr_destroy(&attr);
	if (why == 0) {
		r->job = j;
		return;
	}
	(void)error_set_errno(&j->err, why, "thread");
	failed(r, &j->err);
	job_free(j);
}

static void
on_time(void *ctx)
{
	struct renewal *r = ctx;

	if (r->job != NULL || r->renew_ns == 0)
		return;
	if (r->retry_ns > 0 || timestamp_now() >= r->renew_ns)
		begin(r);
	else
		wait_until(r, r->renew_ns);
}

/* ---- public ------------------------------------------------------------------------- */

struct renewal *
renewal_new(struct loop *l, const struct renewal_events *events)
{
	struct renewal *r = xzalloc(sizeof(*r));

	r->loop = l;
	r->events = *events;
	r->timer = loop_timer_new(l, on_time, r);
	return r;
}

static void
forget(struct renewal *r)
{
	struct job *j = r->job;

	loop_timer_stop(r->timer);
	r->job = NULL;
	if (j != NULL) {
		(void)pthread_mutex_lock(&j->lock);
		j->cancelled = true;
		(void)pthread_mutex_unlock(&j->lock);
	}
	free(r->ca);
	free(r->certificate);
	free(r->key);
	free(r->state_dir);
}

void
renewal_free(struct renewal *r)
{
	if (r == NULL)
		return;
	forget(r);
	loop_timer_free(r->timer);
	free(r);
}

void
renewal_configure(struct renewal *r, const struct identity_files *files)
{
	struct error err;
	enum rc rc;

	forget(r);
	r->ca = xstrdup(files->ca);
	r->certificate = xstrdup(files->certificate);
	r->key = xstrdup(files->key);
	r->state_dir = xstrdup(files->state_dir);
	r->retry_ns = 0;
	rc = identity_record_read(r->state_dir, &r->record, &err);
	r->enrolled = rc == RC_OK;
	if (rc != RC_OK && rc != RC_EOF)
		say(r, LOG_LEVEL_WARN, "%s", err.text);
	read_current(r);
	if (r->enrolled && r->current.name[0] != '\0' &&
	    strcmp(r->current.name, r->record.agent) != 0)
		r->enrolled = false; /* somebody put another one there */
	if (!r->enrolled)
		r->renew_ns = 0;
	if (r->renew_ns != 0)
		wait_until(r, r->renew_ns);
}

void
renewal_status(const struct renewal *r, struct renewal_status *out)
{
	const struct certificate_life life = {
		.begin_ns = r->current.not_before_ns,
		.end_ns = r->current.not_after_ns,
		.renew_ns = r->renew_ns,
		.failing = r->error[0] != '\0',
	};

	*out = (struct renewal_status){ .state = life.end_ns == 0
		    ? CERTIFICATE_UNKNOWN
		    : certificate_state(&life, timestamp_now()),
		.not_before_ns = life.begin_ns,
		.known = r->current.sha256[0] != '\0',
		.enrolled = r->enrolled,
		.not_after_ns = r->current.not_after_ns,
		.renew_ns = r->renew_ns,
		.renewed_ns = r->renewed_ns,
		.renewals = r->renewals,
		.failures = r->failures,
		.group = r->record.group,
		.error = r->error };
}
