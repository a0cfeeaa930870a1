/* SPDX-License-Identifier: Apache-2.0 */
/* Events of several lines, and files in other encodings than UTF-8. */
#include <zlib.h>

#include "agent_rig.h"

#define NEVER_MS INT64_C(3600000)

static struct input_config *
joining(struct rig *r, struct multiline_options how)
{
	struct input_config *c = rig_input(r, "in", "*.log", NULL);

	c->multiline.how = how;
	c->multiline.max_lines = 500;
	c->multiline.timeout_ns = NEVER_MS * NS_PER_MS;
	return c;
}

/* The last event of each is ended by what follows: "END" begins one. */
static const struct {
	const char *name;
	struct multiline_options how;
	uint32_t max_lines;
	size_t max_line;
	const char *text, *expect;
	uint64_t last_offset; /* of the last event */
} cases[] = {
	{ "a pattern of first lines", { .first = "^[A-Z]" }, 500, 1000,
	    "One\n two\nthree\nFour\nFive\nsix\nEND\n",
	    "One\n two\nthree|Four|Five\nsix", 20 },
	{ "a pattern of lines that go on", { .next = "^\\s+at |^Caused by:" },
	    500, 1000,
	    "boom\n  at a.b(C.java:1)\nCaused by: x\n\tat d\nother\nEND\n",
	    "boom\n  at a.b(C.java:1)\nCaused by: x\n\tat d|other", 43 },
	{ "indentation", { .indent = true }, 500, 1000,
	    "a\n  b\n\tc\nd\n\ne\nEND\n", "a\n  b\n\tc|d||e", 12 },
	{ "RFC 3339 time stamps", { .timestamp = true }, 500, 1000,
	    "2026-11-22T01:02:03Z a\nb\n2026-11-22 01:02:04,123 c\n"
	    "2026-11-22T01:02:05Z END\n",
	    "2026-11-22T01:02:03Z a\nb|2026-11-22 01:02:04,123 c", 25 },
	{ "syslog's time stamps", { .timestamp = true }, 500, 1000,
	    "Nov 22 01:02:03 h a\n more\n<34>Nov 22 01:02:04 h b\n"
	    "Nov 22 01:02:05 END\n",
	    "Nov 22 01:02:03 h a\n more|<34>Nov 22 01:02:04 h b", 26 },
	{ "time stamps in brackets", { .timestamp = true }, 500, 1000,
	    "[Sun Nov 22 01:02:03 2026] a\nb\n[22/Nov/2026:01:02:03 +0500] c\n"
	    "2026/11/22 01:02:03 END\n",
	    "[Sun Nov 22 01:02:03 2026] a\nb|[22/Nov/2026:01:02:03 +0500] c",
	    31 },
	{ "empty lines go on where the pattern says so", { .first = "^[A-Z]" },
	    500, 1000, "A\n\n\nb\nEND\n", "A\n\n\nb", 0 },
	{ "CR before LF is part of no line", { .first = "^[A-Z]" }, 500, 1000,
	    "A\r\nb\r\nC\r\nEND\r\n", "A\nb|C", 6 },
	{ "a first line that is none is an event", { .first = "^[A-Z]" }, 500,
	    1000, "a\nb\nC\nEND\n", "a\nb|C", 4 },
	{ "no more lines than max_lines", { .first = "^[A-Z]" }, 3, 1000,
	    "A\nb\nc\nd\ne\nf\ng\nB\nEND\n", "A\nb\nc^|d\ne\nf^|g|B", 14 },
	{ "no more bytes than max_line", { .first = "^[A-Z]" }, 500, 12,
	    "Abcd\nefgh\nijkl\nmnop\nB\nEND\n", "Abcd\nefgh^|ijkl\nmnop|B",
	    20 },
	{ "a line over max_line is cut alone", { .first = "^[A-Z]" }, 500, 8,
	    "A\nbcdefghijklmnop\nc\nEND\n", "A^|bcdefghi~|c", 18 },
	{ "a pattern that explodes ends nothing", { .first = "^(a+)+$" }, 500,
	    1000, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\nb\na\n",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\nb", 0 },
};

