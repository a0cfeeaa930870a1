/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going through a day commit by commit: the blocks that the commit at hand lies
 * in.  A merged block is open for many commits, and keeps what is unpacked.
 */
#pragma once

#include "collector/store/internal.h"

struct open_block {
	int64_t id;
	uint64_t last; /* commit */
	struct slice owner;
	struct arena *arena; /* owner, hits, the block's bytes */
	uint32_t n;          /* events */
	struct segments segments;
	size_t at_segment;
	uint32_t row; /* first of that segment */
	const struct stored_hit *hits;
	size_t n_hits, at_hit;
	struct block_decoder *decoder; /* NULL: not unpacked yet */
};

struct open_blocks {
	struct sql *day; /* borrowed; may be another when none is open */
	struct open_block *list; /* by owner, then as they were committed */
	size_t n;
	size_t cap;
	struct bytes data;
};

/*
 * Opens those that begin behind `after` and up to `commit`; closes those that
 * ended before it.  `with_hits_only`: and leaves out what ends before it or has
 * no hits.
 */
enum rc open_blocks_move(struct open_blocks *o, uint64_t after, uint64_t commit,
    bool with_hits_only, struct error *err);
enum rc open_block_unpack(struct open_blocks *o, struct open_block *b,
    struct error *err);
void open_blocks_close(struct open_blocks *o, uint64_t before);
void open_blocks_fini(struct open_blocks *o);
