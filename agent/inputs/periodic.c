/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/periodic.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/inputs/feed.h"
#include "timestamp.h"
#include "xalloc.h"

static const int64_t tick_ns = NS_PER_SEC;
static const int64_t retry_ns = 10 * NS_PER_SEC;
static const int64_t trim_ns = NS_PER_SEC;

/* One entry of agent.yaml, copied for the thread. */
struct entry {
	char *name;
	char **paths;
	size_t n_paths;
	int64_t interval_ns;
	int64_t due_ns;
};

struct periodic {
	const struct periodic_kind *kind;
	struct input_setup setup;
	struct feed feed;
	struct loop_timer *tick;
	bool more; /* there may be something in the outbox */

	struct entry *entries;
	size_t n_entries;
	char *state_dir, *host_name;
	struct state_db db;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_bool stop;
};

/* ---- the thread ---------------------------------------------------------- */

static void
fill(struct periodic *p)
{
	p->more = true;
	p->setup.wake(p->setup.ctx);
}

static void
on_rows(void *ctx)
{
	struct periodic *p = ctx;

	feed_look(&p->feed);
	fill(p);
}

static void
on_renewed(void *ctx)
{
	struct periodic *p = ctx;

	feed_restart(&p->feed);
	on_rows(p);
}

static void
complain(struct periodic *p, const struct error *err)
{
	p->setup.say(p->setup.ctx, LOG_LEVEL_WARN, err->text);
}

static void
rest(struct periodic *p, int64_t ns)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / NS_PER_SEC;
	until.tv_nsec = ns % NS_PER_SEC;
	(void)pthread_mutex_lock(&p->lock);
	while (!atomic_load(&p->stop) &&
	    pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
		;
	(void)pthread_mutex_unlock(&p->lock);
}

static bool
open_db(struct periodic *p)
{
	struct error err;

	if (p->db.sql != NULL)
		return true;
	if (state_db_open(p->state_dir, p->kind->db_name, p->kind->schema,
		&p->db, &err) != RC_OK) {
		complain(p, &err);
		return false;
	}
	loop_post(p->setup.loop, p->db.damaged ? on_renewed : on_rows, p);
	return true;
}

static enum rc
one_look(struct periodic *p, const struct entry *e, struct error *err)
{
	struct periodic_turn turn = { .db = &p->db,
		.opener = p->setup.opener,
		.setup = &p->setup,
		.host_name = p->host_name,
		.name = e->name,
		.paths = (const char *const *)e->paths,
		.n_paths = e->n_paths,
		.stop = &p->stop };
	enum rc rc = sql_begin(p->db.sql, err);

	if (rc == RC_OK)
		rc = p->kind->look(&turn, err);
	if (rc == RC_OK)
		rc = sql_commit(p->db.sql, err);
	if (rc != RC_OK)
		sql_rollback(p->db.sql);
	return rc;
}

static void
failed(struct periodic *p, const struct error *err)
{
	complain(p, err);
	if (err->code != RC_LIBRARY)
		return;
	state_db_aside(&p->db, p->state_dir, p->kind->db_name);
	loop_post(p->setup.loop, on_renewed, p);
}

/* Whether it looked. */
static bool
look_when_due(struct periodic *p)
{
	bool looked = false;
	struct error err = { .code = RC_OK };
	uint64_t waiting = 0;

	for (size_t i = 0; i < p->n_entries && p->db.sql != NULL; i++) {
		struct entry *e = &p->entries[i];

		if (e->due_ns > loop_now() || atomic_load(&p->stop))
			continue;
		if (outbox_length(&p->db, &waiting, &err) == RC_OK &&
		    waiting >= OUTBOX_EVENTS_MAX)
			continue; /* later: what differs still will */
		e->due_ns = loop_now() + e->interval_ns;
		if (one_look(p, e, &err) != RC_OK && !atomic_load(&p->stop)) {
			e->due_ns = loop_now() + retry_ns;
			failed(p, &err);
		}
		looked = true;
		loop_post(p->setup.loop, on_rows, p);
	}
	return looked;
}

static int64_t
until_next(const struct periodic *p)
{
	int64_t wait_ns = retry_ns, now_ns = loop_now();

	for (size_t i = 0; i < p->n_entries; i++) {
		if (p->entries[i].due_ns - now_ns < wait_ns)
			wait_ns = p->entries[i].due_ns - now_ns;
	}
	if (atomic_load(&p->feed.acked_id) > p->db.trimmed && wait_ns > trim_ns)
		wait_ns = trim_ns;
	return wait_ns < NS_PER_MS ? NS_PER_MS : wait_ns;
}

