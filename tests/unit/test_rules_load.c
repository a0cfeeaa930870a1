/* SPDX-License-Identifier: Apache-2.0 */
/* Which rules are refused and why; what is known of those that are not. */
#include "rules/engine/ruleset.h"
#include "rules_text.h"
#include "tap.h"
#include "timestamp.h"

#define HEAD "title: a rule\nlogsource: {}\n"
#define BASE                                                                   \
 "title: base\nname: base\nid: 11111111-1111-4111-8111-111111111111\n"         \
 "logsource: {}\ndetection:\n  s: {A: 1}\n  condition: s\n---\n"
#define CORRELATION "title: c\ncorrelation:\n  rules: base\n"

static const struct {
	const char *name;
	const char *text;
	const char *finding; /* in the findings */
} refused[] = {
	{ "broken YAML", "title: [a\n", "error" },
	{ "a list", "- a\n", "must be a map" },
	{ "no title", "logsource: {}\ndetection: {s: {A: 1}, condition: s}\n",
	    "\"title\" is missing" },
	{ "no detection", HEAD, "no \"detection\"" },
	{ "no logsource", "title: x\ndetection: {s: {A: 1}, condition: s}\n",
	    "\"logsource\" is missing" },
	{ "no condition", HEAD "detection: {s: {A: 1}}\n",
	    "3 error \"condition\" is missing" },
	{ "no selection", HEAD "detection: {condition: s}\n", "no selection" },
	{ "a bad level",
	    HEAD "level: huge\n"
		 "detection: {s: {A: 1}, condition: s}\n",
	    "3 error \"level\" must be" },
	{ "an unknown modifier",
	    HEAD "detection:\n  s:\n    A|like: x\n  condition: s\n",
	    "5 error unknown modifier \"like\"" },
	{ "an unknown selection",
	    HEAD "detection:\n  s: {A: x}\n  condition: s and t\n",
	    "5 error the condition names the selection \"t\"" },
	{ "a pattern without a selection",
	    HEAD "detection:\n  s: {A: x}\n  condition: 1 of t*\n",
	    "no selection has such a name" },
	{ "an open parenthesis",
	    HEAD "detection:\n  s: {A: x}\n  condition: (s\n", "not closed" },
	{ "a closing parenthesis too many",
	    HEAD "detection:\n  s: {A: x}\n  condition: s)\n",
	    "where \"and\", \"or\"" },
	{ "an empty condition",
	    HEAD "detection:\n  s: {A: x}\n  condition: ''\n",
	    "a text of 1 to" },
	{ "an operator too many",
	    HEAD "detection:\n  s: {A: x}\n  condition: s and\n",
	    "ends where" },
	{ "the old aggregation",
	    HEAD "detection:\n  s: {A: x}\n  condition: s | count() > 5\n",
	    "correlation rule" },
	{ "a bad regular expression",
	    HEAD "detection:\n  s:\n    A|re: 'a('\n  condition: s\n",
	    "5 error the regular expression " },
	{ "an empty regular expression",
	    HEAD "detection:\n  s: {A|re: ''}\n  condition: s\n", "empty" },
	{ "a bad network",
	    HEAD "detection:\n  s: {A|cidr: 10.0.0.0/33}\n  condition: s\n",
	    "192.0.2.0/24" },
	{ "no network", HEAD "detection:\n  s: {A|cidr: x}\n  condition: s\n",
	    "192.0.2.0/24" },
	{ "a number that is none",
	    HEAD "detection:\n  s: {A|gt: x}\n  condition: s\n",
	    "must be a number" },
	{ "an answer that is neither true nor false",
	    HEAD "detection:\n  s: {A|exists: maybe}\n  condition: s\n",
	    "must be true (the field is there) or false" },
	{ "a wildcard in base64",
	    HEAD "detection:\n  s: {A|base64: 'a*'}\n  condition: s\n",
	    "wildcard" },
	{ "i without re", HEAD "detection:\n  s: {A|i: 'a'}\n  condition: s\n",
	    "behind \"re\"" },
	{ "contains behind re",
	    HEAD "detection:\n  s: {A|re|contains: 'a'}\n  condition: s\n",
	    "text only" },
	{ "a map as a value",
	    HEAD "detection:\n  s: {A: {B: 1}}\n  condition: s\n",
	    "dotted name" },
	{ "an empty list of values",
	    HEAD "detection:\n  s: {A: []}\n  condition: s\n",
	    "an empty list of values" },
	{ "null among values",
	    HEAD "detection:\n  s: {A: [x, null]}\n  condition: s\n",
	    "null cannot" },
	{ "null with a modifier",
	    HEAD "detection:\n  s: {A|contains: null}\n  condition: s\n",
	    "without modifiers" },
	{ "too many dashes",
	    HEAD "detection:\n  s: {A|windash: '-a -b -c -d -e -f'}\n"
		 "  condition: s\n",
	    "variants" },
	{ "a regular expression that is too long",
	    HEAD "detection:\n  s: {A|re: '(((a{1,99}){1,99}b){1,99}){1,99}'}\n"
		 "  condition: s\n",
	    "regular expression" },
	{ "an id twice", BASE BASE, "is taken by" },
	{ "a correlation of an unknown type",
	    BASE CORRELATION "  type: count\n", "\"type\" of a correlation" },
	{ "a correlation without a rule",
	    BASE "title: c\ncorrelation: {type: event_count, rules: nobody, "
		 "timespan: 1m, condition: {gte: 2}}\n",
	    "10 error the rule \"nobody\" is not there" },
	{ "a reference that is one of many",
	    BASE "title: c\ncorrelation:\n  type: event_count\n  timespan: 1m\n"
		 "  condition: {gte: 2}\n  rules:\n    - base\n    - nobody\n",
	    "16 error the rule \"nobody\" is not there" },
	{ "a correlation with a refused rule",
	    "title: x\nname: base\nlogsource: {}\ndetection: {}\n---\n" CORRELATION
	    "  type: event_count\n  timespan: 1m\n"
	    "  condition: {gte: 2}\n",
	    "is not there" },
	{ "a correlation of itself",
	    BASE "title: c\nname: c\ncorrelation: {type: event_count, "
		 "rules: c, timespan: 1m, condition: {gte: 2}}\n",
	    "circle" },
	{ "a circle of correlations",
	    BASE "title: c\nname: c\ncorrelation: {type: event_count, "
		 "rules: d, timespan: 1m, condition: {gte: 2}}\n---\n"
		 "title: d\nname: d\ncorrelation: {type: event_count, "
		 "rules: c, timespan: 1m, condition: {gte: 2}}\n",
	    "circle" },
	{ "a correlation without a timespan",
	    BASE CORRELATION "  type: event_count\n  condition: {gte: 2}\n",
	    "\"timespan\" is missing" },
	{ "a timespan without a unit",
	    BASE CORRELATION
	    "  type: event_count\n  timespan: 15\n  condition: {gte: 2}\n",
	    "\"timespan\" must be" },
	{ "a count without a condition",
	    BASE CORRELATION "  type: event_count\n  timespan: 1m\n",
	    "\"condition\" is missing" },
	{ "a value_count without a field",
	    BASE CORRELATION
	    "  type: value_count\n  timespan: 1m\n  condition: {gte: 2}\n",
	    "needs \"field\"" },
	{ "an event_count with a field",
	    BASE CORRELATION "  type: event_count\n  timespan: 1m\n"
			     "  condition: {gte: 2, field: x}\n",
	    "takes no \"field\"" },
	{ "a value_percentile without its percentile",
	    BASE CORRELATION "  type: value_percentile\n  timespan: 1m\n"
			     "  condition: {gte: 2, field: x}\n",
	    "needs \"percentile\"" },
	{ "three operators",
	    BASE CORRELATION "  type: event_count\n  timespan: 1m\n"
			     "  condition: {gt: 1, lt: 9, neq: 3}\n",
	    "two as a range" },
	{ "an unknown operator",
	    BASE CORRELATION "  type: event_count\n  timespan: 1m\n"
			     "  condition: {more: 1}\n",
	    "unknown key \"more\"" },
	{ "an extended condition that forgets a rule",
	    BASE "title: b2\nname: b2\nlogsource: {}\ndetection:\n"
		 "  s: {A: 1}\n  condition: s\n---\n"
		 "title: c\ncorrelation:\n  type: temporal\n"
		 "  rules: [base, b2]\n  timespan: 1m\n  condition: base\n",
	    "not in the condition" },
	{ "an alias of an unknown rule",
	    BASE CORRELATION "  type: event_count\n  timespan: 1m\n"
			     "  condition: {gt: 1}\n  group-by: [u]\n"
			     "  aliases: {u: {nobody: A}}\n",
	    "16 error the alias \"u\" names the rule \"nobody\"" },
	{ "a filter of an unknown rule",
	    HEAD "detection: {}\n---\ntitle: f\nlogsource: {}\nfilter:\n"
		 "  rules:\n    - nobody\n  s: {A: 1}\n  condition: not s\n",
	    "9 warning the filter names the rule \"nobody\"" },
	{ "a filter without rules",
	    "title: f\nlogsource: {}\nfilter:\n  s: {A: 1}\n"
	    "  condition: not s\n",
	    "\"rules\" is missing" },
	{ "a wrong scope",
	    "title: a\nkuzet: {scope: some}\nlogsource: {}\n"
	    "detection: {s: {A: 1}, condition: s}\n",
	    "organization or all" },
};

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct rules_text t;
		struct ruleset *rs = rules_text_load(&t, refused[i].text, NULL);
		bool ok = rs != NULL && ruleset_refused(rs) > 0 &&
		    strstr(t.findings, refused[i].finding) != NULL;

		if (!ok)
			(void)printf("# %s\n", t.findings);
		CHECK(ok, "%s is refused with a reason", refused[i].name);
		ruleset_unref(rs);
	}
}

