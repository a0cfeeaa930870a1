/* SPDX-License-Identifier: Apache-2.0 */
/* One peer of a listener, from accept to its end. */
#include "collector/listeners/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "xalloc.h"

enum {
	READ_ROOM = 32 * 1024,  /* for one TLS read */
	READ_TURN = 256 * 1024, /* for one turn of one connection */
	OUT_MAX = 1 << 20,      /* bytes of ACKs not yet written */
	OUT_PAUSE = 16 * 1024,  /* more: the peer does not read them */
	LINGER_BYTES = 64 * 1024,
	PIECE_COST = 512, /* of one without bytes, all its strings counted */
};

static const int64_t keepalive_ns = 3 * 1000000000LL;
static const int64_t linger_ns = 2 * 1000000000LL;

static int64_t
wall_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void
piece_free(struct piece *p)
{
	if (p == NULL)
		return;
	free(p->bytes);
	free(p->agent);
	free(p->owner);
	free(p->peer);
	free(p);
}

/* The budget knows what is buffered here. */
static void
settle(struct connection *c)
{
	struct listener *l = c->listener;
	size_t now = c->in.cap;

	if (now > c->charged)
		budget_charge(l->options.budget, now - c->charged);
	else if (now < c->charged)
		budget_release(l->options.budget, c->charged - now);
	l->held += now;
	l->held -= c->charged;
	c->charged = now;
}

/* Drops what was taken; an idle connection holds no memory. */
static void
forget_taken(struct connection *c)
{
	if (c->at == c->in.len)
		buf_fini(&c->in);
	else
		buf_consume(&c->in, c->at);
	c->at = 0;
	settle(c);
}

void
connection_update(struct connection *c)
{
	unsigned want = 0;

	switch (c->state) {
	case CONNECTION_HANDSHAKE:
		want = tls_wants(c->tls);
		break;
	case CONNECTION_LINGERING:
		want = LOOP_READ;
		break;
	case CONNECTION_OPEN:
	case CONNECTION_FAILED:
		if (c->pauses == 0)
			want = c->read_wants != 0 ? c->read_wants : LOOP_READ;
		if (c->out.len > 0)
			want |=
			    c->write_wants != 0 ? c->write_wants : LOOP_WRITE;
		break;
	case CONNECTION_ENDED:
	case CONNECTION_DEAD:
		break;
	}
	if (c->io != NULL)
		loop_io_want(c->io, want);
}

void
connection_close(struct connection *c)
{
	struct listener *l = c->listener;
	bool was_open = c->state != CONNECTION_HANDSHAKE &&
	    c->state != CONNECTION_LINGERING;

	if (c->state == CONNECTION_DEAD)
		return;
	c->state = CONNECTION_DEAD;
	loop_io_free(c->io);
	c->io = NULL;
	if (was_open)
		tls_shutdown(c->tls);
	tls_free(c->tls);
	c->tls = NULL;
	if (c->stuck != NULL)
		budget_release(l->options.budget, c->stuck->charged);
	piece_free(c->stuck);
	c->stuck = NULL;
	c->unacked = 0;
	listener_bury(l, c);
	if (was_open && l->options.on_close != NULL)
		l->options.on_close(l->options.ctx, c->id);
}

void
connection_free(struct connection *c)
{
	c->at = c->in.len;
	forget_taken(c);
	buf_fini(&c->out);
	free(c->state_of_framer);
	free(c);
}

static void
flush(struct connection *c)
{
	struct error err;

	while (c->out.len > 0) {
		size_t n;
		enum rc rc =
		    tls_write(c->tls, c->out.ptr, c->out.len, &n, &err);

		if (rc == RC_AGAIN) {
			c->write_wants = tls_wants(c->tls);
			break;
		}
		c->write_wants = 0;
		if (rc != RC_OK) {
			listener_log(c->listener, "%s: %s", c->peer, err.text);
			connection_close(c);
			return;
		}
		buf_consume(&c->out, n);
	}
	if (c->out.len == 0)
		buf_fini(&c->out);
	if (c->out.len > OUT_PAUSE) {
		c->pauses |= PAUSE_ACKS;
	} else if ((c->pauses & PAUSE_ACKS) != 0) {
		c->pauses &= ~(unsigned)PAUSE_ACKS;
		listener_read_again(c);
	}
	connection_update(c);
}

