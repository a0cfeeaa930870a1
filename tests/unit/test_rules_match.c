/* SPDX-License-Identifier: Apache-2.0 */
/* What each modifier, value and condition means, one row each. */
#include "conf.h"
#include "rules_text.h"
#include "tap.h"

/* The rule is `detection` under this head; its logsource is everything. */
static const char head[] = "title: a rule\n"
			   "logsource: {}\n"
			   "detection:\n";

static const struct {
	const char *name;
	const char *detection; /* lines with two spaces */
	const char *event;
	bool matches;
} rows[] = {
#define ITEM(item) "  s:\n    " item "\n  condition: s\n"
	{ "a text matches the whole field", ITEM("A: abc"), "{\"A\":\"abc\"}",
	    true },
	{ "a text does not match a part", ITEM("A: abc"), "{\"A\":\"abcd\"}",
	    false },
	{ "letters are compared without case", ITEM("A: aBc"),
	    "{\"A\":\"AbC\"}", true },
	{ "so are Russian letters", ITEM("A: 'ПРИВЕТ'"), "{\"A\":\"привет\"}",
	    true },
	{ "and Kazakh letters", ITEM("A|contains: 'ҚАЗ'"),
	    "{\"A\":\"кім қазақ\"}", true },
	{ "field names are compared without case", ITEM("FieldName: x"),
	    "{\"fieldname\":\"x\"}", true },
	{ "spaces in an event's field name are dropped", ITEM("SourceName: x"),
	    "{\"Source Name\":\"x\"}", true },
	{ "a number matches a number", ITEM("A: 4625"), "{\"A\":4625}", true },
	{ "a number matches its text", ITEM("A: 4625"), "{\"A\":\"4625\"}",
	    true },
	{ "a text matches the number", ITEM("A: '4625'"), "{\"A\":4625}",
	    true },
	{ "a boolean matches a boolean", ITEM("A: true"), "{\"A\":true}",
	    true },
	{ "a text matches a boolean", ITEM("A: 'False'"), "{\"A\":false}",
	    true },
	{ "a list of values is an or", ITEM("A: [x, y]"), "{\"A\":\"y\"}",
	    true },
	{ "an event's list matches by any item", ITEM("A: y"),
	    "{\"A\":[\"x\",\"y\"]}", true },
	{ "an event's list with no such item does not", ITEM("A: z"),
	    "{\"A\":[\"x\",\"y\"]}", false },
	{ "several fields are an and", "  s: {A: x, B: y}\n  condition: s\n",
	    "{\"A\":\"x\",\"B\":\"y\"}", true },
	{ "one of them missing is no match",
	    "  s: {A: x, B: y}\n  condition: s\n", "{\"A\":\"x\"}", false },
	{ "a list of maps is an or",
	    "  s:\n    - {A: x}\n    - {B: y}\n  condition: s\n",
	    "{\"B\":\"y\"}", true },
	{ "a dotted field reaches a nested one", ITEM("a.b.c: x"),
	    "{\"a\":{\"b\":{\"c\":\"x\"}}}", true },

	{ "a star is any text", ITEM("A: 'a*c'"), "{\"A\":\"a-b-c\"}", true },
	{ "a star is no text too", ITEM("A: 'a*c'"), "{\"A\":\"ac\"}", true },
	{ "a star alone needs the field", ITEM("A: '*'"), "{\"B\":1}", false },
	{ "a star alone takes any value", ITEM("A: '*'"), "{\"A\":\"\"}",
	    true },
	{ "a question mark is one character", ITEM("A: 'a?c'"),
	    "{\"A\":\"abc\"}", true },
	{ "a question mark is not none", ITEM("A: 'a?c'"), "{\"A\":\"ac\"}",
	    false },
	{ "a question mark is a character, not a byte", ITEM("A: 'a?c'"),
	    "{\"A\":\"aйc\"}", true },
	{ "only question marks count characters", ITEM("A: '\?\?\?'"),
	    "{\"A\":\"йцу\"}", true },
	{ "two stars around two texts", ITEM("A: '*foo*bar*'"),
	    "{\"A\":\"xfooybarz\"}", true },
	{ "two stars in the wrong order", ITEM("A: '*foo*bar*'"),
	    "{\"A\":\"xbaryfooz\"}", false },
	{ "an escaped star is a star", ITEM("A: 'a\\*c'"), "{\"A\":\"a*c\"}",
	    true },
	{ "an escaped star is not any text", ITEM("A: 'a\\*c'"),
	    "{\"A\":\"abc\"}", false },
	{ "a backslash before a letter is itself", ITEM("A: 'C:\\x'"),
	    "{\"A\":\"C:\\\\x\"}", true },
	{ "two backslashes are one", ITEM("A: 'C:\\\\x'"),
	    "{\"A\":\"C:\\\\x\"}", true },
	{ "three backslashes are two", ITEM("A: '\\\\\\x'"),
	    "{\"A\":\"\\\\\\\\x\"}", true },
	{ "four backslashes are two", ITEM("A: '\\\\\\\\x'"),
	    "{\"A\":\"\\\\\\\\x\"}", true },
	{ "two backslashes and a star: backslash, anything",
	    ITEM("A: 'a\\\\*'"), "{\"A\":\"a\\\\bc\"}", true },
	{ "three backslashes and a star: backslash, star",
	    ITEM("A: 'a\\\\\\*'"), "{\"A\":\"a\\\\*\"}", true },
	{ "a last backslash stays with contains",
	    ITEM("A|contains: '\\Temp\\'"), "{\"A\":\"C:\\\\Temp\\\\x.exe\"}",
	    true },
	{ "a last backslash does not escape the star of startswith",
	    ITEM("A|startswith: 'C:\\'"), "{\"A\":\"C:\\\\x\"}", true },

	{ "contains finds the middle", ITEM("A|contains: bc"),
	    "{\"A\":\"abcd\"}", true },
	{ "contains finds the whole", ITEM("A|contains: abcd"),
	    "{\"A\":\"abcd\"}", true },
	{ "contains takes wildcards", ITEM("A|contains: 'b?d'"),
	    "{\"A\":\"abxde\"}", true },
	{ "startswith wants the start", ITEM("A|startswith: bc"),
	    "{\"A\":\"abc\"}", false },
	{ "startswith finds the start", ITEM("A|startswith: ab"),
	    "{\"A\":\"abab\"}", true },
	{ "endswith wants the end", ITEM("A|endswith: ab"), "{\"A\":\"abc\"}",
	    false },
	{ "endswith finds the end", ITEM("A|endswith: '\\cmd.exe'"),
	    "{\"A\":\"C:\\\\cmd.exe\\\\CMD.EXE\"}", true },
	{ "all wants every value", ITEM("A|contains|all: [x, y]"),
	    "{\"A\":\"x\"}", false },
	{ "all has every value", ITEM("A|contains|all: [x, y]"),
	    "{\"A\":\"yx\"}", true },
	{ "cased wants the case", ITEM("A|cased: aBc"), "{\"A\":\"abc\"}",
	    false },
	{ "cased has the case", ITEM("A|cased: aBc"), "{\"A\":\"aBc\"}", true },
	{ "contains and cased wants the case", ITEM("A|contains|cased: aBc"),
	    "{\"A\":\"xabcx\"}", false },
	{ "contains and cased has the case", ITEM("A|contains|cased: aBc"),
	    "{\"A\":\"xabcaBcx\"}", true },
	{ "neq is not equal", ITEM("A|neq: x"), "{\"A\":\"y\"}", true },
	{ "neq is not for an equal value", ITEM("A|neq: x"), "{\"A\":\"x\"}",
	    false },
	{ "neq with a list: none of them", ITEM("A|neq: [x, y]"),
	    "{\"A\":\"y\"}", false },
	{ "neq holds on a missing field", ITEM("A|neq: x"), "{\"B\":1}", true },
	{ "exists true", ITEM("A|exists: true"), "{\"A\":\"\"}", true },
	{ "exists true with null", ITEM("A|exists: true"), "{\"A\":null}",
	    true },
	{ "exists true without the field", ITEM("A|exists: true"), "{\"B\":1}",
	    false },
	{ "exists false without the field", ITEM("A|exists: false"),
	    "{\"B\":1}", true },
	{ "exists false with the field", ITEM("A|exists: false"),
	    "{\"A\":null}", false },
	{ "null is a missing field", ITEM("A: null"), "{\"B\":1}", true },
	{ "null is null", ITEM("A: null"), "{\"A\":null}", true },
	{ "null is not the empty text", ITEM("A: null"), "{\"A\":\"\"}",
	    false },
	{ "the empty text is empty", ITEM("A: ''"), "{\"A\":\"\"}", true },
	{ "the empty text is not null", ITEM("A: ''"), "{\"A\":null}", false },
	{ "the empty text is not a missing field", ITEM("A: ''"), "{\"B\":1}",
	    false },

	{ "re is found anywhere", ITEM("A|re: 'b+c'"), "{\"A\":\"abbcd\"}",
	    true },
	{ "re is cased", ITEM("A|re: abc"), "{\"A\":\"ABC\"}", false },
	{ "re with i is not", ITEM("A|re|i: abc"), "{\"A\":\"xABCx\"}", true },
	{ "re with an inline flag", ITEM("A|re: '(?i)abc'"), "{\"A\":\"ABC\"}",
	    true },
	{ "re has anchors", ITEM("A|re: '^b'"), "{\"A\":\"ab\"}", false },
	{ "re: a point is no line end", ITEM("A|re: 'a.b'"),
	    "{\"A\":\"a\\nb\"}", false },
	{ "re with s: it is", ITEM("A|re|s: 'a.b'"), "{\"A\":\"a\\nb\"}",
	    true },
	{ "re with m: ^ is at each line", ITEM("A|re|m: '^b'"),
	    "{\"A\":\"a\\nb\"}", true },
	{ "re: a point is a character, not a byte", ITEM("A|re: '^a.b$'"),
	    "{\"A\":\"aйb\"}", true },
	{ "re that looks back, which Hyperscan cannot",
	    ITEM("A|re: '(a+)b\\1'"), "{\"A\":\"xaabaax\"}", true },
	{ "re that repeats a lot", ITEM("A|re: '^a{1000}$'"), "{\"A\":\"aaa\"}",
	    false },
	{ "re beside a text", "  s: {A|re: '[0-9]{3}', B: x}\n  condition: s\n",
	    "{\"A\":\"a123\",\"B\":\"x\"}", true },

	{ "windash takes a slash for a dash", ITEM("A|contains|windash: ' -f'"),
	    "{\"A\":\"cmd /f\"}", true },
	{ "windash takes an en dash", ITEM("A|contains|windash: ' -f'"),
	    "{\"A\":\"cmd \u2013f\"}", true },
	{ "windash takes an em dash", ITEM("A|windash|contains: ' /f'"),
	    "{\"A\":\"cmd \u2014f\"}", true },
	{ "windash takes a horizontal bar",
	    ITEM("A|contains|windash: '\u2013f'"), "{\"A\":\"cmd \u2015f\"}",
	    true },
	{ "windash mixes dashes", ITEM("A|contains|windash: '-a -b'"),
	    "{\"A\":\"/a -b\"}", true },
	{ "windash leaves a hyphen in a word",
	    ITEM("A|contains|windash: 'a-b'"), "{\"A\":\"a/b\"}", false },
	{ "windash with all", ITEM("A|contains|all|windash: [' -a', ' -b']"),
	    "{\"A\":\"x /a /b\"}", true },
	{ "windash with all wants all",
	    ITEM("A|contains|all|windash: [' -a', ' -b']"),
	    "{\"A\":\"x /a -a\"}", false },
	{ "base64", ITEM("A|base64|contains: 'foobar'"),
	    "{\"A\":\"xxZm9vYmFyxx\"}", true },
	{ "base64offset at 0", ITEM("A|base64offset|contains: 'foobar'"),
	    "{\"A\":\"Zm9vYmFy\"}", true },
	{ "base64offset at 1", ITEM("A|base64offset|contains: 'foobar'"),
	    "{\"A\":\"eGZvb2Jhcng=\"}", true },
	{ "base64offset at 2", ITEM("A|base64offset|contains: 'foobar'"),
	    "{\"A\":\"eHhmb29iYXJ4eA==\"}", true },
	{ "wide and base64offset", ITEM("A|wide|base64offset|contains: 'http'"),
	    "{\"A\":\"aAB0AHQAcAA6AA==\"}", true },
	{ "utf16be and base64offset",
	    ITEM("A|utf16be|base64offset|contains: 'http'"),
	    "{\"A\":\"AGgAdAB0AHA=\"}", true },
	{ "utf16 has a byte order mark", ITEM("A|utf16|base64: 'http'"),
	    "{\"A\":\"//5oAHQAdABwAA==\"}", true },

	{ "cidr has the address", ITEM("A|cidr: 192.0.2.0/24"),
	    "{\"A\":\"192.0.2.255\"}", true },
	{ "cidr has not", ITEM("A|cidr: 192.0.2.0/25"),
	    "{\"A\":\"192.0.2.255\"}", false },
	{ "cidr with a list", ITEM("A|cidr: [10.0.0.0/8, 192.0.2.0/24]"),
	    "{\"A\":\"10.9.8.7\"}", true },
	{ "cidr of IPv6", ITEM("A|cidr: 2001:db8::/32"),
	    "{\"A\":\"2001:DB8:1::1\"}", true },
	{ "cidr of IPv6 has no IPv4", ITEM("A|cidr: '::/0'"),
	    "{\"A\":\"192.0.2.1\"}", false },
	{ "cidr of IPv4 takes mapped addresses", ITEM("A|cidr: 192.0.2.0/24"),
	    "{\"A\":\"::ffff:192.0.2.9\"}", true },
	{ "cidr of everything", ITEM("A|cidr: 0.0.0.0/0"),
	    "{\"A\":\"192.0.2.1\"}", true },
	{ "cidr has no text", ITEM("A|cidr: 192.0.2.0/24"), "{\"A\":\"host\"}",
	    false },

	{ "lt", ITEM("A|lt: 5"), "{\"A\":4}", true },
	{ "lt is not equal", ITEM("A|lt: 5"), "{\"A\":5}", false },
	{ "lte", ITEM("A|lte: 5"), "{\"A\":\"5\"}", true },
	{ "gt", ITEM("A|gt: 5"), "{\"A\":5.5}", true },
	{ "gt of a text is no match", ITEM("A|gt: 5"), "{\"A\":\"x\"}", false },
	{ "gte", ITEM("A|gte: -5"), "{\"A\":-5}", true },
	{ "numbers compare as numbers", ITEM("A|gt: 9"), "{\"A\":\"10\"}",
	    true },
	{ "lt on a missing field is no match", ITEM("A|lt: 5"), "{}", false },
	{ "hour", ITEM("A|hour: 5"), "{\"A\":\"2026-11-22T05:02:03Z\"}", true },
	{ "minute", ITEM("A|minute: 2"), "{\"A\":\"2026-11-22 05:02:03\"}",
	    true },
	{ "day", ITEM("A|day: 22"), "{\"A\":\"2026-11-22\"}", true },
	{ "week", ITEM("A|week: 47"), "{\"A\":\"2026-11-22\"}", true },
	{ "week 53", ITEM("A|week: 53"), "{\"A\":\"2027-01-03\"}", true },
	{ "week 1 in December", ITEM("A|week: 1"), "{\"A\":\"2024-12-30\"}",
	    true },
	{ "month", ITEM("A|month: 11"), "{\"A\":\"2026-11-22\"}", true },
	{ "year", ITEM("A|year: 2026"), "{\"A\":\"2026-11-22\"}", true },
	{ "hour and less", ITEM("A|hour|lt: 6"),
	    "{\"A\":\"2026-11-22T05:02:03Z\"}", true },
	{ "the event's own time has an hour", ITEM("'@timestamp|hour': 5"),
	    "{\"A\":1}", true },
	{ "hour of a text is no match", ITEM("A|hour: 5"), "{\"A\":\"x\"}",
	    false },

	{ "fieldref finds an equal value", ITEM("A|fieldref: B"),
	    "{\"A\":\"x\",\"B\":\"X\"}", true },
	{ "fieldref finds another value", ITEM("A|fieldref: B"),
	    "{\"A\":\"x\",\"B\":\"y\"}", false },
	{ "fieldref and neq", ITEM("A|fieldref|neq: B"),
	    "{\"A\":\"x\",\"B\":\"y\"}", true },
	{ "fieldref and startswith", ITEM("A|fieldref|startswith: B"),
	    "{\"A\":\"xyz\",\"B\":\"xy\"}", true },
	{ "fieldref and endswith", ITEM("A|fieldref|endswith: B"),
	    "{\"A\":\"xyz\",\"B\":\"xy\"}", false },
	{ "fieldref and contains", ITEM("A|fieldref|contains: B"),
	    "{\"A\":\"xyz\",\"B\":\"y\"}", true },
	{ "fieldref to a missing field", ITEM("A|fieldref: B"), "{\"A\":\"x\"}",
	    false },

	{ "keywords are sought in every value",
	    "  k: [foo, bar]\n"
	    "  condition: k\n",
	    "{\"A\":\"a\",\"B\":\"xBARx\"}", true },
	{ "keywords are not sought in names", "  k: [foo]\n  condition: k\n",
	    "{\"foo\":\"a\"}", false },
	{ "keywords are not sought across values",
	    "  k: ['ab']\n  condition: k\n", "{\"A\":\"xa\",\"B\":\"bx\"}",
	    false },
	{ "all keywords, each anywhere",
	    "  k:\n    '|all': [foo, bar]\n"
	    "  condition: k\n",
	    "{\"A\":\"foo\",\"B\":\"bar\"}", true },
	{ "all keywords, one missing",
	    "  k:\n    '|all': [foo, bar]\n"
	    "  condition: k\n",
	    "{\"A\":\"foo\",\"B\":\"baz\"}", false },
	{ "keywords of a text log are sought in the line",
	    "  k: [nginx]\n  condition: k\n",
	    "{\"event\":{\"original\":\"GET /\",\"module\":\"nginx\"}}",
	    false },
	{ "keywords are found in the line",
	    "  k: ['GET*secret']\n"
	    "  condition: k\n",
	    "{\"event\":{\"original\":\"GET /a/secret HTTP\"}}", true },
	{ "a keyword by regular expression",
	    "  k:\n    '|re': 'a[0-9]b'\n"
	    "  condition: k\n",
	    "{\"A\":\"xa7bx\"}", true },
	{ "a keyword that is a number", "  k: [4711]\n  condition: k\n",
	    "{\"A\":\"code 4711.\"}", true },

	{ "and, or: and binds closer",
	    "  a: {A: 1}\n  b: {B: 1}\n  c: {C: 1}\n"
	    "  condition: a or b and c\n",
	    "{\"A\":1}", true },
	{ "not binds closest",
	    "  a: {A: 1}\n  b: {B: 1}\n"
	    "  condition: not a and b\n",
	    "{\"B\":1}", true },
	{ "parentheses",
	    "  a: {A: 1}\n  b: {B: 1}\n  c: {C: 1}\n"
	    "  condition: (a or b) and c\n",
	    "{\"A\":1}", false },
	{ "only a negation", "  a: {A: 1}\n  condition: not a\n", "{\"B\":1}",
	    true },
	{ "a negation of a missing field's value",
	    "  a: {A: 1}\n  b: {B: 2}\n  condition: a and not b\n", "{\"A\":1}",
	    true },
	{ "1 of a pattern",
	    "  s_a: {A: 1}\n  s_b: {B: 1}\n  t: {C: 1}\n"
	    "  condition: 1 of s_*\n",
	    "{\"B\":1}", true },
	{ "1 of a pattern takes no other",
	    "  s_a: {A: 1}\n  t: {C: 1}\n"
	    "  condition: 1 of s_*\n",
	    "{\"C\":1}", false },
	{ "all of a pattern",
	    "  s_a: {A: 1}\n  s_b: {B: 1}\n"
	    "  condition: all of s_*\n",
	    "{\"B\":1}", false },
	{ "a pattern with a star in the middle",
	    "  s_a_x: {A: 1}\n  s_b_x: {B: 1}\n  s_a_y: {C: 1}\n"
	    "  condition: all of s_*_x\n",
	    "{\"A\":1,\"B\":1}", true },
	{ "2 of them",
	    "  a: {A: 1}\n  b: {B: 1}\n  c: {C: 1}\n"
	    "  condition: 2 of them\n",
	    "{\"A\":1,\"C\":1}", true },
	{ "2 of them with one",
	    "  a: {A: 1}\n  b: {B: 1}\n  c: {C: 1}\n"
	    "  condition: 2 of them\n",
	    "{\"C\":1}", false },
	{ "all of them skips _names",
	    "  a: {A: 1}\n  _b: {B: 1}\n"
	    "  condition: all of them\n",
	    "{\"A\":1}", true },
	{ "any of them",
	    "  a: {A: 1}\n  b: {B: 1}\n"
	    "  condition: any of them\n",
	    "{\"B\":1}", true },
	{ "not 1 of",
	    "  a: {A: 1}\n  f_1: {B: 1}\n  f_2: {C: 1}\n"
	    "  condition: a and not 1 of f_*\n",
	    "{\"A\":1,\"C\":1}", false },
	{ "not all of",
	    "  a: {A: 1}\n  f_1: {B: 1}\n  f_2: {C: 1}\n"
	    "  condition: a and not all of f_*\n",
	    "{\"A\":1,\"C\":1}", true },
	{ "a list of conditions is an or",
	    "  a: {A: 1}\n  b: {B: 1}\n"
	    "  condition: [a, b]\n",
	    "{\"B\":1}", true },
	{ "a negated or of two",
	    "  a: {A: 1}\n  b: {B: 1}\n"
	    "  condition: not (a or b)\n",
	    "{\"C\":1}", true },
	{ "a double negation", "  a: {A: 1}\n  condition: not not a\n",
	    "{\"A\":1}", true },
	{ "many texts of a filter",
	    "  a: {A: 1}\n"
	    "  f: {B|contains: [q, w, e, r, t, y]}\n"
	    "  condition: a and not f\n",
	    "{\"A\":1,\"B\":\"xx t xx\"}", false },

	{ "ECS names carry Sigma's fields", ITEM("Image|endswith: '\\a.exe'"),
	    "{\"process\":{\"executable\":\"C:\\\\a.exe\"}}", true },
	{ "Winlogbeat carries Sigma's fields", ITEM("TargetObject: x"),
	    "{\"winlog\":{\"event_data\":{\"TargetObject\":\"x\"}}}", true },
	{ "rendered event XML carries Sigma's fields", ITEM("EventID: 7"),
	    "{\"Event\":{\"System\":{\"EventID\":7}}}", true },
	{ "XML attributes join with _", ITEM("Provider_Name: x"),
	    "{\"Event\":{\"System\":{\"Provider\":{\"#attributes\":"
	    "{\"Name\":\"x\"}}}}}",
	    true },
	{ "user data has one name between", ITEM("Param1: x"),
	    "{\"Event\":{\"UserData\":{\"EventXML\":{\"Param1\":\"x\"}}}}",
	    true },
	{ "SourceName is Provider_Name", ITEM("Provider_Name: x"),
	    "{\"SourceName\":\"x\"}", true },
	{ "a new process of Security is an Image", ITEM("Image: x"),
	    "{\"NewProcessName\":\"x\"}", true },
	{ "hashes are taken from Hashes", ITEM("sha256: ab12"),
	    "{\"Hashes\":\"MD5=FF,SHA256=AB12,IMPHASH=00\"}", true },
	{ "Imphash is taken from Hashes", ITEM("Imphash: '00'"),
	    "{\"Hashes\":\"MD5=FF,SHA256=AB12,IMPHASH=00\"}", true },
#undef ITEM
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4096];
		struct rules_text t;
		struct ruleset *rs;

		(void)snprintf(text, sizeof(text), "%s%s", head,
		    rows[i].detection);
		rs = rules_text_load(&t, text, NULL);
		if (rs == NULL || ruleset_loaded(rs) != 1)
			(void)printf("# %s\n", t.findings);
		CHECK(rs != NULL && ruleset_loaded(rs) == 1 &&
			rules_text_match(rs, rows[i].event, NULL) ==
			    (rows[i].matches ? 1 : 0),
		    "%s", rows[i].name);
		ruleset_unref(rs);
	}
}

