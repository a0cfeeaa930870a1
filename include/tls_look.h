/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to somebody else's server, to look at its certificate: nothing of ours is
 * shown, and a chain that cannot be trusted is a finding, not an error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct tls_found {
	bool trusted;      /* chain and name */
	char problem[160]; /* why not */
	char subject[256], issuer[256];
	char version[16];
	char sha256[65]; /* of the server's certificate */
	int64_t not_before_ns, not_after_ns;
	unsigned chain;             /* certificates that it showed */
	int64_t chain_not_after_ns; /* the earliest end among them */
};

/* Waits until `fd` is ready (LOOP_READ or LOOP_WRITE); false: gives up. */
struct tls_look_waiting {
	bool (*wait)(void *ctx, int fd, unsigned ready);
	void *ctx;
};

struct tls_look;

/*
 * Shakes hands on a connected, non-blocking socket, which stays the caller's.
 * `ca`: PEM, NULL: the system's.  RC_EOF: not in time.
 */
enum rc tls_look_open(int fd, const char *host, const char *ca,
    const struct tls_look_waiting *waiting, struct tls_look **out,
    struct error *err);
void tls_look_close(struct tls_look *t); /* NULL is fine */
void tls_look_found(const struct tls_look *t, struct tls_found *out);

/* All of it; -1: broken or not in time. */
int tls_look_write(struct tls_look *t, const void *bytes, size_t len);
/* Some; 0: the end; -1: broken or not in time. */
int tls_look_read(struct tls_look *t, void *out, size_t room);
