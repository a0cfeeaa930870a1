/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `file` input: text files, line by line.
 *
 *   names   --scan-->  generations  --refresh-->  ready  --fill-->  windows
 *   (globs, inotify)   (file_set)    (inotify,    (one turn each)
 *                                     poll)
 *
 * A file is its own buffer: nothing is read ahead of what the windows hold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/file_set.h"
#include "agent/inputs/gzip.h"
#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

static const int64_t poll_ns = NS_PER_SEC;
static const int64_t quiet_ns = TAIL_QUIET_MS * NS_PER_MS;
/* A renamed file may still be written to by who has it open. */
static const int64_t rotated_wait_ns = 300 * NS_PER_SEC;
static const int64_t idle_close_ns = 300 * NS_PER_SEC;
/*
 * The rest of a truncated or vanished file may turn up in a copy, and that of a
 * compressed one may still be written.
 */
static const int64_t lost_wait_ns = 10 * NS_PER_SEC;
/* What was read is known again when it comes back compressed. */
static const int64_t remember_ns = 600 * NS_PER_SEC;

static void
finish(struct file_set *s, struct tail *t)
{
	file_set_close(s, t);
	t->finished = true;
	t->quiet_since_ns = loop_now();
	file_set_dirty(s);
}

/* Open, all of it read, and its name gone: is it over? */
static void
look_after_gone(struct file_set *s, struct tail *t, int64_t idle_ns)
{
	if (idle_ns < quiet_ns)
		return;
	if (t->size > t->read_at && !t->mid_line && !t->last_line) {
		t->last_line = true;
		file_set_ready(s, t);
	} else if (t->deleted ||
	    (t->scan != s->scan_id && idle_ns >= rotated_wait_ns)) {
		finish(s, t);
	}
}

static void
give_up(struct file_set *s, struct tail *t)
{
	if (t->size > t->read_at) {
		s->counts.skipped += t->size - t->read_at;
		t->counts.skipped += t->size - t->read_at;
		file_set_say(s, LOG_LEVEL_WARN,
		    "%s is gone: its bytes from %llu on (at least %llu) were "
		    "never read",
		    t->path, (unsigned long long)t->read_at,
		    (unsigned long long)(t->size - t->read_at));
	}
	finish(s, t);
}

/* Closed: a memory of what was read. */
static bool
look_after_closed(struct file_set *s, struct tail *t, int64_t idle_ns)
{
	bool gone = t->deleted || t->replaced || t->scan != s->scan_id;

	if (!gone) {
		t->quiet_since_ns = loop_now();
		return false;
	}
	if (!t->finished && !t->copy) {
		if ((t->deleted || t->replaced) && idle_ns >= lost_wait_ns)
			give_up(s, t);
		return false;
	}
	if (!t->copy && !t->end_sent && t->unacked == 0) {
		/* the collector has never heard of an empty one */
		t->ended = t->end_sent = t->acked_at == 0;
		return !t->end_sent;
	}
	if ((t->copy || t->ended) && t->unacked == 0 && idle_ns >= remember_ns)
		file_set_forget(s, t);
	return false;
}

static bool
spec_idle(const struct file_set *s, const struct file_spec *spec)
{
	const struct tail *t;

	TAILQ_FOREACH (t, &s->tails, all) {
		if (t->spec == spec && (t->ready || t->unacked > 0))
			return false;
	}
	return true;
}

static bool
heartbeats_due(struct file_set *s, int64_t now_ns)
{
	bool due = false;

	for (size_t i = 0; i < s->n_specs; i++) {
		struct file_spec *spec = &s->specs[i];

		if (!spec_idle(s, spec))
			spec->heartbeat_due_ns = now_ns + s->setup.heartbeat_ns;
		due = due || now_ns >= spec->heartbeat_due_ns;
	}
	return due;
}

/* A joined event that nothing was added to for so long is whole. */
static void
flush_in_time(struct file_set *s, struct tail *t, int64_t idle_ns)
{
	if (t->spec == NULL || t->spec->multiline == NULL ||
	    t->pending.bytes == 0 || t->ready ||
	    idle_ns < t->spec->config->multiline.timeout_ns)
		return;
	t->flush = true;
	file_set_ready(s, t);
}

