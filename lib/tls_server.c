/* SPDX-License-Identifier: Apache-2.0 */
/* A server's side of connections that libevent reads and writes. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls_private.h"
#include "xalloc.h"

/* What hangs on such an SSL. */
struct tag {
	bool (*begin)(void *tag);
	void (*gone)(void *tag);
	void *ctx;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int tag_index;

static void
must(bool ok)
{
	if (!ok) {
		(void)fprintf(stderr, "OpenSSL: out of resources\n");
		abort();
	}
}

/* By OpenSSL, for every SSL: NULL for those that are not of this kind. */
static void
free_tag(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index,
    long number, void *argument)
{
	struct tag *t = pointer;

	(void)parent;
	(void)data;
	(void)index;
	(void)number;
	(void)argument;
	if (t == NULL)
		return;
	t->gone(t->ctx);
	free(t);
}

static void
set_up(void)
{
	tag_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_tag);
	must(tag_index >= 0);
}

static const struct tag *
tag_of(const SSL *ssl)
{
	(void)pthread_once(&once, set_up);
	return SSL_get_ex_data(ssl, tag_index);
}

int
tls_on_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tag *t = tag_of(ssl);

	(void)arg;
	if (t == NULL || t->begin(t->ctx))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_INTERNAL_ERROR; /* "unrelated to the peer": RFC 8446 */
	return SSL_CLIENT_HELLO_ERROR;
}

/* ---- who is let in ------------------------------------------------------------ */

static bool
is_admitted(const struct tls_context *ctx, const X509 *cert)
{
	char name[TLS_NAME] = "", digest[SHA256_TEXT];

	if (ctx->admit == NULL || cert == NULL)
		return true;
	(void)tls_common_name(cert, name, sizeof(name));
	tls_digest(cert, digest);
	return ctx->admit(ctx->admit_arg, name, digest);
}

/*
 * OpenSSL asks the newest list of an issuer only.  Collectors that share an
 * authority have one each: what any of them revoked is.
 */
static bool
is_listed(X509_STORE_CTX *store)
{
	X509 *cert = X509_STORE_CTX_get0_cert(store);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
	X509 *issuer = sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0);
	STACK_OF(X509_CRL) *lists =
	    X509_STORE_CTX_get1_crls(store, X509_get_issuer_name(cert));
	X509_REVOKED *entry;
	bool found = false;

	for (int i = 0; !found && i < sk_X509_CRL_num(lists); i++) {
		X509_CRL *list = sk_X509_CRL_value(lists, i);

		found = X509_CRL_get0_by_cert(list, &entry, cert) == 1 &&
		    X509_CRL_verify(list, X509_get0_pubkey(issuer)) == 1;
	}
	sk_X509_CRL_pop_free(lists, X509_CRL_free);
	ERR_clear_error();
	return found;
}

int
tls_verify_admitted(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct tls_context *ctx =
	    SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (ok != 1 || X509_STORE_CTX_get_error_depth(store) != 0 ||
	    (is_admitted(ctx, X509_STORE_CTX_get_current_cert(store)) &&
		!is_listed(store)))
		return ok;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
	return 0;
}

static int
on_ticket_made(SSL *ssl, void *arg)
{
	(void)ssl;
	(void)arg;
	return 1;
}

/* A ticket of who is refused is none: the whole handshake tells it. */
static SSL_TICKET_RETURN
on_ticket_shown(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
    size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	(void)ssl;
	(void)name;
	(void)name_len;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (!is_admitted(arg, SSL_SESSION_get0_peer(session)))
		return SSL_TICKET_RETURN_IGNORE;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
					    : SSL_TICKET_RETURN_USE_RENEW;
}

void
tls_context_admit(struct tls_context *ctx, tls_admit_cb *admit, void *arg)
{
	ctx->admit = admit;
	ctx->admit_arg = arg;
	(void)SSL_CTX_set_session_ticket_cb(ctx->ssl, on_ticket_made,
	    on_ticket_shown, ctx);
}

struct ssl_st *
tls_server_new(struct tls_context *ctx, bool (*begin)(void *tag),
    void (*gone)(void *tag), void *tag)
{
	struct tag *t = xzalloc(sizeof(*t));
	SSL *ssl;

	(void)pthread_once(&once, set_up);
	*t = (struct tag){ begin, gone, tag };
	ssl = SSL_new(ctx->ssl);
	must(ssl != NULL && SSL_set_ex_data(ssl, tag_index, t) == 1);
	/* who shows none is asked for something else, above */
	SSL_set_verify(ssl, SSL_VERIFY_PEER, tls_verify_admitted);
	SSL_set_accept_state(ssl);
	/* libevent waits for the socket: OpenSSL must leave there what is not
	 * asked for yet */
	SSL_set_read_ahead(ssl, 0);
	/* and it takes a write that succeeded for a whole one */
	(void)SSL_clear_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	return ssl;
}

void *
tls_server_tag(const struct ssl_st *ssl)
{
	const struct tag *t = tag_of(ssl);

	return t != NULL ? t->ctx : NULL;
}

void
tls_server_certificate(const struct ssl_st *ssl, char out[SHA256_TEXT])
{
	X509 *cert = SSL_get1_peer_certificate(ssl);

	out[0] = '\0';
	if (cert != NULL && SSL_get_verify_result(ssl) == X509_V_OK)
		tls_digest(cert, out);
	X509_free(cert);
}
