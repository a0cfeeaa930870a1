/* SPDX-License-Identifier: Apache-2.0 */
#include "derived.h"

#include <string.h>

struct slice
derived_member(struct slice text, struct slice key)
{
	size_t at = 0;

	while (at < text.len) {
		size_t end = at;

		while (end < text.len && text.ptr[end] != ',')
			end++;
		while (at < end && text.ptr[at] == ' ')
			at++;
		if (end - at > key.len && text.ptr[at + key.len] == '=' &&
		    strncasecmp(text.ptr + at, key.ptr, key.len) == 0)
			return (struct slice){ text.ptr + at + key.len + 1,
				end - at - key.len - 1 };
		at = end + 1;
	}
	return (struct slice){ NULL, 0 };
}
