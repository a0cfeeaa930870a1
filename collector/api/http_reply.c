/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http_private.h"
#include "json.h"
#include "timestamp.h"
#include "xalloc.h"

enum { CHUNK_BYTES = 32 * 1024, STALL_BYTES = 4096, TOO_MANY = 429 };

static const int64_t heartbeat_ns = 15 * NS_PER_SEC;

/* A piece of an answer on its way to the loop's thread. */
struct piece {
	STAILQ_ENTRY(piece) link;
	struct http_reply *reply;
	char *bytes; /* owned */
	size_t len;
	bool last;
};

static void stall_due(void *ctx);
static void pump(void *ctx);

struct http_reply *
reply_new(struct http_face *face, struct evhttp_request *request)
{
	struct http_reply *r = xzalloc(sizeof(*r));

	r->http = face->http;
	r->face = face;
	r->request = request;
	r->refs = 1;
	r->status = HTTP_OK;
	(void)snprintf(r->type, sizeof(r->type), "application/x-ndjson");
	buf_init(&r->chunk, SIZE_MAX / 2);
	STAILQ_INIT(&r->pieces);
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->room, NULL);
	return r;
}

static void
reply_ref(struct http_reply *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->refs++;
	(void)pthread_mutex_unlock(&r->lock);
}

