/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

enum { CALLS = 1000 };

struct world {
	struct loop *loop;
	struct loop_timer *timer;
	int64_t started, fired;
	int calls, in_order;
	int signals;
	unsigned ready;
	struct loop_io *io;
	int ticks;
};

static void
on_call(void *ctx)
{
	struct world *w = ctx;

	w->calls++;
	if (w->calls == CALLS)
		loop_stop(w->loop);
}

static void *
poster(void *ctx)
{
	struct world *w = ctx;

	for (int i = 0; i < CALLS; i++)
		loop_post(w->loop, on_call, w);
	return NULL;
}

static void
test_post(struct world *w)
{
	pthread_t thread;

	(void)pthread_create(&thread, NULL, poster, w);
	loop_run(w->loop);
	(void)pthread_join(thread, NULL);
	CHECK(w->calls == CALLS, "every call of another thread runs");
	loop_stop(w->loop);
	loop_run(w->loop);
	CHECK(true, "a stop before the run is not lost");
}

static void
on_timer(void *ctx)
{
	struct world *w = ctx;

	w->fired = loop_now();
	if (++w->ticks < 2)
		loop_timer_start(w->timer, 1000000);
	else
		loop_stop(w->loop);
}

static void
test_timer(struct world *w)
{
	w->timer = loop_timer_new(w->loop, on_timer, w);
	w->started = loop_now();
	loop_timer_start(w->timer, 20000000);
	loop_run(w->loop);
	CHECK(w->ticks == 2 && w->fired - w->started >= 21000000,
	    "timers are not early and start again");
	loop_timer_start(w->timer, 0);
	loop_timer_stop(w->timer);
	loop_timer_free(w->timer);
	CHECK(w->ticks == 2, "a stopped timer does not fire");
}

static void
on_signal(void *ctx, int signo)
{
	struct world *w = ctx;

	if (signo == SIGUSR1)
		w->signals++;
	loop_stop(w->loop);
}

static void
test_signal(struct world *w)
{
	struct error err;

	CHECK(loop_on_signal(w->loop, SIGUSR1, on_signal, w, &err) == RC_OK,
	    "a signal can be watched");
	(void)kill(getpid(), SIGUSR1);
	loop_run(w->loop);
	CHECK(w->signals == 1, "it runs in the loop");
}

static void
on_io(void *ctx, int fd, unsigned ready)
{
	struct world *w = ctx;
	char c;

	w->ready |= ready;
	if (ready & LOOP_WRITE) {
		loop_io_want(w->io, LOOP_READ);
		(void)!write(fd, "x", 1);
		return;
	}
	(void)!read(fd, &c, 1);
	loop_io_want(w->io, 0);
	loop_stop(w->loop);
}

static void
test_io(struct world *w)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		return;
	w->io = loop_io_new(w->loop, pair[0], on_io, w);
	loop_io_want(w->io, LOOP_READ | LOOP_WRITE);
	(void)!write(pair[1], "y", 1);
	loop_run(w->loop);
	CHECK(w->ready == (LOOP_READ | LOOP_WRITE), "readiness is told");
	loop_io_free(w->io);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int
main(void)
{
	struct world w = { .loop = loop_new() };

	test_post(&w);
	test_timer(&w);
	test_signal(&w);
	test_io(&w);
	loop_post(w.loop, on_call, &w); /* freed unrun */
	loop_free(w.loop);
	return tap_done();
}
