/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "arena.h"
#include "lumberjack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct lumberjack_limits limits = { .window = 100,
	.json = 1000,
	.compressed = 2000,
	.inflated = 3000 };

/* Frames within a compressed one keep the bounds, one by one and together. */
static void
unpack(struct slice zlib)
{
	struct lumberjack_inflate *i = lumberjack_inflate_new(&limits);
	struct arena *arena = arena_new(1024);
	struct lumberjack_frame frame;
	struct error err;
	size_t total = 0;

	lumberjack_inflate_begin(i, zlib);
	while (lumberjack_inflate_next(i, arena, &frame, &err) == RC_OK) {
		total += 10 + frame.payload.len;
		if (frame.type != LUMBERJACK_JSON ||
		    frame.payload.len > limits.json || total > limits.inflated)
			abort();
	}
	arena_free(arena);
	lumberjack_inflate_free(i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct lumberjack_frame frame;
	struct error err;
	size_t used;
	enum rc rc;

	while ((rc = lumberjack_decode(in, &limits, &frame, &used, &err)) ==
	    RC_OK) {
		if (used < 6 || used > in.len || frame.payload.len > used)
			abort();
		if (frame.type == LUMBERJACK_COMPRESSED)
			unpack(frame.payload);
		in.ptr += used;
		in.len -= used;
	}
	/* a frame that is not there yet is never larger than the bounds */
	if (rc == RC_AGAIN && (used <= in.len || used > 10 + limits.compressed))
		abort();
	return 0;
}
