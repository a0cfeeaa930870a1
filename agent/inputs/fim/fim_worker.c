/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_worker.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/inputs/fim/fim_engine.h"
#include "agent/inputs/fim/fim_package.h"
#include "footprint.h"
#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum { LOOK_MAX = 256 /* paths of one look */ };

/* After what went wrong with the store: a full disk, mostly. */
static const int64_t retry_ns = 10 * NS_PER_SEC;
/* After the last change that was looked at, the baseline is sealed again. */
static const int64_t seal_ns = 30 * NS_PER_SEC;
static const int64_t trim_ns = NS_PER_SEC;
/* So long dpkg may be at work before its files are looked at all the same. */
static const int64_t packages_ns = 120 * NS_PER_SEC;
static const int64_t packages_look_ns = NS_PER_SEC;
/* So often it is asked whether the packages changed, before a change is. */
static const int64_t prepare_ns = 10 * NS_PER_SEC;

/* One entry of agent.yaml, copied. */
struct watched {
	struct fim_worker *worker;
	char *name;
	char **paths, **exclude, **diff, **diff_never, **maintenance;
	struct timezone_info *tz; /* NULL: UTC */
	struct fim_spec spec;
	struct fim_config config;
	struct fim_pace *pace;
	struct fim_reading reading;
	struct fim_annotator notes;
	int64_t scan_due_ns;
	int64_t seal_due_ns; /* 0: it is sealed */
	uint64_t files;
	bool known; /* there is a baseline: changes are news */
};

struct fim_worker {
	struct fim_worker_events events;
	struct opener *opener;
	struct fim_dirty *dirty;
	struct opener_notify *notify;
	struct feed *feed;
	char *state_dir, *host_name;
	struct watched *inputs;
	size_t n_inputs;
	struct fim_packages *packages;
	struct account_names *names;
	struct fim_store store;
	bool open;

	struct fim_dirty_path taken[LOOK_MAX]; /* being looked at */
	size_t n_taken;
	int64_t busy_since_ns; /* dpkg; 0: it is not */
	int64_t prepare_due_ns;
	bool held; /* what is due waits for dpkg */
	bool limit_said, looking, trim_failed, scanned;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool woken;
	atomic_bool stop;
	_Atomic uint64_t files;
};

static void
say(struct fim_worker *w, enum log_level level, const char *text)
{
	w->events.say(w->events.ctx, level, text);
}

static void
complain(struct fim_worker *w, const char *input, const struct error *err)
{
	char text[1400];

	(void)snprintf(text, sizeof(text), "%s: %s", input, err->text);
	say(w, LOG_LEVEL_WARN, text);
}

/* Until woken, stopped, or so long. */
static void
rest(struct fim_worker *w, int64_t ns)
{
	struct timespec until;

	if (ns <= 0)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / NS_PER_SEC;
	until.tv_nsec = ns % NS_PER_SEC;
	(void)pthread_mutex_lock(&w->lock);
	while (!w->woken && !atomic_load(&w->stop) &&
	    pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0)
		;
	w->woken = false;
	(void)pthread_mutex_unlock(&w->lock);
}

/* ---- the store ---------------------------------------------------------- */

static bool
open_store(struct fim_worker *w)
{
	struct error err;

	if (w->open)
		return true;
	if (fim_store_open(w->state_dir, &w->store, &err) != RC_OK) {
		complain(w, "fim", &err);
		fim_store_close(&w->store);
		return false;
	}
	w->open = true;
	if (w->store.db.damaged) {
		say(w, LOG_LEVEL_ERROR,
		    "fim.db could not be read and was put aside as "
		    "fim.db.damaged: a new baseline is taken");
		w->events.renewed(w->events.ctx);
	}
	w->events.rows(w->events.ctx);
	return true;
}

/* Of a full disk nothing is lost: the same is found again. */
static void
store_failed(struct fim_worker *w, const char *input, struct error *err)
{
	complain(w, input, err);
	if (err->code != RC_LIBRARY)
		return;
	if (fim_store_renew(w->state_dir, &w->store, err) != RC_OK) {
		complain(w, input, err);
		fim_store_close(&w->store);
		w->open = false;
		return;
	}
	w->store.db.damaged = true;
	say(w, LOG_LEVEL_ERROR,
	    "fim.db is damaged and was put aside as fim.db.damaged: a new "
	    "baseline is taken");
	w->events.renewed(w->events.ctx);
	for (size_t i = 0; i < w->n_inputs; i++) {
		w->inputs[i].known = false;
		w->inputs[i].scan_due_ns = 0;
	}
}

