/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter never refuses what its pattern matches, and a pattern for ASCII
 * matches as the other does: single patterns, then all that are shipped on all
 * ends of their own samples.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/normalize/format.h"
#include "collector/normalize/reader.h"

#include "tap.h"
#include "utf8.h"

enum { PATH_BYTES = 4096, LINE_BYTES = 16384, WHY_BYTES = 256 };

static bool
passes(const struct pattern_filter *f, struct slice text)
{
	static struct text_pairs pairs;

	text_pairs_read(&pairs, text);
	return pattern_filter_lead(f, text) && pattern_filter_pairs(f, &pairs);
}

static const struct {
	const char *pattern, *text;
	bool passes;
} cases[] = {
	{ "abc", "abc", true },
	{ "abc", "abd", false },
	{ "a(?<x>.*) to host", "axy to host", true },
	{ "a(?<x>.*) to host", "axy to nobody", false },
	{ "\\d{4}-\\d\\d x", "2026-11 x", true },
	{ "\\d{4}-\\d\\d x", "2026/11 x", false },
	{ "\\d{4}-\\d\\d x", "202", false },
	{ "ab?c", "ac", true },
	{ "ab*cd", "acd", true },
	{ "ab{0,2}cd", "acd", true },
	{ "ab+cd", "abbcd", true },
	{ "ab+cd", "acd", false },
	{ "ab{2}cd", "abbcd", true },
	{ "(?:ab)?cd", "cd", true },
	{ "(?:ab)+cd", "ababcd", true },
	{ "(?:ab)+cd", "cd", false },
	{ "x(?:ab|cd)y", "xcdy", true },
	{ "ab|cd", "cd", true },
	{ "(?i)ab", "AB", true },
	{ "(?:x|(?i)ab)cd", "ABcd", true },
	{ "a(?!bc)..", "axy", true },
	{ "(?<=x)?ab", "ab", true },
	{ "[]ab]c", "]c", true },
	{ "[^]ab]c", "xc", true },
	{ "[[:alpha:]]]c", "a]c", true },
	{ "\\x41bc", "Abc", true },
	{ "\\Qa.b\\E", "a.b", true },
	{ "(?<q>ab)\\k<q>", "abab", true },
	{ "(ab)(?1)", "abab", true },
	{ "(?<q>ab)(?P=q)(?P>q)", "ababab", true },
	{ "é*abc", "abc", true },
	{ "é?abc", "éabc", true },
	{ "a{,3}b", "a{,3}b", true },
	{ "ab\\.cd", "ab.cd", true },
	{ "ab\\.cd", "abxcd", false },
	{ "a(?#b)c", "ac", true },
	{ "(*ACCEPT)ab", "", true },
	{ "a(?:b(*ACCEPT)c|d)efg", "ab", true },
	{ "[A-Z]{2}\\d+ end", "AB7 end", true },
	{ "[A-Z]{2}\\d+ end", "Ab7 end", false },
	{ "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d [0-9A-Fa-f.:]+ GET",
	    "2026-11-22 01:02:03 2001:db8::1 GET", true },
	{ "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d [0-9A-Fa-f.:]+ GET",
	    "2026-11-22 01:02:03 [192.0.2.1] GET", false },
	{ "\\d{10} \\d{10} \\d{10} \\d{10}",
	    "1234567890 1234567890 123456789x 1234567890", false },
	{ "\\d{10} \\d{10} \\d{10} \\d{10}",
	    "1234567890 1234567890 1234567890 1234567890", true },
	{ "\\d{10} [A-Za-z]{6}", "1234567890 abcZXY", true },
	{ "\\d{10} [A-Za-z]{6}", "1234567890 abc_XY", false },
	{ "", "", true },
};

static void
test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice text = { cases[i].text, strlen(cases[i].text) };
		struct pattern_filter f;
		struct pattern p = { .code = NULL };
		struct error err;

		pattern_filter_read((struct slice){ cases[i].pattern,
					strlen(cases[i].pattern) },
		    &f);
		CHECK(passes(&f, text) == cases[i].passes,
		    "\"%s\" %s the filter of %s", cases[i].text,
		    cases[i].passes ? "passes" : "does not pass",
		    cases[i].pattern);
		/* the table itself must not promise what PCRE2 denies */
		if (pattern_compile((struct slice){ cases[i].pattern,
					strlen(cases[i].pattern) },
			NULL, 0, &p, &err) == RC_OK) {
			struct scratch s;

			scratch_init(&s);
			CHECK(cases[i].passes || !pattern_fits(&p, &s, text),
			    "\"%s\" is no match of %s", cases[i].text,
			    cases[i].pattern);
			scratch_fini(&s);
		}
		pcre2_code_free(p.code);
		pcre2_code_free(p.ascii);
	}
}

