/* SPDX-License-Identifier: Apache-2.0 */
#include "object_watch.h"

#include <stdlib.h>

#include "file_watch.h"
#include "log.h"
#include "timestamp.h"
#include "xalloc.h"

struct object_watch {
	struct object_watch_options o;
	struct objects *objects; /* counted, may be NULL */
	struct loop_timer *timer;
	int64_t since_ns; /* silence is counted from here at the earliest */
	struct file_watch file;
	uint64_t silent; /* __atomic */
	bool stopped;
};

static void
watch_file(struct object_watch *w)
{
	if (!file_watch_changed(&w->file, w->o.path))
		return;
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
	file_watch_begin(&w->file, options->path);
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
