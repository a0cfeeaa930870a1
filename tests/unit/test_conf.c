/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "tap.h"

struct item {
	char *name;
	int64_t bytes;
};

struct settings {
	char *address;
	char *ca;
	bool has_kafka;
	struct conf_strings brokers;
	struct conf_map properties;
	int level;
	int64_t count, size, span, rate;
	bool on;
	struct conf_strings paths;
	struct conf_list items;
};

static const char *const levels[] = { "low", "high", NULL };

static const struct conf_option item_table[] = {
	{ "name", CONF_STRING, offsetof(struct item, name), .required = true,
	    .help = "Its name." },
	{ "bytes", CONF_SIZE, offsetof(struct item, bytes), .def = "1KiB",
	    .help = "Its size." },
	{ .key = NULL },
};

static const struct conf_option table[] = {
	{ "listeners.beats.address", CONF_ADDRESS,
	    offsetof(struct settings, address), .help = "Where to listen." },
	{ "tls.ca", CONF_PATH, offsetof(struct settings, ca), .required = true,
	    .help = "Who may come." },
	{ .key = "kafka",
	    .type = CONF_SECTION,
	    .offset = offsetof(struct settings, has_kafka) },
	{ "kafka.brokers", CONF_ADDRESSES, offsetof(struct settings, brokers),
	    .required = true, .help = "Where Kafka is." },
	{ "kafka.properties", CONF_MAP, offsetof(struct settings, properties),
	    .help = "More." },
	{ "level", CONF_CHOICE, offsetof(struct settings, level), .def = "low",
	    .choices = levels, .help = "How much." },
	{ "count", CONF_INT, offsetof(struct settings, count), .def = "3",
	    .min = 1, .max = 9, .help = "How many." },
	{ "size", CONF_SIZE, offsetof(struct settings, size), .def = "64KiB",
	    .min = 1024, .max = 8 << 20, .help = "How big." },
	{ "span", CONF_DURATION, offsetof(struct settings, span), .def = "30s",
	    .help = "How long." },
	{ "rate", CONF_SIZE, offsetof(struct settings, rate), .def = "20MB/s",
	    .help = "How fast." },
	{ "on", CONF_BOOL, offsetof(struct settings, on), .def = "true",
	    .help = "Whether." },
	{ "paths", CONF_PATHS, offsetof(struct settings, paths),
	    .def = "[a, /b]", .help = "Which." },
	{ "items", CONF_LIST, offsetof(struct settings, items),
	    .items = item_table, .item_size = sizeof(struct item),
	    .help = "All of them." },
	{ .key = NULL },
};

static const struct {
	const char *name;
	const char *text;
	const char *expect;
} bad[] = {
	{ "an unknown key", "tls: {ca: x}\nlevels: 1\n",
	    "d/c.yml:2: levels: unknown key; known here: listeners, tls, "
	    "kafka, level, count, size, span, rate, on, paths, items" },
	{ "an unknown key in a section", "tls:\n  ca: x\n  key: y\n",
	    "d/c.yml:3: tls.key: unknown key; known here: ca" },
	{ "an unknown key in a list", "tls: {ca: x}\nitems:\n- nam: x\n",
	    "d/c.yml:3: items[0].nam: unknown key; known here: name, bytes" },
	{ "a dotted key", "tls.ca: x\n",
	    "d/c.yml:1: tls.ca: unknown key; known here: listeners, tls, "
	    "kafka, level, count, size, span, rate, on, paths, items" },
	{ "a key given twice", "tls: {ca: x}\non: true\non: true\n",
	    "d/c.yml:3: on: given twice, first at line 2: keep one; several "
	    "values are a list" },
	{ "what is required and absent", "on: true\n",
	    "d/c.yml:1: tls.ca: is missing and has no default" },
	{ "what is required in a section given", "tls: {ca: x}\nkafka:\n",
	    "d/c.yml:1: kafka.brokers: is missing and has no default" },
	{ "what is required in an item", "tls: {ca: x}\nitems:\n- bytes: 1\n",
	    "d/c.yml:3: items[0].name: is missing and has no default" },
	{ "a number out of range", "tls: {ca: x}\ncount: 10\n",
	    "d/c.yml:2: count: '10' is not allowed: a whole number from 1 to "
	    "9" },
	{ "a text for a number", "tls: {ca: x}\ncount: many\n",
	    "d/c.yml:2: count: 'many' is not allowed: a whole number from 1 to "
	    "9" },
	{ "a size out of range", "tls: {ca: x}\nsize: 9MiB\n",
	    "d/c.yml:2: size: '9MiB' is not allowed: a size such as 64KiB, "
	    "8MiB, 20MB from 1KiB to 8MiB" },
	{ "a time without its unit", "tls: {ca: x}\nspan: 10\n",
	    "d/c.yml:2: span: '10' is not allowed: a time such as 10ms, 30s, "
	    "12h, 30d" },
	{ "a rate where a size is due", "tls: {ca: x}\nsize: 2MB/s\n",
	    "d/c.yml:2: size: '2MB/s' is not allowed: a size such as 64KiB, "
	    "8MiB, 20MB from 1KiB to 8MiB" },
	{ "no choice", "tls: {ca: x}\nlevel: some\n",
	    "d/c.yml:2: level: 'some' is not allowed: one of low, high" },
	{ "yes for true", "tls: {ca: x}\non: yes\n",
	    "d/c.yml:2: on: 'yes' is not allowed: true or false" },
	{ "an address without a port",
	    "tls: {ca: x}\nlisteners:\n  beats:\n    address: localhost\n",
	    "d/c.yml:4: listeners.beats.address: 'localhost' is not allowed: "
	    "HOST:PORT or [IPv6]:PORT" },
	{ "a section for a value", "tls: {ca: {x: y}}\n",
	    "d/c.yml:1: tls.ca: a section is not allowed: a path" },
	{ "a value for a section", "tls: x\n",
	    "d/c.yml:1: tls: must be a section" },
	{ "a key without value", "tls: {ca: x}\npaths:\n",
	    "d/c.yml:2: paths: '' is not allowed: a list of paths" },
	{ "a list at the top", "- a\n",
	    "d/c.yml:1: must be keys with values, such as \"key: value\"" },
	{ "a list of texts for one of sections", "tls: {ca: x}\nitems: [a]\n",
	    "d/c.yml:2: items: each item must be a section" },
};

