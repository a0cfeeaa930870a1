/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's own certificate authority: signs the requests of agents.  A
 * certificate of it is good for clients only (extendedKeyUsage clientAuth), so
 * that no agent can stand in for a collector.  By OpenSSL, in lib/authority.c.
 */
#pragma once

#include "certificate.h"

struct authority_files {
	const char *certificate; /* PEM; the first one in it signs */
	const char *key;         /* PEM, its private key */
	const char *trust;       /* PEM: what agents verify collectors with */
};

/* Immutable, shared, counted: free when yours is done. */
struct authority;

/*
 * RC_DENIED: others can read the key.  RC_INVALID: the key does not fit, the
 * certificate is no authority's, or is over.
 */
enum rc authority_open(const struct authority_files *files,
    struct authority **out, struct error *err);
struct authority *authority_share(struct authority *a);
void authority_free(struct authority *a); /* NULL is fine */

/*
 * Whether what it signs is let in by a server that accepts `clients` (PEM), and
 * whether those that know `trust` take the server with that certificate.
 * RC_INVALID says what is missing.
 */
enum rc authority_check(const struct authority *a, const char *clients,
    const char *trust, const char *server, struct error *err);

/* The authorities' certificates that agents get, PEM. */
struct slice authority_trust(const struct authority *a);

/*
 * A request from a stranger: at most REQUEST_PEM_MAX bytes, a key on P-256 or
 * P-384, signed by it.  Nothing that it asks for counts but name and key.
 */
struct authority_request;
enum rc authority_request_read(struct slice pem, struct authority_request **out,
    struct error *err);
void authority_request_free(struct authority_request *r); /* NULL is fine */
/* The subject's CN as asked for; empty where it is no valid name. */
const char *authority_request_name(const struct authority_request *r);
/* SHA-256 of its public key. */
const char *authority_request_key(const struct authority_request *r);

/*
 * What was revoked, as a list for others (RFC 5280, section 5): version 2 with
 * the authority's key identifier and a number that grows, the time in seconds.
 */
enum { CRL_PEM_MAX = 64 * 1024 * 1024 };
struct crl;
struct crl *authority_crl_new(void);
void authority_crl_free(struct crl *crl); /* NULL is fine */
/* By its serial number in hex; false: it is none. */
bool authority_crl_add(struct crl *crl, const char *serial, int64_t revoked_ns);
/* Appends it as PEM, good until `life_ns` from now.  RC_INVALID: the authority
 * may not (its keyUsage lacks cRLSign). */
enum rc authority_crl_sign(const struct authority *a, struct crl *crl,
    int64_t now_ns, int64_t life_ns, struct buf *pem, struct error *err);

struct authority_order {
	const char *name;
	int64_t now_ns, lifetime_ns;
};
/*
 * Signs for that name: good from five minutes ago (clocks differ) for
 * `lifetime_ns` from now, but not longer than the authority itself.  Appends the
 * chain as PEM, the new certificate first.
 */
enum rc authority_sign(const struct authority *a,
    const struct authority_request *r, const struct authority_order *order,
    struct certificate *out, struct buf *pem, struct error *err);
