/* SPDX-License-Identifier: Apache-2.0 */
#include "near.h"

#include <limits.h>

/* Of a shorter name each other short one is like it. */
enum { NAME_MIN_BYTES = 4, NAME_MAX_BYTES = 32, LETTERS_MAX = 2 };

unsigned
near_distance(struct slice a, struct slice b)
{
	unsigned row[NAME_MAX_BYTES + 1];

	if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
		return UINT_MAX;
	for (unsigned k = 0; k <= b.len; k++)
		row[k] = k;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned k = 1; k <= b.len; k++) {
			unsigned best =
			    corner + (a.ptr[i - 1] != b.ptr[k - 1] ? 1 : 0);

			corner = row[k];
			best = best < row[k] + 1 ? best : row[k] + 1;
			row[k] = best < row[k - 1] + 1 ? best : row[k - 1] + 1;
		}
	}
	return row[b.len];
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
