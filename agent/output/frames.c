/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output/frames.h"

#include "arena.h"

enum {
	J_FRAMES_MAX = 9 * 1024 * 1024, /* room for the largest window */
	ARENA_BLOCK = 64 * 1024
};

void
frames_init(struct frames *f, int level)
{
	*f = (struct frames){ .level = level };
}

void
frames_rest(struct frames *f)
{
	lumberjack_deflate_free(f->deflate);
	f->deflate = NULL;
}

enum rc
frames_pack(struct frames *f, struct buf *wire, struct slice j_frames,
    uint32_t n, struct error *err)
{
	buf_clear(wire);
	lumberjack_put_window(wire, n);
	if (f->level > 0 && f->deflate == NULL)
		f->deflate = lumberjack_deflate_new(f->level);
	if (f->deflate != NULL)
		return lumberjack_put_compressed(f->deflate, wire, j_frames,
		    err);
	if (!buf_add_slice(wire, j_frames))
		return error_set(err, RC_LIMIT, "window of %zu bytes",
		    j_frames.len);
	return RC_OK;
}

/* Adds the frame to those that stay, with its new number. */
static void
keep(struct buf *out, const struct lumberjack_frame *frame, uint32_t skip)
{
	if (frame->seq > skip)
		lumberjack_put_json(out, frame->seq - skip, frame->payload);
}

static enum rc
keep_compressed(struct buf *out, struct slice zlib, uint32_t skip,
    struct error *err)
{
	static const struct lumberjack_limits limits = {
		.window = UINT32_MAX,
		.json = J_FRAMES_MAX,
		.compressed = J_FRAMES_MAX,
		.inflated = J_FRAMES_MAX,
	};
	struct lumberjack_inflate *i = lumberjack_inflate_new(&limits);
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct lumberjack_frame frame;
	enum rc rc;

	lumberjack_inflate_begin(i, zlib);
	while ((rc = lumberjack_inflate_next(i, arena, &frame, err)) == RC_OK) {
		keep(out, &frame, skip);
		arena_reset(arena);
	}
	arena_free(arena);
	lumberjack_inflate_free(i);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
frames_skip(struct frames *f, struct buf *wire, uint32_t n, uint32_t skip,
    struct error *err)
{
	struct slice rest = buf_slice(wire);
	struct lumberjack_frame frame;
	struct buf kept;
	enum rc rc = RC_OK;
	size_t used;

	buf_init(&kept, J_FRAMES_MAX);
	while (rc == RC_OK && rest.len > 0) {
		rc = lumberjack_decode(rest, &lumberjack_limits_default, &frame,
		    &used, err);
		if (rc != RC_OK)
			break;
		if (frame.type == LUMBERJACK_JSON)
			keep(&kept, &frame, skip);
		else if (frame.type == LUMBERJACK_COMPRESSED)
			rc = keep_compressed(&kept, frame.payload, skip, err);
		rest.ptr += used;
		rest.len -= used;
	}
	if (rc == RC_OK)
		rc = frames_pack(f, wire, buf_slice(&kept), n - skip, err);
	buf_fini(&kept);
	return rc;
}