static void
trim(struct fim_worker *w)
{
	struct error err;
	bool before = w->trim_failed;

	if (!w->open)
		return;
	w->trim_failed = feed_trim(w->feed, &w->store.db, &err) != RC_OK;
	/* tried each second: of a full disk that is said once */
	if (w->trim_failed && (!before || err.code == RC_LIBRARY))
		store_failed(w, "fim", &err);
}

/* ---- looks -------------------------------------------------------------- */

static void look_at_dirty(struct fim_worker *w);

/* Who touched a path of those being looked at, or the folder above it. */
static void
who_did(void *ctx, const char *path, struct fim_who *out)
{
	struct watched *in = ctx;
	struct fim_worker *w = in->worker;
	struct slice p = { path, strlen(path) };

	for (size_t i = 0; i < w->n_taken; i++) {
		const struct fim_dirty_path *d = &w->taken[i];
		struct slice folder = { d->path, strlen(d->path) };

		if (d->who == NULL || !opener_path_within(p, folder) ||
		    (!d->deep && p.len != folder.len))
			continue;
		*out = *d->who;
		if (p.len == folder.len)
			return;
	}
}

static void
watch_folder(void *ctx, const char *path)
{
	struct watched *in = ctx;
	struct fim_worker *w = in->worker;

	if (w->notify == NULL || !in->config.realtime ||
	    opener_notify_add(w->notify, path) != RC_LIMIT || w->limit_said)
		return;
	w->limit_said = true;
	say(w, LOG_LEVEL_WARN,
	    "fim: no more folders can be watched (fs.inotify.max_user_watches, "
	    "or 65536): changes in the others are found by the next scan");
}

/* Between two batches of a scan: others want something too. */
static void
between(void *ctx, const struct fim_totals *so_far)
{
	struct watched *in = ctx;
	struct fim_worker *w = in->worker;
	uint64_t waiting = 0;
	struct error err;

	(void)so_far;
	w->events.rows(w->events.ctx);
	if (!w->looking)
		look_at_dirty(w);
	for (;;) {
		trim(w);
		if (atomic_load(&w->stop) ||
		    outbox_length(&w->store.db, &waiting, &err) != RC_OK ||
		    waiting < OUTBOX_EVENTS_MAX)
			return;
		rest(w, trim_ns);
	}
}

static struct fim_engine
engine_of(struct watched *in)
{
	struct fim_worker *w = in->worker;

	return (struct fim_engine){ .store = &w->store,
		.spec = &in->spec,
		.reading = &in->reading,
		.host_name = w->host_name,
		.notes = &in->notes,
		.ctx = in,
		.between = between,
		.folder = watch_folder };
}

static enum rc
look(struct watched *in, const char *const *paths, size_t n, bool flat,
    struct error *err)
{
	struct fim_engine e = engine_of(in);
	enum rc rc = n == 0 ? RC_OK : fim_engine_look(&e, paths, n, flat, err);

	if (rc == RC_OK && e.totals.changes > 0)
		in->seal_due_ns = loop_now() + seal_ns;
	return rc;
}

static bool
below_deep(const struct fim_worker *w, const char *path)
{
	struct slice p = { path, strlen(path) };

	for (size_t i = 0; i < w->n_taken; i++) {
		const struct fim_dirty_path *d = &w->taken[i];

		if (d->deep &&
		    opener_path_within(p,
			(struct slice){ d->path, strlen(d->path) }))
			return true;
	}
	return false;
}

