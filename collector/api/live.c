/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "api_private.h"
#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum { EVENT_BYTES_MAX = 2 << 20 };

struct listener {
	TAILQ_ENTRY(listener) link;
	struct live *live;
	struct http_reply *reply;
	unsigned kinds;
	char *owner; /* NULL: all */
	int64_t until_ns;
};

struct live {
	pthread_mutex_t lock;
	TAILQ_HEAD(, listener) listeners;
	size_t n;
	atomic_uint kinds; /* that anybody listens for */
};

struct live *
live_new(void)
{
	struct live *l = xzalloc(sizeof(*l));

	(void)pthread_mutex_init(&l->lock, NULL);
	TAILQ_INIT(&l->listeners);
	return l;
}

void
live_free(struct live *l)
{
	if (l == NULL)
		return;
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

bool
live_wanted(struct live *l, unsigned kinds)
{
	return (atomic_load(&l->kinds) & kinds) != 0;
}

static void
count_kinds(struct live *l)
{
	const struct listener *s;
	unsigned kinds = 0;

	TAILQ_FOREACH (s, &l->listeners, link)
		/* NOLINTNEXTLINE: TAILQ_REMOVE() took out what is freed */
		kinds |= s->kinds;
	atomic_store(&l->kinds, kinds);
}

/* Under the lock. */
static void
end_listener(struct listener *s)
{
	TAILQ_REMOVE(&s->live->listeners, s, link);
	s->live->n--;
	http_stream_end(s->reply);
	free(s->owner);
	free(s);
}

static void
end_those_gone(struct live *l)
{
	struct listener *s, *next;
	int64_t now = loop_now();

	for (s = TAILQ_FIRST(&l->listeners); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (http_stream_gone(s->reply) || s->until_ns <= now)
			end_listener(s);
	}
	count_kinds(l);
}

/* In the loop's thread: one of them is gone. */
static void
on_gone(void *ctx)
{
	struct live *l = ctx;

	(void)pthread_mutex_lock(&l->lock);
	end_those_gone(l);
	(void)pthread_mutex_unlock(&l->lock);
}

static bool
may_hear(const struct listener *s, enum live_kind kind, struct slice owner)
{
	return (s->kinds & kind) != 0 &&
	    (s->owner == NULL ||
		slice_eq(owner, (struct slice){ s->owner, strlen(s->owner) }));
}

void
live_send(struct live *l, enum live_kind kind, struct slice owner,
    struct slice json)
{
	struct listener *s, *next;
	struct buf text;

	buf_init(&text, EVENT_BYTES_MAX);
	(void)buf_printf(&text, "event: %s\ndata: ",
	    kind == LIVE_INCIDENT ? "incident" : "detection");
	(void)buf_add_slice(&text, json);
	(void)buf_add_str(&text, "\n\n");
	(void)pthread_mutex_lock(&l->lock);
	for (s = TAILQ_FIRST(&l->listeners); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (may_hear(s, kind, owner) &&
		    !http_stream_send(s->reply, buf_slice(&text)))
			end_listener(s);
	}
	end_those_gone(l);
	(void)pthread_mutex_unlock(&l->lock);
	buf_fini(&text);
}

bool
live_listen(struct live *l, struct http_reply *reply, unsigned kinds,
    struct slice owner)
{
	struct listener *s;
	bool room;

	(void)pthread_mutex_lock(&l->lock);
	end_those_gone(l);
	room = l->n < LIVE_LISTENERS_MAX;
	if (room && http_stream(reply, on_gone, l)) {
		s = xzalloc(sizeof(*s));
		s->live = l;
		s->reply = reply;
		s->kinds = kinds;
		s->until_ns = loop_now() + LIVE_SECONDS_MAX * NS_PER_SEC;
		s->owner =
		    owner.ptr != NULL ? xmemdupz(owner.ptr, owner.len) : NULL;
		TAILQ_INSERT_TAIL(&l->listeners, s, link);
		l->n++;
		count_kinds(l);
	}
	(void)pthread_mutex_unlock(&l->lock);
	return room;
}

uint64_t
live_listeners(struct live *l)
{
	uint64_t n;

	(void)pthread_mutex_lock(&l->lock);
	n = l->n;
	(void)pthread_mutex_unlock(&l->lock);
	return n;
}

void
get_live(struct ask *a)
{
	struct slice type = http_param(a->request, "type");
	bool events = (a->caller.permissions & MAY_EVENTS) != 0;
	unsigned kinds = LIVE_INCIDENT;
	struct error err;
	enum rc rc = RC_OK;

	if (slice_eq(type, SLICE("detections")))
		kinds = LIVE_DETECTION;
	else if (slice_eq(type, SLICE("all")) || type.ptr == NULL)
		kinds |= events ? LIVE_DETECTION : 0;
	else if (!slice_eq(type, SLICE("incidents")))
		rc = error_set(&err, RC_INVALID,
		    "type: incidents, detections or all");
	if (rc == RC_OK && (kinds & LIVE_DETECTION) != 0 && !events) {
		http_fail(a->reply, 403, "not allowed with this role or token");
		return;
	}
	if (rc == RC_OK &&
	    !live_listen(a->api->live, a->reply, kinds, ask_owner(a)))
		rc = error_set(&err, RC_AGAIN, "too many listen already");
	ask_fail(a, rc, &err);
}
