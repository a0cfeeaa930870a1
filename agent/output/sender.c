/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output/sender.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "agent/output/frames.h"
#include "agent/output/resolve.h"
#include "digest.h"
#include "lumberjack.h"
#include "order.h"
#include "timestamp.h"
#include "tls.h"
#include "xalloc.h"

enum {
	WIRE_KEEP = 4 * 1024 * 1024,
	WIRE_MAX = 10 * 1024 * 1024, /* a window that does not compress */
	IN_BYTES = 4096,             /* of one read */
	IN_MAX = ORDER_WIRE_MAX + 2 * IN_BYTES
};

/* What a collector may send: ACKs and short J frames. */
static const struct lumberjack_limits told_limits = {
	.window = 1,
	.json = ORDER_WIRE_MAX,
	.compressed = 1,
	.inflated = 1,
};

enum state { AWAY, PAUSING, RESOLVING, CONNECTING, HANDSHAKE, UP };

/* Events [base, n) are in `wire`; [0, acked) are acknowledged. */
struct out_window {
	struct buf wire;
	uint32_t n;
	uint32_t base;
	uint32_t acked;
	size_t written; /* bytes of `wire`, on this connection */
	bool was_sent;  /* whole, on some connection */
	void *cookie;
};

struct sender {
	struct loop *loop;
	struct sender_events events;
	struct sender_config config;
	char **hosts;
	struct frames frames;

	enum state state;
	size_t host; /* in turn */
	struct resolve *resolve;
	struct addrinfo *addresses;
	struct addrinfo *address; /* being tried */
	int fd;                   /* while CONNECTING; then the TLS layer's */
	struct tls *tls;
	struct loop_io *io;
	struct loop_timer *timer; /* pause, or deadline */
	struct loop_timer *homing;
	bool going_home; /* no more windows, until all are acknowledged */
	bool anew;       /* the same, and then to the same host */
	int64_t backoff_ns;
	bool reported; /* the failure that goes on was said */

	struct out_window windows[SENDER_WINDOWS_MAX]; /* a ring */
	unsigned first, n_windows;
	unsigned writing; /* counted from `first`: the next to be written */

	struct buf in; /* received; its memory is given back while empty */
	struct sender_counts counts;
};

static void advance(struct sender *s);
static void connect_next_address(struct sender *s);

__attribute__((format(printf, 3, 4))) static void
say(struct sender *s, enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->events.say(s->events.ctx, level, text);
}

static struct out_window *
window_at(struct sender *s, unsigned i)
{
	return &s->windows[(s->first + i) % SENDER_WINDOWS_MAX];
}

static void
drop_connection(struct sender *s)
{
	loop_timer_stop(s->timer);
	loop_timer_stop(s->homing);
	s->going_home = s->anew = false;
	loop_io_free(s->io);
	s->io = NULL;
	tls_free(s->tls);
	s->tls = NULL;
	if (s->fd != -1)
		(void)close(s->fd);
	s->fd = -1;
	resolve_cancel(s->resolve);
	s->resolve = NULL;
	if (s->addresses != NULL)
		freeaddrinfo(s->addresses);
	s->addresses = s->address = NULL;
	buf_fini(&s->in);
	buf_init(&s->in, IN_MAX);
	s->state = AWAY;
}

/* Half of it for certain, the rest by chance: agents come back one by one. */
static int64_t
jittered(int64_t ns)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	return ns / 2 + (int64_t)((double)ns / 2 * (r / 4294967296.0));
}

static void
pause_then_connect(struct sender *s)
{
	bool all_tried;

	s->host = (s->host + 1) % s->config.n_hosts;
	all_tried = s->host == 0;
	s->state = PAUSING;
	loop_timer_start(s->timer, jittered(s->backoff_ns));
	if (all_tried && s->backoff_ns < s->config.backoff_max_ns)
		s->backoff_ns *= 2;
	if (s->backoff_ns > s->config.backoff_max_ns)
		s->backoff_ns = s->config.backoff_max_ns;
}

