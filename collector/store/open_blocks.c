/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/open_blocks.h"

#include <stdlib.h>

#include "collector/store/scan.h"
#include "xalloc.h"

enum { BLOCK_ARENA = 16 * 1024 };

static void
close_block(struct open_block *b)
{
	block_decoder_free(b->decoder);
	segments_fini(&b->segments);
	arena_free(b->arena);
}

void
open_blocks_close(struct open_blocks *o, uint64_t before)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (o->list[i].last < before)
			close_block(&o->list[i]);
		else
			o->list[kept++] = o->list[i];
	}
	o->n = kept;
}

void
open_blocks_fini(struct open_blocks *o)
{
	open_blocks_close(o, UINT64_MAX);
	free(o->list);
	bytes_fini(&o->data);
}

static enum rc
open_row(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct open_blocks *o = ctx;
	struct open_block *b;
	struct slice hits = sql_blob(q, 2);
	enum rc rc = RC_OK;

	if (o->n == o->cap) {
		o->cap = o->cap > 0 ? 2 * o->cap : 8;
		o->list = xreallocarray(o->list, o->cap, sizeof(o->list[0]));
	}
	b = &o->list[o->n++];
	*b = (struct open_block){
		.id = sqlite3_column_int64(q, 0),
		.last = (uint64_t)sqlite3_column_int64(q, 4),
		.arena = arena_new(BLOCK_ARENA),
		.n = (uint32_t)sqlite3_column_int64(q, 5),
	};
	b->owner = arena_copy(b->arena, sql_text(q, 1));
	if (hits.len > 0)
		rc = hits_read(arena_copy(b->arena, hits), b->arena, &b->hits,
		    &b->n_hits, err);
	if (rc == RC_OK)
		rc = segments_read(sql_blob(q, 6),
		    (uint64_t)sqlite3_column_int64(q, 3), b->n, &b->segments,
		    err);
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "%s: block %lld", o->day->path,
				 (long long)b->id);
}

static int
compare_open(const void *a, const void *b)
{
	const struct open_block *x = a, *y = b;
	int c = slice_compare(x->owner, y->owner);

	return c != 0 ? c : (x->id > y->id) - (x->id < y->id);
}

#define ROWS                                                                   \
 "SELECT id, owner, hits, commit_number, last_commit, n, segments FROM live"   \
 " WHERE commit_number > ?1 AND commit_number <= ?2"
static const char all_blocks[] = ROWS " ORDER BY owner, id";
static const char with_hits[] =
    ROWS " AND last_commit >= ?2 AND hits IS NOT NULL ORDER BY owner, id";

enum rc
open_blocks_move(struct open_blocks *o, uint64_t after, uint64_t commit,
    bool with_hits_only, struct error *err)
{
	struct sql_value range[2];
	size_t n;

	open_blocks_close(o, commit);
	n = o->n;
	range[0] = BIND_INT(after);
	range[1] = BIND_INT(commit);
	if (sql_each_of(o->day, with_hits_only ? with_hits : all_blocks, range,
		open_row, o, err) != RC_OK)
		return err->code;
	if (n > 0 && o->n > n)
		qsort(o->list, o->n, sizeof(o->list[0]), compare_open);
	return RC_OK;
}

enum rc
open_block_unpack(struct open_blocks *o, struct open_block *b,
    struct error *err)
{
	struct slice data;

	if (b->decoder != NULL)
		return RC_OK;
	if (read_block(o->day, b->id, &o->data, err) != RC_OK)
		return err->code;
	data = arena_copy(b->arena, bytes_slice(&o->data));
	b->decoder = block_decoder_new();
	return block_decoder_open(b->decoder, data, err);
}
