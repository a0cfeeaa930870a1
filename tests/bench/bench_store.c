/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many events a second one core appends, and what they take on disk:
 *   bench_store [EVENTS [EVENTS_A_COMMIT]]
 * then how fast that is verified, and small blocks are merged.  Events are of web and ssh logs, 20 fields each, made before the clock runs.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "collector/store/merge.h"
#include "collector/store/region.h"
#include "json.h"
#include "store.h"
#include "store_fixture.h"
#include "store_verify.h"
#include "xalloc.h"

enum { EVENTS = 1000000, A_COMMIT = 10000, KINDS = 40 };

static uint64_t seed = 88172645463325252U;

static unsigned
dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static struct slice print(struct arena *a, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

static struct slice
print(struct arena *a, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return arena_copy(a, (struct slice){ text, (size_t)n });
}

static void
set(struct event *ev, const char *name, struct slice s)
{
	event_set_string(ev, field_intern((struct slice){ name, strlen(name) }),
	    s);
}

static void
fill_common(struct event *ev, unsigned host, uint64_t at)
{
	struct arena *a = ev->arena;

	ev->time_ns = T0 + (int64_t)at * 1000000;
	ev->arrival_ns = ev->time_ns - ev->time_ns % 100000000;
	ev->id.stream[0] = (uint8_t)(host + 1);
	ev->id.offset = at * 150;
	set(ev, "host.name", print(a, "web-%u", host));
	set(ev, "agent.id", print(a, "web-%u", host));
	set(ev, "organization.id", SLICE("default"));
	set(ev, "input.type", SLICE("file"));
	set(ev, "kuzet.input", SLICE("logs"));
	set(ev, "ecs.version", SLICE("8.0.0"));
	event_set_int(ev, FIELD_LOG_OFFSET, (int64_t)ev->id.offset);
}

static void
fill_web(struct event *ev, uint64_t at)
{
	static const char *const agents[] = {
		"Mozilla/5.0 (X11; Linux "
		"x86_64; rv:128.0) Gecko/20100101",
		"curl/7.88.1", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
	};
	struct arena *a = ev->arena;
	unsigned host = dice(8);
	struct slice ip = print(a, "198.51.100.%u", dice(250)), ua, path, line;
	unsigned bytes = dice(100000), status = dice(9) == 0 ? 404 : 200;

	fill_common(ev, host, at);
	ua = print(a, "%s", agents[dice(3)]);
	path = print(a, "/shop/item/%u?ref=%x", dice(5000), dice(1 << 30));
	line = print(a,
	    "%.*s - - [22/Nov/2026:01:%02u:%02u +0000] \"GET %.*s HTTP/1.1\" "
	    "%u %u \"-\" \"%.*s\"",
	    SLICE_ARG(ip), dice(60), dice(60), SLICE_ARG(path), status, bytes,
	    SLICE_ARG(ua));
	set(ev, "event.original", line);
	set(ev, "message", line);
	set(ev, "event.dataset", SLICE("nginx.access"));
	set(ev, "event.kind", SLICE("event"));
	set(ev, "event.outcome",
	    status == 200 ? SLICE("success") : SLICE("failure"));
	event_add_string(ev, FIELD_EVENT_CATEGORY, SLICE("web"));
	event_add_string(ev, FIELD_EVENT_TYPE, SLICE("access"));
	set(ev, "source.ip", ip);
	set(ev, "source.address", ip);
	set(ev, "source.geo.country_iso_code", SLICE("KZ"));
	set(ev, "http.request.method", SLICE("GET"));
	set(ev, "url.original", path);
	set(ev, "user_agent.original", ua);
	event_set_int(ev, FIELD_HTTP_RESPONSE_STATUS_CODE, status);
	event_set_int(ev, field_intern(SLICE("http.response.body.bytes")),
	    bytes);
	set(ev, "log.file.path", SLICE("/var/log/nginx/access.log"));
}

static void
fill_ssh(struct event *ev, uint64_t at)
{
	struct arena *a = ev->arena;
	unsigned host = dice(8);
	struct slice ip = print(a, "203.0.113.%u", dice(250)), line;
	struct slice user = print(a, "user%u", dice(300));
	unsigned port = 1024 + dice(64000), pid = dice(65536);

	fill_common(ev, host, at);
	line = print(a,
	    "Nov 22 01:%02u:%02u web-%u sshd[%u]: Failed password for invalid "
	    "user %.*s from %.*s port %u ssh2",
	    dice(60), dice(60), host, pid, SLICE_ARG(user), SLICE_ARG(ip),
	    port);
	set(ev, "event.original", line);
	set(ev, "message", (struct slice){ line.ptr + 28, line.len - 28 });
	set(ev, "event.dataset", SLICE("system.auth"));
	set(ev, "event.kind", SLICE("event"));
	set(ev, "event.action", SLICE("ssh_login"));
	set(ev, "event.outcome", SLICE("failure"));
	event_add_string(ev, FIELD_EVENT_CATEGORY, SLICE("authentication"));
	event_add_string(ev, FIELD_EVENT_TYPE, SLICE("start"));
	set(ev, "source.ip", ip);
	event_set_int(ev, FIELD_SOURCE_PORT, port);
	set(ev, "user.name", user);
	event_add_string(ev, FIELD_RELATED_USER, user);
	event_add_string(ev, FIELD_RELATED_IP, ip);
	set(ev, "process.name", SLICE("sshd"));
	event_set_int(ev, FIELD_PROCESS_PID, pid);
	set(ev, "log.file.path", SLICE("/var/log/auth.log"));
}

static double
clock_of(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
folder_bytes(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	double sum = 0;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[8192];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.' && stat(path, &st) == 0)
			sum += (double)st.st_size;
	}
	if (d != NULL)
		(void)closedir(d);
	return sum;
}

struct bench {
	struct batch **batches;
	size_t n_batches;
	uint64_t events;
	double line_bytes, json_bytes;
};

static void
make_events(struct bench *b, uint64_t n)
{
	struct buf json;

	buf_init(&json, 1 << 20);
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
	b->batches = xcalloc(n / BATCH_EVENTS + 1, sizeof(*b->batches));
	while (b->events < n) {
		struct batch *x = batch_new();

		x->source.kind = SOURCE_AGENT;
		x->source.owner = SLICE("default");
		x->source.agent = SLICE("web");
		b->batches[b->n_batches++] = x;
		while (b->events < n) {
			struct event *ev = batch_add_event(x);

			if (ev == NULL)
				break;
			if (dice(2) == 0)
				fill_web(ev, b->events);
			else
				fill_ssh(ev, b->events);
			buf_clear(&json);
			json_write_event(&json, ev, JSON_NESTED);
			b->json_bytes += (double)json.len;
			b->line_bytes +=
			    (double)event_get_string(ev, FIELD_EVENT_ORIGINAL)
				.len;
			b->events++;
		}
	}
	buf_fini(&json);
}

static void
append_all(struct store *s, const struct bench *b, size_t a_commit)
{
	size_t step = (a_commit + BATCH_EVENTS - 1) / BATCH_EVENTS;

	for (size_t i = 0; i < b->n_batches; i += step) {
		size_t n = b->n_batches - i < step ? b->n_batches - i : step;
		struct log_record r;
		struct error err;

		if (store_append(s, b->batches + i, n, &r, &err) != RC_OK) {
			(void)fprintf(stderr, "%s\n", err.text);
			abort();
		}
		log_record_fini(&r);
	}
}

static bool
count_event(void *ctx, const struct event *ev)
{
	uint64_t *n = ctx;

	*n += ev->n > 0;
	return true;
}

static void
ask(struct store *s, const char *name, const struct store_query *q, bool count)
{
	double wall = clock_of(CLOCK_MONOTONIC);
	struct error err;
	uint64_t n = 0;

	if (count)
		n = fixture_count_of(s, q);
	else
		(void)fixture_events(s, q, count_event, &n, &err);
	(void)printf("%-28s %8llu events in %.1f ms\n", name,
	    (unsigned long long)n, 1e3 * (clock_of(CLOCK_MONOTONIC) - wall));
}

/* ---- what the keeper and an auditor do ----------------------------------- */

static bool
on_finding(void *ctx, const struct store_finding *f)
{
	(void)ctx;
	(void)fprintf(stderr, "block %llu %s: %s\n",
	    (unsigned long long)f->block, f->problem, f->message);
	return true;
}

static void
verify(struct store *s)
{
	struct store_verify what = { .store = s, .on_finding = on_finding };
	double cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	struct store_verified v;
	struct error err;

	if (store_verify(&what, &v, &err) != RC_OK || v.damaged > 0)
		abort();
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	(void)printf("verify: %llu events in %llu blocks, %.0f events/cpu-s\n",
	    (unsigned long long)v.events, (unsigned long long)v.blocks,
	    (double)v.events / cpu);
}

static void
make_regions(struct store *s, int32_t day, uint64_t events)
{
	struct region_builder *b = region_builder_new(s);
	double cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	struct error err;
	bool done = true;

	while (done)
		if (region_step(b, day, true, &done, &err) != RC_OK)
			abort();
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	(void)printf("filters of long ranges: %.0f events/cpu-s\n",
	    (double)events / cpu);
	region_builder_free(b);
}

/* Commits of eight events, and what becomes of them. */
static void
merge_small(uint64_t n)
{
	char *dir = fixture_folder();
	struct merge_counters counters;
	struct merger *m;
	struct error err;
	struct store *s;
	double cpu, before;
	bool done = true;

	if (store_open(dir, &s, &err) != RC_OK)
		abort();
	for (uint64_t i = 0; i < n / 8; i++) {
		struct log_record r;

		if (fixture_append(s,
			&(struct fixture_batch){ .stream = 1,
			    .offset = i * 1000,
			    .n = 8,
			    .arrival_ns = T0,
			    .time_ns = T0 - 60 * SECOND },
			&r, &err) != RC_OK)
			abort();
		log_record_fini(&r);
	}
	before = folder_bytes(dir);
	m = merger_new(s);
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	while (done)
		if (merge_step(m, day_of(T0), true, &done, &err) != RC_OK)
			abort();
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	merger_counters(m, &counters);
	(void)printf("merge: %llu blocks to %llu, %.0f events/cpu-s, of %.0f "
		     "bytes each in small ones\n",
	    (unsigned long long)counters.blocks_before,
	    (unsigned long long)counters.blocks_after, (double)n / cpu,
	    before / (double)n);
	merger_free(m);
	store_close(s);
	fixture_remove(dir);
}

int
main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS;
	size_t a_commit = argc > 2 ? strtoull(argv[2], NULL, 10) : A_COMMIT;
	struct store_filter user = { FIELD_USER_NAME, SLICE("user7") };
	struct store_filter port = { FIELD_SOURCE_PORT, SLICE("4711") };
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	char *dir = fixture_folder();
	struct bench b = { 0 };
	struct error err;
	struct store *s;
	double wall, cpu;

	make_events(&b, n);
	if (store_open(dir, &s, &err) != RC_OK)
		abort();
	wall = clock_of(CLOCK_MONOTONIC);
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	append_all(s, &b, a_commit);
	wall = clock_of(CLOCK_MONOTONIC) - wall;
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	(void)printf("%llu events: %.0f events/s, %.0f events/cpu-s, "
		     "%.0f bytes of JSON, %.0f of line each\n",
	    (unsigned long long)b.events, (double)b.events / wall,
	    (double)b.events / cpu, b.json_bytes / (double)b.events,
	    b.line_bytes / (double)b.events);
	ask(s, "count, all", &q, true);
	q.filters = &user;
	q.n_filters = 1;
	ask(s, "count, one user", &q, true);
	q.filters = &port;
	ask(s, "events, a rare port", &q, false);
	q.n_filters = 0;
	ask(s, "events, all", &q, false);
	verify(s);
	make_regions(s, day_of(T0), n);
	store_close(s);
	(void)printf("on disk: %.3f of the JSON, %.3f of the lines\n",
	    folder_bytes(dir) / b.json_bytes, folder_bytes(dir) / b.line_bytes);
	for (size_t i = 0; i < b.n_batches; i++)
		batch_free(b.batches[i]);
	free(b.batches);
	fixture_remove(dir);
	merge_small(n / 25);
	return 0;
}