static const struct {
	const char *name;
	const char *logsource; /* of the rule */
	struct logsource said;
	const char *event;
	bool matches;
} routes[] = {
	{ "an event of Sysmon 1 is a process creation",
	    "{product: windows, category: process_creation}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
	    "\"EventID\":1}",
	    true },
	{ "an event of Sysmon 3 is not",
	    "{product: windows, category: process_creation}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
	    "\"EventID\":3}",
	    false },
	{ "Security 4688 is one, as Winlogbeat sends it",
	    "{product: windows, category: process_creation}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"winlog\":{\"channel\":\"Security\",\"event_id\":"
	    "\"4688\"}}",
	    true },
	{ "registry_add is told from registry_delete by EventType",
	    "{product: windows, category: registry_add}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
	    "\"EventID\":12,\"EventType\":\"DeleteKey\"}",
	    false },
	{ "sshd is a service of linux", "{product: linux, service: sshd}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"process\":{\"name\":\"sshd\"},"
	    "\"event\":{\"module\":\"system\"}}",
	    true },
	{ "cron is not sshd", "{product: linux, service: sshd}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"process\":{\"name\":\"cron\"},"
	    "\"event\":{\"module\":\"system\"}}",
	    false },
	{ "nginx is a web server", "{category: webserver}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"event\":{\"dataset\":\"nginx.access\"}}", true },
	{ "an unknown product says it itself", "{product: acme}",
	    { .product = { NULL, 0 } },
	    "{\"A\":1,\"event\":{\"module\":\"acme\"}}", true },
	{ "an unknown product is not everything", "{product: acme}",
	    { .product = { NULL, 0 } }, "{\"A\":1}", false },
	{ "a logsource can be said from outside",
	    "{product: windows, category: process_creation}",
	    { .product = SLICE_INIT("windows"),
		.category = SLICE_INIT("process_creation") },
	    "{\"A\":1}", true },
	{ "what is said wins over the event",
	    "{product: windows, category: process_creation}",
	    { .category = SLICE_INIT("file_event") },
	    "{\"A\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
	    "\"EventID\":1}",
	    false },
	{ "what is not said comes from the event",
	    "{product: windows, service: security}",
	    { .product = SLICE_INIT("windows") },
	    "{\"A\":1,\"Channel\":\"Security\"}", true },
};