static void
test_budget(void)
{
	static const char text[] =
	    "title: large\nlogsource: {product: linux}\ndetection:\n"
	    "  s:\n    A|re: ['(a|b){1,400}c', '(d|e){1,400}f']\n"
	    "  condition: s\n---\n"
	    "title: small\nlogsource: {product: linux}\ndetection:\n"
	    "  s: {A: b}\n  condition: s\n---\n"
	    "title: filter\nlogsource: {product: linux}\nfilter:\n"
	    "  rules: any\n  s: {A: [c, d, e, f, g, h]}\n"
	    "  condition: not s\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load_with(&t, text,
	    &(struct rule_options){ .work_max = 1000 });

	CHECK(rs != NULL && ruleset_refused(rs) == 1 &&
		strstr(t.findings, "1 error it needs ") != NULL &&
		strstr(t.findings, "left 1000 of the 1000 that") != NULL &&
		ruleset_count(rs) == 1 &&
		slice_eq(ruleset_rule(rs, 0)->title, SLICE("small")),
	    "a rule beyond what a load may cost is refused, a small one loads");
	ruleset_unref(rs);
	rs = rules_text_load_with(&t, text,
	    &(struct rule_options){ .work_max = 500 });
	CHECK(rs != NULL && ruleset_count(rs) == 0 &&
		strstr(t.findings, "8 error it needs ") != NULL,
	    "so is one that a filter makes larger");
	ruleset_unref(rs);
	rs = rules_text_load_with(&t, text,
	    &(struct rule_options){ .work_max = 10 });
	CHECK(rs != NULL && ruleset_count(rs) == 0 &&
		strstr(t.findings, "8 error not read") != NULL,
	    "what comes after much more than that is not even read");
	ruleset_unref(rs);
	rs = rules_text_load(&t, text, NULL);
	CHECK(rs != NULL && ruleset_count(rs) == 2 && ruleset_refused(rs) == 0,
	    "without such a bound all of them load");
	ruleset_unref(rs);
}