static bool
last_is_pending(const struct rig *r, uint64_t offset)
{
	return r->n > 0 && r->events[r->n - 1].offset == offset;
}

static void
ways(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct input_config *c;
		struct rig r;

		rig_begin(&r);
		c = joining(&r, cases[i].how);
		c->multiline.max_lines = cases[i].max_lines;
		c->max_line = cases[i].max_line;
		rig_append(&r, "a.log", cases[i].text);
		rig_open(&r);
		rig_run(&r, 40);
		CHECK_LINES(&r, cases[i].expect, "joined: %s", cases[i].name);
		CHECK(last_is_pending(&r, cases[i].last_offset) &&
			rig_ascending(&r),
		    "%s: an event's offset is its first byte's, ascending",
		    cases[i].name);
		rig_end(&r);
	}
}

/* However the writer cuts his writes, and wherever a turn ends. */
static void
piece_by_piece(void)
{
	static const char text[] = "One\n two\nThree\n\n four\n five\nSix\n";
	struct rig r;

	rig_begin(&r);
	(void)joining(&r, (struct multiline_options){ .first = "^[A-Z]" });
	rig_append(&r, "a.log", "Zero\n");
	rig_open(&r);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		rig_write(&r, "a.log", O_APPEND, (struct slice){ text + i, 1 });
		rig_run(&r, 15);
	}
	rig_until(&r, 3, 3000);
	CHECK_LINES(&r, "Zero|One\n two|Three\n\n four\n five",
	    "joined right when written byte by byte");
	rig_end(&r);
}

static void
large(void)
{
	enum { EVENTS = 300, LINES = 40 };
	size_t wrong = 0;
	struct buf b;
	struct rig r;

	buf_init(&b, 16 << 20);
	for (int i = 0; i < EVENTS * LINES; i++)
		(void)buf_printf(&b, "%s%d %s\n", i % LINES == 0 ? "E" : " ",
		    i / LINES,
		    "some text that fills the line up to a usual length, so "
		    "that turns end within events");
	rig_begin(&r);
	(void)joining(&r, (struct multiline_options){ .indent = true });
	rig_write(&r, "a.log", O_APPEND, buf_slice(&b));
	rig_open(&r);
	rig_until(&r, EVENTS - 1, 10000);
	for (size_t i = 0; i < r.n; i++) {
		const char *m = r.events[i].message;
		size_t lfs = 0;

		for (; m != NULL && *m != '\0'; m++)
			lfs += *m == '\n';
		wrong += lfs != LINES - 1 || !r.events[i].joined;
	}
	CHECK(r.n_lines == EVENTS - 1 && wrong == 0 && rig_ascending(&r),
	    "events across turns are whole (%zu of %d, %zu wrong)", r.n_lines,
	    EVENTS - 1, wrong);
	buf_fini(&b);
	rig_end(&r);
}

static void
timed_out(void)
{
	struct rig r;

	rig_begin(&r);
	joining(&r, (struct multiline_options){ .first = "^[A-Z]" })
	    ->multiline.timeout_ns = NS_PER_SEC;
	rig_append(&r, "a.log", "One\n two\nun");
	rig_open(&r);
	rig_until(&r, 1, 10000);
	CHECK_LINES(&r, "One\n two",
	    "an event that nothing is added to is whole after the time-out");
	rig_append(&r, "a.log", "finished\nTwo\n");
	rig_until(&r, 3, 10000);
	CHECK_LINES(&r, "One\n two|unfinished|Two",
	    "an unfinished line is not, and is the next event's");
	rig_end(&r);
}

