/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 with evhttp: a UNIX socket for kuzetctl, HTTPS for everybody else;
 * handlers on query threads, answers streamed with a bound.
 *
 *   http.c        sockets, connections, their limits, requests as they come
 *   http_guard.c  what libevent would answer by itself
 *   http_reply.c  answers, between the query threads and the loop's
 *   http_query.c  texts of requests, taken apart
 *
 * libevent's HTTP is used in these and nowhere else.
 */
#pragma once

#include "address.h"
#include "buf.h"
#include "digest.h"
#include "error.h"
#include "slice.h"

struct tls_context;

enum {
	HTTP_PARAMS_MAX = 32,
	HTTP_HEADERS_MAX = 16 * 1024, /* bytes, with the request line */
	HTTP_BODY_MAX = 64 * 1024,    /* bytes */
	HTTP_WAITING_MAX = 32,        /* requests waiting for a query thread */
	HTTP_SLOW_THREADS = 2,
	HTTP_SLOW_WAITING_MAX = 16, /* slow requests waiting for one of them */
	HTTP_SLOW_OF_ADDRESS = 4,   /* slow requests of one address */
	HTTP_IN_FLIGHT_MAX = 256 * 1024, /* bytes of one answer */
	HTTP_STREAM_MAX = 64 * 1024, /* bytes that a stream's reader may lag */
};

/* Decoded; in the request. */
struct http_param {
	struct slice name, value;
};

/* Who is at the other end. */
struct http_peer {
	bool local;                    /* the control socket */
	unsigned uid;                  /* of a local one */
	char address[ADDRESS_HOST];    /* without the port; "unix" */
	char certificate[SHA256_TEXT]; /* its SHA-256; empty: none shown */
};

/* Those headers that somebody asks for; empty: not there. */
struct http_headers {
	struct slice authorization, cookie, csrf, content_type, origin,
	    fetch_site;
};

struct http_request {
	const char *method;  /* "GET" */
	struct slice target; /* as it came: path and query */
	struct slice path;   /* as it came */
	struct http_param params[HTTP_PARAMS_MAX];
	size_t n_params;
	struct http_headers headers;
	struct slice body;
	struct http_peer peer;
};

/* The first of that name; ptr NULL: not given. */
struct slice http_param(const struct http_request *r, const char *name);

/* Of http_query.c: "a=b&c=d" in place; false: malformed, or too many. */
bool http_parse_query(char *text, struct http_request *r);
/* Decodes "%41" in place; '+' is a space where `form`. */
bool http_decode(struct slice *s, char *text, bool form);
/* The value of a cookie; ptr NULL: not there. */
struct slice http_cookie(struct slice header, const char *name);

struct http_reply;

/*
 * The handler runs on a query thread and answers with one http_fail(), or with
 * any number of http_write(); it then returns.  http_write() waits while the
 * peer reads slowly; false: the peer is gone, nobody will read more (of HEAD
 * at once).
 */
typedef void http_handler(void *ctx, const struct http_request *request,
    struct http_reply *reply);
bool http_write(struct http_reply *reply, struct slice bytes);

/* Before the first http_write(); 200 and application/x-ndjson otherwise. */
void http_type(struct http_reply *reply, int status, const char *type);
/* A header of the answer, before the first http_write(); at most 4. */
void http_header(struct http_reply *reply, const char *name, const char *value);

/*
 * {"error":"..."}: with that status if nothing was written yet, else as the
 * last line of the answer.
 */
void http_fail(struct http_reply *reply, int status, const char *message);
/* The same with "column":N, where the message is about a text's character. */
void http_fail_at(struct http_reply *reply, int status, const char *message,
    size_t column);

/* The status that the peer gets, or got. */
int http_status(const struct http_reply *reply);

/*
 * Makes it a stream that goes on when the handler has returned: text/event-
 * stream.  `on_gone` runs once, in the loop's thread, when the peer is gone or
 * all ends: http_stream_end() is due.  False: the peer is gone already.
 */
bool http_stream(struct http_reply *reply, void (*on_gone)(void *ctx),
    void *ctx);
/* Any thread; never waits.  False: it is gone, or lags too far behind. */
bool http_stream_send(struct http_reply *reply, struct slice bytes);
bool http_stream_gone(struct http_reply *reply);
/* Once; the reply is not to be touched after. */
void http_stream_end(struct http_reply *reply);

struct http_options {
	http_handler *handler;
	void *ctx; /* of the handler */
	/* In the loop's thread: whether a request takes much of a processor,
	 * whatever it finds; such have threads of their own.  NULL: none. */
	bool (*is_slow)(void *ctx, const struct http_request *request);
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
 * Takes the descriptor.  Before http_run(), as the next.
 */
enum rc http_serve_unix(struct http *h, int fd, unsigned uid,
    struct error *err);

/* Bounds of the HTTPS side. */
struct http_limits {
	size_t connections;
	size_t address_connections; /* of one address */
	int64_t head_ns; /* from the connection to its first request */
	int64_t idle_ns; /* between requests */
	/* requests a second of one address, and as many new connections */
	double address_rate;
};
enum rc http_serve_tls(struct http *h, int fd, struct tls_context *tls,
    const struct http_limits *limits, struct error *err);
/* Any thread: for new connections from here on; takes a reference. */
void http_set_tls(struct http *h, struct tls_context *tls);

void http_run(struct http *h);

/* Connections over HTTPS now, and what the limits turned away. */
struct http_counters {
	uint64_t connections, requests, limited, refused, handshakes_limited;
};
void http_counters(struct http *h, struct http_counters *out);
