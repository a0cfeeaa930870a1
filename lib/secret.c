/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "timestamp.h"
#include "utf8.h"

enum {
	SALT_BYTES = 16,
	HASH_BYTES = 32,
	COST_LOG2 = 15,
	COST_LOG2_MAX = 20,
	COST_R = 8,
	COST_P = 3,
	COST_P_MAX = 16,
	PASSWORD_MIN = 12,
	PASSWORD_MAX = 1024,
	DIFFERENT_MIN = 5,
	BASE32_BITS = 5,
	HMAC_SHA1_BYTES = 20,
};

struct cost {
	unsigned log2_n, r, p;
};

static void
derive(struct slice password, const uint8_t salt[SALT_BYTES],
    const struct cost *cost, uint8_t out[HASH_BYTES])
{
	uint64_t n = UINT64_C(1) << cost->log2_n;
	uint64_t memory = 128 * n * cost->r + (UINT64_C(1) << 20);

	if (EVP_PBE_scrypt(password.len > 0 ? password.ptr : "", password.len,
		salt, SALT_BYTES, n, cost->r, cost->p, memory, out,
		HASH_BYTES) != 1) {
		(void)fprintf(stderr, "OpenSSL: scrypt failed\n");
		abort();
	}
}

void
password_hash(struct slice password, char out[PASSWORD_HASH_TEXT])
{
	const struct cost cost = { COST_LOG2, COST_R, COST_P };
	uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
	char salt_text[2 * SALT_BYTES + 1], hash_text[2 * HASH_BYTES + 1];

	random_bytes(salt, sizeof(salt));
	derive(password, salt, &cost, hash);
	hex_text(salt, sizeof(salt), salt_text);
	hex_text(hash, sizeof(hash), hash_text);
	(void)snprintf(out, PASSWORD_HASH_TEXT, "$scrypt$ln=%u,r=%u,p=%u$%s$%s",
	    cost.log2_n, cost.r, cost.p, salt_text, hash_text);
	OPENSSL_cleanse(hash, sizeof(hash));
}

static bool
hex_bytes(const char *text, size_t n, uint8_t *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 2 * n; i++) {
		const char *at =
		    text[i] != '\0' ? strchr(digits, text[i]) : NULL;

		if (at == NULL)
			return false;
		if (i % 2 == 0)
			out[i / 2] = (uint8_t)((at - digits) << 4);
		else
			out[i / 2] |= (uint8_t)(at - digits);
	}
	return true;
}

/* A bounded number of the text, which moves behind it. */
static bool
take_number(const char **text, const char *before, unsigned max, unsigned *out)
{
	size_t len = strlen(before);
	char *end;
	unsigned long v;

	if (strncmp(*text, before, len) != 0)
		return false;
	v = strtoul(*text + len, &end, 10);
	if (end == *text + len || v < 1 || v > max)
		return false;
	*out = (unsigned)v;
	*text = end;
	return true;
}

static bool
parse_hash(const char *text, struct cost *cost, uint8_t salt[SALT_BYTES],
    uint8_t hash[HASH_BYTES])
{
	if (!take_number(&text, "$scrypt$ln=", COST_LOG2_MAX, &cost->log2_n) ||
	    !take_number(&text, ",r=", COST_R, &cost->r) ||
	    !take_number(&text, ",p=", COST_P_MAX, &cost->p))
		return false;
	return text[0] == '$' &&
	    strlen(text) == 2 + 2 * SALT_BYTES + 2 * HASH_BYTES &&
	    hex_bytes(text + 1, SALT_BYTES, salt) &&
	    text[1 + 2 * SALT_BYTES] == '$' &&
	    hex_bytes(text + 2 + (size_t)2 * SALT_BYTES, HASH_BYTES, hash);
}

bool
password_verify(struct slice password, const char *hash)
{
	struct cost cost = { COST_LOG2, COST_R, COST_P };
	uint8_t salt[SALT_BYTES] = { 0 };
	uint8_t wanted[HASH_BYTES] = { 0 };
	uint8_t got[HASH_BYTES];
	bool known = parse_hash(hash, &cost, salt, wanted);

	if (!known)
		cost = (struct cost){ COST_LOG2, COST_R, COST_P };
	derive(password, salt, &cost, got);
	return CRYPTO_memcmp(wanted, got, HASH_BYTES) == 0 && known;
}

static bool
contains_folded(struct slice text, struct slice part)
{
	if (part.len == 0)
		return false;
	for (size_t i = 0; i + part.len <= text.len; i++)
		if (strncasecmp(text.ptr + i, part.ptr, part.len) == 0)
			return true;
	return false;
}

