/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates from the side of who has one: its key, the request for it
 * (PKCS #10, RFC 2986), what stands in it.  By OpenSSL, in
 * lib/tls_certificate.c; who signs is authority.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "digest.h"
#include "error.h"
#include "slice.h"

enum {
	CERTIFICATE_NAME = 65,   /* subject CN with the NUL (RFC 5280: 64) */
	CERTIFICATE_SERIAL = 41, /* 20 octets in hex, with the NUL */
	CERTIFICATE_PEM_MAX = 64 * 1024, /* bytes of a chain */
	REQUEST_PEM_MAX = 4096,
};

struct certificate {
	char name[CERTIFICATE_NAME];     /* subject CN */
	char serial[CERTIFICATE_SERIAL]; /* lower-case hex */
	char sha256[SHA256_TEXT];        /* of its DER */
	char key_sha256[SHA256_TEXT];    /* of its SubjectPublicKeyInfo */
	int64_t not_before_ns, not_after_ns;
};

enum certificate_state {
	CERTIFICATE_UNKNOWN, /* it could not be read */
	CERTIFICATE_GOOD,
	CERTIFICATE_ENDING,
	CERTIFICATE_ENDED
};
/* "good" and so on. */
const char *certificate_state_name(enum certificate_state state);

/*
 * It is *ending* when a tenth of its life is left, at most fourteen days (an
 * authority's: sixty); one that is renewed by itself, when that fails and half of
 * the time for it is gone.
 */
struct certificate_life {
	int64_t begin_ns, end_ns;
	int64_t renew_ns; /* when its owner renews it by itself; 0: never */
	bool failing;     /* the last attempt to */
	bool authority;
};
enum certificate_state certificate_state(const struct certificate_life *l,
    int64_t now_ns);

/* What an agent may be called: 1 to 64 of A-Z a-z 0-9 . _ -, the first of them a
 * letter or a digit. */
bool certificate_name_valid(struct slice name);

/* The first certificate of a PEM text, resp. file.  RC_INVALID: its subject has
 * no usable CN, which an authority's need not have; the rest is filled. */
enum rc certificate_parse(struct slice pem, struct certificate *out,
    struct error *err);
enum rc certificate_read(const char *path, struct certificate *out,
    struct error *err);

/* Whether that private key belongs to that certificate; false also where one
 * cannot be read. */
bool certificate_fits(const char *certificate, const char *key);

/* A new private key (EC P-256) in a file of mode 0600, durably; what was there
 * is replaced. */
enum rc certificate_new_key(const char *path, struct error *err);

/* Appends a request, PEM, for the key in that file. */
enum rc certificate_request(const char *key_path, const char *name,
    struct buf *pem, struct error *err);
