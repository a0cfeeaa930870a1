/* SPDX-License-Identifier: Apache-2.0 */
#include "authority.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timestamp.h"
#include "tls_private.h"
#include "xalloc.h"

enum {
	SERIAL_BITS = 159, /* RFC 5280: positive, at most 20 octets */
	SKEW_SECONDS = 300,
	SAN_MAX = CERTIFICATE_NAME + 8,
};

struct authority {
	atomic_uint uses;
	X509 *certificate;
	EVP_PKEY *key;
	struct buf trust;
};

struct authority_request {
	EVP_PKEY *key;
	char name[CERTIFICATE_NAME];
	char key_sha256[SHA256_TEXT];
};

static enum rc
fail(const char *path, const char *what, struct error *err)
{
	char reason[TLS_REASON];

	tls_reason(reason);
	return error_set(err, RC_LIBRARY, "%s: %s: %s", path, what, reason);
}

/* ---- the authority itself ----------------------------------------------------- */

static enum rc
read_file(const char *path, struct buf *out, struct error *err)
{
	FILE *f = fopen(path, "rbe");
	char bytes[4096];
	enum rc rc = RC_OK;
	size_t n;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0 && rc == RC_OK)
		if (!buf_add(out, bytes, n))
			rc = error_set(err, RC_LIMIT,
			    "%s: more than %d bytes of certificates", path,
			    (int)CERTIFICATE_PEM_MAX);
	if (rc == RC_OK && ferror(f) != 0)
		rc = error_set(err, RC_SYSTEM, "%s: cannot be read", path);
	(void)fclose(f);
	return rc;
}

static enum rc
read_certificate(struct authority *a, const char *path, struct error *err)
{
	FILE *f = fopen(path, "rbe");
	uint32_t usage;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	a->certificate = PEM_read_X509(f, NULL, tls_no_passphrase, NULL);
	(void)fclose(f);
	if (a->certificate == NULL)
		return fail(path, "no certificate", err);
	usage = X509_get_key_usage(a->certificate); /* all ones: none said */
	if (X509_check_ca(a->certificate) < 1 ||
	    (usage & KU_KEY_CERT_SIGN) == 0)
		return error_set(err, RC_INVALID,
		    "%s: no authority's certificate (basicConstraints CA and "
		    "keyUsage keyCertSign): it cannot sign agents'",
		    path);
	if (X509_cmp_time(X509_get0_notAfter(a->certificate), NULL) < 0)
		return error_set(err, RC_INVALID,
		    "%s: the authority's certificate has expired", path);
	return RC_OK;
}

enum rc
authority_open(const struct authority_files *files, struct authority **out,
    struct error *err)
{
	struct authority *a = xzalloc(sizeof(*a));
	struct certificate first;
	enum rc rc;

	*out = NULL;
	atomic_init(&a->uses, 1);
	buf_init(&a->trust, CERTIFICATE_PEM_MAX);
	rc = read_certificate(a, files->certificate, err);
	if (rc == RC_OK)
		rc = tls_read_key(files->key, &a->key, err);
	if (rc == RC_OK && X509_check_private_key(a->certificate, a->key) != 1)
		rc = error_set(err, RC_INVALID,
		    "%s: this key does not fit the certificate %s", files->key,
		    files->certificate);
	if (rc == RC_OK)
		rc = read_file(files->trust, &a->trust, err);
	if (rc == RC_OK &&
	    certificate_parse(buf_slice(&a->trust), &first, err) == RC_LIBRARY)
		rc = error_prefix(err, "%s", files->trust);
	ERR_clear_error();
	if (rc != RC_OK) {
		authority_free(a);
		return rc;
	}
	*out = a;
	return RC_OK;
}

struct authority *
authority_share(struct authority *a)
{
	(void)atomic_fetch_add(&a->uses, 1);
	return a;
}

void
authority_free(struct authority *a)
{
	if (a == NULL || atomic_fetch_sub(&a->uses, 1) != 1)
		return;
	X509_free(a->certificate);
	EVP_PKEY_free(a->key);
	buf_fini(&a->trust);
	free(a);
}

