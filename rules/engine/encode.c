/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"
#include "utf8.h"

static size_t
put_unit(char *out, uint32_t unit, bool big)
{
	uint8_t bytes[2] = { (uint8_t)(big ? unit >> 8 : unit),
		(uint8_t)(big ? unit : unit >> 8) };

	memcpy(out, bytes, sizeof(bytes));
	return 2;
}

struct slice
encode_utf16(struct arena *arena, struct slice text, int how)
{
	bool big = how == ENCODE_UTF16BE;
	char *out = arena_alloc(arena, 2 * text.len + 2);
	size_t n = 0;
	uint32_t c;

	if (how == ENCODE_UTF16)
		n += put_unit(out, 0xfeff, false);
	while (text.len > 0) {
		size_t used = utf8_decode(text, &c);

		text.ptr += used;
		text.len -= used;
		if (c >= 0x10000) {
			c -= 0x10000;
			n += put_unit(out + n, 0xd800 + (c >> 10), big);
			c = 0xdc00 + (c & 0x3ff);
		}
		n += put_unit(out + n, c, big);
	}
	return (struct slice){ out, n };
}

struct slice
encode_base64(struct arena *arena, struct slice bytes)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = arena_alloc(arena, (bytes.len + 2) / 3 * 4 + 1);
	size_t n = 0;

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t v = (uint32_t)(unsigned char)bytes.ptr[i] << 16;

		if (left > 1)
			v |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
		if (left > 2)
			v |= (unsigned char)bytes.ptr[i + 2];
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n] = '=';
		if (left > 1)
			out[n] = digits[v >> 6 & 63];
		n++;
		out[n] = '=';
		if (left > 2)
			out[n] = digits[v & 63];
		n++;
	}
	return (struct slice){ out, n };
}

struct slice
encode_base64_offset(struct arena *arena, struct slice bytes, unsigned offset)
{
	/* the digits that bits of the neighbours reach into */
	static const size_t skip[] = { 0, 2, 3 }, cut[] = { 0, 3, 2 };
	size_t len = bytes.len + offset;
	char *shifted = arena_alloc(arena, len + 1);
	struct slice all;
	size_t start = skip[offset], end = cut[len % 3];

	memset(shifted, ' ', offset);
	if (bytes.len > 0)
		memcpy(shifted + offset, bytes.ptr, bytes.len);
	all = encode_base64(arena, (struct slice){ shifted, len });
	if (start + end >= all.len)
		return SLICE("");
	return (struct slice){ all.ptr + start, all.len - start - end };
}
