/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <assert.h>
#include <ctype.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_private.h"
#include "log.h"
#include "priority.h"
#include "timestamp.h"
#include "tls.h"
#include "xalloc.h"

enum {
	/* a connection's bytes that nobody has asked for yet */
	READ_AHEAD_MAX = HTTP_HEADERS_MAX + HTTP_BODY_MAX,
	TOO_MANY = 429,
};

static const int64_t sweep_ns = NS_PER_SEC;
static const int64_t tell_ns = 10 * NS_PER_SEC;

/* ---- connections ----------------------------------------------------------- */

struct http_connection *
connection_of(struct http_face *face, struct evhttp_connection *evcon)
{
	struct ssl_st *ssl;

	if (face->local)
		return NULL;
	ssl = bufferevent_openssl_get_ssl(
	    evhttp_connection_get_bufferevent(evcon));
	return ssl != NULL ? tls_server_tag(ssl) : NULL;
}

void
connection_waits(struct http_connection *c)
{
	if (c != NULL)
		c->deadline_ns = loop_now() + c->face->limits.idle_ns;
}

/* Its SSL is freed: the connection is over. */
static void
connection_gone(void *tag)
{
	struct http_connection *c = tag;
	struct http_face *face = c->face;

	TAILQ_REMOVE(&face->connections, c, link);
	face->n_connections--;
	atomic_store(&face->http->connections, face->n_connections);
	free(c);
}

static struct bufferevent *
new_plain(struct event_base *base, void *ctx)
{
	struct bufferevent *bev =
	    bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (bev == NULL)
		abort(); /* of memory */
	bufferevent_setwatermark(bev, EV_READ, 0, READ_AHEAD_MAX);
	guard_output(ctx, bev);
	return bev;
}

static void
ask_address(struct http_connection *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char text[ADDRESS_TEXT];
	uint16_t port;

	if (getpeername(bufferevent_getfd(c->bev), (struct sockaddr *)&ss,
		&len) != 0)
		return;
	address_of_peer((struct sockaddr *)&ss, len, text);
	(void)address_split(text, c->address, &port);
}

static void
tell_limited(struct http_face *face, const char *address)
{
	int64_t now = loop_now();
	uint64_t n = atomic_fetch_add(&face->http->handshakes_limited, 1) + 1;

	if (face->limited_told != 0 && now - face->limited_told < tell_ns)
		return;
	face->limited_told = now;
	log_warn("HTTPS: %s: too many new connections (api.rate): closed "
		 "before the handshake, %llu since the start",
	    address, (unsigned long long)n);
}

/*
 * evhttp accepts by itself and tells nobody whom: the first moment that is ours
 * is the client's hello, which has cost nothing yet.  A second hello (RFC 8446,
 * 4.1.4) is of the same handshake.
 */
static bool
may_shake_hands(void *tag)
{
	struct http_connection *c = tag;
	struct http_face *face = c->face;

	if (c->begun)
		return true;
	ask_address(c);
	c->begun = limiter_take(face->handshakes, limiter_address(c->address),
	    loop_now());
	if (!c->begun)
		tell_limited(face, c->address);
	return c->begun;
}

/* evhttp would take NULL for "plain": so this never fails. */
static struct bufferevent *
new_tls(struct event_base *base, void *ctx)
{
	struct http_face *face = ctx;
	struct http_connection *c = xzalloc(sizeof(*c));

	c->face = face;
	c->deadline_ns = loop_now() + face->limits.head_ns;
	c->bev = bufferevent_openssl_socket_new(base, -1,
	    tls_server_new(face->tls, may_shake_hands, connection_gone, c),
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL)
		abort(); /* of memory */
	/* many peers close without a close_notify: each answer has its end */
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_AHEAD_MAX);
	guard_output(face, c->bev);
	TAILQ_INSERT_HEAD(&face->connections, c, link);
	face->n_connections++;
	atomic_store(&face->http->connections, face->n_connections);
	if (face->n_connections >= face->limits.connections) {
		/* the others wait in the backlog */
		(void)evconnlistener_disable(face->listener);
		face->full = true;
	}
	return c->bev;
}

