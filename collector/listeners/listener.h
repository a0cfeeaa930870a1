/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: sockets, TLS and framing, in the I/O thread's loop.
 *
 * A listener hands out pieces: runs of whole frames of one window, still
 * compressed, in the order of the connection.  It reads no socket while the
 * budget is used up, answers keep-alive ACKs while a window is being worked on,
 * and closes only the connection that broke the protocol.
 */
#pragma once

#include "budget.h"
#include "error.h"
#include "loop.h"
#include "lumberjack.h"
#include "slice.h"
#include "tls.h"

enum piece_kind {
	PIECE_JSON,       /* whole J frames, one after the other */
	PIECE_COMPRESSED, /* the payload of one C frame */
	PIECE_SYSLOG,     /* syslog messages, each as LEN(u32be) BYTES; LEN may
			   * carry PIECE_SYSLOG_CUT */
	PIECE_FAILURE,    /* no bytes: the connection broke the protocol;
			   * `failure` says how; the last piece */
};

/* A message was longer than PIECE_SYSLOG_MAX: this is its beginning. */
#define PIECE_SYSLOG_CUT 0x80000000U
enum { PIECE_SYSLOG_MAX = 1 << 20 };

struct piece {
	enum piece_kind kind;
	uint64_t connection; /* never reused, by no listener */
	uint64_t number;     /* in its connection, from 0 */
	uint32_t window;     /* a new window of so many events begins here */
	char *bytes;         /* owned */
	size_t len;
	char *agent;         /* subject CN, owned */
	char *owner;         /* organization.id, owned; NULL: the agent says it.
	              * Not NULL only in the collector's own pieces */
	char *peer;          /* address:port, owned */
	const char *failure; /* static */
	int64_t arrival_ns;
	size_t charged; /* bytes in the budget: whoever takes over releases */
};
void piece_free(struct piece *p); /* does not touch the budget */

struct listener_options {
	const char *address;     /* HOST:PORT; port 0: any free one */
	struct tls_context *tls; /* borrowed until listener_set_tls() */
	struct budget *budget;
	const struct lumberjack_limits *limits;
	size_t max_connections;
	/* New ones a second of one address, with a burst of ten times as many;
	 * what is above is closed before its handshake.  0: no bound. */
	double connection_rate;
	void (*on_limited)(void *ctx); /* for each of those; may be NULL */
	int64_t idle_timeout_ns; /* 0: none; nothing in flight and silent */
	int64_t handshake_timeout_ns;
	/* In the loop's thread; takes the piece; false: no room now, the
	 * listener keeps it and stops reading that connection until
	 * listener_resume(). */
	bool (*on_piece)(void *ctx, struct piece *p);
	/* Whether who shows that certificate (SHA-256) may come in; NULL: all
	 * whose certificates are good. */
	bool (*admit)(void *ctx, const char *agent, const char *certificate);
	/* After the handshake; on_close once for each on_open. */
	void (*on_open)(void *ctx, uint64_t connection, const char *agent,
	    const char *peer);
	void (*on_close)(void *ctx, uint64_t connection);
	void (*on_log)(void *ctx, const char *message); /* for the operator */
	void *ctx;
};

struct listener;

enum rc beats_listen(struct loop *loop, const struct listener_options *options,
    struct listener **out, struct error *err);
enum rc syslog_listen(struct loop *loop, const struct listener_options *options,
    struct listener **out, struct error *err);

/*
 * All in the loop's thread.  A connection that is no longer there is no error:
 * an ACK for it is dropped.
 */
void listener_ack(struct listener *l, uint64_t connection, uint32_t count);
void listener_fail(struct listener *l, uint64_t connection);
/* A control message for an agent that said that it reads them; one that does
 * not, or that is behind with its ACKs, gets none. */
void listener_tell(struct listener *l, uint64_t connection, struct slice json);
/* Room again, downstream or in the budget (from its on_room, posted). */
void listener_resume(struct listener *l);
/*
 * Drain: no new peers.  Lumberjack connections are read no more; those of
 * syslog, which are not told what was stored, finish their handshakes and are
 * read until their sockets are empty, then they are closed: the loop must run
 * for it, until listener_drained() or as long as there is time.
 * listener_end_drain() closes the rest; no piece comes after it.
 */
void listener_stop_accepting(struct listener *l);
bool listener_drained(const struct listener *l);
void listener_end_drain(struct listener *l);
void listener_set_tls(struct listener *l, struct tls_context *tls);
void listener_free(struct listener *l);
/* Address bound, "127.0.0.1:5044". */
const char *listener_address(const struct listener *l);
size_t listener_connections(const struct listener *l);
/* Windows begun and not yet acknowledged, unless events of one are missing. */
size_t listener_unacked(const struct listener *l);
