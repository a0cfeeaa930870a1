/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matcher against explain.h's literal reading of the same rules: generated
 * rules over generated events, and ../shared's rules over ../shared's events.
 * Any difference fails.  An argument is a folder of rules to try instead;
 * KUZET_TEST_ROUNDS and KUZET_TEST_SEED ask for more, and for others.
 */
#include <glob.h>
#include <stdint.h>

#include "explain.h"
#include "rules_text.h"
#include "tap.h"

enum { RULESETS = 40, RULES = 30, EVENTS = 60, TEXT_ROOM = 1 << 20, SHOWN = 5 };

static uint64_t state;

static uint32_t
pick(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

/* ---- comparing --------------------------------------------------------- */

struct comparison {
	struct ruleset *rules;
	struct matcher *matcher;
	struct explainer *explainer;
	unsigned long events, matches, differences;
};

static void
compare_event(struct comparison *c, const char *json, size_t len)
{
	struct arena *arena = arena_new(65536);
	struct event ev;
	struct error err;
	const uint32_t *hits;
	uint32_t n, at = 0;

	event_begin(&ev, arena);
	ev.time_ns = INT64_C(1795323723000000000);
	if (json_read_event((struct slice){ json, len }, &json_limits_default,
		&ev, &err) != RC_OK) {
		arena_free(arena);
		return;
	}
	hits = matcher_run(c->matcher, &ev, NULL, &n);
	explainer_event(c->explainer, &ev, NULL);
	c->events++;
	c->matches += n;
	for (uint32_t i = 0; i < ruleset_count(c->rules); i++) {
		const struct rule_info *info = ruleset_rule(c->rules, i);
		bool hit = at < n && hits[at] == i;

		at += hit ? 1 : 0;
		if (info->correlation ||
		    explainer_holds(c->explainer, i) == hit)
			continue;
		if (c->differences++ < SHOWN)
			(void)printf("# %s:%u: the matcher says %s of %.*s\n",
			    info->file, info->line, hit ? "yes" : "no",
			    (int)(len > 2000 ? 2000 : len), json);
	}
	arena_free(arena);
}

static void
compare_begin(struct comparison *c, struct ruleset *rs)
{
	c->rules = rs;
	c->matcher = matcher_new(rs);
	c->explainer = explainer_new(rs);
}

static void
compare_end(struct comparison *c)
{
	explainer_free(c->explainer);
	matcher_free(c->matcher);
	ruleset_unref(c->rules);
}

/* ---- generated --------------------------------------------------------- */

static const char *const fields[] = { "A", "B", "C", "a.b", "Imphash", "Hashes",
	"Image", "User", "EventID" };
static const char *const items[] = {
	"%s: 'x'",
	"%s: ['x', 'Y*', 'ab']",
	"%s: ''",
	"%s: '*'",
	"%s: 'a?c'",
	"%s: '*b*c'",
	"%s: 7",
	"%s: null",
	"%s|contains: ['ab', 'ЖҰ']",
	"%s|contains|all: ['a', 'b', 'c']",
	"%s|startswith: 'ab'",
	"%s|endswith: ['bc', '7']",
	"%s|cased: 'Ab'",
	"%s|contains|cased: 'B'",
	"%s|re: 'a.?c'",
	"%s|re|i: '^AB'",
	"%s|re: '[ab]{3,120}c'",
	"%s|re: 'a(?!b)'",
	"%s|cidr: ['192.0.2.0/24', '2001:db8::/32']",
	"%s|gt: 5",
	"%s|lte: 7",
	"%s|exists: true",
	"%s|exists: false",
	"%s|fieldref: B",
	"%s|neq: ['x', 'ab']",
	"%s|windash|contains: ' -a'",
	"%s: '*?c'",
	"%s: '?*?x*'",
	"%s: 'a*?*b'",
	"%s: '*?than*Ж*'",
	"%s|contains: ['han sixteen', 'w']",
	"%s|endswith: 'Ab in it'",
};
static const char *const keywords[] = { "['ab', 'Y*', 7]", "['sixteen bytes']",
	"['x', 'b?c', 'IMP']", "['ЖҰ', 'w', 'a line']", "['|all': ['a', 'b']]",
	"['zz', 'A long*']" };
static const char *const conditions[] = { "s0", "s0 and s1", "s0 or s2",
	"s0 and not s1", "not s0", "1 of s*", "all of s*", "2 of s*",
	"not 1 of s*", "(s0 or s1) and not (s2 and s0)", "not (s0 or s1)" };
static const char *const values[] = { "\"x\"", "\"X\"", "\"ab\"", "\"Ab\"",
	"\"abc\"", "\"aXc\"", "\"acb\"", "\"aaabbbc\"", "\"\"", "null", "7",
	"\"7\"", "5.5", "true", "[\"x\",\"ab\"]", "[null]", "[]", "{}",
	"\"Қ жұ\"", "\"192.0.2.9\"", "\"2001:db8::1\"", "\"cmd /a b\"",
	"\"cmd \\u2013a\"", "\"IMPHASH=ab,MD5=x\"", "[\"y\",7,[\"x\"]]",
	"\"yyy\\u0000ab\"",
	"\"A long text of more than sixteen bytes Ж with \\\"ab\\\" and Ab in it\"",
	"\"w\\\\x\"" };

#define ANY(list) (list)[pick(sizeof(list) / sizeof((list)[0]))]

static size_t
generate_rule(char *out, size_t room)
{
	static const char *const logsources[] = { "{}", "{product: linux}",
		"{product: windows, category: process_creation}",
		"{product: windows}", "{product: windows, service: sysmon}",
		"{product: linux, service: auth}",
		"{product: linux, service: sshd}",
		"{product: none, service: x}" };
	int n = snprintf(out, room,
	    "---\ntitle: generated\nlogsource: %s\ndetection:\n",
	    ANY(logsources));

	for (int s = 0; s < 3; s++) {
		const char *one = ANY(fields), *two = ANY(fields);

		if (pick(8) == 0) {
			n += snprintf(out + n, room - (size_t)n, "  s%d: %s\n",
			    s, ANY(keywords));
			continue;
		}
		n += snprintf(out + n, room - (size_t)n, "  s%d:\n    - ", s);
		n += snprintf(out + n, room - (size_t)n, ANY(items), one);
		if (one != two && pick(2) == 0) {
			n += snprintf(out + n, room - (size_t)n, "\n      ");
			n += snprintf(out + n, room - (size_t)n, ANY(items),
			    two);
		}
		if (pick(3) == 0) {
			n += snprintf(out + n, room - (size_t)n, "\n    - ");
			n += snprintf(out + n, room - (size_t)n, ANY(items),
			    ANY(fields));
		}
		n += snprintf(out + n, room - (size_t)n, "\n");
	}
	n += snprintf(out + n, room - (size_t)n, "  condition: %s\n",
	    ANY(conditions));
	return (size_t)n;
}

/* An event; mostly it has the fields that the one before had. */
static size_t
generate_event(char *out, size_t room)
{
	static uint32_t kind, has;
	static const char *const kinds[] = { "\"k\":1",
		"\"host\":{\"os\":{\"type\":\"linux\"}}",
		"\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
		"\"EventID\":1",
		"\"event\":{\"original\":\"a line with ab\",\"module\":"
		"\"none\",\"dataset\":\"x\"}",
		"\"event\":{\"dataset\":\"system.auth\"},"
		"\"process\":{\"name\":\"sshd\"},"
		"\"host\":{\"os\":{\"type\":\"linux\"}}",
		"\"event\":{\"dataset\":\"system.auth\"},"
		"\"process\":{\"name\":\"su\"},"
		"\"host\":{\"os\":{\"type\":[\"linux\",\"x\"]}}",
		"\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
		"\"EventID\":3" };
	static const char *const names[] = { "A", "b", "C", "a.b", "Hashes",
		"process.executable", "user.name", "winlog.event_data.A",
		"Event.EventData.B" };
	int n;

	if (pick(4) == 0)
		kind = pick(sizeof(kinds) / sizeof(kinds[0]));
	if (pick(3) == 0)
		has = pick(1U << (sizeof(names) / sizeof(names[0])));
	n = snprintf(out, room, "{%s", kinds[kind]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((has >> i & 1) != 0)
			n += snprintf(out + n, room - (size_t)n, ",\"%s\":%s",
			    names[i], ANY(values));
	n += snprintf(out + n, room - (size_t)n, "}");
	return (size_t)n;
}

static struct ruleset *
load(const char *path)
{
	struct rule_options options = {
		.paths = &path,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy",
		.keep_syntax = true,
	};
	struct ruleset *rs = NULL;
	struct error err;

	if (ruleset_load(&options, &rs, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return rs;
}

static void
one_ruleset(struct comparison *c, char *text, unsigned long *loaded)
{
	char path[] = "/tmp/kuzet-oracle-XXXXXX.yml";
	int fd = mkstemps(path, 4);
	struct ruleset *rs;
	size_t n = 0;

	for (int i = 0; i < RULES; i++)
		n += generate_rule(text + n, TEXT_ROOM - n);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		return;
	(void)close(fd);
	rs = load(path);
	if (rs != NULL) {
		*loaded += ruleset_count(rs);
		compare_begin(c, rs);
		for (int i = 0; i < EVENTS; i++) {
			n = generate_event(text, TEXT_ROOM);
			compare_event(c, text, n);
		}
		if (c->differences > 0)
			(void)printf("# rules are left in %s\n", path);
		else
			(void)unlink(path);
		compare_end(c);
	}
}

static unsigned long
asked(const char *name, unsigned long otherwise)
{
	const char *text = secure_getenv(name);

	return text == NULL ? otherwise : strtoul(text, NULL, 10);
}

static void
test_generated(void)
{
	struct comparison c = { .events = 0 };
	char *text = malloc(TEXT_ROOM);
	unsigned long loaded = 0, rounds = asked("KUZET_TEST_ROUNDS", RULESETS);

	state = asked("KUZET_TEST_SEED", UINT64_C(0x9e3779b97f4a7c15));
	for (unsigned long i = 0;
	     text != NULL && i < rounds && c.differences == 0; i++)
		one_ruleset(&c, text, &loaded);
	free(text);
	(void)printf("# %lu rules, %lu events, %lu matches\n", loaded, c.events,
	    c.matches);
	CHECK(c.differences == 0 && c.matches > 0 &&
		loaded > rounds * RULES * 9 / 10,
	    "generated rules match generated events as they read");
}

/* ---- those of others --------------------------------------------------- */

static void
compare_file(struct comparison *c, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (f == NULL)
		return;
	while ((n = getline(&line, &cap, f)) > 0)
		compare_event(c, line, (size_t)n);
	free(line);
	(void)fclose(f);
}

static void
test_corpus(const char *rules)
{
	const char *shared = secure_getenv("KUZET_SHARED");
	struct comparison c = { .events = 0 };
	char folder[512], pattern[600];
	struct ruleset *rs;
	glob_t files;

	(void)snprintf(folder, sizeof(folder), "%s/corpora/sigma-regression",
	    shared != NULL ? shared : KUZET_SRCDIR "/../shared");
	(void)snprintf(pattern, sizeof(pattern), "%s/*/*/events.jsonl", folder);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	if (glob(pattern, 0, NULL, &files) != 0) {
		(void)printf("ok %d - the corpus # SKIP no corpus\n",
		    ++tap_run);
		return;
	}
	rs = load(rules != NULL ? rules : folder);
	if (rs != NULL) {
		compare_begin(&c, rs);
		for (size_t i = 0; i < files.gl_pathc; i++)
			compare_file(&c, files.gl_pathv[i]);
		(void)printf("# %u rules, %lu events, %lu matches\n",
		    ruleset_count(rs), c.events, c.matches);
		compare_end(&c);
	}
	globfree(&files);
	CHECK(c.differences == 0 && c.matches > 0,
	    "rules of the corpus match its events as they read");
}

int
main(int argc, char *argv[])
{
	if (argc == 1)
		test_generated();
	test_corpus(argc > 1 ? argv[1] : NULL);
	return tap_done();
}
