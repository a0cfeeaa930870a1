/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `file` input in a temporary folder, with a collector that acknowledges
 * everything at once, or nothing while `hold` is set.
 */
#pragma once

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/inputs/input.h"
#include "agent/roles/opener.h"
#include "arena.h"
#include "json.h"
#include "lumberjack.h"
#include "tap.h"
#include "timestamp.h"
#include "xalloc.h"

enum { RIG_INPUTS = 4, RIG_PATHS = 4, RIG_HELD = 1 << 20 };

extern const struct input_kind input_file;

struct rig_event {
	char stream[40];
	char *message; /* NULL: a control message */
	char *path;
	char *header; /* kuzet.header */
	char control[16];
	char input[300];
	uint64_t offset;
	bool cut, joined, split; /* log.flags */
};

struct rig {
	char dir[64];
	char state[80];
	struct loop *loop;
	struct opener *opener;
	void *self;
	struct input_config inputs[RIG_INPUTS];
	char *patterns[RIG_INPUTS][RIG_PATHS];
	size_t n_inputs;
	struct rig_event *events;
	size_t n, n_lines;
	struct window window;
	struct receipt *held;
	size_t n_held;
	bool hold;    /* no ACKs */
	bool blocked; /* nothing is pulled */
	bool no_inotify;
	bool pump_posted;
	bool verbose;
	int warnings;
	int64_t heartbeat_ns;
};

static inline void
rig_say(void *ctx, enum log_level level, const char *text)
{
	struct rig *r = ctx;

	if (level <= LOG_LEVEL_WARN)
		r->warnings++;
	if (r->verbose)
		(void)printf("# %d %s\n", (int)level, text);
}

static inline const struct value *
rig_field(const struct event *ev, const char *name)
{
	return event_get(ev, field_find((struct slice){ name, strlen(name) }));
}

static inline char *
rig_text(const struct event *ev, const char *name)
{
	const struct value *v = rig_field(ev, name);

	return v == NULL ? NULL : xmemdupz(v->s.ptr, v->s.len);
}

static inline bool
rig_flag(const struct event *ev, const char *name)
{
	const struct value *v = rig_field(ev, "log.flags");

	for (uint32_t i = 0; v != NULL && i < v->n; i++) {
		if (slice_eq(v->list[i].s,
			(struct slice){ name, strlen(name) }))
			return true;
	}
	return false;
}

static inline void
rig_take(struct rig *r, struct slice json)
{
	struct arena *arena = arena_new(4096);
	struct error err;
	struct rig_event *e;
	struct event ev;
	char *text;

	event_begin(&ev, arena);
	if ((r->n & (r->n - 1)) == 0) /* doubles at each power of two */
		r->events =
		    xreallocarray(r->events, 2 * r->n + 1, sizeof(*r->events));
	e = &r->events[r->n++];
	memset(e, 0, sizeof(*e));
	if (json_read_event(json, &json_limits_default, &ev, &err) != RC_OK) {
		(void)printf("Bail out! bad JSON: %s\n", err.text);
		abort();
	}
	e->message = rig_text(&ev, "message");
	e->path = rig_text(&ev, "log.file.path");
	e->header = rig_text(&ev, "kuzet.header");
	r->n_lines += e->message != NULL;
	text = rig_text(&ev, "kuzet.stream");
	(void)snprintf(e->stream, sizeof(e->stream), "%s", text ? text : "");
	free(text);
	text = rig_text(&ev, "kuzet.control");
	(void)snprintf(e->control, sizeof(e->control), "%s", text ? text : "");
	free(text);
	text = rig_text(&ev, "kuzet.input");
	(void)snprintf(e->input, sizeof(e->input), "%s", text ? text : "");
	free(text);
	e->cut = rig_flag(&ev, "truncated");
	e->joined = rig_flag(&ev, "multiline");
	e->split = rig_flag(&ev, "split");
	if (rig_field(&ev, "log.offset") != NULL)
		e->offset = (uint64_t)rig_field(&ev, "log.offset")->i;
	arena_free(arena);
}

static inline void
rig_ack_all(struct rig *r)
{
	input_file.acked(r->self, r->held, r->n_held);
	r->n_held = 0;
}

