/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shapes of lines: what stays the same in many of them.  What changes from
 * line to line (numbers, hexadecimal numbers, UUIDs, addresses, times, quoted
 * texts) becomes a placeholder, and equal shapes are counted.
 *
 * Bounded: SHAPES_MAX shapes are kept.  When there is no room the rarest quarter
 * goes, and is counted as left out: common ones come back, rare ones do not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "slice.h"

enum { SHAPES_MAX = 8192, SHAPE_TEXT_MAX = 2048, SHAPE_EXAMPLE_MAX = 1024 };

/* The shape of a line's beginning: "session <num> of <ip> opened". */
void shape_of(struct slice line, struct buf *out);

/* A pattern of kuzet-normalizers(5) that takes lines of this shape. */
void shape_pattern(struct slice shape, struct buf *out);

struct shape {
	struct slice program, text, example;
	uint64_t count;
};

struct shapes;
struct shapes *shapes_new(void);
void shapes_free(struct shapes *s); /* NULL is fine */
void shapes_add(struct shapes *s, struct slice program, struct slice line);
/* By count, the commonest first; valid until the next shapes_add(). */
const struct shape *shapes_sorted(struct shapes *s, size_t *n);
uint64_t shapes_lines(const struct shapes *s);
/* Lines whose shapes a bound forced out. */
uint64_t shapes_left_out(const struct shapes *s);
