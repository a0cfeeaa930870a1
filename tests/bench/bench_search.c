/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What search takes on many events:
 *   bench_search DIR EVENTS.jsonl [-q QUERY] N...
 *   bench_search -l FILE EVENTS.jsonl N
 * Fills a store in DIR with the events of the file (kuzetctl parse makes it),
 * repeated with shifted times (five million a day) and varied digits, and at
 * each N of them, ascending, prints one JSON object for each query: wall clock
 * and processor time, best of three; with -q only for the queries whose name
 * begins so.  A store that is there already is filled up to N.  Without -q it
 * measures last what appending takes, alone and beside a query.  With -l it
 * only writes N of the lines for others to search: time, host, dataset and text
 * by tabs.
 * tests/bench/search.py runs it with its peers.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "priority.h"
#include "search.h"
#include "store_fixture.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	A_COMMIT = 5, /* batches */
	HOSTS = 200,
	RUNS = 3,
	RARE_EVERY = 1000000,
	BESIDE = 400000, /* events appended beside a query */
	TEXT = 64,
	A_DAY = 5000000, /* events */
};

#define STEP_NS (86400 * NS_PER_SEC / A_DAY)

static uint64_t seed = 88172645463325252U;
static struct error err;

struct bench {
	struct store *store;
	struct event *templates;
	size_t n_templates;
	struct arena *arena;
	uint64_t n; /* events so far */
};

