/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lumberjack v2, the Beats protocol (doc/protocol.md; elastic/go-lumber
 * 360407d client/v2 and server/v2).  Integers are big-endian uint32.
 *   '2' 'W' count            window: how many events follow
 *   '2' 'J' seq len json     one event; seq starts at 1 in each window
 *   '2' 'C' len zlib         frames compressed (J only)
 *   '2' 'A' seq              ACK, cumulative within the window; 0: keep-alive
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "slice.h"

struct lumberjack_limits {
	uint32_t window;     /* events; 10,000 */
	uint32_t json;       /* bytes of one J; 8 MiB */
	uint32_t compressed; /* bytes of one C; 16 MiB */
	uint64_t inflated;   /* bytes out of one C; 64 MiB */
};
extern const struct lumberjack_limits lumberjack_limits_default;

enum lumberjack_type {
	LUMBERJACK_WINDOW,
	LUMBERJACK_JSON,
	LUMBERJACK_COMPRESSED,
	LUMBERJACK_ACK,
};

struct lumberjack_frame {
	enum lumberjack_type type;
	uint32_t seq; /* JSON, ACK; WINDOW: count */
	struct slice
	    payload; /* JSON text or zlib stream; borrowed from input */
};

/*
 * Reads one frame at the start of `in`.  RC_OK: *used bytes were it.  RC_AGAIN:
 * incomplete; *used is how many bytes the whole frame has, as far as known.
 * RC_INVALID, RC_LIMIT: close the connection; err says why.
 */
enum rc lumberjack_decode(struct slice in,
    const struct lumberjack_limits *limits, struct lumberjack_frame *frame,
    size_t *used, struct error *err);

void lumberjack_put_window(struct buf *out, uint32_t count);
void lumberjack_put_json(struct buf *out, uint32_t seq, struct slice json);
void lumberjack_put_ack(struct buf *out, uint32_t seq);

/* Compressor of C frames; keeps its zlib state between frames. */
struct lumberjack_deflate;
struct lumberjack_deflate *lumberjack_deflate_new(int level); /* 1..9 */
void lumberjack_deflate_free(struct lumberjack_deflate *d);
/* Appends one C frame holding `frames` (J frames). */
enum rc lumberjack_put_compressed(struct lumberjack_deflate *d, struct buf *out,
    struct slice frames, struct error *err);

/*
 * Inflates a C frame as a stream and hands out its J frames one by one, with
 * the bounds applied before any allocation; a C or W within it is RC_INVALID.
 * The payload given lives in `arena` (NUL-free copy is not promised).  `zlib`
 * is borrowed until the last frame; after an error only _begin() may follow.
 */
struct arena;
struct lumberjack_inflate;
struct lumberjack_inflate *lumberjack_inflate_new(
    const struct lumberjack_limits *limits);
void lumberjack_inflate_free(struct lumberjack_inflate *i);
void lumberjack_inflate_begin(struct lumberjack_inflate *i, struct slice zlib);
/* RC_OK with a J frame, RC_EOF at a clean end, else as decode. */
enum rc lumberjack_inflate_next(struct lumberjack_inflate *i,
    struct arena *arena, struct lumberjack_frame *frame, struct error *err);
