/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"

#include <stdint.h>

#ifdef __SSE2__
# include <emmintrin.h>
#endif

#include "fold_table.h"

static const char replacement[3] = { '\xef', '\xbf', '\xbd' }; /* U+FFFD */

#ifdef __SSE2__
static const ptrdiff_t step = 16;

static inline __m128i
load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A bit for each of step bytes that is not ASCII. */
static inline unsigned
high_bytes(const char *p)
{
	return (unsigned)_mm_movemask_epi8(load(p));
}

static inline bool
any_high_of_four(const char *p)
{
	__m128i a = _mm_or_si128(load(p), load(p + step));
	__m128i b = _mm_or_si128(load(p + 2 * step), load(p + 3 * step));

	return _mm_movemask_epi8(_mm_or_si128(a, b)) != 0;
}
#endif

/* Where the ASCII at the start of `p` ends. */
static const char *
ascii_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const char *from = p;

	while (end - p >= 4 * step && !any_high_of_four(p))
		p += 4 * step;
	for (; end - p >= step; p += step) {
		unsigned high = high_bytes(p);

		if (high != 0)
			return p + __builtin_ctz(high);
	}
	if (p < end && end - from >= step) {
		/* the rest, by a step that ends with it */
		unsigned high = high_bytes(end - step) >> (step - (end - p));

		return high != 0 ? p + __builtin_ctz(high) : end;
	}
#else
	while (end - p >= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
		p += 8;
	}
#endif
	while (p < end && (unsigned char)*p < 0x80)
		p++;
	return p;
}

static bool
in_range(unsigned char c, unsigned char low, unsigned char high)
{
	return c >= low && c <= high;
}

/*
 * The sequence at `p`, whose first byte is not ASCII: its length if it is well
 * formed (Unicode 14, table 3-7), else minus the length of its maximal subpart
 * (what one U+FFFD stands for; at least one byte).
 */
static int
sequence(const char *p, const char *end)
{
	unsigned char first = (unsigned char)*p;
	unsigned char low = 0x80, high = 0xbf;
	int need, n = 1;

	if (in_range(first, 0xc2, 0xdf)) {
		need = 2;
	} else if (in_range(first, 0xe0, 0xef)) {
		need = 3;
		low = first == 0xe0 ? 0xa0 : 0x80;
		high = first == 0xed ? 0x9f : 0xbf;
	} else if (in_range(first, 0xf0, 0xf4)) {
		need = 4;
		low = first == 0xf0 ? 0x90 : 0x80;
		high = first == 0xf4 ? 0x8f : 0xbf;
	} else {
		return -1;
	}
	while (n < need) {
		if (p + n >= end || !in_range((unsigned char)p[n], low, high))
			return -n;
		low = 0x80;
		high = 0xbf;
		n++;
	}
	return need;
}

/* Where the valid UTF-8 at the start of `p` ends. */
static const char *
valid_end(const char *p, const char *end)
{
	for (;;) {
		int n;

		p = ascii_end(p, end);
		if (p == end)
			return p;
		do {
			n = sequence(p, end);
			if (n < 0)
				return p;
			p += n;
		} while (p < end && (unsigned char)*p >= 0x80);
	}
}

bool
utf8_valid(struct slice s)
{
	return s.len == 0 || valid_end(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

bool
utf8_is_ascii(struct slice s)
{
	return s.len == 0 || ascii_end(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

struct slice
utf8_repair(struct arena *arena, struct slice s)
{
	const char *end = s.ptr + s.len;
	const char *at, *p;
	size_t room = s.len;
	char *out, *to;

	if (s.len == 0)
		return s;
	p = valid_end(s.ptr, end);
	if (p == end)
		return s;
	for (at = p; at < end; at = valid_end(at, end)) {
		int bad = -sequence(at, end);

		at += bad;
		room += sizeof(replacement) - (size_t)bad;
	}
	out = to = arena_alloc(arena, room);
	for (at = s.ptr; at < end;) {
		p = valid_end(at, end);
		memcpy(to, at, (size_t)(p - at));
		to += p - at;
		at = p;
		if (at == end)
			break;
		memcpy(to, replacement, sizeof(replacement));
		to += sizeof(replacement);
		at -= sequence(at, end);
	}
	return (struct slice){ out, (size_t)(to - out) };
}

size_t
utf8_cut(struct slice s, size_t max)
{
	size_t n = max;

	if (s.len <= max)
		return s.len;
	/* a character has at most three bytes that continue it */
	for (int i = 0; i < 3 && n > 0; i++) {
		if (((unsigned char)s.ptr[n] & 0xc0) != 0x80)
			return n;
		n--;
	}
	return ((unsigned char)s.ptr[n] & 0xc0) != 0x80 ? n : max;
}

size_t
utf8_decode(struct slice s, uint32_t *c)
{
	const unsigned char *p = (const unsigned char *)s.ptr;

	if (p[0] < 0x80) {
		*c = p[0];
		return 1;
	}
	if (p[0] < 0xe0) {
		*c = (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
		return 2;
	}
	if (p[0] < 0xf0) {
		*c =
		    (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
		return 3;
	}
	*c = (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 | (p[2] & 0x3fU) << 6 |
	    (p[3] & 0x3fU);
	return 4;
}

size_t
utf8_encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

uint32_t
utf8_fold_char(uint32_t c)
{
	size_t low = 0, high = fold_ranges_count;

	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct fold_range *r = &fold_ranges[mid];

		if (c < r->first)
			high = mid;
		else if (c > r->last)
			low = mid + 1;
		else
			return (c - r->first) % r->step == 0
			    ? (uint32_t)((int32_t)c + r->delta)
			    : c;
	}
	return c;
}

/* `out` has room for 3/2 of the bytes: no folding needs more (see below). */
static size_t
fold_into(char *out, struct slice s)
{
	char *to = out;
	size_t at = 0;

	while (at < s.len) {
		unsigned char byte = (unsigned char)s.ptr[at];
		uint32_t c;

		if (byte < 0x80) {
			*to++ = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32
								  : byte);
			at++;
			continue;
		}
		at += utf8_decode((struct slice){ s.ptr + at, s.len - at }, &c);
		to += utf8_encode(utf8_fold_char(c), to);
	}
	return (size_t)(to - out);
}

/* Two bytes may become three (U+023A), three at most three: 3/2 is enough. */
static size_t
fold_room(struct slice s)
{
	return s.len + s.len / 2 + 4;
}

struct slice
utf8_fold(struct arena *arena, struct slice s)
{
	const char *end = s.ptr + s.len;
	const char *p = s.ptr;
	char *out;

	while (p < end && (unsigned char)*p < 0x80 && !(*p >= 'A' && *p <= 'Z'))
		p++;
	if (p == end)
		return s;
	if (ascii_end(p, end) == end)
		out = arena_alloc(arena, s.len);
	else
		out = arena_alloc(arena, fold_room(s));
	return (struct slice){ out, fold_into(out, s) };
}

void
utf8_fold_to(struct buf *out, struct slice s)
{
	char *to;

	if (s.len == 0)
		return;
	to = buf_reserve(out, fold_room(s));
	if (to != NULL)
		out->len += fold_into(to, s);
}
