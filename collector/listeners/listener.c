/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that listen, their connections, and the public face of listeners. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/listeners/connection.h"
#include "limiter.h"
#include "xalloc.h"

enum {
	ACCEPT_TURN = 16,
	AGAIN_TURN = 64,
	LOG_BURST = 50,
	LOG_TEXT = 1024,
	MIN_BUCKETS = 64,
	NEWCOMERS_BURST = 10, /* seconds */
};

static const int64_t log_span_ns = 10 * 1000000000LL;
static const int64_t sweep_ns = 500 * 1000000LL;

/* A peer that is gone without a word is noticed in two minutes. */
static const struct {
	int level, name, value;
} peer_options[] = {
	{ IPPROTO_TCP, TCP_NODELAY, 1 }, { SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 60 }, { IPPROTO_TCP, TCP_KEEPINTVL, 15 },
	{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 120000 }, /* ms */
};

void
listener_log(struct listener *l, const char *fmt, ...)
{
	int64_t now = loop_now();
	char text[LOG_TEXT];
	va_list ap;

	if (l->options.on_log == NULL)
		return;
	if (now - l->log_since >= log_span_ns) {
		if (l->log_dropped > 0) {
			(void)snprintf(text, sizeof(text),
			    "%u more messages about peers were left out",
			    l->log_dropped);
			l->options.on_log(l->options.ctx, text);
		}
		l->log_since = now;
		l->log_n = l->log_dropped = 0;
	}
	if (l->log_n++ >= LOG_BURST) {
		l->log_dropped++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->options.on_log(l->options.ctx, text);
}

static struct connection_bucket *
bucket(struct listener *l, uint64_t id)
{
	return &l->by_id[(id / FRAMERS) & (l->buckets - 1)];
}

static struct connection *
find(struct listener *l, uint64_t id)
{
	struct connection *c;

	SLIST_FOREACH(c, bucket(l, id), id_link)
	if (c->id == id)
		return c;
	return NULL;
}

void
listener_add(struct listener *l, struct connection *c)
{
	c->id = l->next_id;
	l->next_id += FRAMERS;
	TAILQ_INSERT_TAIL(&l->all, c, link);
	SLIST_INSERT_HEAD(bucket(l, c->id), c, id_link);
	if (l->n++ == 0)
		loop_timer_start(l->sweep, sweep_ns);
}

static void
watch_socket(struct listener *l)
{
	bool room = l->n < l->options.max_connections && l->fd != -1;

	if (l->io == NULL || room == l->accepting)
		return;
	l->accepting = room;
	loop_io_want(l->io, room ? LOOP_READ : 0);
}

void
listener_bury(struct listener *l, struct connection *c)
{
	TAILQ_REMOVE(&l->all, c, link);
	SLIST_REMOVE(bucket(l, c->id), c, connection, id_link);
	if (c->again)
		TAILQ_REMOVE(&l->again, c, again_link);
	c->again = false;
	listener_unpause(c);
	if (l->favourite == c)
		l->favourite = NULL;
	TAILQ_INSERT_TAIL(&l->dead, c, link);
	l->n--;
	loop_timer_start(l->soon, 0);
	watch_socket(l);
}

void
listener_read_again(struct connection *c)
{
	struct listener *l = c->listener;

	if (c->again || c->state == CONNECTION_DEAD)
		return;
	c->again = true;
	TAILQ_INSERT_TAIL(&l->again, c, again_link);
	loop_timer_start(l->soon, 0);
}

/* Its frame is not yet whole. */
static bool
is_favourite(const struct listener *l, const struct connection *c)
{
	return l->favourite == c && c->in.len > 0 &&
	    c->pieces == l->favourite_pieces;
}

/*
 * Somebody to go on although the budget is used up: only if what fills it is
 * mostly unfinished frames, which nobody downstream can give back.
 */
void
listener_favour(struct listener *l)
{
	struct connection *c;

	if (l->favourite != NULL && is_favourite(l, l->favourite))
		return;
	l->favourite = NULL;
	if (l->held == 0 || l->held < budget_used(l->options.budget) / 2)
		return;
	TAILQ_FOREACH (c, &l->paused, pause_link)
		if (c->stuck == NULL && c->in.len > 0)
			break;
	if (c == NULL)
		return;
	l->favourite = c;
	l->favourite_pieces = c->pieces;
	listener_unpause(c);
	connection_update(c);
	listener_read_again(c);
}

bool
listener_may_read(struct connection *c)
{
	struct listener *l = c->listener;

	return is_favourite(l, c) || budget_available(l->options.budget);
}

void
listener_pause(struct connection *c)
{
	struct listener *l = c->listener;

	if ((c->pauses & PAUSE_ROOM) == 0)
		TAILQ_INSERT_TAIL(&l->paused, c, pause_link);
	c->pauses |= PAUSE_ROOM;
	if (l->favourite == c)
		l->favourite = NULL;
	connection_update(c);
	listener_favour(l);
}

void
listener_unpause(struct connection *c)
{
	if ((c->pauses & PAUSE_ROOM) != 0)
		TAILQ_REMOVE(&c->listener->paused, c, pause_link);
	c->pauses &= ~(unsigned)PAUSE_ROOM;
}

void
listener_resume(struct listener *l)
{
	struct connection *c;
	size_t waiting = 0;
	bool room = true;

	/*
	 * Each once; who waits again goes to the end, so the order stays.
	 * Counted, for any of them may leave the list meanwhile: as favourite.
	 */
	TAILQ_FOREACH (c, &l->paused, pause_link)
		waiting++;
	while (waiting-- > 0 && (c = TAILQ_FIRST(&l->paused)) != NULL) {
		TAILQ_REMOVE(&l->paused, c, pause_link);
		TAILQ_INSERT_TAIL(&l->paused, c, pause_link);
		if (c->stuck != NULL && room)
			room = connection_resume(c);
		else if (c->stuck == NULL &&
		    budget_available(l->options.budget))
			(void)connection_resume(c);
	}
	listener_favour(l);
}

static void
reap(struct listener *l)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&l->dead)) != NULL) {
		TAILQ_REMOVE(&l->dead, c, link);
		connection_free(c);
	}
}