static void
hang_up(struct http_connection *c)
{
	c->deadline_ns = INT64_MAX;
	atomic_fetch_add(&c->face->http->refused, 1);
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

static bool
too_many_of(const struct http_connection *c)
{
	struct slice key = limiter_address(c->address);
	const struct http_connection *other;
	size_t n = 0;

	TAILQ_FOREACH (other, &c->face->connections, link)
		n += slice_eq(limiter_address(other->address), key);
	return n > c->face->limits.address_connections;
}

/*
 * Each second: those that are too slow, and too many new ones of one address.
 * evhttp's own timeout begins anew with each byte.
 */
static void
sweep(void *ctx)
{
	struct http_face *face = ctx;
	int64_t now = loop_now();
	struct http_connection *c;

	/* shutdown() frees none of them: libevent does, later */
	TAILQ_FOREACH (c, &face->connections, link) {
		if (c->address[0] == '\0') {
			ask_address(c);
			if (c->address[0] != '\0' && too_many_of(c)) {
				hang_up(c);
				continue;
			}
		}
		if (c->deadline_ns <= now)
			hang_up(c);
	}
	if (face->full && face->n_connections < face->limits.connections) {
		(void)evconnlistener_enable(face->listener);
		face->full = false;
	}
	loop_timer_start(face->sweep, sweep_ns);
}

/* ---- requests --------------------------------------------------------------- */

static bool
local_peer(const struct http_face *face, struct evhttp_connection *connection,
    struct http_peer *out)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd =
	    bufferevent_getfd(evhttp_connection_get_bufferevent(connection));

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	out->local = true;
	out->uid = peer.uid;
	(void)memcpy(out->address, "unix", sizeof("unix"));
	return peer.uid == face->uid || peer.uid == 0;
}

static void
remote_peer(struct http_connection *c, struct http_peer *out)
{
	if (c->address[0] == '\0')
		ask_address(c);
	memcpy(out->address, c->address, sizeof(out->address));
	tls_server_certificate(bufferevent_openssl_get_ssl(c->bev),
	    out->certificate);
}

static const char *
method_name(enum evhttp_cmd_type method)
{
	switch (method) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	default:
		return "";
	}
}

static bool
all_digits(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n < 10 && s[n] == '\0';
}

/*
 * NULL, or why it is refused: what two readers of the same bytes could take for
 * different requests (RFC 9112, 6.3).
 */
static const char *
ambiguous(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	enum evhttp_cmd_type method = evhttp_request_get_command(request);
	bool body = method == EVHTTP_REQ_POST || method == EVHTTP_REQ_PUT ||
	    method == EVHTTP_REQ_PATCH;
	unsigned lengths = 0, codings = 0, hosts = 0;
	const struct evkeyval *h;

	TAILQ_FOREACH (h, headers, next) {
		if (strcasecmp(h->key, "Content-Length") == 0) {
			lengths++;
			if (!all_digits(h->value))
				return "the Content-Length is no number";
		} else if (strcasecmp(h->key, "Transfer-Encoding") == 0) {
			codings++;
			if (strcasecmp(h->value, "chunked") != 0)
				return "a Transfer-Encoding but chunked";
		} else if (strcasecmp(h->key, "Host") == 0) {
			hosts++;
		} else if (strpbrk(h->key, " \t") != NULL) {
			return "a header's name with a space";
		}
	}
	if (lengths + codings > 1)
		return "more than one word on the length of the body";
	if (hosts > 1)
		return "more than one Host";
	if (!body && codings + lengths > 0 &&
	    !(lengths == 1 &&
		strcmp(evhttp_find_header(headers, "Content-Length"), "0") ==
		    0))
		return "a body where none belongs";
	return NULL;
}

