/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls_private.h"
#include "xalloc.h"

enum { SESSION_SECONDS = 3600, READ_BUFFER = 32 * 1024 };

/* AEAD with forward secrecy only; RFC 9662 asks for the first with RSA. */
static const char ciphers12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:"
				"ECDHE-RSA-AES128-GCM-SHA256:"
				"ECDHE-ECDSA-AES256-GCM-SHA384:"
				"ECDHE-RSA-AES256-GCM-SHA384:"
				"ECDHE-ECDSA-CHACHA20-POLY1305:"
				"ECDHE-RSA-CHACHA20-POLY1305";

static void
make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void
tls_reason(char out[TLS_REASON])
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (code == 0)
		(void)snprintf(out, TLS_REASON, "unknown reason");
	else if (ERR_SYSTEM_ERROR(code))
		(void)strerror_r(ERR_GET_REASON(code), out, TLS_REASON);
	else if (reason != NULL)
		(void)snprintf(out, TLS_REASON, "%s", reason);
	else
		ERR_error_string_n(code, out, TLS_REASON);
	ERR_clear_error();
}

void
tls_subject(const X509 *cert, char out[TLS_SUBJECT])
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n = 0;

	(void)snprintf(out, TLS_SUBJECT, "unknown");
	if (bio == NULL || cert == NULL)
		goto out;
	(void)X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
	    XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	n = BIO_get_mem_data(bio, &text);
	if (n > 0)
		(void)snprintf(out, TLS_SUBJECT, "%.*s", (int)n, text);
	make_printable(out);
out:
	(void)BIO_free(bio);
}

bool
tls_common_name(const X509 *cert, char *out, size_t room)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = -1, last = -1;
	unsigned char *text = NULL;
	bool ok;
	int n;

	while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return false;
	n = ASN1_STRING_to_UTF8(&text,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
	ok = n > 0 && (size_t)n < room;
	for (int i = 0; ok && i < n; i++)
		ok = text[i] >= 0x20 && text[i] != 0x7f;
	if (ok) {
		memcpy(out, text, (size_t)n);
		out[n] = '\0';
	}
	OPENSSL_free(text);
	return ok;
}

void
tls_digest(const X509 *cert, char out[SHA256_TEXT])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	out[0] = '\0';
	if (X509_digest(cert, EVP_sha256(), digest, &len) == 1 &&
	    len == SHA256_BYTES)
		hex_text(digest, len, out);
}

int
tls_no_passphrase(char *out, int room, int writing, void *ctx)
{
	if (room > 0)
		out[0] = '\0';
	(void)writing;
	(void)ctx;
	return -1;
}

static enum rc
fail_file(const char *path, const char *what, struct error *err)
{
	char reason[TLS_REASON];

	tls_reason(reason);
	return error_set(err, RC_LIBRARY, "%s: %s: %s", path, what, reason);
}

enum rc
tls_check_readable(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return error_set_errno(err, errno, "%s", path);
	(void)close(fd);
	return RC_OK;
}

static enum rc
load_ca(SSL_CTX *ssl, enum tls_role role, const char *path, struct error *err)
{
	STACK_OF(X509_NAME) * names;
	enum rc rc = tls_check_readable(path, err);

	if (rc != RC_OK)
		return rc;
	if (SSL_CTX_load_verify_file(ssl, path) != 1)
		return fail_file(path, "no CA certificates", err);
	if (role == TLS_CLIENT)
		return RC_OK;
	names = SSL_load_client_CA_file(path);
	if (names == NULL)
		return fail_file(path, "no CA certificates", err);
	SSL_CTX_set_client_CA_list(ssl, names);
	return RC_OK;
}

static enum rc
load_crl(SSL_CTX *ssl, const char *path, struct error *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	X509_LOOKUP *lookup;
	enum rc rc = tls_check_readable(path, err);

	if (rc != RC_OK)
		return rc;
	lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (lookup == NULL ||
	    X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) < 1)
		return fail_file(path, "no revocation list", err);
	(void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	return RC_OK;
}

static enum rc
load_certificate(struct tls_context *ctx, const char *path, struct error *err)
{
	enum rc rc = tls_check_readable(path, err);

	if (rc != RC_OK)
		return rc;
	if (SSL_CTX_use_certificate_chain_file(ctx->ssl, path) != 1)
		return fail_file(path, "no certificate", err);
	tls_subject(SSL_CTX_get0_certificate(ctx->ssl), ctx->own);
	return RC_OK;
}