static void
test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice text = { bad[i].text, strlen(bad[i].text) };
		struct settings s = { .on = false };
		struct error err = { .text = "" };
		enum rc rc = conf_parse("d/c.yml", text, table, &s, &err);

		CHECK(rc != RC_OK && strcmp(err.text, bad[i].expect) == 0,
		    "%s is refused: %s", bad[i].name, err.text);
		conf_free(table, &s);
	}
}

static void
test_defaults(void)
{
	struct settings s = { .on = false };
	struct error err = { .text = "" };
	enum rc rc =
	    conf_parse("d/c.yml", SLICE("tls: {ca: x}"), table, &s, &err);

	CHECK(rc == RC_OK, "the least that works: %s", err.text);
	CHECK(s.level == 0 && s.count == 3 && s.size == 65536 && s.on &&
		s.span == 30000000000LL && s.rate == 20000000,
	    "defaults are there");
	CHECK(s.paths.n == 2 && strcmp(s.paths.items[0], "d/a") == 0 &&
		strcmp(s.paths.items[1], "/b") == 0,
	    "a default list is read as the file's");
	CHECK(strcmp(s.ca, "d/x") == 0, "a path begins at the file's folder");
	CHECK(!conf_has(&s, table, "kafka") &&
		!conf_has(&s, table, "listeners") && conf_has(&s, table, "tls"),
	    "sections that are not there are not");
	conf_free(table, &s);
}

static void
test_all(void)
{
	static const struct slice text = SLICE_INIT(
	    "listeners:\n  beats: {address: '[::1]:5044'}\ntls:\n  ca: /x\n"
	    "kafka:\n  brokers: 127.0.0.1:9092\n"
	    "  properties: {security.protocol: plaintext, a: 1}\n"
	    "level: high\ncount: 9\nsize: 8MiB\nspan: 12h\nrate: 0\n"
	    "on: false\npaths: one\n"
	    "items:\n  - name: a\n  - {name: b, bytes: 5}\n");
	struct settings s = { .on = false };
	struct error err = { .text = "" };
	enum rc rc = conf_parse("c.yml", text, table, &s, &err);
	const struct item *items = s.items.items;

	CHECK(rc == RC_OK, "everything given: %s", err.text);
	if (rc != RC_OK)
		return;
	CHECK(strcmp(s.address, "[::1]:5044") == 0, "IPv6 in brackets");
	CHECK(conf_has(&s, table, "listeners.beats") && s.has_kafka,
	    "sections that are there are");
	CHECK(s.brokers.n == 1 && s.brokers.line == 6, "a scalar is a list");
	CHECK(s.properties.n == 2 &&
		strcmp(s.properties.names[0], "security.protocol") == 0 &&
		strcmp(s.properties.values[1], "1") == 0 &&
		s.properties.lines[1] == 7,
	    "names with values");
	CHECK(s.level == 1 && s.count == 9 && s.size == 8 << 20 && !s.on &&
		s.span == 43200000000000LL && s.rate == 0,
	    "values are the file's");
	CHECK(s.paths.n == 1 && strcmp(s.paths.items[0], "./one") == 0,
	    "a file without folder is in this one");
	CHECK(s.items.n == 2 && s.items.lines[1] == 17 &&
		items[0].bytes == 1024 && items[1].bytes == 5 &&
		strcmp(items[1].name, "b") == 0,
	    "items have defaults and lines");
	conf_free(table, &s);
}

static void
test_help(void)
{
	struct buf out;

	buf_init(&out, 65536);
	conf_help(table, &out);
	(void)buf_add_char(&out, '\0');
	CHECK(strstr(out.ptr,
		  "  count                          How many. (a whole number "
		  "from 1 to 9; default 3)\n") != NULL,
	    "help says key, help, what is allowed and default");
	CHECK(strstr(out.ptr, "  items[].name ") != NULL,
	    "help shows what is in a list");
	buf_fini(&out);
}

static void
test_address(void)
{
	char host[ADDRESS_HOST], text[ADDRESS_TEXT];
	uint16_t port = 0;

	CHECK(address_split("[::1]:5044", host, &port) &&
		strcmp(host, "::1") == 0 && port == 5044,
	    "IPv6 is taken apart");
	address_join(host, port, text);
	CHECK(strcmp(text, "[::1]:5044") == 0, "and put together");
	CHECK(address_split("a.example:0", host, &port) && port == 0,
	    "port 0 is any port");
	CHECK(!address_split("::1:5044", host, &port) &&
		!address_split("a:70000", host, &port) &&
		!address_split(":1", host, &port) &&
		!address_split("a:", host, &port) &&
		!address_split("[a:1", host, &port) &&
		!address_split("a:1x", host, &port) &&
		!address_split("]:1", host, &port),
	    "what is no address is refused");
}

int
main(void)
{
	test_bad();
	test_defaults();
	test_all();
	test_help();
	test_address();
	return tap_done();
}
