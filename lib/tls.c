/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "tls_private.h"
#include "xalloc.h"

struct tls {
	struct tls_context *ctx; /* counted */
	SSL *ssl;
	int fd;
	bool eof;  /* the socket said so */
	bool open; /* handshake done, nothing broken */
	unsigned wants;
	char host[TLS_NAME]; /* of the server a client wants; may be empty */
	char peer[TLS_NAME];
	char refused[TLS_REASON]; /* why we refused the peer's certificate */
};

/*
 * The socket below OpenSSL.  Its own socket BIO writes without MSG_NOSIGNAL,
 * so that a peer that went away would end the process.
 */
static int
sock_write(BIO *bio, const char *bytes, int len)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n = send(t->fd, bytes, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int
sock_read(BIO *bio, char *out, int room)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n = recv(t->fd, out, (size_t)room, 0);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (n == 0)
		t->eof = true;
	return (int)n;
}

static long
sock_ctrl(BIO *bio, int what, long number, void *pointer)
{
	struct tls *t = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	if (what == BIO_CTRL_FLUSH)
		return 1;
	return what == BIO_CTRL_EOF && t->eof ? 1 : 0;
}

static int
sock_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static void
must(bool ok)
{
	if (!ok) {
		(void)fprintf(stderr, "OpenSSL: out of resources\n");
		abort();
	}
}

static BIO_METHOD *sock_method;
static int connection_index; /* of struct tls in an SSL */

static void
set_up(void)
{
	sock_method =
	    BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kuzet");
	must(sock_method != NULL);
	must(BIO_meth_set_write(sock_method, sock_write) == 1);
	must(BIO_meth_set_read(sock_method, sock_read) == 1);
	must(BIO_meth_set_ctrl(sock_method, sock_ctrl) == 1);
	must(BIO_meth_set_create(sock_method, sock_create) == 1);
	connection_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	must(connection_index >= 0);
}

/* A ticket came: it belongs to the context from here on. */
int
tls_on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_ex_data(ssl, connection_index);

	if (!SSL_SESSION_is_resumable(session))
		return 0;
	tls_context_keep(t->ctx, t->host, session);
	return 1;
}

/* Remembers whose certificate was refused and why: the queue forgets whose. */
static int
on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_ex_data(ssl, connection_index);
	char subject[TLS_SUBJECT];
	int why;

	ok = tls_verify_admitted(ok, store);
	why = X509_STORE_CTX_get_error(store);
	if (ok == 1 || t->refused[0] != '\0')
		return ok;
	tls_subject(X509_STORE_CTX_get0_cert(store), subject);
	(void)snprintf(t->refused, sizeof(t->refused), "%s: %s", subject,
	    X509_verify_cert_error_string(why));
	return ok;
}

/* The certificate of that digest among those that the server shows. */
static X509 *
find_pinned(X509_STORE_CTX *store, const char *pin)
{
	STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store);
	char digest[SHA256_TEXT];

	for (int i = 0; i < sk_X509_num(shown); i++) {
		tls_digest(sk_X509_value(shown, i), digest);
		if (strcmp(digest, pin) == 0)
			return sk_X509_value(shown, i);
	}
	return NULL;
}

static int
refuse_unpinned(X509_STORE_CTX *store, const char *pin)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_ex_data(ssl, connection_index);
	char subject[TLS_SUBJECT];

	tls_subject(X509_STORE_CTX_get0_cert(store), subject);
	(void)snprintf(t->refused, sizeof(t->refused),
	    "%s: none of the certificates that it shows has the fingerprint "
	    "%s",
	    subject, pin);
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	return 0;
}

/* Who holds the pin is an authority; everything else is checked as always. */
int
tls_verify_pinned(X509_STORE_CTX *store, void *arg)
{
	const struct tls_context *ctx = arg;
	X509 *pinned = find_pinned(store, ctx->pin);
	STACK_OF(X509) *trusted = NULL;
	int ok;

	if (pinned == NULL && !ctx->has_ca)
		return refuse_unpinned(store, ctx->pin);
	if (pinned == NULL)
		return X509_verify_cert(store);
	trusted = sk_X509_new_null();
	must(trusted != NULL && sk_X509_push(trusted, pinned) > 0);
	X509_STORE_CTX_set0_trusted_stack(store, trusted);
	X509_STORE_CTX_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	ok = X509_verify_cert(store);
	X509_STORE_CTX_set0_trusted_stack(store, NULL);
	sk_X509_free(trusted);
	return ok;
}

/* The name that the server's certificate must have; SNI for names only. */
static void
expect_host(struct tls *t)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	unsigned char ip[16];

	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (inet_pton(AF_INET, t->host, ip) == 1 ||
	    inet_pton(AF_INET6, t->host, ip) == 1) {
		must(X509_VERIFY_PARAM_set1_ip_asc(param, t->host) == 1);
		return;
	}
	must(X509_VERIFY_PARAM_set1_host(param, t->host, 0) == 1);
	must(SSL_set_tlsext_host_name(t->ssl, t->host) == 1);
}

static void
start_client(struct tls *t)
{
	SSL_SESSION *session = tls_context_session(t->ctx, t->host);

	SSL_set_connect_state(t->ssl);
	if (t->host[0] != '\0')
		expect_host(t);
	if (session != NULL)
		(void)SSL_set_session(t->ssl, session); /* else a full one */
	SSL_SESSION_free(session);
}

