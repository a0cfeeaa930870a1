/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/normalize/text_index.h"

#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

enum { MANY = 700, TEXT = 16, BLOCK = 4096 };

struct item {
	struct slice text;
	uint32_t number;
};

static void
finds_the_first_of_equal_texts(struct arena *arena)
{
	static const struct item items[] = { { SLICE_INIT(""), 0 },
		{ SLICE_INIT("a"), 1 }, { SLICE_INIT("a"), 2 },
		{ SLICE_INIT("ab"), 3 }, { SLICE_INIT("abcdefgh"), 4 },
		{ SLICE_INIT("abcdefgh"), 5 }, { SLICE_INIT("abcdefghi"), 6 } };
	static const struct {
		struct slice text;
		uint32_t want;
	} cases[] = { { SLICE_INIT(""), 0 }, { SLICE_INIT("a"), 1 },
		{ SLICE_INIT("ab"), 3 }, { SLICE_INIT("abcdefgh"), 4 },
		{ SLICE_INIT("abcdefghi"), 6 }, { SLICE_INIT("b"), UINT32_MAX },
		{ SLICE_INIT("abc"), UINT32_MAX },
		{ SLICE_INIT("abcdefghj"), UINT32_MAX } };
	struct text_index x;

	text_index_build(&x, arena, items, sizeof(items[0]),
	    sizeof(items) / sizeof(items[0]));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(text_index_find(&x, cases[i].text) == cases[i].want,
		    "\"%.*s\" is found where it stands first, or not at all",
		    SLICE_ARG(cases[i].text));
}

static void
finds_nothing_in_an_empty_list(struct arena *arena)
{
	struct text_index x;

	text_index_build(&x, arena, NULL, sizeof(struct item), 0);
	CHECK(text_index_find(&x, SLICE("")) == UINT32_MAX &&
		text_index_find(&x, SLICE("sshd")) == UINT32_MAX,
	    "nothing is found in an empty list");
}

static void
finds_each_of_many_and_no_other(struct arena *arena)
{
	static char texts[MANY][TEXT];
	static struct item items[MANY];
	uint32_t wrong = 0;
	struct text_index x;

	for (uint32_t i = 0; i < MANY; i++) {
		int n = snprintf(texts[i], TEXT, "name-%u", i * 2);

		items[i].text = (struct slice){ texts[i], (size_t)n };
	}
	text_index_build(&x, arena, items, sizeof(items[0]), MANY);
	for (uint32_t i = 0; i < 2 * MANY; i++) {
		char text[TEXT];
		int n = snprintf(text, sizeof(text), "name-%u", i);
		uint32_t at =
		    text_index_find(&x, (struct slice){ text, (size_t)n });

		wrong += at != (i % 2 == 0 ? i / 2 : UINT32_MAX);
	}
	CHECK(wrong == 0, "each of many is found, and no other");
}

int
main(void)
{
	struct arena *arena = arena_new(BLOCK);

	finds_the_first_of_equal_texts(arena);
	finds_nothing_in_an_empty_list(arena);
	finds_each_of_many_and_no_other(arena);
	arena_free(arena);
	return tap_done();
}
