/* SPDX-License-Identifier: Apache-2.0 */
#include "log_header.h"

#include "tap.h"

static const struct {
	const char *name;
	const char *lines; /* each with LF */
	const char *expect;
} cases[] = {
	{ "no lines, no header", "", "" },
	{ "a W3C header", "#Software: x\n#Version: 1.0\n#Fields: a b\n",
	    "#Software: x\n#Fields: a b\n" },
	{ "it is none before the columns are named", "#Software: x\n", "" },
	{ "lines of the log leave it as it is",
	    "#Fields: a b\n1 2\n#Date: today\n3 4\n", "#Fields: a b\n" },
	{ "the last names of the columns hold",
	    "#Software: x\n#Fields: a b\n#Fields: b a\n",
	    "#Software: x\n#Fields: b a\n" },
	{ "#Software begins another one",
	    "#Software: x\n#Fields: a\n#Software: y\n", "" },
	{ "a Zeek header",
	    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n"
	    "#unset_field\t-\n#path\tconn\n#open\tnow\n#fields\tts\tuid\n"
	    "#types\ttime\tstring\n",
	    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n"
	    "#unset_field\t-\n#path\tconn\n#fields\tts\tuid\n"
	    "#types\ttime\tstring\n" },
	{ "#separator begins another one",
	    "#separator \\x09\n#fields\ta\tb\n#separator ,\n#fields,c,d\n",
	    "#separator ,\n#fields,c,d\n" },
	{ "CR is no part of it", "#Fields: a b\r\n", "#Fields: a b\n" },
	{ "a byte order mark neither", "\xef\xbb\xbf#Fields: a b\n",
	    "#Fields: a b\n" },
	{ "a log that begins with anything else has none",
	    "hello\n#Fields: a b\n", "" },
	{ "nor one that begins with an empty line", "\n#Fields: a b\n", "" },
};

static void
feed(struct log_header *h, const char *lines)
{
	while (*lines != '\0') {
		size_t n = strcspn(lines, "\n");

		(void)log_header_line(h, (struct slice){ lines, n });
		lines += n + (lines[n] != '\0');
	}
}

static void
check_text(const struct log_header *h, const char *want, const char *name)
{
	struct slice got = log_header_text(h);

	CHECK(slice_eq(got, (struct slice){ want, strlen(want) }),
	    "%s: \"%.*s\"", name, SLICE_ARG(got));
}

static void
too_long(void)
{
	static char line[LOG_HEADER_MAX] = "#Fields: ";
	struct log_header h;

	memset(line + 9, 'x', sizeof(line) - 9);
	log_header_init(&h);
	CHECK(log_header_line(&h, (struct slice){ line, sizeof(line) - 1 }) &&
		log_header_text(&h).len == LOG_HEADER_MAX,
	    "a header of as many bytes as there is room for");
	CHECK(log_header_line(&h, (struct slice){ line, sizeof(line) }) &&
		log_header_text(&h).len == 0,
	    "one byte more, and there is none");
	feed(&h, "#Fields: a b\n");
	check_text(&h, "#Fields: a b\n", "the next one counts again");
	feed(&h, "#Software: x\n#Fields: a b\n");
	(void)log_header_line(&h, (struct slice){ line, sizeof(line) - 1 });
	check_text(&h, "", "the older names are not kept for newer ones");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct log_header h;

		log_header_init(&h);
		feed(&h, cases[i].lines);
		check_text(&h, cases[i].expect, cases[i].name);
	}
	too_long();
	return tap_done();
}