/* Whether the certificates in a file vouch for that one. */
static bool
vouches(const char *file, X509 *cert, STACK_OF(X509) * between)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool good = store != NULL && ctx != NULL &&
	    X509_STORE_load_file(store, file) == 1 &&
	    X509_STORE_CTX_init(ctx, store, cert, between) == 1 &&
	    X509_verify_cert(ctx) == 1;

	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return good;
}

/* The first certificate of a file, and those behind it. */
static X509 *
read_chain(const char *path, STACK_OF(X509) * behind)
{
	FILE *f = fopen(path, "rbe");
	X509 *first, *next;

	if (f == NULL)
		return NULL;
	first = PEM_read_X509(f, NULL, tls_no_passphrase, NULL);
	while (first != NULL &&
	    (next = PEM_read_X509(f, NULL, tls_no_passphrase, NULL)) != NULL)
		if (sk_X509_push(behind, next) <= 0)
			X509_free(next);
	(void)fclose(f);
	ERR_clear_error();
	return first;
}

enum rc
authority_check(const struct authority *a, const char *clients,
    const char *trust, const char *server, struct error *err)
{
	STACK_OF(X509) *behind = sk_X509_new_null();
	X509 *cert = behind != NULL ? read_chain(server, behind) : NULL;
	enum rc rc = RC_OK;

	if (!vouches(clients, a->certificate, NULL))
		rc = error_set(err, RC_INVALID,
		    "%s does not vouch for the authority: agents that enrol "
		    "would be refused; add its certificate there",
		    clients);
	else if (cert == NULL || !vouches(trust, cert, behind))
		rc = error_set(err, RC_INVALID,
		    "%s does not vouch for %s: agents that enrol would refuse "
		    "this collector; name a file that does in enrolment.trust",
		    trust, server);
	X509_free(cert);
	sk_X509_pop_free(behind, X509_free);
	return rc;
}

struct slice
authority_trust(const struct authority *a)
{
	return buf_slice(&a->trust);
}

/* ---- requests ------------------------------------------------------------------ */

static bool
good_key(const EVP_PKEY *key)
{
	char group[32];
	size_t n;

	return key != NULL && EVP_PKEY_is_a(key, "EC") == 1 &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	    (strcmp(group, "prime256v1") == 0 ||
		strcmp(group, "secp384r1") == 0);
}

static void
keep_name(const X509_REQ *req, char out[CERTIFICATE_NAME])
{
	const X509_NAME *subject = X509_REQ_get_subject_name(req);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	int n;

	out[0] = '\0';
	if (at < 0 ||
	    X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return;
	n = ASN1_STRING_to_UTF8(&text,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0 &&
	    certificate_name_valid(
		(struct slice){ (const char *)text, (size_t)n }))
		(void)snprintf(out, CERTIFICATE_NAME, "%.*s", n, text);
	OPENSSL_free(text);
}

enum rc
authority_request_read(struct slice pem, struct authority_request **out,
    struct error *err)
{
	struct authority_request *r = NULL;
	X509_REQ *req = NULL;
	BIO *bio;
	enum rc rc = RC_OK;

	*out = NULL;
	if (pem.len == 0 || pem.len > REQUEST_PEM_MAX)
		return error_set(err, RC_LIMIT,
		    "the request is empty or longer than %d bytes",
		    (int)REQUEST_PEM_MAX);
	bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	if (bio != NULL)
		req = PEM_read_bio_X509_REQ(bio, NULL, tls_no_passphrase, NULL);
	(void)BIO_free(bio);
	if (req == NULL)
		rc = error_set(err, RC_INVALID,
		    "no certificate request (PKCS #10 in PEM)");
	else if (!good_key(X509_REQ_get0_pubkey(req)))
		rc = error_set(err, RC_INVALID,
		    "the request's key is not on P-256 or P-384");
	else if (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) != 1)
		rc = error_set(err, RC_INVALID,
		    "the request is not signed by its key");
	if (rc == RC_OK) {
		r = xzalloc(sizeof(*r));
		r->key = X509_REQ_get_pubkey(req);
		keep_name(req, r->name);
		if (!tls_key_digest(r->key, r->key_sha256)) {
			authority_request_free(r);
			r = NULL;
			rc = error_set(err, RC_INVALID,
			    "the request's key cannot be read");
		}
	}
	*out = r;
	X509_REQ_free(req);
	ERR_clear_error();
	return rc;
}

