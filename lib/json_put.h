/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON into room that is known to be there, for lib/json_*.c only: what
 * stands behind `to` may be written over, JSON_SLACK bytes further than asked.
 */
#pragma once

#include "json.h"
#include "json_sse.h"

enum { JSON_SLACK = 32, JSON_DIGITS_MAX = 20 };

/* json_room() where the buffer has to grow; `n` with the slack. */
char *json_room_slow(struct buf *b, size_t n);

/*
 * Room for `n` bytes and the slack at b->ptr + b->len.  NULL where that is above
 * the bound: what is written byte by byte may still fit, nothing was marked.
 */
static inline char *
json_room(struct buf *b, size_t n)
{
	n += JSON_SLACK;
	return b->cap - b->len >= n ? b->ptr + b->len : json_room_slow(b, n);
}

#ifdef __SSE2__
/* Fewer than 16 bytes, copied; what json_stops16() says of them. */
static inline unsigned
json_put_few(char *to, const char *p, size_t n)
{
	uint64_t a = 0, b = 0;
	uint32_t c, d;

	if (n >= 8) {
		memcpy(&a, p, 8);
		memcpy(&b, p + n - 8, 8);
		memcpy(to, &a, 8);
		memcpy(to + n - 8, &b, 8);
	} else if (n >= 4) {
		memcpy(&c, p, 4);
		memcpy(&d, p + n - 4, 4);
		memcpy(to, &c, 4);
		memcpy(to + n - 4, &d, 4);
		a = b = c | (uint64_t)d << 32;
	} else if (n > 0) {
		/* first, middle and last are all there are */
		to[0] = p[0];
		to[n / 2] = p[n / 2];
		to[n - 1] = p[n - 1];
		a = b = (unsigned char)p[0] * UINT64_C(0x0101010101010000) |
		    (uint64_t)(unsigned char)p[n / 2] << 8 |
		    (unsigned char)p[n - 1];
	} else {
		return 0;
	}
	return json_stops16(_mm_set_epi64x((long long)b, (long long)a));
}

/*
 * A string of s.len + 2 bytes; where it ends, or NULL where a byte of it needs
 * an escape.
 */
static inline char *
json_put_string(char *to, struct slice s)
{
	const char *p = s.ptr;
	size_t n = s.len;
	unsigned stops = 0;

	*to++ = '"';
	if (n < 16) {
		stops = json_put_few(to, p, n);
	} else {
		for (; n > 16 && stops == 0; p += 16, to += 16, n -= 16) {
			__m128i x = json_load16(p);

			json_store16(to, x);
			stops = json_stops16(x);
		}
		if (stops == 0) {
			__m128i x = json_load16(p + n - 16);

			json_store16(to + n - 16, x);
			stops = json_stops16(x);
		}
	}
	to[n] = '"';
	return stops == 0 ? to + n + 1 : NULL;
}

/* Copies `n` bytes by blocks of 16: as many may be read behind them. */
static inline char *
json_put_piece(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i += 16)
		json_store16(to + i, json_load16(from + i));
	return to + n;
}
#else
static inline char *
json_put_string(char *to, struct slice s)
{
	*to++ = '"';
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '"' || c == '\\' || (unsigned char)c < 0x20)
			return NULL;
		*to++ = c;
	}
	*to++ = '"';
	return to;
}

static inline char *
json_put_piece(char *to, const char *from, size_t n)
{
	memcpy(to, from, n);
	return to + n;
}
#endif

static inline char *
json_put_digits(char *to, uint64_t v)
{
	char digits[JSON_DIGITS_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	memcpy(to, digits + at, sizeof(digits) - at);
	return to + sizeof(digits) - at;
}