static void
put_ack(struct connection *c, uint32_t seq)
{
	lumberjack_put_ack(&c->out, seq);
	c->wrote_at = loop_now();
	if (c->out.overflowed) {
		listener_log(c->listener, "%s: closed: reads no ACKs", c->peer);
		connection_close(c);
		return;
	}
	flush(c);
}

void
connection_ack(struct connection *c, uint32_t count)
{
	if (c->unacked > 0)
		c->unacked--;
	if (c->state == CONNECTION_OPEN || c->state == CONNECTION_FAILED)
		put_ack(c, count);
}

void
connection_tell(struct connection *c, struct slice json)
{
	if (c->state != CONNECTION_OPEN || !c->listener->framer->acks ||
	    c->out.len > OUT_PAUSE)
		return;
	lumberjack_put_json(&c->out, 1, json);
	flush(c);
}

/* False: it is stuck, and its connection waits. */
static bool
offer(struct connection *c, struct piece *p)
{
	struct listener *l = c->listener;

	if (l->options.on_piece(l->options.ctx, p))
		return true;
	c->stuck = p;
	listener_pause(c);
	return false;
}

static void
emit(struct connection *c, enum piece_kind kind, struct slice bytes,
    const char *failure)
{
	struct listener *l = c->listener;
	struct piece *p = xzalloc(sizeof(*p));

	assert(c->stuck == NULL);
	p->kind = kind;
	p->connection = c->id;
	p->number = c->pieces++;
	p->window = c->open_window;
	c->open_window = 0;
	p->bytes = xmemdupz(bytes.len > 0 ? bytes.ptr : "", bytes.len);
	p->len = bytes.len;
	p->agent = xstrdup(c->agent);
	p->peer = xstrdup(c->peer);
	p->failure = failure;
	p->arrival_ns = wall_clock();
	p->charged = PIECE_COST + bytes.len;
	budget_charge(l->options.budget, p->charged);
	(void)offer(c, p);
}

void
connection_emit(struct connection *c, enum piece_kind kind, struct slice bytes)
{
	emit(c, kind, bytes, NULL);
}

void
connection_window(struct connection *c, uint32_t count)
{
	if (count == 0) { /* Logstash answers so, and clients wait for it */
		put_ack(c, 0);
		return;
	}
	c->open_window = count;
	if (c->unacked++ == 0)
		c->wrote_at = loop_now();
}

/*
 * Windows that came whole before are still committed and acknowledged: the
 * failure takes its turn behind them, and listener_fail() ends the connection.
 */
static void
protocol_broken(struct connection *c, const struct error *err)
{
	listener_log(c->listener, "%s (%s): closed: %s", c->peer, c->agent,
	    err->text);
	if (c->pieces == 0 || !c->listener->framer->acks) {
		connection_close(c);
		return;
	}
	c->state = CONNECTION_FAILED;
	c->pauses |= PAUSE_FAILURE;
	c->at = c->in.len;
	forget_taken(c);
	emit(c, PIECE_FAILURE, (struct slice){ "", 0 },
	    err->code == RC_LIMIT ? "a claim above the bounds"
				  : "a framing error");
	connection_update(c);
}

/* What is received becomes pieces, as far as it can. */
static void
parse(struct connection *c)
{
	struct error err = { .text = "" };
	enum rc rc = RC_OK;

	if (c->state != CONNECTION_OPEN && c->state != CONNECTION_ENDED)
		return;
	if (c->in.len - c->at >= c->need)
		rc = c->listener->framer->parse(c, &err);
	if (c->state == CONNECTION_DEAD)
		return;
	if (rc != RC_OK && c->state == CONNECTION_OPEN)
		protocol_broken(c, &err);
	else
		forget_taken(c);
	if (c->listener->favourite == c)
		listener_favour(c->listener);
}