static void
test_routes(void)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		char text[4096];
		struct rules_text t;
		struct ruleset *rs;

		(void)snprintf(text, sizeof(text),
		    "title: a rule\nlogsource: %s\ndetection:\n"
		    "  s: {A: 1}\n  condition: s\n",
		    routes[i].logsource);
		rs = rules_text_load(&t, text, NULL);
		CHECK(rs != NULL &&
			rules_text_match(rs, routes[i].event,
			    &routes[i].said) == (routes[i].matches ? 1 : 0),
		    "%s", routes[i].name);
		ruleset_unref(rs);
	}
}

static void
test_expand(void)
{
	char admins[] = "Administrators", one[] = "root", two[] = "Админ*";
	char *names[] = { admins, admins };
	char *values[] = { one, two };
	struct conf_map map = { .names = names, .values = values, .n = 2 };
	static const char text[] =
	    "title: a rule\nlogsource: {}\ndetection:\n"
	    "  s: {A|expand: 'x %Administrators%'}\n  condition: s\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, &map);

	CHECK(rs != NULL &&
		rules_text_match(rs, "{\"A\":\"x root\"}", NULL) == 1,
	    "a placeholder takes its first value");
	CHECK(rs != NULL &&
		rules_text_match(rs, "{\"A\":\"x админы\"}", NULL) == 1,
	    "a placeholder takes its second value, a pattern");
	CHECK(rs != NULL &&
		rules_text_match(rs, "{\"A\":\"x %Administrators%\"}", NULL) ==
		    0,
	    "a placeholder is not its name");
	ruleset_unref(rs);
	rs = rules_text_load(&t, text, NULL);
	CHECK(rs != NULL && ruleset_loaded(rs) == 0 &&
		strstr(t.findings, "%Administrators%") != NULL,
	    "a placeholder without a value refuses the rule by name");
	ruleset_unref(rs);
}