/* What of the taken paths this input watches. */
static enum rc
look_for_input(struct fim_worker *w, struct watched *in, struct error *err)
{
	const char *deep[LOOK_MAX], *flat[LOOK_MAX];
	size_t n_deep = 0, n_flat = 0;
	enum rc rc;

	for (size_t i = 0; i < w->n_taken; i++) {
		const struct fim_dirty_path *d = &w->taken[i];

		if (!fim_spec_covers(&in->spec, d->path))
			continue;
		if (d->deep)
			deep[n_deep++] = d->path;
		else if (!below_deep(w, d->path))
			flat[n_flat++] = d->path;
	}
	rc = look(in, deep, n_deep, false, err);
	return rc == RC_OK ? look(in, flat, n_flat, true, err) : rc;
}

/*
 * dpkg and rpm unpack first and write their checksums then: while one is at
 * work, wait for it, so that its own work is not told as somebody else's.
 */
static bool
packages_at_work(struct fim_worker *w)
{
	w->held = false;
	if (!fim_packages_busy(w->packages)) {
		w->busy_since_ns = 0;
		return false;
	}
	if (w->busy_since_ns == 0)
		w->busy_since_ns = loop_now();
	w->held = loop_now() - w->busy_since_ns < packages_ns;
	return w->held;
}

/* No change of a file waits until it is known what packages there are. */
static void
prepare_due(struct fim_worker *w)
{
	if (w->notify == NULL || w->prepare_due_ns > loop_now() ||
	    fim_packages_busy(w->packages))
		return;
	w->prepare_due_ns = loop_now() + prepare_ns;
	if (fim_packages_prepare(w->packages))
		footprint_rest();
}

static void
forget_gone_folders(struct fim_worker *w)
{
	struct opener_stat st;

	for (size_t i = 0; w->notify != NULL && i < w->n_taken; i++) {
		const struct fim_dirty_path *d = &w->taken[i];

		if (d->deep && !opener_lstat(w->opener, d->path, &st))
			opener_notify_forget(w->notify, d->path);
	}
}

static void
look_at_dirty(struct fim_worker *w)
{
	struct error err = { .code = RC_OK };
	enum rc rc = RC_OK;

	while (!atomic_load(&w->stop) &&
	    fim_dirty_due(w->dirty) <= loop_now() && !packages_at_work(w)) {
		w->n_taken =
		    fim_dirty_take(w->dirty, loop_now(), w->taken, LOOK_MAX);
		w->looking = true;
		for (size_t i = 0; rc == RC_OK && i < w->n_inputs; i++) {
			if (w->inputs[i].known)
				rc = look_for_input(w, &w->inputs[i], &err);
		}
		w->looking = false;
		forget_gone_folders(w);
		fim_dirty_clear(w->taken, w->n_taken);
		w->n_taken = 0;
		w->events.rows(w->events.ctx);
		if (rc != RC_OK)
			break;
	}
	if (rc == RC_OK || rc == RC_AGAIN)
		return;
	store_failed(w, "fim", &err);
	fim_dirty_lost(w->dirty);
}

/* ---- scans -------------------------------------------------------------- */

static void
say_missing(struct watched *in)
{
	char text[WALK_PATH_MAX + 400];
	const char *path;
	size_t at = 0;

	while ((path = fim_spec_missing(in->worker->opener, &in->spec, &at)) !=
	    NULL) {
		(void)snprintf(text, sizeof(text),
		    "%.200s: %s is not there: nothing of it is in the baseline",
		    in->name, path);
		say(in->worker, LOG_LEVEL_WARN, text);
	}
}

static void
scan(struct watched *in)
{
	struct fim_worker *w = in->worker;
	struct fim_engine e = engine_of(in);
	struct error err = { .code = RC_OK };
	char text[400];
	enum rc rc = fim_engine_scan(&e, &err);

	in->files = e.totals.files;
	w->scanned = true;
	if (rc == RC_OK) {
		in->known = true;
		in->scan_due_ns = loop_now() + in->config.interval_ns;
		in->seal_due_ns = 0;
		(void)snprintf(text, sizeof(text),
		    "%.200s: %s, %llu files, %llu changes", in->name,
		    e.first ? "baseline taken" : "compared",
		    (unsigned long long)e.totals.files,
		    (unsigned long long)e.totals.changes);
		say(w, LOG_LEVEL_INFO, text);
		if (e.first)
			say_missing(in);
		if (e.tampered)
			say(w, LOG_LEVEL_ERROR,
			    "fim: the stored baseline was changed by somebody "
			    "else");
	} else if (rc == RC_AGAIN && atomic_load(&w->stop)) {
		return;
	} else {
		store_failed(w, in->name, &err);
		in->scan_due_ns = loop_now() + retry_ns;
	}
	w->events.rows(w->events.ctx);
}

