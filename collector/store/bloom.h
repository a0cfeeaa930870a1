/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block's Bloom filter: which tokens occur in its values.
 *
 * A token is a run of ASCII letters and digits and of bytes above 0x7f, in
 * ASCII lower case.  A value can only be in a block whose filter has all of
 * its tokens.  Stored: version 1, how many probes, then the bits (a multiple
 * of 64); the hash of a token is part of the format.
 */
#pragma once

#include "collector/store/bytes.h"

/* The tokens of one block, each once; reused from block to block. */
struct tokens {
	uint64_t *slots; /* open addressing; 0 is free */
	uint32_t *used;  /* which slots are not */
	size_t n, cap;
};

/* Whether the byte is one of a token. */
bool token_has(char c);

void tokens_fini(struct tokens *t);
void tokens_clear(struct tokens *t);
void tokens_add_text(struct tokens *t, struct slice text);
/* Bytes that are one token as they are: a stream's UUID. */
void tokens_add_whole(struct tokens *t, struct slice bytes);

void bloom_write(struct bytes *out, const struct tokens *t);

/* False: certainly not in the block.  A filter of unknown form says true. */
bool bloom_may_have_text(struct slice bloom, struct slice text);
bool bloom_may_have_whole(struct slice bloom, struct slice bytes);
/* Whether it knows every token; true for a filter of unknown form. */
bool bloom_has_all(struct slice bloom, const struct tokens *t);

/* Hashes of tokens, for filters of another form; false ends it, and is told. */
typedef bool token_hash_cb(void *ctx, uint64_t hash);
bool tokens_each(struct slice text, token_hash_cb *cb, void *ctx);
void tokens_visit(const struct tokens *t, token_hash_cb *cb, void *ctx);
uint64_t token_of_whole(struct slice bytes);
