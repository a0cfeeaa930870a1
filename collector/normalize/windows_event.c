/* SPDX-License-Identifier: Apache-2.0 */
#include "windows_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "timestamp.h"
#include "xml_visit.h"

enum { NAME_TEXT = 256, PARAM_TEXT = 24 };

enum part { PART_NONE, PART_SYSTEM, PART_DATA, PART_USER, PART_RENDERED };

/* How a value is kept. */
enum kind { KIND_TEXT, KIND_INT, KIND_LIST, KIND_TIME, KIND_LEVEL, KIND_BITS };

struct reading {
	struct event *object;
	const struct timestamp_hints *hints;
	enum part part;
	unsigned unnamed;     /* <Data> without a name so far */
	char name[NAME_TEXT]; /* of the element or its Name="…" */
};

/* Elements of Windows' schema, or their attributes, and Winlogbeat's names. */
static const struct place {
	enum part part;
	enum kind kind;
	const char *element;
	const char *attribute; /* NULL: the element's text */
	struct slice field;
} places[] = {
	{ PART_SYSTEM, KIND_TEXT, "Provider", "Name",
	    SLICE_INIT("winlog.provider_name") },
	{ PART_SYSTEM, KIND_TEXT, "Provider", "Guid",
	    SLICE_INIT("winlog.provider_guid") },
	{ PART_SYSTEM, KIND_INT, "EventID", NULL,
	    SLICE_INIT("winlog.event_id") },
	{ PART_SYSTEM, KIND_INT, "Version", NULL,
	    SLICE_INIT("winlog.version") },
	{ PART_SYSTEM, KIND_LEVEL, "Level", NULL, SLICE_INIT("log.level") },
	{ PART_SYSTEM, KIND_BITS, "Keywords", NULL,
	    SLICE_INIT("winlog.keywords") },
	{ PART_SYSTEM, KIND_TIME, "TimeCreated", "SystemTime",
	    SLICE_INIT("@timestamp") },
	{ PART_SYSTEM, KIND_INT, "EventRecordID", NULL,
	    SLICE_INIT("winlog.record_id") },
	{ PART_SYSTEM, KIND_TEXT, "Correlation", "ActivityID",
	    SLICE_INIT("winlog.activity_id") },
	{ PART_SYSTEM, KIND_TEXT, "Correlation", "RelatedActivityID",
	    SLICE_INIT("winlog.related_activity_id") },
	{ PART_SYSTEM, KIND_INT, "Execution", "ProcessID",
	    SLICE_INIT("winlog.process.pid") },
	{ PART_SYSTEM, KIND_INT, "Execution", "ThreadID",
	    SLICE_INIT("winlog.process.thread.id") },
	{ PART_SYSTEM, KIND_TEXT, "Channel", NULL,
	    SLICE_INIT("winlog.channel") },
	{ PART_SYSTEM, KIND_TEXT, "Computer", NULL,
	    SLICE_INIT("winlog.computer_name") },
	{ PART_SYSTEM, KIND_TEXT, "Security", "UserID",
	    SLICE_INIT("winlog.user.identifier") },
	{ PART_RENDERED, KIND_TEXT, "Message", NULL, SLICE_INIT("message") },
	{ PART_RENDERED, KIND_TEXT, "Task", NULL, SLICE_INIT("winlog.task") },
	{ PART_RENDERED, KIND_TEXT, "Opcode", NULL,
	    SLICE_INIT("winlog.opcode") },
	{ PART_RENDERED, KIND_LIST, "Keyword", NULL,
	    SLICE_INIT("winlog.keywords") },
};

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- values ---------------------------------------------------------------- */

static void
set_int(struct event *object, uint32_t field, const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	if (end != text && *end == '\0')
		event_set_int(object, field, n);
}

/* English whatever the language of the host, as it is with Winlogbeat. */
static void
set_level(struct event *object, uint32_t field, const char *text)
{
	static const struct slice levels[] = { SLICE_INIT("information"),
		SLICE_INIT("critical"), SLICE_INIT("error"),
		SLICE_INIT("warning"), SLICE_INIT("information"),
		SLICE_INIT("verbose") };
	size_t n = (size_t)(text[0] - '0');

	if (text[0] >= '0' && text[1] == '\0' &&
	    n < sizeof(levels) / sizeof(levels[0]))
		event_set_string(object, field, levels[n]);
}

/* The two bits that the Security channel sets. */
static void
set_keywords(struct event *object, uint32_t field, const char *text)
{
	uint64_t bits = strtoull(text, NULL, 16);

	if ((bits & UINT64_C(0x10000000000000)) != 0)
		event_add_string(object, field, SLICE("Audit Failure"));
	if ((bits & UINT64_C(0x20000000000000)) != 0)
		event_add_string(object, field, SLICE("Audit Success"));
}

static void
set_time(struct reading *x, const char *text)
{
	struct slice s = slice_of(text);
	int64_t time_ns;

	if (timestamp_parse_rfc3339(s, x->hints, &time_ns) == s.len)
		x->object->time_ns = time_ns;
}

