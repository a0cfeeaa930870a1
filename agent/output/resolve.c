/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output/resolve.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xalloc.h"

/*
 * Who asked and the thread share it.  Cancelled before the thread is done, it
 * is the thread's to free, which then never touches the loop; else it is freed
 * in the loop's thread.
 */
struct resolve {
	struct loop *loop;
	resolve_cb *cb;
	void *ctx;
	char host[256];
	char port[8];
	struct addrinfo *list;
	struct error err;
	pthread_mutex_t lock; /* of the two below, while a thread runs */
	bool cancelled;
	bool posted;
	bool answered; /* loop's thread only */
};

static void
look_up(struct resolve *r, int extra_flags)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | extra_flags,
	};
	int got = getaddrinfo(r->host, r->port, &hints, &r->list);

	if (got == 0)
		return;
	r->list = NULL;
	(void)error_set(&r->err, RC_SYSTEM, "%s: %s", r->host,
	    gai_strerror(got));
}

static void
release(struct resolve *r)
{
	if (r->list != NULL && !r->answered)
		freeaddrinfo(r->list);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static void
answer(void *ctx)
{
	struct resolve *r = ctx;

	if (r->cancelled) {
		release(r);
		return;
	}
	r->answered = true;
	r->cb(r->ctx, r->list, &r->err); /* frees it: resolve_cancel() */
}

static void *
thread(void *ctx)
{
	struct resolve *r = ctx;
	bool cancelled;

	look_up(r, AI_ADDRCONFIG);
	(void)pthread_mutex_lock(&r->lock);
	cancelled = r->cancelled;
	if (!cancelled) {
		r->posted = true;
		loop_post(r->loop, answer, r);
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (cancelled)
		release(r);
	return NULL;
}

struct resolve *
resolve_start(struct loop *l, const char *host, uint16_t port, resolve_cb *cb,
    void *ctx)
{
	struct resolve *r = xzalloc(sizeof(*r));
	pthread_attr_t attr;
	pthread_t id;
	int failed;

	r->loop = l;
	r->cb = cb;
	r->ctx = ctx;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	(void)snprintf(r->port, sizeof(r->port), "%u", port);
	look_up(r, AI_NUMERICHOST);
	if (r->list != NULL) {
		r->posted = true;
		loop_post(l, answer, r);
		return r;
	}
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	failed = pthread_create(&id, &attr, thread, r);
	(void)pthread_attr_destroy(&attr);
	if (failed != 0) {
		(void)error_set_errno(&r->err, failed, "%s: thread", host);
		r->posted = true;
		loop_post(l, answer, r);
	}
	return r;
}

void
resolve_cancel(struct resolve *r)
{
	bool free_now;

	if (r == NULL)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->cancelled = true;
	free_now = r->answered;
	(void)pthread_mutex_unlock(&r->lock);
	if (free_now)
		release(r);
}
