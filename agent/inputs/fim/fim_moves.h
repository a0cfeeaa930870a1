/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that came and names that went, held until it is known which of them are
 * one file with a new name: same inode, type, times and content.
 */
#pragma once

#include "agent/inputs/fim/fim.h"

struct fim_moves;

struct fim_move {
	const struct fim_entry *before; /* NULL: it only came */
	const struct fim_entry *after;  /* NULL: it only went */
};

struct fim_moves *fim_moves_new(void);
void fim_moves_free(struct fim_moves *m); /* NULL is fine */
void fim_moves_clear(struct fim_moves *m);
/* One of the two, the other NULL; copied. */
void fim_moves_add(struct fim_moves *m, const struct fim_entry *before,
    const struct fim_entry *after);
size_t fim_moves_length(const struct fim_moves *m);

/* Each move, and each name that only came or went; pairs first. */
typedef enum rc fim_move_cb(void *ctx, const struct fim_move *m);
enum rc fim_moves_each(struct fim_moves *m, fim_move_cb *cb, void *ctx);
