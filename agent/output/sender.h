/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the collector: Lumberjack v2 over TLS.
 *
 * Windows are sent in order, some of them ahead of the ACK of the first
 * (`pipelining`); each is kept until it is acknowledged.  When the connection
 * breaks or stays silent, another one is made (to the next host, after a pause
 * that grows) and everything unacknowledged is sent again, in order.  The host
 * that answers is kept; after a while the first one is tried again, at a moment
 * when everything is acknowledged, so that nothing is sent twice for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "log.h"
#include "loop.h"
#include "slice.h"

struct sender;
struct tls_context;

enum { SENDER_WINDOWS_MAX = 16 };

struct sender_config {
	const char *const *hosts; /* HOST:PORT; copied */
	size_t n_hosts;
	struct tls_context *tls; /* borrowed until the next sender_configure */
	int compression_level;   /* 0: none .. 9 */
	unsigned pipelining;     /* windows in flight, 1..SENDER_WINDOWS_MAX */
	int64_t ack_timeout_ns;  /* silence of the collector; 30 s */
	int64_t connect_timeout_ns;
	int64_t backoff_min_ns, backoff_max_ns;
	/* So long with another host than the first, then that one is tried
	 * again; 0: never. */
	int64_t return_ns;
};

struct sender_events {
	void *ctx;
	/* Events [from, to) of the window put with `cookie`; done: all of it. */
	void (*acked)(void *ctx, void *cookie, uint32_t from, uint32_t to,
	    bool done);
	/* A control message of the collector (order.h), valid during the call,
	 * in which the sender is not to be touched.  NULL: such end the
	 * connection. */
	void (*told)(void *ctx, struct slice json);
	/* For the operator's log. */
	void (*say)(void *ctx, enum log_level level, const char *text);
	/* A connection is up. */
	void (*up)(void *ctx);
};

struct sender *sender_new(struct loop *l, const struct sender_events *events);
void sender_free(struct sender *s); /* NULL is fine; forgets what it holds */

/* At first and at each change; a connection that is up is made anew. */
void sender_configure(struct sender *s, const struct sender_config *config);

/*
 * For new connections, borrowed as that of the configuration.  One that is up is
 * made anew at a moment when everything is acknowledged, so that nothing is sent
 * twice for it.
 */
void sender_set_tls(struct sender *s, struct tls_context *tls);

/* Begins to connect, if it has not. */
void sender_start(struct sender *s);

bool sender_has_room(const struct sender *s);
/* Windows that are not acknowledged. */
unsigned sender_in_flight(const struct sender *s);
bool sender_connected(const struct sender *s);
/* HOST:PORT that is connected or being tried; valid until configured anew. */
const char *sender_host(const struct sender *s);

/* The J frames of one window; they are copied (compressed). */
void sender_put(struct sender *s, struct slice j_frames, uint32_t n,
    void *cookie);

/* Where nothing is under way, gives back what windows needed. */
void sender_rest(struct sender *s);

struct sender_counts {
	uint64_t sent;   /* events, those sent again too */
	uint64_t resent; /* events */
	uint64_t bytes;  /* over the wire, before TLS */
	uint64_t connections;
	uint64_t failures; /* connections that broke or never came to be */
};
void sender_counts(const struct sender *s, struct sender_counts *out);
