/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers, joins and cases: formats of tests/unit/readers whose samples must
 * give exactly their events; and the mistakes that a file can hold.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "normalize.h"
#include "tap.h"

enum { PATH_BYTES = 4096 };

static struct normalizer_finding last;
static char message[512];
static unsigned seen_lines; /* a bit for each line that was told of */

static void
on_finding(void *ctx, const struct normalizer_finding *f)
{
	(void)ctx;
	last = *f;
	seen_lines |= 1U << (f->line % 32);
	(void)snprintf(message, sizeof(message), "%s", f->message);
	(void)printf("# %s:%u: %s\n", f->file, f->line, f->message);
}

static void
samples_hold(void)
{
	struct normalizer_set *set;
	struct normalizer_samples count = { 0 };
	struct error err = { .text = "" };
	char dir[PATH_BYTES];

	(void)snprintf(dir, sizeof(dir), "%s/tests/unit/readers", KUZET_SRCDIR);
	CHECK(normalizer_set_load(dir, on_finding, NULL, &set, &err) == RC_OK,
	    "they load: %s", err.text);
	CHECK(normalizer_set_count(set) == 6, "all of them");
	(void)normalizer_set_examine(dir, set, on_finding, NULL, &count, &err);
	CHECK(count.run >= 20 && count.failed == 0,
	    "each of %u samples gives its event", count.run);
	normalizer_set_unref(set);
}

static const struct {
	const char *text, *want;
	unsigned line;
} bad_files[] = {
	{ "readers:\n  a: {type: telepathy}\n", "type is pairs, columns", 4 },
	{ "readers:\n  a: [pairs]\n", "a reader is a mapping", 4 },
	{ "readers:\n  a: {type: columns}\n", "columns need a list", 4 },
	{ "readers:\n  a: {type: columns, columns: [x], separator: ab}\n",
	    "separator is one character", 4 },
	{ "readers:\n  a: {type: patterns}\n", "has patterns", 4 },
	{ "readers:\n  a: {type: pairs, patterns: []}\n", "has patterns", 4 },
	{ "readers:\n  a: {type: pairs, colour: red}\n",
	    "unknown key \"colour\"; there are: ", 4 },
	{ "fields:\n  a: {read: nobody}\n", "no such reader", 4 },
	{ "readers:\n  b: {type: json}\nfields:\n  a: {read: b, to: x}\n",
	    "read stands alone", 6 },
	{ "cases:\n  - set: {a: 1}\n", "a case needs when", 4 },
	{ "cases:\n  - when: {a: {b: c}}\n", "text that is not empty", 4 },
	{ "joins:\n  a: '%{b'\n", "%{ without }", 4 },
	{ "joins:\n  a: '%{b}'\n", "a has no place", 4 },
	{ "rest: a.b\n", "rest belongs to match", 3 },
	{ "match: {json: {}}\n", "needs last: true", 2 },
	{ "match: {last: false}\n", "match names nothing", 2 },
};

static void
mistakes_are_told(const char *dir)
{
	char path[PATH_BYTES];
	struct normalizer_set *set;
	struct error err;

	(void)snprintf(path, sizeof(path), "%s/bad.yml", dir);
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		FILE *f = fopen(path, "w");

		if (f == NULL)
			return;
		(void)fprintf(f, "dataset: a.b\n%s%s",
		    strstr(bad_files[i].text, "match:") != NULL
			? ""
			: "match: {starts: [x]}\n",
		    bad_files[i].text);
		(void)fclose(f);
		message[0] = '\0';
		last.line = 0;
		(void)normalizer_set_load(dir, on_finding, NULL, &set, &err);
		CHECK(strstr(message, bad_files[i].want) != NULL &&
			last.line == bad_files[i].line,
		    "%s, line %u (%s, %u)", bad_files[i].want,
		    bad_files[i].line, message, last.line);
		normalizer_set_unref(set);
	}
	(void)unlink(path);
}

enum { AWAY_IN_READER = 20 }; /* its line */

/* Lines of patterns that run away; the others are sound. */
static void
runaways_are_found(const char *dir)
{
	static const char text[] =
	    "dataset: a.b\nmatch: {starts: [x]}\nfields: {u: user.name}\n"
	    "patterns:\n"
	    "  - pattern: 'a (?:a+)+y'\n"
	    "  - pattern: 'b (?:a|a)*b'\n"
	    "  - pattern: 'c (?<u>\\S+) did(?: *[a-z]+ *)+;'\n"
	    "  - pattern: 'd .*.*.*.*.*=q'\n"
	    "  - pattern: 'e .*a.*b'\n"
	    "  - pattern: 'f (?<u>\\S+) from (?:[^ ]+ )*z'\n"
	    "samples:\n"
	    "  - {line: 'c bob did a b;', event: {}}\n"
	    "  - {line: 'f bob from a b z', event: {}}\n"
	    "  - {line: 'g user bob is a b c;', event: {}}\n"
	    "readers:\n"
	    "  inner:\n"
	    "    type: patterns\n"
	    "    patterns:\n"
	    "      - pattern: 'sound (?<u>\\S+)'\n"
	    "      - pattern: 'user (?<u>\\S+) is(?: *[a-z]+ *)+;'\n";
	struct normalizer_set *set;
	char path[PATH_BYTES];
	struct error err;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/away.yml", dir);
	f = fopen(path, "w");
	if (f == NULL)
		return;
	(void)fputs(text, f);
	(void)fclose(f);
	seen_lines = 0;
	(void)normalizer_set_load(dir, on_finding, NULL, &set, &err);
	(void)normalizer_set_examine(dir, set, on_finding, NULL, NULL, &err);
	CHECK(seen_lines ==
		(1U << 5 | 1U << 6 | 1U << 7 | 1U << 8 | 1U << AWAY_IN_READER),
	    "patterns that run away are told, no others (%#x)", seen_lines);
	normalizer_set_unref(set);
	(void)unlink(path);
}

int
main(void)
{
	char dir[] = "/tmp/kuzet-readers-XXXXXX";

	samples_hold();
	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	mistakes_are_told(dir);
	runaways_are_found(dir);
	(void)rmdir(dir);
	return tap_done();
}
