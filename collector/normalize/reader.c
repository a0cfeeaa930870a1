/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "timestamp.h"

enum { NUMBER_TEXT = 40 };

/* The name of a field below `rest`: letters, digits and what joins them. */
static uint32_t
rest_field(const struct reader *r, struct slice name)
{
	char text[FIELD_NAME_MAX];
	size_t n = r->rest.len;

	if (n + 1 + name.len > sizeof(text) || name.len == 0)
		return FIELD_NONE;
	memcpy(text, r->rest.ptr, n);
	text[n++] = '.';
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		    (c == '.' && i > 0 && i + 1 < name.len &&
			name.ptr[i - 1] != '.');

		if (!plain)
			c = '_';
		text[n++] = c;
	}
	return field_intern((struct slice){ text, n });
}

static const struct capture *
place_of(const struct reader *r, struct slice name, const struct apply *a)
{
	const struct capture *c =
	    r->names.n > 0 ? names_find(&r->names, name) : NULL;

	return c != NULL ? c : names_find(&a->format->names, name);
}

void
reader_value(const struct reader *r, struct slice name, struct slice value,
    struct apply *a)
{
	const struct capture *c = place_of(r, name, a);

	if (c != NULL)
		capture_set(c, value, a);
	else if (r->rest.len > 0 && !format_means_none(a->format, value))
		event_set_string(a->ev, rest_field(r, name), value);
}

/* As short as reads back the same, so that a time stamp keeps its digits. */
static struct slice
double_text(struct arena *arena, const struct value *v)
{
	static const struct slice whole = SLICE_INIT(".0");
	struct buf text;
	struct slice s;

	buf_init(&text, NUMBER_TEXT);
	json_write_value(&text, v);
	s = buf_slice(&text);
	if (s.len > whole.len &&
	    memcmp(s.ptr + s.len - whole.len, whole.ptr, whole.len) == 0)
		s.len -= whole.len;
	s = arena_copy(arena, s);
	buf_fini(&text);
	return s;
}

static struct slice
scalar_text(struct arena *arena, const struct value *v)
{
	char text[NUMBER_TEXT];
	int n = 0;

	switch (v->kind) {
	case VALUE_STRING:
	case VALUE_JSON:
		return v->s;
	case VALUE_BOOL:
		return v->b ? SLICE("true") : SLICE("false");
	case VALUE_INT:
		n = snprintf(text, sizeof(text), "%" PRId64, v->i);
		break;
	case VALUE_DOUBLE:
		return double_text(arena, v);
	case VALUE_NULL:
	case VALUE_LIST:
		break;
	}
	if (n <= 0)
		return (struct slice){ NULL, 0 };
	return arena_copy(arena, (struct slice){ text, (size_t)n });
}

/* Numbers and truths stay what they are where the field is of no own type. */
static bool
stays(const struct target *t, const struct value *v)
{
	return t->lookup == NULL && t->type == TARGET_STRING && !t->text &&
	    v->kind != VALUE_STRING && v->kind != VALUE_NULL;
}

static void
place_typed(const struct capture *c, const struct value *v, struct apply *a)
{
	const struct value *one = v;
	uint32_t n = 1;
	struct capture first = *c;

	if (v->kind == VALUE_LIST) {
		one = v->list;
		n = v->n;
	}
	for (uint32_t k = 0; k < c->n; k++) {
		first.targets = &c->targets[k];
		first.n = 1;
		if (stays(&c->targets[k], v)) {
			event_set_value(a->ev, c->targets[k].field, *v);
			continue;
		}
		/* a list has a place only in a list, and a reader reads all;
		 * else its first counts */
		for (uint32_t i = 0; i < n; i++) {
			if (i > 0 && c->targets[k].type != TARGET_LIST &&
			    c->targets[k].type != TARGET_READ)
				break;
			capture_set(&first, scalar_text(a->ev->arena, &one[i]),
			    a);
		}
	}
	if (c->slot != NO_SLOT && n > 0)
		a->slots[c->slot] = scalar_text(a->ev->arena, &one[0]);
}

void
reader_typed(const struct reader *r, struct slice name,
    const struct value *value, struct apply *a)
{
	const struct capture *c = place_of(r, name, a);

	if (c != NULL)
		place_typed(c, value, a);
	else if (r->rest.len > 0 && value->kind != VALUE_NULL &&
	    (value->kind != VALUE_STRING || value->s.len == 0 ||
		!format_means_none(a->format, value->s)))
		event_set_value(a->ev, rest_field(r, name), *value);
}

void
reader_object(const struct reader *r, const struct event *object,
    struct apply *a)
{
	for (uint32_t i = 0; i < object->n; i++)
		reader_typed(r, field_name(object->fields[i].id),
		    &object->fields[i].value, a);
}

static void
read_json(const struct reader *r, struct slice text, struct apply *a)
{
	struct event object;
	struct error err;

	event_begin(&object, a->ev->arena);
	object.time_ns = a->ev->time_ns;
	if (json_read_event(text, &json_limits_default, &object, &err) != RC_OK)
		return;
	if (object.time_ns != a->ev->time_ns && !a->time_set)
		a->ev->time_ns = object.time_ns;
	reader_object(r, &object, a);
}

static void
read_patterns(const struct reader *r, struct slice text, struct apply *a)
{
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		if (!pattern_fits(&r->patterns[i], a->scratch, text))
			continue;
		pattern_apply(&r->patterns[i], text, a);
		return;
	}
}

static void
read_line(const struct reader *r, struct slice text, struct apply *a)
{
	(void)r;
	a->line(a, text);
}

void
reader_run(const struct reader *r, struct slice text, struct apply *a)
{
	static void (*const read[READER_KINDS])(const struct reader *r,
	    struct slice text, struct apply *a) = {
		[READER_PAIRS] = read_pairs,
		[READER_COLUMNS] = read_columns,
		[READER_JSON] = read_json,
		[READER_XML] = read_xml,
		[READER_CEF] = read_cef,
		[READER_LEEF] = read_leef,
		[READER_PATTERNS] = read_patterns,
		[READER_LINE] = read_line,
	};

	if (a->depth >= READ_DEPTH_MAX)
		return;
	a->depth++;
	read[r->kind](r, text, a);
	a->depth--;
}
