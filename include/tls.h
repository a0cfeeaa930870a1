/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutual TLS 1.3 (1.2 allowed where said) on non-blocking sockets.
 *
 * Both sides must show a certificate of the configured CA; a revocation list
 * beside it is honoured.  A private key that group or others can read is
 * refused.  OpenSSL is used in lib/tls.c, lib/digest.c and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "digest.h"
#include "error.h"
#include "slice.h"

struct tls_files {
	const char *ca;          /* PEM, one or more certificates */
	const char *pin;         /* of a client: SHA-256 (hex) of a certificate
				  * that is trusted as well where the server
				  * shows it in its chain; `ca` may be NULL
				  * then; NULL: none */
	const char *certificate; /* PEM chain, own first; NULL: a client that
				  * shows none */
	const char *key;         /* PEM, must fit the certificate */
	const char *crl;         /* PEM, lists; NULL: none */
};

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* Immutable, shared by connections, counted: free when yours is done. */
struct tls_context;

/* `allow_tls12`: for syslog senders (RFC 9662) and Beats. */
enum rc tls_context_new(enum tls_role role, const struct tls_files *files,
    bool allow_tls12, struct tls_context **out, struct error *err);
void tls_context_free(struct tls_context *ctx); /* NULL is fine */
/* One more user, who frees it as well. */
struct tls_context *tls_context_share(struct tls_context *ctx);

/*
 * Who of a server's peers is refused beside those on the revocation list, with
 * the same alert, and resumes no session: those that `admit` says no to, by
 * subject CN and SHA-256 of the certificate.  Before the first connection; it
 * runs in handshakes.
 */
typedef bool tls_admit_cb(void *arg, const char *name, const char *sha256);
void tls_context_admit(struct tls_context *ctx, tls_admit_cb *admit, void *arg);

/* SHA-256 of the last certificate that a server's peers are shown: the root
 * where `ca` has it. */
void tls_context_anchor(const struct tls_context *ctx, char out[SHA256_TEXT]);

struct tls;

/*
 * Takes the connected non-blocking socket: closes it in tls_free().  A client
 * names the host it expects (subjectAltName DNS or IP; CN counts if there is no
 * SAN), NULL for none, and resumes its last session with that context.
 */
struct tls *tls_new(struct tls_context *ctx, int fd, const char *server_name);
void tls_free(struct tls *t); /* NULL is fine; sends no close_notify */

/*
 * RC_OK: done.  RC_AGAIN: wait until tls_wants() is ready, call again.  RC_EOF:
 * the peer closed.  RC_DENIED: certificate refused (err says whose and why).
 * RC_LIBRARY, RC_SYSTEM: broken.
 */
enum rc tls_handshake(struct tls *t, struct error *err);
enum rc tls_read(struct tls *t, void *out, size_t room, size_t *n,
    struct error *err);
/* Partial writes happen: *n bytes were taken. */
enum rc tls_write(struct tls *t, const void *bytes, size_t len, size_t *n,
    struct error *err);
/* close_notify, best effort, does not wait. */
void tls_shutdown(struct tls *t);

/* LOOP_READ and/or LOOP_WRITE: what the last RC_AGAIN waits for. */
unsigned tls_wants(const struct tls *t);

/* Subject CN of the peer; empty before the handshake is done. */
const char *tls_peer_name(const struct tls *t);
/* SHA-256 of its certificate. */
void tls_peer_certificate(const struct tls *t, char out[SHA256_TEXT]);
bool tls_resumed(const struct tls *t);
int tls_fd(const struct tls *t);

/*
 * For HTTPS, whose connections libevent reads and writes: a server's side, for
 * which a peer's certificate is welcome and not demanded.  `begin` runs with the
 * tag for each hello of the client (there may be two), before anything is
 * computed for it; false: there is no handshake, an alert ends it.  `gone` runs
 * when OpenSSL frees it.
 */
struct ssl_st;
struct ssl_st *tls_server_new(struct tls_context *ctx, bool (*begin)(void *tag),
    void (*gone)(void *tag), void *tag);
void *tls_server_tag(const struct ssl_st *ssl);
/* SHA-256 of the certificate that the peer has shown; empty: none. */
void tls_server_certificate(const struct ssl_st *ssl, char out[SHA256_TEXT]);

/* Subject CN of a PEM certificate. */
enum rc tls_certificate_name(const char *path, char *out, size_t room,
    struct error *err);

/* SHA-256 of a PEM certificate, as tls_server_certificate() tells a peer's. */
enum rc tls_certificate_digest(const char *path, char out[SHA256_TEXT],
    struct error *err);
