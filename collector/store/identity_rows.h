/* SPDX-License-Identifier: Apache-2.0 */
/* Between identities.c (who there is, who is closed), identity_tokens.c and
 * identity_issue.c. */
#pragma once

#include <pthread.h>

#include "identities.h"
#include "sql.h"

/* "" for the agent itself, then its live certificates, in order. */
struct closed {
	char agent[CERTIFICATE_NAME];
	char sha256[SHA256_TEXT];
};

struct identities {
	struct store *store;  /* borrowed */
	pthread_mutex_t lock; /* of `db` */
	struct sql *db;
	pthread_mutex_t closed_lock;
	struct closed *closed;
	size_t n_closed;
};

/* Reads anew who is closed: `lock` is held. */
enum rc identities_load_closed(struct identities *i, struct error *err);

/* Commits if rc is RC_OK, else rolls back; what to return. */
enum rc identities_end(struct identities *i, enum rc rc, struct error *err);

/* Closes the agent's name: what it has is revoked.  In a transaction. */
enum rc identity_close(struct identities *i,
    const struct identity_revocation *r, struct error *err);

/* Whether it ever sent anything. */
enum rc identity_has_sent(struct identities *i, struct slice agent, bool *out,
    struct error *err);

/* The row of a secret, whatever has become of it; RC_EOF: there is none. */
enum rc identity_token_find(struct identities *i, struct slice secret,
    struct identity_token *out, struct error *err);
