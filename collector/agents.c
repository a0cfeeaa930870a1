/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "digest.h"
#include "json.h"
#include "timestamp.h"
#include "xalloc.h"

enum { BUCKETS = 4096, INSTANCES = 4, TEXT_BYTES = 48, ARENA_BLOCK = 16384 };

/* Clocks of two machines differ. */
static const int64_t clock_slack_ns = 2 * NS_PER_SEC;
static const int64_t tell_again_ns = 3600 * NS_PER_SEC;
/* Both must have spoken so lately. */
static const int64_t alive_ns = 600 * NS_PER_SEC;

/* A process that spoke under the id. */
struct instance {
	uint8_t uuid[16];
	int64_t started_ns; /* its clock */
	int64_t heard_ns;   /* arrival; 0: none */
	char peer[AGENT_PEER_BYTES];
};

struct agent {
	struct agent *next;
	char *key; /* owner, NUL, id */
	size_t key_len;
	struct instance instances[INSTANCES]; /* newest start first */
	int64_t told_ns;
	char version[TEXT_BYTES], instance[TEXT_BYTES], started[TEXT_BYTES];
	char *status, *positions; /* JSON, owned */
	size_t status_len, positions_len;
};

struct agents {
	pthread_mutex_t lock;
	struct agent *buckets[BUCKETS];
	size_t n, bytes;
	uint64_t left_out;
};

struct agents *
agents_new(void)
{
	struct agents *a = xzalloc(sizeof(*a));

	(void)pthread_mutex_init(&a->lock, NULL);
	return a;
}

static void
agent_free(struct agent *g)
{
	free(g->key);
	free(g->status);
	free(g->positions);
	free(g);
}

void
agents_free(struct agents *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (a->buckets[i] != NULL) {
			struct agent *g = a->buckets[i];

			a->buckets[i] = g->next;
			agent_free(g);
		}
	}
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

/* FNV-1a over both names. */
static uint64_t
hash_of(struct slice owner, struct slice agent)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < owner.len; i++)
		h = (h ^ (unsigned char)owner.ptr[i]) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < agent.len; i++)
		h = (h ^ (unsigned char)agent.ptr[i]) * UINT64_C(0x100000001b3);
	return h;
}

static bool
is_key(const struct agent *g, struct slice owner, struct slice agent)
{
	return g->key_len == owner.len + 1 + agent.len &&
	    memcmp(g->key, owner.ptr, owner.len) == 0 &&
	    memcmp(g->key + owner.len + 1, agent.ptr, agent.len) == 0;
}

static struct agent **
place_of(struct agents *a, struct slice owner, struct slice agent)
{
	struct agent **at = &a->buckets[hash_of(owner, agent) % BUCKETS];

	while (*at != NULL && !is_key(*at, owner, agent))
		at = &(*at)->next;
	return at;
}

static struct agent *
add_agent(struct agents *a, struct agent **place, struct slice owner,
    struct slice agent)
{
	struct agent *g;

	if (a->n >= AGENTS_MAX)
		return NULL;
	g = xzalloc(sizeof(*g));
	g->key_len = owner.len + 1 + agent.len;
	g->key = xzalloc(g->key_len + 1);
	memcpy(g->key, owner.ptr, owner.len);
	memcpy(g->key + owner.len + 1, agent.ptr, agent.len);
	*place = g;
	a->n++;
	return g;
}

static void
copy_text(char *out, size_t room, struct slice s)
{
	(void)snprintf(out, room, "%.*s", SLICE_ARG(s));
}

static struct slice
text_field(const struct event *ev, const char *name)
{
	return event_get_string(ev,
	    field_find((struct slice){ name, strlen(name) }));
}

/* Fields below `kuzet.status` but the positions, as one object. */
static void
write_summary(struct buf *out, const struct event *control)
{
	static const char prefix[] = "kuzet.status.";
	static const struct slice open = SLICE_INIT("\"kuzet\":{\"status\":");
	struct arena *arena = arena_new(ARENA_BLOCK);
	uint32_t positions = field_find(SLICE("kuzet.status.positions"));
	struct event ev;
	const char *begin;

	event_begin(&ev, arena);
	for (uint32_t i = 0; i < control->n; i++) {
		const struct field *f = &control->fields[i];
		struct slice name = field_name(f->id);

		if (f->id != positions && name.len > sizeof(prefix) - 1 &&
		    memcmp(name.ptr, prefix, sizeof(prefix) - 1) == 0)
			event_set_value(&ev, f->id, f->value);
	}
	json_write_event(out, &ev, JSON_NESTED);
	arena_free(arena);
	begin = out->len == 0 ? NULL
			      : memmem(out->ptr, out->len, open.ptr, open.len);
	if (begin == NULL) {
		buf_clear(out);
		(void)buf_add_str(out, "{}");
		return;
	}
	/* the two objects around it go */
	buf_consume(out, (size_t)(begin + open.len - out->ptr));
	out->len -= 2;
}

static void
replace_text(struct agents *a, char **text, size_t *len, struct slice s)
{
	a->bytes -= *len;
	free(*text);
	*text = xmemdupz(s.ptr, s.len);
	*len = s.len;
	a->bytes += s.len;
}

