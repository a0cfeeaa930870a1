/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes a line, and what of it reaches the collector. */
#include "agent_rig.h"

static const struct {
	const char *name;
	struct slice text;
	size_t max_line;
	const char *expect;
	uint64_t last_offset;
} cases[] = {
	{ "a line is an event", SLICE_INIT("one\ntwo\n"), 0, "one|two", 4 },
	{ "an empty line is one too", SLICE_INIT("\na\n\n"), 0, "|a|", 3 },
	{ "CR before LF is no part of it", SLICE_INIT("a\r\nb\r\n"), 0, "a|b",
	    3 },
	{ "CR elsewhere is", SLICE_INIT("a\rb\n"), 0, "a\rb", 0 },
	{ "quotes, backslashes and control characters stay",
	    SLICE_INIT("\"\\\t\x01\x1f/\n"), 0, "\"\\\t\x01\x1f/", 0 },
	{ "other scripts stay", SLICE_INIT("Қазақстан €\xf0\x9f\x94\x92\n"), 0,
	    "Қазақстан €\xf0\x9f\x94\x92", 0 },
	{ "a byte that is no UTF-8 becomes U+FFFD",
	    SLICE_INIT("a\xff"
		       "b\n"),
	    0,
	    "a\xef\xbf\xbd"
	    "b",
	    0 },
	{ "a cut character becomes one U+FFFD", SLICE_INIT("\xf0\x9f\x94|\n"),
	    0, "\xef\xbf\xbd|", 0 },
	{ "surrogates and overlong forms do too",
	    SLICE_INIT("\xed\xa0\x80\xc0\xaf\n"), 0,
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 0 },
	{ "a line of exactly the bound is whole", SLICE_INIT("12345678\nx\n"),
	    8, "12345678|x", 9 },
	{ "a longer line is cut and marked", SLICE_INIT("123456789\nx\n"), 8,
	    "12345678~|x", 10 },
	{ "much longer, too", SLICE_INIT("1234567890123456789012345\nx\n"), 8,
	    "12345678~|x", 26 },
	{ "not within a character", SLICE_INIT("1234567Қ\nx\n"), 8,
	    "1234567~|x", 10 },
	{ "the bound does not count CR LF", SLICE_INIT("12345678\r\nx\n"), 8,
	    "12345678|x", 10 },
	{ "the end of a cut line may be missing",
	    SLICE_INIT("a\n123456789012345"), 8, "a|12345678~", 2 },
};

static void
table(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig r;

		rig_begin(&r);
		if (cases[i].max_line > 0)
			rig_input(&r, "in", "*.log", NULL)->max_line =
			    cases[i].max_line;
		else
			(void)rig_input(&r, "in", "*.log", NULL);
		rig_write(&r, "a.log", O_APPEND, cases[i].text);
		rig_open(&r);
		rig_run(&r, 30);
		CHECK_LINES(&r, cases[i].expect, "%s", cases[i].name);
		CHECK(r.n > 0 &&
			r.events[r.n - 1].offset == cases[i].last_offset,
		    "%s: its offset", cases[i].name);
		rig_end(&r);
	}
}

static void
nul_bytes(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_write(&r, "a.log", O_APPEND, SLICE("a\0b\nc\n"));
	rig_open(&r);
	rig_run(&r, 30);
	CHECK(r.n == 2 && memcmp(r.events[0].message, "a\0b", 4) == 0 &&
		strcmp(r.events[1].message, "c") == 0 &&
		r.events[1].offset == 4,
	    "a NUL byte is kept, and so is what follows");
	rig_end(&r);
}

/* Written in pieces, restarted within: nothing is lost or doubled. */
static void
long_line_in_pieces(void)
{
	const size_t piece_len = 300000;
	struct rig r;
	char *piece = xzalloc(piece_len + 1);

	memset(piece, 'x', piece_len);
	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "a\n");
	rig_append(&r, "a.log", piece);
	rig_open(&r);
	rig_until(&r, 1, 1000);
	rig_append(&r, "a.log", piece);
	rig_append(&r, "a.log", "\nb\n");
	rig_until(&r, 3, 1000);
	CHECK(r.n == 3 && strlen(r.events[1].message) == 2 * piece_len &&
		!r.events[1].cut && strcmp(r.events[2].message, "b") == 0,
	    "a line of 600 KB is one line");
	for (int i = 0; i < 4; i++)
		rig_append(&r, "a.log", piece);
	rig_until(&r, 4, 1000);
	CHECK(r.n == 4 && r.events[3].cut &&
		strlen(r.events[3].message) == MAX_LINE_DEFAULT,
	    "one of 1.2 MB is cut at 1 MiB as soon as it is there");
	rig_close(&r);
	rig_open(&r);
	rig_append(&r, "a.log", piece);
	rig_run(&r, 100);
	CHECK(r.n == 4, "the rest of it is no line of its own");
	rig_append(&r, "a.log", "\nlast\n");
	rig_until(&r, 5, 1000);
	CHECK(r.n == 5 && strcmp(r.events[4].message, "last") == 0 &&
		r.events[4].offset ==
		    2 + 2 * piece_len + 1 + 2 + 5 * piece_len + 1,
	    "and the offsets after it are right, also after a restart");
	free(piece);
	rig_end(&r);
}

