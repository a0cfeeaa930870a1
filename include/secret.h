/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of people: passwords as scrypt hashes (RFC 7914), one-time codes
 * (TOTP, RFC 6238), and comparing without telling by the time it takes.
 * By OpenSSL, in lib/secret.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

enum {
	PASSWORD_HASH_TEXT = 160, /* with its NUL */
	TOTP_SECRET_BYTES = 20,
	TOTP_SECRET_TEXT = 33, /* base32, with its NUL */
	TOTP_STEP_SECONDS = 30,
};

/*
 * "$scrypt$ln=15,r=8,p=3$SALT$HASH" (hex), with a new salt.  Takes 32 MiB and
 * about a fifth of a second: on purpose.
 */
void password_hash(struct slice password, char out[PASSWORD_HASH_TEXT]);

/*
 * Whether it is that password.  An empty or malformed hash is nobody's, and
 * takes as long as any other.
 */
bool password_verify(struct slice password, const char *hash);

/* NULL, or what is wrong with it as the password of that user. */
const char *password_weakness(struct slice password, struct slice user);

/* A new secret as authenticator programs take it: base32 (RFC 4648). */
void totp_secret(char out[TOTP_SECRET_TEXT]);

/*
 * The time step whose code it is, among the one of `now_ns` and its two
 * neighbours, if it is above `last_step`: a code counts once.  0: none.
 */
int64_t totp_step(const char *secret, struct slice code, int64_t now_ns,
    int64_t last_step);

/* The six digits of a step, for tests and for who sets it up. */
bool totp_code(const char *secret, int64_t step, char out[7]);

bool secret_equal(struct slice a, struct slice b);
