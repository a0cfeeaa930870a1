/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent asks the collector's API for: a certificate, by a token at first
 * and then by the one that it has.  Blocking, with bounds; HTTP/1.0, so that the
 * answer is one piece.
 */
#pragma once

#include "buf.h"
#include "certificate.h"
#include "error.h"
#include "slice.h"

struct enrolment_server {
	const char *address; /* HOST:PORT */
	/* SHA-256 of a certificate of its chain; NULL: `ca` alone counts */
	const char *fingerprint;
	const char *ca;                /* file; NULL: none yet */
	const char *certificate, *key; /* files; NULL: none yet */
};

enum { ENROLMENT_GROUP = 65, ORDERS_KEY_MAX = 4096 };

struct enrolment {
	struct certificate certificate; /* read from the text, not believed */
	struct buf pem;                 /* the chain */
	struct buf ca;
	struct buf orders_key; /* PEM of whose orders it is asked to trust;
				* empty: not said */
	char group[ENROLMENT_GROUP]; /* empty: none */
	int64_t renew_ns;            /* real time; 0: not said */
};

void enrolment_init(struct enrolment *e);
void enrolment_fini(struct enrolment *e);

/*
 * `secret` empty: renews.  RC_DENIED: the server's certificate or ours is
 * refused, or the token; RC_INVALID: the request; RC_SYSTEM: nobody answers, or
 * not as an API does.  A certificate of another key than that of the request is
 * refused.
 */
enum rc enrolment_ask(const struct enrolment_server *server,
    struct slice secret, const char *key_path, const char *name,
    struct enrolment *out, struct error *err);

/* An answer as it came, head and body: for tests. */
enum rc enrolment_read(struct slice answer, struct enrolment *out,
    struct error *err);
