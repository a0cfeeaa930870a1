/* SPDX-License-Identifier: Apache-2.0 */
#include "lumberjack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "arena.h"
#include "tap.h"
#include "xalloc.h"

/* clang-format off */
#define BYTES(lit) { lit, sizeof(lit) - 1 }
/* clang-format on */

static const struct {
	const char *name;
	struct slice in;
	enum rc rc;
	size_t used;
	enum lumberjack_type type;
	uint32_t seq;
	size_t payload;
} decodes[] = {
	{ "a window", BYTES("2W\0\0\x27\x10rest"), RC_OK, 6, LUMBERJACK_WINDOW,
	    10000, 0 },
	{ "a window of 0", BYTES("2W\0\0\0\0"), RC_OK, 6, LUMBERJACK_WINDOW, 0,
	    0 },
	{ "an ACK", BYTES("2A\0\0\0\7"), RC_OK, 6, LUMBERJACK_ACK, 7, 0 },
	{ "an event", BYTES("2J\0\0\0\1\0\0\0\2{}"), RC_OK, 12, LUMBERJACK_JSON,
	    1, 2 },
	{ "an event without text", BYTES("2J\0\0\0\1\0\0\0\0"), RC_OK, 10,
	    LUMBERJACK_JSON, 1, 0 },
	{ "a compressed frame", BYTES("2C\0\0\0\3abc"), RC_OK, 9,
	    LUMBERJACK_COMPRESSED, 0, 3 },
	{ "nothing yet", BYTES(""), RC_AGAIN, 6, 0, 0, 0 },
	{ "a version alone", BYTES("2"), RC_AGAIN, 6, 0, 0, 0 },
	{ "half a header", BYTES("2J\0\0\0\1"), RC_AGAIN, 10, 0, 0, 0 },
	{ "half a text", BYTES("2J\0\0\0\1\0\0\0\2{"), RC_AGAIN, 12, 0, 0, 0 },
	{ "version 1", BYTES("1D\0\0\0\1"), RC_INVALID, 0, 0, 0, 0 },
	{ "HTTP", BYTES("GET / HTTP/1.1\r\n"), RC_INVALID, 0, 0, 0, 0 },
	{ "an unknown type", BYTES("2X\0\0\0\1"), RC_INVALID, 0, 0, 0, 0 },
	{ "a window beyond the bound", BYTES("2W\0\0\x27\x11"), RC_LIMIT, 0, 0,
	    0, 0 },
	{ "an event beyond the bound", BYTES("2J\0\0\0\1\0\x80\0\1"), RC_LIMIT,
	    0, 0, 0, 0 },
	{ "a compressed frame that claims 4 GiB", BYTES("2C\xff\xff\xff\xff"),
	    RC_LIMIT, 0, 0, 0, 0 },
};

static void
test_decode(void)
{
	for (size_t i = 0; i < sizeof(decodes) / sizeof(decodes[0]); i++) {
		struct lumberjack_frame frame = { .seq = 0 };
		struct error err = { .text = "" };
		size_t used = 0;
		enum rc rc = lumberjack_decode(decodes[i].in,
		    &lumberjack_limits_default, &frame, &used, &err);
		bool ok = rc == decodes[i].rc;

		if (rc == RC_OK || rc == RC_AGAIN)
			ok = ok && used == decodes[i].used;
		else
			ok = ok && err.text[0] != '\0';
		if (rc == RC_OK)
			ok = ok && frame.type == decodes[i].type &&
			    frame.seq == decodes[i].seq &&
			    frame.payload.len == decodes[i].payload;
		CHECK(ok, "%s: %d %s", decodes[i].name, rc, err.text);
	}
}

/* What one C frame holds; its events are joined by '|'. */
static enum rc
inflate_all(const struct lumberjack_limits *limits, struct slice zlib,
    struct buf *out, struct error *err)
{
	struct lumberjack_inflate *i = lumberjack_inflate_new(limits);
	struct arena *arena = arena_new(4096);
	struct lumberjack_frame frame = { .seq = 0 };
	enum rc rc;

	lumberjack_inflate_begin(i, zlib);
	while ((rc = lumberjack_inflate_next(i, arena, &frame, err)) == RC_OK) {
		(void)buf_add_slice(out, frame.payload);
		(void)buf_add_char(out, '|');
	}
	arena_free(arena);
	lumberjack_inflate_free(i);
	return rc;
}