static unsigned
dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static double
clock_of(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
check(enum rc rc)
{
	if (rc == RC_OK)
		return;
	(void)fprintf(stderr, "bench_search: %s\n", err.text);
	_exit(1);
}

/* ---- events ------------------------------------------------------------------- */

static void
read_templates(struct bench *b, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (f == NULL) {
		(void)fprintf(stderr, "bench_search: cannot read %s\n", path);
		_exit(1);
	}
	b->arena = arena_new(1 << 20);
	while ((len = getline(&line, &cap, f)) > 0) {
		struct slice text =
		    arena_copy(b->arena, (struct slice){ line, (size_t)len });

		b->templates = xreallocarray(b->templates, b->n_templates + 1,
		    sizeof(b->templates[0]));
		event_begin(&b->templates[b->n_templates], b->arena);
		check(json_read_event(text, &json_limits_default,
		    &b->templates[b->n_templates++], &err));
	}
	free(line);
	(void)fclose(f);
	if (b->n_templates == 0)
		_exit(1);
}

/* Other digits in place of those near its end. */
static void
vary(char *text, size_t len)
{
	unsigned left = 6;

	while (len-- > 0 && left > 0) {
		if (text[len] < '0' || text[len] > '9')
			continue;
		text[len] = (char)('0' + dice(10));
		left--;
	}
}

static void
vary_text(struct event *ev)
{
	struct slice original = event_get_string(ev, FIELD_EVENT_ORIGINAL);
	struct slice message = event_get_string(ev, FIELD_MESSAGE);
	const char *at;

	if (original.len == 0)
		return;
	at = memmem(original.ptr, original.len, message.ptr, message.len);
	vary((char *)original.ptr, original.len);
	if (message.len > 0 && at != NULL)
		event_set_string(ev, FIELD_MESSAGE,
		    (struct slice){ at, message.len });
}

static void
fill(struct bench *b, struct event *ev, struct arena *arena)
{
	char text[TEXT];
	uint64_t i = b->n++;
	int n;

	event_copy(ev, arena, &b->templates[i % b->n_templates]);
	ev->time_ns = T0 + (int64_t)i * STEP_NS;
	ev->arrival_ns = ev->time_ns;
	ev->id = (struct event_id){ .stream = { (uint8_t)(i % 16 + 1) },
		.offset = i };
	ev->size = 300;
	vary_text(ev);
	n = snprintf(text, sizeof(text), "host-%u", dice(HOSTS));
	event_set_string(ev, FIELD_HOST_NAME,
	    arena_copy(arena, (struct slice){ text, (size_t)n }));
	n = snprintf(text, sizeof(text), "203.0.113.%u", dice(256));
	if (event_get(ev, FIELD_SOURCE_IP) != NULL)
		event_set_string(ev, FIELD_SOURCE_IP,
		    arena_copy(arena, (struct slice){ text, (size_t)n }));
	n = snprintf(text, sizeof(text), "needle%llu",
	    (unsigned long long)(i / RARE_EVERY));
	if (i % RARE_EVERY == RARE_EVERY / 2)
		event_set_string(ev, FIELD_ERROR_MESSAGE,
		    arena_copy(arena, (struct slice){ text, (size_t)n }));
}

/* One commit; its thread's processor time. */
static double
append_commit(struct bench *b)
{
	struct batch *list[A_COMMIT];
	struct log_record r;
	double cpu;

	for (unsigned k = 0; k < A_COMMIT; k++) {
		list[k] = batch_new();
		list[k]->source.owner = SLICE("default");
		list[k]->source.agent = SLICE("web-1");
		for (unsigned i = 0; i < BATCH_EVENTS; i++)
			fill(b, batch_add_event(list[k]), list[k]->arena);
	}
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	check(store_append(b->store, list, A_COMMIT, &r, &err));
	cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	log_record_fini(&r);
	for (unsigned k = 0; k < A_COMMIT; k++)
		batch_free(list[k]);
	return cpu;
}

/* ---- queries ------------------------------------------------------------------ */

enum what { COUNT, NEWEST, BY };

struct query {
	const char *name, *text;
	enum what what;
	const char *field;
};

static const struct query queries[] = {
	{ "rare token", "error.message:needle0", COUNT, NULL },
	{ "token that is nowhere", "nowheretobefound", COUNT, NULL },
	{ "substring", "*ozilla/4*", COUNT, NULL },
	{ "substring in few events", "*wp-logi*", COUNT, NULL },
	{ "regular expression", "/HTTP.1.[01]. 4[0-9][0-9] /", COUNT, NULL },
	{ "regular expression without a literal", "/[0-9]{3}\\s[0-9]{5}\\s/",
	    COUNT, NULL },
	{ "regular expression of classes", "/[0-9]{3}-[a-f]{4}/", COUNT, NULL },
	{ "regular expression of runs", "/[a-z]+_[a-z]+@[a-z]+[.]/", COUNT,
	    NULL },
	{ "regular expression at a line's end", "/ [0-9]{3} [0-9]+$/", COUNT,
	    NULL },
	{ "regular expression of a choice", "/(admin|root|guest)[0-9]/", COUNT,
	    NULL },
	{ "regular expression in most events", "/[0-9]+[.][0-9]+[.][0-9]+/",
	    COUNT, NULL },
	{ "net", "source.ip:203.0.113.64/26", COUNT, NULL },
	{ "two fields", "host.name:host-7 AND http.request.method:GET", COUNT,
	    NULL },
	{ "count by dataset", "", BY, "event.dataset" },
	{ "count by host", "", BY, "host.name" },
	{ "last 100 of a host", "host.name:host-7", NEWEST, NULL },
};

static bool
count_row(void *ctx, const struct search_row *row)
{
	*(uint64_t *)ctx += row->count;
	return true;
}

static bool
count_event(void *ctx, const struct event *ev)
{
	(void)ev;
	++*(uint64_t *)ctx;
	return true;
}

static uint64_t
run(struct store *s, const struct query *q)
{
	struct search_request r = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	struct search_page page = { .sort = SEARCH_NEWEST, .limit = 100 };
	struct search_groups g = { .n_by = 1 };
	struct search_query *parsed;
	uint64_t n = 0;
	size_t column;

	check(search_parse((struct slice){ q->text, strlen(q->text) }, T0,
	    &parsed, &column, &err));
	r.query = parsed;
	if (q->what == COUNT) {
		check(search_count(s, &r, &n, &err));
	} else if (q->what == NEWEST) {
		check(search_events(s, &r, &page, count_event, &n, &err));
	} else {
		g.by[0] =
		    field_intern((struct slice){ q->field, strlen(q->field) });
		check(search_group(s, &r, &g, count_row, &n, &err));
	}
	search_free(parsed);
	return n;
}

static void
measure(const struct bench *b, const struct query *q)
{
	double wall = 1e9, cpu = 1e9;
	uint64_t found = 0;

	for (unsigned i = 0; i < RUNS; i++) {
		double w = clock_of(CLOCK_MONOTONIC);
		double c = clock_of(CLOCK_THREAD_CPUTIME_ID);

		found = run(b->store, q);
		w = clock_of(CLOCK_MONOTONIC) - w;
		c = clock_of(CLOCK_THREAD_CPUTIME_ID) - c;
		wall = w < wall ? w : wall;
		cpu = c < cpu ? c : cpu;
	}
	(void)printf("{\"events\":%llu,\"query\":\"%s\",\"found\":%llu,"
		     "\"wall_ms\":%.2f,\"cpu_ms\":%.2f,"
		     "\"events_per_cpu_second\":%.0f}\n",
	    (unsigned long long)b->n, q->name, (unsigned long long)found,
	    wall * 1e3, cpu * 1e3, (double)b->n / cpu);
	(void)fflush(stdout);
}

/* ---- ingest beside a query ------------------------------------------------------ */

struct beside {
	struct store *store;
	atomic_bool stop;
	uint64_t runs;
};

static void *
query_all_the_time(void *ctx)
{
	struct beside *x = ctx;

	stand_back(); /* as the collector's query threads */
	for (; !x->stop; x->runs++)
		(void)run(x->store, &queries[2]);
	return NULL;
}

static void
print_append(const struct bench *b, const char *name, double cpu, double wall)
{
	(void)printf("{\"events\":%llu,\"append\":\"%s\",\"cpu_seconds\":%.3f,"
		     "\"wall_seconds\":%.3f,\"events_per_cpu_second\":%.0f}\n",
	    (unsigned long long)b->n, name, cpu, wall, BESIDE / cpu);
	(void)fflush(stdout);
}

static void
append_some(struct bench *b, const char *name)
{
	uint64_t end = b->n + BESIDE;
	double cpu = 0, wall = clock_of(CLOCK_MONOTONIC);

	while (b->n < end)
		cpu += append_commit(b);
	print_append(b, name, cpu, clock_of(CLOCK_MONOTONIC) - wall);
}

static void
append_beside(struct bench *b)
{
	struct beside x = { .store = b->store };
	pthread_t thread;

	append_some(b, "alone");
	if (pthread_create(&thread, NULL, query_all_the_time, &x) != 0)
		abort();
	append_some(b, "beside a query");
	x.stop = true;
	(void)pthread_join(thread, NULL);
}

static void
measure_all(struct bench *b, const char *wanted, uint64_t n)
{
	while (b->n < n)
		(void)append_commit(b);
	for (size_t k = 0; k < sizeof(queries) / sizeof(queries[0]); k++)
		if (strncmp(queries[k].name, wanted, strlen(wanted)) == 0)
			measure(b, &queries[k]);
}

static struct slice
plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\t' || s.ptr[i] == '\n')
			((char *)s.ptr)[i] = ' ';
	return s;
}

