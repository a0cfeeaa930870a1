/* SPDX-License-Identifier: Apache-2.0 */
/* Between http.c (what comes) and http_reply.c (what goes). */
#pragma once

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "collector/api/http.h"
#include "limiter.h"
#include "loop.h"
#include "queue.h"

enum {
	THREADS_MAX = 16,
	REPLY_HEADERS_MAX = 4,
	CONTENT_TYPE_MAX = 64,
};

struct piece;

/* A connection over HTTPS: lives as long as its SSL. */
struct http_connection {
	TAILQ_ENTRY(http_connection) link;
	struct http_face *face;
	struct bufferevent *bev;    /* libevent's */
	char address[ADDRESS_HOST]; /* empty: not asked yet */
	int64_t deadline_ns; /* monotonic; INT64_MAX: an answer goes on */
	bool begun;          /* its handshake */
};

/* Where connections come in: the control socket, HTTPS. */
struct http_face {
	struct http *http;
	struct evhttp *evhttp;
	bool local;
	unsigned uid;                    /* of a local one's peers, with root */
	struct evconnlistener *listener; /* libevent's */
	struct http_limits limits;
	struct tls_context *tls;    /* counted */
	struct limiter *rate;       /* by address: requests */
	struct limiter *handshakes; /* the same */
	int64_t limited_told;       /* monotonic; 0: never */
	TAILQ_HEAD(, http_connection) connections;
	size_t n_connections;
	bool full; /* does not accept */
	struct loop_timer *sweep;
};

/* Requests on their way to threads of their own. */
struct http_lane {
	struct http *http;
	struct queue *waiting;
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
};

struct http {
	struct http_options options;
	struct loop *loop;
	struct http_face control, https;
	pthread_t loop_thread;
	struct http_lane plain, slow;
	TAILQ_HEAD(, http_reply) replies; /* the loop's: those that go on */
	bool loop_runs;
	bool answers; /* the loop's: what is written now is ours */
	_Atomic uint64_t connections, requests, limited, refused,
	    handshakes_limited;
};

/*
 * An answer belongs to two threads: the query thread that writes it and the
 * loop's, which alone touches `request` and the connection.  It is freed by the
 * loop's when it has ended (all posts of the query thread come before) and its
 * last byte is gone from libevent's buffers.
 */
struct http_reply {
	struct http *http;
	struct http_face *face;
	struct evhttp_request *request;
	struct http_request parsed;
	bool slow;                 /* of the slow lane */
	bool head;                 /* the answer has no body */
	char *text, *query, *body; /* owned: what `parsed` points into */

	/* the query thread's */
	struct buf chunk;
	bool begun;
	int status;
	char type[CONTENT_TYPE_MAX];
	struct {
		char *name, *value; /* owned */
	} headers[REPLY_HEADERS_MAX];
	size_t n_headers;

	pthread_mutex_t lock;
	pthread_cond_t room;
	size_t in_flight; /* bytes posted and not yet written */
	bool gone;        /* the peer, or we are stopping */
	bool stream;
	void (*on_gone)(void *ctx); /* of a stream, till it was called */
	void *gone_ctx;
	unsigned refs;

	/* the loop's */
	bool started;
	bool writing; /* a piece; the others wait */
	bool last;    /* it is the last one */
	STAILQ_HEAD(, piece) pieces;
	struct loop_timer *stall;
	size_t stall_mark; /* bytes drained when the timer was set */
	size_t drained;
	TAILQ_ENTRY(http_reply) link; /* in http->replies */
};

/* http_reply.c */
struct http_reply *reply_new(struct http_face *face,
    struct evhttp_request *request);
void reply_unref(struct http_reply *r);
/* Handed to a query thread: from here on end_reply() frees it. */
void reply_begin(struct http_reply *r);
void reply_gone(struct http_reply *r);
/* The loop runs no more: what waits for its peer is dropped. */
void reply_abandon(struct http_reply *r);
/* In a query thread: the handler has returned. */
void reply_finish(struct http_reply *r);
/* An answer that needs no query. */
void reply_refuse(struct http_face *face, struct evhttp_request *request,
    int status, const char *message);

/* What goes with every answer of a face: the first so many of these. */
struct http_fixed_header {
	const char *name, *value;
};
extern const struct http_fixed_header http_fixed[];
size_t http_fixed_count(const struct http_face *face);

/* http_guard.c: nobody but us answers on this connection. */
void guard_output(struct http_face *face, struct bufferevent *bev);

/* http.c: when the answer is out, or NULL. */
struct http_connection *connection_of(struct http_face *face,
    struct evhttp_connection *evcon);
void connection_waits(struct http_connection *c);
