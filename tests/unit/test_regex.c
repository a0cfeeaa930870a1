/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/engine/regex.h"

#include "tap.h"

static const struct {
	const char *name;
	const char *text;
	bool heavy;
	const char *relaxed;
} rows[] = {
	{ "no repeat", "a.b", false, "a.b" },
	{ "a near repeat stays", "a{1,16}b", false, "a{1,16}b" },
	{ "a far repeat is any number", "a{1,64}b{64}", true, "a+b+" },
	{ "from none on it is none too", "a{0,200}?", true, "a*?" },
	{ "an open repeat", "a{200,}", true, "a+" },
	{ "an escaped brace is no repeat", "a\\{1,640}", false, "a\\{1,640}" },
	{ "a class is no repeat", "[a{1,640}]", false, "[a{1,640}]" },
	{ "a class that begins with its end", "[]a{1,640}]", false,
	    "[]a{1,640}]" },
	{ "a class that excludes its end", "[^]a{1,640}]x{99}", false,
	    "[^]a{1,640}]x+" },
	{ "braces that are text", "a{x}{,5}{1,2,3}", false, "a{x}{,5}{1,2,3}" },
	{ "an end in the middle", "a{1,", false, "a{1," },
};

static const struct {
	const char *text;
	unsigned places;
} counted[] = {
	{ "", 0 },
	{ "abc", 3 },
	{ "[a-z]{3}b", 4 },
	{ "[]a]{5}", 5 },
	{ "a\\{3}", 4 },
	{ "a*b+c?", 3 },
	{ "(ab|c){4}", 12 },
	{ "((a{1,31}){1,31}){1,31}", 29791 },
	{ "(a){0}b", 2 },
	{ "((((a{999}){999}){999}){999}){999}", REGEX_PLACES_MAX },
	{ "a)b{2}", 4 },
	{ "((((", 0 },
};

static void
test_places(void)
{
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		struct slice text = { counted[i].text,
			strlen(counted[i].text) };
		unsigned places = regex_places(text);

		CHECK(places == counted[i].places, "\"%s\" has %u places",
		    counted[i].text, counted[i].places);
		if (places != counted[i].places)
			(void)printf("# %u\n", places);
	}
}

int
main(void)
{
	test_places();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice text = { rows[i].text, strlen(rows[i].text) };
		char relaxed[64];

		regex_relax(text, relaxed);
		CHECK(regex_is_heavy(text) == rows[i].heavy &&
			strcmp(relaxed, rows[i].relaxed) == 0,
		    "%s", rows[i].name);
	}
	return tap_done();
}
