/* SPDX-License-Identifier: Apache-2.0 */
#include "near.h"

#include <limits.h>

/* Of a shorter name each other short one is like it. */
enum { NAME_MIN_BYTES = 4, NAME_MAX_BYTES = 32, LETTERS_MAX = 2 };

unsigned
near_distance(struct slice a, struct slice b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];

	if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
		return UINT_MAX;
	for (unsigned k = 0; k <= b.len; k++)
		rows[0][k] = k;
	for (unsigned i = 1; i <= a.len; i++) {
		const unsigned *above = rows[(i - 1) % 3];
		unsigned *row = rows[i % 3];

		row[0] = i;
		for (unsigned k = 1; k <= b.len; k++) {
			bool same = a.ptr[i - 1] == b.ptr[k - 1];
			unsigned best = above[k - 1] + (same ? 0 : 1);

			best = best < above[k] + 1 ? best : above[k] + 1;
			best = best < row[k - 1] + 1 ? best : row[k - 1] + 1;
			if (i > 1 && k > 1 && a.ptr[i - 1] == b.ptr[k - 2] &&
			    a.ptr[i - 2] == b.ptr[k - 1] &&
			    rows[(i - 2) % 3][k - 2] + 1 < best)
				best = rows[(i - 2) % 3][k - 2] + 1;
			row[k] = best;
		}
	}
	return rows[a.len % 3][b.len];
}

struct slice
near_of(struct slice word, const struct slice *names, size_t n)
{
	struct slice best = SLICE("");
	unsigned least = LETTERS_MAX + 1;

	for (size_t i = 0; i < n && word.len >= NAME_MIN_BYTES; i++) {
		unsigned d = near_distance(names[i], word);

		if (d < least && d <= word.len / 3) {
			least = d;
			best = names[i];
		}
	}
	return best;
}
