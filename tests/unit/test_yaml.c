/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* The tree as text: {k:v,} [v,] 'quoted' plain, each document ends with ; */
static void
show(struct buf *out, const struct yaml_node *n)
{
	if (n == NULL) {
		(void)buf_add_str(out, "(none)");
		return;
	}
	if (n->kind == YAML_SCALAR) {
		(void)buf_printf(out, n->plain ? "%s" : "'%s'", n->text.ptr);
		return;
	}
	(void)buf_add_char(out, n->kind == YAML_MAPPING ? '{' : '[');
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == YAML_MAPPING)
			(void)buf_printf(out, "%s:", n->keys[i]->text.ptr);
		show(out, n->items[i]);
		(void)buf_add_char(out, ',');
	}
	(void)buf_add_char(out, n->kind == YAML_MAPPING ? '}' : ']');
}

static const struct {
	const char *name;
	const char *text;
	const char *expect;
} good[] = {
	{ "a scalar is a document", "abc", "abc;" },
	{ "no document in an empty text", "", "" },
	{ "an empty document has no root", "---\n---\na: 1\n",
	    "(none);{a:1,};" },
	{ "mappings and sequences nest", "a: [1, {b: 'x'}]\nc:\n  - \"y\"\n",
	    "{a:[1,{b:'x',},],c:['y',],};" },
	{ "documents follow each other", "a: 1\n---\nb: 2\n",
	    "{a:1,};{b:2,};" },
	{ "a tagged scalar is no plain one", "a: !!str 1\n", "{a:'1',};" },
	{ "block texts keep their lines", "a: |\n  x\n  y\n",
	    "{a:'x\ny\n',};" },
	{ "a BOM is not text",
	    "\xef\xbb\xbf"
	    "a: 1",
	    "{a:1,};" },
};

static const struct {
	const char *name;
	const char *text;
	const char *expect;
} bad[] = {
	{ "a key given twice", "a: 1\nb: 2\na: 3\n",
	    "t.yml:3: a: given twice, first at line 1: keep one; several "
	    "values are a list" },
	{ "an alias", "a: &x 1\nb: *x\n",
	    "t.yml:2: aliases are not allowed: quote a text that "
	    "begins with *" },
	{ "a mapping as key", "? {a: 1}\n: 2\n",
	    "t.yml:1: a key must be a text" },
	{ "a tab as indent", "a:\n\tb: 1\n",
	    "t.yml:2: found character that cannot start any token: YAML is "
	    "indented with blanks, never with tabs" },
	{ "bytes that are no text", "a: \xff\xfe\n",
	    "t.yml:1: invalid leading UTF-8 octet: save it as text in UTF-8, "
	    "if it is text" },
	{ "control characters",
	    "\x7f"
	    "ELF\x02\x01",
	    "t.yml:1: control characters are not allowed: it is no text, or not "
	    "in UTF-8; in double quotes \\x1b writes such a character" },
	{ "nesting beyond the bound",
	    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	    "]]]",
	    "t.yml:1: nested too deep (32 at most)" },
};

static void
test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct slice text = { good[i].text, strlen(good[i].text) };
		struct yaml_file *y;
		struct error err;
		struct buf out;

		buf_init(&out, 4096);
		if (yaml_parse("t.yml", text, &y, &err) != RC_OK) {
			CHECK(false, "%s: %s", good[i].name, err.text);
			continue;
		}
		for (size_t d = 0; d < yaml_documents(y); d++) {
			show(&out, yaml_root(y, d));
			(void)buf_add_char(&out, ';');
		}
		(void)buf_add_char(&out, '\0');
		CHECK(strcmp(out.ptr, good[i].expect) == 0, "%s", good[i].name);
		buf_fini(&out);
		yaml_free(y);
	}
}

static void
test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice text = { bad[i].text, strlen(bad[i].text) };
		struct yaml_file *y;
		struct error err = { .text = "" };
		enum rc rc = yaml_parse("t.yml", text, &y, &err);

		CHECK(rc != RC_OK && y == NULL &&
			strcmp(err.text, bad[i].expect) == 0,
		    "%s is refused: %s", bad[i].name, err.text);
	}
}

static void
test_bounds(void)
{
	static char text[(1 << 20) + 1];
	struct yaml_file *y;
	struct error err;

	memset(text, 'a', sizeof(text));
	CHECK(yaml_parse("t.yml", (struct slice){ text, sizeof(text) }, &y,
		  &err) == RC_LIMIT,
	    "more than 1 MiB is refused");
	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		text[i] = i == 0 ? '[' : ',';
	CHECK(yaml_parse("t.yml", (struct slice){ text, 900000 }, &y, &err) ==
		RC_LIMIT,
	    "more than 200,000 nodes are refused: %s", err.text);
	CHECK(yaml_load("/nonexistent.yml", &y, &err) == RC_SYSTEM &&
		strncmp(err.text, "/nonexistent.yml: ", 18) == 0,
	    "an absent file is named: %s", err.text);
}

static void
test_scalars(void)
{
	static const char text[] =
	    "{n: ~, e: , t: true, f: False, y: yes, i: -12, x: 0xff, o: 0o17,"
	    " q: '1', d: 1.5e3, p: +.inf, w: 1-2, big: 99999999999999999999}";
	struct yaml_file *y = NULL;
	const struct yaml_node *root;
	struct error err;
	int64_t i = 0;
	double d = 0;
	bool b = false;

	if (yaml_parse("t", (struct slice){ text, sizeof(text) - 1 }, &y,
		&err) != RC_OK) {
		CHECK(false, "scalars parse: %s", err.text);
		return;
	}
	root = yaml_root(y, 0);
	CHECK(yaml_is_null(yaml_get(root, "n")) &&
		yaml_is_null(yaml_get(root, "e")) &&
		!yaml_is_null(yaml_get(root, "t")),
	    "null is ~ or nothing");
	CHECK(yaml_bool(yaml_get(root, "t"), &b) && b, "true is true");
	CHECK(yaml_bool(yaml_get(root, "f"), &b) && !b, "False is false");
	CHECK(!yaml_bool(yaml_get(root, "y"), &b), "yes is a text");
	CHECK(yaml_int(yaml_get(root, "i"), &i) && i == -12, "-12 is a number");
	CHECK(yaml_int(yaml_get(root, "x"), &i) && i == 255, "0xff is 255");
	CHECK(yaml_int(yaml_get(root, "o"), &i) && i == 15, "0o17 is 15");
	CHECK(!yaml_int(yaml_get(root, "q"), &i), "'1' is a text");
	CHECK(!yaml_int(yaml_get(root, "w"), &i), "1-2 is a text");
	CHECK(!yaml_int(yaml_get(root, "big"), &i), "no silent overflow");
	CHECK(!yaml_int(yaml_get(root, "none"), &i), "an absent key is none");
	CHECK(yaml_double(yaml_get(root, "d"), &d) && d > 1499 && d < 1501,
	    "1.5e3 is 1500");
	CHECK(yaml_double(yaml_get(root, "p"), &d) && d > 1e300, "+.inf");
	CHECK(!yaml_double(yaml_get(root, "w"), &d), "1-2 is no double");
	CHECK(yaml_get(root, "d")->line == 1 &&
		yaml_get(root, "n")->column == 5,
	    "nodes know their place");
	yaml_free(y);
}

int
main(void)
{
	test_good();
	test_bad();
	test_bounds();
	test_scalars();
	return tap_done();
}