static void
scan_due(struct fim_worker *w)
{
	uint64_t files = 0;

	if (fim_dirty_take_lost(w->dirty)) {
		say(w, LOG_LEVEL_WARN,
		    "fim: events were lost: everything is looked at");
		for (size_t i = 0; i < w->n_inputs; i++)
			w->inputs[i].scan_due_ns = 0;
	}
	for (size_t i = 0; i < w->n_inputs && !atomic_load(&w->stop); i++) {
		struct watched *in = &w->inputs[i];

		if (w->open && in->scan_due_ns <= loop_now())
			scan(in);
		files += in->files;
	}
	atomic_store(&w->files, files);
}

static bool
change_waits(void *ctx)
{
	const struct fim_worker *w = ctx;

	return atomic_load(&w->stop) || fim_dirty_due(w->dirty) <= loop_now();
}

static void
seal_due(struct fim_worker *w)
{
	struct error err;
	enum rc rc;

	for (size_t i = 0; i < w->n_inputs && w->open; i++) {
		struct watched *in = &w->inputs[i];
		struct fim_engine e = engine_of(in);

		if (in->seal_due_ns == 0 || in->seal_due_ns > loop_now())
			continue;
		in->seal_due_ns = 0;
		e.hurry = (struct fim_hurry){ w, change_waits };
		rc = fim_engine_seal(&e, &err);
		if (rc == RC_AGAIN)
			in->seal_due_ns = loop_now() + seal_ns;
		else if (rc != RC_OK)
			store_failed(w, in->name, &err);
		w->events.rows(w->events.ctx);
	}
}

static int64_t
until_next(struct fim_worker *w)
{
	int64_t due_ns = fim_dirty_due(w->dirty), now_ns = loop_now();

	if (w->held && due_ns < now_ns + packages_look_ns)
		due_ns = now_ns + packages_look_ns;
	if (atomic_load(&w->feed->acked_id) > w->store.db.trimmed &&
	    due_ns > now_ns + trim_ns)
		due_ns = now_ns + trim_ns;
	for (size_t i = 0; i < w->n_inputs; i++) {
		const struct watched *in = &w->inputs[i];

		if (in->scan_due_ns < due_ns)
			due_ns = in->scan_due_ns;
		if (in->seal_due_ns != 0 && in->seal_due_ns < due_ns)
			due_ns = in->seal_due_ns;
	}
	due_ns -= now_ns;
	return due_ns > retry_ns ? retry_ns : due_ns;
}

static void *
work(void *ctx)
{
	struct fim_worker *w = ctx;

	while (!atomic_load(&w->stop)) {
		if (!open_store(w)) {
			rest(w, retry_ns);
			continue;
		}
		look_at_dirty(w);
		prepare_due(w);
		scan_due(w);
		look_at_dirty(w);
		seal_due(w);
		trim(w);
		if (w->scanned)
			state_db_rest(&w->store.db); /* for hours */
		w->scanned = false;
		rest(w, until_next(w));
	}
	return NULL;
}

/* ---- configuration ------------------------------------------------------ */

static char **
copy_strings(const char *const *from, size_t n, size_t more)
{
	char **out = xcalloc(n + more + 1, sizeof(*out));

	for (size_t i = 0; i < n; i++)
		out[i] = xstrdup(from[i]);
	return out;
}

static void
free_strings(char **strings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(strings[i]);
	free(strings);
}

/* The agent's own state changes with each change: it is not watched. */
static char *
pattern_of(const char *dir)
{
	char whole[PATH_MAX];
	const char *path = realpath(dir, whole) == NULL ? dir : whole;
	char *out = xzalloc(2 * strlen(path) + 1), *at = out;

	for (; *path != '\0'; path++) {
		if (strchr("*?[\\", *path) != NULL)
			*at++ = '\\';
		*at++ = *path;
	}
	return out;
}

