/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "xalloc.h"

enum { FIRST_CAP = 256, DECIMAL_MAX = 20 };

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_fini(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){ .max = b->max };
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflowed = false;
}

char *
buf_reserve(struct buf *b, size_t n)
{
	size_t cap;

	if (b->cap - b->len >= n && b->ptr != NULL)
		return b->ptr + b->len;
	if (n > b->max || b->len > b->max - n) {
		b->overflowed = true;
		return NULL;
	}
	cap = b->cap > 0 ? b->cap : FIRST_CAP;
	while (cap - b->len < n)
		cap *= 2;
	if (cap > b->max)
		cap = b->max > 0 ? b->max : 1;
	b->ptr = xreallocarray(b->ptr, cap, 1);
	b->cap = cap;
	return b->ptr + b->len;
}

bool
buf_add(struct buf *b, const void *bytes, size_t n)
{
	char *room;

	if (n == 0)
		return true;
	room = buf_reserve(b, n);
	if (room == NULL)
		return false;
	memcpy(room, bytes, n);
	b->len += n;
	return true;
}

bool
buf_add_slice(struct buf *b, struct slice s)
{
	return buf_add(b, s.ptr, s.len);
}

bool
buf_add_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

bool
buf_add_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool
buf_add_u32be(struct buf *b, uint32_t v)
{
	unsigned char bytes[4] = { (unsigned char)(v >> 24),
		(unsigned char)(v >> 16), (unsigned char)(v >> 8),
		(unsigned char)v };

	return buf_add(b, bytes, sizeof(bytes));
}

bool
buf_add_varint(struct buf *b, uint64_t v)
{
	unsigned char bytes[10];
	size_t n = 0;

	while (v >= 0x80) {
		bytes[n++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (unsigned char)v;
	return buf_add(b, bytes, n);
}

bool
buf_add_u64dec(struct buf *b, uint64_t v)
{
	char digits[DECIMAL_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	return buf_add(b, digits + at, sizeof(digits) - at);
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *room;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	room = buf_reserve(b, (size_t)n + 1);
	if (room == NULL)
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(room, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return true;
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n);
	b->len -= n;
}