static void
restarted(void)
{
	struct rig r;

	rig_begin(&r);
	(void)joining(&r, (struct multiline_options){ .first = "^[A-Z]" });
	rig_append(&r, "a.log", "One\nTwo\n two\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	CHECK_LINES(&r, "One", "the last event waits");
	rig_close(&r);
	rig_append(&r, "a.log", " two again\nThree\n");
	rig_open(&r);
	rig_until(&r, 2, 3000);
	CHECK_LINES(&r, "One|Two\n two\n two again",
	    "a restart within an event does not cut it");
	rig_end(&r);
}

static void
rotated(void)
{
	struct rig r;

	rig_begin(&r);
	(void)joining(&r, (struct multiline_options){ .first = "^[A-Z]" });
	rig_append(&r, "a.log", "One\n two\n thr");
	rig_open(&r);
	rig_run(&r, 100);
	CHECK(r.n == 0, "an event that may go on waits");
	rig_rename(&r, "a.log", "a.log.1");
	rig_append(&r, "a.log.1", "ee\n four");
	rig_append(&r, "a.log", "Five\n six\nSeven\n");
	rig_until(&r, 2, 10000);
	CHECK(r.n_lines == 2, "rotated: both generations come");
	CHECK(strcmp(r.events[1].message, "One\n two\n three\n four") == 0 ||
		strcmp(r.events[0].message, "One\n two\n three\n four") == 0,
	    "rotated: the last event of the old file is whole, its last line "
	    "too");
	rig_unlink(&r, "a.log");
	rig_until(&r, 3, 10000);
	CHECK(r.n_lines == 3 && strcmp(r.events[2].message, "Seven") == 0,
	    "deleted: the last event comes");
	rig_end(&r);
}

static const struct {
	const char *name, *encoding; /* NULL: by the byte order mark */
	struct slice text;
	const char *expect;
	uint64_t last_offset;
} encodings[] = {
	{ "UTF-16LE with its mark", NULL,
	    SLICE_INIT("\xff\xfe"
		       "a\0\x41\x04\r\0\n\0b\0\n\0"),
	    "aс|b", 10 },
	{ "UTF-16BE with its mark", NULL,
	    SLICE_INIT("\xfe\xff\0a\x04\x41\0\r\0\n\0b\0\n"), "aс|b", 10 },
	{ "UTF-16LE without a mark", "utf-16le",
	    SLICE_INIT("a\0\n\0\x3d\xd8\x12\xdd\n\0"), "a|\xf0\x9f\x94\x92",
	    4 },
	{ "UTF-16LE with characters that hold a LF's byte", "UTF-16LE",
	    SLICE_INIT("\x0a\x04\x0a\x0a\n\0x\0\n\0"), "Њ\xe0\xa8\x8a|x", 6 },
	{ "UTF-16BE with characters that hold a LF's byte", "utf-16be",
	    SLICE_INIT("\x0a\x04\x04\x0a\0\n\0x\0\n"), "\xe0\xa8\x84Њ|x", 6 },
	{ "half surrogates", "utf-16le",
	    SLICE_INIT("\x3d\xd8"
		       "a\0\x12\xdd\n\0"),
	    "\xef\xbf\xbd"
	    "a\xef\xbf\xbd",
	    0 },
	{ "a mark of UTF-8", NULL,
	    SLICE_INIT("\xef\xbb\xbf"
		       "a\nb\n"),
	    "a|b", 5 },
	{ "Latin-1 by its other name", "latin-1", SLICE_INIT("\xe4\n"), "ä",
	    0 },
	{ "Latin-1", "latin1", SLICE_INIT("\xe4\xf6\xfc \x80\n\xdf\n"),
	    "äöü \xc2\x80|ß", 6 },
	{ "CP1251", "cp1251", SLICE_INIT("\xcf\xf0\xe8\xe2\xe5\xf2\r\n\xb9\n"),
	    "Привет|№", 8 },
	{ "a byte that CP1251 has not", "cp1251", SLICE_INIT("a\x98\n"),
	    "a\xef\xbf\xbd", 0 },
	{ "KOI8-R", "koi8-r", SLICE_INIT("\xf0\xd2\xc9\n"), "При", 0 },
};

static void
decoded(void)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		struct rig r;

		rig_begin(&r);
		rig_input(&r, "in", "*.log", NULL)->encoding =
		    encodings[i].encoding;
		rig_write(&r, "a.log", O_APPEND, encodings[i].text);
		rig_open(&r);
		rig_run(&r, 40);
		CHECK_LINES(&r, encodings[i].expect, "decoded: %s",
		    encodings[i].name);
		CHECK(last_is_pending(&r, encodings[i].last_offset),
		    "%s: offsets are the file's", encodings[i].name);
		rig_end(&r);
	}
}