static struct slice
header_of(struct evkeyvalq *headers, const char *name)
{
	const char *value = evhttp_find_header(headers, name);

	/* lives as long as the request, which the reply keeps */
	return value != NULL ? (struct slice){ value, strlen(value) }
			     : (struct slice){ NULL, 0 };
}

/* The body, moved out of libevent's buffer. */
static void
take_body(struct http_reply *r)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->request);
	size_t len = evbuffer_get_length(in);

	r->body = xzalloc(len + 1);
	(void)evbuffer_remove(in, r->body, len);
	r->parsed.body = (struct slice){ r->body, len };
}

/* False: malformed. */
static bool
parse_request(struct http_reply *r)
{
	struct evkeyvalq *headers =
	    evhttp_request_get_input_headers(r->request);
	const struct evhttp_uri *uri =
	    evhttp_request_get_evhttp_uri(r->request);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri != NULL ? evhttp_uri_get_query(uri) : NULL;
	struct http_request *p = &r->parsed;

	if (path == NULL || path[0] != '/')
		return false;
	r->text = xstrdup(evhttp_request_get_uri(r->request));
	r->query = xstrdup(query != NULL ? query : "");
	p->method = method_name(evhttp_request_get_command(r->request));
	r->head = strcmp(p->method, "HEAD") == 0;
	p->target = (struct slice){ r->text, strlen(r->text) };
	p->path = (struct slice){ path, strlen(path) };
	p->headers = (struct http_headers){
		.authorization = header_of(headers, "Authorization"),
		.cookie = header_of(headers, "Cookie"),
		.csrf = header_of(headers, "X-CSRF-Token"),
		.content_type = header_of(headers, "Content-Type"),
		.origin = header_of(headers, "Origin"),
		.fetch_site = header_of(headers, "Sec-Fetch-Site"),
	};
	take_body(r);
	return http_parse_query(r->query, p);
}

static void
refuse(struct http_face *face, struct evhttp_request *request, int status,
    const char *message)
{
	atomic_fetch_add(&face->http->refused, status != TOO_MANY);
	atomic_fetch_add(&face->http->limited, status == TOO_MANY);
	reply_refuse(face, request, status, message);
}

/* 0, or the status with which it is refused at once. */
static int
may_ask(struct http_face *face, struct evhttp_connection *connection,
    struct http_peer *peer, const char **why)
{
	struct http_connection *c;

	if (face->local) {
		*why = "only the collector's user and root may";
		return local_peer(face, connection, peer) ? 0 : 403;
	}
	c = connection_of(face, connection);
	*why = "the connection is broken";
	if (c == NULL)
		return HTTP_BADREQUEST;
	remote_peer(c, peer);
	*why = "too many requests; try again";
	if (!limiter_take(face->rate, limiter_address(peer->address),
		loop_now())) {
		connection_waits(c);
		return TOO_MANY;
	}
	c->deadline_ns = INT64_MAX; /* until the answer is out */
	return 0;
}

/*
 * Slow ones have threads of their own, so that they hold up no query, and one
 * address has a part of the room, so that it holds up no other.
 */
static struct http_lane *
lane_of(struct http_reply *r, const char **why)
{
	struct http *h = r->http;
	const struct http_reply *other;
	struct slice key;
	unsigned n = 0;

	if (h->options.is_slow == NULL ||
	    !h->options.is_slow(h->options.ctx, &r->parsed))
		return &h->plain;
	r->slow = true;
	if (r->face->local)
		return &h->slow;
	key = limiter_address(r->parsed.peer.address);
	TAILQ_FOREACH (other, &h->replies, link)
		n += other->slow && !other->face->local &&
		    slice_eq(limiter_address(other->parsed.peer.address), key);
	if (n < HTTP_SLOW_OF_ADDRESS)
		return &h->slow;
	*why = "too many of these requests at once; try again";
	return NULL;
}

