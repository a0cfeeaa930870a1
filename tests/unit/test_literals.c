/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/normalize/literals.h"

#include "tap.h"

enum { TOLD_MAX = 32 };

struct told {
	uint32_t values[TOLD_MAX];
	unsigned n, stop_after;
};

static bool
on_value(void *ctx, uint32_t value)
{
	struct told *t = ctx;

	if (t->n < TOLD_MAX)
		t->values[t->n++] = value;
	return t->stop_after > 0 && t->n >= t->stop_after;
}

static void
check_scan(const struct literals *l, const char *text, size_t max,
    const char *want)
{
	struct told told = { .n = 0 };
	char got[128] = "";
	size_t len = 0;

	(void)literals_scan(l, (struct slice){ text, strlen(text) }, max,
	    on_value, &told);
	for (unsigned i = 0; i < told.n; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%u ",
		    told.values[i]);
	CHECK(strcmp(got, want) == 0, "\"%s\" holds literals %s (%s)", text,
	    want, got);
}

/* ---- all places, against the definition --------------------------------------- */

enum { RANDOM_LITERALS = 60, RANDOM_TEXT = 80, ROUNDS = 3000, SEEN_MAX = 4096 };

struct seen {
	uint32_t values[SEEN_MAX];
	unsigned n;
};

static bool
on_seen(void *ctx, uint32_t value)
{
	struct seen *s = ctx;

	if (s->n < SEEN_MAX)
		s->values[s->n++] = value;
	return false;
}

static uint32_t
next_random(void)
{
	static uint32_t state = 2463534242;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static size_t
random_text(char *out, size_t least, size_t most)
{
	size_t len = least + next_random() % (most - least + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = "ab\0\xff"[next_random() % 4];
	return len;
}

/* By end, the longest first, then as given. */
static void
by_definition(const struct literal *list, size_t n, struct slice text,
    struct seen *out)
{
	out->n = 0;
	for (size_t end = 1; end <= text.len; end++)
		for (size_t len = end; len > 0; len--)
			for (size_t i = 0; i < n; i++)
				if (list[i].text.len == len &&
				    (!list[i].at_start || len == end) &&
				    memcmp(list[i].text.ptr,
					text.ptr + end - len, len) == 0)
					(void)on_seen(out, list[i].value);
}

static void
test_definition(void)
{
	static char bytes[RANDOM_LITERALS][8];
	struct literal list[RANDOM_LITERALS];
	unsigned wrong = 0, told = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		static struct seen want, got;
		char text[RANDOM_TEXT];
		struct literals *l;
		struct error err;
		struct slice s = { text, random_text(text, 0, RANDOM_TEXT) };

		for (uint32_t i = 0; i < RANDOM_LITERALS; i++)
			list[i] =
			    (struct literal){ { bytes[i],
						  random_text(bytes[i], 1, 8) },
				    next_random() % 4 == 0, i };
		if (literals_new(list, RANDOM_LITERALS, &l, &err) != RC_OK)
			break;
		by_definition(list, RANDOM_LITERALS, s, &want);
		got.n = 0;
		(void)literals_scan(l, s, RANDOM_TEXT, on_seen, &got);
		literals_free(l);
		told += got.n;
		wrong += want.n != got.n ||
		    memcmp(want.values, got.values,
			want.n * sizeof(want.values[0])) != 0;
	}
	CHECK(wrong == 0 && told > ROUNDS,
	    "random literals are told in order (%u of %u wrong, %u told)",
	    wrong, (unsigned)ROUNDS, told);
}

int
main(void)
{
	static const struct literal list[] = {
		{ SLICE_INIT("he"), false, 1 },
		{ SLICE_INIT("she"), false, 2 },
		{ SLICE_INIT("his"), false, 3 },
		{ SLICE_INIT("hers"), false, 4 },
		{ SLICE_INIT("sh"), true, 5 },
		{ SLICE_INIT("he"), false, 6 },
	};
	struct told told = { .stop_after = 1 };
	struct literals *l;
	struct error err;

	CHECK(literals_new(list, 6, &l, &err) == RC_OK, "literals are indexed");
	check_scan(l, "ushers", 100, "2 1 6 4 ");
	check_scan(l, "shers", 100, "5 2 1 6 4 ");
	check_scan(l, "his", 100, "3 ");
	check_scan(l, "hihishe", 100, "3 2 1 6 ");
	check_scan(l, "xyz", 100, "");
	check_scan(l, "", 100, "");
	check_scan(l, "....he", 5, "");
	CHECK(literals_scan(l, SLICE("she"), 100, on_value, &told) &&
		told.n == 1,
	    "a scan stops when it is told to");
	literals_free(l);
	CHECK(literals_new(NULL, 0, &l, &err) == RC_OK &&
		!literals_scan(l, SLICE("abc"), 100, on_value, &told),
	    "no literals are in no text");
	literals_free(l);
	test_definition();
	return tap_done();
}
