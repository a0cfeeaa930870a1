/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener in a loop of its own thread, a stand-in for what is downstream,
 * and blocking clients, for the listeners' tests.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "address.h"
#include "collector/listeners/listener.h"
#include "pki.h"
#include "tap.h"
#include "xalloc.h"

enum {
	WORLD_PIECES = 1 << 16,
	WORLD_LOG = 1 << 16,
	WORLD_WAIT_MS = 20000,
	WORLD_MAX = 1200,
};

typedef enum rc listen_fn(struct loop *loop,
    const struct listener_options *options, struct listener **out,
    struct error *err);

struct world {
	struct pki pki;
	struct tls_context *server, *agent;
	struct loop *loop;
	struct budget *budget;
	struct listener *listener;
	pthread_t thread;

	pthread_mutex_t lock;
	struct piece *pieces[WORLD_PIECES];
	size_t n;
	size_t bytes; /* of all pieces */
	bool full;    /* takes no pieces */
	bool hoard;   /* gives nothing back to the budget */
	size_t hoarded;
	unsigned opened, closed;
	size_t connections; /* see world_connections() */
	struct buf log;
	struct listener_options options;
	listen_fn *listen;
};

static inline void
world_room(void *ctx)
{
	struct world *w = ctx;

	if (w->listener != NULL)
		listener_resume(w->listener);
}

/* From any thread: bytes came back. */
static inline void
world_on_room(void *ctx)
{
	struct world *w = ctx;

	loop_post(w->loop, world_room, w);
}

static inline bool
world_on_piece(void *ctx, struct piece *p)
{
	struct world *w = ctx;
	size_t give_back = 0;

	(void)pthread_mutex_lock(&w->lock);
	if (w->full) {
		(void)pthread_mutex_unlock(&w->lock);
		return false;
	}
	w->pieces[w->n++] = p;
	w->bytes += p->len;
	if (w->hoard)
		w->hoarded += p->charged;
	else
		give_back = p->charged;
	(void)pthread_mutex_unlock(&w->lock);
	budget_release(w->budget, give_back);
	return true;
}

static inline void
world_on_open(void *ctx, uint64_t connection, const char *agent,
    const char *peer)
{
	struct world *w = ctx;

	(void)connection;
	(void)agent;
	(void)peer;
	(void)pthread_mutex_lock(&w->lock);
	w->opened++;
	(void)pthread_mutex_unlock(&w->lock);
}

static inline void
world_on_close(void *ctx, uint64_t connection)
{
	struct world *w = ctx;

	(void)connection;
	(void)pthread_mutex_lock(&w->lock);
	w->closed++;
	(void)pthread_mutex_unlock(&w->lock);
}

static inline void
world_on_log(void *ctx, const char *message)
{
	struct world *w = ctx;

	(void)pthread_mutex_lock(&w->lock);
	(void)buf_printf(&w->log, "%s\n", message);
	(void)pthread_mutex_unlock(&w->lock);
}

static inline void *
world_thread(void *ctx)
{
	struct world *w = ctx;

	loop_run(w->loop);
	return NULL;
}

static inline bool
world_start(struct world *w, size_t budget_bytes)
{
	struct error err;

	w->loop = loop_new();
	w->budget = budget_new(budget_bytes, world_on_room, w);
	(void)pthread_mutex_init(&w->lock, NULL);
	buf_init(&w->log, WORLD_LOG);
	w->options = (struct listener_options){
		.address = "127.0.0.1:0",
		.tls = w->server,
		.budget = w->budget,
		.limits = &lumberjack_limits_default,
		.max_connections = WORLD_MAX,
		.idle_timeout_ns = w->options.idle_timeout_ns,
		.connection_rate = w->options.connection_rate,
		.handshake_timeout_ns = 1000000000LL,
		.on_piece = world_on_piece,
		.on_open = world_on_open,
		.on_close = world_on_close,
		.on_log = world_on_log,
		.ctx = w,
	};
	if (w->listen(w->loop, &w->options, &w->listener, &err) != RC_OK) {
		CHECK(false, "listens: %s", err.text);
		return false;
	}
	return pthread_create(&w->thread, NULL, world_thread, w) == 0;
}

static inline void
world_stop(struct world *w)
{
	loop_stop(w->loop);
	(void)pthread_join(w->thread, NULL);
	listener_free(w->listener);
	w->listener = NULL;
	for (size_t i = 0; i < w->n; i++)
		piece_free(w->pieces[i]);
	budget_release(w->budget, w->hoarded);
	CHECK(budget_used(w->budget) == 0, "the budget got all back");
	CHECK(w->opened == w->closed, "each opened was closed");
	budget_free(w->budget);
	loop_free(w->loop);
	buf_fini(&w->log);
	w->n = w->bytes = w->hoarded = 0;
	w->opened = w->closed = 0;
	w->full = w->hoard = false;
}