static void
look_after(struct file_set *s, struct tail *t, bool *wake)
{
	int64_t now_ns = loop_now();
	int64_t idle_ns;

	/* also what waits for the collector: its rest may be in a copy now */
	if (t->fd != -1)
		file_refresh(s, t);
	idle_ns = now_ns - t->quiet_since_ns;
	if (t->fd != -1)
		flush_in_time(s, t, idle_ns);
	if (t->fd == -1)
		*wake = look_after_closed(s, t, idle_ns) || *wake;
	else if (t->ready || t->unacked > 0)
		return;
	else if (t->is_gzip && idle_ns >= lost_wait_ns) {
		t->last_line = true; /* what is not whole now never will be */
		file_set_ready(s, t);
	} else if (t->deleted || t->rotated)
		look_after_gone(s, t, idle_ns);
	else if (s->n_open > OPEN_IDLE_MAX && idle_ns >= idle_close_ns)
		file_set_close(s, t);
}

static void
on_poll(void *ctx)
{
	struct file_set *s = ctx;
	struct tail *t, *next;
	int64_t now_ns = loop_now();
	bool wake = false;

	for (t = TAILQ_FIRST(&s->tails); t != NULL && !s->draining; t = next) {
		next = TAILQ_NEXT(t, all);
		if (!t->dead)
			look_after(s, t, &wake);
	}
	file_set_purge(s);
	if (now_ns - s->scanned_ns >= s->setup.scan_ns ||
	    !opener_watches_all(s->setup.opener))
		file_scan_soon(s);
	if (heartbeats_due(s, now_ns) || wake)
		s->setup.wake(s->setup.ctx);
	loop_timer_start(s->poll, poll_ns);
}

static void
on_scan(void *ctx)
{
	struct file_set *s = ctx;

	if (!s->draining)
		file_scan(s);
}

static void
on_save(void *ctx)
{
	struct file_set *s = ctx;

	s->save_armed = false;
	file_set_save(s);
}

static void
add_controls(struct file_set *s, struct window *w)
{
	int64_t now_ns = loop_now();
	char stream[UUID_TEXT];
	struct tail *t;

	for (size_t i = 0;
	     i < s->n_specs && s->setup.controls && !window_full(w); i++) {
		struct file_spec *spec = &s->specs[i];

		if (now_ns < spec->heartbeat_due_ns || !spec_idle(s, spec))
			continue;
		control_heartbeat_add(w, spec->config->name, s->scratch.now);
		w->receipts[w->n - 1] = (struct receipt){ s, NULL, 0 };
		spec->heartbeat_due_ns = now_ns + s->setup.heartbeat_ns;
	}
	TAILQ_FOREACH (t, &s->tails, all) {
		bool gone = t->deleted || t->replaced || t->scan != s->scan_id;

		if (window_full(w))
			return;
		if (!t->finished || !gone || t->end_sent || t->unacked > 0 ||
		    t->acked_at == 0)
			continue;
		if (!s->setup.controls) {
			t->end_sent = t->ended = true;
			continue;
		}
		uuid_text(t->stream, stream);
		control_stream_end_add(w, stream);
		w->receipts[w->n - 1] =
		    (struct receipt){ s, t, MARK_STREAM_END };
		t->end_sent = true;
	}
}

/* False: another one goes first. */
static bool
may_read(struct file_set *s, struct tail *t)
{
	if (!t->durable)
		file_set_save(s);
	if (t->after != NULL && t->after->ready)
		return false;
	t->after = NULL;
	if (!t->is_gzip)
		return true;
	if (s->gzip_owner != NULL && s->gzip_owner != t)
		return false;
	s->gzip_owner = t;
	if (t->gzip == NULL)
		t->gzip =
		    gzip_new(t->fd, t->read_at, t->spec->config->max_line);
	return true;
}

