/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop: readiness of descriptors, timers, signals, and calls from
 * other threads.  A thin face of libevent, which only lib/loop.c and
 * collector/api/http.c include.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct loop;
struct loop_io;
struct loop_timer;
struct event_base;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);
void loop_free(struct loop *l); /* NULL is fine; free its parts before */

/* Until loop_stop(), from any thread. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Level-triggered.  The descriptor is borrowed. */
typedef void loop_io_cb(void *ctx, int fd, unsigned ready);
struct loop_io *loop_io_new(struct loop *l, int fd, loop_io_cb *cb, void *ctx);
void loop_io_want(struct loop_io *io, unsigned events); /* 0: nothing */
void loop_io_free(struct loop_io *io);                  /* NULL is fine */

/* One shot; start again to repeat.  Monotonic clock. */
typedef void loop_timer_cb(void *ctx);
struct loop_timer *loop_timer_new(struct loop *l, loop_timer_cb *cb, void *ctx);
void loop_timer_start(struct loop_timer *t, int64_t after_ns);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine */

/* `cb` runs in the loop's thread. */
typedef void loop_signal_cb(void *ctx, int signo);
enum rc loop_on_signal(struct loop *l, int signo, loop_signal_cb *cb, void *ctx,
    struct error *err);

/* Any thread: `cb` runs soon in the loop's thread, in order of posting. */
typedef void loop_call_cb(void *ctx);
void loop_post(struct loop *l, loop_call_cb *cb, void *ctx);

/* For evhttp. */
struct event_base *loop_base(struct loop *l);

int64_t loop_now(void); /* monotonic ns */
