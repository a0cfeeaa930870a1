/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML: <Event><System><EventID Qualifiers="0">7</EventID></System>
 * gives System.EventID = 7 and System.EventID.Qualifiers = 0; the root has no
 * name.  <Data Name="x">y</Data> is EventData.x = y, as Windows means it.
 */
#include "reader.h"
#include "xml_visit.h"

enum { NAME_TEXT = 256, TEXT_MAX = 64 * 1024, VALUES_MAX = 1024 };

struct reading {
	const struct reader *reader;
	struct apply *apply;
	char name[NAME_TEXT];
	size_t lengths[XML_VISIT_DEPTH_MAX]; /* of `name` within each element */
	unsigned values;
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

static bool
on_start(void *ctx, unsigned depth, const char *element,
    const char **attributes)
{
	struct reading *x = ctx;
	const char *called = element;
	size_t len = depth > 0 ? x->lengths[depth - 1] : 0;

	for (size_t i = 0; attributes[i] != NULL; i += 2)
		if (strcmp(attributes[i], "Name") == 0 &&
		    strcmp(element, "Data") == 0)
			called = attributes[i + 1];
	if (depth > 0)
		len = append(x->name, len, called);
	for (size_t i = 0; attributes[i] != NULL; i += 2) {
		size_t whole = append(x->name, len, attributes[i]);

		if (called == element &&
		    strncmp(attributes[i], "xmlns", 5) != 0)
			give(x, (struct slice){ x->name, whole },
			    (struct slice){ attributes[i + 1],
				strlen(attributes[i + 1]) });
	}
	x->lengths[depth] = len;
	return true;
}

static void
on_end(void *ctx, unsigned depth, struct slice text)
{
	struct reading *x = ctx;

	if (text.ptr != NULL)
		give(x, (struct slice){ x->name, x->lengths[depth] }, text);
}

void
read_xml(const struct reader *r, struct slice text, struct apply *a)
{
	static const struct xml_visitor visitor = { .text_max = TEXT_MAX,
		.start = on_start,
		.end = on_end };
	struct reading x = { .reader = r, .apply = a };

	(void)xml_visit(text, &visitor, &x);
}
