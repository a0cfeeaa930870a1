/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: one thread that looks after the day files while the writer has
 * little to do: merges small blocks, and removes those that were merged.
 *
 * Its work is bounded: one run at a time, and none while events come faster
 * than KEEPER_BUSY a second.  What it cannot do it says once and tries again.
 */
#pragma once

#include "store.h"

enum { KEEPER_BUSY = 20000 };

struct keeper;

struct keeper_options {
	struct store *store; /* borrowed */
	bool no_merge;
	/* in the keeper's thread; "" when over */
	void (*on_trouble)(void *ctx, const char *message);
	void *ctx;
};

struct keeper *keeper_new(const struct keeper_options *options);
/* Ends after the step under way.  NULL is fine. */
void keeper_free(struct keeper *k);

struct keeper_counters {
	uint64_t blocks_before, blocks_after; /* merged since the start */
};
void keeper_counters(struct keeper *k, struct keeper_counters *out);
