/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled Hyperscan databases kept on disk, so that the next start need not
 * compile them.  One file for each set of rules:
 *
 *   FOLDER/NAME.hsdb   head, databases, index
 *
 * A database is known by the digest of the patterns it was made of, of
 * Hyperscan's version and of the CPU.  A set that has no file of its own looks
 * into the newest one: after an edit nearly all of it is there.
 *
 * What is read is not believed: a file of another owner, one that others may
 * write, a torn or changed one is passed over, and so is a single database
 * whose bytes are not those of its digest.  Files are replaced as a whole;
 * folder and number of files are bounded, the oldest go.
 */
#pragma once

#include <hs.h>

#include "digest.h"
#include "error.h"

struct database_cache;

/*
 * Never fails: without a folder (`folder` NULL, or it is not there, or not
 * ours), nothing is found.  `name`: of the set.  Borrows `folder`.
 */
struct database_cache *database_cache_open(const char *folder,
    const uint8_t name[SHA256_BYTES]);
/* NULL is fine. */
void database_cache_free(struct database_cache *c);

/* Below, no cache (NULL) holds nothing and takes nothing. */

/* What a database is made of. */
struct database_patterns {
	char kind; /* literals and expressions are not the same */
	const char *const *texts;
	const size_t *lens;
	const unsigned *flags;
	uint32_t n;
};
void database_cache_key(const struct database_patterns *p,
    uint8_t out[SHA256_BYTES]);

/*
 * The database, which the caller then owns (NULL if no pattern was left for
 * one), and the `n` notes that were kept with it.  False: it is not there.
 */
bool database_cache_get(struct database_cache *c,
    const uint8_t key[SHA256_BYTES], hs_database_t **db, uint8_t *notes,
    uint32_t n);

/* One that was just made; must live until database_cache_save(). */
void database_cache_put(struct database_cache *c,
    const uint8_t key[SHA256_BYTES], const hs_database_t *db,
    const uint8_t *notes, uint32_t n);

/*
 * The cache is not NULL.  Writes what was got and put, unless the set's file holds just that.  Makes
 * the folder (mode 0700) and the one it is in.
 */
enum rc database_cache_save(struct database_cache *c, struct error *err);

/* How many were found, and how many were not and had to be made. */
void database_cache_counts(const struct database_cache *c, uint32_t *found,
    uint32_t *made);