void
reply_unref(struct http_reply *r)
{
	unsigned left;

	(void)pthread_mutex_lock(&r->lock);
	left = --r->refs;
	(void)pthread_mutex_unlock(&r->lock);
	if (left > 0)
		return;
	buf_fini(&r->chunk);
	for (size_t i = 0; i < r->n_headers; i++) {
		free(r->headers[i].name);
		free(r->headers[i].value);
	}
	free(r->text);
	free(r->query);
	free(r->body);
	(void)pthread_cond_destroy(&r->room);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* libevent has written (or dropped) the bytes of a piece. */
static void
piece_drained(const void *data, size_t len, void *ctx)
{
	struct piece *p = ctx;
	struct http_reply *r = p->reply;

	(void)data;
	(void)pthread_mutex_lock(&r->lock);
	r->in_flight -= len;
	r->drained += len;
	(void)pthread_cond_signal(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
	free(p->bytes);
	free(p);
	reply_unref(r);
}

void
reply_gone(struct http_reply *r)
{
	void (*on_gone)(void *ctx);

	(void)pthread_mutex_lock(&r->lock);
	r->gone = true;
	on_gone = r->on_gone;
	r->on_gone = NULL;
	(void)pthread_cond_signal(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
	if (on_gone != NULL)
		on_gone(r->gone_ctx);
}

/* What waits to be written is dropped, though not from within libevent. */
static void
on_close(struct evhttp_connection *connection, void *ctx)
{
	struct http_reply *r = ctx;

	(void)connection;
	reply_gone(r);
	reply_ref(r);
	loop_post(r->http->loop, pump, r);
}

/* 0: none */
static void
set_timeout(struct evhttp_connection *connection, int64_t timeout_ns)
{
	struct timeval tv = { .tv_sec = timeout_ns / NS_PER_SEC,
		.tv_usec = timeout_ns / 1000 % 1000000 };

	evhttp_connection_set_timeout_tv(connection, &tv);
}

void
reply_begin(struct http_reply *r)
{
	struct evhttp_connection *connection =
	    evhttp_request_get_connection(r->request);

	TAILQ_INSERT_HEAD(&r->http->replies, r, link);
	r->stall = loop_timer_new(r->http->loop, stall_due, r);
	evhttp_connection_set_closecb(connection, on_close, r);
	set_timeout(connection, 0);
	loop_timer_start(r->stall, r->http->options.timeout_ns);
}

/* ---- what goes with every answer ------------------------------------------ */

/* Nothing of an answer is for a page of somebody else, or to be kept. */
const struct http_fixed_header http_fixed[] = {
	{ "Cache-Control", "no-store" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Content-Security-Policy",
	    "default-src 'none'; frame-ancestors 'none'" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Strict-Transport-Security", "max-age=31536000" },
};

size_t
http_fixed_count(const struct http_face *face)
{
	return face->local ? 1 : sizeof(http_fixed) / sizeof(http_fixed[0]);
}

/* Behind what the handler gave. */
static void
add_headers(const struct http_face *face, struct evkeyvalq *headers, int status,
    const char *type)
{
	(void)evhttp_add_header(headers, "Content-Type", type);
	for (size_t i = 0; i < http_fixed_count(face); i++)
		(void)evhttp_add_header(headers, http_fixed[i].name,
		    http_fixed[i].value);
	if ((status == HTTP_SERVUNAVAIL || status == TOO_MANY) &&
	    evhttp_find_header(headers, "Retry-After") == NULL)
		(void)evhttp_add_header(headers, "Retry-After", "1");
}

void
reply_refuse(struct http_face *face, struct evhttp_request *request, int status,
    const char *message)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evbuffer_new();

	add_headers(face, headers, status, "application/json");
	if (status == HTTP_BADREQUEST) /* who knows what comes next */
		(void)evhttp_add_header(headers, "Connection", "close");
	if (body != NULL)
		(void)evbuffer_add_printf(body, "{\"error\":\"%s\"}\n",
		    message);
	face->http->answers = true;
	evhttp_send_reply(request, status, NULL, body);
	face->http->answers = false;
	if (body != NULL)
		evbuffer_free(body);
}

/* ---- in the loop's thread -------------------------------------------------- */

/*
 * While an answer is made nothing comes from the peer, and that may take long:
 * evhttp's timeout cannot tell that from a peer that is gone.  This one counts
 * only while bytes wait for the peer to read them.
 */
static void
stall_due(void *ctx)
{
	struct http_reply *r = ctx;
	struct evhttp_connection *connection =
	    evhttp_request_get_connection(r->request);
	bool stalled, stream;

	(void)pthread_mutex_lock(&r->lock);
	stalled = r->in_flight > 0 &&
	    r->drained - r->stall_mark <
		(r->in_flight < STALL_BYTES ? r->in_flight : STALL_BYTES);
	stream = r->stream;
	r->stall_mark = r->drained;
	(void)pthread_mutex_unlock(&r->lock);
	if (!stalled) {
		loop_timer_start(r->stall,
		    stream ? heartbeat_ns : r->http->options.timeout_ns);
		if (stream) /* shows whether the peer still is there */
			(void)http_stream_send(r, SLICE(":\n\n"));
		return;
	}
	reply_gone(r);
	if (connection != NULL)
		(void)shutdown(bufferevent_getfd(
				   evhttp_connection_get_bufferevent(
				       connection)),
		    SHUT_RDWR);
}

static bool
has_body(const struct http_reply *r)
{
	return r->status != HTTP_NOCONTENT && !r->head;
}

static void
start_reply(struct http_reply *r)
{
	struct evkeyvalq *headers =
	    evhttp_request_get_output_headers(r->request);

	for (size_t i = 0; i < r->n_headers; i++)
		(void)evhttp_add_header(headers, r->headers[i].name,
		    r->headers[i].value);
	add_headers(r->face, headers, r->status, r->type);
	if (!has_body(r)) {
		r->started = true;
		return; /* no chunks: end_reply() */
	}
	r->http->answers = true;
	evhttp_send_reply_start(r->request, r->status, NULL);
	r->http->answers = false;
	r->started = true;
}

static void
end_reply(struct http_reply *r)
{
	struct evhttp_connection *connection =
	    evhttp_request_get_connection(r->request);

	loop_timer_free(r->stall);
	r->stall = NULL;
	TAILQ_REMOVE(&r->http->replies, r, link);
	if (connection != NULL) {
		evhttp_connection_set_closecb(connection, NULL, NULL);
		set_timeout(connection, r->http->options.timeout_ns);
		connection_waits(connection_of(r->face, connection));
	}
	r->http->answers = true;
	/* frees the request if its connection is gone */
	if (!has_body(r) && connection != NULL)
		evhttp_send_reply(r->request, r->status, NULL, NULL);
	else
		evhttp_send_reply_end(r->request);
	r->http->answers = false;
	r->request = NULL;
	reply_unref(r);
}

static void
on_written(struct evhttp_connection *connection, void *ctx)
{
	struct http_reply *r = ctx;

	(void)connection;
	r->writing = false;
	reply_ref(r);
	pump(r);
}

/* Whether on_written() will be called. */
static bool
write_piece(struct http_reply *r, struct piece *p)
{
	bool there = evhttp_request_get_connection(r->request) != NULL;
	bool writes = there && p->len > 0 && has_body(r);
	struct evbuffer *body = evbuffer_new();

	if (!r->started && there)
		start_reply(r);
	if (!writes || body == NULL ||
	    evbuffer_add_reference(body, p->bytes, p->len, piece_drained, p) !=
		0) {
		piece_drained(NULL, p->len, p);
		writes = false;
	} else {
		r->http->answers = true;
		evhttp_send_reply_chunk_with_cb(r->request, body, on_written,
		    r);
		r->http->answers = false;
	}
	if (body != NULL)
		evbuffer_free(body);
	return writes;
}

/*
 * One piece after the other, and the end, each when the one before is written:
 * over TLS libevent tells of that later, and takes what was added meanwhile for
 * written as well.  Drops a reference.
 */
static void
pump(void *ctx)
{
	struct http_reply *r = ctx;

	if (r->request != NULL &&
	    evhttp_request_get_connection(r->request) == NULL)
		r->writing = false;
	while (r->request != NULL && !r->writing && !STAILQ_EMPTY(&r->pieces)) {
		struct piece *p = STAILQ_FIRST(&r->pieces);

		STAILQ_REMOVE_HEAD(&r->pieces, link);
		r->last |= p->last;
		r->writing = write_piece(r, p);
	}
	if (r->request != NULL && !r->writing && r->last)
		end_reply(r);
	reply_unref(r);
}

void
reply_abandon(struct http_reply *r)
{
	while (!STAILQ_EMPTY(&r->pieces)) {
		struct piece *p = STAILQ_FIRST(&r->pieces);

		STAILQ_REMOVE_HEAD(&r->pieces, link);
		piece_drained(NULL, p->len, p);
	}
	end_reply(r);
}

/* In the order of posting. */
static void
send_piece(void *ctx)
{
	struct piece *p = ctx;
	struct http_reply *r = p->reply;

	STAILQ_INSERT_TAIL(&r->pieces, p, link);
	reply_ref(r);
	pump(r);
}

/* ---- in a query thread ----------------------------------------------------- */

/* Gives the chunk to the loop, waiting for room; false: the peer is gone. */
static bool
post(struct http_reply *r, bool last)
{
	struct piece *p = xzalloc(sizeof(*p));
	bool gone;

	p->reply = r;
	p->last = last;
	p->bytes = r->chunk.ptr;
	p->len = r->chunk.len;
	r->begun = true;
	buf_init(&r->chunk, r->chunk.max);
	(void)pthread_mutex_lock(&r->lock);
	while (!r->gone && !last && r->in_flight > 0 &&
	    r->in_flight + p->len > HTTP_IN_FLIGHT_MAX)
		(void)pthread_cond_wait(&r->room, &r->lock);
	gone = r->gone;
	r->in_flight += p->len;
	r->refs++;
	(void)pthread_mutex_unlock(&r->lock);
	loop_post(r->http->loop, send_piece, p);
	return !gone;
}

bool
http_write(struct http_reply *r, struct slice bytes)
{
	bool gone;

	if (r->head)
		return false; /* nobody reads on */
	(void)buf_add_slice(&r->chunk, bytes);
	if (r->chunk.len >= CHUNK_BYTES)
		return post(r, false);
	(void)pthread_mutex_lock(&r->lock);
	gone = r->gone;
	(void)pthread_mutex_unlock(&r->lock);
	return !gone;
}

void
http_type(struct http_reply *r, int status, const char *type)
{
	assert(!r->begun);
	r->status = status;
	(void)snprintf(r->type, sizeof(r->type), "%s", type);
}

void
http_header(struct http_reply *r, const char *name, const char *value)
{
	assert(!r->begun && r->n_headers < REPLY_HEADERS_MAX);
	r->headers[r->n_headers].name = xstrdup(name);
	r->headers[r->n_headers++].value = xstrdup(value);
}

void
http_fail(struct http_reply *r, int status, const char *message)
{
	http_fail_at(r, status, message, 0);
}

void
http_fail_at(struct http_reply *r, int status, const char *message,
    size_t column)
{
	struct json_writer w;

	/* what was not sent yet is no answer any more */
	if (!r->begun) {
		buf_clear(&r->chunk);
		http_type(r, status, "application/json");
	}
	json_begin(&w, &r->chunk);
	json_open(&w, '{');
	json_key(&w, "error");
	json_str(&w, message);
	if (column > 0) {
		json_key(&w, "column");
		json_uint(&w, column);
	}
	json_close(&w, '}');
	(void)buf_add_char(&r->chunk, '\n');
}

int
http_status(const struct http_reply *r)
{
	return r->status;
}

void
reply_finish(struct http_reply *r)
{
	if (!r->stream)
		(void)post(r, true);
}

/* ---- streams --------------------------------------------------------------- */

bool
http_stream(struct http_reply *r, void (*on_gone)(void *ctx), void *ctx)
{
	bool gone;

	http_type(r, HTTP_OK, "text/event-stream");
	if (r->head)
		return false;
	(void)buf_add_str(&r->chunk, ":\n\n");
	(void)pthread_mutex_lock(&r->lock);
	gone = r->gone;
	if (!gone) {
		r->stream = true;
		r->on_gone = on_gone;
		r->gone_ctx = ctx;
		r->refs++; /* till http_stream_end() */
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (!gone)
		(void)post(r, false);
	return !gone;
}

bool
http_stream_send(struct http_reply *r, struct slice bytes)
{
	struct piece *p;
	bool no;

	(void)pthread_mutex_lock(&r->lock);
	no = r->gone || r->in_flight + bytes.len > HTTP_STREAM_MAX;
	if (!no) {
		r->in_flight += bytes.len;
		r->refs++;
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (no)
		return false;
	p = xzalloc(sizeof(*p));
	*p = (struct piece){ .reply = r,
		.bytes = xmemdupz(bytes.ptr, bytes.len),
		.len = bytes.len };
	loop_post(r->http->loop, send_piece, p);
	return true;
}

bool
http_stream_gone(struct http_reply *r)
{
	bool gone;

	(void)pthread_mutex_lock(&r->lock);
	gone = r->gone;
	(void)pthread_mutex_unlock(&r->lock);
	return gone;
}

void
http_stream_end(struct http_reply *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->gone = true;
	r->on_gone = NULL;
	(void)pthread_mutex_unlock(&r->lock);
	(void)post(r, true);
	reply_unref(r);
}