static inline void
world_pause(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* Runs `cb` in the loop and waits for it. */
struct world_call {
	loop_call_cb *cb;
	void *ctx;
	atomic_bool done;
};

static inline void
world_run_call(void *ctx)
{
	struct world_call *call = ctx;

	call->cb(call->ctx);
	atomic_store(&call->done, true);
}

static inline void
world_do(struct world *w, loop_call_cb *cb, void *ctx)
{
	struct world_call call = { .cb = cb, .ctx = ctx };

	loop_post(w->loop, world_run_call, &call);
	while (!atomic_load(&call.done))
		world_pause(1);
}

static inline size_t
world_count(struct world *w)
{
	size_t n;

	(void)pthread_mutex_lock(&w->lock);
	n = w->n;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

static inline bool
world_opened(struct world *w)
{
	bool any;

	(void)pthread_mutex_lock(&w->lock);
	any = w->opened > 0;
	(void)pthread_mutex_unlock(&w->lock);
	return any;
}

static inline size_t
world_bytes(struct world *w)
{
	size_t n;

	(void)pthread_mutex_lock(&w->lock);
	n = w->bytes;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

static inline bool
world_wait_pieces(struct world *w, size_t n)
{
	for (int i = 0; i < WORLD_WAIT_MS / 5; i++) {
		if (world_count(w) >= n)
			return true;
		world_pause(5);
	}
	return false;
}

static inline bool
world_logged(struct world *w, const char *text)
{
	bool found;

	(void)pthread_mutex_lock(&w->lock);
	(void)buf_add_char(&w->log, '\0');
	found = strstr(w->log.ptr, text) != NULL;
	w->log.len--;
	(void)pthread_mutex_unlock(&w->lock);
	return found;
}

static inline void
world_connections_call(void *ctx)
{
	struct world *w = ctx;

	w->connections = listener_connections(w->listener);
}

static inline size_t
world_connections(struct world *w)
{
	world_do(w, world_connections_call, w);
	return w->connections;
}

/* Whether a peer has come, and all have gone, within the time. */
static inline bool
world_wait_gone(struct world *w)
{
	for (int i = 0; i < WORLD_WAIT_MS / 5; i++) {
		if (world_opened(w) && world_connections(w) == 0)
			return true;
		world_pause(5);
	}
	return false;
}

/* Whether a peer's handshake is over, within the time. */
static inline bool
world_wait_opened(struct world *w)
{
	for (int i = 0; i < WORLD_WAIT_MS / 5; i++) {
		if (world_opened(w))
			return true;
		world_pause(5);
	}
	return false;
}

struct world_ack {
	struct world *world;
	uint64_t connection;
	uint32_t count;
};

static inline void
world_ack_call(void *ctx)
{
	struct world_ack *a = ctx;

	listener_ack(a->world->listener, a->connection, a->count);
}

static inline void
world_ack(struct world *w, uint64_t connection, uint32_t count)
{
	struct world_ack a = { w, connection, count };

	world_do(w, world_ack_call, &a);
}

static inline void
world_fail_call(void *ctx)
{
	struct world_ack *a = ctx;

	listener_fail(a->world->listener, a->connection);
}

static inline int
client_socket(struct world *w)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char host[ADDRESS_HOST];
	uint16_t port = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)address_split(listener_address(w->listener), host, &port);
	sin.sin_port = htons(port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static inline bool
client_wait(struct tls *t, int timeout_ms)
{
	struct pollfd p = { .fd = tls_fd(t),
		.events = tls_wants(t) == LOOP_WRITE ? POLLOUT : POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* NULL: not within the time, or refused. */
static inline struct tls *
client_open(struct world *w, struct tls_context *ctx, struct error *err)
{
	int fd = client_socket(w);
	struct tls *t;
	enum rc rc;

	if (fd == -1)
		return NULL;
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	t = tls_new(ctx, fd, "127.0.0.1");
	while ((rc = tls_handshake(t, err)) == RC_AGAIN)
		if (!client_wait(t, WORLD_WAIT_MS))
			break;
	if (rc == RC_OK)
		return t;
	tls_free(t);
	return NULL;
}

/* Bytes sent within the time. */
static inline size_t
client_send(struct tls *t, const void *bytes, size_t len, int timeout_ms)
{
	struct error err;
	size_t sent = 0;

	while (sent < len) {
		size_t n;
		enum rc rc = tls_write(t, (const char *)bytes + sent,
		    len - sent, &n, &err);

		sent += n;
		if (rc == RC_AGAIN && client_wait(t, timeout_ms))
			continue;
		if (rc != RC_OK)
			break;
	}
	return sent;
}

/* RC_OK: `len` bytes; RC_AGAIN: not within the time. */
static inline enum rc
client_receive(struct tls *t, void *out, size_t len, int timeout_ms,
    struct error *err)
{
	size_t got = 0;

	while (got < len) {
		size_t n;
		enum rc rc = tls_read(t, (char *)out + got, len - got, &n, err);

		got += n;
		if (rc == RC_AGAIN && client_wait(t, timeout_ms))
			continue;
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* The next ACK's number; -1: closed, -2: none came. */
static inline int64_t
client_ack(struct tls *t, int timeout_ms)
{
	unsigned char a[6];
	struct error err;
	enum rc rc = client_receive(t, a, sizeof(a), timeout_ms, &err);

	if (rc == RC_AGAIN)
		return -2;
	if (rc != RC_OK || a[0] != '2' || a[1] != 'A')
		return -1;
	return (int64_t)a[2] << 24 | a[3] << 16 | a[4] << 8 | a[5];
}

static inline void
world_more_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}
