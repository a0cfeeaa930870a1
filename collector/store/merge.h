/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging small blocks: a run of commits becomes one block an owner, with the
 * same events in the same order.  The merged blocks stay until no reader that
 * began before is under way; the chain is over commits and does not change.
 */
#pragma once

#include "collector/store/internal.h"

enum {
	MERGE_EVENTS = 8192,  /* of a run: enough */
	MERGE_PARTS = 1024,   /* blocks of a run: enough */
	MERGE_SMALL = 4096,   /* a block of fewer is small */
	MERGE_COMMITS = 8192, /* of a run, at most */
	MERGE_BYTES = 4 << 20 /* of a run's blocks, at most */
};

struct merger;
struct merger *merger_new(struct store *s);
void merger_free(struct merger *m); /* NULL is fine */

/*
 * One run of a day, if there is one: *done is false if not.  `all`: also the
 * last, shorter run of a day that has ended.  Damaged blocks stay as they are.
 */
enum rc merge_step(struct merger *m, int32_t day, bool all, bool *done,
    struct error *err);

/* Removes merged blocks that nobody reads; `day`'s from before a crash too. */
enum rc merge_purge(struct merger *m, int32_t day, struct error *err);

/* Whether merged blocks wait for readers to end. */
bool merge_waits(const struct merger *m);

struct merge_counters {
	uint64_t runs, blocks_before, blocks_after;
};
void merger_counters(const struct merger *m, struct merge_counters *out);