static void
test_deep(void)
{
	char text[8192];
	struct rules_text t;
	struct ruleset *rs;
	size_t n = (size_t)snprintf(text, sizeof(text),
	    HEAD "detection:\n  s: {A: 1}\n  condition: ");

	memset(text + n, '(', 2000);
	n += 2000;
	(void)snprintf(text + n, sizeof(text) - n, "s\n");
	rs = rules_text_load(&t, text, NULL);
	CHECK(rs != NULL && ruleset_refused(rs) == 1 &&
		strstr(t.findings, "deeper") != NULL,
	    "a condition that is nested too deep is refused");
	ruleset_unref(rs);
}

#define TEXT_32 "0123456789abcdefghijklmnopqrstuv"
#define LONG_TEXT                                                              \
 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32       \
     TEXT_32 TEXT_32 TEXT_32

/* Rules of which one thing is too many. */
static void
test_bounds(void)
{
	struct {
		const char *name, *head, *each, *tail, *said;
		int n;
	} rows[] = {
		{ "regular expressions that take long to compile",
		    HEAD "detection:\n  s:\n    A|re:\n",
		    "      - '(.{0,30}a){15}%d'\n", "  condition: s\n",
		    "10 error the counts {n,m} of the rule's regular", 40 },
		{ "variants of long values",
		    HEAD "detection:\n  s:\n    A|windash|contains:\n",
		    "      - '" LONG_TEXT " -a -b -c -d -%dx'\n",
		    "  condition: s\n", "bytes of variants of one value", 1 },
		{ "variants in all",
		    HEAD "detection:\n  s:\n    A|windash|contains:\n",
		    "      - 'some text -a -b -c -d -e%d'\n",
		    "  condition: s\n", "alternatives: split it", 30 },
		{ "selections", HEAD "detection:\n", "  s%d: {A: 1}\n",
		    "  condition: 1 of s*\n", "selections", 300 },
		{ "rules of a temporal correlation",
		    "title: c\ncorrelation:\n  type: temporal\n"
		    "  timespan: 1m\n  rules:\n",
		    "    - r%d\n", "",
		    "at most 30 are allowed: correlate some of them first",
		    31 },
		{ "rules of an ordered one",
		    "title: c\ncorrelation:\n  type: temporal_ordered\n"
		    "  timespan: 1m\n  rules:\n",
		    "    - r%d\n", "", "at most 30 are allowed", 31 },
		{ "rules of a count",
		    "title: c\ncorrelation:\n  type: event_count\n"
		    "  timespan: 1m\n  condition: {gte: 1}\n  rules:\n",
		    "    - r%d\n", "", "1 to 256 rules", 257 },
		{ "keys to group by",
		    "title: c\ncorrelation:\n  type: event_count\n"
		    "  rules: x\n  timespan: 1m\n  condition: {gte: 1}\n"
		    "  group-by:\n",
		    "    - F%d\n", "", "group-by", 17 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rules_text t;
		struct ruleset *rs;
		struct buf text;

		buf_init(&text, 1 << 20);
		(void)buf_add_str(&text, rows[i].head);
		for (int k = 0; k < rows[i].n; k++) {
			char line[1024];
			const char *number = strstr(rows[i].each, "%d");

			(void)snprintf(line, sizeof(line), "%.*s%d%s",
			    (int)(number - rows[i].each), rows[i].each, k,
			    number + 2);
			(void)buf_add_str(&text, line);
		}
		(void)buf_add_str(&text, rows[i].tail);
		(void)buf_add_char(&text, '\0');
		rs = rules_text_load(&t, text.ptr, NULL);
		CHECK(rs != NULL && ruleset_refused(rs) == 1 &&
			strstr(t.findings, rows[i].said) != NULL,
		    "too many %s are refused", rows[i].name);
		if (rs == NULL || strstr(t.findings, rows[i].said) == NULL)
			(void)printf("# %s\n", t.findings);
		ruleset_unref(rs);
		buf_fini(&text);
	}
}

static void
test_selection_names(void)
{
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t,
	    HEAD "detection:\n  rules: {A: 1}\n  condition: rules\n", NULL);

	CHECK(rs != NULL && ruleset_loaded(rs) == 1,
	    "a selection may be called rules, as only a filter's key is");
	ruleset_unref(rs);
}

