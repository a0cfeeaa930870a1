/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "xalloc.h"

enum { NS_PER_US = 1000, US_PER_S = 1000000 };
#define NS_PER_S 1000000000LL

/* A call from another thread. */
struct call {
	STAILQ_ENTRY(call) link;
	loop_call_cb *cb;
	void *ctx;
};

struct loop_signal {
	SLIST_ENTRY(loop_signal) link;
	struct event *event;
	loop_signal_cb *cb;
	void *ctx;
};

struct loop {
	struct event_base *base;
	struct event *wakeup; /* made active when `calls` is no longer empty */
	SLIST_HEAD(, loop_signal) signals;

	pthread_mutex_t lock;
	STAILQ_HEAD(, call) calls;
	bool stopping;
};

struct loop_io {
	struct event *read;
	struct event *write;
	unsigned wanted;
	loop_io_cb *cb;
	void *ctx;
};

struct loop_timer {
	struct event *event;
	loop_timer_cb *cb;
	void *ctx;
};

static void
must(bool ok)
{
	if (!ok) {
		(void)fprintf(stderr, "libevent: out of resources\n");
		abort();
	}
}

static void
use_threads(void)
{
	must(evthread_use_pthreads() == 0);
}

/* Those posted meanwhile wait for the next turn: sockets come in between. */
static void
run_calls(evutil_socket_t fd, short what, void *ctx)
{
	struct loop *l = ctx;
	STAILQ_HEAD(, call) calls = STAILQ_HEAD_INITIALIZER(calls);
	struct call *c;
	bool stopping;

	(void)fd;
	(void)what;
	(void)pthread_mutex_lock(&l->lock);
	STAILQ_CONCAT(&calls, &l->calls);
	stopping = l->stopping;
	l->stopping = false;
	(void)pthread_mutex_unlock(&l->lock);
	while ((c = STAILQ_FIRST(&calls)) != NULL) {
		STAILQ_REMOVE_HEAD(&calls, link);
		c->cb(c->ctx);
		free(c);
	}
	if (stopping)
		must(event_base_loopbreak(l->base) == 0);
}

struct loop *
loop_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct loop *l = xzalloc(sizeof(*l));

	(void)pthread_once(&once, use_threads);
	(void)pthread_mutex_init(&l->lock, NULL);
	STAILQ_INIT(&l->calls);
	SLIST_INIT(&l->signals);
	l->base = event_base_new();
	must(l->base != NULL);
	l->wakeup = event_new(l->base, -1, EV_PERSIST, run_calls, l);
	must(l->wakeup != NULL);
	return l;
}

void
loop_free(struct loop *l)
{
	struct loop_signal *s;
	struct call *c;

	if (l == NULL)
		return;
	while ((s = SLIST_FIRST(&l->signals)) != NULL) {
		SLIST_REMOVE_HEAD(&l->signals, link);
		event_free(s->event);
		free(s);
	}
	while ((c = STAILQ_FIRST(&l->calls)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->calls, link);
		free(c);
	}
	event_free(l->wakeup);
	event_base_free(l->base);
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

void
loop_run(struct loop *l)
{
	must(event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) != -1);
}

/* By the queue of calls, so that a stop before loop_run() is not lost. */
void
loop_stop(struct loop *l)
{
	(void)pthread_mutex_lock(&l->lock);
	l->stopping = true;
	(void)pthread_mutex_unlock(&l->lock);
	event_active(l->wakeup, EV_TIMEOUT, 0);
}

void
loop_post(struct loop *l, loop_call_cb *cb, void *ctx)
{
	struct call *c = xzalloc(sizeof(*c));
	bool first;

	c->cb = cb;
	c->ctx = ctx;
	(void)pthread_mutex_lock(&l->lock);
	first = STAILQ_EMPTY(&l->calls);
	STAILQ_INSERT_TAIL(&l->calls, c, link);
	(void)pthread_mutex_unlock(&l->lock);
	if (first)
		event_active(l->wakeup, EV_TIMEOUT, 0);
}

static void
io_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct loop_io *io = ctx;
	unsigned ready = (what & EV_READ ? LOOP_READ : 0U) |
	    (what & EV_WRITE ? LOOP_WRITE : 0U);

	io->cb(io->ctx, fd, ready);
}

struct loop_io *
loop_io_new(struct loop *l, int fd, loop_io_cb *cb, void *ctx)
{
	struct loop_io *io = xzalloc(sizeof(*io));

	io->cb = cb;
	io->ctx = ctx;
	io->read = event_new(l->base, fd, EV_READ | EV_PERSIST, io_ready, io);
	io->write = event_new(l->base, fd, EV_WRITE | EV_PERSIST, io_ready, io);
	must(io->read != NULL && io->write != NULL);
	return io;
}

static void
want(struct event *event, bool now, bool before)
{
	if (now && !before)
		must(event_add(event, NULL) == 0);
	else if (!now && before)
		must(event_del(event) == 0);
}

void
loop_io_want(struct loop_io *io, unsigned events)
{
	want(io->read, events & LOOP_READ, io->wanted & LOOP_READ);
	want(io->write, events & LOOP_WRITE, io->wanted & LOOP_WRITE);
	io->wanted = events;
}

void
loop_io_free(struct loop_io *io)
{
	if (io == NULL)
		return;
	event_free(io->read);
	event_free(io->write);
	free(io);
}

static void
timer_due(evutil_socket_t fd, short what, void *ctx)
{
	struct loop_timer *t = ctx;

	(void)fd;
	(void)what;
	t->cb(t->ctx);
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_timer_cb *cb, void *ctx)
{
	struct loop_timer *t = xzalloc(sizeof(*t));

	t->cb = cb;
	t->ctx = ctx;
	t->event = event_new(l->base, -1, 0, timer_due, t);
	must(t->event != NULL);
	return t;
}

void
loop_timer_start(struct loop_timer *t, int64_t after_ns)
{
	struct timeval tv;
	int64_t us;

	assert(after_ns >= 0);
	us = (after_ns + NS_PER_US - 1) / NS_PER_US; /* never too early */
	tv.tv_sec = (time_t)(us / US_PER_S);
	tv.tv_usec = (suseconds_t)(us % US_PER_S);
	must(event_add(t->event, &tv) == 0);
}

void
loop_timer_stop(struct loop_timer *t)
{
	must(event_del(t->event) == 0);
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	event_free(t->event);
	free(t);
}

static void
signal_came(evutil_socket_t signo, short what, void *ctx)
{
	struct loop_signal *s = ctx;

	(void)what;
	s->cb(s->ctx, (int)signo);
}

enum rc
loop_on_signal(struct loop *l, int signo, loop_signal_cb *cb, void *ctx,
    struct error *err)
{
	struct loop_signal *s = xzalloc(sizeof(*s));

	s->cb = cb;
	s->ctx = ctx;
	s->event = evsignal_new(l->base, signo, signal_came, s);
	must(s->event != NULL);
	if (event_add(s->event, NULL) != 0) {
		event_free(s->event);
		free(s);
		return error_set(err, RC_SYSTEM, "cannot watch signal %d",
		    signo);
	}
	SLIST_INSERT_HEAD(&l->signals, s, link);
	return RC_OK;
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

int64_t
loop_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}