/*
 * A compressed file is read once; one that grows still is read on later, and
 * one that does not (`given_up`) is cut short.
 */
static void
end_of_gzip(struct file_set *s, struct tail *t, bool whole, bool given_up)
{
	gzip_free(t->gzip);
	t->gzip = NULL;
	s->gzip_owner = NULL;
	if (!whole && given_up) {
		s->counts.damaged++;
		file_set_say(s, LOG_LEVEL_WARN,
		    "%s is cut short: it ends within its data, after %llu "
		    "bytes of text, which were read",
		    t->path, (unsigned long long)t->read_at);
	}
	if (whole || given_up)
		finish(s, t);
}

static void
one_turn(struct file_set *s, struct tail *t, struct window *w)
{
	struct tail_turn_args args = {
		.window = w,
		.scratch = &s->scratch,
		.counts = &s->counts,
		.input = s,
		.last_line = t->last_line,
		.flush = t->flush,
	};
	struct error err = { .code = RC_OK };
	enum tail_turn turn = tail_read(t, &args, &err);
	bool was_last = t->last_line;

	t->last_line = t->last_line && turn == TAIL_FULL;
	t->flush = t->flush && turn == TAIL_FULL;
	switch (turn) {
	case TAIL_MORE:
	case TAIL_FULL:
		file_set_ready(s, t);
		break;
	case TAIL_END:
		if (t->is_gzip)
			end_of_gzip(s, t, err.code == RC_OK, was_last);
		break;
	case TAIL_REPLACED:
		file_replaced(s, t);
		break;
	case TAIL_BROKEN:
		s->counts.damaged++;
		file_set_say(s, LOG_LEVEL_WARN,
		    "%s (after %llu bytes of text, which were read)", err.text,
		    (unsigned long long)t->read_at);
		finish(s, t);
		break;
	}
}

static void
read_ready(struct file_set *s, struct window *w)
{
	size_t held = 0; /* in a row */

	while (!window_full(w) && s->n_ready > held) {
		struct tail *t = TAILQ_FIRST(&s->ready);

		file_set_unready(s, t);
		if (may_read(s, t)) {
			one_turn(s, t, w);
			held = 0;
			continue;
		}
		file_set_ready(s, t);
		held++;
	}
}

static bool
file_fill(void *self, struct window *w)
{
	struct file_set *s = self;
	char now[TIMESTAMP_TEXT_MAX];
	int64_t now_ns = timestamp_now();
	struct slice text = timestamp_format(now_ns - now_ns % NS_PER_MS, now);

	(void)snprintf(s->scratch.now, sizeof(s->scratch.now), "%.*s",
	    SLICE_ARG(text));
	add_controls(s, w);
	read_ready(s, w);
	return s->n_ready > 0;
}

static void
file_acked(void *self, const struct receipt *receipts, size_t n)
{
	struct file_set *s = self;

	for (size_t i = 0; i < n; i++) {
		struct tail *t = receipts[i].stream;

		if (t == NULL)
			continue;
		if (receipts[i].mark == MARK_STREAM_END) {
			t->ended = true;
			continue;
		}
		tail_acked(t, receipts[i].mark);
		s->counts.acked++;
	}
	file_set_dirty(s);
}

static void
on_written(void *ctx, const char *dir, const char *name)
{
	struct file_set *s = ctx;
	size_t dir_len = strlen(dir), name_len = strlen(name);
	char path[4096 + 256];
	struct tail *t, *next;
	bool known = false;

	if (s->draining)
		return;
	for (t = TAILQ_FIRST(&s->tails); t != NULL; t = next) {
		next = TAILQ_NEXT(t, all);
		if (strncmp(t->path, dir, dir_len) != 0 ||
		    strlen(t->path) != dir_len + 1 + name_len ||
		    strcmp(t->path + dir_len + 1, name) != 0)
			continue;
		known = known || t->fd != -1;
		if (t->fd != -1 && !t->ready)
			file_refresh(s, t);
	}
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!known && file_set_spec_of(s, path) != NULL)
		file_scan_soon(s);
}

