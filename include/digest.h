/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), HMAC and random bytes, by OpenSSL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

enum { SHA256_BYTES = 32, SHA256_TEXT = 65, UUID_TEXT = 37 };

struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *h, const void *bytes, size_t len);
/* Gives the digest and starts anew. */
void sha256_done(struct sha256 *h, uint8_t out[SHA256_BYTES]);
/* Forgets what was added. */
void sha256_clear(struct sha256 *h);
/* One that goes on from here by itself. */
struct sha256 *sha256_copy(const struct sha256 *h);
void sha256_free(struct sha256 *h); /* NULL is fine */

void sha256_of(struct slice s, uint8_t out[SHA256_BYTES]);
/* Lower case, NUL-terminated; out has 2 * n + 1 bytes. */
void hex_text(const uint8_t *bytes, size_t n, char *out);

/* HMAC-SHA-256 (RFC 2104); `key` is copied. */
struct hmac;
struct hmac *hmac_new(struct slice key);
void hmac_add(struct hmac *h, const void *bytes, size_t len);
/* Gives the code and starts anew. */
void hmac_done(struct hmac *h, uint8_t out[SHA256_BYTES]);
void hmac_free(struct hmac *h); /* NULL is fine */

/*
 * MD5 (RFC 1321) of what a descriptor gives to its end: only to compare with the
 * checksums that packages bring.  False: it cannot be read, or MD5 is forbidden
 * on this machine.
 */
enum { MD5_BYTES = 16, MD5_TEXT = 33 };
bool md5_of_fd(int fd, uint8_t out[MD5_BYTES]);

void random_bytes(void *out, size_t n);

/* Version 4 (RFC 9562). */
void uuid_new(uint8_t out[16]);
void uuid_text(const uint8_t uuid[16], char out[UUID_TEXT]);
/* Lower or upper case; false if `text` is no UUID. */
bool uuid_parse(struct slice text, uint8_t out[16]);