static void
test_info(void)
{
	static const char text[] =
	    "title: Тест\nid: 22222222-2222-4222-8222-222222222222\n"
	    "author: [A, B]\ntags: [attack.t1110, attack.initial-access]\n"
	    "level: high\nkuzet: {scope: all}\nlogsource: {}\n"
	    "detection: {s: {A: 1}, condition: s}\n---\n"
	    "title: no id\nlogsource: {}\n"
	    "detection: {s: {A: 1}, condition: s}\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, NULL);
	const struct rule_info *info = ruleset_rule(rs, 0);
	uint32_t n;
	const uint32_t *fields = ruleset_hit_fields(rs, 0, &n);

	CHECK(ruleset_count(rs) == 2 && ruleset_loaded(rs) == 2 &&
		ruleset_refused(rs) == 0,
	    "both rules load");
	CHECK(slice_eq(info->title, SLICE("Тест")) &&
		slice_eq(info->author, SLICE("A, B")) && info->n_tags == 2 &&
		slice_eq(info->tags[0], SLICE("attack.t1110")) &&
		info->level == RULE_HIGH && info->scope_all && info->visible &&
		!info->correlation,
	    "title, author, tags, level and scope are known");
	CHECK(ruleset_rule(rs, 1)->id.len == SHA256_TEXT - 1 &&
		ruleset_rule(rs, 1)->line == 10,
	    "a rule without id is called by its digest, and knows its line");
	CHECK(ruleset_find(rs, SLICE("22222222-2222-4222-8222-222222222222")) ==
		    0 &&
		ruleset_find(rs, SLICE("nobody")) == UINT32_MAX &&
		ruleset_find_digest(rs, ruleset_rule(rs, 1)->digest) == 1,
	    "a rule is found by id and by digest");
	CHECK(n == 1 && fields[0] == FIELD_SOURCE_IP,
	    "a hit of a single rule needs source.ip");
	CHECK(ruleset_correlation(rs, 0) == NULL, "it is no correlation");
	ruleset_unref(rs);
}