static void
write_line(FILE *f, const struct event *ev)
{
	struct slice rare = event_get_string(ev, FIELD_ERROR_MESSAGE);

	(void)fprintf(f, "%lld\t%.*s\t%.*s\t%.*s %.*s\n",
	    (long long)ev->time_ns,
	    SLICE_ARG(event_get_string(ev, FIELD_HOST_NAME)),
	    SLICE_ARG(event_get_string(ev, FIELD_EVENT_DATASET)),
	    SLICE_ARG(plain(event_get_string(ev, FIELD_EVENT_ORIGINAL))),
	    SLICE_ARG(rare));
}

static int
write_lines(struct bench *b, const char *path, uint64_t n)
{
	FILE *f = fopen(path, "w");
	struct arena *arena = arena_new(1 << 16);

	while (f != NULL && b->n < n) {
		struct event ev;

		arena_reset(arena);
		event_begin(&ev, arena);
		fill(b, &ev, arena);
		write_line(f, &ev);
	}
	arena_free(arena);
	if (f != NULL && fclose(f) == 0)
		return 0;
	(void)fprintf(stderr, "bench_search: cannot write %s\n", path);
	return 1;
}

int
main(int argc, char *argv[])
{
	struct bench b = { .n = 0 };
	struct store_counters counters;
	const char *wanted = "";
	int at = 3;

	if (argc == 5 && strcmp(argv[1], "-l") == 0) {
		read_templates(&b, argv[3]);
		return write_lines(&b, argv[2], strtoull(argv[4], NULL, 10));
	}
	if (argc > 5 && strcmp(argv[3], "-q") == 0) {
		wanted = argv[4];
		at = 5;
	}
	if (argc <= at) {
		(void)fputs("usage: bench_search DIR EVENTS.jsonl [-q QUERY] "
			    "N...\n",
		    stderr);
		return 2;
	}
	read_templates(&b, argv[2]);
	check(store_open(argv[1], &b.store, &err));
	store_counters(b.store, &counters);
	b.n = counters.events;
	for (; at < argc; at++)
		measure_all(&b, wanted, strtoull(argv[at], NULL, 10));
	if (*wanted == '\0')
		append_beside(&b);
	store_close(b.store);
	free(b.templates);
	arena_free(b.arena);
	return 0;
}