/* Each byte alone: marks, line ends and characters come in halves. */
static void
decoded_in_pieces(void)
{
	static const char text[] = "\xff\xfe"
				   "a\0\n\0\x0a\x04\n\0"
				   "c\0d\0\r\0\n\0";
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_open(&r);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		rig_write(&r, "a.log", O_APPEND, (struct slice){ text + i, 1 });
		rig_run(&r, 15);
	}
	rig_until(&r, 3, 3000);
	CHECK_LINES(&r, "a|Њ|cd", "UTF-16 that comes byte by byte");
	rig_close(&r);
	rig_write(&r, "a.log", O_APPEND, SLICE("e\0\n\0"));
	rig_open(&r);
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "a|Њ|cd|e", "goes on after a restart");
	rig_end(&r);
}

static void
long_lines(void)
{
	struct slice text = SLICE("1\0"
				  "2\0"
				  "3\0"
				  "4\0"
				  "5\0"
				  "6\0\n\0x\0\n\0");
	struct rig r;
	struct input_config *c;

	rig_begin(&r);
	c = rig_input(&r, "in", "*.log", NULL);
	c->encoding = "utf-16le";
	c->max_line = 4;
	rig_write(&r, "a.log", O_APPEND, text);
	rig_open(&r);
	rig_run(&r, 40);
	CHECK_LINES(&r, "1234~|x", "max_line is of the text, in UTF-8");
	rig_end(&r);
}

static void
joined_and_decoded(void)
{
	struct rig r;

	rig_begin(&r);
	joining(&r, (struct multiline_options){ .first = "^[А-Я]" })->encoding =
	    "cp1251";
	rig_append(&r, "a.log", "\xc0\xe0\n\xe1\xe1\n\xc2\xe2\n\xc3\n");
	rig_open(&r);
	rig_run(&r, 40);
	CHECK_LINES(&r, "Аа\nбб|Вв", "patterns see decoded text");
	rig_end(&r);
}

static void
compressed(void)
{
	static const char text[] = "\xff\xfe"
				   "A\0\n\0b\0\n\0C\0\n\0d\0";
	char path[512];
	gzFile out;
	struct rig r;
	struct input_config *c;

	rig_begin(&r);
	c = rig_input(&r, "in", "*.gz", NULL);
	c->multiline.how.first = "^[A-Z]";
	c->multiline.max_lines = 500;
	c->multiline.timeout_ns = NEVER_MS * NS_PER_MS;
	out = gzopen(rig_path(&r, "a.gz", path), "wb");
	(void)gzwrite(out, text, sizeof(text) - 1);
	(void)gzclose(out);
	rig_open(&r);
	rig_until(&r, 2, 3000);
	CHECK_LINES(&r, "A\nb|C\nd",
	    "a compressed file in UTF-16 with joined lines, to its last one");
	rig_end(&r);
}

int
main(void)
{
	ways();
	piece_by_piece();
	large();
	timed_out();
	restarted();
	rotated();
	decoded();
	decoded_in_pieces();
	long_lines();
	joined_and_decoded();
	compressed();
	return tap_done();
}
