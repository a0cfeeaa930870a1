/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What enrichment costs an event, in CPU time: looking for personal data in
 * lines of a log, and the register of objects.
 *
 * usage: bench_enrich FILE [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "batch.h"
#include "collector/enrich/enrich_object.h"
#include "collector/enrich/personal.h"
#include "xalloc.h"

enum { LINES_MAX = 100000, LINE_BYTES = 65536, OBJECTS = 1000, ROUNDS = 10 };

struct lines {
	struct slice *list;
	size_t n, bytes;
};

static double
cpu_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static bool
read_lines(const char *path, struct lines *out)
{
	FILE *f = fopen(path, "re");
	char *line = xzalloc(LINE_BYTES);

	out->list = xcalloc(LINES_MAX, sizeof(*out->list));
	while (f != NULL && out->n < LINES_MAX &&
	    fgets(line, LINE_BYTES, f) != NULL) {
		size_t len = strlen(line);

		len -= len > 0 && line[len - 1] == '\n';
		out->list[out->n++] =
		    (struct slice){ xmemdupz(line, len), len };
		out->bytes += len;
	}
	free(line);
	if (f != NULL)
		(void)fclose(f);
	return out->n > 0;
}

static void
tell(const char *what, double seconds, size_t events, size_t bytes)
{
	(void)printf("%-28s %8.0f ns an event %8.0f MB/s\n", what,
	    1e9 * seconds / (double)events, 1e-6 * (double)bytes / seconds);
}

static void
bench_personal(const struct lines *l, int rounds)
{
	const struct personal_options options = {
		.modes = { PERSONAL_MASK, PERSONAL_MASK, PERSONAL_MASK }
	};
	struct personal *p = personal_new(&options);
	struct arena *arena = arena_new(1 << 20);
	size_t found = 0;
	double began = cpu_seconds();

	for (int r = 0; r < rounds; r++) {
		for (size_t i = 0; i < l->n; i++) {
			struct event ev;

			event_begin(&ev, arena);
			event_set_string(&ev, FIELD_EVENT_ORIGINAL, l->list[i]);
			event_set_string(&ev, FIELD_MESSAGE, l->list[i]);
			found += personal_event(p, &ev);
		}
		arena_reset(arena);
	}
	tell("personal data", cpu_seconds() - began, (size_t)rounds * l->n,
	    (size_t)rounds * l->bytes);
	(void)printf("%zu of %zu lines have some\n", found / (size_t)rounds,
	    l->n);
	arena_free(arena);
	personal_free(p);
}

static struct objects *
make_register(void)
{
	struct buf text;
	struct objects *o = NULL;
	struct error err;

	buf_init(&text, 1 << 20);
	(void)buf_add_str(&text,
	    "organizations: [{id: default, networks: [10.0.0.0/8]}]\n"
	    "objects:\n");
	for (unsigned i = 0; i < OBJECTS; i++)
		(void)buf_printf(&text,
		    "  - {id: o%u, name: {kk: А%u, ru: Б%u}, kind: S33, class: "
		    "2, owner: default, hosts: [host-%u], networks: "
		    "[10.%u.%u.0/24]}\n",
		    i, i, i, i, i / 250, i % 250);
	if (objects_parse("bench", buf_slice(&text), &o, &err) != RC_OK)
		(void)fprintf(stderr, "%s\n", err.text);
	buf_fini(&text);
	return o;
}

static void
bench_objects(size_t n)
{
	struct objects *o = make_register();
	struct object_enricher *e;
	double seconds = 0;
	char ip[32];

	if (o == NULL)
		return;
	e = object_enricher_new(o, "default");
	for (size_t done = 0; done < n; done += BATCH_EVENTS) {
		struct batch *b = batch_new();
		double began;

		b->source.owner = SLICE("default");
		b->source.agent = SLICE("relay");
		for (unsigned i = 0; i < BATCH_EVENTS; i++) {
			struct event *ev = batch_add_event(b);

			(void)snprintf(ip, sizeof(ip), "10.%u.%u.7", i % 4,
			    i % 250);
			event_set_string(ev, FIELD_HOST_NAME, SLICE("nobody"));
			event_set_string(ev, FIELD_SOURCE_IP,
			    arena_copy(b->arena,
				(struct slice){ ip, strlen(ip) }));
		}
		began = cpu_seconds();
		object_enricher_begin(e, b, false);
		for (uint32_t i = 0; i < b->n; i++) {
			unsigned at = 0;

			(void)object_enrich(e, &b->events[i]);
			while (object_unclaimed(e, &b->events[i], &at).len > 0)
				;
		}
		seconds += cpu_seconds() - began;
		batch_free(b);
	}
	(void)printf("%-28s %8.0f ns an event (%d objects, by address)\n",
	    "register of objects", 1e9 * seconds / (double)n, OBJECTS);
	object_enricher_free(e);
	objects_unref(o);
}

int
main(int argc, char *argv[])
{
	struct lines l = { .n = 0 };
	int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : ROUNDS;

	if (argc < 2 || rounds < 1 || !read_lines(argv[1], &l)) {
		(void)fputs("usage: bench_enrich FILE [ROUNDS]\n", stderr);
		return 2;
	}
	bench_personal(&l, rounds);
	bench_objects((size_t)BATCH_EVENTS * 100);
	for (size_t i = 0; i < l.n; i++)
		free((char *)l.list[i].ptr);
	free(l.list);
	return 0;
}
