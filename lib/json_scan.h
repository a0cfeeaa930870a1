/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON's lexical level (RFC 8259, sections 2, 6, 7), for lib/json_*.c only.
 *
 * A scanner works on [*at, end) and moves *at behind what it read.  Those that
 * can fail return NULL when all is well, else what is wrong; *at then stands
 * where it is wrong.
 */
#pragma once

#include "json.h"
#include "json_sse.h"

/*
 * The first byte that ends a run of plain string characters: a quote, a
 * backslash, a control character, or the end.  *high collects whether bytes
 * above ASCII came before it.
 */
static inline const char *
json_plain_end(const char *p, const char *end, bool *high)
{
#ifdef __SSE2__
	__m128i seen = _mm_setzero_si128();

	while (end - p >= 16) {
		__m128i x = json_load16(p);
		unsigned stops = json_stops16(x);

		if (stops != 0) {
			unsigned n = (unsigned)__builtin_ctz(stops);
			unsigned highs = (unsigned)_mm_movemask_epi8(x);

			*high |= _mm_movemask_epi8(seen) != 0 ||
			    (highs & ((1U << n) - 1)) != 0;
			return p + n;
		}
		seen = _mm_or_si128(seen, x);
		p += 16;
	}
	*high |= _mm_movemask_epi8(seen) != 0;
#endif
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		*high |= (unsigned char)*p++ >= 0x80;
	return p;
}

#ifdef __SSE2__
/* What is no plain ASCII character of a string among 16 bytes: a bit each. */
static inline unsigned
json_odd16(const char *p)
{
	const __m128i last_low = _mm_set1_epi8(0x20);
	__m128i x = json_load16(p);
	/*
	 * One bit turned makes a quote the last of what is low, and a space
	 * none of it.  Signed: what is above ASCII is low too.
	 */
	__m128i turned = _mm_xor_si128(x, _mm_set1_epi8('"' ^ 0x20));
	__m128i plain = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')),
	    _mm_cmpgt_epi8(turned, last_low));

	return (unsigned)_mm_movemask_epi8(plain) ^ 0xffff;
}
#endif

/* The same as json_plain_end(), but that bytes above ASCII end it too. */
static inline const char *
json_ascii_end(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 32; p += 32) {
		unsigned odd = json_odd16(p) | json_odd16(p + 16) << 16;

		if (odd != 0)
			return p + __builtin_ctz(odd);
	}
#endif
	while (p < end && *p != '"' && *p != '\\' && *p >= 0x20)
		p++;
	return p;
}

static inline void
json_scan_space(const char **at, const char *end)
{
	const char *p = *at;

	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	*at = p;
}

/* RFC 8259, 8.1: a parser may ignore a byte order mark. */
static inline void
json_scan_bom(const char **at, const char *end)
{
	if (end - *at >= 3 && memcmp(*at, "\xef\xbb\xbf", 3) == 0)
		*at += 3;
}

/* Checks a string up to its closing quote, where *at then stands. */
const char *json_string_end(const char **at, const char *end, bool *high,
    bool *escaped);

/*
 * *at is behind the opening quote, and will be behind the closing one.  The
 * text is borrowed from the input where it can be, else in the arena: escapes
 * decoded, bad UTF-8 and lone surrogates replaced by U+FFFD.
 */
const char *json_scan_string(const char **at, const char *end,
    struct arena *arena, struct slice *out);

/*
 * The closing quote of a string that begins at `p`, where nothing is to be done
 * but find it, within 16 bytes of plain ASCII: most keys and many values.
 * NULL: call json_scan_string().
 */
static inline const char *
json_short_end(const char *p, const char *end)
{
#ifdef __SSE2__
	unsigned stops;

	if (end - p < 16)
		return NULL;
	stops = json_odd16(p);
	if (stops == 0)
		return NULL;
	p += __builtin_ctz(stops);
	return *p == '"' ? p : NULL;
#else
	(void)p;
	(void)end;
	return NULL;
#endif
}

/* The end of a usual integer, read; NULL: call json_scan_number(). */
static inline const char *
json_short_integer(const char *p, const char *end, int64_t *out)
{
	enum { DIGITS = 18 }; /* always fit */
	bool minus = p < end && *p == '-';
	const char *from = p + minus;
	int64_t v = 0;

	for (p = from; p < end && *p >= '0' && *p <= '9'; p++) {
		if (p - from == DIGITS)
			return NULL;
		v = v * 10 + (*p - '0');
	}
	/* -0 is none, nor is what begins with 0 */
	if (p == end || p == from || (*from == '0' && (minus || p - from > 1)))
		return NULL;
	if (*p == '.' || *p == 'e' || *p == 'E')
		return NULL;
	*out = minus ? -v : v;
	return p;
}

/* A number, as written. */
const char *json_scan_number(const char **at, const char *end,
    struct slice *out);
struct value json_number_value(struct slice number);

/* true, false, null: the first letter is known */
const char *json_scan_word(const char **at, const char *end, const char *word);

/*
 * Any value, checked but not decoded.  `depth` more levels are allowed.
 * *compact: no white space between its tokens.
 */
const char *json_scan_value(const char **at, const char *end, unsigned depth,
    bool *compact);

/* What json_scan_value() says when a value is too deep: compare the pointer. */
extern const char json_too_deep[];

/* A checked value on one line, in valid UTF-8: borrowed or in the arena. */
struct slice json_compact(struct arena *arena, struct slice text, bool compact);
