/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents' identities in soc.db: the tokens by which agents enrol, the
 * certificates that they got, and who is let in no more.
 *
 * An agent without a row here brought a certificate of its own, which counts as
 * long as the authority and its revocation list say so.  A revoked agent is
 * *closed*: nobody with its name comes in but with a certificate that was made
 * after that and is not revoked itself.
 *
 * Errors as those of accounts.h.  Any thread may call.
 */
#pragma once

#include "accounts.h"
#include "authority.h"
#include "enrol_token.h"
#include "store.h"

enum {
	AGENT_GROUP = 65,
	REVOKE_REASON = 257,
	ENROL_TOKENS_MAX = 1000,
	IDENTITIES_MAX = 100000,
	CERTIFICATES_LIVE_MAX = 16, /* of an agent */
};

struct identities;
enum rc identities_open(struct store *s, struct identities **out,
    struct error *err);
void identities_close(struct identities *i); /* NULL is fine */

/* Whether who shows that certificate (its SHA-256) may come in as that agent.
 * In memory. */
bool identities_admit(struct identities *i, struct slice agent,
    struct slice sha256);

/* ---- tokens -------------------------------------------------------------- */

struct identity_token {
	int64_t id;
	char agent[CERTIFICATE_NAME]; /* empty: the request says it */
	char group[AGENT_GROUP];      /* may be empty */
	bool replace;                 /* an agent that is live */
	int64_t uses, used;
	char creator[ACCOUNT_NAME];
	int64_t created_ns, expires_ns;
};

/* Fills id and the secret, of which only a hash is stored. */
enum rc identities_token_add(struct identities *i, struct identity_token *t,
    char secret[ENROL_SECRET], struct error *err);
typedef bool identity_token_cb(void *ctx, const struct identity_token *t);
/* Those that are of use, by id. */
enum rc identities_tokens(struct identities *i, int64_t now_ns,
    identity_token_cb *cb, void *ctx, struct error *err);
enum rc identities_token_remove(struct identities *i, int64_t id,
    struct error *err);

/* ---- certificates -------------------------------------------------------- */

struct identity_order {
	const struct authority *authority;
	struct slice request; /* PEM, of a stranger */
	int64_t now_ns, lifetime_ns;
};
struct identity_issued {
	struct certificate certificate;
	char group[AGENT_GROUP];
	int64_t token; /* 0: it is not known here */
};

/*
 * By a token; what is too long, what the request holds and whose name it is are
 * looked at only if the token is good.  One use is one key: the same request
 * again (its answer was lost) is answered again.  RC_DENIED: the token is
 * unknown, expired or used up.  RC_LIMIT: the name belongs to another agent.
 * RC_INVALID: the request.  Appends the chain.
 */
enum rc identities_enrol(struct identities *i, struct slice secret,
    const struct identity_order *order, struct identity_issued *out,
    struct buf *pem, struct error *err);

/*
 * By a certificate that was given out here and is live; the name stays.
 * RC_DENIED: it is not.  RC_LIMIT: CERTIFICATES_LIVE_MAX are live.
 */
enum rc identities_renew(struct identities *i, struct slice sha256,
    const struct identity_order *order, struct identity_issued *out,
    struct buf *pem, struct error *err);

struct identity_revocation {
	struct slice agent;
	struct slice reason; /* at most REVOKE_REASON - 1 bytes; may be empty */
	struct slice by;
	int64_t now_ns;
};
/* RC_EOF: there is no such agent; RC_DENIED: it is revoked already. */
enum rc identities_revoke(struct identities *i,
    const struct identity_revocation *r, struct error *err);

typedef bool certificate_cb(void *ctx, const struct certificate *c);
/*
 * The agents whose certificates have all ended by `until_ns`, the last of them
 * after `since_ns`; name and not_after are filled.
 */
enum rc identities_ending(struct identities *i, int64_t since_ns,
    int64_t until_ns, certificate_cb *cb, void *ctx, struct error *err);

/* ---- looking -------------------------------------------------------------- */

struct agent_identity {
	char agent[CERTIFICATE_NAME];
	char group[AGENT_GROUP];
	int64_t enrolled_ns; /* last; 0: never, it was only revoked */
	int64_t revoked_ns;  /* 0: it is not */
	char revoked_by[ACCOUNT_NAME];
	char reason[REVOKE_REASON];
	struct certificate last; /* that ends last; serial empty: none */
	int64_t live;            /* certificates that are good */
};
/* RC_EOF: there is none of that name. */
enum rc identities_get(struct identities *i, struct slice agent, int64_t now_ns,
    struct agent_identity *out, struct error *err);
typedef bool identity_cb(void *ctx, const struct agent_identity *i);
/* By name. */
enum rc identities_list(struct identities *i, int64_t now_ns, identity_cb *cb,
    void *ctx, struct error *err);

struct identity_certificate {
	struct certificate certificate;
	int64_t issued_ns, revoked_ns; /* 0: it is not */
};
typedef bool identity_certificate_cb(void *ctx,
    const struct identity_certificate *c);
/* That were revoked here, and have not ended by themselves: serial and
 * revoked_ns are filled.  Called under a lock of this; false: an error. */
enum rc identities_revoked(struct identities *i, int64_t now_ns,
    identity_certificate_cb *cb, void *ctx, struct error *err);
/* Of an agent, the newest first. */
enum rc identities_certificates(struct identities *i, struct slice agent,
    identity_certificate_cb *cb, void *ctx, struct error *err);
