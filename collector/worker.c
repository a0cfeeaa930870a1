/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "enrich/enrich_object.h"
#include "log.h"
#include "loop.h"
#include "queue.h"
#include "xalloc.h"

enum { ZONES_MAX = 64, PROGRAMS_MAX = 512 };

/* A time zone that events named, by its name; NULL tz: there is no such. */
struct zone {
	char *name;
	struct timezone_info *tz;
};

struct worker {
	struct workers *pool; /* borrowed */
	pthread_t thread;
	struct decoder *decoder;
	struct stages *stages; /* those that the two below are of */
	struct matcher *matcher;
	struct normalizer *normalizer;
	struct object_enricher *objects; /* NULL: there is no register */
	struct personal *personal;       /* NULL: everything stays */
	struct zone zones[ZONES_MAX];
	size_t n_zones;
};

struct workers {
	struct workers_options options;
	struct queue *pieces;
	pthread_mutex_t lock; /* of the next four */
	pthread_cond_t moved; /* `paused` or `busy` has changed */
	struct stages *stages;
	size_t busy; /* workers that are at a piece */
	bool paused;
	bool refused;                  /* __atomic: somebody waits for room */
	uint64_t received, unparsed;   /* __atomic */
	uint64_t given_up;             /* __atomic */
	pthread_mutex_t programs_lock; /* of the next two */
	struct program_count programs[PROGRAMS_MAX];
	size_t n_programs;
	size_t n;
	struct worker workers[];
};

static const struct timezone_info *
zone_named(struct worker *w, struct slice name)
{
	struct zone *z;
	struct error err;

	for (size_t i = 0; i < w->n_zones; i++)
		if (slice_eq(name,
			(struct slice){ w->zones[i].name,
			    strlen(w->zones[i].name) }))
			return w->zones[i].tz;
	if (w->n_zones == ZONES_MAX)
		return NULL;
	z = &w->zones[w->n_zones++];
	z->name = xmemdupz(name.ptr, name.len);
	if (timezone_open(z->name, &z->tz, &err) != RC_OK)
		z->tz = NULL;
	return z->tz;
}

/* Takes the hints that kuzet-agent sent out of the event. */
static void
take_hints(struct worker *w, struct event *ev, struct normalize_hints *hints)
{
	const struct value *year = event_get(ev, FIELD_KUZET_YEAR);
	struct slice zone = event_get_string(ev, FIELD_KUZET_TIMEZONE);
	struct slice header = event_get_string(ev, FIELD_KUZET_HEADER);

	*hints = (struct normalize_hints){
		.dataset = event_get_string(ev, FIELD_EVENT_DATASET),
		.time = { .now_ns = ev->arrival_ns },
		.header = header,
	};
	hints->program = event_get_string(ev, FIELD_LOG_SYSLOG_APPNAME);
	if (year != NULL && year->kind == VALUE_INT && year->i > 0 &&
	    year->i < 10000)
		hints->time.year = (int)year->i;
	if (zone.len > 0)
		hints->time.tz = zone_named(w, zone);
	if (year != NULL)
		event_unset(ev, FIELD_KUZET_YEAR);
	if (zone.ptr != NULL)
		event_unset(ev, FIELD_KUZET_TIMEZONE);
	if (header.ptr != NULL)
		event_unset(ev, FIELD_KUZET_HEADER);
}

/* Whoever filled these says what the event is: its message is no line. */
static bool
categorized(const struct event *ev)
{
	return event_get(ev, FIELD_EVENT_KIND) != NULL ||
	    event_get(ev, FIELD_EVENT_CATEGORY) != NULL;
}

/* By program, as far as there is room; the first place is all the others'. */
static void
count_unparsed(struct worker *w, const struct event *ev)
{
	struct workers *pool = w->pool;
	struct slice name = event_get_string(ev, FIELD_PROCESS_NAME);
	struct program_count *list = pool->programs;
	size_t i = 1;

	if (name.len == 0)
		name = event_get_string(ev, FIELD_LOG_SYSLOG_APPNAME);
	if (name.len >= PROGRAM_NAME_MAX)
		name.len = PROGRAM_NAME_MAX - 1;
	(void)pthread_mutex_lock(&pool->programs_lock);
	while (i < pool->n_programs &&
	    (strlen(list[i].name) != name.len ||
		memcmp(list[i].name, name.ptr, name.len) != 0))
		i++;
	if (i == PROGRAMS_MAX)
		i = 0;
	else if (i == pool->n_programs && name.len > 0)
		memcpy(list[pool->n_programs++].name, name.ptr, name.len);
	if (name.len == 0)
		i = 0;
	list[i].n++;
	(void)pthread_mutex_unlock(&pool->programs_lock);
}

