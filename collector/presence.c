/* SPDX-License-Identifier: Apache-2.0 */
#include "presence.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "xalloc.h"

struct visitor {
	uint64_t connection;
	char *agent; /* owned */
	char *host;  /* owned: the peer without its port */
};

struct presence {
	pthread_mutex_t lock;
	struct visitor *visitors;
	size_t n;
};

struct presence *
presence_new(void)
{
	struct presence *p = xzalloc(sizeof(*p));

	(void)pthread_mutex_init(&p->lock, NULL);
	return p;
}

static void
visitor_fini(struct visitor *v)
{
	free(v->agent);
	free(v->host);
}

void
presence_free(struct presence *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		visitor_fini(&p->visitors[i]);
	free(p->visitors);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

bool
presence_add(struct presence *p, uint64_t connection, const char *agent,
    const char *peer)
{
	const char *port = strrchr(peer, ':');
	struct visitor v = {
		.connection = connection,
		.agent = xstrdup(agent),
		.host = xmemdupz(peer,
		    port != NULL ? (size_t)(port - peer) : strlen(peer)),
	};
	bool elsewhere = false;

	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++)
		elsewhere |= strcmp(p->visitors[i].agent, v.agent) == 0 &&
		    strcmp(p->visitors[i].host, v.host) != 0;
	p->visitors =
	    xreallocarray(p->visitors, p->n + 1, sizeof(p->visitors[0]));
	p->visitors[p->n++] = v;
	(void)pthread_mutex_unlock(&p->lock);
	return elsewhere;
}

void
presence_remove(struct presence *p, uint64_t connection)
{
	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++) {
		if (p->visitors[i].connection == connection) {
			visitor_fini(&p->visitors[i]);
			p->visitors[i] = p->visitors[--p->n];
			break;
		}
	}
	(void)pthread_mutex_unlock(&p->lock);
}

void
presence_each(struct presence *p, void (*cb)(void *ctx, uint64_t connection),
    void *ctx)
{
	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++)
		cb(ctx, p->visitors[i].connection);
	(void)pthread_mutex_unlock(&p->lock);
}

void
presence_each_of(struct presence *p, const char *agent,
    void (*cb)(void *ctx, uint64_t connection), void *ctx)
{
	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->visitors[i].agent, agent) == 0)
			cb(ctx, p->visitors[i].connection);
	(void)pthread_mutex_unlock(&p->lock);
}

bool
presence_has(struct presence *p, struct slice agent)
{
	bool found = false;

	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n && !found; i++)
		found = slice_eq(agent,
		    (struct slice){ p->visitors[i].agent,
			strlen(p->visitors[i].agent) });
	(void)pthread_mutex_unlock(&p->lock);
	return found;
}

static bool
seen_before(const struct presence *p, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(p->visitors[i].agent, p->visitors[index].agent) == 0)
			return true;
	return false;
}

size_t
presence_agents(struct presence *p)
{
	size_t agents = 0;

	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++)
		agents += !seen_before(p, i);
	(void)pthread_mutex_unlock(&p->lock);
	return agents;
}