static bool
same_digest(const char *a, const char *b)
{
	char text[2][2048];
	uint8_t digest[2][SHA256_BYTES];
	const char *bodies[] = { a, b };

	for (size_t i = 0; i < 2; i++) {
		struct rules_text t;
		struct ruleset *rs;

		(void)snprintf(text[i], sizeof(text[i]),
		    "id: 22222222-2222-4222-8222-222222222222\n%s", bodies[i]);
		rs = rules_text_load(&t, text[i], NULL);
		memset(digest[i], (int)i, SHA256_BYTES);
		if (rs != NULL && ruleset_count(rs) == 1)
			memcpy(digest[i], ruleset_rule(rs, 0)->digest,
			    SHA256_BYTES);
		else
			(void)printf("# %s\n", t.findings);
		ruleset_unref(rs);
	}
	return memcmp(digest[0], digest[1], SHA256_BYTES) == 0;
}

static void
test_digests(void)
{
#define RULE(title, body) "title: " title "\nlogsource: {}\ndetection:\n" body
	CHECK(same_digest(RULE("a", "  s: {A: x}\n  condition: s\n"),
		  RULE("b", "  # a remark\n  t: {a: X}\n  condition: t\n")),
	    "title, remarks, names of selections and case are not in a digest");
	CHECK(!same_digest(RULE("a", "  s: {A: x}\n  condition: s\n"),
		  RULE("a", "  s: {A: y}\n  condition: s\n")),
	    "values are in a digest");
	CHECK(!same_digest(RULE("a", "  s: {A: x}\n  condition: s\n"),
		  RULE("a", "  s: {A|contains: x}\n  condition: s\n")),
	    "modifiers are in a digest");
	CHECK(!same_digest(RULE("a", "  s: {A: x}\n  condition: s\n"),
		  RULE("a", "  s: {A: x}\n  condition: not s\n")),
	    "conditions are in a digest");
	CHECK(!same_digest(RULE("a", "  s: {A: x}\n  condition: s\n"),
		  "title: a\nlogsource: {product: linux}\ndetection:\n"
		  "  s: {A: x}\n  condition: s\n"),
	    "logsources are in a digest");
#undef RULE
}

