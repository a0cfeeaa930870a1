/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is allocated in pieces and freed at once: one batch, one arena.
 *
 * An arena belongs to one thread at a time.  Its size is bounded by whoever
 * bounds what goes in: see arena_used().
 */
#pragma once

#include <stddef.h>

#include "slice.h"

struct arena;

/* `block_size`: bytes asked of malloc at a time; larger pieces get their own */
struct arena *arena_new(size_t block_size);
void arena_free(struct arena *a); /* NULL is fine */

/* Forgets everything, keeps the first block. */
void arena_reset(struct arena *a);

/* Aligned to 8 bytes, not zeroed, never NULL; valid until reset or free. */
void *arena_alloc(struct arena *a, size_t size)
    __attribute__((alloc_size(2), returns_nonnull));

/*
 * Of what arena_alloc() gave last, the first `size` bytes: the rest may be given
 * again.  Where it has a block of its own nothing is.
 */
void arena_trim(struct arena *a, void *last, size_t size);

/* A copy that lives as long as the arena. */
struct slice arena_copy(struct arena *a, struct slice s);

/* Bytes held from malloc. */
size_t arena_used(const struct arena *a);
