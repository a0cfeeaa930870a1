/* SPDX-License-Identifier: Apache-2.0 */
#include "lumberjack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "arena.h"
#include "xalloc.h"

enum {
	PROTOCOL = '2',
	SHORT_FRAME = 6, /* W, A, and the header of C */
	JSON_HEADER = 10,
	STAGE = 64 * 1024,
};

const struct lumberjack_limits lumberjack_limits_default = {
	.window = 10000,
	.json = 8 << 20,
	.compressed = 16 << 20,
	.inflated = 64 << 20,
};

static uint32_t
get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 |
	    (uint32_t)u[2] << 8 | u[3];
}

/* The header's size by its first two bytes; 0: err says why. */
static size_t
header_size(struct slice in, struct error *err)
{
	unsigned char version = (unsigned char)in.ptr[0];
	unsigned char type;

	if (version != PROTOCOL) {
		(void)error_set(err, RC_INVALID,
		    version == '1' ? "protocol version 1 is not spoken"
				   : "no Lumberjack frame (byte 0x%02x)",
		    version);
		return 0;
	}
	if (in.len == 1)
		return SHORT_FRAME;
	type = (unsigned char)in.ptr[1];
	switch (type) {
	case 'J':
		return JSON_HEADER;
	case 'W':
	case 'A':
	case 'C':
		return SHORT_FRAME;
	default:
		(void)error_set(err, RC_INVALID, "unknown frame type 0x%02x",
		    type);
		return 0;
	}
}

static enum rc
check_bound(const char *what, uint32_t value, uint32_t bound, struct error *err)
{
	if (value <= bound)
		return RC_OK;
	return error_set(err, RC_LIMIT, "%s of %u, the bound is %u", what,
	    value, bound);
}

/* From a whole header: type, seq, the payload's length (bounded). */
static enum rc
decode_header(const char *p, const struct lumberjack_limits *limits,
    struct lumberjack_frame *frame, struct error *err)
{
	uint32_t first = get_u32(p + 2);

	*frame = (struct lumberjack_frame){ .seq = first };
	switch (p[1]) {
	case 'W':
		frame->type = LUMBERJACK_WINDOW;
		return check_bound("window", first, limits->window, err);
	case 'A':
		frame->type = LUMBERJACK_ACK;
		return RC_OK;
	case 'C':
		frame->type = LUMBERJACK_COMPRESSED;
		frame->seq = 0;
		frame->payload.len = first;
		return check_bound("compressed frame", first,
		    limits->compressed, err);
	default:
		frame->type = LUMBERJACK_JSON;
		frame->payload.len = get_u32(p + 6);
		return check_bound("event", (uint32_t)frame->payload.len,
		    limits->json, err);
	}
}

enum rc
lumberjack_decode(struct slice in, const struct lumberjack_limits *limits,
    struct lumberjack_frame *frame, size_t *used, struct error *err)
{
	size_t header;
	enum rc rc;

	*used = SHORT_FRAME;
	if (in.len == 0)
		return RC_AGAIN;
	header = header_size(in, err);
	if (header == 0)
		return RC_INVALID;
	*used = header;
	if (in.len < header)
		return RC_AGAIN;
	rc = decode_header(in.ptr, limits, frame, err);
	if (rc != RC_OK)
		return rc;
	*used = header + frame->payload.len;
	if (in.len < *used)
		return RC_AGAIN;
	frame->payload.ptr = in.ptr + header;
	return RC_OK;
}

static void
put_short(struct buf *out, char type, uint32_t value)
{
	char head[2] = { PROTOCOL, type };

	if (buf_reserve(out, SHORT_FRAME) == NULL)
		return;
	(void)buf_add(out, head, sizeof(head));
	(void)buf_add_u32be(out, value);
}

void
lumberjack_put_window(struct buf *out, uint32_t count)
{
	put_short(out, 'W', count);
}

void
lumberjack_put_ack(struct buf *out, uint32_t seq)
{
	put_short(out, 'A', seq);
}

void
lumberjack_put_json(struct buf *out, uint32_t seq, struct slice json)
{
	assert(json.len <= UINT32_MAX);
	if (buf_reserve(out, JSON_HEADER + json.len) == NULL)
		return;
	put_short(out, 'J', seq);
	(void)buf_add_u32be(out, (uint32_t)json.len);
	(void)buf_add_slice(out, json);
}

struct lumberjack_deflate {
	z_stream z;
};

static void
must(int status)
{
	if (status != Z_OK)
		abort(); /* out of memory, or zlib is another than ours */
}

struct lumberjack_deflate *
lumberjack_deflate_new(int level)
{
	struct lumberjack_deflate *d = xzalloc(sizeof(*d));

	assert(level >= 1 && level <= 9);
	must(deflateInit(&d->z, level));
	return d;
}

void
lumberjack_deflate_free(struct lumberjack_deflate *d)
{
	if (d == NULL)
		return;
	(void)deflateEnd(&d->z);
	free(d);
}

enum rc
lumberjack_put_compressed(struct lumberjack_deflate *d, struct buf *out,
    struct slice frames, struct error *err)
{
	size_t begin = out->len;
	size_t room;
	char *to;

