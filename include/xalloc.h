/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that does not fail: running out of memory ends the process.
 *
 * This is safe only because every size that input can influence is bounded
 * before it gets here, and because nothing acknowledged lives in memory alone.
 */
#pragma once

#include <stddef.h>

/* Zeroed memory; free() it. */
void *xzalloc(size_t size)
    __attribute__((malloc, alloc_size(1), returns_nonnull));

/* Zeroed array; a product that overflows ends the process too. */
void *xcalloc(size_t count, size_t size)
    __attribute__((malloc, alloc_size(1, 2), returns_nonnull));

/* Array grown or shrunk to `count` elements; new ones are not zeroed. */
void *xreallocarray(void *p, size_t count, size_t size)
    __attribute__((alloc_size(2, 3), returns_nonnull));

char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));

/* NUL-terminated copy of `len` bytes. */
char *xmemdupz(const void *p, size_t len)
    __attribute__((malloc, returns_nonnull));
