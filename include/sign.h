/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 (RFC 8032) over short texts, by OpenSSL: what `openssl pkeyutl
 * -verify -rawin` checks.  Keys are PEM files: PKCS #8 the private one, any
 * number of public ones one after another in the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "digest.h"
#include "error.h"
#include "slice.h"

enum { SIGNATURE_BYTES = 64, SIGN_KEYS_MAX = 64 };

/*
 * The private key in `path`.  If there is none and `create`, one is made, mode
 * 0600, durably.  RC_DENIED: others can read it.  RC_INVALID: no Ed25519 key.
 */
struct signer;
enum rc signer_open(const char *path, bool create, struct signer **out,
    struct error *err);
void signer_free(struct signer *s); /* NULL is fine */

void signer_sign(const struct signer *s, struct slice text,
    uint8_t signature[SIGNATURE_BYTES]);
/* SHA-256 of the public key's DER (SubjectPublicKeyInfo), in hex. */
const char *signer_id(const struct signer *s);
/* Appends the public key as PEM. */
void signer_public(const struct signer *s, struct buf *out);

/* Public keys to check with. */
struct sign_keys;
enum rc sign_keys_read(const char *path, struct sign_keys **out,
    struct error *err);
void sign_keys_free(struct sign_keys *k); /* NULL is fine */
/* Whether the key of that id is among them. */
bool sign_keys_have(const struct sign_keys *k, struct slice id);
bool sign_keys_check(const struct sign_keys *k, struct slice id,
    struct slice text, struct slice signature);
/* Appends that key as PEM; false: not among them. */
bool sign_keys_pem(const struct sign_keys *k, struct slice id, struct buf *out);
