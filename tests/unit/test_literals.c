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

	CHECK(literals_new(list, 6, &l, &err) == RC_OK,
	    "the automaton is made");
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
	return tap_done();
}
