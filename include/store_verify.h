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
};

struct store_verify {
	struct store *store; /* NULL: `dir`, of a collector that does not run */
	const char *dir;
	const char *key; /* public keys; NULL: DIR/store.pub */
	/* file by file, in the order of the chain; false ends it */
	bool (*on_finding)(void *ctx, const struct store_finding *f);
	/* now and then; may be NULL */
	bool (*on_progress)(void *ctx, const char *file,
	    const struct store_verified *so_far);
	void *ctx;
};

/* RC_OK with findings too; fails where nothing can be looked at. */
enum rc store_verify(const struct store_verify *what,
    struct store_verified *out, struct error *err);
