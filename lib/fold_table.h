/* SPDX-License-Identifier: Apache-2.0 */
/* Simple case folding above ASCII; the table is made by lib/gen_fold.pl. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Every `step`-th character of first..last folds to itself plus `delta`. */
struct fold_range {
	uint32_t first, last;
	uint32_t step;
	int32_t delta;
};

/* Ascending, disjoint. */
extern const struct fold_range fold_ranges[];
extern const size_t fold_ranges_count;
