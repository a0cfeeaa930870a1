/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a bound.
 *
 * What does not fit below `max` is not added at all; the buffer remembers it in
 * `overflowed`, so a writer may add many pieces and check once.  The bytes are
 * owned by the buffer and move when it grows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "slice.h"

struct buf {
	char *ptr;
	size_t len;
	size_t cap;
	size_t max; /* bytes */
	bool overflowed;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b); /* a zeroed buf is fine */

/* Keeps the memory; clears `overflowed`. */
void buf_clear(struct buf *b);

/* Room for `n` more bytes at b->ptr + b->len, or NULL above the bound. */
char *buf_reserve(struct buf *b, size_t n);

/* Each returns false, and adds nothing, above the bound. */
bool buf_add(struct buf *b, const void *bytes, size_t n);
bool buf_add_slice(struct buf *b, struct slice s);
bool buf_add_str(struct buf *b, const char *s);
bool buf_add_char(struct buf *b, char c);
bool buf_add_u32be(struct buf *b, uint32_t v);
bool buf_add_varint(struct buf *b, uint64_t v); /* LEB128, unsigned */
bool buf_add_u64dec(struct buf *b, uint64_t v); /* decimal digits */
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Drops the first `n` bytes; O(rest). */
void buf_consume(struct buf *b, size_t n);

static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){ b->ptr, b->len };
}
