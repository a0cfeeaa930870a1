/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary in and out, for the store's formats: a growing byte array that is
 * reused from commit to commit, LEB128 integers, and a reader of untrusted
 * bytes that goes bad instead of reading past its end.
 *
 * No bound of its own: what goes in is bounded by the commit's bounds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "slice.h"
#include "xalloc.h"

enum { VARINT_MAX = 10 };

struct bytes {
	uint8_t *p;
	size_t n;
	size_t cap;
};

static inline void
bytes_fini(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){ 0 };
}

/* Room for `n` more bytes at b->p + b->n. */
static inline uint8_t *
bytes_room(struct bytes *b, size_t n)
{
	if (b->cap - b->n < n) {
		size_t cap = b->cap > 0 ? 2 * b->cap : 64;

		while (cap - b->n < n)
			cap *= 2;
		b->p = xreallocarray(b->p, cap, 1);
		b->cap = cap;
	}
	return b->p + b->n;
}

static inline void
bytes_add(struct bytes *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(bytes_room(b, n), p, n);
	b->n += n;
}

static inline void
bytes_u8(struct bytes *b, uint8_t v)
{
	*bytes_room(b, 1) = v;
	b->n++;
}

static inline void
bytes_varint(struct bytes *b, uint64_t v)
{
	uint8_t *p = bytes_room(b, VARINT_MAX);
	size_t n = 0;

	while (v >= 0x80) {
		p[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	p[n++] = (uint8_t)v;
	b->n += n;
}

static inline uint64_t
zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v < 0 ? -1 : 0);
}

static inline int64_t
unzigzag(uint64_t v)
{
	return (int64_t)((v >> 1) ^ (~(v & 1) + 1));
}

/* The difference as it is stored: it wraps, so that it always fits. */
static inline uint64_t
delta(int64_t v, int64_t before)
{
	return zigzag((int64_t)((uint64_t)v - (uint64_t)before));
}

static inline int64_t
undelta(uint64_t stored, int64_t before)
{
	return (int64_t)((uint64_t)unzigzag(stored) + (uint64_t)before);
}

static inline struct slice
bytes_slice(const struct bytes *b)
{
	return (struct slice){ (const char *)b->p, b->n };
}

/* After the first read past the end it is bad, and gives zeros. */
struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline struct reader
reader_of(struct slice s)
{
	const uint8_t *p = (const uint8_t *)s.ptr;

	return (struct reader){ p, p != NULL ? p + s.len : p, false };
}

static inline size_t
reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* NULL, and bad, if there are fewer. */
static inline const uint8_t *
reader_bytes(struct reader *r, uint64_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || n > reader_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static inline uint8_t
reader_u8(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 1);

	return p != NULL ? *p : 0;
}

static inline uint64_t
reader_varint(struct reader *r)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t c;

	do {
		if (r->bad || r->at == r->end || shift > 63) {
			r->bad = true;
			return 0;
		}
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		c = *r->at++; /* NULL is at the end */
		v |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c >= 0x80);
	return v;
}

/* A length that announces as many bytes (or more) behind it. */
static inline struct slice
reader_slice(struct reader *r)
{
	uint64_t n = reader_varint(r);
	const uint8_t *p = reader_bytes(r, n);

	return (struct slice){ (const char *)p, p != NULL ? (size_t)n : 0 };
}

static inline uint64_t
hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* In memory only: never stored. */
static inline uint64_t
hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
	const uint8_t *p = bytes;
	uint64_t h = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15));
	uint64_t a = 0, b = 0;

	while (n > 16) {
		memcpy(&a, p, 8);
		memcpy(&b, p + 8, 8);
		h = hash_mix(a ^ UINT64_C(0xa0761d6478bd642f), b ^ h);
		p += 16;
		n -= 16;
	}
	a = 0;
	b = 0;
	if (n > 8) {
		memcpy(&a, p, 8);
		memcpy(&b, p + n - 8, 8);
	} else if (n >= 4) {
		uint32_t lo, hi;

		memcpy(&lo, p, 4);
		memcpy(&hi, p + n - 4, 4);
		a = lo;
		b = hi;
	} else if (n > 0) {
		a = ((uint64_t)p[0] << 16) | ((uint64_t)p[n / 2] << 8) |
		    p[n - 1];
	}
	return hash_mix(a ^ UINT64_C(0xe7037ed1a0b428db), b ^ h);
}
