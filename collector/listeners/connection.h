/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the listeners.
 *
 *   listener.c    sockets, the set of connections, timers, the public face
 *   connection.c  one peer: handshake, reading, pieces, ACKs, its end
 *   beats.c, syslog.c   framers: bytes received -> pieces
 *
 * Everything runs in the loop's thread.  A connection that ends is freed only
 * after the callback that ended it returned (struct listener's `dead`).
 */
#pragma once

#include <stdatomic.h>
#include <sys/queue.h>

#include "address.h"
#include "collector/listeners/listener.h"

struct connection;

enum {
	BEATS,
	SYSLOG,
	FRAMERS,
};

struct framer {
	const char *name;
	unsigned kind; /* of the above; makes ids differ between listeners */
	size_t state_size;
	bool acks;        /* the protocol has them */
	size_t max_frame; /* bytes; 0: as options.limits say */

	/*
	 * Takes what it can of c->in from c->at on and emits pieces; stops
	 * while one is stuck.  Called with less than c->need bytes only after
	 * the end.  RC_OK, or why the connection must end.
	 */
	enum rc (*parse)(struct connection *c, struct error *err);
	/* The peer ended cleanly: what is still there, if it is of use. */
	void (*finish)(struct connection *c);
	/* Nothing is missing to make what came so far whole. */
	bool (*whole)(const struct connection *c);
};

extern const struct framer beats_framer, syslog_framer;

enum { CONNECTION_AGENT = 256 };

enum connection_state {
	CONNECTION_HANDSHAKE,
	CONNECTION_OPEN,
	CONNECTION_FAILED,    /* broke the protocol: waits for listener_fail */
	CONNECTION_ENDED,     /* by the peer; a piece is still stuck */
	CONNECTION_LINGERING, /* refused: time for the peer to read why */
	CONNECTION_DEAD,
};

/* Why a connection is not read; each is lifted by what it waits for. */
enum {
	PAUSE_ROOM = 1,    /* no room in the budget, or a piece is stuck */
	PAUSE_ACKS = 2,    /* the peer does not read its ACKs */
	PAUSE_DRAIN = 4,   /* we stop */
	PAUSE_FAILURE = 8, /* nothing more is wanted */
};

struct connection {
	struct listener *listener;
	TAILQ_ENTRY(connection) link;       /* all, or the dead */
	TAILQ_ENTRY(connection) again_link; /* to be read without an event */
	TAILQ_ENTRY(connection) pause_link; /* PAUSE_ROOM, oldest first */
	SLIST_ENTRY(connection) id_link;

	uint64_t id;
	enum connection_state state;
	int fd; /* the TLS connection's */
	struct tls *tls;
	struct loop_io *io;
	unsigned read_wants, write_wants; /* of TLS, after RC_AGAIN */
	unsigned pauses;
	bool again;

	struct buf in; /* received; freed while empty */
	size_t at;     /* of `in`: what is before was taken */
	size_t need; /* bytes from `at` on, without which nothing can be done */
	size_t charged;
	struct buf out;       /* ACKs to be written */
	struct piece *stuck;  /* nobody takes it now */
	uint64_t pieces;      /* emitted */
	bool late;            /* its handshake ended while draining */
	uint32_t open_window; /* begun, its first piece is yet to come */
	size_t unacked;       /* windows */

	int64_t since;   /* state HANDSHAKE or LINGERING began */
	int64_t read_at; /* last bytes from the peer, or last pause lifted */
	int64_t wrote_at;

	char peer[ADDRESS_TEXT];
	char agent[CONNECTION_AGENT]; /* subject CN; empty before */
	void *state_of_framer;
};

TAILQ_HEAD(connection_list, connection);
SLIST_HEAD(connection_bucket, connection);

struct listener {
	const struct framer *framer;
	struct loop *loop;
	struct listener_options options;
	char *address_asked;
	char address[ADDRESS_TEXT];
	int fd; /* -1: accepts no more */
	struct loop_io *io;
	bool accepting; /* the socket is watched */
	bool draining;
	bool full_told;
	uint64_t next_id;

	struct connection_list all, dead, again, paused;
	size_t n;
	size_t buckets; /* a power of 2 */
	struct connection_bucket *by_id;

	/*
	 * When the budget is used up by unfinished frames alone, one connection
	 * may go on until its frame is whole: else all would wait for ever.
	 */
	struct connection *favourite;
	uint64_t favourite_pieces; /* it had, when it was chosen */
	size_t held;               /* bytes of unfinished frames, charged */

	struct loop_timer *sweep; /* time-outs and keep-alives */
	struct loop_timer *soon;  /* `again` and `dead` */

	struct limiter *newcomers; /* by address; NULL: no bound */
	uint64_t limited;          /* turned away by it */
	int64_t limited_told;      /* 0: never */

	int64_t log_since; /* of the bound on messages */
	unsigned log_n, log_dropped;
};

/* listener.c */
enum rc listener_open(struct loop *loop, const struct framer *framer,
    const struct listener_options *options, struct listener **out,
    struct error *err);
void listener_add(struct listener *l, struct connection *c);
/* From the list of the living to that of the dead. */
void listener_bury(struct listener *l, struct connection *c);
void listener_read_again(struct connection *c);
/* Bounded: at most LOG_BURST messages in LOG_SPAN. */
void listener_log(struct listener *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Finds a favourite where one is needed. */
void listener_favour(struct listener *l);
/* Waits for room; may make somebody the favourite. */
void listener_pause(struct connection *c);
void listener_unpause(struct connection *c);
bool listener_may_read(struct connection *c);

/* connection.c */
struct connection *connection_new(struct listener *l, int fd, const char *peer);
void connection_free(struct connection *c);
void connection_read(struct connection *c);
/* Tries the stuck piece and what is received; false: still no room. */
bool connection_resume(struct connection *c);
void connection_close(struct connection *c);
void connection_ack(struct connection *c, uint32_t count);
void connection_tell(struct connection *c, struct slice json);
void connection_tick(struct connection *c, int64_t now);
void connection_drain(struct connection *c);
void connection_update(struct connection *c); /* what its events shall be */

/* For framers. */

/* Copies the bytes; stops (c->stuck) if nobody takes the piece. */
void connection_emit(struct connection *c, enum piece_kind kind,
    struct slice bytes);
/* A window began; the next piece says so. */
void connection_window(struct connection *c, uint32_t count);

static inline struct slice
connection_rest(const struct connection *c)
{
	if (c->at == c->in.len) /* there may be no memory at all */
		return (struct slice){ "", 0 };
	return (struct slice){ c->in.ptr + c->at, c->in.len - c->at };
}
