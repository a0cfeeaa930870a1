/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incidents/incidents.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "collector/incidents/changes.h"
#include "collector/incidents/sources.h"
#include "queue.h"
#include "timestamp.h"
#include "xalloc.h"

/* How long soc.db rests between two transactions: a multiple of what the last
 * one took, so that a flood of hits, which changes the same incidents over and
 * over, leaves most of the time to correlation */
#define REST_TIMES  16
#define REST_MIN_NS (100 * NS_PER_MS)
#define REST_MAX_NS NS_PER_SEC
#define TICK_NS     NS_PER_SEC
#define RETRY_NS    NS_PER_SEC
/* The log's clock goes at most so far from one record to the next: what passed
 * while nobody sent anything is no time in which a group could have been hit */
#define GAP_NS (60 * NS_PER_SEC)
/* A cursor that nothing moves is written so often all the same */
#define CURSOR_NS (10 * NS_PER_SEC)

enum { SETTLE_CHANGES = 20000, LAST_TRIES = 3, READ_TRIES = 3 };

/* What the queue carries: a record, or the rules from here on. */
struct item {
	struct log_record record;
	struct ruleset *rules; /* counted; NULL: a record */
};

struct incidents {
	struct incidents_options o;
	struct queue *queue;
	pthread_t thread;
	atomic_bool stopping;
	atomic_bool stuck; /* soc.db is tried again */
	_Atomic uint64_t position;
	_Atomic uint64_t unknown_hits;
	pthread_mutex_t lock;
	struct correlator_stats stats; /* under `lock` */
	struct objects *objects;       /* the same; counted, may be NULL */

	/* The thread's own from here on. */
	struct soc *soc;
	struct ruleset *rules; /* counted */
	struct correlator *correlator;
	struct changes changes;
	struct sources sources;
	struct value *values; /* scratch: of one hit */
	uint32_t cap_values;
	struct soc_cursor cursor; /* in soc.db */
	uint64_t done;            /* last commit taken */
	uint64_t stop_after;      /* while rebuilding */
	int64_t oldest_ns;        /* of the hits rebuilt */
	int64_t clock_ns, arrival_ns;
	int64_t start_ns;
	int64_t rest_ns;              /* until soc.db is written again */
	int64_t cursor_ns, ticked_ns; /* monotonic */
	bool troubled;
	bool rebuilding;
	bool behind; /* stopped before it had read the log to its end */
};

