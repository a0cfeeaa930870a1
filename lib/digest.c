/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "ascii.h"

#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xalloc.h"

struct sha256 {
	EVP_MD_CTX *ctx;
	EVP_MD *md; /* fetched once: looking it up costs as much as 1 KB */
};

/* OpenSSL fails here only when memory or its own integrity is gone. */
static void
must(int ok)
{
	if (ok != 1) {
		(void)fprintf(stderr, "OpenSSL: digest or random failed\n");
		abort();
	}
}

struct sha256 *
sha256_new(void)
{
	struct sha256 *h = xzalloc(sizeof(*h));

	h->ctx = EVP_MD_CTX_new();
	h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(h->ctx != NULL && h->md != NULL);
	must(EVP_DigestInit_ex(h->ctx, h->md, NULL));
	return h;
}

void
sha256_add(struct sha256 *h, const void *bytes, size_t len)
{
	must(EVP_DigestUpdate(h->ctx, bytes, len));
}

void
sha256_done(struct sha256 *h, uint8_t out[SHA256_BYTES])
{
	must(EVP_DigestFinal_ex(h->ctx, out, NULL));
	must(EVP_DigestInit_ex(h->ctx, h->md, NULL));
}

void
sha256_clear(struct sha256 *h)
{
	must(EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL));
}

struct sha256 *
sha256_copy(const struct sha256 *h)
{
	struct sha256 *copy = sha256_new();

	must(EVP_MD_CTX_copy_ex(copy->ctx, h->ctx));
	return copy;
}

void
sha256_free(struct sha256 *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	free(h);
}

void
sha256_of(struct slice s, uint8_t out[SHA256_BYTES])
{
	must(EVP_Digest(s.ptr, s.len, out, NULL, EVP_sha256(), NULL));
}

struct hmac {
	EVP_MAC *mac;
	EVP_MAC_CTX *ctx;
};

struct hmac *
hmac_new(struct slice key)
{
	struct hmac *h = xzalloc(sizeof(*h));
	char name[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", name, 0),
		OSSL_PARAM_construct_end(),
	};

	h->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	must(h->mac != NULL);
	h->ctx = EVP_MAC_CTX_new(h->mac);
	must(h->ctx != NULL);
	must(EVP_MAC_init(h->ctx, (const unsigned char *)key.ptr, key.len,
	    params));
	return h;
}

void
hmac_add(struct hmac *h, const void *bytes, size_t len)
{
	must(EVP_MAC_update(h->ctx, bytes, len));
}

void
hmac_done(struct hmac *h, uint8_t out[SHA256_BYTES])
{
	size_t len;

	must(EVP_MAC_final(h->ctx, out, &len, SHA256_BYTES));
	must(EVP_MAC_init(h->ctx, NULL, 0, NULL)); /* the key stays */
}

void
hmac_free(struct hmac *h)
{
	if (h == NULL)
		return;
	EVP_MAC_CTX_free(h->ctx);
	EVP_MAC_free(h->mac);
	free(h);
}

void
hex_text(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

bool
md5_of_fd(int fd, uint8_t out[MD5_BYTES])
{
	enum { CHUNK = 64 * 1024 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char *chunk = xzalloc(CHUNK);
	ssize_t n = -1;
	bool good = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1;

	while (good && (n = read(fd, chunk, CHUNK)) > 0)
		must(EVP_DigestUpdate(ctx, chunk, (size_t)n));
	good = good && n == 0 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	free(chunk);
	return good;
}

void
random_bytes(void *out, size_t n)
{
	must(RAND_bytes(out, (int)n));
}

void
uuid_new(uint8_t out[16])
{
	random_bytes(out, 16);
	out[6] = (uint8_t)((out[6] & 0x0f) | 0x40);
	out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}

static bool
is_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

void
uuid_text(const uint8_t uuid[16], char out[UUID_TEXT])
{
	char hex[33];
	size_t from = 0;

	hex_text(uuid, 16, hex);
	for (size_t i = 0; i < UUID_TEXT - 1; i++)
		if (is_dash(i))
			out[i] = '-';
		else
			out[i] = hex[from++];
	out[UUID_TEXT - 1] = '\0';
}

bool
uuid_parse(struct slice text, uint8_t out[16])
{
	size_t n = 0;

	if (text.len != UUID_TEXT - 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int v;

		if (is_dash(i)) {
			if (text.ptr[i] != '-')
				return false;
			continue;
		}
		v = ascii_hex_value(text.ptr[i]);
		if (v < 0)
			return false;
		out[n / 2] = (uint8_t)(n % 2 == 0 ? v << 4 : out[n / 2] | v);
		n++;
	}
	return true;
}
