/* SPDX-License-Identifier: Apache-2.0 */
#include "object_watch.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "log.h"
#include "timestamp.h"
#include "xalloc.h"

/* What tells one state of a file from another. */
struct file_state {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct object_watch {
	struct object_watch_options o;
	struct objects *objects; /* counted, may be NULL */
	struct loop_timer *timer;
	int64_t since_ns; /* silence is counted from here at the earliest */
	struct file_state read, last;
	uint64_t silent; /* __atomic */
	bool stopped;
};

/* A file that is not there is all zero. */
static struct file_state
look(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct file_state){ .size = 0 };
	return (
	    struct file_state){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
}

static bool
same_state(const struct file_state *a, const struct file_state *b)
{
	return a->device == b->device && a->inode == b->inode &&
	    a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	    a->changed.tv_nsec == b->changed.tv_nsec;
}

/* An editor writes in pieces: two looks must see the same. */
static void
watch_file(struct object_watch *w)
{
	struct file_state now = look(w->o.path);
	bool rests = same_state(&now, &w->last);

	w->last = now;
	if (!rests || same_state(&now, &w->read))
		return;
	w->read = now;
	log_info("%s has changed", w->o.path);
	w->o.changed(w->o.ctx);
}

static void
watch_silence(struct object_watch *w)
{
	int64_t now_ns = timestamp_now();
	uint64_t silent = 0;

	for (uint32_t i = 0; i < objects_count(w->objects); i++) {
		const struct object *object = objects_at(w->objects, i);
		int64_t from_ns =
		    objects_silent(w->objects, i, w->since_ns, now_ns);

		silent += from_ns != 0;
		if (from_ns == 0 || !objects_tell_silence(w->objects, i))
			continue;
		log_warn("object %s is unmonitored: silent for %lld s",
		    object->id, (long long)((now_ns - from_ns) / NS_PER_SEC));
		findings_silent(w->o.findings, object, from_ns, now_ns);
	}
	__atomic_store_n(&w->silent, silent, __ATOMIC_RELAXED);
}

static void
watch_attestations(struct object_watch *w)
{
	int64_t now_ns = timestamp_now();

	for (uint32_t i = 0; i < objects_count(w->objects); i++) {
		const struct object *object = objects_at(w->objects, i);

		if (!objects_tell_attestation(w->objects, i, now_ns))
			continue;
		log_warn("object %s: its attestation %s until %s", object->id,
		    object_attestation_days(object, now_ns) < 0 ? "held"
								: "holds",
		    object->attestation.expires);
		findings_attestation(w->o.findings, object, now_ns);
	}
}

static void
on_timer(void *ctx)
{
	struct object_watch *w = ctx;

	if (w->stopped)
		return;
	watch_file(w);
	if (w->objects != NULL) {
		watch_silence(w);
		watch_attestations(w);
	}
	loop_timer_start(w->timer, NS_PER_SEC);
}

struct object_watch *
object_watch_new(const struct object_watch_options *options)
{
	struct object_watch *w = xzalloc(sizeof(*w));

	w->o = *options;
	w->objects = objects_ref(options->objects);
	w->since_ns = timestamp_now();
	w->read = w->last = look(options->path);
	w->timer = loop_timer_new(options->loop, on_timer, w);
	loop_timer_start(w->timer, NS_PER_SEC);
	return w;
}

void
object_watch_set(struct object_watch *w, struct objects *objects)
{
	if (w == NULL)
		return;
	objects_unref(w->objects);
	w->objects = objects != NULL ? objects_ref(objects) : NULL;
}

uint64_t
object_watch_silent(const struct object_watch *w)
{
	return w != NULL ? __atomic_load_n(&w->silent, __ATOMIC_RELAXED) : 0;
}

void
object_watch_stop(struct object_watch *w)
{
	if (w == NULL)
		return;
	w->stopped = true;
	loop_timer_stop(w->timer);
}

void
object_watch_free(struct object_watch *w)
{
	if (w == NULL)
		return;
	loop_timer_free(w->timer);
	objects_unref(w->objects);
	free(w);
}