/* ---- what is shipped ---------------------------------------------------------- */

struct tally {
	pcre2_match_data *utf, *ascii;
	uint64_t matched, refused, differ;
	char first[WHY_BYTES];
};

static int
match(const pcre2_code *code, struct slice text, pcre2_match_data *data)
{
	return pcre2_match(code, (PCRE2_SPTR)text.ptr, text.len, 0, 0, data,
	    NULL);
}

static bool
same_groups(const struct tally *t, int n)
{
	return memcmp(pcre2_get_ovector_pointer(t->utf),
		   pcre2_get_ovector_pointer(t->ascii),
		   (size_t)n * 2 * sizeof(PCRE2_SIZE)) == 0;
}

static void
check_pattern(const struct format *f, const struct pattern *p,
    struct slice text, const struct text_pairs *pairs, struct tally *t)
{
	int n = match(p->code, text, t->utf);
	bool refused = n > 0 &&
	    (!pattern_filter_lead(&p->filter, text) ||
		!pattern_filter_pairs(&p->filter, pairs) ||
		text.len < p->prefix_len ||
		memcmp(text.ptr, p->prefix, p->prefix_len) != 0);
	bool differs = p->ascii != NULL && utf8_is_ascii(text) &&
	    (match(p->ascii, text, t->ascii) != n ||
		(n > 0 && !same_groups(t, n)));

	t->matched += n > 0;
	t->refused += refused;
	t->differ += differs;
	if ((refused || differs) && t->first[0] == '\0')
		(void)snprintf(t->first, sizeof(t->first), "%.*s:%u on %.*s",
		    SLICE_ARG(f->name), p->line, SLICE_ARG(text));
}

static void
check_text(const struct format *f, struct slice text, struct tally *t)
{
	static struct text_pairs pairs;

	text_pairs_read(&pairs, text);
	for (uint32_t i = 0; i < f->n_patterns; i++)
		check_pattern(f, &f->patterns[i], text, &pairs, t);
	for (uint32_t r = 0; r < f->n_readers; r++)
		for (uint32_t i = 0; i < f->readers[r].n_patterns; i++)
			check_pattern(f, &f->readers[r].patterns[i], text,
			    &pairs, t);
}

/* Each end of the text of "  - line: …" that begins behind a space. */
static void
check_sample(const struct format *f, const char *line, struct tally *t)
{
	const char *text = strstr(line, "- line: ");
	size_t len;

	if (text == NULL)
		return;
	text += strlen("- line: ");
	text += *text == '\'' || *text == '"';
	len = strcspn(text, "\n");
	len -= len > 0 && (text[len - 1] == '\'' || text[len - 1] == '"');
	for (size_t i = 0; i < len; i++) {
		struct slice end = { text + i, len - i };

		if (i == 0 || text[i - 1] == ' ')
			check_text(f, end, t);
	}
}

static void
check_file(const char *path, struct tally *t)
{
	static char line[LINE_BYTES];
	struct format *f;
	struct error err;
	unsigned at;
	FILE *in;

	if (format_load(path, &f, &at, &err) != RC_OK) {
		CHECK(false, "%s loads: %s", path, err.text);
		return;
	}
	in = fopen(path, "re");
	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		check_sample(f, line, t);
	if (in != NULL)
		(void)fclose(in);
	format_free(f);
}

static void
test_shipped(void)
{
	const char *top = secure_getenv("top_srcdir");
	struct tally t = { .utf = pcre2_match_data_create(GROUPS_MAX + 1, NULL),
		.ascii = pcre2_match_data_create(GROUPS_MAX + 1, NULL) };
	char path[PATH_BYTES];
	struct dirent **names = NULL;
	int n;

	(void)snprintf(path, sizeof(path), "%s/rules/normalizers",
	    top != NULL ? top : ".");
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/rules/normalizers/%s",
		    top != NULL ? top : ".", names[i]->d_name);
		if (strstr(names[i]->d_name, ".yml") != NULL)
			check_file(path, &t);
		free(names[i]);
	}
	free(names);
	CHECK(t.matched > 300, "shipped patterns match ends of samples (%llu)",
	    (unsigned long long)t.matched);
	CHECK(t.refused == 0, "no filter refuses what its pattern matches (%s)",
	    t.first);
	CHECK(t.differ == 0, "patterns for ASCII match as the others do (%s)",
	    t.first);
	pcre2_match_data_free(t.utf);
	pcre2_match_data_free(t.ascii);
}

int
main(void)
{
	test_cases();
	test_shipped();
	return tap_done();
}