/* The peer said that it is done, or it is gone; `why` NULL: nothing to tell. */
static void
peer_ended(struct connection *c, enum rc rc, const char *why)
{
	struct listener *l = c->listener;

	if (rc != RC_EOF)
		listener_log(l, "%s (%s): %s", c->peer, c->agent, why);
	c->state = CONNECTION_ENDED;
	if (c->stuck == NULL && l->framer->finish != NULL)
		l->framer->finish(c);
	if (c->state == CONNECTION_DEAD)
		return;
	if (c->stuck == NULL)
		connection_close(c);
	else
		connection_update(c);
}

/* RC_OK: there may be more; RC_AGAIN: there is not; else the end. */
static enum rc
fill(struct connection *c, struct error *err)
{
	size_t begin = c->in.len;
	enum rc rc = RC_OK;

	while (rc == RC_OK && c->in.len - begin < READ_TURN) {
		char *room = buf_reserve(&c->in, READ_ROOM);
		size_t n;

		if (room == NULL) /* the framer bounds what it waits for */
			return error_set(err, RC_LIMIT, "frame too long");
		rc = tls_read(c->tls, room, READ_ROOM, &n, err);
		c->in.len += n;
	}
	c->read_wants = rc == RC_AGAIN ? tls_wants(c->tls) : 0;
	if (c->in.len > begin)
		c->read_at = loop_now();
	settle(c);
	return rc;
}

/*
 * Its handshake ended after the drain began: what it sends first may be right
 * behind.  listener_end_drain() is the end of this patience.
 */
static bool
is_awaited(const struct connection *c)
{
	return c->late && c->pieces == 0 && c->in.len == 0;
}

void
connection_read(struct connection *c)
{
	struct error err = { .text = "" };
	enum rc rc;

	if (c->state != CONNECTION_OPEN || c->pauses != 0)
		return;
	if (!listener_may_read(c)) {
		listener_pause(c);
		return;
	}
	rc = fill(c, &err);
	parse(c);
	if (c->state != CONNECTION_OPEN)
		return;
	if (rc != RC_OK && rc != RC_AGAIN)
		peer_ended(c, rc, err.text);
	else if (rc == RC_OK)
		listener_read_again(c);
	else if (c->listener->draining && c->stuck == NULL && !is_awaited(c))
		peer_ended(c, RC_EOF, NULL);
	else
		connection_update(c);
}

bool
connection_resume(struct connection *c)
{
	struct piece *p = c->stuck;

	c->stuck = NULL;
	if (p != NULL && !offer(c, p))
		return false;
	parse(c);
	if (c->state == CONNECTION_DEAD)
		return true;
	if (c->stuck != NULL)
		return false;
	c->read_at = loop_now();
	if (c->state == CONNECTION_ENDED) {
		peer_ended(c, RC_EOF, NULL);
		return c->state == CONNECTION_DEAD;
	}
	listener_unpause(c);
	connection_update(c);
	listener_read_again(c); /* TLS may hold bytes that no event tells */
	return true;
}

/*
 * A peer that was refused is read and not heard for a moment: a close with
 * unread bytes would send a reset, which can take the alert that says why away.
 */
static void
linger(struct connection *c)
{
	c->state = CONNECTION_LINGERING;
	c->since = loop_now();
	(void)shutdown(c->fd, SHUT_WR);
	connection_update(c);
}

static void
discard(struct connection *c)
{
	char bytes[LINGER_BYTES / 4];

	for (int i = 0; i < 4; i++) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

		if (n > 0)
			continue;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			connection_close(c);
		return;
	}
}

static bool
is_admitted(const struct connection *c)
{
	const struct listener_options *o = &c->listener->options;
	char certificate[SHA256_TEXT];

	if (o->admit == NULL)
		return true;
	tls_peer_certificate(c->tls, certificate);
	return o->admit(o->ctx, tls_peer_name(c->tls), certificate);
}