static void
on_soon(void *ctx)
{
	struct listener *l = ctx;
	struct connection *c;

	for (int i = 0; i < AGAIN_TURN; i++) {
		c = TAILQ_FIRST(&l->again);
		if (c == NULL)
			break;
		TAILQ_REMOVE(&l->again, c, again_link);
		c->again = false;
		connection_read(c);
	}
	reap(l);
	if (!TAILQ_EMPTY(&l->again))
		loop_timer_start(l->soon, 0);
}

static void
on_sweep(void *ctx)
{
	struct listener *l = ctx;
	struct connection *c, *next;
	int64_t now = loop_now();

	for (c = TAILQ_FIRST(&l->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		connection_tick(c, now);
	}
	watch_socket(l); /* may have paused for want of descriptors */
	listener_favour(l);
	if (l->n > 0)
		loop_timer_start(l->sweep, sweep_ns);
}

/* Not worth a handshake, which costs us more than them: they come again. */
static void
turn_away(struct listener *l, int fd, const char *host)
{
	int64_t now = loop_now();

	l->limited++;
	if (l->options.on_limited != NULL)
		l->options.on_limited(l->options.ctx);
	if (l->limited_told == 0 || now - l->limited_told >= log_span_ns) {
		l->limited_told = now;
		listener_log(l,
		    "%s: %s: too many new connections (connection_rate): "
		    "closed before the handshake, %llu since the start",
		    l->address, host, (unsigned long long)l->limited);
	}
	(void)close(fd);
}

static void
accept_peer(struct listener *l, int fd, const struct sockaddr *sa,
    socklen_t len)
{
	char peer[ADDRESS_TEXT], host[ADDRESS_HOST];
	uint16_t port;

	address_of_peer(sa, len, peer);
	if (l->newcomers != NULL && address_split(peer, host, &port) &&
	    !limiter_take(l->newcomers, limiter_address(host), loop_now())) {
		turn_away(l, fd, host);
		return;
	}
	for (size_t i = 0; i < sizeof(peer_options) / sizeof(peer_options[0]);
	     i++)
		(void)setsockopt(fd, peer_options[i].level,
		    peer_options[i].name, &peer_options[i].value, sizeof(int));
	(void)connection_new(l, fd, peer);
}

/* The rest waits in the backlog: nothing is refused that can be served later */
static void
stop_for_now(struct listener *l, const char *why)
{
	if (!l->full_told)
		listener_log(l, "%s: no more connections for now: %s",
		    l->address, why);
	l->full_told = true;
	l->accepting = false;
	loop_io_want(l->io, 0);
	loop_timer_start(l->sweep, sweep_ns);
}

static void
on_accept(void *ctx, int fd, unsigned ready)
{
	struct listener *l = ctx;

	(void)ready;
	for (int i = 0; i < ACCEPT_TURN; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		int peer;

		if (l->n >= l->options.max_connections) {
			stop_for_now(l, "the bound is reached");
			return;
		}
		peer = accept4(fd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (peer != -1)
			accept_peer(l, peer, (struct sockaddr *)&ss, len);
		else if (errno == EMFILE || errno == ENFILE ||
		    errno == ENOBUFS || errno == ENOMEM)
			stop_for_now(l, "no descriptors or memory");
		if (peer == -1)
			return;
		l->full_told = false;
	}
}

enum rc
listener_open(struct loop *loop, const struct framer *framer,
    const struct listener_options *options, struct listener **out,
    struct error *err)
{
	struct listener *l = xzalloc(sizeof(*l));
	enum rc rc;

	*out = NULL;
	l->framer = framer;
	l->loop = loop;
	l->options = *options;
	if (l->options.limits == NULL)
		l->options.limits = &lumberjack_limits_default;
	l->fd = -1;
	/* ids of all listeners of a process differ, without a global */
	l->next_id = (uint64_t)loop_now() * FRAMERS + framer->kind;
	TAILQ_INIT(&l->all);
	TAILQ_INIT(&l->dead);
	TAILQ_INIT(&l->again);
	TAILQ_INIT(&l->paused);
	for (l->buckets = MIN_BUCKETS; l->buckets < options->max_connections;)
		l->buckets *= 2;
	l->by_id = xcalloc(l->buckets, sizeof(*l->by_id));
	l->sweep = loop_timer_new(loop, on_sweep, l);
	l->soon = loop_timer_new(loop, on_soon, l);
	if (options->connection_rate > 0)
		l->newcomers = limiter_new(options->connection_rate,
		    NEWCOMERS_BURST * options->connection_rate);
	rc = address_listen(options->address, &l->fd, l->address, err);
	if (rc != RC_OK) {
		listener_free(l);
		return rc;
	}
	l->io = loop_io_new(loop, l->fd, on_accept, l);
	watch_socket(l);
	*out = l;
	return RC_OK;
}

void
listener_ack(struct listener *l, uint64_t connection, uint32_t count)
{
	struct connection *c = find(l, connection);

	if (c != NULL)
		connection_ack(c, count);
}

void
listener_tell(struct listener *l, uint64_t connection, struct slice json)
{
	struct connection *c = find(l, connection);

	if (c != NULL)
		connection_tell(c, json);
}

void
listener_fail(struct listener *l, uint64_t connection)
{
	struct connection *c = find(l, connection);

	if (c != NULL)
		connection_close(c);
}

void
listener_stop_accepting(struct listener *l)
{
	struct connection *c, *next;

	loop_io_free(l->io);
	l->io = NULL;
	l->accepting = false;
	if (l->fd != -1)
		(void)close(l->fd);
	l->fd = -1;
	l->draining = true;
	for (c = TAILQ_FIRST(&l->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state != CONNECTION_HANDSHAKE)
			connection_drain(c);
		else if (l->framer->acks)
			connection_close(c); /* it comes again */
	}
}

bool
listener_drained(const struct listener *l)
{
	return l->framer->acks || TAILQ_EMPTY(&l->all);
}

void
listener_end_drain(struct listener *l)
{
	struct connection *c, *next;

	for (c = TAILQ_FIRST(&l->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!l->framer->acks)
			connection_close(c);
	}
}

void
listener_set_tls(struct listener *l, struct tls_context *tls)
{
	l->options.tls = tls;
}

void
listener_free(struct listener *l)
{
	struct connection *c;

	if (l == NULL)
		return;
	while ((c = TAILQ_FIRST(&l->all)) != NULL)
		connection_close(c);
	reap(l);
	loop_io_free(l->io);
	loop_timer_free(l->sweep);
	loop_timer_free(l->soon);
	if (l->fd != -1)
		(void)close(l->fd);
	limiter_free(l->newcomers);
	free(l->by_id);
	free(l);
}

const char *
listener_address(const struct listener *l)
{
	return l->address;
}

size_t
listener_connections(const struct listener *l)
{
	return l->n;
}

size_t
listener_unacked(const struct listener *l)
{
	const struct connection *c;
	size_t n = 0;

	TAILQ_FOREACH (c, &l->all, link)
		if (l->framer->acks && c->unacked > 0)
			n += c->unacked - (l->framer->whole(c) ? 0 : 1);
	return n;
}