static void
on_request(struct evhttp_request *request, void *ctx)
{
	struct http_face *face = ctx;
	struct evhttp_connection *connection =
	    evhttp_request_get_connection(request);
	struct http_lane *lane = NULL;
	struct http_reply *r;
	const char *why;
	int status;

	atomic_fetch_add(&face->http->requests, 1);
	r = reply_new(face, request);
	status = may_ask(face, connection, &r->parsed.peer, &why);
	if (status == 0 && (why = ambiguous(request)) != NULL)
		status = HTTP_BADREQUEST;
	if (status == 0 && !parse_request(r)) {
		status = HTTP_BADREQUEST;
		why = "the request or its query is malformed";
	}
	if (status == 0 && (lane = lane_of(r, &why)) == NULL) {
		connection_waits(connection_of(face, connection));
		status = TOO_MANY;
	}
	if (status != 0) {
		refuse(face, request, status, why);
		reply_unref(r);
		return;
	}
	/* before a query thread can end it */
	reply_begin(r);
	if (queue_try_push(lane->waiting, r))
		return;
	evhttp_connection_set_closecb(connection, NULL, NULL);
	TAILQ_REMOVE(&face->http->replies, r, link);
	loop_timer_free(r->stall);
	connection_waits(connection_of(face, connection));
	reply_unref(r);
	refuse(face, request, HTTP_SERVUNAVAIL,
	    "too many requests are waiting; try again");
}

/* ---- threads ---------------------------------------------------------------- */

