/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `probe` input: is a service there, and as it should be?
 *
 *   tick --due--> queue --> threads (wait) --results--> tick, wake --> spool
 *
 * Looks wait for others, so a few threads do them; the loop only hands out and
 * takes back.  A target that is being looked at is not begun again, so that
 * there are never more looks than targets.
 */
#include <ares.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/line_event.h"
#include "agent/inputs/maintenance.h"
#include "agent/inputs/probe/probe.h"
#include "agent/inputs/spool_event.h"
#include "queue.h"
#include "timestamp.h"
#include "xalloc.h"

enum { THREADS = 4, QUEUED_MAX = 1024 };

static const int64_t tick_ns = NS_PER_SEC / 5;

static const struct {
	const char *name, *dataset;
	void (*run)(const struct probe_job *job, struct probe_result *r);
} checks[] = {
	[PROBE_DNS] = { "dns", "probe.dns", probe_dns },
	[PROBE_TCP] = { "tcp", "probe.tcp", probe_tcp },
	[PROBE_HTTP] = { "http", "probe.http", probe_http },
	[PROBE_TLS] = { "tls", "probe.tls", probe_tls },
	[PROBE_NTP] = { "ntp", "probe.ntp", probe_ntp },
};

struct target {
	const struct input_config *input;
	const struct timezone_info *tz; /* of its maintenance; borrowed */
	const char *text;
	int64_t due_ns;
	bool busy;
	int last; /* -1: not looked at yet; else whether it was good */
};

struct look {
	struct probe_input *in;
	struct target *target;
	struct probe_result result;
	struct look *next;
};

/*
 * Threads borrow the configuration; they end before another one comes, which is
 * a moment, since they look at `stop` whenever they wait.
 */
struct probe_input {
	struct input_setup setup;
	struct target *targets;
	size_t n;
	struct timezone_info **zones; /* of each input; NULL: UTC */
	struct loop_timer *tick;
	struct queue *queue; /* NULL: no targets, no threads */
	pthread_t threads[THREADS];
	bool stop; /* __atomic */
	bool draining;
	bool full_said;
	pthread_mutex_t lock;
	struct look *done; /* under the lock */
};

static void
look_free(struct look *l)
{
	buf_fini(&l->result.detail);
	free(l);
}

/* ---- in a thread -------------------------------------------------------------- */

static void
run_look(struct look *l)
{
	const struct probe_config *c = &l->target->input->probe;
	int64_t began_ns = loop_now();
	struct probe_job job = {
		.config = c,
		.target = l->target->text,
		.deadline_ns = began_ns + c->timeout_ns,
		.stop = &l->in->stop,
	};

	buf_init(&l->result.detail, PROBE_DETAIL_MAX);
	checks[c->check].run(&job, &l->result);
	if (l->result.duration_ns == 0)
		l->result.duration_ns = loop_now() - began_ns;
}

static void *
run_thread(void *ctx)
{
	struct probe_input *in = ctx;
	struct look *l;

	while ((l = queue_pop(in->queue)) != NULL) {
		if (!__atomic_load_n(&in->stop, __ATOMIC_RELAXED))
			run_look(l);
		(void)pthread_mutex_lock(&in->lock);
		l->next = in->done;
		in->done = l;
		(void)pthread_mutex_unlock(&in->lock);
	}
	return NULL;
}

/* ---- results ------------------------------------------------------------------ */

static bool
in_maintenance(const struct target *t)
{
	const struct probe_config *c = &t->input->probe;

	for (size_t i = 0; i < c->n_maintenance; i++) {
		if (maintenance_now(c->maintenance[i], t->tz, timestamp_now()))
			return true;
	}
	return false;
}

static void
write_event_part(struct json_writer *w, const struct target *t,
    const struct probe_result *r)
{
	json_key(w, "event");
	json_open(w, '{');
	json_key(w, "kind");
	json_str(w, "state");
	json_key(w, "category");
	json_raw(w, SLICE("[\"network\"]"));
	json_key(w, "type");
	json_raw(w, SLICE("[\"info\"]"));
	json_key(w, "action");
	json_str(w, "probe");
	json_key(w, "module");
	json_str(w, "probe");
	json_key(w, "dataset");
	json_str(w, checks[t->input->probe.check].dataset);
	json_key(w, "outcome");
	json_str(w, r->good ? "success" : "failure");
	json_key(w, "duration");
	json_int(w, r->duration_ns);
	json_close(w, '}');
}