static void
keep_status(struct agents *a, struct agent *g, const struct event *control)
{
	const struct value *p =
	    event_get(control, field_find(SLICE("kuzet.status.positions")));
	struct slice positions =
	    p != NULL && p->kind == VALUE_JSON ? p->s : SLICE("[]");
	struct buf summary;

	copy_text(g->version, sizeof(g->version),
	    text_field(control, "kuzet.version"));
	copy_text(g->instance, sizeof(g->instance),
	    text_field(control, "kuzet.instance"));
	copy_text(g->started, sizeof(g->started),
	    text_field(control, "kuzet.started"));
	buf_init(&summary, AGENT_STATUS_BYTES);
	write_summary(&summary, control);
	if (summary.overflowed ||
	    summary.len + positions.len > AGENT_STATUS_BYTES ||
	    a->bytes + summary.len + positions.len > AGENTS_BYTES) {
		a->left_out++;
	} else {
		replace_text(a, &g->status, &g->status_len,
		    buf_slice(&summary));
		replace_text(a, &g->positions, &g->positions_len, positions);
	}
	buf_fini(&summary);
}

static struct instance *
find_instance(struct agent *g, const uint8_t uuid[16])
{
	for (size_t i = 0; i < INSTANCES; i++) {
		if (g->instances[i].heard_ns != 0 &&
		    memcmp(g->instances[i].uuid, uuid, 16) == 0)
			return &g->instances[i];
	}
	return NULL;
}

static void
add_instance(struct agent *g, const struct instance *new)
{
	size_t at = 0;

	while (at < INSTANCES && g->instances[at].heard_ns != 0 &&
	    g->instances[at].started_ns > new->started_ns)
		at++;
	if (at == INSTANCES)
		return;
	memmove(g->instances + at + 1, g->instances + at,
	    ((size_t)INSTANCES - at - 1) * sizeof(g->instances[0]));
	g->instances[at] = *new;
}

/*
 * `now` spoke at `said_ns` by its clock.  The newest process to start is the
 * one that should live: whoever started before and speaks after that start
 * lives beside it.
 */
static bool
is_double(struct agent *g, const struct instance *now, int64_t said_ns,
    int64_t arrival_ns, struct agent_double *out)
{
	const struct instance *newest = &g->instances[0];

	if (newest == now || newest->heard_ns == 0 ||
	    arrival_ns - newest->heard_ns > alive_ns ||
	    said_ns < newest->started_ns + clock_slack_ns ||
	    arrival_ns < g->told_ns + tell_again_ns)
		return false;
	g->told_ns = arrival_ns;
	memcpy(out->peers[0], newest->peer, AGENT_PEER_BYTES);
	memcpy(out->peers[1], now->peer, AGENT_PEER_BYTES);
	return true;
}

static bool
note_instance(struct agent *g, struct slice peer, const struct event *control,
    struct agent_double *out)
{
	struct timestamp_hints hints = { .now_ns = control->arrival_ns };
	struct instance new = { .heard_ns = control->arrival_ns };
	struct instance *known;

	if (!uuid_parse(text_field(control, "kuzet.instance"), new.uuid) ||
	    timestamp_parse_rfc3339(text_field(control, "kuzet.started"),
		&hints, &new.started_ns) == 0)
		return false;
	copy_text(new.peer, sizeof(new.peer), peer);
	known = find_instance(g, new.uuid);
	if (known == NULL) {
		add_instance(g, &new);
		known = find_instance(g, new.uuid);
	}
	if (known == NULL)
		return false; /* older than all that are known */
	known->heard_ns = control->arrival_ns;
	memcpy(known->peer, new.peer, sizeof(known->peer));
	return is_double(g, known, control->time_ns, control->arrival_ns, out);
}

bool
agents_note(struct agents *a, struct slice owner, struct slice agent,
    struct slice peer, const struct event *control, struct agent_double *out)
{
	struct agent **place, *g;
	bool found = false;

	if (!slice_eq(event_get_string(control, FIELD_KUZET_CONTROL),
		SLICE("status")))
		return false;
	(void)pthread_mutex_lock(&a->lock);
	place = place_of(a, owner, agent);
	g = *place != NULL ? *place : add_agent(a, place, owner, agent);
	if (g == NULL) {
		a->left_out++;
	} else {
		keep_status(a, g, control);
		found = note_instance(g, peer, control, out);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return found;
}

static struct slice
slice_of(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

bool
agents_get(struct agents *a, struct slice owner, struct slice agent,
    void (*cb)(void *ctx, const struct agent_says *says), void *ctx)
{
	struct agent *g;

	(void)pthread_mutex_lock(&a->lock);
	g = *place_of(a, owner, agent);
	if (g != NULL) {
		const struct instance *last = &g->instances[0];

		for (size_t i = 1; i < INSTANCES; i++) {
			if (g->instances[i].heard_ns > last->heard_ns)
				last = &g->instances[i];
		}
		cb(ctx,
		    &(struct agent_says){
			.heard_ns = last->heard_ns,
			.version = slice_of(g->version),
			.instance = slice_of(g->instance),
			.started = slice_of(g->started),
			.peer = slice_of(last->peer),
			.status = { g->status, g->status_len },
			.positions = { g->positions, g->positions_len },
		    });
	}
	(void)pthread_mutex_unlock(&a->lock);
	return g != NULL;
}

uint64_t
agents_left_out(struct agents *a)
{
	uint64_t n;

	(void)pthread_mutex_lock(&a->lock);
	n = a->left_out;
	(void)pthread_mutex_unlock(&a->lock);
	return n;
}
