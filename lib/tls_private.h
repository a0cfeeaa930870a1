/* SPDX-License-Identifier: Apache-2.0 */
/* Between tls.c (connections) and tls_context.c (what they share). */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "certificate.h"
#include "tls.h"

enum {
	TLS_NAME = 256,    /* bytes of a subject CN with its NUL */
	TLS_SUBJECT = 384, /* of a subject in a message */
	TLS_REASON = 512,
};

struct tls_context {
	atomic_uint uses;
	enum tls_role role;
	SSL_CTX *ssl;
	char own[TLS_SUBJECT]; /* our certificate's subject, for messages */
	char pin[SHA256_TEXT]; /* empty: none */
	bool has_ca;
	tls_admit_cb *admit; /* NULL: all */
	void *admit_arg;

	/* A client's last session, for its next connection. */
	pthread_mutex_t lock;
	SSL_SESSION *session;
	char session_host[TLS_NAME];
};

/* OpenSSL's own message for a file that cannot be opened names neither file nor
 * reason. */
enum rc tls_check_readable(const char *path, struct error *err);

/* The session to resume with `host`, or NULL; the caller's. */
SSL_SESSION *tls_context_session(struct tls_context *ctx, const char *host);
/* Takes the session. */
void tls_context_keep(struct tls_context *ctx, const char *host,
    SSL_SESSION *session);

/* OpenSSL's callback, of tls.c: a ticket came. */
int tls_on_session(SSL *ssl, SSL_SESSION *session);

/* The same: verifies a server's chain where there is a pin; `arg` is the
 * context. */
int tls_verify_pinned(X509_STORE_CTX *store, void *arg);

/* OpenSSL's callback for every server: tls_server_new()'s `begin`. */
int tls_on_hello(SSL *ssl, int *alert, void *arg);

/* OpenSSL's callback for each certificate of a peer: tls_context_admit(), and all
 * revocation lists of its issuer. */
int tls_verify_admitted(int ok, X509_STORE_CTX *store);

/* SHA-256 of a certificate's DER; empty: it has none. */
void tls_digest(const X509 *cert, char out[SHA256_TEXT]);

/* "CN=a,O=b", for people; control characters replaced. */
void tls_subject(const X509 *cert, char out[TLS_SUBJECT]);

/* The last CN of the subject; false: none, too long, or not printable. */
bool tls_common_name(const X509 *cert, char *out, size_t room);

/* Why OpenSSL failed, from its queue, which is emptied. */
void tls_reason(char out[TLS_REASON]);

/* ---- keys and certificates: tls_context.c, tls_certificate.c -------------- */

/* For OpenSSL: never asks the terminal. */
int tls_no_passphrase(char *out, int room, int writing, void *ctx);
/* Opens a private key's file; RC_DENIED: others may read it. */
enum rc tls_open_key(const char *path, FILE **out, struct error *err);
enum rc tls_read_key(const char *path, EVP_PKEY **out, struct error *err);
/* PKCS #8 in PEM, mode 0600, whole or not at all. */
enum rc tls_write_key(EVP_PKEY *key, const char *path, struct error *err);
/* SHA-256 of the SubjectPublicKeyInfo. */
bool tls_key_digest(EVP_PKEY *key, char out[SHA256_TEXT]);
enum rc tls_certificate_facts(const X509 *cert, struct certificate *out,
    struct error *err);
