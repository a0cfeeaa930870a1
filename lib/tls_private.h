/* SPDX-License-Identifier: Apache-2.0 */
/* Between tls.c (connections) and tls_context.c (what they share). */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

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

	/* A client's last session, for its next connection. */
	pthread_mutex_t lock;
	SSL_SESSION *session;
	char session_host[TLS_NAME];
};

/* The session to resume with `host`, or NULL; the caller's. */
SSL_SESSION *tls_context_session(struct tls_context *ctx, const char *host);
/* Takes the session. */
void tls_context_keep(struct tls_context *ctx, const char *host,
    SSL_SESSION *session);

/* OpenSSL's callback, of tls.c: a ticket came. */
int tls_on_session(SSL *ssl, SSL_SESSION *session);

/* "CN=a,O=b", for people; control characters replaced. */
void tls_subject(const X509 *cert, char out[TLS_SUBJECT]);

/* The last CN of the subject; false: none, too long, or not printable. */
bool tls_common_name(const X509 *cert, char *out, size_t room);

/* Why OpenSSL failed, from its queue, which is emptied. */
void tls_reason(char out[TLS_REASON]);