static void
write_server(struct json_writer *w, const struct probe_result *r)
{
	if (r->ip[0] == '\0')
		return;
	json_key(w, "server");
	json_open(w, '{');
	json_key(w, "ip");
	json_str(w, r->ip);
	json_key(w, "port");
	json_uint(w, r->port);
	json_close(w, '}');
}

static void
write_http(struct json_writer *w, const struct target *t,
    const struct probe_result *r)
{
	if (t->input->probe.check != PROBE_HTTP)
		return;
	json_key(w, "url.original");
	json_str(w, t->text);
	if (r->status == 0)
		return;
	json_key(w, "http.response.status_code");
	json_int(w, r->status);
	json_key(w, "http.response.body.bytes");
	json_uint(w, r->body_bytes);
	json_optional_str(w, "kuzet.probe.body_sha256", r->body_sha256);
}

static void
write_probe(struct json_writer *w, const struct target *t,
    const struct probe_result *r)
{
	json_key(w, "kuzet.probe.check");
	json_str(w, checks[t->input->probe.check].name);
	json_key(w, "kuzet.probe.target");
	json_str(w, t->text);
	json_key(w, "kuzet.probe.changed");
	json_bool(w, t->last != -1 && t->last != (int)r->good);
	json_key(w, "kuzet.probe.maintenance");
	json_bool(w, in_maintenance(t));
	if (r->detail.len > 0 && !r->detail.overflowed) {
		json_key(w, "kuzet.probe.found");
		json_raw(w, buf_slice(&r->detail));
	}
}

/* What a peer said may be any bytes. */
static void
put_text(struct json_writer *w, const char *s)
{
	char out[6 * 1024 + 3];
	struct slice in = { s, strlen(s) };

	out[0] = '"';
	in.len = in.len < 1024 ? in.len : 1024;
	*json_escape(out + 1, in) = '\0';
	json_raw(w, (struct slice){ out, strlen(out) });
	(void)buf_add_char(w->out, '"');
}

static void
put_result(struct probe_input *in, struct target *t,
    const struct probe_result *r)
{
	struct spool_event_text text;
	char message[1024];
	struct error err;

	(void)snprintf(message, sizeof(message), "%s %s: %s",
	    checks[t->input->probe.check].name, t->text,
	    r->good ? "good" : r->problem);
	spool_event_begin(&text, &in->setup, t->input->name, "probe",
	    timestamp_now());
	write_event_part(&text.json, t, r);
	json_key(&text.json, "message");
	put_text(&text.json, message);
	if (!r->good) {
		json_key(&text.json, "error.message");
		put_text(&text.json, r->problem);
	}
	write_server(&text.json, r);
	write_http(&text.json, t, r);
	write_probe(&text.json, t, r);
	if (spool_event_put(&text, in->setup.spool, &err) != RC_OK &&
	    !in->full_said) {
		in->full_said = true; /* the spool counts and reports */
		in->setup.say(in->setup.ctx, LOG_LEVEL_WARN, err.text);
	}
	t->last = r->good;
}

static void
take_results(struct probe_input *in)
{
	struct look *l, *next;

	(void)pthread_mutex_lock(&in->lock);
	l = in->done;
	in->done = NULL;
	(void)pthread_mutex_unlock(&in->lock);
	for (; l != NULL; l = next) {
		next = l->next;
		l->target->busy = false;
		/* what was stopped says nothing of the target */
		if (!__atomic_load_n(&in->stop, __ATOMIC_RELAXED))
			put_result(in, l->target, &l->result);
		look_free(l);
	}
}

/* ---- in the loop -------------------------------------------------------------- */