static void
test_order(void)
{
	static const char text[] =
	    "title: one\nlogsource: {}\ndetection:\n  s: {A: 1}\n"
	    "  condition: s\n---\n"
	    "title: two\nlogsource: {}\ndetection:\n  s: {B: 1}\n"
	    "  condition: not s\n---\n"
	    "title: three\nlogsource: {}\ndetection:\n  s: {A: '1'}\n"
	    "  condition: s\n";
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t, text, NULL);
	struct matcher *m = matcher_new(rs);
	struct arena *arena = arena_new(4096);
	struct event ev;
	const uint32_t *hits;
	uint32_t n;

	event_begin(&ev, arena);
	event_set_int(&ev, field_intern(SLICE("A")), 1);
	hits = matcher_run(m, &ev, NULL, &n);
	CHECK(n == 3 && hits[0] == 0 && hits[1] == 1 && hits[2] == 2,
	    "matches come in the order of the rules");
	event_set_int(&ev, field_intern(SLICE("B")), 1);
	(void)matcher_run(m, &ev, NULL, &n);
	CHECK(n == 2, "a matcher forgets the event before");
	event_set_int(&ev, field_intern(SLICE("a name made later")), 1);
	(void)matcher_run(m, &ev, NULL, &n);
	CHECK(n == 2, "a field made after the matcher does no harm");
	matcher_free(m);
	ruleset_unref(rs);
	arena_free(arena);
}

