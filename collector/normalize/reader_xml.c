/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML by expat: <Event><System><EventID Qualifiers="0">7</EventID></System>
 * gives System.EventID = 7 and System.EventID.Qualifiers = 0; the root has no
 * name.  <Data Name="x">y</Data> is EventData.x = y, as Windows means it.
 *
 * No entity is ever expanded beyond the five of XML: a document with a DOCTYPE
 * is not read.
 */
#include <expat.h>

#include "reader.h"

enum {
	DEPTH_MAX = 16,
	NAME_TEXT = 256,
	TEXT_MAX = 64 * 1024,
	VALUES_MAX = 1024
};

struct reading {
	XML_Parser parser;
	const struct reader *reader;
	struct apply *apply;
	char name[NAME_TEXT];
	size_t lengths[DEPTH_MAX]; /* of `name` outside of each element */
	unsigned depth;
	unsigned values;
	struct buf text;
	bool leaf; /* no element has ended within this one */
};

static void
give(struct reading *x, struct slice name, struct slice value)
{
	if (name.len == 0 || ++x->values > VALUES_MAX)
		return;
	reader_value(x->reader, arena_copy(x->apply->ev->arena, name),
	    arena_copy(x->apply->ev->arena, value), x->apply);
}

static size_t
append(char name[NAME_TEXT], size_t len, const char *part)
{
	size_t n = strlen(part);

	if (len + n + 1 > NAME_TEXT)
		return len;
	if (len > 0)
		name[len++] = '.';
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a slice */
	memcpy(name + len, part, n);
	return len + n;
}

static void XMLCALL
on_start(void *ctx, const XML_Char *element, const XML_Char **attributes)
{
	struct reading *x = ctx;
	const char *called = element;
	size_t len;

	if (x->depth == DEPTH_MAX) {
		(void)XML_StopParser(x->parser, XML_FALSE);
		return;
	}
	len = x->depth > 0 ? x->lengths[x->depth - 1] : 0;
	for (size_t i = 0; attributes[i] != NULL; i += 2)
		if (strcmp(attributes[i], "Name") == 0 &&
		    strcmp(element, "Data") == 0)
			called = attributes[i + 1];
	if (x->depth > 0)
		len = append(x->name, len, called);
	for (size_t i = 0; attributes[i] != NULL; i += 2) {
		size_t whole = append(x->name, len, attributes[i]);

		if (called == element &&
		    strncmp(attributes[i], "xmlns", 5) != 0)
			give(x, (struct slice){ x->name, whole },
			    (struct slice){ attributes[i + 1],
				strlen(attributes[i + 1]) });
	}
	x->lengths[x->depth++] = len;
	buf_clear(&x->text);
	x->leaf = true;
}

static void XMLCALL
on_end(void *ctx, const XML_Char *element)
{
	struct reading *x = ctx;

	(void)element;
	x->depth--;
	if (x->leaf)
		give(x, (struct slice){ x->name, x->lengths[x->depth] },
		    buf_slice(&x->text));
	x->leaf = false;
	buf_clear(&x->text);
}

static void XMLCALL
on_text(void *ctx, const XML_Char *text, int len)
{
	struct reading *x = ctx;

	(void)buf_add(&x->text, text, (size_t)len);
}

static void XMLCALL
on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
    const XML_Char *public, int internal)
{
	struct reading *x = ctx;

	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	(void)XML_StopParser(x->parser, XML_FALSE);
}

void
read_xml(const struct reader *r, struct slice text, struct apply *a)
{
	struct reading x = { .reader = r, .apply = a };

	if (text.len > INT32_MAX)
		return;
	x.parser = XML_ParserCreate("UTF-8");
	if (x.parser == NULL)
		return;
	buf_init(&x.text, TEXT_MAX);
	XML_SetUserData(x.parser, &x);
	XML_SetElementHandler(x.parser, on_start, on_end);
	XML_SetCharacterDataHandler(x.parser, on_text);
	XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
	(void)XML_Parse(x.parser, text.ptr, (int)text.len, XML_TRUE);
	XML_ParserFree(x.parser);
	buf_fini(&x.text);
}