/* The file that is checked is the one that is read. */
enum rc
tls_open_key(const char *path, FILE **out, struct error *err)
{
	FILE *f = fopen(path, "rbe");
	struct stat st;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	if (fstat(fileno(f), &st) != 0) {
		(void)error_set_errno(err, errno, "%s", path);
		(void)fclose(f);
		return RC_SYSTEM;
	}
	if ((st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0) {
		(void)fclose(f);
		return error_set(err, RC_DENIED,
		    "%s: others may read this private key (mode %04o): "
		    "chmod 600 %s",
		    path, (unsigned)st.st_mode & 07777, path);
	}
	*out = f;
	return RC_OK;
}

static enum rc
load_key(SSL_CTX *ssl, const struct tls_files *files, struct error *err)
{
	EVP_PKEY *key;
	FILE *f = NULL;
	enum rc rc = tls_open_key(files->key, &f, err);

	if (rc != RC_OK)
		return rc;
	key = PEM_read_PrivateKey(f, NULL, tls_no_passphrase, NULL);
	(void)fclose(f);
	if (key == NULL)
		return fail_file(files->key,
		    "no private key (PEM, without a passphrase)", err);
	if (X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) != 1) {
		ERR_clear_error();
		rc = error_set(err, RC_INVALID,
		    "%s: this key does not fit the certificate %s", files->key,
		    files->certificate);
	} else if (SSL_CTX_use_PrivateKey(ssl, key) != 1) {
		rc = fail_file(files->key, "the key cannot be used", err);
	}
	EVP_PKEY_free(key);
	return rc;
}

/*
 * Up to the root where `ca` has it, so that a client that knows no more than
 * the root's fingerprint can verify us.
 */
