/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 with evhttp: one route table, handlers on query threads, answers
 * streamed with a bound.  libevent's HTTP is used in http.c and nowhere else.
 */
#pragma once

#include "buf.h"
#include "error.h"
#include "slice.h"

enum {
	HTTP_PARAMS_MAX = 32,
	HTTP_HEADERS_MAX = 16 * 1024, /* bytes, with the request line */
	HTTP_BODY_MAX = 64 * 1024,    /* bytes */
	HTTP_WAITING_MAX = 32,        /* requests waiting for a query thread */
	HTTP_IN_FLIGHT_MAX = 256 * 1024, /* bytes of one answer */
};

/* Decoded; in the request. */
struct http_param {
	struct slice name, value;
};

struct http_request {
	struct http_param params[HTTP_PARAMS_MAX];
	size_t n_params;
};

/* The first of that name; ptr NULL: not given. */
struct slice http_param(const struct http_request *r, const char *name);

struct http_reply;

/*
 * A handler runs on a query thread and answers with one http_fail(), or with
 * any number of http_write(); it then returns.  http_write() waits while the
 * peer reads slowly; false: the peer is gone, nobody will read more.
 */
typedef void http_handler(void *ctx, const struct http_request *request,
    struct http_reply *reply);
bool http_write(struct http_reply *reply, struct slice bytes);

/*
 * {"error":"..."}: with that status if nothing was written yet, else as the
 * last line of the answer.
 */
void http_fail(struct http_reply *reply, int status, const char *message);

struct http_route {
	const char *method; /* "GET" */
	const char *path;   /* exact; NULL ends the table */
	http_handler *handler;
};

struct http_options {
	const struct http_route *routes; /* borrowed */
	void *ctx;                       /* of the handlers */
	unsigned query_threads;
	/* a peer that reads nothing for so long is dropped; so is one that
	 * sends nothing */
	int64_t timeout_ns;
};

struct http;
struct http *http_start(const struct http_options *options);
/* NULL is fine; the handlers' http_write() return false from then on. */
void http_stop(struct http *h);

/*
 * Serves the listening UNIX socket, whose peers must be of user `uid` or root.
 * Takes the descriptor.
 */
enum rc http_serve_unix(struct http *h, int fd, unsigned uid,
    struct error *err);