static inline void
rig_pump(void *ctx)
{
	struct rig *r = ctx;
	struct slice rest;
	struct lumberjack_frame frame;
	struct error err;
	size_t used;
	bool more = true;

	r->pump_posted = false;
	while (more && !r->blocked) {
		more = input_file.fill(r->self, &r->window);
		if (r->window.n == 0)
			break;
		rest = buf_slice(&r->window.frames);
		while (rest.len > 0 &&
		    lumberjack_decode(rest, &lumberjack_limits_default, &frame,
			&used, &err) == RC_OK) {
			rig_take(r, frame.payload);
			rest.ptr += used;
			rest.len -= used;
		}
		memcpy(r->held + r->n_held, r->window.receipts,
		    r->window.n * sizeof(struct receipt));
		r->n_held += r->window.n;
		r->window.n = 0;
		buf_clear(&r->window.frames);
		if (!r->hold)
			rig_ack_all(r);
	}
}

static inline void
rig_wake(void *ctx)
{
	struct rig *r = ctx;

	if (!r->pump_posted)
		loop_post(r->loop, rig_pump, r);
	r->pump_posted = true;
}

static inline void
rig_stop(void *ctx)
{
	loop_stop(ctx);
}

static inline void
rig_run(struct rig *r, int ms)
{
	struct loop_timer *t = loop_timer_new(r->loop, rig_stop, r->loop);

	loop_timer_start(t, ms * NS_PER_MS);
	loop_run(r->loop);
	loop_timer_free(t);
}

/* Until there are `n` lines, and a little longer. */
static inline void
rig_until(struct rig *r, size_t n, int max_ms)
{
	for (int waited = 0; r->n_lines < n && waited < max_ms; waited += 20)
		rig_run(r, 20);
	rig_run(r, 60);
}

static inline void
rig_begin(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/kuzet-rig-XXXXXX");
	if (mkdtemp(r->dir) == NULL)
		abort();
	(void)snprintf(r->state, sizeof(r->state), "%s/state", r->dir);
	(void)mkdir(r->state, 0700);
	buf_init(&r->window.frames, FRAMES_MAX);
	r->window.receipts = xcalloc(WINDOW_EVENTS, sizeof(struct receipt));
	r->held = xcalloc(RIG_HELD, sizeof(struct receipt));
	r->heartbeat_ns = 3600 * NS_PER_SEC;
}

/* One more input, with patterns relative to the folder; NULL: none. */
static inline struct input_config *
rig_input(struct rig *r, const char *name, const char *one, const char *two)
{
	struct input_config *c = &r->inputs[r->n_inputs];
	char **paths = r->patterns[r->n_inputs++];
	const char *both[] = { one, two };

	*c = (struct input_config){ .name = name,
		.paths = (const char *const *)paths,
		.max_line = MAX_LINE_DEFAULT };
	for (size_t i = 0; i < 2 && both[i] != NULL; i++) {
		paths[i] = xzalloc(strlen(r->dir) + strlen(both[i]) + 2);
		(void)snprintf(paths[i], strlen(r->dir) + strlen(both[i]) + 2,
		    "%s/%s", r->dir, both[i]);
		c->n_paths++;
	}
	return c;
}

static inline void
rig_no_writes(void *ctx, const char *dir, const char *name)
{
	(void)ctx;
	(void)dir;
	(void)name;
}

static inline void
rig_no_names(void *ctx)
{
	(void)ctx;
}

static inline void
rig_open(struct rig *r)
{
	struct error err;
	struct input_setup setup = {
		.state_dir = r->state,
		.host_name = "host",
		.inputs = r->inputs,
		.n_inputs = r->n_inputs,
		.heartbeat_ns = r->heartbeat_ns,
		.controls = true,
		.scan_ns = 100 * NS_PER_MS,
		.wake = rig_wake,
		.say = rig_say,
		.ctx = r,
	};
	struct opener_events nobody = { .ctx = r,
		.written = rig_no_writes,
		.names = rig_no_names };

	setup.loop = r->loop = loop_new();
	setup.opener = r->opener = opener_new(r->loop);
	if (input_file.open(&setup, &r->self, &err) != RC_OK)
		abort();
	if (r->no_inotify)
		opener_listen(r->opener, &nobody);
}

