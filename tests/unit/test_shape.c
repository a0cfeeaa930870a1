/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of lines, and the patterns that take them. */
#include "ctl/shape.h"

#include <stdio.h>
#include <string.h>

#include "tap.h"

enum { ROOM = 65536, MANY = 3 * SHAPES_MAX };

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static const struct {
	const char *line, *shape;
} table[] = {
	{ "", "" },
	{ "started", "started" },
	{ "session 42 opened", "session <num> opened" },
	{ "took 1.25 s, -3 left.", "took <num> s, <num> left." },
	{ "from 192.0.2.1 port 22", "from <ip> port <num>" },
	{ "from 192.0.2.1:4711", "from <ip>:<num>" },
	{ "peer 2001:db8::1 gone", "peer <ip> gone" },
	{ "at 01:02:03 and 2026-11-22T01:02:03Z", "at <time> and <time>" },
	{ "commit 3f2a9c1b done", "commit <hex> done" },
	{ "address 0x1f", "address <hex>" },
	{ "the face of a cafe", "the face of a cafe" },
	{ "id 6ba7b810-9dad-11d1-80b4-00c04fd430c8 ok", "id <uuid> ok" },
	{ "user \"bob smith\" left", "user \"<text>\" left" },
	{ "user 'bob' can't", "user '<text>' can't" },
	{ "eth0: up", "eth<num>: up" },
	{ "pid=17 uid=0", "pid=<num> uid=<num>" },
	{ "қате 5", "қате <num>" },
	{ "unclosed \"quote", "unclosed \"quote" },
};

static void
test_shapes(void)
{
	struct buf out;

	buf_init(&out, ROOM);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		buf_clear(&out);
		shape_of(text_of(table[i].line), &out);
		CHECK(slice_eq(buf_slice(&out), text_of(table[i].shape)),
		    "\"%s\" is \"%.*s\"", table[i].line,
		    SLICE_ARG(buf_slice(&out)));
	}
	buf_clear(&out);
	shape_pattern(SLICE("a.b (<num>) \"<text>\" '<text>' <num>"), &out);
	CHECK(slice_eq(buf_slice(&out),
		  SLICE("a\\.b \\((?<num1>-?[0-9]+(?:[.,][0-9]+)*)\\) "
			"\"(?<text1>[^\"]*)\" '(?<text2>[^']*)' "
			"(?<num2>-?[0-9]+(?:[.,][0-9]+)*)")),
	    "a pattern has a group for each placeholder: %.*s",
	    SLICE_ARG(buf_slice(&out)));
	buf_fini(&out);
}

static void
test_counts(void)
{
	struct shapes *s = shapes_new();
	const struct shape *list;
	size_t n;

	for (int i = 0; i < 5; i++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "job %d done", i);
		shapes_add(s, SLICE("cron"), text_of(line));
	}
	shapes_add(s, SLICE("at"), SLICE("job 7 done"));
	shapes_add(s, SLICE("cron"), SLICE("hello"));
	list = shapes_sorted(s, &n);
	CHECK(n == 3 && list[0].count == 5 &&
		slice_eq(list[0].program, SLICE("cron")) &&
		slice_eq(list[0].text, SLICE("job <num> done")) &&
		slice_eq(list[0].example, SLICE("job 0 done")),
	    "equal shapes of a program are one, the commonest comes first");
	shapes_add(s, SLICE("cron"), SLICE("job 8 done"));
	list = shapes_sorted(s, &n);
	CHECK(n == 3 && list[0].count == 6 && shapes_lines(s) == 8,
	    "it goes on after it was looked at");
	shapes_free(s);
}

static void
test_bound(void)
{
	struct shapes *s = shapes_new();
	const struct shape *list;
	uint64_t sum = 0;
	size_t n;

	for (int i = 0; i < MANY; i++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "only %c%c%c%c once",
		    'a' + i % 26, 'g' + i / 26 % 20, 'g' + i / 520 % 20,
		    'g' + i / 10400 % 20);
		shapes_add(s, SLICE("x"), text_of(line));
		shapes_add(s, SLICE("x"), SLICE("always"));
	}
	list = shapes_sorted(s, &n);
	for (size_t i = 0; i < n; i++)
		sum += list[i].count;
	CHECK(n <= SHAPES_MAX && list[0].count == MANY &&
		slice_eq(list[0].text, SLICE("always")),
	    "the bound holds, and what is common stays");
	CHECK(sum + shapes_left_out(s) == shapes_lines(s) &&
		shapes_left_out(s) > 0,
	    "what was forced out is counted");
	shapes_free(s);
}

int
main(void)
{
	test_shapes();
	test_counts();
	test_bound();
	return tap_done();
}
