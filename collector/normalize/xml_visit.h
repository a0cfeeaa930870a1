/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document of XML, element by element, by expat.  No entity is ever expanded
 * beyond the five of XML: a document with a DOCTYPE is not read.
 */
#pragma once

#include <stdbool.h>

#include "slice.h"

/* Deeper ones are not read. */
enum { XML_VISIT_DEPTH_MAX = 16 };

enum xml_visited {
	XML_VISITED_ALL,
	XML_VISITED_DAMAGED, /* as far as it could be read */
	XML_VISITED_REFUSED, /* by start(), its depth or a DOCTYPE */
};

struct xml_visitor {
	size_t text_max; /* bytes of one element; what does not fit is left */
	/* An element begins, the root at depth 0; attributes are names and
	 * values in turn, up to NULL.  False: refused. */
	bool (*start)(void *ctx, unsigned depth, const char *element,
	    const char **attributes);
	/* It ends.  Its text, and a NUL behind that, where no element ended
	 * within it, else ptr NULL. */
	void (*end)(void *ctx, unsigned depth, struct slice text);
};

enum xml_visited xml_visit(struct slice document, const struct xml_visitor *v,
    void *ctx);
