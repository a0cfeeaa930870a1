/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "timestamp.h"
#include "tls_private.h"
#include "xalloc.h"

enum { PATH_BYTES = 4096 };

static enum rc
fail(const char *what, struct error *err)
{
	char reason[TLS_REASON];

	tls_reason(reason);
	return error_set(err, RC_LIBRARY, "%s: %s", what, reason);
}

bool
certificate_name_valid(struct slice name)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789";

	if (name.len == 0 || name.len >= CERTIFICATE_NAME)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c == '\0' ||
		    (strchr(first, c) == NULL &&
			(i == 0 || strchr("._-", c) == NULL)))
			return false;
	}
	return true;
}

/* ---- its end ---------------------------------------------------------------- */

const char *
certificate_state_name(enum certificate_state state)
{
	static const char *const names[] = { "unknown", "good", "ending",
		"ended" };

	return names[state];
}

enum certificate_state
certificate_state(const struct certificate_life *l, int64_t now_ns)
{
	const int64_t most_ns =
	    (l->authority ? 60 : 14) * INT64_C(86400) * NS_PER_SEC;
	int64_t notice_ns = (l->end_ns - l->begin_ns) / 10;

	if (notice_ns > most_ns)
		notice_ns = most_ns;
	if (l->renew_ns != 0 && l->renew_ns > l->begin_ns &&
	    l->renew_ns < l->end_ns)
		notice_ns = l->failing ? (l->end_ns - l->renew_ns) / 2 : 0;
	return l->end_ns <= now_ns           ? CERTIFICATE_ENDED
	    : l->end_ns - now_ns < notice_ns ? CERTIFICATE_ENDING
					     : CERTIFICATE_GOOD;
}

/* ---- what stands in it ------------------------------------------------------ */

static bool
time_of(const ASN1_TIME *t, int64_t *out_ns)
{
	struct civil_time civil;
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	civil = (struct civil_time){ .year = tm.tm_year + 1900,
		.month = tm.tm_mon + 1,
		.day = tm.tm_mday,
		.hour = tm.tm_hour,
		.minute = tm.tm_min,
		.second = tm.tm_sec };
	return timestamp_from_civil(&civil, NULL, out_ns);
}

static bool
serial_of(const X509 *cert, char out[CERTIFICATE_SERIAL])
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	int n = ASN1_STRING_length(serial);

	if (n <= 0 || 2 * n + 1 > CERTIFICATE_SERIAL)
		return false;
	hex_text(ASN1_STRING_get0_data(serial), (size_t)n, out);
	return true;
}

bool
tls_key_digest(EVP_PKEY *key, char out[SHA256_TEXT])
{
	uint8_t digest[SHA256_BYTES];
	unsigned char *der = NULL;
	int n = key != NULL ? i2d_PUBKEY(key, &der) : -1;

	if (n <= 0)
		return false;
	sha256_of((struct slice){ (const char *)der, (size_t)n }, digest);
	OPENSSL_free(der);
	hex_text(digest, sizeof(digest), out);
	return true;
}

enum rc
tls_certificate_facts(const X509 *cert, struct certificate *out,
    struct error *err)
{
	*out = (struct certificate){ .not_after_ns = 0 };
	tls_digest(cert, out->sha256);
	if (!serial_of(cert, out->serial) || out->sha256[0] == '\0' ||
	    !tls_key_digest(X509_get0_pubkey(cert), out->key_sha256) ||
	    !time_of(X509_get0_notBefore(cert), &out->not_before_ns) ||
	    !time_of(X509_get0_notAfter(cert), &out->not_after_ns)) {
		ERR_clear_error();
		return error_set(err, RC_INVALID,
		    "the certificate's serial, key or times cannot be read");
	}
	if (!tls_common_name(cert, out->name, sizeof(out->name))) {
		out->name[0] = '\0';
		return error_set(err, RC_INVALID,
		    "the certificate's subject has no usable CN");
	}
	return RC_OK;
}

static enum rc
facts_of_bio(BIO *bio, struct certificate *out, struct error *err)
{
	X509 *cert = bio != NULL
	    ? PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL)
	    : NULL;
	enum rc rc = cert != NULL ? tls_certificate_facts(cert, out, err)
				  : fail("no certificate", err);

	X509_free(cert);
	return rc;
}

