/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the store still says what was written to it: every commit's digest is
 * computed again from the events, the chain over commits and its signed heads
 * are followed, and what queries rely on (times, filters) is compared.
 */
#pragma once

#include "error.h"
#include "slice.h"
#include "store.h"

struct store_finding {
	const char *file;
	uint64_t block;      /* id; 0: none that could be named */
	const char *problem; /* changed missing reordered added unreadable */
	const char *message;
};

/* What was looked at. */
struct store_verified {
	uint64_t blocks, events, damaged; /* damaged: findings */
	uint64_t commits, heads;
	uint64_t unchained; /* commits of formats without a chain */
	uint64_t unsealed;  /* commits that no head covers yet */
	uint64_t stamps;    /* heads whose time stamp (RFC 3161) is good */
};

struct store_verify {
	struct store *store; /* NULL: `dir`, of a collector that does not run */
	const char *dir;
	const char *key; /* public keys; NULL: DIR/store.pub */
	/* certifies the authority of time stamps, PEM; NULL: only what they
	 * stamp is compared */
	const char *tsa_ca;
	/* file by file, in the order of the chain; false ends it */
	bool (*on_finding)(void *ctx, const struct store_finding *f);
	/* now and then; may be NULL */
	bool (*on_progress)(void *ctx, const char *file,
	    const struct store_verified *so_far);
	void *ctx;
};

/*
 * RC_OK with findings too, and for a store that nothing was committed to; fails
 * where nothing can be looked at.
 */
enum rc store_verify(const struct store_verify *what,
    struct store_verified *out, struct error *err);

/* ---- the proof of one event ---------------------------------------------- */

struct store_proven {
	uint64_t blocks, events; /* of the event's commit */
	uint64_t damaged;
	uint64_t block; /* where the event is */
	char file[4096];
};

struct store_proof {
	struct store *store; /* NULL: `dir`, of a collector that does not run */
	const char *dir;
	const char *key;    /* public keys; NULL: DIR/store.pub */
	struct slice event; /* its id */
	/* the proof's files, one after another, each in any number of pieces;
	 * false: they cannot be kept */
	bool (*on_file)(void *ctx, const char *name, struct slice bytes);
	void *ctx;
	struct store_proven *out;
};

/*
 * RC_EOF: there is no such event.  RC_INVALID: it has no place in the chain.
 * RC_AGAIN: it is not signed yet.  RC_DENIED: it is not what was committed.
 */
enum rc store_prove(const struct store_proof *what, struct error *err);

/* Any thread: has the appending thread sign the head, and waits for it. */
bool store_want_seal(struct store *s, int64_t patience_ns);