static void
complete_chain(SSL_CTX *ssl)
{
	(void)SSL_CTX_build_cert_chain(ssl,
	    SSL_BUILD_CHAIN_FLAG_UNTRUSTED | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
		SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
	ERR_clear_error();
}

static enum rc
load_files(struct tls_context *ctx, const struct tls_files *files,
    struct error *err)
{
	enum rc rc = RC_OK;

	if (files->pin != NULL) {
		(void)snprintf(ctx->pin, sizeof(ctx->pin), "%s", files->pin);
		SSL_CTX_set_cert_verify_callback(ctx->ssl, tls_verify_pinned,
		    ctx);
	}
	ctx->has_ca = files->ca != NULL;
	if (ctx->has_ca)
		rc = load_ca(ctx->ssl, ctx->role, files->ca, err);
	else if (files->pin == NULL)
		rc = error_set(err, RC_INVALID, "no CA certificates are named");
	if (rc == RC_OK && files->crl != NULL)
		rc = load_crl(ctx->ssl, files->crl, err);
	if (rc == RC_OK && files->certificate == NULL)
		return ctx->role == TLS_CLIENT
		    ? RC_OK /* it shows none */
		    : error_set(err, RC_INVALID,
			  "a server needs a certificate");
	if (rc == RC_OK)
		rc = load_certificate(ctx, files->certificate, err);
	if (rc == RC_OK)
		rc = load_key(ctx->ssl, files, err);
	if (rc == RC_OK && ctx->role == TLS_SERVER)
		complete_chain(ctx->ssl);
	return rc;
}

/*
 * Sessions: a server's are tickets, encrypted with keys of this context, so a
 * new context (another CRL, another CA) resumes nothing of the old one.
 */
static bool
set_options(SSL_CTX *ssl, enum tls_role role, bool allow_tls12)
{
	static const unsigned char id[] = "kuzet";

	SSL_CTX_set_options(ssl,
	    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* idle connections hold no buffers */
	SSL_CTX_set_mode(ssl,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, READ_BUFFER);
	SSL_CTX_set_timeout(ssl, SESSION_SECONDS);
	SSL_CTX_set_session_cache_mode(ssl,
	    role == TLS_CLIENT
		? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
		: SSL_SESS_CACHE_OFF);
	if (role == TLS_CLIENT)
		SSL_CTX_sess_set_new_cb(ssl, tls_on_session);
	else
		SSL_CTX_set_client_hello_cb(ssl, tls_on_hello, NULL);
	return SSL_CTX_set_min_proto_version(ssl,
		   allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ssl, ciphers12) == 1 &&
	    SSL_CTX_set_num_tickets(ssl, 1) == 1 &&
	    SSL_CTX_set_session_id_context(ssl, id, sizeof(id) - 1) == 1;
}

enum rc
tls_context_new(enum tls_role role, const struct tls_files *files,
    bool allow_tls12, struct tls_context **out, struct error *err)
{
	struct tls_context *ctx = xzalloc(sizeof(*ctx));
	enum rc rc;

	*out = NULL;
	ERR_clear_error();
	atomic_init(&ctx->uses, 1);
	(void)pthread_mutex_init(&ctx->lock, NULL);
	ctx->role = role;
	ctx->ssl = SSL_CTX_new(
	    role == TLS_CLIENT ? TLS_client_method() : TLS_server_method());
	if (ctx->ssl == NULL || SSL_CTX_set_app_data(ctx->ssl, ctx) != 1 ||
	    !set_options(ctx->ssl, role, allow_tls12))
		rc = fail_file("TLS", "cannot be set up", err);
	else
		rc = load_files(ctx, files, err);
	if (rc != RC_OK) {
		tls_context_free(ctx);
		return rc;
	}
	*out = ctx;
	return RC_OK;
}

void
tls_context_anchor(const struct tls_context *ctx, char out[SHA256_TEXT])
{
	STACK_OF(X509) *chain = NULL;
	const X509 *last = SSL_CTX_get0_certificate(ctx->ssl);

	out[0] = '\0';
	if (SSL_CTX_get0_chain_certs(ctx->ssl, &chain) == 1 && chain != NULL &&
	    sk_X509_num(chain) > 0)
		last = sk_X509_value(chain, sk_X509_num(chain) - 1);
	if (last != NULL)
		tls_digest(last, out);
}

struct tls_context *
tls_context_share(struct tls_context *ctx)
{
	(void)atomic_fetch_add(&ctx->uses, 1);
	return ctx;
}

void
tls_context_free(struct tls_context *ctx)
{
	if (ctx == NULL || atomic_fetch_sub(&ctx->uses, 1) != 1)
		return;
	SSL_SESSION_free(ctx->session);
	SSL_CTX_free(ctx->ssl);
	(void)pthread_mutex_destroy(&ctx->lock);
	free(ctx);
}

/* Each ticket is used once (RFC 8446, appendix C.4). */
SSL_SESSION *
tls_context_session(struct tls_context *ctx, const char *host)
{
	SSL_SESSION *session = NULL;

	(void)pthread_mutex_lock(&ctx->lock);
	if (strcmp(ctx->session_host, host) == 0) {
		session = ctx->session;
		ctx->session = NULL;
	}
	(void)pthread_mutex_unlock(&ctx->lock);
	return session;
}

void
tls_context_keep(struct tls_context *ctx, const char *host,
    SSL_SESSION *session)
{
	SSL_SESSION *old;

	(void)pthread_mutex_lock(&ctx->lock);
	old = ctx->session;
	ctx->session = session;
	(void)snprintf(ctx->session_host, sizeof(ctx->session_host), "%s",
	    host);
	(void)pthread_mutex_unlock(&ctx->lock);
	SSL_SESSION_free(old);
}

enum rc
tls_certificate_name(const char *path, char *out, size_t room,
    struct error *err)
{
	FILE *f = fopen(path, "rbe");
	enum rc rc = RC_OK;
	X509 *cert;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	cert = PEM_read_X509(f, NULL, tls_no_passphrase, NULL);
	(void)fclose(f);
	if (cert == NULL)
		return fail_file(path, "no certificate", err);
	if (!tls_common_name(cert, out, room))
		rc = error_set(err, RC_INVALID,
		    "%s: the certificate's subject has no usable CN", path);
	X509_free(cert);
	return rc;
}

enum rc
tls_certificate_digest(const char *path, char out[SHA256_TEXT],
    struct error *err)
{
	FILE *f = fopen(path, "rbe");
	X509 *cert;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	cert = PEM_read_X509(f, NULL, tls_no_passphrase, NULL);
	(void)fclose(f);
	if (cert == NULL)
		return fail_file(path, "no certificate", err);
	tls_digest(cert, out);
	X509_free(cert);
	return out[0] != '\0' ? RC_OK : fail_file(path, "no digest", err);
}