static void
begin_due(struct probe_input *in)
{
	int64_t now_ns = loop_now();

	for (size_t i = 0; i < in->n; i++) {
		struct target *t = &in->targets[i];
		struct look *l;

		if (t->busy || now_ns < t->due_ns)
			continue;
		l = xzalloc(sizeof(*l));
		l->in = in;
		l->target = t;
		if (!queue_try_push(in->queue, l)) {
			look_free(l);
			return; /* the next tick tries again */
		}
		t->busy = true;
		t->due_ns += t->input->probe.every_ns;
		if (t->due_ns <= now_ns)
			t->due_ns = now_ns + t->input->probe.every_ns;
	}
}

static void
on_tick(void *ctx)
{
	struct probe_input *in = ctx;

	take_results(in);
	if (!in->draining)
		begin_due(in);
	loop_timer_start(in->tick, tick_ns);
}

static void
add_targets(struct probe_input *in, const struct input_config *c,
    const struct timezone_info *tz)
{
	const struct probe_config *p = &c->probe;

	in->targets = xreallocarray(in->targets, in->n + p->n_targets + 1,
	    sizeof(*in->targets));
	for (size_t i = 0; i < p->n_targets; i++) {
		/* not all at once: spread over the first interval, or 10 s */
		int64_t spread_ns = p->every_ns < 10 * NS_PER_SEC
		    ? p->every_ns
		    : 10 * NS_PER_SEC;

		in->targets[in->n++] = (struct target){
			.input = c,
			.tz = tz,
			.text = p->targets[i],
			.due_ns = loop_now() +
			    spread_ns * (int64_t)i / (int64_t)p->n_targets,
			.last = -1,
		};
	}
}

static void
start(struct probe_input *in, const struct input_setup *setup)
{
	struct error err;

	in->setup = *setup;
	in->zones =
	    xcalloc(setup->n_inputs + 1, sizeof(struct timezone_info *));
	for (size_t i = 0; i < setup->n_inputs; i++) {
		const char *zone = setup->inputs[i].timezone;

		/* the configuration was checked */
		if (zone != NULL &&
		    timezone_open(zone, &in->zones[i], &err) != RC_OK)
			in->zones[i] = NULL;
		add_targets(in, &setup->inputs[i], in->zones[i]);
	}
	if (in->n == 0)
		return;
	in->stop = false;
	in->queue = queue_new(QUEUED_MAX);
	for (size_t i = 0; i < THREADS; i++) {
		if (pthread_create(&in->threads[i], NULL, run_thread, in) != 0)
			abort();
	}
	on_tick(in);
}

static void
stop(struct probe_input *in)
{
	loop_timer_stop(in->tick);
	if (in->queue != NULL) {
		take_results(in);
		__atomic_store_n(&in->stop, true, __ATOMIC_RELAXED);
		queue_close(in->queue);
		for (size_t i = 0; i < THREADS; i++)
			(void)pthread_join(in->threads[i], NULL);
		take_results(in);
		queue_free(in->queue);
		in->queue = NULL;
	}
	for (size_t i = 0; in->zones != NULL && i < in->setup.n_inputs; i++)
		timezone_close(in->zones[i]);
	free(in->zones);
	in->zones = NULL;
	free(in->targets);
	in->targets = NULL;
	in->n = 0;
}

static enum rc
probe_open(const struct input_setup *setup, void **out, struct error *err)
{
	struct probe_input *in;

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return error_set(err, RC_LIBRARY, "c-ares cannot be used");
	in = xzalloc(sizeof(*in));
	(void)pthread_mutex_init(&in->lock, NULL);
	in->tick = loop_timer_new(setup->loop, on_tick, in);
	start(in, setup);
	*out = in;
	return RC_OK;
}

static void
probe_reload(void *self, const struct input_setup *setup)
{
	struct probe_input *in = self;

	stop(in);
	start(in, setup);
}

static void
probe_drain(void *self)
{
	struct probe_input *in = self;

	in->draining = true;
}

static void
probe_close(void *self)
{
	struct probe_input *in = self;

	if (in == NULL)
		return;
	stop(in);
	loop_timer_free(in->tick);
	(void)pthread_mutex_destroy(&in->lock);
	ares_library_cleanup();
	free(in);
}

const struct input_kind input_probe = {
	.name = "probe",
	.help = "looks whether services are there, and as they should be",
	.spools = true,
	.open = probe_open,
	.reload = probe_reload,
	.drain = probe_drain,
	.close = probe_close,
};
