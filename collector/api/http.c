/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json.h"
#include "loop.h"
#include "queue.h"
#include "xalloc.h"

enum {
	CHUNK_BYTES = 32 * 1024,
	THREADS_MAX = 16,
};

/*
 * An answer belongs to two threads: the query thread that writes it and the
 * loop's, which alone touches `request` and the connection.  It is freed by the
 * loop's when it has ended (all posts of the query thread come before) and its
 * last byte is gone from libevent's buffers.
 */
struct http_reply {
	struct http *http;
	struct evhttp_request *request;
	const struct http_route *route;
	struct http_request params;
	char *query; /* owned: what the params point into */

	/* the query thread's */
	struct buf chunk;
	bool begun;
	int failed_status; /* 0: none */

	pthread_mutex_t lock;
	pthread_cond_t room;
	size_t in_flight; /* bytes posted and not yet written */
	bool gone;        /* the peer, or we are stopping */
	unsigned refs;

	/* the loop's */
	bool started;
	struct loop_timer *stall;
	size_t stall_mark; /* bytes drained when the timer was set */
	size_t drained;
	struct http_reply *next, **link; /* in http->replies */
};

struct http {
	struct http_options options;
	struct loop *loop;
	struct evhttp *evhttp;
	struct queue *waiting;
	pthread_t loop_thread;
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
	unsigned uid; /* of the control socket's peers, with root */
	struct http_reply *replies; /* the loop's: those that go on */
	bool loop_runs;
};

/* A piece of an answer on its way to the loop's thread. */
struct piece {
	struct http_reply *reply;
	char *bytes; /* owned */
	size_t len;
	bool last;
	int status; /* of the head, with the first one */
};

struct slice
http_param(const struct http_request *r, const char *name)
{
	struct slice wanted = { name, strlen(name) };

	for (size_t i = 0; i < r->n_params; i++)
		if (slice_eq(r->params[i].name, wanted))
			return r->params[i].value;
	return (struct slice){ NULL, 0 };
}

static void
unref(struct http_reply *r)
{
	unsigned left;

	(void)pthread_mutex_lock(&r->lock);
	left = --r->refs;
	(void)pthread_mutex_unlock(&r->lock);
	if (left > 0)
		return;
	buf_fini(&r->chunk);
	free(r->query);
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
	unref(r);
}

static void
set_gone(struct http_reply *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->gone = true;
	(void)pthread_cond_signal(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
}

static void
on_close(struct evhttp_connection *connection, void *ctx)
{
	(void)connection;
	set_gone(ctx);
}

static struct timeval
timeval_of(int64_t ns)
{
	return (struct timeval){ .tv_sec = ns / 1000000000,
		.tv_usec = ns / 1000 % 1000000 };
}

/* 0: none */
static void
set_timeout(struct evhttp_connection *connection, int64_t timeout_ns)
{
	struct timeval tv = timeval_of(timeout_ns);

	evhttp_connection_set_timeout_tv(connection, &tv);
}

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
	bool stalled;

	(void)pthread_mutex_lock(&r->lock);
	stalled = r->in_flight > 0 && r->drained == r->stall_mark;
	r->stall_mark = r->drained;
	(void)pthread_mutex_unlock(&r->lock);
	if (!stalled) {
		loop_timer_start(r->stall, r->http->options.timeout_ns);
		return;
	}
	set_gone(r);
	if (connection != NULL)
		(void)shutdown(bufferevent_getfd(
				   evhttp_connection_get_bufferevent(
				       connection)),
		    SHUT_RDWR);
}

static void
start_reply(struct http_reply *r, int status)
{
	struct evkeyvalq *headers =
	    evhttp_request_get_output_headers(r->request);

	(void)evhttp_add_header(headers, "Content-Type",
	    status == HTTP_OK ? "application/x-ndjson" : "application/json");
	(void)evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_send_reply_start(r->request, status, NULL);
	r->started = true;
}

static void
end_reply(struct http_reply *r)
{
	struct evhttp_connection *connection =
	    evhttp_request_get_connection(r->request);

	loop_timer_free(r->stall);
	r->stall = NULL;
	*r->link = r->next;
	if (r->next != NULL)
		r->next->link = r->link;
	if (connection != NULL) {
		evhttp_connection_set_closecb(connection, NULL, NULL);
		set_timeout(connection, r->http->options.timeout_ns);
	}
	/* frees the request if its connection is gone */
	evhttp_send_reply_end(r->request);
	r->request = NULL;
	unref(r);
}