struct tls *
tls_new(struct tls_context *ctx, int fd, const char *server_name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls *t = xzalloc(sizeof(*t));
	BIO *bio;

	(void)pthread_once(&once, set_up);
	t->ctx = tls_context_share(ctx);
	t->fd = fd;
	(void)snprintf(t->host, sizeof(t->host), "%s",
	    server_name != NULL ? server_name : "");
	t->ssl = SSL_new(ctx->ssl);
	bio = BIO_new(sock_method);
	must(t->ssl != NULL && bio != NULL);
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio);
	must(SSL_set_ex_data(t->ssl, connection_index, t) == 1);
	SSL_set_verify(t->ssl,
	    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
	if (ctx->role == TLS_CLIENT)
		start_client(t);
	else
		SSL_set_accept_state(t->ssl);
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	/* else OpenSSL takes the session for broken: no resumption */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN);
	SSL_free(t->ssl);
	(void)close(t->fd);
	tls_context_free(t->ctx);
	free(t);
}

/* The alerts by which a peer says that it does not take our certificate. */
static bool
is_refusal(int reason)
{
	static const int reasons[] = {
		SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
		SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
		SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED,
		SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
		SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
		SSL_R_TLSV1_ALERT_UNKNOWN_CA,
		SSL_R_TLSV1_ALERT_ACCESS_DENIED,
		SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i] == reason)
			return true;
	return false;
}

static enum rc
fail_protocol(struct tls *t, struct error *err)
{
	int reason = ERR_GET_REASON(ERR_peek_error());
	char text[TLS_REASON];

	if (t->refused[0] != '\0') {
		ERR_clear_error();
		return error_set(err, RC_DENIED,
		    "the peer's certificate is refused: %s", t->refused);
	}
	if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
		ERR_clear_error();
		return error_set(err, RC_DENIED,
		    "the peer shows no certificate");
	}
	tls_reason(text);
	if (is_refusal(reason))
		return error_set(err, RC_DENIED,
		    "the peer refuses our certificate %s: %s", t->ctx->own,
		    text);
	return error_set(err, RC_LIBRARY, "TLS: %s", text);
}

/* What an OpenSSL call that did not return 1 means; `errnum` is its errno. */
static enum rc
not_done(struct tls *t, int ret, int errnum, struct error *err)
{
	int why = SSL_get_error(t->ssl, ret);

	switch (why) {
	case SSL_ERROR_WANT_READ:
		t->wants = LOOP_READ;
		return RC_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		t->wants = LOOP_WRITE;
		return RC_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		t->open = false;
		return error_set(err, RC_EOF, "the peer closed the connection");
	case SSL_ERROR_SYSCALL:
		t->open = false;
		ERR_clear_error();
		if (t->eof || errnum == 0)
			return error_set(err, RC_EOF,
			    "the peer closed the connection");
		return error_set_errno(err, errnum, "connection");
	default:
		t->open = false;
		return fail_protocol(t, err);
	}
}

static enum rc
know_peer(struct tls *t, struct error *err)
{
	X509 *cert = SSL_get1_peer_certificate(t->ssl);
	char subject[TLS_SUBJECT];
	bool named =
	    cert != NULL && tls_common_name(cert, t->peer, sizeof(t->peer));

	tls_subject(cert, subject);
	X509_free(cert);
	if (named || t->ctx->role == TLS_CLIENT)
		return RC_OK;
	return error_set(err, RC_DENIED,
	    "the peer's certificate is refused: %s: no usable CN", subject);
}

enum rc
tls_handshake(struct tls *t, struct error *err)
{
	enum rc rc;
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(t->ssl);
	if (ret != 1)
		return not_done(t, ret, errno, err);
	rc = know_peer(t, err);
	t->open = rc == RC_OK;
	return rc;
}

enum rc
tls_read(struct tls *t, void *out, size_t room, size_t *n, struct error *err)
{
	int ret;

	*n = 0;
	if (room == 0)
		return RC_OK;
	ERR_clear_error();
	errno = 0;
	ret = SSL_read_ex(t->ssl, out, room, n);
	return ret == 1 ? RC_OK : not_done(t, ret, errno, err);
}

/*
 * With TLS 1.3 a client learns only after its handshake that it was refused,
 * and its first write may fail before it read the alert that says why.
 */
static enum rc
look_for_alert(struct tls *t, enum rc rc, struct error *err)
{
	struct error why;
	char byte;
	size_t n;

	if (rc != RC_SYSTEM && rc != RC_EOF)
		return rc;
	if (tls_read(t, &byte, 1, &n, &why) != RC_DENIED)
		return rc;
	*err = why;
	return RC_DENIED;
}

enum rc
tls_write(struct tls *t, const void *bytes, size_t len, size_t *n,
    struct error *err)
{
	enum rc rc;
	int ret;

	*n = 0;
	if (len == 0)
		return RC_OK;
	ERR_clear_error();
	errno = 0;
	ret = SSL_write_ex(t->ssl, bytes, len, n);
	if (ret == 1)
		return RC_OK;
	rc = not_done(t, ret, errno, err);
	return look_for_alert(t, rc, err);
}

void
tls_shutdown(struct tls *t)
{
	if (!t->open)
		return;
	t->open = false;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

unsigned
tls_wants(const struct tls *t)
{
	return t->wants;
}

const char *
tls_peer_name(const struct tls *t)
{
	return t->peer;
}

void
tls_peer_certificate(const struct tls *t, char out[SHA256_TEXT])
{
	X509 *cert = SSL_get1_peer_certificate(t->ssl);

	out[0] = '\0';
	if (cert != NULL)
		tls_digest(cert, out);
	X509_free(cert);
}

bool
tls_resumed(const struct tls *t)
{
	return SSL_session_reused(t->ssl) == 1;
}

int
tls_fd(const struct tls *t)
{
	return t->fd;
}