static void *
work(void *ctx)
{
	struct periodic *p = ctx;
	struct error err;
	bool looked;

	while (!atomic_load(&p->stop)) {
		if (!open_db(p)) {
			rest(p, retry_ns);
			continue;
		}
		looked = look_when_due(p);
		if (p->db.sql != NULL &&
		    feed_trim(&p->feed, &p->db, &err) != RC_OK)
			failed(p, &err);
		if (looked)
			state_db_rest(&p->db); /* the next one is hours away */
		rest(p, until_next(p));
	}
	return NULL;
}

/* ---- the loop's ---------------------------------------------------------- */

static void
start(struct periodic *p)
{
	const struct input_setup *s = &p->setup;

	if (s->n_inputs == 0)
		return;
	p->n_entries = s->n_inputs;
	p->entries = xcalloc(p->n_entries, sizeof(*p->entries));
	for (size_t i = 0; i < p->n_entries; i++) {
		const struct input_config *c = &s->inputs[i];
		struct entry *e = &p->entries[i];

		e->name = xstrdup(c->name);
		e->interval_ns = c->fim.interval_ns;
		e->paths = xcalloc(c->n_paths + 1, sizeof(char *));
		for (; e->n_paths < c->n_paths; e->n_paths++)
			e->paths[e->n_paths] = xstrdup(c->paths[e->n_paths]);
	}
	p->state_dir = xstrdup(s->state_dir);
	p->host_name = xstrdup(s->host_name);
	atomic_store(&p->stop, false);
	if (pthread_create(&p->thread, NULL, work, p) != 0)
		abort(); /* as without memory */
	p->running = true;
}

static void
stop(struct periodic *p)
{
	struct error err;

	if (!p->running)
		return;
	(void)pthread_mutex_lock(&p->lock);
	atomic_store(&p->stop, true);
	(void)pthread_cond_broadcast(&p->wake);
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->thread, NULL);
	p->running = false;
	if (p->db.sql != NULL)
		(void)feed_trim(&p->feed, &p->db, &err);
	state_db_close(&p->db);
	for (size_t i = 0; i < p->n_entries; i++) {
		struct entry *e = &p->entries[i];

		while (e->n_paths > 0)
			free(e->paths[--e->n_paths]);
		free(e->paths);
		free(e->name);
	}
	free(p->entries);
	free(p->state_dir);
	free(p->host_name);
	p->n_entries = 0;
}

static void
on_tick(void *ctx)
{
	struct periodic *p = ctx;

	if (p->setup.n_inputs > 0 && feed_heartbeat_due(&p->feed))
		fill(p);
	loop_timer_start(p->tick, tick_ns);
}

enum rc
periodic_open(const struct periodic_kind *kind, const struct input_setup *setup,
    void **out)
{
	struct periodic *p = xzalloc(sizeof(*p));
	pthread_condattr_t attr;

	p->kind = kind;
	p->setup = *setup;
	feed_init(&p->feed, setup, kind->db_name);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&p->lock, NULL);
	p->tick = loop_timer_new(setup->loop, on_tick, p);
	loop_timer_start(p->tick, tick_ns);
	start(p);
	*out = p;
	return RC_OK;
}

void
periodic_reload(void *self, const struct input_setup *setup)
{
	struct periodic *p = self;

	stop(p);
	p->setup = *setup;
	feed_setup(&p->feed, setup);
	start(p);
}

bool
periodic_fill(void *self, struct window *w)
{
	struct periodic *p = self;

	p->more = p->more && feed_fill(&p->feed, p, w);
	return p->more;
}

void
periodic_acked(void *self, const struct receipt *receipts, size_t n)
{
	struct periodic *p = self;

	feed_acked(&p->feed, receipts, n);
}

void
periodic_drain(void *self)
{
	struct periodic *p = self;

	stop(p);
	feed_look(&p->feed);
	p->more = p->setup.n_inputs > 0;
}

bool
periodic_idle(const void *self)
{
	const struct periodic *p = self;

	return !p->more && feed_idle(&p->feed);
}

void
periodic_counts(const void *self, struct input_counts *counts)
{
	const struct periodic *p = self;

	*counts = (struct input_counts){ .read = p->feed.n_read,
		.acked = p->feed.n_acked };
}

void
periodic_save(void *self)
{
	(void)self; /* everything is stored when it is found */
}

void
periodic_close(void *self)
{
	struct periodic *p = self;

	if (p == NULL)
		return;
	stop(p);
	feed_fini(&p->feed);
	loop_timer_free(p->tick);
	(void)pthread_cond_destroy(&p->wake);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}
