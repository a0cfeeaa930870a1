/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_watch.h"

#include <pthread.h>
#include <stdlib.h>

#include "arena.h"
#include "log.h"
#include "priority.h"
#include "search.h"
#include "timestamp.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 64 * 1024 };

#define HOUR_NS (3600 * NS_PER_SEC)

/* Who takes much in the hour at hand. */
struct system {
	struct slice owner, source; /* in the look's arena */
	double bytes, busiest;
	uint32_t hours;
};

struct look {
	struct system *systems;
	uint32_t n, left_out;
	struct arena *arena;
};

struct volume_watch {
	struct store *store;       /* borrowed */
	struct findings *findings; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop; /* __atomic */
};

static bool
is_stopped(void *ctx)
{
	return __atomic_load_n((const bool *)ctx, __ATOMIC_RELAXED);
}

static struct slice
text_of(const struct value *v)
{
	return v->kind == VALUE_STRING ? v->s : (struct slice){ "", 0 };
}

static bool
take_hour(void *ctx, const struct search_row *row)
{
	struct look *l = ctx;

	if (row->sum < VOLUME_BYTES_MIN)
		return true;
	if (l->n == VOLUME_SYSTEMS_MAX) {
		l->left_out++;
		return true;
	}
	l->systems[l->n++] = (struct system){
		.owner = arena_copy(l->arena, text_of(&row->key[0])),
		.source = arena_copy(l->arena, text_of(&row->key[1])),
		.bytes = row->sum,
	};
	return true;
}

static bool
take_history(void *ctx, const struct search_row *row)
{
	struct look *l = ctx;

	for (uint32_t i = 0; i < l->n; i++) {
		struct system *s = &l->systems[i];

		if (!slice_eq(s->owner, text_of(&row->key[0])) ||
		    !slice_eq(s->source, text_of(&row->key[1])))
			continue;
		s->hours += row->sum > 0;
		if (row->sum > s->busiest)
			s->busiest = row->sum;
		break;
	}
	return true;
}

static uint32_t
tell(const struct look *l, struct findings *f, int64_t hour_ns, int64_t now_ns)
{
	uint32_t told = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		const struct system *s = &l->systems[i];
		const struct volume v = { .owner = s->owner,
			.source = s->source,
			.hour_ns = hour_ns,
			.bytes = s->bytes,
			.busiest = s->busiest,
			.hours = s->hours };

		if (s->hours < VOLUME_HOURS_MIN ||
		    s->bytes <= VOLUME_FACTOR * s->busiest)
			continue;
		log_warn("%.*s took %.0f bytes through a gateway within an "
			 "hour, %.0f at most before",
		    SLICE_ARG(s->source), s->bytes, s->busiest);
		findings_volume(f, &v, now_ns);
		told++;
	}
	return told;
}

enum rc
volume_look(struct store *s, struct findings *f, int64_t now_ns,
    const bool *stop, uint32_t *told, struct error *err)
{
	int64_t settled_ns = now_ns - VOLUME_SETTLE_MINUTES * (60 * NS_PER_SEC);
	int64_t end_ns = settled_ns - settled_ns % HOUR_NS;
	struct search_groups wanted = {
		.by = { FIELD_ORGANIZATION_ID, FIELD_SOURCE_IP },
		.n_by = 2,
		.distinct = FIELD_NONE,
		.measure = field_intern(SLICE("destination.bytes")),
	};
	struct search_request r = { .since_ns = end_ns - HOUR_NS,
		.until_ns = end_ns,
		.cancelled = is_stopped,
		.ctx = (void *)stop };
	struct look l = { .arena = arena_new(ARENA_BLOCK) };
	struct search_query *q = NULL;
	size_t column;
	enum rc rc;

	*told = 0;
	l.systems = xcalloc(VOLUME_SYSTEMS_MAX, sizeof(*l.systems));
	rc = search_parse(SLICE("event.dataset:egov.gateway"), now_ns, &q,
	    &column, err);
	r.query = q;
	if (rc == RC_OK)
		rc = search_group(s, &r, &wanted, take_hour, &l, err);
	if (rc == RC_OK && l.n > 0) {
		r.since_ns -= VOLUME_HISTORY_HOURS * HOUR_NS;
		r.until_ns -= HOUR_NS;
		wanted.every_ns = HOUR_NS;
		rc = search_group(s, &r, &wanted, take_history, &l, err);
	}
	/* a history with gaps would make every hour look busy */
	if (rc == RC_OK && wanted.other == 0)
		*told = tell(&l, f, end_ns - HOUR_NS, now_ns);
	if (l.left_out + wanted.other > 0)
		log_warn("volumes through the gateways: there was no room for "
			 "%u systems and %llu events of this hour",
		    l.left_out, (unsigned long long)wanted.other);
	search_free(q);
	free(l.systems);
	arena_free(l.arena);
	return rc;
}

/* ---- the thread -------------------------------------------------------------- */

/* Until the next hour has settled; under the lock. */
static void
rest(struct volume_watch *w)
{
	int64_t settle_ns = VOLUME_SETTLE_MINUTES * (60 * NS_PER_SEC);
	int64_t due_ns = timestamp_now() - settle_ns;
	struct timespec until = { .tv_nsec = 0 };

	due_ns += HOUR_NS - due_ns % HOUR_NS + settle_ns;
	until.tv_sec = (time_t)(due_ns / NS_PER_SEC);
	while (!w->stop && timestamp_now() < due_ns)
		(void)pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

static void *
run(void *ctx)
{
	struct volume_watch *w = ctx;
	struct error err;
	uint32_t told;

	stand_back();
	(void)pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		enum rc rc;

		(void)pthread_mutex_unlock(&w->lock);
		rc = volume_look(w->store, w->findings, timestamp_now(),
		    &w->stop, &told, &err);
		(void)pthread_mutex_lock(&w->lock);
		if (rc != RC_OK && rc != RC_EOF)
			log_warn("volumes through the gateways are looked at "
				 "again in an hour: %s",
			    err.text);
		rest(w);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct volume_watch *
volume_watch_new(struct store *s, struct findings *f)
{
	struct volume_watch *w = xzalloc(sizeof(*w));

	w->store = s;
	w->findings = f;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->wake, NULL);
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		abort();
	return w;
}

void
volume_watch_free(struct volume_watch *w)
{
	if (w == NULL)
		return;
	(void)pthread_mutex_lock(&w->lock);
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	(void)pthread_cond_signal(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->wake);
	free(w);
}
