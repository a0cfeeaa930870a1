/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_look.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "digest.h"
#include "loop.h"
#include "timestamp.h"
#include "tls_private.h"
#include "xalloc.h"

struct tls_look {
	SSL_CTX *context;
	SSL *ssl;
	struct tls_look_waiting waiting;
};

static enum rc
failed(const char *what, struct error *err)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return error_set(err, RC_LIBRARY, "%s: %s", what,
	    reason == NULL ? "broken connection" : reason);
}

/* True: try again. */
static bool
wait_for(struct tls_look *t, int result)
{
	int why = SSL_get_error(t->ssl, result);

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return false;
	return t->waiting.wait(t->waiting.ctx, SSL_get_fd(t->ssl),
	    why == SSL_ERROR_WANT_READ ? LOOP_READ : LOOP_WRITE);
}

static bool
expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1)
		return true;
	return SSL_set_tlsext_host_name(ssl, host) == 1 &&
	    X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}

static enum rc
prepare(struct tls_look *t, int fd, const char *host, const char *ca,
    struct error *err)
{
	if (ca != NULL && tls_check_readable(ca, err) != RC_OK)
		return err->code;
	t->context = SSL_CTX_new(TLS_client_method());
	if (t->context == NULL ||
	    (ca == NULL ? SSL_CTX_set_default_verify_paths(t->context)
			: SSL_CTX_load_verify_file(t->context, ca)) != 1)
		return failed(ca == NULL ? "the system's CAs" : ca, err);
	/* whoever it is: the finding says so */
	SSL_CTX_set_verify(t->context, SSL_VERIFY_NONE, NULL);
	t->ssl = SSL_new(t->context);
	if (t->ssl == NULL || !expect_host(t->ssl, host) ||
	    SSL_set_fd(t->ssl, fd) != 1)
		return failed(host, err);
	return RC_OK;
}

enum rc
tls_look_open(int fd, const char *host, const char *ca,
    const struct tls_look_waiting *waiting, struct tls_look **out,
    struct error *err)
{
	struct tls_look *t = xzalloc(sizeof(*t));
	enum rc rc;
	int r;

	t->waiting = *waiting;
	ERR_clear_error();
	rc = prepare(t, fd, host, ca, err);
	while (rc == RC_OK && (r = SSL_connect(t->ssl)) != 1) {
		int why = SSL_get_error(t->ssl, r);

		if (wait_for(t, r))
			continue;
		rc = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE
		    ? error_set(err, RC_EOF, "no TLS handshake in time")
		    : failed("TLS handshake", err);
	}
	if (rc != RC_OK) {
		tls_look_close(t);
		return rc;
	}
	*out = t;
	return RC_OK;
}

void
tls_look_close(struct tls_look *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->context);
	free(t);
}

static int64_t
time_of(const ASN1_TIME *time)
{
	struct tm tm;
	int64_t ns = 0;

	if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1)
		return 0;
	(void)timestamp_from_civil(&(struct civil_time){ .year =
							     tm.tm_year + 1900,
				       .month = tm.tm_mon + 1,
				       .day = tm.tm_mday,
				       .hour = tm.tm_hour,
				       .minute = tm.tm_min,
				       .second = tm.tm_sec },
	    NULL, &ns);
	return ns;
}

static void
name_of(const X509_NAME *name, char *out, size_t room)
{
	BIO *text = BIO_new(BIO_s_mem());
	int n = -1;

	if (text != NULL &&
	    X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(text, out, (int)room - 1);
	out[n < 0 ? 0 : n] = '\0';
	BIO_free(text);
}

static void
look_at_chain(const SSL *ssl, struct tls_found *out)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

	out->chain = chain == NULL ? 0 : (unsigned)sk_X509_num(chain);
	out->chain_not_after_ns = out->not_after_ns;
	for (unsigned i = 0; i < out->chain; i++) {
		int64_t ends_ns =
		    time_of(X509_get0_notAfter(sk_X509_value(chain, (int)i)));

		if (ends_ns < out->chain_not_after_ns)
			out->chain_not_after_ns = ends_ns;
	}
}

void
tls_look_found(const struct tls_look *t, struct tls_found *out)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	long verified = SSL_get_verify_result(t->ssl);
	uint8_t digest[SHA256_BYTES];
	unsigned len = sizeof(digest);

	memset(out, 0, sizeof(*out));
	(void)snprintf(out->version, sizeof(out->version), "%s",
	    SSL_get_version(t->ssl));
	if (cert == NULL) {
		(void)snprintf(out->problem, sizeof(out->problem),
		    "it shows no certificate");
		return;
	}
	out->trusted = verified == X509_V_OK;
	if (!out->trusted)
		(void)snprintf(out->problem, sizeof(out->problem), "%s",
		    X509_verify_cert_error_string(verified));
	name_of(X509_get_subject_name(cert), out->subject,
	    sizeof(out->subject));
	name_of(X509_get_issuer_name(cert), out->issuer, sizeof(out->issuer));
	out->not_before_ns = time_of(X509_get0_notBefore(cert));
	out->not_after_ns = time_of(X509_get0_notAfter(cert));
	look_at_chain(t->ssl, out);
	if (X509_digest(cert, EVP_sha256(), digest, &len) == 1)
		hex_text(digest, sizeof(digest), out->sha256);
}

int
tls_look_write(struct tls_look *t, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		int n = SSL_write(t->ssl, at, (int)len);

		if (n <= 0) {
			if (wait_for(t, n))
				continue;
			return -1;
		}
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int
tls_look_read(struct tls_look *t, void *out, size_t room)
{
	for (;;) {
		int n = SSL_read(t->ssl, out, (int)room);

		if (n > 0)
			return n;
		if (wait_for(t, n))
			continue;
		/* many end without saying so */
		return SSL_get_error(t->ssl, n) == SSL_ERROR_ZERO_RETURN ? 0
		    : SSL_get_error(t->ssl, n) == SSL_ERROR_SSL          ? 0
									 : -1;
	}
}