/* In the loop's thread, in the order of posting. */
static void
send_piece(void *ctx)
{
	struct piece *p = ctx;
	struct http_reply *r = p->reply;
	struct evbuffer *body = evbuffer_new();
	bool last = p->last;

	if (!r->started && evhttp_request_get_connection(r->request) != NULL)
		start_reply(r, p->status);
	if (p->len == 0 || body == NULL ||
	    evbuffer_add_reference(body, p->bytes, p->len, piece_drained, p) !=
		0)
		piece_drained(NULL, p->len, p);
	else
		evhttp_send_reply_chunk(r->request, body);
	/* of a connection that is gone: the bytes are dropped here */
	if (body != NULL)
		evbuffer_free(body);
	/* `r` lives: its own reference is what end_reply() drops */
	if (last)
		end_reply(r); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* Gives the chunk to the loop, waiting for room; false: the peer is gone. */
static bool
post(struct http_reply *r, bool last)
{
	struct piece *p = xzalloc(sizeof(*p));
	bool gone;

	p->reply = r;
	p->status = r->failed_status != 0 ? r->failed_status : HTTP_OK;
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

	(void)buf_add_slice(&r->chunk, bytes);
	if (r->chunk.len >= CHUNK_BYTES)
		return post(r, false);
	(void)pthread_mutex_lock(&r->lock);
	gone = r->gone;
	(void)pthread_mutex_unlock(&r->lock);
	return !gone;
}

void
http_fail(struct http_reply *r, int status, const char *message)
{
	struct json_writer w;

	/* what was not sent yet is no answer any more */
	if (!r->begun) {
		buf_clear(&r->chunk);
		r->failed_status = status;
	}
	json_begin(&w, &r->chunk);
	json_open(&w, '{');
	json_key(&w, "error");
	json_str(&w, message);
	json_close(&w, '}');
	(void)buf_add_char(&r->chunk, '\n');
}

static void *
query_thread(void *ctx)
{
	struct http *h = ctx;
	struct http_reply *r;

	while ((r = queue_pop(h->waiting)) != NULL) {
		r->route->handler(h->options.ctx, &r->params, r);
		(void)post(r, true);
	}
	return NULL;
}

/* An answer that needs no query. */
static void
refuse(struct evhttp_request *request, int status, const char *message)
{
	struct evbuffer *body = evbuffer_new();

	(void)evhttp_add_header(evhttp_request_get_output_headers(request),
	    "Content-Type", "application/json");
	if (body != NULL)
		(void)evbuffer_add_printf(body, "{\"error\":\"%s\"}\n",
		    message);
	evhttp_send_reply(request, status, NULL, body);
	if (body != NULL)
		evbuffer_free(body);
}

static bool
may_ask(const struct http *h, struct evhttp_connection *connection)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd =
	    bufferevent_getfd(evhttp_connection_get_bufferevent(connection));

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	return peer.uid == h->uid || peer.uid == 0;
}

static const char *
method_name(enum evhttp_cmd_type method)
{
	switch (method) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	default:
		return "";
	}
}