enum rc
certificate_parse(struct slice pem, struct certificate *out, struct error *err)
{
	BIO *bio;
	enum rc rc;

	if (pem.len > CERTIFICATE_PEM_MAX)
		return error_set(err, RC_LIMIT, "the certificate is too long");
	bio = BIO_new_mem_buf(pem.len > 0 ? pem.ptr : "", (int)pem.len);
	rc = facts_of_bio(bio, out, err);
	(void)BIO_free(bio);
	return rc;
}

enum rc
certificate_read(const char *path, struct certificate *out, struct error *err)
{
	FILE *f = fopen(path, "rbe");
	BIO *bio;
	enum rc rc;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	bio = BIO_new_fp(f, BIO_CLOSE);
	rc = facts_of_bio(bio, out, err);
	(void)BIO_free(bio);
	return rc == RC_OK ? rc : error_prefix(err, "%s", path);
}

/* ---- keys ------------------------------------------------------------------- */

enum rc
tls_read_key(const char *path, EVP_PKEY **out, struct error *err)
{
	FILE *f = NULL;

	if (tls_open_key(path, &f, err) != RC_OK)
		return err->code;
	*out = PEM_read_PrivateKey(f, NULL, tls_no_passphrase, NULL);
	(void)fclose(f);
	if (*out != NULL)
		return RC_OK;
	(void)fail("no private key (PEM, without a passphrase)", err);
	return error_prefix(err, "%s", path);
}

/* Beside the name first, then under it: never half a key. */
enum rc
tls_write_key(EVP_PKEY *key, const char *path, struct error *err)
{
	char beside[PATH_BYTES];
	FILE *f = NULL;
	bool ok;
	int fd;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.part", path) >=
	    sizeof(beside))
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    path);
	(void)unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		f = fdopen(fd, "w");
	ok = f != NULL &&
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    fflush(f) == 0 && fsync(fd) == 0 && rename(beside, path) == 0;
	if (!ok)
		(void)error_set_errno(err, errno, "cannot make the key %s",
		    path);
	if (f != NULL)
		(void)fclose(f);
	else if (fd >= 0)
		(void)close(fd);
	if (!ok)
		(void)unlink(beside);
	ERR_clear_error();
	return ok ? RC_OK : err->code;
}

bool
certificate_fits(const char *certificate, const char *key)
{
	FILE *f = fopen(certificate, "rbe");
	EVP_PKEY *private = NULL;
	X509 *cert = NULL;
	struct error err;
	bool fits;

	if (f == NULL)
		return false;
	cert = PEM_read_X509(f, NULL, tls_no_passphrase, NULL);
	(void)fclose(f);
	fits = cert != NULL && tls_read_key(key, &private, &err) == RC_OK &&
	    X509_check_private_key(cert, private) == 1;
	EVP_PKEY_free(private);
	X509_free(cert);
	ERR_clear_error();
	return fits;
}

enum rc
certificate_new_key(const char *path, struct error *err)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	enum rc rc = key != NULL ? tls_write_key(key, path, err)
				 : fail("cannot make a key", err);

	EVP_PKEY_free(key);
	return rc;
}

/* ---- requests --------------------------------------------------------------- */

static bool
fill_request(X509_REQ *req, EVP_PKEY *key, const char *name)
{
	X509_NAME *subject = X509_REQ_get_subject_name(req);

	return X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
		(const unsigned char *)name, -1, -1, 0) == 1 &&
	    X509_REQ_set_pubkey(req, key) == 1 &&
	    X509_REQ_sign(req, key, EVP_sha256()) > 0;
}

enum rc
certificate_request(const char *key_path, const char *name, struct buf *pem,
    struct error *err)
{
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY *key = NULL;
	char *text;
	enum rc rc = tls_read_key(key_path, &key, err);
	long n;

	if (rc != RC_OK)
		goto out;
	if (req == NULL || bio == NULL || !fill_request(req, key, name) ||
	    PEM_write_bio_X509_REQ(bio, req) != 1) {
		rc = fail("cannot make the request", err);
		goto out;
	}
	n = BIO_get_mem_data(bio, &text);
	if (n <= 0 || !buf_add(pem, text, (size_t)n))
		rc = error_set(err, RC_LIMIT, "the request is too long");
out:
	EVP_PKEY_free(key);
	X509_REQ_free(req);
	(void)BIO_free(bio);
	return rc;
}