static void
on_names(void *ctx)
{
	file_scan_soon(ctx);
}

static void
file_close(void *self)
{
	struct file_set *s = self;

	if (s == NULL)
		return;
	s->dirty = true;
	file_set_save(s);
	loop_timer_free(s->poll);
	loop_timer_free(s->scan);
	loop_timer_free(s->save);
	s->save_armed = true; /* none any more */
	file_set_clear(s);
	free(s);
}

static enum rc
file_open(const struct input_setup *setup, void **out, struct error *err)
{
	struct file_set *s = xzalloc(sizeof(*s));

	(void)err;
	TAILQ_INIT(&s->tails);
	TAILQ_INIT(&s->ready);
	tail_scratch_init(&s->scratch, setup->opener);
	s->poll = loop_timer_new(setup->loop, on_poll, s);
	s->scan = loop_timer_new(setup->loop, on_scan, s);
	s->save = loop_timer_new(setup->loop, on_save, s);
	file_set_specs(s, setup);
	file_set_load(s);
	opener_listen(setup->opener,
	    &(struct opener_events){ .ctx = s,
		.written = on_written,
		.names = on_names });
	file_scan(s);
	loop_timer_start(s->poll, poll_ns);
	*out = s;
	return RC_OK;
}

static void
file_reload(void *self, const struct input_setup *setup)
{
	struct file_set *s = self;

	file_set_specs(s, setup);
	file_scan(s);
}

static void
file_drain(void *self)
{
	struct file_set *s = self;
	struct tail *t, *next;

	file_scan(s);
	for (t = TAILQ_FIRST(&s->tails); t != NULL; t = next) {
		next = TAILQ_NEXT(t, all);
		if (t->fd != -1)
			file_refresh(s, t);
	}
	s->draining = true;
	TAILQ_FOREACH (t, &s->tails, all) {
		if (!t->is_gzip)
			t->limit = t->size;
	}
}

static bool
file_idle(const void *self)
{
	const struct file_set *s = self;
	const struct tail *t;

	TAILQ_FOREACH (t, &s->tails, all) {
		if (t->unacked > 0)
			return false;
	}
	return s->n_ready == 0;
}

static void
file_counts(const void *self, struct input_counts *counts)
{
	const struct file_set *s = self;

	*counts = s->counts;
	counts->files = s->n_open;
}

static const char *
state_of(const struct tail *t)
{
	if (t->copy)
		return "copy";
	if (t->finished)
		return "finished";
	if (t->fd == -1)
		return t->deleted || t->replaced ? "lost" : "closed";
	if (t->deleted)
		return "deleted";
	if (t->rotated)
		return "rotated";
	return t->ready || t->unacked > 0 ? "busy" : "idle";
}

static void
file_files(const void *self, input_file_cb *cb, void *ctx)
{
	const struct file_set *s = self;
	const struct tail *t;

	TAILQ_FOREACH (t, &s->tails, all) {
		struct input_file f = {
			.path = t->path,
			.input = t->spec == NULL ? NULL : t->spec->config->name,
			.state = state_of(t),
			.size = t->size,
			.read = t->read_at,
			.acked_to = t->acked_at,
			.lines = t->counts.lines,
			.sent = t->counts.sent,
			.acked = t->counts.acked,
			.cut = t->counts.cut,
			.skipped = t->counts.skipped,
		};

		memcpy(f.stream, t->stream, sizeof(f.stream));
		if (!t->is_gzip && !t->copy && !t->finished &&
		    t->size > t->acked_at)
			f.backlog = t->size - t->acked_at;
		if (!t->dead)
			cb(ctx, &f);
	}
}

static void
file_save(void *self)
{
	file_set_save(self);
}

const struct input_kind input_file = {
	.name = "file",
	.help = "text files, line by line",
	.open = file_open,
	.reload = file_reload,
	.fill = file_fill,
	.acked = file_acked,
	.drain = file_drain,
	.idle = file_idle,
	.counts = file_counts,
	.files = file_files,
	.save = file_save,
	.close = file_close,
};