static void
put(struct reading *x, const struct place *p, const char *text)
{
	struct event *object = x->object;
	uint32_t field;

	if (text[0] == '\0')
		return;
	field = field_intern(p->field);
	switch (p->kind) {
	case KIND_TEXT:
		event_set_string(object, field,
		    arena_copy(object->arena, slice_of(text)));
		break;
	case KIND_INT:
		set_int(object, field, text);
		break;
	case KIND_LIST:
		event_add_string(object, field,
		    arena_copy(object->arena, slice_of(text)));
		break;
	case KIND_TIME:
		set_time(x, text);
		break;
	case KIND_LEVEL:
		set_level(object, field, text);
		break;
	case KIND_BITS:
		set_keywords(object, field, text);
		break;
	}
}

static void
place(struct reading *x, const char *attribute, const char *text)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct place *p = &places[i];
		bool same = attribute == NULL || p->attribute == NULL
		    ? attribute == p->attribute
		    : strcmp(p->attribute, attribute) == 0;

		if (p->part == x->part && same &&
		    strcmp(p->element, x->name) == 0)
			put(x, p, text);
	}
}

/* What the provider says of its event, by the provider's own names. */
static void
put_data(struct reading *x, const char *text)
{
	const char *head =
	    x->part == PART_USER ? "winlog.user_data." : "winlog.event_data.";
	char name[NAME_TEXT + PARAM_TEXT];
	int n = snprintf(name, sizeof(name), "%s%s", head, x->name);

	if (text[0] != '\0' && n > 0 && (size_t)n < sizeof(name))
		event_set_string(x->object,
		    field_intern((struct slice){ name, (size_t)n }),
		    arena_copy(x->object->arena, slice_of(text)));
}

/* ---- the document ---------------------------------------------------------- */

static enum part
part_of(const char *element)
{
	static const struct {
		const char *element;
		enum part part;
	} parts[] = { { "System", PART_SYSTEM }, { "EventData", PART_DATA },
		{ "UserData", PART_USER }, { "RenderingInfo", PART_RENDERED } };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].element, element) == 0)
			return parts[i].part;
	return PART_NONE;
}

/* Winlogbeat calls the values of <Data> without a name param1, param2 … */
static void
name_element(struct reading *x, const char *element, const char **attributes)
{
	const char *name = element;
	int n;

	if (x->part == PART_DATA && strstr(element, "Data") != NULL)
		for (size_t i = 0; attributes[i] != NULL; i += 2)
			if (strcmp(attributes[i], "Name") == 0 &&
			    attributes[i + 1][0] != '\0')
				name = attributes[i + 1];
	if (name == element && x->part == PART_DATA &&
	    strcmp(element, "Data") == 0)
		n = snprintf(x->name, sizeof(x->name), "param%u", ++x->unnamed);
	else
		n = snprintf(x->name, sizeof(x->name), "%s", name);
	/* no name is cut: half of one could be another's */
	if (n < 0 || (size_t)n >= sizeof(x->name))
		x->name[0] = '\0';
}

static bool
on_start(void *ctx, unsigned depth, const char *element,
    const char **attributes)
{
	struct reading *x = ctx;

	if (depth == 0)
		return strcmp(element, "Event") == 0;
	if (depth == 1)
		x->part = part_of(element);
	if (depth == 1 || x->part == PART_NONE)
		return true;
	name_element(x, element, attributes);
	for (size_t i = 0; attributes[i] != NULL; i += 2)
		place(x, attributes[i], attributes[i + 1]);
	return true;
}

static void
on_end(void *ctx, unsigned depth, struct slice text)
{
	struct reading *x = ctx;

	if (text.ptr != NULL && depth > 1 && x->name[0] != '\0') {
		if (x->part == PART_DATA || x->part == PART_USER)
			put_data(x, text.ptr);
		else
			place(x, NULL, text.ptr);
	}
	if (depth == 1)
		x->part = PART_NONE;
}

static bool
starts_with(struct slice s, struct slice head)
{
	return s.len >= head.len && memcmp(s.ptr, head.ptr, head.len) == 0;
}

/* Cheap, as every line is asked. */
static bool
looks_like_one(struct slice s)
{
	static const struct slice event = SLICE_INIT("<Event");
	static const struct slice prolog = SLICE_INIT("<?xml");

	if (s.len <= event.len || s.ptr[0] != '<' || s.len > INT32_MAX)
		return false;
	if (starts_with(s, prolog))
		return true;
	return starts_with(s, event) &&
	    (s.ptr[event.len] == ' ' || s.ptr[event.len] == '>');
}

bool
windows_event_read(struct event *object, const struct event *ev,
    struct slice text, const struct normalize_hints *hints)
{
	struct xml_visitor visitor = { .text_max = text.len,
		.start = on_start,
		.end = on_end };
	struct reading x;
	enum xml_visited visited;

	if (!looks_like_one(text))
		return false;
	x = (struct reading){ .object = object, .hints = &hints->time };
	event_begin(object, ev->arena);
	object->time_ns = ev->time_ns;
	visited = xml_visit(text, &visitor, &x);
	if (visited == XML_VISITED_REFUSED ||
	    event_get(object, FIELD_WINLOG_EVENT_ID) == NULL ||
	    event_get(object, FIELD_WINLOG_CHANNEL) == NULL)
		return false;
	if (visited == XML_VISITED_DAMAGED)
		event_set_string(object, FIELD_ERROR_MESSAGE,
		    SLICE("the XML of the event is cut short or damaged"));
	return true;
}