/*
 * Length counts, not kinds of characters (NIST SP 800-63B, 5.1.1.2); what
 * everybody tries first is refused.
 */
const char *
password_weakness(struct slice password, struct slice user)
{
	static const struct slice common[] = {
		SLICE_INIT("password"),
		SLICE_INIT("passwort"),
		SLICE_INIT("123456789"),
		SLICE_INIT("qwerty"),
		SLICE_INIT("qazwsx"),
		SLICE_INIT("letmein"),
		SLICE_INIT("admin123"),
		SLICE_INIT("welcome"),
		SLICE_INIT("changeme"),
		SLICE_INIT("kuzet"),
	};
	bool seen[256] = { false };
	unsigned different = 0;

	if (password.len < PASSWORD_MIN)
		return "a password has at least 12 characters";
	if (password.len > PASSWORD_MAX)
		return "a password has at most 1024 bytes";
	if (memchr(password.ptr, '\0', password.len) != NULL ||
	    !utf8_valid(password))
		return "a password is UTF-8 text without NUL";
	if (user.len >= 3 && contains_folded(password, user))
		return "the password holds the user's name";
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (contains_folded(password, common[i]))
			return "the password holds a word that is tried first";
	for (size_t i = 0; i < password.len; i++) {
		different += !seen[(unsigned char)password.ptr[i]];
		seen[(unsigned char)password.ptr[i]] = true;
	}
	if (different < DIFFERENT_MIN)
		return "the password has too few different characters";
	return NULL;
}

/* ---- one-time codes -------------------------------------------------------- */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void
totp_secret(char out[TOTP_SECRET_TEXT])
{
	uint8_t bytes[TOTP_SECRET_BYTES];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < TOTP_SECRET_TEXT - 1; i++) {
		size_t bit = i * BASE32_BITS;
		unsigned two = (unsigned)bytes[bit / 8] << 8;

		if (bit / 8 + 1 < sizeof(bytes))
			two |= bytes[bit / 8 + 1];
		out[i] = base32[(two >> (11 - bit % 8)) & 31];
	}
	out[TOTP_SECRET_TEXT - 1] = '\0';
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

static bool
decode_secret(const char *secret, uint8_t out[TOTP_SECRET_BYTES])
{
	if (strlen(secret) != TOTP_SECRET_TEXT - 1)
		return false;
	memset(out, 0, TOTP_SECRET_BYTES);
	for (size_t i = 0; i < TOTP_SECRET_TEXT - 1; i++) {
		const char *at = strchr(base32, secret[i]);
		size_t bit = i * BASE32_BITS;
		unsigned two;

		if (at == NULL)
			return false;
		two = (unsigned)(at - base32) << (11 - bit % 8);
		out[bit / 8] |= (uint8_t)(two >> 8);
		if (bit / 8 + 1 < TOTP_SECRET_BYTES)
			out[bit / 8 + 1] |= (uint8_t)two;
	}
	return true;
}

bool
totp_code(const char *secret, int64_t step, char out[7])
{
	uint8_t key[TOTP_SECRET_BYTES], mac[EVP_MAX_MD_SIZE], counter[8];
	unsigned len = 0, at;
	uint32_t number;

	if (!decode_secret(secret, key))
		return false;
	for (int i = 0; i < 8; i++)
		counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
	if (HMAC(EVP_sha1(), key, sizeof(key), counter, sizeof(counter), mac,
		&len) == NULL ||
	    len != HMAC_SHA1_BYTES)
		return false;
	/* RFC 4226, 5.3 */
	at = mac[HMAC_SHA1_BYTES - 1] & 15;
	number = (uint32_t)(mac[at] & 0x7f) << 24 |
	    (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 |
	    mac[at + 3];
	(void)snprintf(out, 7, "%06u", (unsigned)(number % 1000000));
	OPENSSL_cleanse(key, sizeof(key));
	return true;
}

int64_t
totp_step(const char *secret, struct slice code, int64_t now_ns,
    int64_t last_step)
{
	int64_t now = now_ns / NS_PER_SEC / TOTP_STEP_SECONDS;
	int64_t found = 0;
	char wanted[7];

	for (int64_t step = now - 1; step <= now + 1; step++)
		if (totp_code(secret, step, wanted) &&
		    secret_equal(code, (struct slice){ wanted, 6 }) &&
		    step > last_step)
			found = step;
	return found;
}

bool
secret_equal(struct slice a, struct slice b)
{
	return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}