static int64_t
monotonic(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* A second, or until it is to stop. */
static void
pause_to_retry(struct incidents *in)
{
	const struct timespec slice = { 0, 50 * NS_PER_MS };

	for (int64_t t = 0; t < RETRY_NS && !in->stopping; t += slice.tv_nsec)
		(void)nanosleep(&slice, NULL);
}

/* Once when it begins, and once, "", when it is over. */
static void
trouble(struct incidents *in, const char *message)
{
	if (in->troubled == (message[0] != '\0'))
		return;
	in->troubled = !in->troubled;
	if (in->o.on_trouble != NULL)
		in->o.on_trouble(in->o.ctx, message);
}

/* ---- records into the correlator ------------------------------------------ */

static const uint32_t *
fields_of(void *ctx, const uint8_t digest[SHA256_BYTES], uint32_t *n)
{
	const struct incidents *in = ctx;
	uint32_t rule = ruleset_find_digest(in->rules, digest);

	*n = 0;
	if (rule == UINT32_MAX || !correlator_wants(in->correlator, rule))
		return NULL;
	return ruleset_hit_fields(in->rules, rule, n);
}

/* The values as the rules of now want them. */
static const struct value *
values_of(struct incidents *in, const struct log_hit *hit,
    const uint32_t *fields, uint32_t n)
{
	if (hit->n_fields == n &&
	    (n == 0 || memcmp(hit->fields, fields, n * sizeof(fields[0])) == 0))
		return hit->values;
	if (n > in->cap_values) {
		in->cap_values = n;
		in->values = xreallocarray(in->values, n, sizeof(*in->values));
	}
	for (uint32_t i = 0; i < n; i++) {
		in->values[i] = (struct value){ .kind = VALUE_NULL };
		for (uint32_t j = 0; j < hit->n_fields; j++)
			if (hit->fields[j] == fields[i])
				in->values[i] = hit->values[j];
	}
	return in->values;
}

static void
take_hit(struct incidents *in, const struct log_hit *h, uint64_t commit)
{
	uint32_t n;
	const uint32_t *fields = fields_of(in, h->rule_digest, &n);
	struct correlate_hit hit = {
		.time_ns = h->time_ns,
		.id = h->id,
		.id_text = h->id_text,
		.owner = h->owner,
		.agent = h->agent,
		.position = commit,
	};

	hit.rule = ruleset_find_digest(in->rules, h->rule_digest);
	if (hit.rule == UINT32_MAX && !in->rebuilding)
		in->unknown_hits++;
	if (fields == NULL)
		return;
	hit.values = values_of(in, h, fields, n);
	if (h->time_ns < in->oldest_ns)
		in->oldest_ns = h->time_ns;
	correlator_source(in->correlator, h->source);
	correlator_hit(in->correlator, &hit);
}

static void
take_record(struct incidents *in, const struct log_record *r)
{
	int64_t gap_ns = r->arrival_ns - in->arrival_ns;

	if (r->commit <= in->done || in->behind)
		return; /* read from the log already, or to be at next start */
	in->done = r->commit;
	if (r->n_hits + r->n_watermarks == 0)
		return; /* the log leaves them out when it is read */
	if (in->arrival_ns != 0 && gap_ns > 0)
		in->clock_ns += gap_ns < GAP_NS ? gap_ns : GAP_NS;
	in->arrival_ns = r->arrival_ns;
	correlator_log_time(in->correlator, in->clock_ns);
	for (size_t i = 0; i < r->n_hits; i++)
		take_hit(in, &r->hits[i], r->commit);
	for (size_t i = 0; i < r->n_watermarks; i++)
		sources_move(&in->sources, in->correlator, &r->watermarks[i],
		    r->commit);
}

static void
on_incident(void *ctx, const struct correlate_incident *inc)
{
	struct incidents *in = ctx;
	struct objects *objects;

	(void)pthread_mutex_lock(&in->lock);
	objects = in->objects != NULL ? objects_ref(in->objects) : NULL;
	(void)pthread_mutex_unlock(&in->lock);
	changes_add(&in->changes, in->rules, objects, inc);
	objects_unref(objects);
}

static struct correlator *
new_correlator(struct incidents *in)
{
	struct correlate_options o = in->o.correlate;

	o.singles = true;
	o.single_level = in->o.single_rule_level;
	o.coalesce = true;
	o.on_incident = on_incident;
	o.ctx = in;
	return correlator_new(in->rules, &o);
}

/* ---- into soc.db ------------------------------------------------------------ */

static struct soc_cursor
cursor_now(const struct incidents *in)
{
	struct soc_cursor c = { in->done, in->done + 1 };
	uint64_t hits = correlator_rebuild_position(in->correlator);
	uint64_t marks = sources_oldest(&in->sources, in->correlator);

	if (hits < c.rebuild_from)
		c.rebuild_from = hits;
	if (marks < c.rebuild_from)
		c.rebuild_from = marks;
	return c;
}

static void
rest(struct incidents *in, int64_t took_ns)
{
	in->rest_ns = REST_MIN_NS;
	if (took_ns > REST_MIN_NS / REST_TIMES)
		in->rest_ns = REST_TIMES * took_ns;
	if (took_ns > REST_MAX_NS / REST_TIMES)
		in->rest_ns = REST_MAX_NS;
}

/* Until soc.db has it: an incident is never skipped. */
static bool
apply(struct incidents *in)
{
	struct soc_cursor cursor = cursor_now(in);
	int64_t began_ns = monotonic();
	struct error err;
	int tries = 0;

	while (soc_apply(in->soc, in->changes.list, in->changes.n, &cursor,
		   in->o.outbox, timestamp_now(), &err) != RC_OK) {
		in->stuck = true;
		trouble(in, err.text);
		if (in->stopping && ++tries == LAST_TRIES)
			return false; /* the log has it: redone at start */
		pause_to_retry(in);
	}
	in->stuck = false;
	trouble(in, "");
	in->cursor = cursor;
	in->cursor_ns = monotonic();
	rest(in, in->cursor_ns - began_ns);
	for (size_t i = 0; i < in->changes.n && in->o.on_incident != NULL; i++)
		in->o.on_incident(in->o.ctx, &in->changes.list[i]);
	changes_clear(&in->changes);
	return true;
}

/*
 * Brings soc.db up to `done`.  A record that changed no incident needs no
 * transaction: taken again after a restart it changes none either.
 */
static void
settle(struct incidents *in)
{
	correlator_flush(in->correlator);
	if (in->changes.n > 0 ||
	    (in->done != in->cursor.commit &&
		monotonic() - in->cursor_ns >= CURSOR_NS)) {
		if (!apply(in))
			return;
	}
	in->position = in->done;
	(void)pthread_mutex_lock(&in->lock);
	correlator_stats(in->correlator, &in->stats);
	(void)pthread_mutex_unlock(&in->lock);
}

/* How long what changed may wait for more; without any change: for ever. */
static int64_t
patience(const struct incidents *in)
{
	size_t n = correlator_changed(in->correlator) + in->changes.n;
	int64_t left_ns;

	if (n == 0)
		return INT64_MAX;
	if (n >= SETTLE_CHANGES)
		return 0;
	left_ns = in->cursor_ns + in->rest_ns - monotonic();
	return left_ns > 0 ? left_ns : 0;
}

static void
settle_if_due(struct incidents *in)
{
	int64_t left_ns = patience(in);

	/* without a change it costs nothing, and moves `position` */
	if (left_ns == 0 || left_ns == INT64_MAX)
		settle(in);
}

/* ---- start -------------------------------------------------------------------- */

static bool
rebuild_record(void *ctx, const struct log_record *r)
{
	struct incidents *in = ctx;

	if (r->commit > in->stop_after || in->stopping)
		return false;
	take_record(in, r);
	return true;
}

static bool
restore_incident(void *ctx, const struct incident *i)
{
	struct incidents *in = ctx;
	struct correlate_incident inc = {
		.rule = ruleset_find_digest(in->rules, i->rule_digest),
		.owner = i->owner,
		.group = i->group,
		.first_seen_ns = i->first_seen_ns,
		.last_seen_ns = i->last_seen_ns,
		.fired_ns = i->fired_ns,
		.events = i->events,
		.agents = i->agents,
		.disproved = slice_eq(i->reason, SLICE("disproved")),
	};

	if (inc.rule == UINT32_MAX || i->id.len + 1 != sizeof(inc.id))
		return true;
	memcpy(inc.id, i->id.ptr, i->id.len);
	correlator_restore(in->correlator, &inc);
	return true;
}

/* The state as it was when the cursor was written. */
static enum rc
rebuild_state(struct incidents *in, struct error *err)
{
	struct soc_query all = { .until_ns = INT64_MAX };
	enum rc rc;

	in->done =
	    in->cursor.rebuild_from > 0 ? in->cursor.rebuild_from - 1 : 0;
	in->stop_after = in->cursor.commit;
	in->oldest_ns = INT64_MAX;
	correlator_rebuild(in->correlator, true);
	in->rebuilding = true;
	rc = store_read_log(in->o.store, in->done + 1, fields_of,
	    rebuild_record, in, err);
	in->rebuilding = false;
	if (rc != RC_OK)
		return rc;
	all.since_ns = in->oldest_ns;
	if (in->oldest_ns != INT64_MAX)
		rc =
		    soc_incidents(in->o.store, &all, restore_incident, in, err);
	if (rc != RC_OK)
		return rc;
	correlator_rebuild(in->correlator, false);
	correlator_flush(in->correlator);
	in->done = in->cursor.commit;
	return RC_OK;
}

static void
forget_state(struct incidents *in)
{
	correlator_free(in->correlator);
	changes_clear(&in->changes);
	sources_fini(&in->sources);
	in->sources = (struct sources){ 0 };
	in->clock_ns = in->arrival_ns = 0;
	in->correlator = new_correlator(in);
}

static bool
catch_up_record(void *ctx, const struct log_record *r)
{
	struct incidents *in = ctx;

	take_record(in, r);
	settle_if_due(in);
	return !in->stopping;
}

static enum rc
catch_up(struct incidents *in, struct error *err)
{
	struct store_counters counters;
	enum rc rc;

	store_counters(in->o.store, &counters);
	rc = store_read_log(in->o.store, in->done + 1, fields_of,
	    catch_up_record, in, err);
	if (rc == RC_OK && !in->stopping && counters.commits > in->done)
		in->done = counters.commits; /* the last ones had no hits */
	return rc;
}

/* Rebuilds and reads on to the end; what cannot be read is reported. */
static void
begin(struct incidents *in)
{
	struct error err;
	int tries = 0;

	while (in->cursor.commit > 0 && in->cursor.rebuild_from > 0 &&
	    in->cursor.rebuild_from <= in->cursor.commit &&
	    rebuild_state(in, &err) != RC_OK) {
		trouble(in, err.text);
		forget_state(in);
		if (in->stopping || ++tries == READ_TRIES)
			break;
		pause_to_retry(in);
	}
	in->done = in->cursor.commit;
	tries = 0;
	while (!in->stopping && catch_up(in, &err) != RC_OK) {
		trouble(in, err.text);
		if (++tries == READ_TRIES)
			break;
		pause_to_retry(in);
	}
	in->behind = in->stopping;
	if (tries < READ_TRIES)
		trouble(in, "");
	settle(in);
}

/* ---- live ------------------------------------------------------------------------ */

static void
tick(struct incidents *in)
{
	int64_t now = monotonic();

	if (now - in->ticked_ns < TICK_NS)
		return;
	in->ticked_ns = now;
	sources_tick(&in->sources, in->correlator, timestamp_now(),
	    in->o.silent_after_ns, in->start_ns);
}

static void
take_rules(struct incidents *in, struct ruleset *rules)
{
	settle(in);              /* the changes borrow the old rules' texts */
	if (in->changes.n > 0) { /* it stops, and soc.db cannot be written */
		ruleset_unref(rules);
		return;
	}
	in->correlator = correlator_reload(in->correlator, rules);
	ruleset_unref(in->rules);
	in->rules = rules;
}

static void
take_item(struct incidents *in, struct item *item)
{
	if (item->rules != NULL) {
		take_rules(in, item->rules);
	} else {
		take_record(in, &item->record);
		log_record_fini(&item->record);
	}
	free(item);
}

static void *
run(void *ctx)
{
	struct incidents *in = ctx;

	begin(in);
	for (;;) {
		int64_t left_ns = patience(in);
		struct item *item = queue_pop_timeout(in->queue,
		    left_ns < TICK_NS ? left_ns : TICK_NS);

		if (item != NULL)
			take_item(in, item);
		else if (queue_closed(in->queue))
			break;
		tick(in);
		settle_if_due(in);
	}
	in->cursor_ns -= CURSOR_NS; /* write it, whatever changed */
	settle(in);
	return NULL;
}

/* ---- public ----------------------------------------------------------------------- */

enum rc
incidents_new(const struct incidents_options *options, struct incidents **out,
    struct error *err)
{
	struct incidents *in = xzalloc(sizeof(*in));

	*out = NULL;
	in->o = *options;
	if (soc_open(options->store, &in->soc, err) != RC_OK ||
	    soc_cursor_get(in->soc, &in->cursor, err) != RC_OK) {
		soc_close(in->soc);
		free(in);
		return err->code;
	}
	in->position = in->cursor.commit;
	in->done = in->cursor.commit;
	in->start_ns = timestamp_now();
	in->cursor_ns = monotonic();
	in->rules = ruleset_ref(options->rules);
	if (options->objects != NULL)
		in->objects = objects_ref(options->objects);
	in->queue = queue_new(options->max_queued);
	(void)pthread_mutex_init(&in->lock, NULL);
	changes_init(&in->changes);
	in->correlator = new_correlator(in);
	if (pthread_create(&in->thread, NULL, run, in) != 0)
		abort(); /* as for memory: nothing works without threads */
	*out = in;
	return RC_OK;
}

void
incidents_submit(struct incidents *in, struct log_record *record)
{
	struct item *item = xzalloc(sizeof(*item));

	item->record = *record;
	*record = (struct log_record){ 0 };
	if (queue_push(in->queue, item))
		return;
	log_record_fini(&item->record);
	free(item);
}

bool
incidents_set_rules(struct incidents *in, struct ruleset *rules)
{
	struct item *item = xzalloc(sizeof(*item));

	item->rules = ruleset_ref(rules);
	if (queue_try_push(in->queue, item))
		return true;
	ruleset_unref(item->rules);
	free(item);
	return false;
}

bool
incidents_is_stuck(struct incidents *in)
{
	return in->stuck;
}

void
incidents_set_objects(struct incidents *in, struct objects *objects)
{
	struct objects *old;

	(void)pthread_mutex_lock(&in->lock);
	old = in->objects;
	in->objects = objects != NULL ? objects_ref(objects) : NULL;
	(void)pthread_mutex_unlock(&in->lock);
	objects_unref(old);
}

uint64_t
incidents_position(struct incidents *in)
{
	return in->position;
}

void
incidents_stats(struct incidents *in, struct correlator_stats *out)
{
	(void)pthread_mutex_lock(&in->lock);
	*out = in->stats;
	(void)pthread_mutex_unlock(&in->lock);
}

uint64_t
incidents_unknown_hits(struct incidents *in)
{
	return in->unknown_hits;
}

void
incidents_wait_no_more(struct incidents *in)
{
	in->stopping = true;
}

void
incidents_free(struct incidents *in)
{
	if (in == NULL)
		return;
	incidents_wait_no_more(in);
	queue_close(in->queue);
	(void)pthread_join(in->thread, NULL);
	queue_free(in->queue);
	correlator_free(in->correlator);
	changes_fini(&in->changes);
	sources_fini(&in->sources);
	soc_close(in->soc);
	objects_unref(in->objects);
	ruleset_unref(in->rules);
	(void)pthread_mutex_destroy(&in->lock);
	free(in->values);
	free(in);
}
