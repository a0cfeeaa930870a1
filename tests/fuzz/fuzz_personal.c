/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the text: matches lie in it, in order, and masking only puts stars. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/enrich/personal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_matches(struct slice text)
{
	struct personal_match m;
	size_t at = 0;

	while (personal_find(text, at, &m)) {
		size_t digits = 0;

		if (m.from < at || m.len == 0 || m.from + m.len > text.len ||
		    m.n < 11 || m.n > PERSONAL_DIGITS)
			abort();
		for (size_t i = 0; i < m.len; i++)
			digits += text.ptr[m.from + i] >= '0' &&
			    text.ptr[m.from + i] <= '9';
		if (digits != m.n)
			abort();
		at = m.from + m.len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct personal_options options = {
		.modes = { PERSONAL_MASK, PERSONAL_MASK, PERSONAL_MASK }
	};
	struct arena *arena = arena_new(1 << 16);
	/* a copy: reading beyond its end is found */
	char *copy = malloc(size + 1);
	struct slice text = { copy, size }, got;
	struct personal *p = personal_new(&options);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	copy[size] = '0';
	check_matches(text);
	got = personal_text(p, arena, text);
	if (got.len != size)
		abort();
	for (size_t i = 0; i < size; i++)
		if (got.ptr[i] != copy[i] && got.ptr[i] != '*')
			abort();
	personal_free(p);
	arena_free(arena);
	free(copy);
	return 0;
}