static void
set_input(struct fim_worker *w, struct watched *in,
    const struct input_config *c)
{
	struct error err;

	in->worker = w;
	in->name = xstrdup(c->name);
	in->paths = copy_strings(c->paths, c->n_paths, 0);
	in->exclude = copy_strings(c->exclude, c->n_exclude, 1);
	in->exclude[c->n_exclude] = pattern_of(w->state_dir);
	in->config = c->fim;
	in->diff = copy_strings(c->fim.diff, c->fim.n_diff, 0);
	in->diff_never =
	    copy_strings(c->fim.diff_never, c->fim.n_diff_never, 0);
	in->maintenance =
	    copy_strings(c->fim.maintenance, c->fim.n_maintenance, 0);
	in->config.maintenance = (const char *const *)in->maintenance;
	/* the configuration was checked */
	if (c->timezone != NULL &&
	    timezone_open(c->timezone, &in->tz, &err) != RC_OK)
		in->tz = NULL;
	in->config.diff = (const char *const *)in->diff;
	in->config.diff_never = (const char *const *)in->diff_never;
	in->spec = fim_spec_of(c);
	in->spec.name = in->name;
	in->spec.paths = (const char *const *)in->paths;
	in->spec.exclude = (const char *const *)in->exclude;
	in->spec.n_exclude = c->n_exclude + 1;
	in->pace = fim_pace_new(c->fim.rate);
	in->reading = (struct fim_reading){ .opener = w->opener,
		.pace = in->pace,
		.max_file_size = c->fim.max_file_size,
		.stop = &w->stop };
	in->notes = (struct fim_annotator){ .store = &w->store,
		.spec = &in->spec,
		.config = &in->config,
		.opener = w->opener,
		.packages = w->packages,
		.names = w->names,
		.tz = in->tz,
		.ctx = in,
		.who = who_did };
}

static void
free_input(struct watched *in)
{
	free_strings(in->paths, in->spec.n_paths);
	free_strings(in->exclude, in->spec.n_exclude);
	free_strings(in->diff, in->config.n_diff);
	free_strings(in->diff_never, in->config.n_diff_never);
	free_strings(in->maintenance, in->config.n_maintenance);
	timezone_close(in->tz);
	fim_pace_free(in->pace);
	free(in->name);
}

static void
init_waiting(struct fim_worker *w)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&w->lock, NULL);
}

struct fim_worker *
fim_worker_start(const struct input_setup *setup, struct fim_dirty *dirty,
    struct opener_notify *notify, struct feed *feed,
    const struct fim_worker_events *events)
{
	struct fim_worker *w = xzalloc(sizeof(*w));

	w->events = *events;
	w->opener = setup->opener;
	w->dirty = dirty;
	w->notify = notify;
	w->feed = feed;
	w->packages = fim_packages_new(setup->opener, FIM_DPKG_DIR, NULL);
	w->names = account_names_new(setup->opener);
	w->state_dir = xstrdup(setup->state_dir);
	w->host_name = xstrdup(setup->host_name);
	w->n_inputs = setup->n_inputs;
	w->inputs = xcalloc(w->n_inputs, sizeof(*w->inputs));
	for (size_t i = 0; i < w->n_inputs; i++)
		set_input(w, &w->inputs[i], &setup->inputs[i]);
	init_waiting(w);
	if (pthread_create(&w->thread, NULL, work, w) != 0)
		abort(); /* as without memory */
	return w;
}

void
fim_worker_stop(struct fim_worker *w)
{
	if (w == NULL)
		return;
	atomic_store(&w->stop, true);
	fim_worker_wake(w);
	(void)pthread_join(w->thread, NULL);
	trim(w);
	fim_store_close(&w->store);
	for (size_t i = 0; i < w->n_inputs; i++)
		free_input(&w->inputs[i]);
	free(w->inputs);
	fim_packages_free(w->packages);
	account_names_free(w->names);
	free(w->state_dir);
	free(w->host_name);
	(void)pthread_cond_destroy(&w->wake);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

void
fim_worker_wake(struct fim_worker *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->woken = true;
	(void)pthread_cond_broadcast(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
}

uint64_t
fim_worker_files(const struct fim_worker *w)
{
	return atomic_load(&w->files);
}