static void
pieces(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_open(&r);
	rig_append(&r, "a.log", "o");
	rig_run(&r, 50);
	rig_append(&r, "a.log", "ne");
	rig_run(&r, 50);
	CHECK(r.n == 0, "a line without its end is not sent");
	rig_append(&r, "a.log", "\ntw");
	rig_until(&r, 1, 1000);
	rig_close(&r);
	rig_open(&r);
	rig_append(&r, "a.log", "o\n");
	rig_until(&r, 2, 1000);
	CHECK_LINES(&r, "one|two",
	    "a line written in pieces is one line, also over a restart");
	CHECK(r.events[1].offset == 4 &&
		strcmp(r.events[0].stream, r.events[1].stream) == 0,
	    "in the same stream");
	rig_end(&r);
}

static bool
has_header(const struct rig_event *e, const char *want)
{
	if (want == NULL || e->header == NULL)
		return want == e->header;
	return strcmp(e->header, want) == 0;
}

static void
headers(void)
{
	static const char first[] = "#Software: x\n#Fields: a b\n";
	static const char second[] = "#Software: x\n#Fields: b a\n";
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "#Software: x\r\n#Fields: a b\r\n");
	rig_append(&r, "a.log", "1 2\r\n");
	rig_append(&r, "plain.log", "text\n#Fields: a b\n1 2\n");
	rig_open(&r);
	rig_until(&r, 6, 1000);
	for (size_t i = 0; i < r.n; i++)
		CHECK(has_header(&r.events[i],
			  strstr(r.events[i].path, "plain") == NULL &&
				  r.events[i].message[0] == '1'
			      ? first
			      : NULL),
		    "\"%s\" of %s: the header goes with the columns' lines",
		    r.events[i].message, strrchr(r.events[i].path, '/'));
	rig_close(&r);
	rig_forget(&r);
	rig_append(&r, "a.log", "3 4\r\n");
	rig_open(&r);
	rig_until(&r, 1, 1000);
	CHECK(r.n == 1 && has_header(&r.events[0], first),
	    "after a restart it is looked for where the file begins");
	rig_append(&r, "a.log", "#Software: x\r\n#Fields: b a\r\n5 6\r\n");
	rig_until(&r, 4, 1000);
	CHECK(r.n == 4 && has_header(&r.events[3], second),
	    "a new header takes its place");
	rig_close(&r);
	rig_forget(&r);
	rig_append(&r, "a.log", "7 8\r\n#Fields: c d\r\n9 0\r\n");
	rig_open(&r);
	rig_until(&r, 3, 1000);
	CHECK(r.n == 3 && has_header(&r.events[0], second) &&
		has_header(&r.events[2], "#Software: x\n#Fields: c d\n"),
	    "after a restart, the nearest one before, not one behind");
	rig_end(&r);
}

/* A file of so many bytes between its header and what is read. */
static void
distant_header(size_t between, const char *want, const char *what)
{
	char *filler = xzalloc(between + 2);
	struct rig r;

	memset(filler, 'x', between);
	for (size_t i = 999; i < between; i += 1000)
		filler[i] = '\n';
	filler[between] = '\n';
	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "#Fields: a b\n#Fields: b a\n");
	rig_append(&r, "a.log", filler);
	rig_open(&r);
	rig_until(&r, 2 + (between + 999) / 1000, 20000);
	rig_close(&r);
	rig_forget(&r);
	rig_append(&r, "a.log", "1 2\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	CHECK(r.n == 1 && has_header(&r.events[0], want), "%s", what);
	rig_end(&r);
	free(filler);
}

int
main(void)
{
	table();
	nul_bytes();
	long_line_in_pieces();
	pieces();
	headers();
	distant_header(200000, "#Fields: b a\n",
	    "a header several chunks back is found");
	return tap_done();
}
