/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that differ between two texts, as diff -U0 writes them. */
#pragma once

#include "buf.h"
#include "slice.h"

enum { DIFF_CELLS_MAX = 1 << 20 }; /* beyond: all old lines, all new lines */

/* False: cut at the bound of `out`, after a whole line. */
bool fim_diff(struct slice before, struct slice after, struct buf *out);
