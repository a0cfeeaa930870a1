/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as JSON.  Members come in the byte order of their dotted names, so the
 * names of one object stand beside each other: "a.b" and "a.c" follow "a.", and
 * nesting is a matter of opening and closing brackets along the way.
 */
#include <stddef.h>
#include <stdlib.h>

#include "json_lesson.h"
#include "timestamp.h"

enum {
	NESTING_MAX = 32, /* objects within each other; deeper stays dotted */
	INSERTION_MAX = 64,
	MEMBERS_MAX = EVENT_FIELDS_MAX + 1, /* and event.id */
};

struct member {
	struct slice name;
	const struct value *value;
};

struct writing {
	struct buf *out;
	const struct member *members; /* sorted */
	bool comma;
	unsigned depth;
	/* how much of the last name the open objects stand for, with the dot */
	size_t prefix[NESTING_MAX];
	/* what learns how this event is written, or NULL */
	struct json_lesson *lesson;
	const struct field *fields; /* the event's */
	const struct value *id;
	size_t piece; /* where the piece that is being written began */
};

/* The piece that ends here, before the value of a field or at the end. */
static void
learn_piece(struct writing *w, uint16_t field)
{
	struct json_lesson *l = w->lesson;
	size_t len = w->out->len - w->piece;

	if (len > JSON_LESSON_TEXT - l->text_len) {
		w->lesson = NULL; /* too long to be remembered */
		return;
	}
	memcpy(l->text + l->text_len, w->out->ptr + w->piece, len);
	l->text_len += len;
	l->pieces[l->n_pieces++] =
	    (struct json_piece){ (uint16_t)l->text_len, field };
}

static void
write_value(struct writing *w, const struct value *v)
{
	/* the value is a member of one of the event's fields */
	const struct field *f =
	    (const void *)((const char *)v - offsetof(struct field, value));

	if (w->lesson != NULL)
		learn_piece(w,
		    v == w->id ? JSON_OWN_ID : (uint16_t)(f - w->fields));
	json_write_value(w->out, v);
	w->piece = w->out->len;
}

static int
compare_members(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;

	return slice_compare(x->name, y->name);
}

static int
compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
sort_keys(uint64_t *keys, uint32_t n)
{
	if (n > INSERTION_MAX) {
		qsort(keys, n, sizeof(keys[0]), compare_keys);
		return;
	}
	for (uint32_t i = 1; i < n; i++) {
		uint64_t key = keys[i];
		uint32_t j = i;

		for (; j > 0 && keys[j - 1] > key; j--)
			keys[j] = keys[j - 1];
		keys[j] = key;
	}
}

/* Sorted by the ranks of their names; false if one has none yet. */
static bool
sort_by_rank(const struct field *fields, uint32_t n, struct member *members)
{
	uint64_t keys[MEMBERS_MAX];
	uint32_t n_ranks;
	const uint32_t *ranks = field_ranks(&n_ranks);

	for (uint32_t i = 0; i < n; i++) {
		if (fields[i].id >= n_ranks)
			return false;
		keys[i] = (uint64_t)ranks[fields[i].id] << 32 | i;
	}
	sort_keys(keys, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct field *f = &fields[(uint32_t)keys[i]];

		members[i] = (struct member){ field_name(f->id), &f->value };
	}
	return true;
}

static void
sort_by_name(const struct field *fields, uint32_t n, struct member *members)
{
	for (uint32_t i = 0; i < n; i++)
		members[i] = (struct member){ field_name(fields[i].id),
			&fields[i].value };
	qsort(members, n, sizeof(members[0]), compare_members);
}

/* Puts event.id among the members; returns how many there are. */
static uint32_t
insert_id(struct member *members, uint32_t n, const struct value *id)
{
	struct slice name = SLICE("event.id");
	uint32_t at = 0;
	int order = 1;

	while (at < n && (order = slice_compare(members[at].name, name)) < 0)
		at++;
	if (at < n && order == 0) {
		members[at].value = id;
		return n;
	}
	memmove(&members[at + 1], &members[at], (n - at) * sizeof(members[0]));
	members[at] = (struct member){ name, id };
	return n + 1;
}

