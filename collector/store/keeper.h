/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: one thread that looks after the day files while the writer has
 * little to do: merges small blocks, and removes those that were merged;
 * archives closed days, and removes days by age and by disk budget.
 *
 * Its work is bounded: one run at a time, and none while events come faster
 * than KEEPER_BUSY a second.  What it cannot do it says once and tries again.
 */
#pragma once

#include "store.h"
#include "store_keep.h"

enum { KEEPER_BUSY = 20000 };

struct keeper;

struct keeper_options {
	struct store *store; /* borrowed */
	bool no_merge;
	struct store_retention retention; /* its texts are borrowed */
	/* of the authority that stamps signed heads (RFC 3161); NULL: none */
	const char *tsa_url, *tsa_ca; /* borrowed */
	/* in the keeper's thread; "" when over */
	void (*on_trouble)(void *ctx, const char *message);
	/* what became of a day: "archived", "removed", or why it stays */
	void (*on_day)(void *ctx, const char *day, const char *what);
	void *ctx;
};

struct keeper *keeper_new(const struct keeper_options *options);
/* Ends after the step under way.  NULL is fine. */
void keeper_free(struct keeper *k);

struct keeper_counters {
	/* since the start */
	uint64_t blocks_before, blocks_after; /* merged */
	uint64_t archived, removed;           /* days */
	uint64_t removed_events;
};
void keeper_counters(struct keeper *k, struct keeper_counters *out);
