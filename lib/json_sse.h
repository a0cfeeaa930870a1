/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen bytes of JSON at once, for lib/json_*.c only; without SSE2 nothing. */
#pragma once

#ifdef __SSE2__
# include <emmintrin.h>

static inline __m128i
json_load16(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline void
json_store16(char *to, __m128i x)
{
	_mm_storeu_si128((__m128i *)(void *)to, x);
}

/*
 * What cannot stand in a string as it is (a quote, a backslash, a control
 * character) among 16 bytes: a bit each.
 */
static inline unsigned
json_stops16(__m128i x)
{
	const __m128i last_low = _mm_set1_epi8(0x20);
	/* one bit turned makes a quote low, and a space not */
	__m128i turned = _mm_xor_si128(x, _mm_set1_epi8('"' ^ 0x20));

	return (unsigned)_mm_movemask_epi8(
	    _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')),
		_mm_cmpeq_epi8(_mm_min_epu8(turned, last_low), turned)));
}
#endif