void
authority_request_free(struct authority_request *r)
{
	if (r == NULL)
		return;
	EVP_PKEY_free(r->key);
	free(r);
}

const char *
authority_request_name(const struct authority_request *r)
{
	return r->name;
}

const char *
authority_request_key(const struct authority_request *r)
{
	return r->key_sha256;
}

/* ---- signing --------------------------------------------------------------------- */

static bool
set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	bool ok = n != NULL &&
	    BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;

	BN_free(n);
	return ok;
}

/* Not longer than who signs. */
static bool
set_times(X509 *cert, const X509 *issuer, int64_t now_ns, int64_t lifetime_ns)
{
	time_t from = (time_t)(now_ns / NS_PER_SEC) - SKEW_SECONDS;
	time_t until = (time_t)((now_ns + lifetime_ns) / NS_PER_SEC);
	const ASN1_TIME *last = X509_get0_notAfter(issuer);

	if (ASN1_TIME_set(X509_getm_notBefore(cert), from) == NULL)
		return false;
	if (X509_cmp_time(last, &until) < 0)
		return X509_set1_notAfter(cert, last) == 1;
	return ASN1_TIME_set(X509_getm_notAfter(cert), until) != NULL;
}

static bool
add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool ok = e != NULL && X509_add_ext(cert, e, -1) == 1;

	X509_EXTENSION_free(e);
	return ok;
}

static bool
add_extensions(X509 *cert, X509 *issuer, const char *name)
{
	X509V3_CTX ctx;
	char san[SAN_MAX];

	(void)snprintf(san, sizeof(san), "DNS:%s", name);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	return add_extension(cert, &ctx, NID_basic_constraints,
		   "critical,CA:FALSE") &&
	    add_extension(cert, &ctx, NID_key_usage,
		"critical,digitalSignature") &&
	    add_extension(cert, &ctx, NID_ext_key_usage, "clientAuth") &&
	    add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
	    add_extension(cert, &ctx, NID_authority_key_identifier, "keyid") &&
	    add_extension(cert, &ctx, NID_subject_alt_name, san);
}

/* Ed25519 hashes by itself. */
static const EVP_MD *
digest_of(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") == 1 ||
		EVP_PKEY_is_a(key, "ED448") == 1
	    ? NULL
	    : EVP_sha256();
}

static bool
fill(X509 *cert, const struct authority *a, const struct authority_request *r,
    const char *name)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	    set_serial(cert) &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
		(const unsigned char *)name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, X509_get_subject_name(a->certificate)) ==
	    1 &&
	    X509_set_pubkey(cert, r->key) == 1 &&
	    add_extensions(cert, a->certificate, name) &&
	    X509_sign(cert, a->key, digest_of(a->key)) > 0;
}

/* The certificate, and who signed it unless that is a root. */
static bool
write_chain(X509 *cert, X509 *issuer, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;
	bool ok = bio != NULL && PEM_write_bio_X509(bio, cert) == 1 &&
	    ((X509_get_extension_flags(issuer) & EXFLAG_SI) != 0 ||
		PEM_write_bio_X509(bio, issuer) == 1);

	n = ok ? BIO_get_mem_data(bio, &text) : 0;
	ok = n > 0 && buf_add(pem, text, (size_t)n);
	(void)BIO_free(bio);
	return ok;
}

enum rc
authority_sign(const struct authority *a, const struct authority_request *r,
    const struct authority_order *order, struct certificate *out,
    struct buf *pem, struct error *err)
{
	X509 *cert = X509_new();
	enum rc rc = RC_OK;

	if (X509_cmp_time(X509_get0_notAfter(a->certificate), NULL) < 0)
		rc = error_set(err, RC_INVALID,
		    "the authority's certificate has expired: nobody can be "
		    "certified until it is replaced");
	else if (cert == NULL ||
	    !set_times(cert, a->certificate, order->now_ns,
		order->lifetime_ns) ||
	    !fill(cert, a, r, order->name) ||
	    !write_chain(cert, a->certificate, pem))
		rc = fail("the authority", "cannot sign", err);
	else
		rc = tls_certificate_facts(cert, out, err);
	X509_free(cert);
	return rc;
}