static void
test_correlation(void)
{
	static const char text[] =
	    "title: c\nid: 33333333-3333-4333-8333-333333333333\n"
	    "correlation:\n  type: value_count\n"
	    "  rules: [base, 44444444-4444-4444-8444-444444444444]\n"
	    "  group-by: [ip, Image]\n  timespan: 15m\n"
	    "  aliases:\n    ip: {base: src_ip, "
	    "44444444-4444-4444-8444-444444444444: destination.ip}\n"
	    "  condition: {gt: 100, lte: 200, field: user.name}\n---\n" BASE
	    "title: b2\nid: 44444444-4444-4444-8444-444444444444\n"
	    "logsource: {}\ndetection:\n  s: {A: 1}\n  condition: s\n---\n"
	    "title: outer\ncorrelation:\n  type: temporal\n"
	    "  rules: [33333333-3333-4333-8333-333333333333, base]\n"
	    "  timespan: 1d\n  generate: true\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, NULL);
	const struct sigma_correlation *c = ruleset_correlation(rs, 0);
	const struct sigma_correlation *outer = ruleset_correlation(rs, 3);
	const struct correlation_field *f;
	const struct ruleset_entry *base;
	bool found = false;

	if (ruleset_count(rs) != 4)
		(void)printf("# %s\n", t.findings);
	CHECK(ruleset_count(rs) == 4 && c != NULL && outer != NULL &&
		c->type == CORRELATION_VALUE_COUNT && c->n_rules == 2 &&
		c->rules[0] == 1 && c->rules[1] == 2 &&
		c->timespan_ns == 900 * NS_PER_SEC,
	    "a correlation knows its rules, wherever they stand");
	if (c == NULL || outer == NULL)
		return;
	CHECK(c->n_bounds == 2 && c->bounds[0].op == OP_GT &&
		c->bounds[0].value == 100 && c->bounds[1].op == OP_LTE &&
		c->bounds[1].value == 200 && c->n_values == 1,
	    "a range has two bounds");
	f = &c->group_by[0].by_rule[0];
	CHECK(slice_eq(f->name, SLICE("src_ip")) && f->n_ids >= 2 &&
		f->ids[0] == field_find(SLICE("src_ip")),
	    "an alias is resolved for each rule; its own name comes first");
	for (uint32_t i = 0; i < f->n_ids; i++)
		found = found || f->ids[i] == FIELD_SOURCE_IP;
	CHECK(found, "a Sigma field is also read by its ECS name");
	CHECK(slice_eq(c->group_by[0].by_rule[1].name, SLICE("destination.ip")),
	    "the other rule has its own field");
	CHECK(slice_eq(c->group_by[1].by_rule[1].name, SLICE("Image")),
	    "a key without alias is the same for all");
	base = &rs->entries[1];
	CHECK(base->n_referrers == 2 && base->referrers[0] == 0 &&
		base->referrers[1] == 3,
	    "a base rule knows its correlations");
	CHECK(ruleset_rule(rs, 1)->visible && !ruleset_rule(rs, 2)->visible &&
		ruleset_rule(rs, 0)->visible && ruleset_rule(rs, 3)->visible,
	    "base rules show where a correlation says generate");
	CHECK(outer->type == CORRELATION_TEMPORAL && outer->n_bounds == 0 &&
		outer->extended == NULL && outer->rules[0] == 0,
	    "correlations correlate");
	ruleset_unref(rs);
}

