/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"

#include <stdio.h>

#include "tap.h"

#define R "\xef\xbf\xbd"

static void
bad_sequences_are_replaced(void)
{
	static const struct {
		struct slice in, out;
	} cases[] = {
		{ SLICE_INIT(""), SLICE_INIT("") },
		{ SLICE_INIT("plain ascii, longer than sixteen bytes"),
		    SLICE_INIT("plain ascii, longer than sixteen bytes") },
		{ SLICE_INIT("\xd2\x9b\xd0\xb0\xd0\xb7\xe2\x82\xac"
			     "\xf0\x9f\x98\x80"),
		    SLICE_INIT("\xd2\x9b\xd0\xb0\xd0\xb7\xe2\x82\xac"
			       "\xf0\x9f\x98\x80") },
		{ SLICE_INIT("a\x80z"), SLICE_INIT("a" R "z") },
		{ SLICE_INIT("\xc0\xaf"), SLICE_INIT(R R) },
		{ SLICE_INIT("\xe0\x80\xaf"), SLICE_INIT(R R R) },
		{ SLICE_INIT("\xed\xa0\x80"), SLICE_INIT(R R R) },
		{ SLICE_INIT("\xf4\x90\x80\x80"), SLICE_INIT(R R R R) },
		{ SLICE_INIT("\xe2\x82"), SLICE_INIT(R) },
		{ SLICE_INIT("\xe2\x82"
			     "a"),
		    SLICE_INIT(R "a") },
		{ SLICE_INIT("\xf0\x9f\x98\xc3\xa9"),
		    SLICE_INIT(R "\xc3\xa9") },
		{ SLICE_INIT("0123456789abcdef\xff"),
		    SLICE_INIT("0123456789abcdef" R) },
		{ SLICE_INIT("\xff\xfe\xfd"), SLICE_INIT(R R R) },
	};
	struct arena *a = arena_new(4096);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice out = utf8_repair(a, cases[i].in);

		CHECK(slice_eq(out, cases[i].out) && utf8_valid(out) &&
			utf8_valid(cases[i].in) ==
			    slice_eq(cases[i].in, cases[i].out),
		    "repaired: case %zu", i);
	}
	arena_free(a);
}

static void
cuts_stand_between_characters(void)
{
	struct slice s = SLICE("a\xd0\xb0\xe2\x82\xac\xf0\x9f\x98\x80");
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

	for (size_t max = 0; max < sizeof(want) / sizeof(want[0]); max++)
		CHECK(utf8_cut(s, max) == want[max], "cut at %zu", max);
}

static void
case_folds_away(void)
{
	static const struct {
		struct slice in, out;
	} cases[] = {
		{ SLICE_INIT("lower ascii"), SLICE_INIT("lower ascii") },
		{ SLICE_INIT("UPPER@[`{"), SLICE_INIT("upper@[`{") },
		{ SLICE_INIT("\xd0\x90\xd0\xaf\xd0\x81\xd2\x9a"),
		    SLICE_INIT("\xd0\xb0\xd1\x8f\xd1\x91\xd2\x9b") },
		{ SLICE_INIT("\xc8\xba"), SLICE_INIT("\xe2\xb1\xa5") },
		{ SLICE_INIT("\xe1\xba\x9e"), SLICE_INIT("\xc3\x9f") },
		{ SLICE_INIT("\xe2\x84\xaa"), SLICE_INIT("k") },
		{ SLICE_INIT("\xc4\xb0"), SLICE_INIT("\xc4\xb0") },
		{ SLICE_INIT("\xf0\x90\x90\x80"),
		    SLICE_INIT("\xf0\x90\x90\xa8") },
		{ SLICE_INIT("\xce\xa3\xcf\x82"),
		    SLICE_INIT("\xcf\x83\xcf\x83") },
	};
	struct arena *a = arena_new(4096);
	struct buf b;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 1024);
		utf8_fold_to(&b, cases[i].in);
		CHECK(slice_eq(utf8_fold(a, cases[i].in), cases[i].out) &&
			slice_eq(buf_slice(&b), cases[i].out),
		    "folded: case %zu", i);
		buf_fini(&b);
	}
	arena_free(a);
}

static void
characters_encode_and_decode(void)
{
	char bytes[4];
	bool same = true, stable = true;
	uint32_t c, back;

	for (c = 0; c < 0x110000; c++) {
		size_t n;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		n = utf8_encode(c, bytes);
		same &= utf8_valid((struct slice){ bytes, n }) &&
		    utf8_decode((struct slice){ bytes, n }, &back) == n &&
		    back == c;
		stable &=
		    utf8_fold_char(utf8_fold_char(c)) == utf8_fold_char(c);
	}
	CHECK(same, "every character encodes and decodes");
	CHECK(stable, "what is folded folds to itself");
}

int
main(void)
{
	bad_sequences_are_replaced();
	cuts_stand_between_characters();
	case_folds_away();
	characters_encode_and_decode();
	return tap_done();
}