/* ---- what was revoked -------------------------------------------------------- */

struct crl {
	X509_CRL *list;
};

struct crl *
authority_crl_new(void)
{
	struct crl *crl = xzalloc(sizeof(*crl));

	crl->list = X509_CRL_new();
	if (crl->list == NULL)
		abort();
	return crl;
}

void
authority_crl_free(struct crl *crl)
{
	if (crl == NULL)
		return;
	X509_CRL_free(crl->list);
	free(crl);
}

static bool
fill_revoked(X509_REVOKED *r, const char *serial, int64_t revoked_ns)
{
	ASN1_TIME *when =
	    ASN1_TIME_set(NULL, (time_t)(revoked_ns / NS_PER_SEC));
	BIGNUM *n = NULL;
	ASN1_INTEGER *number =
	    BN_hex2bn(&n, serial) > 0 ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
	bool ok = when != NULL && number != NULL &&
	    X509_REVOKED_set_serialNumber(r, number) == 1 &&
	    X509_REVOKED_set_revocationDate(r, when) == 1;

	ASN1_TIME_free(when);
	ASN1_INTEGER_free(number);
	BN_free(n);
	return ok;
}

bool
authority_crl_add(struct crl *crl, const char *serial, int64_t revoked_ns)
{
	X509_REVOKED *r = X509_REVOKED_new();

	if (r != NULL && fill_revoked(r, serial, revoked_ns) &&
	    X509_CRL_add0_revoked(crl->list, r) == 1)
		return true;
	X509_REVOKED_free(r);
	ERR_clear_error();
	return false;
}

static bool
set_crl_times(X509_CRL *list, int64_t now_ns, int64_t life_ns)
{
	ASN1_TIME *from =
	    ASN1_TIME_set(NULL, (time_t)(now_ns / NS_PER_SEC) - SKEW_SECONDS);
	ASN1_TIME *until =
	    ASN1_TIME_set(NULL, (time_t)((now_ns + life_ns) / NS_PER_SEC));
	bool ok = from != NULL && until != NULL &&
	    X509_CRL_set1_lastUpdate(list, from) == 1 &&
	    X509_CRL_set1_nextUpdate(list, until) == 1;

	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	return ok;
}

static bool
add_crl_extensions(X509_CRL *list, X509 *issuer, int64_t now_ns)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	X509_EXTENSION *key;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, NULL, NULL, list, 0);
	key = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier,
	    "keyid");
	ok = key != NULL && X509_CRL_add_ext(list, key, -1) == 1 &&
	    number != NULL &&
	    ASN1_INTEGER_set_int64(number, now_ns / NS_PER_SEC) == 1 &&
	    X509_CRL_add1_ext_i2d(list, NID_crl_number, number, 0, 0) == 1;
	X509_EXTENSION_free(key);
	ASN1_INTEGER_free(number);
	return ok;
}

static bool
write_crl(X509_CRL *list, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n = 0;
	bool ok;

	if (bio != NULL && PEM_write_bio_X509_CRL(bio, list) == 1)
		n = BIO_get_mem_data(bio, &text);
	ok = n > 0 && buf_add(pem, text, (size_t)n);
	(void)BIO_free(bio);
	return ok;
}

enum rc
authority_crl_sign(const struct authority *a, struct crl *crl, int64_t now_ns,
    int64_t life_ns, struct buf *pem, struct error *err)
{
	X509_CRL *list = crl->list;

	if ((X509_get_key_usage(a->certificate) & KU_CRL_SIGN) == 0)
		return error_set(err, RC_INVALID,
		    "the authority's certificate is not for revocation lists "
		    "(its keyUsage lacks cRLSign)");
	if (X509_CRL_set_version(list, X509_CRL_VERSION_2) != 1 ||
	    X509_CRL_set_issuer_name(list,
		X509_get_subject_name(a->certificate)) != 1 ||
	    !set_crl_times(list, now_ns, life_ns) ||
	    !add_crl_extensions(list, a->certificate, now_ns) ||
	    X509_CRL_sort(list) != 1 ||
	    X509_CRL_sign(list, a->key, digest_of(a->key)) <= 0 ||
	    !write_crl(list, pem))
		return fail("the authority", "cannot sign what was revoked",
		    err);
	return RC_OK;
}