static void
write_key(struct writing *w, struct slice key)
{
	if (w->comma)
		(void)buf_add_char(w->out, ',');
	json_write_string(w->out, key);
	(void)buf_add_char(w->out, ':');
	w->comma = true;
}

static bool
has_prefix(struct slice s, const char *prefix, size_t len)
{
	return s.len >= len && memcmp(s.ptr, prefix, len) == 0;
}

/*
 * Whether a member is named as the first `len` bytes of member `i`'s name: it
 * can have no object of that name beside it.
 */
static bool
is_taken(const struct writing *w, uint32_t i, size_t len)
{
	const char *name = w->members[i].name.ptr;

	if (slice_eq((struct slice){ name, len }, SLICE("@timestamp")))
		return true;
	while (i > 0 && has_prefix(w->members[i - 1].name, name, len)) {
		if (w->members[i - 1].name.len == len)
			return true;
		i--;
	}
	return false;
}

static void
write_nested(struct writing *w, uint32_t i)
{
	const struct member *m = &w->members[i];
	const char *last = i > 0 ? w->members[i - 1].name.ptr : NULL;
	size_t base;

	while (w->depth > 0 &&
	    !(m->name.len > w->prefix[w->depth - 1] &&
		has_prefix(m->name, last, w->prefix[w->depth - 1]))) {
		(void)buf_add_char(w->out, '}');
		w->depth--;
	}
	base = w->depth > 0 ? w->prefix[w->depth - 1] : 0;
	while (w->depth < NESTING_MAX) {
		struct slice rest = { m->name.ptr + base, m->name.len - base };
		const char *dot = rest.len > 2
		    ? memchr(rest.ptr + 1, '.', rest.len - 2)
		    : NULL;
		size_t head;

		if (dot == NULL)
			break;
		head = (size_t)(dot - rest.ptr);
		if (is_taken(w, i, base + head))
			break;
		write_key(w, (struct slice){ rest.ptr, head });
		(void)buf_add_char(w->out, '{');
		w->comma = false;
		base += head + 1;
		w->prefix[w->depth++] = base;
	}
	write_key(w, (struct slice){ m->name.ptr + base, m->name.len - base });
	write_value(w, m->value);
}

static void
write_members(struct writing *w, uint32_t n, enum json_shape shape)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct member *m = &w->members[i];

		/* the event's own time stands first */
		if (slice_eq(m->name, SLICE("@timestamp")))
			continue;
		if (shape == JSON_NESTED) {
			write_nested(w, i);
			continue;
		}
		write_key(w, m->name);
		write_value(w, m->value);
	}
	while (w->depth > 0) {
		(void)buf_add_char(w->out, '}');
		w->depth--;
	}
}

struct slice
json_own_id(const struct event *ev, char text[EVENT_ID_TEXT_MAX])
{
	return event_has_stream(ev) ? event_id_format(&ev->id, text)
				    : ev->foreign;
}

void
json_write_time(struct buf *out, const struct event *ev)
{
	char text[TIMESTAMP_TEXT_MAX];

	(void)buf_add_str(out, "{\"@timestamp\":");
	json_write_string(out, timestamp_format(ev->time_ns, text));
}

bool
json_write_learning(struct buf *out, const struct event *ev,
    const struct value *id, enum json_shape shape, struct json_lesson *lesson)
{
	struct member members[MEMBERS_MAX];
	struct writing w = { .out = out,
		.members = members,
		.comma = true,
		.lesson = lesson,
		.fields = ev->fields,
		.id = id };
	uint32_t n = ev->n;

	if (!sort_by_rank(ev->fields, n, members))
		sort_by_name(ev->fields, n, members);
	if (id->s.len > 0)
		n = insert_id(members, n, id);
	json_write_time(out, ev);
	w.piece = out->len;
	write_members(&w, n, shape);
	(void)buf_add_char(out, '}');
	if (w.lesson != NULL)
		learn_piece(&w, 0);
	return w.lesson != NULL && !out->overflowed;
}

void
json_write_event(struct buf *out, const struct event *ev, enum json_shape shape)
{
	char text[EVENT_ID_TEXT_MAX];
	struct value id = { .kind = VALUE_STRING, .s = json_own_id(ev, text) };

	(void)json_write_learning(out, ev, &id, shape, NULL);
}
