/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/keeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "collector/store/merge.h"
#include "collector/store/region.h"
#include "collector/store/stamp.h"
#include "timestamp.h"

#define LOOK_NS   NS_PER_SEC
#define RETAIN_NS (60 * NS_PER_SEC)
#define STAMP_NS  (60 * NS_PER_SEC) /* after a failure */

struct keeper {
	struct keeper_options o;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;                       /* with `lock` */
	struct keeper_counters counters; /* with `lock` */

	/* the thread's alone */
	struct merger *merger;
	struct region_builder *regions;
	uint64_t events; /* when it looked last */
	/* nothing is to be done in that ended day, nor in the open one as long
	 * as it has so many commits; nor for so many heads */
	int32_t settled_day;
	uint64_t settled_commits, stamped_heads;
	int64_t looked_ns;
	int64_t retained_ns; /* when days were looked at last; 0: never */
	int64_t stamp_ns;    /* not before this */
	int32_t told_kept;   /* the day that had to stay, said once */
	bool troubled;
};

static int64_t
monotonic(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* Once when it begins, and once, "", when it is over. */
static void
trouble(struct keeper *k, const char *message)
{
	bool now = message[0] != '\0';

	if (now != k->troubled)
		k->o.on_trouble(k->o.ctx, message);
	k->troubled = now;
}

/* Whether events come faster than the disk should also be read for merging. */
static bool
is_busy(struct keeper *k)
{
	struct store_counters c;
	int64_t now = monotonic(), took_ns = now - k->looked_ns;
	uint64_t came;

	store_counters(k->o.store, &c);
	came = c.events - k->events;
	k->events = c.events;
	k->looked_ns = now;
	return took_ns > 0 &&
	    (double)came / (double)took_ns > KEEPER_BUSY / 1e9;
}

static void
count(struct keeper *k)
{
	struct merge_counters m;

	merger_counters(k->merger, &m);
	(void)pthread_mutex_lock(&k->lock);
	k->counters.blocks_before = m.blocks_before;
	k->counters.blocks_after = m.blocks_after;
	(void)pthread_mutex_unlock(&k->lock);
}

static bool
stopped(struct keeper *k)
{
	bool stop;

	(void)pthread_mutex_lock(&k->lock);
	stop = k->stop;
	(void)pthread_mutex_unlock(&k->lock);
	return stop;
}

/* *settled: everything that can be done in it now was. */
static enum rc
merge_day(struct keeper *k, int32_t day, bool ended, bool *settled,
    struct error *err)
{
	bool merging = true, filtering = true;
	enum rc rc = RC_OK;

	while (rc == RC_OK && merging && !stopped(k) && !is_busy(k))
		rc = merge_step(k->merger, day, ended, &merging, err);
	if (rc == RC_OK)
		rc = merge_purge(k->merger, day, err);
	while (rc == RC_OK && filtering && !stopped(k) && !is_busy(k))
		rc = region_step(k->regions, day, ended, &filtering, err);
	*settled = !merging && !filtering && !merge_waits(k->merger);
	return rc;
}

/*
 * The two newest days: the open one, and the rest of the one before.  While
 * nothing comes no file is touched.
 */
static enum rc
merge_days(struct keeper *k, struct error *err)
{
	struct store_counters c;
	int32_t *days;
	size_t n;
	enum rc rc = day_list(k->o.store->dir, &days, &n, err);

	store_counters(k->o.store, &c);
	for (size_t i = n > 2 ? n - 2 : 0; rc == RC_OK && i < n; i++) {
		bool ended = i + 1 < n, settled = false;

		if (ended ? k->settled_day == days[i]
			  : k->settled_commits == c.commits)
			continue;
		rc = merge_day(k, days[i], ended, &settled, err);
		if (rc == RC_OK && settled && ended)
			k->settled_day = days[i];
		else if (rc == RC_OK && settled)
			k->settled_commits = c.commits;
	}
	free(days);
	count(k);
	return rc;
}

/* ---- days --------------------------------------------------------------- */

struct archiving {
	struct keeper *keeper;
	struct error *err;
	enum rc rc;
};

static bool
go_on(void *ctx, uint64_t events, uint64_t of)
{
	(void)events;
	(void)of;
	return !stopped(ctx);
}

static bool
archive_if_closed(void *ctx, const struct store_day *d)
{
	struct archiving *a = ctx;
	struct keeper *k = a->keeper;
	char name[STORE_DAY_NAME];

	if (d->newest || d->restored || d->archived)
		return true;
	a->rc = store_archive(k->o.store->dir, d->day, k->o.retention.archive,
	    go_on, k, a->err);
	if (a->rc != RC_OK)
		return false;
	store_day_name(d->day, name);
	k->o.on_day(k->o.ctx, name, "archived");
	(void)pthread_mutex_lock(&k->lock);
	k->counters.archived++;
	(void)pthread_mutex_unlock(&k->lock);
	return !is_busy(k);
}

static bool
on_pruned(void *ctx, const struct store_day *d, const char *kept)
{
	struct keeper *k = ctx;
	char name[STORE_DAY_NAME];

	store_day_name(d->day, name);
	if (kept == NULL) {
		k->o.on_day(k->o.ctx, name, "removed");
		(void)pthread_mutex_lock(&k->lock);
		k->counters.removed++;
		k->counters.removed_events += d->events;
		(void)pthread_mutex_unlock(&k->lock);
	} else if (k->told_kept != d->day) {
		k->told_kept = d->day;
		k->o.on_day(k->o.ctx, name, kept);
	}
	return !stopped(k);
}

static enum rc
keep_days(struct keeper *k, struct error *err)
{
	struct store_retention r = k->o.retention;
	struct archiving a = { .keeper = k, .err = err };
	const char *dir = k->o.store->dir;
	enum rc rc = RC_OK;

	if (k->retained_ns != 0 && monotonic() - k->retained_ns < RETAIN_NS)
		return RC_OK;
	k->retained_ns = monotonic();
	if (r.archive != NULL)
		rc = store_days(dir, r.archive, archive_if_closed, &a, err);
	if (rc == RC_OK)
		rc = a.rc;
	if (rc != RC_OK)
		return stopped(k) ? RC_OK : rc;
	r.now_ns = timestamp_now();
	if (r.keep_ns > 0 || r.disk_bytes > 0)
		rc = store_prune(dir, &r, on_pruned, k, err);
	return rc;
}

/* Heads of the two newest days. */
static enum rc
stamp_heads(struct keeper *k, struct error *err)
{
	uint64_t heads = atomic_load(&k->o.store->n_heads);
	int32_t *days;
	size_t n;
	enum rc rc;

	if (k->o.tsa_url == NULL || monotonic() < k->stamp_ns ||
	    k->stamped_heads == heads)
		return RC_OK;
	rc = day_list(k->o.store->dir, &days, &n, err);
	for (size_t i = n > 2 ? n - 2 : 0; rc == RC_OK && i < n; i++) {
		bool done = true;

		while (rc == RC_OK && done && !stopped(k))
			rc = stamp_step(k->o.store, days[i], k->o.tsa_url,
			    k->o.tsa_ca, &done, err);
	}
	free(days);
	if (rc != RC_OK)
		k->stamp_ns = monotonic() + STAMP_NS;
	else if (!stopped(k))
		k->stamped_heads = heads;
	return rc;
}

static void
look(struct keeper *k)
{
	struct error err;
	enum rc rc = RC_OK;

	if (is_busy(k))
		return;
	if (!k->o.no_merge)
		rc = merge_days(k, &err);
	if (rc == RC_OK)
		rc = keep_days(k, &err);
	if (rc == RC_OK)
		rc = stamp_heads(k, &err);
	trouble(k, rc == RC_OK ? "" : err.text);
}

static void *
run(void *ctx)
{
	struct keeper *k = ctx;
	struct timespec until;

	(void)pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LOOK_NS / NS_PER_SEC;
		while (!k->stop &&
		    pthread_cond_timedwait(&k->wake, &k->lock, &until) == 0)
			;
		if (k->stop)
			break;
		(void)pthread_mutex_unlock(&k->lock);
		look(k);
		(void)pthread_mutex_lock(&k->lock);
	}
	(void)pthread_mutex_unlock(&k->lock);
	return NULL;
}