static void
handshake(struct connection *c)
{
	struct listener *l = c->listener;
	struct error err;
	enum rc rc = tls_handshake(c->tls, &err);

	if (rc == RC_AGAIN) {
		connection_update(c);
		return;
	}
	if (rc != RC_OK) {
		listener_log(l, "%s: refused: %s", c->peer, err.text);
		if (rc == RC_EOF || rc == RC_SYSTEM)
			connection_close(c);
		else
			linger(c);
		return;
	}
	if (!is_admitted(c)) {
		listener_log(l, "%s: refused: %s is revoked", c->peer,
		    tls_peer_name(c->tls));
		linger(c);
		return;
	}
	c->state = CONNECTION_OPEN;
	(void)snprintf(c->agent, sizeof(c->agent), "%s", tls_peer_name(c->tls));
	c->read_at = loop_now();
	if (l->options.on_open != NULL)
		l->options.on_open(l->options.ctx, c->id, c->agent, c->peer);
	c->late = l->draining;
	if (l->draining)
		connection_drain(c);
	connection_update(c);
	listener_read_again(c);
}

static void
on_ready(void *ctx, int fd, unsigned ready)
{
	struct connection *c = ctx;

	(void)fd;
	switch (c->state) {
	case CONNECTION_HANDSHAKE:
		handshake(c);
		break;
	case CONNECTION_LINGERING:
		discard(c);
		break;
	case CONNECTION_OPEN:
	case CONNECTION_FAILED:
		if (c->out.len > 0 && (ready & LOOP_WRITE || c->write_wants))
			flush(c);
		connection_read(c);
		break;
	case CONNECTION_ENDED:
	case CONNECTION_DEAD:
		break;
	}
}

static size_t
max_frame(const struct listener *l)
{
	const struct lumberjack_limits *limits = l->options.limits;
	size_t payload = limits->json > limits->compressed ? limits->json
							   : limits->compressed;

	return l->framer->max_frame > 0 ? l->framer->max_frame : payload + 16;
}

struct connection *
connection_new(struct listener *l, int fd, const char *peer)
{
	struct connection *c = xzalloc(sizeof(*c));

	c->listener = l;
	c->fd = fd;
	c->since = c->read_at = c->wrote_at = loop_now();
	memcpy(c->peer, peer, strlen(peer) + 1);
	buf_init(&c->in, max_frame(l) + READ_ROOM + READ_TURN);
	buf_init(&c->out, OUT_MAX);
	c->state_of_framer = xzalloc(l->framer->state_size);
	c->tls = tls_new(l->options.tls, fd, NULL);
	c->io = loop_io_new(l->loop, fd, on_ready, c);
	listener_add(l, c);
	loop_io_want(c->io, LOOP_READ);
	return c;
}

/* Nothing of this peer is being worked on, as far as can be seen here. */
static bool
is_idle(const struct connection *c)
{
	if (c->pauses != 0 || c->stuck != NULL || c->out.len > 0)
		return false;
	return c->unacked == 0 ||
	    (c->unacked == 1 && !c->listener->framer->whole(c));
}

void
connection_tick(struct connection *c, int64_t now)
{
	const struct listener_options *o = &c->listener->options;

	if (c->state == CONNECTION_HANDSHAKE &&
	    now - c->since >= o->handshake_timeout_ns) {
		listener_log(c->listener, "%s: closed: no handshake in time",
		    c->peer);
		connection_close(c);
	} else if (c->state == CONNECTION_LINGERING &&
	    now - c->since >= linger_ns) {
		connection_close(c);
	} else if (c->state == CONNECTION_OPEN && o->idle_timeout_ns > 0 &&
	    now - c->read_at >= o->idle_timeout_ns && is_idle(c)) {
		listener_log(c->listener, "%s (%s): closed: silent for long",
		    c->peer, c->agent);
		connection_close(c);
	} else if ((c->state == CONNECTION_OPEN ||
		       c->state == CONNECTION_FAILED) &&
	    c->listener->framer->acks && c->unacked > 0 && c->out.len == 0 &&
	    now - c->wrote_at >= keepalive_ns) {
		put_ack(c, 0);
	}
}

void
connection_drain(struct connection *c)
{
	if (c->state != CONNECTION_OPEN)
		return;
	if (c->listener->framer->acks)
		c->pauses |= PAUSE_DRAIN;
	else
		listener_read_again(c);
	connection_update(c);
}