/* An event of sshd or not, with as many more fields as `shape` has bits. */
static void
shaped_event(struct event *ev, struct arena *arena, unsigned shape,
    const char *process)
{
	struct error err;
	char json[1024];
	int n = snprintf(json, sizeof(json), "{\"A\":1,");

	for (unsigned bit = 0; bit < 10; bit++)
		if ((shape >> bit & 1) != 0)
			n += snprintf(json + n, sizeof(json) - (size_t)n,
			    "\"x%u\":%u,", bit, shape);
	n += snprintf(json + n, sizeof(json) - (size_t)n,
	    "\"event\":{\"module\":\"system\"},"
	    "\"process\":{\"name\":%s}}",
	    process);
	event_begin(ev, arena);
	(void)json_read_event(arena_copy(arena,
				  (struct slice){ json, (size_t)n }),
	    &json_limits_default, ev, &err);
}

/* More shapes than a matcher keeps, and more that decides than it keeps. */
static void
test_shapes(void)
{
	static const struct {
		const char *process;
		uint32_t matches;
	} names[] = { { "\"sshd\"", 1 }, { "\"cron\"", 0 }, { "[\"sshd\"]", 1 },
		{ "[\"cron\",\"sshd\"]", 1 }, { "[\"cron\",\"su\"]", 0 },
		{ "\"su\"", 0 }, { "\"sudo\"", 0 }, { "null", 0 },
		{ "\"sshx\"", 0 } };
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t,
	    "title: a rule\nlogsource: {product: linux, service: sshd}\n"
	    "detection:\n  s: {A: 1}\n  condition: s\n",
	    NULL);
	struct matcher *m = matcher_new(rs);
	struct arena *arena = arena_new(65536);
	unsigned wrong = 0;

	for (unsigned i = 0; i < 8000; i++) {
		size_t of = i % (sizeof(names) / sizeof(names[0]));
		struct event ev;
		uint32_t n;

		arena_reset(arena);
		shaped_event(&ev, arena, i < 4000 ? i / 9 : i % 700,
		    names[of].process);
		(void)matcher_run(m, &ev, NULL, &n);
		wrong += n != names[of].matches;
	}
	CHECK(wrong == 0,
	    "events of many shapes, sources and lists in turn keep apart");
	arena_free(arena);
	matcher_free(m);
	ruleset_unref(rs);
}