static void
test_round_trip(size_t event_bytes, uint32_t n)
{
	struct lumberjack_deflate *d = lumberjack_deflate_new(3);
	struct buf frames, wire, text, expect;
	struct lumberjack_frame frame = { .seq = 0 };
	struct error err = { .text = "" };
	size_t used = 0;
	char *event = xzalloc(event_bytes + 1);
	enum rc rc;

	buf_init(&frames, 64 << 20);
	buf_init(&wire, 64 << 20);
	buf_init(&text, 64 << 20);
	buf_init(&expect, 64 << 20);
	for (uint32_t i = 1; i <= n; i++) {
		memset(event, 'a' + (int)(i % 26), event_bytes);
		lumberjack_put_json(&frames, i,
		    (struct slice){ event, event_bytes });
		(void)buf_add(&expect, event, event_bytes);
		(void)buf_add_char(&expect, '|');
	}
	rc = lumberjack_put_compressed(d, &wire, buf_slice(&frames), &err);
	if (rc == RC_OK)
		rc = lumberjack_decode(buf_slice(&wire),
		    &lumberjack_limits_default, &frame, &used, &err);
	CHECK(rc == RC_OK && used == wire.len &&
		frame.type == LUMBERJACK_COMPRESSED,
	    "%u events of %zu bytes make one frame: %s", n, event_bytes,
	    err.text);
	rc =
	    inflate_all(&lumberjack_limits_default, frame.payload, &text, &err);
	CHECK(rc == RC_EOF && slice_eq(buf_slice(&text), buf_slice(&expect)),
	    "and come back: %d %s", rc, err.text);
	buf_fini(&frames);
	buf_fini(&wire);
	buf_fini(&text);
	buf_fini(&expect);
	free(event);
	lumberjack_deflate_free(d);
}

/* What a foreign sender may put in a C frame. */
static enum rc
inflate_of(struct slice plain, size_t cut, size_t extra, struct error *err)
{
	struct lumberjack_limits limits = lumberjack_limits_default;
	uLongf len = compressBound(plain.len) + extra;
	Bytef *zlib = xzalloc(len);
	struct buf out;
	enum rc rc;

	limits.inflated = 1 << 20;
	buf_init(&out, 16 << 20);
	(void)compress(zlib, &len, (const Bytef *)plain.ptr, plain.len);
	rc = inflate_all(&limits,
	    (struct slice){ (char *)zlib, len - cut + extra }, &out, err);
	buf_fini(&out);
	free(zlib);
	return rc;
}

static void
test_hostile(void)
{
	static const struct {
		const char *name;
		struct slice plain;
		size_t cut, extra;
		enum rc rc;
	} cases[] = {
		{ "nothing at all", BYTES(""), 0, 0, RC_EOF },
		{ "an event", BYTES("2J\0\0\0\1\0\0\0\2{}"), 0, 0, RC_EOF },
		{ "a stream that is cut", BYTES("2J\0\0\0\1\0\0\0\2{}"), 4, 0,
		    RC_INVALID },
		{ "a stream with a tail", BYTES("2J\0\0\0\1\0\0\0\2{}"), 0, 3,
		    RC_INVALID },
		{ "an event that is cut", BYTES("2J\0\0\0\1\0\0\0\2{"), 0, 0,
		    RC_INVALID },
		{ "a header that is cut", BYTES("2J\0\0"), 0, 0, RC_INVALID },
		{ "a compressed frame in one", BYTES("2C\0\0\0\1x"), 0, 0,
		    RC_INVALID },
		{ "a window in one", BYTES("2W\0\0\0\1"), 0, 0, RC_INVALID },
		{ "an event that claims too much",
		    BYTES("2J\0\0\0\1\x7f\0\0\2{}"), 0, 0, RC_LIMIT },
		{ "version 1", BYTES("1J\0\0\0\1\0\0\0\2{}"), 0, 0,
		    RC_INVALID },
	};
	static char bomb[2 << 20] = "2J\0\0\0\1\0\x1f\0\0";
	struct error err = { .text = "" };
	struct buf out;
	enum rc rc;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rc = inflate_of(cases[i].plain, cases[i].cut, cases[i].extra,
		    &err);
		CHECK(rc == cases[i].rc, "%s, compressed: %d %s", cases[i].name,
		    rc, rc == RC_EOF ? "" : err.text);
	}
	rc = inflate_of((struct slice){ bomb, sizeof(bomb) }, 0, 0, &err);
	CHECK(rc == RC_LIMIT, "a bomb stops at the bound: %s", err.text);
	buf_init(&out, 100);
	rc = inflate_all(&lumberjack_limits_default, SLICE("not zlib"), &out,
	    &err);
	CHECK(rc == RC_INVALID, "what is no zlib is refused: %s", err.text);
	buf_fini(&out);
}

static void
test_full_buffer(void)
{
	struct lumberjack_deflate *d = lumberjack_deflate_new(1);
	struct error err;
	struct buf out;

	buf_init(&out, 20);
	lumberjack_put_window(&out, 1);
	CHECK(lumberjack_put_compressed(d, &out, SLICE("some frames"), &err) ==
		    RC_LIMIT &&
		out.len == 6,
	    "a frame that does not fit adds nothing");
	buf_clear(&out);
	lumberjack_put_json(&out, 1, SLICE("0123456789abc"));
	CHECK(out.len == 0 && out.overflowed, "nor does an event");
	buf_fini(&out);
	lumberjack_deflate_free(d);
}

int
main(void)
{
	test_decode();
	test_round_trip(0, 1);
	test_round_trip(1, 3);
	test_round_trip(500, 2048);
	test_round_trip(300000, 20);
	test_hostile();
	test_full_buffer();
	return tap_done();
}