static void *
query_thread(void *ctx)
{
	struct http_lane *lane = ctx;
	const struct http_options *o = &lane->http->options;
	struct http_reply *r;

	stand_back();
	while ((r = queue_pop(lane->waiting)) != NULL) {
		o->handler(o->ctx, &r->parsed, r);
		reply_finish(r);
	}
	return NULL;
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
start_thread(pthread_t *thread, void *(*run)(void *), void *ctx)
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(thread, NULL, run, ctx) != 0)
		abort();
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void
start_face(struct http *h, struct http_face *face)
{
	struct timeval tv = {
		.tv_sec = h->options.timeout_ns / NS_PER_SEC,
		.tv_usec = h->options.timeout_ns / 1000 % 1000000,
	};

	face->http = h;
	TAILQ_INIT(&face->connections);
	face->evhttp = evhttp_new(loop_base(h->loop));
	if (face->evhttp == NULL)
		abort();
	evhttp_set_gencb(face->evhttp, on_request, face);
	evhttp_set_max_headers_size(face->evhttp, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(face->evhttp, HTTP_BODY_MAX);
	/* those that no route has too: they are answered by us */
	evhttp_set_allowed_methods(face->evhttp,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
		EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT);
	evhttp_set_timeout_tv(face->evhttp, &tv);
}

static void
start_lane(struct http *h, struct http_lane *lane, unsigned threads,
    size_t waiting_max)
{
	assert(threads > 0 && threads <= THREADS_MAX);
	lane->http = h;
	lane->waiting = queue_new(waiting_max);
	lane->n_threads = threads;
	for (unsigned i = 0; i < threads; i++)
		start_thread(&lane->threads[i], query_thread, lane);
}

struct http *
http_start(const struct http_options *options)
{
	struct http *h = xzalloc(sizeof(*h));

	h->options = *options;
	TAILQ_INIT(&h->replies);
	h->loop = loop_new();
	start_face(h, &h->control);
	start_face(h, &h->https);
	h->control.local = true;
	start_lane(h, &h->plain, options->query_threads, HTTP_WAITING_MAX);
	start_lane(h, &h->slow, HTTP_SLOW_THREADS, HTTP_SLOW_WAITING_MAX);
	return h;
}

/* Takes the descriptor. */
static enum rc
listen_on(struct http_face *face, int fd, struct error *err)
{
	struct evhttp_bound_socket *bound = NULL;

	if (evutil_make_socket_nonblocking(fd) == 0)
		bound = evhttp_accept_socket_with_handle(face->evhttp, fd);
	if (bound == NULL) {
		(void)close(fd);
		return error_set(err, RC_LIBRARY,
		    "libevent does not take the listening socket");
	}
	face->listener = evhttp_bound_socket_get_listener(bound);
	return RC_OK;
}

enum rc
http_serve_unix(struct http *h, int fd, unsigned uid, struct error *err)
{
	h->control.uid = uid;
	evhttp_set_bevcb(h->control.evhttp, new_plain, &h->control);
	return listen_on(&h->control, fd, err);
}

enum rc
http_serve_tls(struct http *h, int fd, struct tls_context *tls,
    const struct http_limits *limits, struct error *err)
{
	struct http_face *face = &h->https;

	face->limits = *limits;
	face->tls = tls_context_share(tls);
	face->rate =
	    limiter_new(limits->address_rate, 4 * limits->address_rate);
	face->handshakes =
	    limiter_new(limits->address_rate, 4 * limits->address_rate);
	face->sweep = loop_timer_new(h->loop, sweep, face);
	loop_timer_start(face->sweep, sweep_ns);
	evhttp_set_bevcb(face->evhttp, new_tls, face);
	return listen_on(face, fd, err);
}

struct tls_change {
	struct http *http;
	struct tls_context *tls;
};

static void
change_tls(void *ctx)
{
	struct tls_change *change = ctx;
	struct http_face *face = &change->http->https;

	tls_context_free(face->tls);
	face->tls = change->tls;
	free(change);
}

void
http_set_tls(struct http *h, struct tls_context *tls)
{
	struct tls_change *change = xzalloc(sizeof(*change));

	*change = (struct tls_change){ h, tls_context_share(tls) };
	loop_post(h->loop, change_tls, change);
}

void
http_run(struct http *h)
{
	start_thread(&h->loop_thread, loop_main, h);
	h->loop_runs = true;
}

void
http_counters(struct http *h, struct http_counters *out)
{
	*out = (struct http_counters){
		.connections = atomic_load(&h->connections),
		.requests = atomic_load(&h->requests),
		.limited = atomic_load(&h->limited),
		.refused = atomic_load(&h->refused),
		.handshakes_limited = atomic_load(&h->handshakes_limited),
	};
}

/* In the loop's thread: nobody waits for a peer any longer. */
static void
stop_replies(void *ctx)
{
	struct http *h = ctx;
	struct http_reply *r;

	TAILQ_FOREACH (r, &h->replies, link)
		reply_gone(r);
	queue_close(h->plain.waiting);
	queue_close(h->slow.waiting);
}

static void
join_lane(struct http_lane *lane)
{
	for (unsigned i = 0; i < lane->n_threads; i++)
		(void)pthread_join(lane->threads[i], NULL);
}

void
http_stop(struct http *h)
{
	if (h == NULL)
		return;
	if (h->loop_runs)
		loop_post(h->loop, stop_replies, h);
	else
		stop_replies(h);
	join_lane(&h->plain);
	join_lane(&h->slow);
	/* after all that they posted */
	if (h->loop_runs) {
		loop_stop(h->loop);
		(void)pthread_join(h->loop_thread, NULL);
	}
	while (!TAILQ_EMPTY(&h->replies))
		reply_abandon(TAILQ_FIRST(&h->replies));
	evhttp_free(h->control.evhttp);
	evhttp_free(h->https.evhttp);
	loop_timer_free(h->https.sweep);
	limiter_free(h->https.rate);
	limiter_free(h->https.handshakes);
	tls_context_free(h->https.tls);
	queue_free(h->plain.waiting);
	queue_free(h->slow.waiting);
	loop_free(h->loop);
	free(h);
}