/* What backtracks without end is given up, and counted. */
static void
test_given_up(void)
{
	struct rules_text t;
	struct ruleset *rs = rules_text_load(&t,
	    "title: a rule\nlogsource: {}\ndetection:\n"
	    "  s: {A|re: '^(a|aa)+(?=!)b?\\1$'}\n  condition: s\n",
	    NULL);
	struct matcher *m = matcher_new(rs);
	struct arena *arena = arena_new(4096);
	struct event ev;
	uint32_t n;

	event_begin(&ev, arena);
	event_set_string(&ev, field_intern(SLICE("A")), SLICE("ab"));
	(void)matcher_run(m, &ev, NULL, &n);
	CHECK(n == 0 && matcher_given_up(m) == 0,
	    "an expression that ends is not given up");
	event_set_string(&ev, field_intern(SLICE("A")),
	    SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"));
	(void)matcher_run(m, &ev, NULL, &n);
	CHECK(n == 0 && matcher_given_up(m) == 1,
	    "one that takes too many steps is, and is counted");
	CHECK(matcher_given_up(m) == 0, "once");
	matcher_free(m);
	ruleset_unref(rs);
	arena_free(arena);
}

int
main(void)
{
	test_rows();
	test_routes();
	test_shapes();
	test_expand();
	test_given_up();
	test_order();
	return tap_done();
}
