/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan: what is there, merged with what is stored, both in the order of
 * paths.  The whole input, or some paths.
 *
 * What differs is looked at, hashed, compared once more with the row, and told;
 * row and event change in one transaction.  Memory is bounded: a few batches,
 * and FIM_HELD names that came or went and may turn out to have moved.
 */
#pragma once

#include "agent/inputs/fim/fim_hash.h"
#include "agent/inputs/fim/fim_spec.h"
#include "agent/inputs/fim/fim_store.h"

enum { FIM_HELD = 8192, FIM_CHANGES = FIM_BATCH };

struct fim_totals {
	uint64_t files;      /* names seen */
	uint64_t bytes;      /* of what was hashed */
	uint64_t changes;    /* told */
	uint64_t added;      /* into the baseline without a word */
	uint64_t forgotten;  /* no longer configured */
	uint64_t unreadable; /* files and folders */
	uint64_t too_large;
	uint64_t left_out; /* by a bound: paths too long, too deep, too many */
};

struct fim_scan {
	/* borrowed */
	struct fim_store *store;
	const struct fim_spec *spec;
	const struct fim_reading *reading;
	int64_t input;

	/* Only these paths and what is below them; NULL: everything. */
	const char *const *only;
	size_t n_only;
	bool flat;  /* and nothing below them */
	bool full;  /* hash what a stat calls unchanged too */
	bool keep;  /* changes and rows are stored; else only told */
	bool fresh; /* there is no baseline: nothing is told */
	bool pool;  /* with threads: there may be much to hash */

	void *ctx;
	/* Fills in what is known besides; n <= FIM_CHANGES.  May be NULL. */
	void (*annotate)(void *ctx, struct fim_change *changes, size_t n,
	    struct arena *arena);
	/* The text of a file whose changes are to be shown; ptr NULL: not. */
	struct slice (
	    *text)(void *ctx, const struct fim_entry *e, struct arena *arena);
	/* Within the transaction where there is one. */
	enum rc (
	    *tell)(void *ctx, const struct fim_change *c, struct error *err);
	/* Every now and then, some 50 times a second, outside of transactions.
	 * May be NULL. */
	void (*between)(void *ctx, const struct fim_totals *so_far);
	/* Each folder, when it is seen.  May be NULL. */
	void (*folder)(void *ctx, const char *path);

	struct fim_totals totals; /* filled */
};

/* RC_AGAIN: stopped by reading->stop; what was told is stored. */
enum rc fim_scan_run(struct fim_scan *s, struct error *err);