/* A line of a program that no format knows: the syslog header is read. */
static bool
has_header_only(const struct event *ev)
{
	return slice_eq(event_get_string(ev, FIELD_EVENT_DATASET),
		   SLICE("system.syslog")) &&
	    event_get(ev, FIELD_EVENT_CATEGORY) == NULL &&
	    event_get(ev, FIELD_EVENT_ACTION) == NULL;
}

static bool
normalize(struct worker *w, const struct batch *b, struct event *ev)
{
	struct slice text = event_get_string(ev, FIELD_MESSAGE);
	struct normalize_hints hints;

	if (event_get(ev, FIELD_ERROR_MESSAGE) != NULL &&
	    slice_eq(event_get_string(ev, FIELD_EVENT_KIND),
		SLICE("pipeline_error")))
		return false; /* was no JSON */
	take_hints(w, ev, &hints);
	if (b->source.kind == SOURCE_SYSLOG)
		return normalizer_syslog(w->normalizer, ev, text, &hints);
	if (event_has_stream(ev) && !ev->own_id && text.ptr != NULL &&
	    !categorized(ev))
		return normalizer_line(w->normalizer, ev, text, &hints);
	return normalizer_event(w->normalizer, ev, &hints);
}

static void
match(struct worker *w, struct batch *b, uint32_t index)
{
	uint32_t n;
	const uint32_t *rules =
	    matcher_run(w->matcher, &b->events[index], NULL, &n);

	for (uint32_t i = 0; i < n; i++)
		batch_add_hit(b, index, rules[i]);
}

/* address:port without the port. */
static struct slice
host_of(struct arena *arena, const char *peer)
{
	const char *port = strrchr(peer, ':');
	struct slice host = { peer,
		port != NULL ? (size_t)(port - peer) : strlen(peer) };

	if (host.len > 2 && host.ptr[0] == '[') {
		host.ptr++;
		host.len -= 2;
	}
	return arena_copy(arena, host);
}

