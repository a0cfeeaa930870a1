/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON's lexical level (RFC 8259, sections 2, 6, 7), for lib/json_*.c only.
 *
 * A scanner works on [*at, end) and moves *at behind what it read.  Those that
 * can fail return NULL when all is well, else what is wrong; *at then stands
 * where it is wrong.
 */
#pragma once

#ifdef __SSE2__
# include <emmintrin.h>
#endif

#include "json.h"

/*
 * The first byte that ends a run of plain string characters: a quote, a
 * backslash, a control character, or the end.  *high collects whether bytes
 * above ASCII came before it.
 */
static inline const char *
json_plain_end(const char *p, const char *end, bool *high)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(0x1f);
	__m128i seen = _mm_setzero_si128();

	while (end - p >= 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i stop =
		    _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote),
				     _mm_cmpeq_epi8(x, backslash)),
			_mm_cmpeq_epi8(_mm_min_epu8(x, space), x));
		unsigned stops = (unsigned)_mm_movemask_epi8(stop);

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

/*
 * *at is behind the opening quote, and will be behind the closing one.  The
 * text is borrowed from the input where it can be, else in the arena: escapes
 * decoded, bad UTF-8 and lone surrogates replaced by U+FFFD.
 */
const char *json_scan_string(const char **at, const char *end,
    struct arena *arena, struct slice *out);

/*
 * The same where nothing is to be done but find the quote, within 16 bytes of
 * plain ASCII: most keys and many values.  False: call json_scan_string().
 */
static inline bool
json_scan_short(const char **at, const char *end, struct slice *out)
{
#ifdef __SSE2__
	const char *p = *at;
	unsigned quotes, others, n;
	__m128i x;

	if (end - p < 16)
		return false;
	x = _mm_loadu_si128((const __m128i *)(const void *)p);
	quotes =
	    (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
	/* signed: what is above ASCII is below a space too */
	others = (unsigned)_mm_movemask_epi8(
	    _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
		_mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))));
	if (quotes == 0)
		return false;
	n = (unsigned)__builtin_ctz(quotes);
	if ((others & ((1U << n) - 1)) != 0)
		return false;
	*out = (struct slice){ p, n };
	*at = p + n + 1;
	return true;
#else
	(void)at;
	(void)end;
	(void)out;
	return false;
#endif
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