static void
test_extended(void)
{
	static const char text[] =
	    BASE "title: b2\nname: b2\nlogsource: {}\ndetection:\n"
		 "  s: {A: 1}\n  condition: s\n---\n"
		 "title: c\ncorrelation:\n  type: temporal\n  timespan: 1m\n"
		 "  condition: base and not b2\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, NULL);
	const struct sigma_correlation *c = ruleset_correlation(rs, 2);

	CHECK(c != NULL && c->n_rules == 2 && c->extended != NULL &&
		c->extended->kind == NODE_AND && c->extended->n == 2 &&
		c->extended->children[0]->index == 0 &&
		c->extended->children[1]->kind == NODE_NOT,
	    "an extended condition may be all that names the rules");
	ruleset_unref(rs);
}

static void
test_filter(void)
{
	static const char text[] =
	    BASE "title: f\nlogsource: {}\nfilter:\n  rules: [base]\n"
		 "  s: {B: 1}\n  condition: not s\n";
	static const char any[] = BASE
	    "title: f\nlogsource: {product: linux}\nfilter:\n  rules: any\n"
	    "  s: {B: 1}\n  condition: not s\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, NULL);

	CHECK(ruleset_count(rs) == 1 &&
		rules_text_match(rs, "{\"A\":1}", NULL) == 1 &&
		rules_text_match(rs, "{\"A\":1,\"B\":1}", NULL) == 0,
	    "a filter narrows the rule it names");
	ruleset_unref(rs);
	rs = rules_text_load(&t, any, NULL);
	CHECK(rules_text_match(rs, "{\"A\":1,\"B\":1}", NULL) == 1,
	    "a filter of a narrower logsource leaves others alone");
	ruleset_unref(rs);
}

static void
test_remark(void)
{
	static const char text[] =
	    HEAD "correlation: look at the host\ndetection:\n  s: {A: 1}\n"
		 "  t: {B: 1}\n  condition: s\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, NULL);

	CHECK(ruleset_count(rs) == 1 && !ruleset_rule(rs, 0)->correlation,
	    "a correlation in words is a remark");
	CHECK(strstr(t.findings, "6 warning selection \"t\"") != NULL,
	    "a selection that no condition names is a warning");
	ruleset_unref(rs);
}

static void
test_paths(void)
{
	const char *none[] = { "/nonexistent/rules" };
	struct rule_options options = {
		.paths = none,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy",
	};
	struct ruleset *rs = NULL;
	struct error err;

	CHECK(ruleset_load(&options, &rs, &err) != RC_OK &&
		strstr(err.text, "/nonexistent/rules") != NULL,
	    "a path that is not there is an error that names it");
	options.n_paths = 0;
	CHECK(ruleset_load(&options, &rs, &err) == RC_OK &&
		ruleset_count(rs) == 0 &&
		rules_text_match(rs, "{\"A\":1}", NULL) == 0,
	    "no rules match nothing");
	ruleset_unref(rs);
}

int
main(void)
{
	test_refused();
	test_deep();
	test_budget();
	test_bounds();
	test_selection_names();
	test_info();
	test_digests();
	test_correlation();
	test_extended();
	test_filter();
	test_remark();
	test_paths();
	return tap_done();
}
