/* SPDX-License-Identifier: Apache-2.0 */
#include "event.h"

#include "digest.h"

enum { FIRST_FIELDS = 24 };

_Static_assert(sizeof(void *) != 8 || sizeof(struct event) == 136,
    "event_begin() sets every member");

void
event_begin(struct event *ev, struct arena *arena)
{
	/* member by member: as a whole it takes a slow way of the CPU */
	ev->arena = arena;
	ev->fields = NULL;
	ev->n = ev->cap = 0;
	ev->dropped = 0;
	ev->time_ns = ev->arrival_ns = 0;
	memset(ev->id.stream, 0, sizeof(ev->id.stream));
	ev->id.offset = 0;
	ev->own_id = false;
	ev->foreign = (struct slice){ NULL, 0 };
	ev->size = 0;
	for (unsigned i = 0; i < EVENT_SEEN_WORDS; i++)
		ev->seen[i] = 0;
}

static struct field *
find(const struct event *ev, uint32_t id)
{
	if (!event_may_have(ev, id))
		return NULL;
	for (uint32_t i = 0; i < ev->n; i++)
		if (ev->fields[i].id == id)
			return &ev->fields[i];
	return NULL;
}

const struct value *
event_get(const struct event *ev, uint32_t id)
{
	const struct field *f = find(ev, id);

	return f != NULL ? &f->value : NULL;
}

struct slice
event_get_string(const struct event *ev, uint32_t id)
{
	const struct field *f = find(ev, id);

	if (f == NULL || f->value.kind != VALUE_STRING)
		return (struct slice){ NULL, 0 };
	return f->value.s;
}

static void
resize(struct event *ev, uint32_t cap)
{
	struct field *fields = arena_alloc(ev->arena, cap * sizeof(fields[0]));

	if (ev->n > 0)
		memcpy(fields, ev->fields, ev->n * sizeof(fields[0]));
	ev->fields = fields;
	ev->cap = cap;
}

void
event_reserve(struct event *ev, uint32_t n)
{
	if (ev->cap == 0)
		resize(ev, n > FIRST_FIELDS ? n : FIRST_FIELDS);
}

struct value *
event_place_slow(struct event *ev, uint32_t id)
{
	if (id == FIELD_NONE || ev->n >= EVENT_FIELDS_MAX) {
		ev->dropped++;
		return NULL;
	}
	if (ev->n == ev->cap)
		resize(ev, ev->cap == 0 ? FIRST_FIELDS : 2 * ev->cap);
	return event_place(ev, id);
}

void
event_append(struct event *ev, uint32_t id, struct value value)
{
	struct value *place = event_place(ev, id);

	if (place != NULL)
		*place = value;
}

/*
 * The place of what is set or replaced, or NULL.  Values are written into it
 * member by member: what is put together and then copied waits in between.
 */
static struct value *
place_of(struct event *ev, uint32_t id)
{
	struct field *f = find(ev, id);

	return f != NULL ? &f->value : event_place(ev, id);
}

void
event_set_value(struct event *ev, uint32_t id, struct value value)
{
	struct value *place = place_of(ev, id);

	if (place != NULL)
		*place = value;
}

static inline void
put_string(struct value *place, struct slice s)
{
	if (place == NULL)
		return;
	place->kind = VALUE_STRING;
	place->n = 0;
	place->s.ptr = s.ptr;
	place->s.len = s.len;
}

/* Kept apart, so that what is common needs no register saved. */
static __attribute__((noinline)) void
set_string_slow(struct event *ev, uint32_t id, struct slice s)
{
	put_string(place_of(ev, id), s);
}

void
event_set_string(struct event *ev, uint32_t id, struct slice s)
{
	if (event_may_have(ev, id) || !event_has_room(ev, id))
		set_string_slow(ev, id, s);
	else
		put_string(event_place(ev, id), s);
}

void
event_offer_string(struct event *ev, uint32_t id, struct slice s)
{
	if (find(ev, id) == NULL)
		put_string(event_place(ev, id), s);
}

void
event_set_int(struct event *ev, uint32_t id, int64_t i)
{
	struct value *place = place_of(ev, id);

	if (place == NULL)
		return;
	place->kind = VALUE_INT;
	place->n = 0;
	place->i = i;
}

void
event_set_bool(struct event *ev, uint32_t id, bool b)
{
	event_set_value(ev, id, (struct value){ .kind = VALUE_BOOL, .b = b });
}

