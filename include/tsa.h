/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time stamps by a third party (RFC 3161), by OpenSSL: what `openssl ts
 * -verify -data FILE -in FILE.tsr` checks.
 */
#pragma once

#include "buf.h"
#include "error.h"
#include "slice.h"

enum { TSA_ANSWER_MAX = 64 * 1024 };

/* Appends the request (DER) for a stamp over `data` by SHA-256, with a nonce,
 * that asks for the authority's certificate. */
void tsa_request(struct slice data, struct buf *out);

/*
 * Whether the answer (DER) grants what the request asked for, of an authority
 * that `ca` (PEM) certifies.  RC_DENIED: it does not; err says why.  RC_INVALID:
 * no answer at all, or no `ca`.
 */
enum rc tsa_check(struct slice request, struct slice answer, const char *ca,
    struct error *err);

/*
 * The same of an answer that was kept, without its request: whether it is a
 * stamp over `data` and, with a `ca` (NULL: not looked at), signed by an
 * authority that it certified at the time of the stamp.
 */
enum rc tsa_verify(struct slice data, struct slice answer, const char *ca,
    struct error *err);
