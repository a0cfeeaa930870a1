/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files: SHA-256, extended attributes, at a pace; by two threads where
 * there is much to read.
 */
#pragma once

#include <stdatomic.h>

#include "agent/inputs/fim/fim.h"

enum { FIM_HASHERS = 2, FIM_BATCH = 512 };

/* What reading costs others: at most `rate` bytes a second, all threads. */
struct fim_pace;
struct fim_pace *fim_pace_new(int64_t bytes_per_second); /* 0: no limit */
void fim_pace_free(struct fim_pace *p);                  /* NULL is fine */

struct fim_reading {
	struct opener *opener;
	struct fim_pace *pace;
	uint64_t max_file_size;  /* bytes; larger ones are not read */
	const atomic_bool *stop; /* soon, half way in a file too */
};

/* One thread's. */
struct fim_hasher;
struct fim_hasher *fim_hasher_new(const struct fim_reading *reading);
void fim_hasher_free(struct fim_hasher *h); /* NULL is fine */

/*
 * Fills content, digest, xattrs of `e`, whose path and stat are known; again
 * where it changed meanwhile.  False: it is gone, or it is not to be known now
 * because of `stop`.
 */
bool fim_observe(struct fim_hasher *h, struct arena *arena,
    struct fim_entry *e);

struct fim_work {
	struct fim_entry *entry;
	bool gone;
};

/*
 * The same of each.  Files are opened some at a time, so that the opener's
 * process is asked once for all of these; few enough that none is held open for
 * long, whatever the pace.
 */
void fim_observe_all(struct fim_hasher *h, struct arena *arena,
    struct fim_work *work, size_t n);

struct fim_batch {
	struct fim_work *work; /* FIM_BATCH of them */
	size_t n;
	struct arena *arenas[FIM_HASHERS]; /* one for each thread */
	/* the pool's */
	size_t next, done;
};

/* Hashes batches, first come, first served. */
struct fim_pool;
struct fim_pool *fim_pool_new(const struct fim_reading *reading);
void fim_pool_free(struct fim_pool *p); /* after all were waited for */
void fim_pool_put(struct fim_pool *p, struct fim_batch *b);
void fim_pool_wait(struct fim_pool *p, struct fim_batch *b);
/* Waits at most so long; whether it is done. */
bool fim_pool_done(struct fim_pool *p, struct fim_batch *b, int64_t wait_ns);