/* Two processes share the id: an event, so that rules and people see it. */
static void
report_double(struct worker *w, struct batch *b, const struct agent_double *d)
{
	struct event *ev = decoder_add_own(w->decoder, b);
	char text[512];
	int n;

	if (ev == NULL)
		return;
	n = snprintf(text, sizeof(text),
	    "two live agents are \"%.*s\": one from %s, one from %s; what they "
	    "send is mixed up: give each its own certificate and state folder",
	    SLICE_ARG(b->source.agent), d->peers[0], d->peers[1]);
	event_set_string(ev, FIELD_EVENT_KIND, SLICE("alert"));
	event_add_string(ev, FIELD_EVENT_CATEGORY, SLICE("configuration"));
	event_add_string(ev, FIELD_EVENT_TYPE, SLICE("info"));
	event_set_string(ev, FIELD_EVENT_MODULE, SLICE("kuzet"));
	event_set_string(ev, FIELD_EVENT_DATASET, SLICE("kuzet.collector"));
	event_set_string(ev, FIELD_EVENT_ACTION, SLICE("agent-doubled"));
	event_set_string(ev, FIELD_KUZET_INPUT, SLICE("collector"));
	event_set_string(ev, FIELD_SOURCE_IP, host_of(b->arena, d->peers[1]));
	event_add_string(ev, FIELD_RELATED_IP, host_of(b->arena, d->peers[0]));
	event_add_string(ev, FIELD_RELATED_IP, host_of(b->arena, d->peers[1]));
	event_set_string(ev, FIELD_MESSAGE,
	    arena_copy(b->arena,
		(struct slice){ text,
		    (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1 }));
	log_warn("%s", text);
	match(w, b, b->n - 1);
}

static void
note_controls(struct worker *w, struct batch *b)
{
	struct agents *agents = w->pool->options.agents;
	struct findings *findings = w->pool->options.findings;
	struct agent_double found;

	for (uint32_t i = 0; w->pool->options.on_control != NULL &&
	     !b->source.own && i < b->n_controls;
	     i++)
		w->pool->options.on_control(w->pool->options.ctx, b,
		    &b->controls[i]);
	for (uint32_t i = 0; agents != NULL && i < b->n_controls; i++) {
		if (agents_note(agents, b->source.owner, b->source.agent,
			b->source.peer, &b->controls[i], &found))
			report_double(w, b, &found);
		if (findings != NULL)
			findings_agent_certificate(findings, &b->source,
			    &b->controls[i]);
	}
}

/* In a register an agent is somebody's; one that is not is told once a day. */
static void
begin_objects(struct worker *w, const struct batch *b)
{
	struct findings *findings = w->pool->options.findings;

	if (w->objects == NULL)
		return;
	object_enricher_begin(w->objects, b, b->source.own);
	if (findings != NULL && b->n + b->n_controls > 0 && !b->source.own &&
	    !slice_eq(b->source.agent, SLICE(FINDINGS_AGENT)) &&
	    !object_agent_is_claimed(w->objects, b->source.agent))
		findings_agent(findings, &b->source,
		    b->n > 0 ? b->events[0].arrival_ns
			     : b->controls[0].arrival_ns);
}

static void
enrich_object(struct worker *w, const struct batch *b, struct event *ev)
{
	struct findings *findings = w->pool->options.findings;
	struct slice address;
	unsigned at = 0;

	if (w->objects == NULL)
		return;
	(void)object_enrich(w->objects, ev);
	if (findings == NULL || b->source.own)
		return;
	while ((address = object_unclaimed(w->objects, ev, &at)).len > 0)
		findings_address(findings, &b->source, address, ev->arrival_ns);
}

/* A heartbeat is a sign of life of the agent's object, too. */
static void
note_heartbeats(struct worker *w, const struct batch *b)
{
	struct objects *objects = w->stages->objects;
	uint32_t index;

	if (objects == NULL || b->n_controls == 0)
		return;
	index = objects_by_agent(objects, b->source.agent);
	if (index != OBJECT_NONE)
		objects_heard(objects, index, b->controls[0].arrival_ns);
}

static void
on_batch(void *ctx, struct batch *b)
{
	struct worker *w = ctx;
	struct workers *pool = w->pool;

	begin_objects(w, b);
	note_heartbeats(w, b);
	for (uint32_t i = 0; i < b->n; i++) {
		struct event *ev = &b->events[i];

		if (!normalize(w, b, ev)) {
			b->n_unparsed++;
			count_unparsed(w, ev);
		} else if (has_header_only(ev)) {
			count_unparsed(w, ev);
		}
		geoip_enrich(w->stages->geoip, ev);
		enrich_object(w, b, ev);
		if (w->personal != NULL)
			(void)personal_event(w->personal, ev);
		match(w, b, i);
	}
	b->rules = ruleset_ref(w->stages->rules);
	(void)__atomic_add_fetch(&pool->received, b->n, __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&pool->unparsed, b->n_unparsed,
	    __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&pool->given_up, matcher_given_up(w->matcher),
	    __ATOMIC_RELAXED);
	note_controls(w, b);
	pool->options.on_batch(pool->options.ctx, b);
}

static void
drop_stages(struct worker *w)
{
	matcher_free(w->matcher);
	normalizer_free(w->normalizer);
	object_enricher_free(w->objects);
	w->objects = NULL;
	personal_free(w->personal);
	w->personal = NULL;
	stages_unref(w->stages);
}

/* The newest rules and formats, if they are not the ones in use. */
static void
use_stages(struct worker *w, struct stages *newest)
{
	if (newest == w->stages) {
		stages_unref(newest);
		return;
	}
	if (w->stages != NULL)
		drop_stages(w);
	w->stages = newest;
	w->matcher = matcher_new(newest->rules);
	w->normalizer = normalizer_new(newest->normalizers);
	if (newest->personal != NULL)
		w->personal = personal_new(newest->personal);
	if (newest->objects != NULL)
		w->objects = object_enricher_new(newest->objects,
		    w->pool->options.decoder.owner);
}

/* Waits while the workers pause; what is next is of the newest stages. */
static struct stages *
begin_piece(struct workers *pool)
{
	struct stages *newest;

	(void)pthread_mutex_lock(&pool->lock);
	while (pool->paused)
		(void)pthread_cond_wait(&pool->moved, &pool->lock);
	pool->busy++;
	newest = stages_ref(pool->stages);
	(void)pthread_mutex_unlock(&pool->lock);
	return newest;
}

static void
end_piece(struct workers *pool)
{
	(void)pthread_mutex_lock(&pool->lock);
	if (--pool->busy == 0 && pool->paused)
		(void)pthread_cond_broadcast(&pool->moved);
	(void)pthread_mutex_unlock(&pool->lock);
}

static void *
run(void *ctx)
{
	struct worker *w = ctx;
	struct workers *pool = w->pool;
	struct piece *p;

	while ((p = queue_pop(pool->pieces)) != NULL) {
		if (__atomic_exchange_n(&pool->refused, false,
			__ATOMIC_ACQ_REL))
			pool->options.on_room(pool->options.ctx);
		use_stages(w, begin_piece(pool));
		decoder_run(w->decoder, p);
		end_piece(pool);
	}
	return NULL;
}

/* The register knows whose an agent is. */
static const char *
owner_of(void *ctx, const char *agent)
{
	const struct worker *w = ctx;
	const struct objects *objects = w->stages->objects;
	uint32_t index = OBJECT_NONE;

	if (objects != NULL)
		index = objects_by_sender(objects,
		    (struct slice){ agent, strlen(agent) });
	return index != OBJECT_NONE ? objects_at(objects, index)->owner : NULL;
}

struct workers *
workers_new(const struct workers_options *options)
{
	struct workers *pool =
	    xzalloc(sizeof(*pool) + options->n * sizeof(pool->workers[0]));
	pthread_condattr_t attr;

	pool->options = *options;
	pool->pieces = queue_new(options->max_queued);
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_mutex_init(&pool->programs_lock, NULL);
	pool->n_programs = 1;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&pool->moved, &attr);
	(void)pthread_condattr_destroy(&attr);
	pool->stages = stages_ref(options->stages);
	pool->n = options->n;
	for (size_t i = 0; i < pool->n; i++) {
		struct worker *w = &pool->workers[i];
		struct decoder_options decoder = options->decoder;

		decoder.on_batch = on_batch;
		decoder.owner_of = owner_of;
		decoder.ctx = w;
		w->pool = pool;
		w->decoder = decoder_new(&decoder);
		if (pthread_create(&w->thread, NULL, run, w) != 0)
			abort();
	}
	return pool;
}

