/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quick hash of short texts, for tables whose texts no stranger chooses or
 * that bound what strangers add: who could gain by keys that meet needs a
 * secret seed.
 */
#pragma once

#include <stdint.h>

#include "slice.h"

static inline uint64_t
hash_load(const char *p, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, p, n);
	return word;
}

static inline uint64_t
hash_mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 32);
}

/* By words; of what is shorter than four bytes first, middle and last. */
static inline uint32_t
hash_text(uint32_t seed, struct slice s)
{
	const char *p = s.ptr;
	size_t n = s.len;
	uint64_t h = hash_mix(seed, n);

	for (; n > 8; p += 8, n -= 8)
		h = hash_mix(h, hash_load(p, 8));
	if (n == 8)
		h = hash_mix(h, hash_load(p, 8));
	else if (n >= 4)
		h = hash_mix(h,
		    hash_load(p, 4) | hash_load(p + n - 4, 4) << 32);
	else if (n > 0)
		h = hash_mix(h,
		    (uint64_t)(unsigned char)p[0] |
			(uint64_t)(unsigned char)p[n / 2] << 8 |
			(uint64_t)(unsigned char)p[n - 1] << 16);
	return (uint32_t)h;
}