struct keeper *
keeper_new(const struct keeper_options *options)
{
	struct keeper *k = xzalloc(sizeof(*k));
	pthread_condattr_t attr;

	k->o = *options;
	k->merger = merger_new(options->store);
	k->regions = region_builder_new(options->store);
	k->looked_ns = monotonic();
	k->settled_day = INT32_MIN;
	k->settled_commits = UINT64_MAX;
	k->stamped_heads = UINT64_MAX; /* some may be of before */
	(void)pthread_mutex_init(&k->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&k->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (pthread_create(&k->thread, NULL, run, k) != 0)
		abort();
	return k;
}

void
keeper_free(struct keeper *k)
{
	if (k == NULL)
		return;
	(void)pthread_mutex_lock(&k->lock);
	k->stop = true;
	(void)pthread_cond_broadcast(&k->wake);
	(void)pthread_mutex_unlock(&k->lock);
	(void)pthread_join(k->thread, NULL);
	merger_free(k->merger);
	region_builder_free(k->regions);
	(void)pthread_mutex_destroy(&k->lock);
	(void)pthread_cond_destroy(&k->wake);
	free(k);
}

void
keeper_counters(struct keeper *k, struct keeper_counters *out)
{
	(void)pthread_mutex_lock(&k->lock);
	*out = k->counters;
	(void)pthread_mutex_unlock(&k->lock);
}
