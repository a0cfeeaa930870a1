/* SPDX-License-Identifier: Apache-2.0 */
#include "sign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls_private.h"
#include "xalloc.h"

struct signer {
	EVP_PKEY *key;
	char id[SHA256_TEXT];
};

struct sign_keys {
	size_t n;
	struct signer list[SIGN_KEYS_MAX];
};

/* OpenSSL fails here only when memory or its own integrity is gone. */
static void
must(bool ok)
{
	if (!ok) {
		(void)fprintf(stderr, "OpenSSL: a signature failed\n");
		abort();
	}
}

static void
fill_id(struct signer *s)
{
	must(tls_key_digest(s->key, s->id));
}

static void
public_pem(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	must(bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1);
	n = BIO_get_mem_data(bio, &text);
	must(n > 0 && buf_add(out, text, (size_t)n));
	(void)BIO_free(bio);
}

/* ---- the private key ---------------------------------------------------- */

static enum rc
key_make(const char *path, struct error *err)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	enum rc rc;

	must(key != NULL);
	rc = tls_write_key(key, path, err);
	EVP_PKEY_free(key);
	return rc;
}

static enum rc
key_read(const char *path, EVP_PKEY **key, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	struct stat st;
	enum rc rc = RC_OK;

	if (f == NULL) {
		rc = error_set_errno(err, errno, "%s", path);
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	if (fstat(fd, &st) != 0)
		rc = error_set_errno(err, errno, "%s", path);
	else if ((st.st_mode & 077) != 0)
		rc = error_set(err, RC_DENIED,
		    "%s: others can read this private key: chmod 600 it", path);
	if (rc == RC_OK)
		*key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	(void)fclose(f);
	if (rc == RC_OK &&
	    (*key == NULL || EVP_PKEY_get_id(*key) != EVP_PKEY_ED25519)) {
		EVP_PKEY_free(*key);
		*key = NULL;
		rc = error_set(err, RC_INVALID,
		    "%s: no Ed25519 private key in PEM: make one with openssl "
		    "genpkey -algorithm ed25519",
		    path);
	}
	ERR_clear_error();
	return rc;
}

enum rc
signer_open(const char *path, bool create, struct signer **out,
    struct error *err)
{
	struct signer *s;
	EVP_PKEY *key = NULL;

	*out = NULL;
	if (create && access(path, F_OK) != 0 && errno == ENOENT &&
	    key_make(path, err) != RC_OK)
		return err->code;
	if (key_read(path, &key, err) != RC_OK)
		return err->code;
	s = xzalloc(sizeof(*s));
	s->key = key;
	fill_id(s);
	*out = s;
	return RC_OK;
}

void
signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	EVP_PKEY_free(s->key);
	free(s);
}

void
signer_sign(const struct signer *s, struct slice text,
    uint8_t signature[SIGNATURE_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGNATURE_BYTES;

	must(ctx != NULL &&
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->key) == 1 &&
	    EVP_DigestSign(ctx, signature, &n, (const uint8_t *)text.ptr,
		text.len) == 1 &&
	    n == SIGNATURE_BYTES);
	EVP_MD_CTX_free(ctx);
}

const char *
signer_id(const struct signer *s)
{
	return s->id;
}

void
signer_public(const struct signer *s, struct buf *out)
{
	public_pem(s->key, out);
}

/* ---- public keys -------------------------------------------------------- */

enum rc
sign_keys_read(const char *path, struct sign_keys **out, struct error *err)
{
	struct sign_keys *k;
	EVP_PKEY *key;
	FILE *f = fopen(path, "re");

	*out = NULL;
	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	k = xzalloc(sizeof(*k));
	while (k->n < SIGN_KEYS_MAX &&
	    (key = PEM_read_PUBKEY(f, NULL, NULL, NULL)) != NULL) {
		k->list[k->n].key = key;
		fill_id(&k->list[k->n++]);
	}
	(void)fclose(f);
	ERR_clear_error();
	for (size_t i = 0; i < k->n; i++)
		if (EVP_PKEY_get_id(k->list[i].key) != EVP_PKEY_ED25519) {
			sign_keys_free(k);
			return error_set(err, RC_INVALID,
			    "%s: holds a key that is not Ed25519", path);
		}
	if (k->n == 0) {
		sign_keys_free(k);
		return error_set(err, RC_INVALID, "%s: no public key in PEM",
		    path);
	}
	*out = k;
	return RC_OK;
}

void
sign_keys_free(struct sign_keys *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->list[i].key);
	free(k);
}

static EVP_PKEY *
find(const struct sign_keys *k, struct slice id)
{
	for (size_t i = 0; k != NULL && i < k->n; i++)
		if (slice_eq(id,
			(struct slice){ k->list[i].id, SHA256_TEXT - 1 }))
			return k->list[i].key;
	return NULL;
}

bool
sign_keys_have(const struct sign_keys *k, struct slice id)
{
	return find(k, id) != NULL;
}

bool
sign_keys_check(const struct sign_keys *k, struct slice id, struct slice text,
    struct slice signature)
{
	EVP_PKEY *key = find(k, id);
	EVP_MD_CTX *ctx;
	bool good;

	if (key == NULL || signature.len != SIGNATURE_BYTES)
		return false;
	ctx = EVP_MD_CTX_new();
	must(ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1);
	good = EVP_DigestVerify(ctx, (const uint8_t *)signature.ptr,
		   signature.len, (const uint8_t *)text.ptr, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

bool
sign_keys_pem(const struct sign_keys *k, struct slice id, struct buf *out)
{
	EVP_PKEY *key = find(k, id);

	if (key != NULL)
		public_pem(key, out);
	return key != NULL;
}