bool
workers_submit(struct workers *w, struct piece *p)
{
	if (queue_try_push(w->pieces, p))
		return true;
	__atomic_store_n(&w->refused, true, __ATOMIC_RELEASE);
	/* room may have come before the mark was set */
	return queue_try_push(w->pieces, p);
}

void
workers_set_stages(struct workers *w, struct stages *stages)
{
	struct stages *old;

	(void)pthread_mutex_lock(&w->lock);
	old = w->stages;
	w->stages = stages_ref(stages);
	if (stages->objects != NULL && old->objects != NULL)
		objects_inherit(stages->objects, old->objects);
	(void)pthread_mutex_unlock(&w->lock);
	stages_unref(old);
}

bool
workers_pause(struct workers *w, int64_t timeout_ns)
{
	int64_t end_ns = loop_now() + timeout_ns;
	const struct timespec until = { .tv_sec = end_ns / NS_PER_SEC,
		.tv_nsec = end_ns % NS_PER_SEC };
	bool quiet;
	int rc = 0;

	(void)pthread_mutex_lock(&w->lock);
	w->paused = true;
	while (rc == 0 && w->busy > 0)
		rc = pthread_cond_timedwait(&w->moved, &w->lock, &until);
	quiet = w->busy == 0;
	(void)pthread_mutex_unlock(&w->lock);
	return quiet;
}

void
workers_resume(struct workers *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->paused = false;
	(void)pthread_cond_broadcast(&w->moved);
	(void)pthread_mutex_unlock(&w->lock);
}

static void
worker_fini(struct worker *w)
{
	decoder_free(w->decoder);
	if (w->stages != NULL)
		drop_stages(w);
	for (size_t i = 0; i < w->n_zones; i++) {
		free(w->zones[i].name);
		timezone_close(w->zones[i].tz);
	}
}

void
workers_free(struct workers *w)
{
	if (w == NULL)
		return;
	queue_close(w->pieces);
	for (size_t i = 0; i < w->n; i++) {
		(void)pthread_join(w->workers[i].thread, NULL);
		worker_fini(&w->workers[i]);
	}
	queue_free(w->pieces);
	stages_unref(w->stages);
	(void)pthread_cond_destroy(&w->moved);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_mutex_destroy(&w->programs_lock);
	free(w);
}

static int
compare_programs(const void *a, const void *b)
{
	const struct program_count *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return strcmp(x->name, y->name);
}

size_t
workers_unparsed(struct workers *w, struct program_count out[PROGRAM_COUNTS])
{
	struct program_count *list = xcalloc(PROGRAMS_MAX, sizeof(*list));
	size_t n, shown;

	(void)pthread_mutex_lock(&w->programs_lock);
	n = w->n_programs;
	memcpy(list, w->programs, n * sizeof(*list));
	(void)pthread_mutex_unlock(&w->programs_lock);
	qsort(list + 1, n - 1, sizeof(*list), compare_programs);
	shown = n - 1 < PROGRAM_COUNTS - 1 ? n - 1 : PROGRAM_COUNTS - 1;
	memcpy(out, list + 1, shown * sizeof(*list));
	for (size_t i = shown + 1; i < n; i++)
		list[0].n += list[i].n;
	if (list[0].n > 0)
		out[shown++] = list[0];
	free(list);
	return shown;
}

void
workers_counters(struct workers *w, struct workers_counters *out)
{
	out->received = __atomic_load_n(&w->received, __ATOMIC_RELAXED);
	out->unparsed = __atomic_load_n(&w->unparsed, __ATOMIC_RELAXED);
	out->given_up = __atomic_load_n(&w->given_up, __ATOMIC_RELAXED);
}
