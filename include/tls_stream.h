/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS connection to a collector for who may wait: blocking, with a bound on
 * silence.
 */
#pragma once

#include "error.h"
#include "slice.h"
#include "tls.h"

struct tls_stream;

struct tls_stream_patience {
	int connect_seconds; /* for each address, and for the handshake */
	int silence_seconds;
};

/*
 * `server` is HOST:PORT; its certificate must have that name.  RC_INVALID: it
 * is none; RC_SYSTEM: nobody answers there, or not by TLS; RC_DENIED: a
 * certificate is refused.
 */
enum rc tls_stream_open(struct tls_context *ctx, const char *server,
    const struct tls_stream_patience *patience, struct tls_stream **out,
    struct error *err);
void tls_stream_close(struct tls_stream *s); /* NULL is fine */

/* All of it. */
enum rc tls_stream_send(struct tls_stream *s, struct slice bytes,
    struct error *err);
/* *n 0: the end. */
enum rc tls_stream_receive(struct tls_stream *s, char *out, size_t room,
    size_t *n, struct error *err);

/* Until `fd` is ready (LOOP_READ, LOOP_WRITE); RC_SYSTEM: not in time. */
enum rc tls_stream_wait(int fd, unsigned what, int seconds, struct error *err);
