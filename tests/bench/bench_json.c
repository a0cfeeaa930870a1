/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON per second of one core, beside yajl: events of about 505 bytes into
 * struct event, and back into text.  `bare` is yajl with callbacks that do
 * nothing, `event` with callbacks that make the same event from its tokens (as
 * far as yajl can: no bounds, no lists).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yajl/yajl_parse.h>

#include "json.h"
#include "timestamp.h"

enum { EVENTS = 2048, ROUNDS = 150, ARENA_BLOCK = 4 << 20, OUT_MAX = 64 << 20 };

struct input {
	struct buf text; /* all lines */
	struct slice lines[EVENTS];
};

static void
make_input(struct input *in)
{
	size_t at[EVENTS + 1];

	buf_init(&in->text, OUT_MAX);
	for (unsigned i = 0; i < EVENTS; i++) {
		at[i] = in->text.len;
		(void)buf_printf(&in->text,
		    "{\"@timestamp\":\"2026-11-22T01:02:%02u.%03uZ\",\"message\":"
		    "\"Nov 22 01:02:%02u web-1 sshd[%u]: Failed password for "
		    "invalid user \\\"admin%u\\\" from 203.0.113.%u port %u "
		    "ssh2\",\"log\":{\"file\":{\"path\":\"/var/log/auth.log\"},"
		    "\"offset\":%u},\"input\":{\"type\":\"file\"},\"event\":"
		    "{\"dataset\":\"system.auth\"},\"host\":{\"name\":\"web-1."
		    "example.kz\",\"os\":{\"family\":\"debian\"}},\"agent\":"
		    "{\"version\":\"0.1.0\",\"type\":\"kuzet\"},\"tags\":"
		    "[\"ssh\",\"auth\"],\"kuzet\":{\"stream\":\"6ba7b810-9dad-"
		    "11d1-80b4-00c04fd430c8\",\"input\":\"auth\",\"timezone\":"
		    "\"Asia/Almaty\",\"year\":2026}}",
		    i % 60, i % 1000, i % 60, 1000 + i, i, i % 256, 30000 + i,
		    i * 97);
	}
	at[EVENTS] = in->text.len;
	for (unsigned i = 0; i < EVENTS; i++)
		in->lines[i] =
		    (struct slice){ in->text.ptr + at[i], at[i + 1] - at[i] };
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
report(const char *what, double seconds)
{
	(void)printf("%-40s %8.0f events/s\n", what,
	    EVENTS * (double)ROUNDS / seconds);
}

static void
bench_read(const struct input *in)
{
	struct arena *a = arena_new(ARENA_BLOCK);
	double begin = cpu_seconds();
	struct error err;

	for (int round = 0; round < ROUNDS; round++) {
		arena_reset(a);
		for (unsigned i = 0; i < EVENTS; i++) {
			struct event ev;

			event_begin(&ev, a);
			if (json_read_event(in->lines[i], &json_limits_default,
				&ev, &err) != RC_OK)
				abort();
		}
	}
	report("json_read_event", cpu_seconds() - begin);
	arena_free(a);
}

static void
bench_write(const struct input *in, enum json_shape shape, const char *what)
{
	struct arena *a = arena_new(ARENA_BLOCK);
	struct event *events = calloc(EVENTS, sizeof(*events));
	struct error err;
	struct buf out;
	double begin;

	if (events == NULL)
		abort();
	buf_init(&out, OUT_MAX);
	for (unsigned i = 0; i < EVENTS; i++) {
		event_begin(&events[i], a);
		if (json_read_event(in->lines[i], &json_limits_default,
			&events[i], &err) != RC_OK)
			abort();
	}
	begin = cpu_seconds();
	for (int round = 0; round < ROUNDS; round++) {
		buf_clear(&out);
		for (unsigned i = 0; i < EVENTS; i++)
			json_write_event(&out, &events[i], shape);
	}
	report(what, cpu_seconds() - begin);
	buf_fini(&out);
	free(events);
	arena_free(a);
}

/* What yajl's callbacks know. */
struct maker {
	struct event ev;
	uint32_t parents[16];
	unsigned depth;
	uint32_t id;
};

static int
on_nothing(void *ctx)
{
	(void)ctx;
	return 1;
}

static int
on_bytes(void *ctx, const unsigned char *s, size_t len)
{
	(void)ctx;
	(void)s;
	(void)len;
	return 1;
}

static int
on_chars(void *ctx, const char *s, size_t len)
{
	(void)ctx;
	(void)s;
	(void)len;
	return 1;
}

static int
on_key(void *ctx, const unsigned char *s, size_t len)
{
	struct maker *m = ctx;

	m->id = field_child(m->parents[m->depth - 1],
	    (struct slice){ (const char *)s, len });
	return 1;
}

static int
on_open(void *ctx)
{
	struct maker *m = ctx;

	m->parents[m->depth] = m->depth == 0 ? FIELD_NONE : m->id;
	m->depth++;
	return 1;
}

static int
on_close(void *ctx)
{
	struct maker *m = ctx;

	m->depth--;
	return 1;
}

/* yajl's text is its own buffer when it had escapes: it must be copied. */
static int
on_string(void *ctx, const unsigned char *s, size_t len)
{
	struct maker *m = ctx;
	struct slice text = { (const char *)s, len };

	if (m->id == FIELD_TIMESTAMP)
		(void)timestamp_parse_rfc3339(text, NULL, &m->ev.time_ns);
	else
		event_set_string(&m->ev, m->id, arena_copy(m->ev.arena, text));
	return 1;
}

static int
on_number(void *ctx, const char *s, size_t len)
{
	struct maker *m = ctx;

	(void)len;
	event_set_int(&m->ev, m->id, strtoll(s, NULL, 10));
	return 1;
}

static void
bench_yajl(const struct input *in, bool event, const char *what)
{
	static const yajl_callbacks bare = { .yajl_null = on_nothing,
		.yajl_number = on_chars,
		.yajl_string = on_bytes,
		.yajl_start_map = on_nothing,
		.yajl_map_key = on_bytes,
		.yajl_end_map = on_nothing,
		.yajl_start_array = on_nothing,
		.yajl_end_array = on_nothing };
	static const yajl_callbacks maker = { .yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_open,
		.yajl_map_key = on_key,
		.yajl_end_map = on_close };
	struct arena *a = arena_new(ARENA_BLOCK);
	double begin = cpu_seconds();

	for (int round = 0; round < ROUNDS; round++) {
		arena_reset(a);
		for (unsigned i = 0; i < EVENTS; i++) {
			struct maker m = { .depth = 0 };
			yajl_handle h;

			event_begin(&m.ev, a);
			h = yajl_alloc(event ? &maker : &bare, NULL, &m);
			if (yajl_parse(h,
				(const unsigned char *)in->lines[i].ptr,
				in->lines[i].len) != yajl_status_ok ||
			    yajl_complete_parse(h) != yajl_status_ok)
				abort();
			yajl_free(h);
		}
	}
	report(what, cpu_seconds() - begin);
	arena_free(a);
}

int
main(void)
{
	static struct input in;

	make_input(&in);
	(void)printf("%zu bytes an event\n", in.text.len / EVENTS);
	bench_read(&in);
	bench_yajl(&in, true, "yajl, making the event");
	bench_yajl(&in, false, "yajl, bare");
	bench_write(&in, JSON_NESTED, "json_write_event, nested");
	bench_write(&in, JSON_FLAT, "json_write_event, flat");
	buf_fini(&in.text);
	return 0;
}