static void
set_list(struct value *place, const struct value *items, uint32_t n)
{
	if (place == NULL)
		return;
	place->kind = VALUE_LIST;
	place->n = n;
	place->list = items;
}

static bool
list_has(const struct value *items, uint32_t n, struct slice s)
{
	for (uint32_t i = 0; i < n; i++)
		if (items[i].kind == VALUE_STRING && slice_eq(items[i].s, s))
			return true;
	return false;
}

void
event_add_string(struct event *ev, uint32_t id, struct slice s)
{
	struct field *f = find(ev, id);
	const struct value *old;
	struct value *items;
	uint32_t n;

	if (f == NULL) {
		items = arena_alloc(ev->arena, sizeof(items[0]));
		put_string(items, s);
		set_list(event_place(ev, id), items, 1);
		return;
	}
	if (f->value.kind == VALUE_JSON || f->value.kind == VALUE_NULL) {
		put_string(&f->value, s);
		return;
	}
	old = f->value.kind == VALUE_LIST ? f->value.list : &f->value;
	n = f->value.kind == VALUE_LIST ? f->value.n : 1;
	if (list_has(old, n, s))
		return;
	items = arena_alloc(ev->arena, (n + 1) * sizeof(items[0]));
	memcpy(items, old, n * sizeof(items[0]));
	put_string(&items[n], s);
	set_list(&f->value, items, n + 1);
}

void
event_unset(struct event *ev, uint32_t id)
{
	struct field *f = find(ev, id);

	if (f != NULL)
		*f = ev->fields[--ev->n];
}

struct slice
event_id_format(const struct event_id *id, char out[EVENT_ID_TEXT_MAX])
{
	char digits[EVENT_ID_TEXT_MAX];
	uint64_t offset = id->offset;
	size_t at = sizeof(digits), n = UUID_TEXT;

	uuid_text(id->stream, out);
	out[UUID_TEXT - 1] = ':';
	do {
		digits[--at] = (char)('0' + offset % 10);
		offset /= 10;
	} while (offset > 0);
	memcpy(out + n, digits + at, sizeof(digits) - at);
	return (struct slice){ out, n + sizeof(digits) - at };
}

struct slice
event_id_text(const struct event *ev)
{
	char text[EVENT_ID_TEXT_MAX];
	struct slice field;

	if (event_has_stream(ev))
		return arena_copy(ev->arena, event_id_format(&ev->id, text));
	if (ev->foreign.len > 0)
		return ev->foreign;
	field = event_get_string(ev, FIELD_EVENT_ID);
	return field.ptr != NULL ? field : SLICE("");
}

bool
event_id_parse(struct slice text, struct event_id *id)
{
	uint64_t offset = 0;

	if (text.len < UUID_TEXT + 1 || text.len >= EVENT_ID_TEXT_MAX ||
	    text.ptr[UUID_TEXT - 1] != ':' ||
	    !uuid_parse((struct slice){ text.ptr, UUID_TEXT - 1 }, id->stream))
		return false;
	for (size_t i = UUID_TEXT; i < text.len; i++) {
		unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';

		if (digit > 9 || offset > (UINT64_MAX - digit) / 10)
			return false;
		offset = offset * 10 + digit;
	}
	id->offset = offset;
	return true;
}

struct value
value_copy(struct arena *arena, const struct value *v)
{
	struct value copy = *v;
	struct value *items;

	if (v->kind == VALUE_STRING || v->kind == VALUE_JSON) {
		copy.s = arena_copy(arena, v->s);
	} else if (v->kind == VALUE_LIST) {
		items = arena_alloc(arena, v->n * sizeof(items[0]));
		for (uint32_t i = 0; i < v->n; i++)
			items[i] = value_copy(arena, &v->list[i]);
		copy.list = items;
	}
	return copy;
}

void
event_copy(struct event *to, struct arena *arena, const struct event *ev)
{
	*to = *ev;
	to->arena = arena;
	to->foreign = arena_copy(arena, ev->foreign);
	to->cap = ev->n;
	to->fields = arena_alloc(arena, ev->n * sizeof(to->fields[0]));
	for (uint32_t i = 0; i < ev->n; i++)
		to->fields[i] = (struct field){ ev->fields[i].id,
			value_copy(arena, &ev->fields[i].value) };
}
