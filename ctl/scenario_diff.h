/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference between the matches that a scenario expects and those that
 * came: the fewest lines out and in.  An expected line is like one that came
 * where all the keys it gives are.
 */
#pragma once

#include "arena.h"
#include "buf.h"
#include "error.h"
#include "slice.h"

struct diff_line {
	char kind;         /* ' ': both, '-': expected only, '+': came only */
	struct slice text; /* of ' ' as it is expected */
};

struct diff {
	struct diff_line *lines;
	size_t n;
	size_t differences; /* lines that are not ' ' */
};

/*
 * Lines of JSON, blank ones are passed over; all of *out is in the arena, but
 * its texts, which are slices of the two.  RC_INVALID: an expected line is no
 * object; RC_LIMIT: too many lines.
 */
enum rc diff_make(struct arena *arena, struct slice expected, struct slice got,
    struct diff *out, struct error *err);

/*
 * As a unified diff of the file `name`, so that patch(1) can take it; at most
 * `most` lines of it, then how many more there are.
 */
void diff_print(const struct diff *d, const char *name, size_t most,
    struct buf *out);

/*
 * Of the i-th difference, from 0, what was expected and what came instead; one
 * of them may be empty.  False: there are no more.
 */
bool diff_pair(const struct diff *d, size_t i, struct slice *expected,
    struct slice *got);
