/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one-time token of an enrolment, as people carry it from the collector to
 * an agent:
 *
 *   kuzet1.FINGERPRINT.SECRET.CHECK
 *
 * FINGERPRINT is the SHA-256 of a certificate in the chain that the collector's
 * API shows (64 hex digits, as `openssl x509 -fingerprint -sha256` says without
 * its colons): by it the agent knows whom it talks to before it sends
 * anything.  SECRET is all that the collector hears of it (32 hex digits).
 * CHECK, the first 8 hex digits of the SHA-256 of what stands before its dot,
 * finds a token that was not copied whole.
 */
#pragma once

#include "digest.h"
#include "error.h"
#include "slice.h"

enum {
	ENROL_SECRET_BYTES = 16,
	ENROL_SECRET = 2 * ENROL_SECRET_BYTES + 1, /* text, with the NUL */
	ENROL_TOKEN = 128,
};

struct enrol_token {
	char fingerprint[SHA256_TEXT];
	char secret[ENROL_SECRET];
};

void enrol_token_write(const struct enrol_token *t, char out[ENROL_TOKEN]);
/* White space around it does not count. */
enum rc enrol_token_parse(struct slice text, struct enrol_token *out,
    struct error *err);