__attribute__((format(printf, 2, 3))) static void
fail(struct sender *s, const char *fmt, ...)
{
	char why[1200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	say(s, s->reported ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
	    "collector %s: %s%s", s->hosts[s->host], why,
	    s->reported ? "" : "; trying on");
	s->reported = s->config.n_hosts == 1 || s->host != 0;
	s->counts.failures++;
	drop_connection(s);
	pause_then_connect(s);
}

/* Nothing was under way: no failure of anybody.  The same one again. */
static void
close_idle(struct sender *s)
{
	say(s, LOG_LEVEL_DEBUG, "collector %s: it closed the idle connection",
	    s->hosts[s->host]);
	drop_connection(s);
	s->state = PAUSING;
	loop_timer_start(s->timer, jittered(s->backoff_ns));
	s->backoff_ns = s->backoff_ns * 2 < s->config.backoff_max_ns
	    ? s->backoff_ns * 2
	    : s->config.backoff_max_ns;
}

/* Everything is acknowledged: to the first host, if it answers. */
static void
go_home(struct sender *s)
{
	say(s, LOG_LEVEL_INFO, "collector %s: leaving it for %s, the first",
	    s->hosts[s->host], s->hosts[0]);
	if (s->tls != NULL)
		tls_shutdown(s->tls);
	drop_connection(s);
	s->host = 0;
	s->state = PAUSING;
	loop_timer_start(s->timer, 0);
}

/* Everything is acknowledged: to the same host, with the new certificate. */
static void
connect_anew(struct sender *s)
{
	say(s, LOG_LEVEL_DEBUG, "collector %s: connecting anew",
	    s->hosts[s->host]);
	tls_shutdown(s->tls);
	drop_connection(s);
	s->state = PAUSING;
	loop_timer_start(s->timer, 0);
}

static void
on_homing(void *ctx)
{
	struct sender *s = ctx;

	if (s->state != UP)
		return;
	s->going_home = true;
	if (s->n_windows == 0)
		go_home(s);
}

/* The deadline of an answer; none while nothing is owed. */
static void
await_ack(struct sender *s)
{
	if (s->n_windows > 0)
		loop_timer_start(s->timer, s->config.ack_timeout_ns);
	else
		loop_timer_stop(s->timer);
}

static void
window_done(struct sender *s)
{
	struct out_window *w = window_at(s, 0);

	/* what one long line needed is not kept for ever */
	if (w->wire.cap > WIRE_KEEP)
		buf_fini(&w->wire);
	s->first = (s->first + 1) % SENDER_WINDOWS_MAX;
	s->n_windows--;
	if (s->writing > 0)
		s->writing--;
}

static enum rc
take_ack(struct sender *s, uint32_t seq, struct error *err)
{
	struct out_window *w = window_at(s, 0);
	uint32_t from;

	if (seq == 0)
		return RC_OK; /* alive, still working on it */
	/* all of a window that is not sent yet: neither */
	if (s->n_windows == 0 || seq > w->n - w->base ||
	    (seq == w->n - w->base && s->writing == 0))
		return error_set(err, RC_INVALID,
		    "acknowledges event %u of a window of %u", seq,
		    s->n_windows == 0 ? 0 : w->n - w->base);
	from = w->acked;
	if (w->base + seq <= from)
		return RC_OK; /* said before */
	w->acked = w->base + seq;
	s->backoff_ns = s->config.backoff_min_ns;
	s->reported = false;
	if (w->acked == w->n)
		window_done(s);
	s->events.acked(s->events.ctx, w->cookie, from, w->acked,
	    w->acked == w->n);
	return RC_OK;
}

static enum rc
take_frame(struct sender *s, const struct lumberjack_frame *frame,
    struct error *err)
{
	if (frame->type == LUMBERJACK_ACK)
		return take_ack(s, frame->seq, err);
	if (frame->type != LUMBERJACK_JSON || s->events.told == NULL)
		return error_set(err, RC_INVALID, "sends what is no ACK");
	s->events.told(s->events.ctx, frame->payload);
	return RC_OK;
}

static enum rc
take_input(struct sender *s, struct error *err)
{
	struct slice rest = buf_slice(&s->in);
	struct lumberjack_frame frame;
	enum rc rc = RC_OK;
	size_t used;

	while (rc == RC_OK && rest.len > 0) {
		rc = lumberjack_decode(rest, &told_limits, &frame, &used, err);
		if (rc == RC_AGAIN)
			break;
		if (rc != RC_OK)
			return error_set(err, RC_INVALID,
			    "sends what is no ACK");
		rest.ptr += used;
		rest.len -= used;
		rc = take_frame(s, &frame, err);
	}
	if (rest.len == 0 && s->in.cap > IN_BYTES) {
		buf_fini(&s->in);
		buf_init(&s->in, IN_MAX);
	} else {
		buf_consume(&s->in, s->in.len - rest.len);
	}
	return rc == RC_AGAIN ? RC_OK : rc;
}

static enum rc
read_acks(struct sender *s, struct error *err)
{
	enum rc rc;
	size_t n;

	for (;;) {
		char *room = buf_reserve(&s->in, IN_BYTES);

		if (room == NULL)
			return error_set(err, RC_LIMIT,
			    "sends too long a frame");
		rc = tls_read(s->tls, room, IN_BYTES, &n, err);
		if (rc != RC_OK)
			break;
		s->in.len += n;
		rc = take_input(s, err);
		if (rc != RC_OK)
			break;
		await_ack(s);
	}
	return rc;
}

static enum rc
write_windows(struct sender *s, struct error *err)
{
	while (s->writing < s->n_windows) {
		struct out_window *w = window_at(s, s->writing);
		enum rc rc;
		size_t n;

		if (w->written == 0 && s->writing == 0)
			loop_timer_start(s->timer, s->config.ack_timeout_ns);
		rc = tls_write(s->tls, w->wire.ptr + w->written,
		    w->wire.len - w->written, &n, err);
		if (rc != RC_OK)
			return rc;
		w->written += n;
		s->counts.bytes += n;
		if (w->written < w->wire.len)
			continue;
		s->counts.sent += w->n - w->base;
		if (w->was_sent)
			s->counts.resent += w->n - w->base;
		w->was_sent = true;
		s->writing++;
	}
	return RC_OK;
}

static void
run_connection(struct sender *s)
{
	struct error err = { .code = RC_OK };
	unsigned want = LOOP_READ;
	enum rc rc = read_acks(s, &err);

	if (rc == RC_AGAIN) {
		want |= tls_wants(s->tls);
		rc = write_windows(s, &err);
		if (rc == RC_AGAIN)
			want |= tls_wants(s->tls);
	}
	if ((rc == RC_OK || rc == RC_AGAIN) && s->going_home &&
	    s->n_windows == 0)
		go_home(s);
	else if ((rc == RC_OK || rc == RC_AGAIN) && s->anew &&
	    s->n_windows == 0)
		connect_anew(s);
	else if (rc == RC_EOF && s->n_windows == 0)
		close_idle(s);
	else if (rc == RC_EOF)
		fail(s, "it closed the connection");
	else if (rc != RC_OK && rc != RC_AGAIN)
		fail(s, "%s", err.text);
	else
		loop_io_want(s->io, want);
}

/* Everything unacknowledged goes out again, without what was acknowledged. */
static void
rewind_windows(struct sender *s)
{
	struct error err;

	s->writing = 0;
	for (unsigned i = 0; i < s->n_windows; i++) {
		struct out_window *w = window_at(s, i);

		w->written = 0;
		if (w->acked == w->base)
			continue;
		if (frames_skip(&s->frames, &w->wire, w->n - w->base,
			w->acked - w->base, &err) == RC_OK)
			w->base = w->acked;
		else
			say(s, LOG_LEVEL_WARN, "window: %s", err.text);
	}
}

static void
shake_hands(struct sender *s)
{
	struct error err = { .code = RC_OK };
	enum rc rc = tls_handshake(s->tls, &err);

	if (rc == RC_AGAIN) {
		loop_io_want(s->io, tls_wants(s->tls));
		return;
	}
	if (rc != RC_OK) {
		fail(s, "%s",
		    rc == RC_EOF ? "it closed the connection during the TLS "
				   "handshake"
				 : err.text);
		return;
	}
	say(s, LOG_LEVEL_INFO, "connected to %s (%s%s)", s->hosts[s->host],
	    tls_peer_name(s->tls),
	    tls_resumed(s->tls) ? ", session resumed" : "");
	s->state = UP;
	s->counts.connections++;
	if (s->events.up != NULL)
		s->events.up(s->events.ctx);
	if (s->host != 0 && s->config.return_ns > 0)
		loop_timer_start(s->homing, s->config.return_ns);
	rewind_windows(s);
	await_ack(s);
	run_connection(s);
}

/* A peer that vanished without a word must be noticed while idle, too. */
static void
set_socket_options(int fd, int64_t silence_ns)
{
	int on = 1, idle_s = 30, every_s = 10, probes = 3;
	int silence_ms = (int)(silence_ns / NS_PER_MS);

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s,
	    sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s,
	    sizeof(every_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms,
	    sizeof(silence_ms));
}

static void
on_connected(struct sender *s)
{
	char name[ADDRESS_HOST];
	socklen_t len = sizeof(int);
	uint16_t port;
	int why = 0;

	(void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &why, &len);
	if (why != 0) {
		loop_io_free(s->io);
		s->io = NULL;
		(void)close(s->fd);
		s->fd = -1;
		s->address = s->address->ai_next;
		errno = why;
		connect_next_address(s);
		return;
	}
	(void)address_split(s->hosts[s->host], name, &port);
	s->tls = tls_new(s->config.tls, s->fd, name);
	s->fd = -1;
	s->state = HANDSHAKE;
	shake_hands(s);
}

static void
on_ready(void *ctx, int fd, unsigned ready)
{
	struct sender *s = ctx;

	(void)fd;
	(void)ready;
	advance(s);
}

static void
advance(struct sender *s)
{
	if (s->state == CONNECTING)
		on_connected(s);
	else if (s->state == HANDSHAKE)
		shake_hands(s);
	else if (s->state == UP)
		run_connection(s);
}

static bool
try_address(struct sender *s, const struct addrinfo *a)
{
	s->fd = socket(a->ai_family,
	    a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	if (s->fd == -1)
		return false;
	set_socket_options(s->fd, s->config.ack_timeout_ns);
	if (connect(s->fd, a->ai_addr, a->ai_addrlen) == 0 ||
	    errno == EINPROGRESS)
		return true;
	(void)close(s->fd);
	s->fd = -1;
	return false;
}

static void
connect_next_address(struct sender *s)
{
	struct error err;

	for (; s->address != NULL; s->address = s->address->ai_next) {
		if (!try_address(s, s->address))
			continue;
		s->state = CONNECTING;
		s->io = loop_io_new(s->loop, s->fd, on_ready, s);
		loop_io_want(s->io, LOOP_WRITE);
		loop_timer_start(s->timer, s->config.connect_timeout_ns);
		return;
	}
	(void)error_set_errno(&err, errno, "cannot connect");
	fail(s, "%s", err.text);
}

static void
on_resolved(void *ctx, struct addrinfo *list, const struct error *err)
{
	struct sender *s = ctx;

	resolve_cancel(s->resolve);
	s->resolve = NULL;
	if (list == NULL) {
		fail(s, "%s", err->text);
		return;
	}
	s->addresses = s->address = list;
	connect_next_address(s);
}

static void
begin(struct sender *s)
{
	char host[ADDRESS_HOST];
	uint16_t port = 0;

	(void)address_split(s->hosts[s->host], host, &port);
	s->state = RESOLVING;
	s->resolve = resolve_start(s->loop, host, port, on_resolved, s);
}

static void
on_timer(void *ctx)
{
	struct sender *s = ctx;

	switch (s->state) {
	case PAUSING:
		begin(s);
		break;
	case CONNECTING:
		fail(s, "no connection in time");
		break;
	case HANDSHAKE:
		fail(s, "no TLS handshake in time");
		break;
	case UP:
		fail(s, "silent for %lld s",
		    (long long)(s->config.ack_timeout_ns / NS_PER_SEC));
		break;
	case AWAY:
	case RESOLVING:
		break;
	}
}

struct sender *
sender_new(struct loop *l, const struct sender_events *events)
{
	struct sender *s = xzalloc(sizeof(*s));

	s->loop = l;
	s->events = *events;
	s->fd = -1;
	buf_init(&s->in, IN_MAX);
	s->timer = loop_timer_new(l, on_timer, s);
	s->homing = loop_timer_new(l, on_homing, s);
	for (size_t i = 0; i < SENDER_WINDOWS_MAX; i++)
		buf_init(&s->windows[i].wire, WIRE_MAX);
	return s;
}

static void
free_hosts(struct sender *s)
{
	for (size_t i = 0; s->hosts != NULL && i < s->config.n_hosts; i++)
		free(s->hosts[i]);
	free(s->hosts);
}

void
sender_free(struct sender *s)
{
	if (s == NULL)
		return;
	if (s->tls != NULL)
		tls_shutdown(s->tls);
	drop_connection(s);
	loop_timer_free(s->timer);
	loop_timer_free(s->homing);
	for (size_t i = 0; i < SENDER_WINDOWS_MAX; i++)
		buf_fini(&s->windows[i].wire);
	free_hosts(s);
	frames_rest(&s->frames);
	buf_fini(&s->in);
	free(s);
}

void
sender_configure(struct sender *s, const struct sender_config *config)
{
	bool started = s->state != AWAY;

	if (s->tls != NULL)
		tls_shutdown(s->tls);
	drop_connection(s);
	free_hosts(s);
	frames_rest(&s->frames);
	s->config = *config;
	s->hosts = xcalloc(config->n_hosts, sizeof(*s->hosts));
	for (size_t i = 0; i < config->n_hosts; i++)
		s->hosts[i] = xstrdup(config->hosts[i]);
	frames_init(&s->frames, config->compression_level);
	s->host = 0;
	s->backoff_ns = config->backoff_min_ns;
	s->reported = false;
	if (started)
		begin(s);
}

void
sender_set_tls(struct sender *s, struct tls_context *tls)
{
	s->config.tls = tls;
	if (s->state != UP)
		return;
	s->anew = true;
	if (s->n_windows == 0)
		connect_anew(s);
}

void
sender_start(struct sender *s)
{
	if (s->state == AWAY)
		begin(s);
}

bool
sender_has_room(const struct sender *s)
{
	return s->n_windows < s->config.pipelining && !s->going_home &&
	    !s->anew;
}

unsigned
sender_in_flight(const struct sender *s)
{
	return s->n_windows;
}

bool
sender_connected(const struct sender *s)
{
	return s->state == UP;
}

const char *
sender_host(const struct sender *s)
{
	return s->hosts[s->host];
}

void
sender_put(struct sender *s, struct slice j_frames, uint32_t n, void *cookie)
{
	struct out_window *w = window_at(s, s->n_windows);
	struct error err;
	enum rc rc;

	assert(n > 0 && s->n_windows < SENDER_WINDOWS_MAX);
	w->n = n;
	w->base = w->acked = 0;
	w->written = 0;
	w->was_sent = false;
	w->cookie = cookie;
	rc = frames_pack(&s->frames, &w->wire, j_frames, n, &err);
	assert(rc == RC_OK); /* its bound is above that of a window */
	(void)rc;
	s->n_windows++;
	if (s->state == UP)
		run_connection(s);
}

void
sender_rest(struct sender *s)
{
	if (s->n_windows > 0)
		return;
	for (size_t i = 0; i < SENDER_WINDOWS_MAX; i++)
		buf_fini(&s->windows[i].wire);
	frames_rest(&s->frames);
}

void
sender_counts(const struct sender *s, struct sender_counts *out)
{
	*out = s->counts;
}