static const struct http_route *
find_route(const struct http_route *routes, const char *path,
    enum evhttp_cmd_type method, int *status)
{
	*status = HTTP_NOTFOUND;
	for (; routes->path != NULL; routes++) {
		if (strcmp(routes->path, path) != 0)
			continue;
		*status = HTTP_BADMETHOD;
		if (strcmp(routes->method, method_name(method)) == 0)
			return routes;
	}
	return NULL;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes "%41" and "+" in place; false if it is malformed. */
static bool
decode(struct slice *s, char *text)
{
	char *to = text;

	for (size_t i = 0; i < s->len; i++) {
		char c = s->ptr[i];

		if (c == '%') {
			int high =
			    i + 2 < s->len ? hex_digit(s->ptr[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(s->ptr[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		*to++ = c;
	}
	s->len = (size_t)(to - text);
	return true;
}

/* "a=b&c=d", in place; false: malformed, or too many. */
static bool
parse_query(char *text, struct http_request *r)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "&");
		size_t equals = strcspn(text, "=&");
		struct http_param *p = &r->params[r->n_params];
		char *value = text + equals + (equals < len);
		bool more = text[len] == '&';

		if (len > 0) {
			if (r->n_params == HTTP_PARAMS_MAX)
				return false;
			p->name = (struct slice){ text, equals };
			p->value = (struct slice){ value,
				(size_t)(text + len - value) };
			if (!decode(&p->name, text) ||
			    !decode(&p->value, value))
				return false;
			r->n_params++;
		}
		text += len + more;
	}
	return true;
}

static struct http_reply *
reply_new(struct http *h, struct evhttp_request *request,
    const struct http_route *route, const char *query)
{
	struct http_reply *r = xzalloc(sizeof(*r));

	r->http = h;
	r->request = request;
	r->route = route;
	r->query = xstrdup(query != NULL ? query : "");
	r->refs = 1;
	buf_init(&r->chunk, SIZE_MAX / 2);
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->room, NULL);
	return r;
}

static void
serve(struct http *h, struct evhttp_request *request,
    const struct http_route *route)
{
	struct evhttp_connection *connection =
	    evhttp_request_get_connection(request);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	struct http_reply *r =
	    reply_new(h, request, route, evhttp_uri_get_query(uri));

	if (!parse_query(r->query, &r->params)) {
		refuse(request, HTTP_BADREQUEST, "the query is malformed");
		unref(r);
		return;
	}
	/* before a query thread can see it */
	r->stall = loop_timer_new(h->loop, stall_due, r);
	r->link = &h->replies;
	r->next = h->replies;
	if (r->next != NULL)
		r->next->link = &r->next;
	h->replies = r;
	if (!queue_try_push(h->waiting, r)) {
		h->replies = r->next;
		if (r->next != NULL)
			r->next->link = r->link;
		loop_timer_free(r->stall);
		unref(r);
		refuse(request, HTTP_SERVUNAVAIL,
		    "too many requests are waiting; try again");
		return;
	}
	evhttp_connection_set_closecb(connection, on_close, r);
	set_timeout(connection, 0);
	loop_timer_start(r->stall, h->options.timeout_ns);
}

static void
on_request(struct evhttp_request *request, void *ctx)
{
	struct http *h = ctx;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	const struct http_route *route;
	int status;

	if (!may_ask(h, evhttp_request_get_connection(request))) {
		refuse(request, 403, "only the collector's user and root may");
		return;
	}
	if (path == NULL) {
		refuse(request, HTTP_BADREQUEST, "the request is malformed");
		return;
	}
	route = find_route(h->options.routes, path,
	    evhttp_request_get_command(request), &status);
	if (route != NULL)
		serve(h, request, route);
	else
		refuse(request, status,
		    status == HTTP_NOTFOUND ? "no such resource"
					    : "not by this method");
}

static void *
loop_main(void *ctx)
{
	struct http *h = ctx;

	loop_run(h->loop);
	return NULL;
}

/* Signals are the main thread's; SIGPIPE nobody's. */
static void
start_thread(pthread_t *thread, void *(*run)(void *), struct http *h)
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(thread, NULL, run, h) != 0)
		abort();
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct http *
http_start(const struct http_options *options)
{
	struct http *h = xzalloc(sizeof(*h));
	struct timeval tv;

	h->options = *options;
	h->loop = loop_new();
	h->evhttp = evhttp_new(loop_base(h->loop));
	if (h->evhttp == NULL)
		abort();
	evhttp_set_gencb(h->evhttp, on_request, h);
	evhttp_set_max_headers_size(h->evhttp, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(h->evhttp, HTTP_BODY_MAX);
	evhttp_set_allowed_methods(h->evhttp,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
		EVHTTP_REQ_DELETE);
	tv = timeval_of(options->timeout_ns);
	evhttp_set_timeout_tv(h->evhttp, &tv);
	h->waiting = queue_new(HTTP_WAITING_MAX);
	h->n_threads = options->query_threads;
	assert(h->n_threads > 0 && h->n_threads <= THREADS_MAX);
	for (unsigned i = 0; i < h->n_threads; i++)
		start_thread(&h->threads[i], query_thread, h);
	return h;
}

enum rc
http_serve_unix(struct http *h, int fd, unsigned uid, struct error *err)
{
	h->uid = uid;
	if (evutil_make_socket_nonblocking(fd) != 0 ||
	    evhttp_accept_socket_with_handle(h->evhttp, fd) == NULL) {
		(void)close(fd);
		return error_set(err, RC_LIBRARY,
		    "libevent does not take the control socket");
	}
	start_thread(&h->loop_thread, loop_main, h);
	h->loop_runs = true;
	return RC_OK;
}

/* In the loop's thread: nobody waits for a peer any longer. */
static void
stop_replies(void *ctx)
{
	struct http *h = ctx;

	for (struct http_reply *r = h->replies; r != NULL; r = r->next)
		set_gone(r);
	queue_close(h->waiting);
}

void
http_stop(struct http *h)
{
	if (h == NULL)
		return;
	if (h->loop_runs)
		loop_post(h->loop, stop_replies, h);
	else
		queue_close(h->waiting);
	for (unsigned i = 0; i < h->n_threads; i++)
		(void)pthread_join(h->threads[i], NULL);
	/* after all that they posted */
	if (h->loop_runs) {
		loop_stop(h->loop);
		(void)pthread_join(h->loop_thread, NULL);
	}
	evhttp_free(h->evhttp);
	queue_free(h->waiting);
	loop_free(h->loop);
	free(h);
}