/* As a stop, or (what was not acknowledged counts as not sent) a crash. */
static inline void
rig_close(struct rig *r)
{
	input_file.close(r->self);
	opener_free(r->opener);
	loop_free(r->loop);
	r->n_held = 0;
	r->pump_posted = false;
	r->hold = r->blocked = false;
}

static inline void
rig_forget(struct rig *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->events[i].message);
		free(r->events[i].path);
		free(r->events[i].header);
	}
	free(r->events);
	r->events = NULL;
	r->n = r->n_lines = 0;
}

static inline int
rig_remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
rig_end(struct rig *r)
{
	rig_close(r);
	rig_forget(r);
	for (size_t i = 0; i < r->n_inputs; i++) {
		for (size_t k = 0; k < RIG_PATHS; k++)
			free(r->patterns[i][k]);
	}
	free(r->window.receipts);
	free(r->held);
	buf_fini(&r->window.frames);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	(void)nftw(r->dir, rig_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Past one tick of the clock that files' times come from. */
static inline void
rig_tick(void)
{
	(void)usleep(20000);
}

/* Files of the folder. */
static inline const char *
rig_path(const struct rig *r, const char *name, char out[512])
{
	(void)snprintf(out, 512, "%s/%s", r->dir, name);
	return out;
}

static inline void
rig_write(struct rig *r, const char *name, int flags, struct slice text)
{
	char path[512];
	int fd =
	    open(rig_path(r, name, path), O_WRONLY | O_CREAT | flags, 0644);

	if (fd == -1 || write(fd, text.ptr, text.len) != (ssize_t)text.len)
		abort();
	(void)close(fd);
}

static inline void
rig_append(struct rig *r, const char *name, const char *text)
{
	rig_write(r, name, O_APPEND, (struct slice){ text, strlen(text) });
}

static inline void
rig_overwrite(struct rig *r, const char *name, const char *text)
{
	rig_write(r, name, O_TRUNC, (struct slice){ text, strlen(text) });
}

static inline void
rig_rename(struct rig *r, const char *from, const char *to)
{
	char a[512], b[512];

	if (rename(rig_path(r, from, a), rig_path(r, to, b)) != 0)
		abort();
}

static inline void
rig_unlink(struct rig *r, const char *name)
{
	char path[512];

	if (unlink(rig_path(r, name, path)) != 0)
		abort();
}

static inline void
rig_copy(struct rig *r, const char *from, const char *to)
{
	char path[512], bytes[65536];
	int fd = open(rig_path(r, from, path), O_RDONLY);
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		rig_write(r, to, O_APPEND, (struct slice){ bytes, (size_t)n });
	(void)close(fd);
}

/*
 * "a|b|c": all events in order of arrival; a cut one ends with '~', one that a
 * bound ended with '^'.
 */
static inline const char *
rig_lines(const struct rig *r)
{
	static char text[65536];
	size_t at = 0, lines = 0;

	text[0] = '\0';
	for (size_t i = 0; i < r->n; i++) {
		const struct rig_event *e = &r->events[i];

		if (e->message == NULL)
			continue;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s%s",
		    lines++ > 0 ? "|" : "", e->message, e->cut ? "~" : "",
		    e->split ? "^" : "");
		if (at >= sizeof(text))
			break;
	}
	return text;
}

#define CHECK_LINES(r, expect, ...)                                            \
 do {                                                                          \
  const char *got_ = rig_lines(r);                                             \
  CHECK(strcmp(got_, expect) == 0, __VA_ARGS__);                               \
  if (strcmp(got_, expect) != 0)                                               \
   (void)printf("# got    %s\n# expect %s\n", got_, expect);                   \
 } while (0)

/* Offsets ascend within each stream, and none comes twice. */
static inline bool
rig_ascending(const struct rig *r)
{
	for (size_t i = 0; i < r->n; i++) {
		for (size_t k = i + 1; k < r->n && k < i + 4096; k++) {
			if (r->events[i].message != NULL &&
			    r->events[k].message != NULL &&
			    strcmp(r->events[i].stream, r->events[k].stream) ==
				0) {
				if (r->events[k].offset <= r->events[i].offset)
					return false;
				break;
			}
		}
	}
	return true;
}