	must(deflateReset(&d->z));
	room = deflateBound(&d->z, frames.len);
	to = room <= UINT32_MAX && frames.len <= UINT32_MAX
	    ? buf_reserve(out, SHORT_FRAME + room)
	    : NULL;
	if (to == NULL)
		return error_set(err, RC_LIMIT,
		    "%zu bytes are too many for one frame", frames.len);
	d->z.next_in = (const Bytef *)frames.ptr;
	d->z.avail_in = (uInt)frames.len;
	d->z.next_out = (Bytef *)to + SHORT_FRAME;
	d->z.avail_out = (uInt)room;
	if (deflate(&d->z, Z_FINISH) != Z_STREAM_END)
		return error_set(err, RC_LIBRARY, "zlib: cannot compress");
	put_short(out, 'C', (uint32_t)d->z.total_out);
	out->len = begin + SHORT_FRAME + d->z.total_out;
	return RC_OK;
}

struct lumberjack_inflate {
	z_stream z;
	struct lumberjack_limits limits;
	uint64_t total;  /* inflated bytes of this C frame */
	bool ended;      /* the zlib stream did */
	size_t from, to; /* of the stage: inflated, not yet handed out */
	char stage[STAGE];
};

struct lumberjack_inflate *
lumberjack_inflate_new(const struct lumberjack_limits *limits)
{
	struct lumberjack_inflate *i = xzalloc(sizeof(*i));

	i->limits = *limits;
	i->ended = true;
	must(inflateInit(&i->z));
	return i;
}

void
lumberjack_inflate_free(struct lumberjack_inflate *i)
{
	if (i == NULL)
		return;
	(void)inflateEnd(&i->z);
	free(i);
}

void
lumberjack_inflate_begin(struct lumberjack_inflate *i, struct slice zlib)
{
	assert(zlib.len <= UINT32_MAX);
	must(inflateReset(&i->z));
	i->z.next_in = (const Bytef *)zlib.ptr;
	i->z.avail_in = (uInt)zlib.len;
	i->total = 0;
	i->from = i->to = 0;
	i->ended = false;
}

/* Inflates at most `room` bytes to `out`, and never beyond the bound. */
static enum rc
inflate_some(struct lumberjack_inflate *i, char *out, size_t room, size_t *n,
    struct error *err)
{
	int status;

	*n = 0;
	if (i->ended)
		return RC_EOF;
	i->z.next_out = (Bytef *)out;
	i->z.avail_out = (uInt)(room < STAGE ? room : STAGE);
	room = i->z.avail_out;
	status = inflate(&i->z, Z_NO_FLUSH);
	*n = room - i->z.avail_out;
	i->total += *n;
	if (i->total > i->limits.inflated)
		return error_set(err, RC_LIMIT,
		    "a compressed frame inflates to more than %llu bytes",
		    (unsigned long long)i->limits.inflated);
	if (status == Z_STREAM_END) {
		i->ended = true;
		if (i->z.avail_in > 0)
			return error_set(err, RC_INVALID,
			    "bytes follow the zlib stream in its frame");
		return *n > 0 ? RC_OK : RC_EOF;
	}
	if (status != Z_OK || *n == 0)
		return error_set(err, RC_INVALID,
		    "compressed frame is broken (%s)",
		    i->z.msg != NULL ? i->z.msg : "cut short");
	return RC_OK;
}

/* At least `want` bytes in the stage; RC_EOF: the stream ends before. */
static enum rc
fill(struct lumberjack_inflate *i, size_t want, struct error *err)
{
	memmove(i->stage, i->stage + i->from, i->to - i->from);
	i->to -= i->from;
	i->from = 0;
	while (i->to < want) {
		size_t n;
		enum rc rc =
		    inflate_some(i, i->stage + i->to, STAGE - i->to, &n, err);

		i->to += n;
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc
cut_short(struct error *err)
{
	return error_set(err, RC_INVALID,
	    "a frame is cut short at the end of a compressed one");
}

static enum rc
next_header(struct lumberjack_inflate *i, struct lumberjack_frame *frame,
    struct error *err)
{
	struct slice in;
	enum rc rc;

	if (i->to - i->from < JSON_HEADER) {
		rc = fill(i, JSON_HEADER, err);
		if (rc == RC_EOF && i->to == 0)
			return RC_EOF;
		if (rc != RC_OK && rc != RC_EOF)
			return rc;
	}
	in = (struct slice){ i->stage + i->from, i->to - i->from };
	if (header_size(in, err) == 0)
		return RC_INVALID;
	if (in.len >= 2 && in.ptr[1] != 'J')
		return error_set(err, RC_INVALID,
		    "a frame of type %c within a compressed one", in.ptr[1]);
	if (in.len < JSON_HEADER)
		return cut_short(err);
	i->from += JSON_HEADER;
	return decode_header(in.ptr, &i->limits, frame, err);
}

enum rc
lumberjack_inflate_next(struct lumberjack_inflate *i, struct arena *arena,
    struct lumberjack_frame *frame, struct error *err)
{
	enum rc rc = next_header(i, frame, err);
	size_t len, done;
	char *text;

	if (rc != RC_OK)
		return rc;
	len = frame->payload.len;
	text = arena_alloc(arena, len > 0 ? len : 1);
	done = i->to - i->from < len ? i->to - i->from : len;
	memcpy(text, i->stage + i->from, done);
	i->from += done;
	while (done < len) { /* the stage is empty: straight to its place */
		size_t n;

		rc = inflate_some(i, text + done, len - done, &n, err);
		if (rc == RC_EOF)
			return cut_short(err);
		if (rc != RC_OK)
			return rc;
		done += n;
	}
	frame->payload.ptr = text;
	return RC_OK;
}
