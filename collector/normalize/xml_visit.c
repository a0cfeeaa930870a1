/* SPDX-License-Identifier: Apache-2.0 */
#include "xml_visit.h"

#include <expat.h>
#include <stdint.h>

#include "buf.h"

struct visit {
	XML_Parser parser;
	const struct xml_visitor *visitor;
	void *ctx;
	unsigned depth;
	struct buf text;
	bool leaf; /* no element has ended within this one */
	bool refused;
};

static void
refuse(struct visit *x)
{
	x->refused = true;
	(void)XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL
on_start(void *ctx, const XML_Char *element, const XML_Char **attributes)
{
	struct visit *x = ctx;

	if (x->depth == XML_VISIT_DEPTH_MAX ||
	    !x->visitor->start(x->ctx, x->depth, element, attributes)) {
		refuse(x);
		return;
	}
	x->depth++;
	x->leaf = true;
	buf_clear(&x->text);
}

static void XMLCALL
on_end(void *ctx, const XML_Char *element)
{
	struct visit *x = ctx;
	struct slice text = { NULL, 0 };

	(void)element;
	if (x->leaf) {
		(void)buf_add_char(&x->text, '\0');
		text = (struct slice){ x->text.ptr, x->text.len - 1 };
	}
	x->visitor->end(x->ctx, --x->depth, text);
	x->leaf = false;
	buf_clear(&x->text);
}

static void XMLCALL
on_text(void *ctx, const XML_Char *text, int len)
{
	struct visit *x = ctx;

	if ((size_t)len <= x->visitor->text_max - x->text.len)
		(void)buf_add(&x->text, text, (size_t)len);
}

static void XMLCALL
on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
    const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(ctx);
}

enum xml_visited
xml_visit(struct slice document, const struct xml_visitor *v, void *ctx)
{
	struct visit x = { .visitor = v, .ctx = ctx };
	enum XML_Status status;

	if (document.len > INT32_MAX)
		return XML_VISITED_REFUSED;
	x.parser = XML_ParserCreate("UTF-8");
	if (x.parser == NULL)
		return XML_VISITED_REFUSED;
	buf_init(&x.text, v->text_max + 1); /* and its NUL */
	XML_SetUserData(x.parser, &x);
	XML_SetElementHandler(x.parser, on_start, on_end);
	XML_SetCharacterDataHandler(x.parser, on_text);
	XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
	status = XML_Parse(x.parser, document.ptr, (int)document.len, XML_TRUE);
	XML_ParserFree(x.parser);
	buf_fini(&x.text);
	if (x.refused)
		return XML_VISITED_REFUSED;
	return status == XML_STATUS_OK ? XML_VISITED_ALL : XML_VISITED_DAMAGED;
}
