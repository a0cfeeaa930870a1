/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects like those before: most of what is read.  Names are compared with the
 * steps of a path, usual values are read here and straight into their places;
 * what is not simple is left to the usual reader.
 */
#include "json_reading.h"
#include "json_scan.h"
#include "timestamp.h"

enum { ITEMS_MAX = 16 }; /* of lists that are read here */

/* The filter of an event that has the fields of a path. */
static void
tell_seen(struct event *ev, const struct json_around *around)
{
	for (unsigned i = 0; i < EVENT_SEEN_WORDS; i++)
		ev->seen[i] |= around->seen[i];
}

static inline const struct json_around *
around_of(const struct json_reading *r, const struct json_step *s)
{
	return &r->paths->around[s - r->paths->steps];
}

/*
 * These read what begins at `at`, behind the step's text.  They say what is
 * behind it, or NULL: it is not so simple, nothing was done.
 */

static inline const char *
string(struct json_reading *r, const char *at, struct value *out)
{
	const char *quote = json_ascii_end(at, r->end);

	if (quote == r->end || *quote != '"' ||
	    (size_t)(quote - at) > r->limits->text_bytes)
		return NULL;
	out->kind = VALUE_STRING;
	out->n = 0;
	out->s.ptr = at;
	out->s.len = (size_t)(quote - at);
	return quote + 1;
}

static const char *
list(struct json_reading *r, const char *at, struct value *out)
{
	struct value items[ITEMS_MAX], *copy;
	uint32_t n = 0;

	while ((at = string(r, at, &items[n])) != NULL && r->end - at >= 2) {
		n++;
		if (*at == ']')
			break;
		if (at[0] != ',' || at[1] != '"' || n == ITEMS_MAX)
			return NULL;
		at += 2;
	}
	if (at == NULL || *at != ']' || n > JSON_LIST_ITEMS_MAX - r->list_items)
		return NULL;
	r->list_items += n;
	copy = arena_alloc(r->ev->arena, n * sizeof(items[0]));
	for (uint32_t i = 0; i < n; i++)
		copy[i] = items[i];
	out->kind = VALUE_LIST;
	out->n = n;
	out->list = copy;
	return at + 1;
}

static const char *
integer(struct json_reading *r, const char *at, struct value *out)
{
	at = json_short_integer(at, r->end, &out->i);
	if (at != NULL) {
		out->kind = VALUE_INT;
		out->n = 0;
	}
	return at;
}

static const char *
instant(struct json_reading *r, const char *at)
{
	const char *quote = json_ascii_end(at, r->end);
	struct slice text = { at, (size_t)(quote - at) };

	if (quote == r->end || *quote != '"' || text.len == 0 ||
	    timestamp_parse_rfc3339(text, NULL, &r->ev->time_ns) != text.len)
		return NULL;
	return quote + 1;
}

/* As any value is read, from where it begins; r->wrong says of mistakes. */
static const char *
usual(struct json_reading *r, const struct json_step *s, const char *at,
    struct value *out)
{
	static const uint8_t begun[] = { [STEP_STRING] = 1,
		[STEP_LIST] = 2,
		[STEP_TIME] = 1,
		[STEP_OTHER] = 0 };
	const struct json_around *around = around_of(r, s);

	r->at = at - begun[s->kind];
	if (s->kind == STEP_TIME) {
		tell_seen(r->ev, around);
		json_read_time(r, around->depth);
	} else {
		json_read_value(r, around->depth, out);
	}
	return r->at;
}

/* A value that is no short string, or has no room yet; what is behind it. */
static const char *
other_value(struct json_reading *r, const struct json_step *s, const char *at)
{
	bool is_field = s->kind != STEP_TIME;
	uint32_t before = r->ev->n;
	struct value *v = is_field ? event_place(r->ev, s->id) : NULL;
	const char *behind;

	if (v == NULL)
		v = &r->spare;
	if (s->kind == STEP_STRING)
		behind = string(r, at, v);
	else if (s->kind == STEP_LIST)
		behind = list(r, at, v);
	else if (s->kind == STEP_TIME)
		behind = instant(r, at);
	else
		behind = integer(r, at, v);
	if (behind == NULL)
		behind = usual(r, s, at, v);
	if (r->wrong != NULL)
		r->ev->n = before;
	else if (r->ev->n != before + is_field)
		r->step = NO_STEP; /* names without a place end the path */
	return behind;
}

/*
 * Behind the quote that ends a string at `p`.  Where it is as long as the last
 * one here, its length is taken from there: what is next is then looked at
 * before this string's end is known.  Volatile, or a compiler takes the equal
 * number that is in a register and waits for it.
 */
static inline const char *
behind_quote(struct json_step *s, const char *p, const char *quote)
{
	size_t len = (size_t)(quote - p);

	if (len == s->guess)
		len = *(volatile uint8_t *)&s->guess;
	else
		s->guess = (uint8_t)len;
	return p + len + 1;
}

/*
 * Short strings, one behind the other, from `*from` on.  The step that another
 * value or nothing follows, *at being behind its text; NULL: no step is known.
 */
static inline struct json_step *
short_strings(struct json_reading *r, struct json_step **from, const char **at)
{
	struct json_step *steps = r->paths->steps, *last = *from, *s;
	struct field *f = r->ev->fields + r->ev->n, *room;
	const char *p = *at, *quote;
	uint32_t cap = r->ev->cap;

	room =
	    r->ev->fields + (cap < EVENT_FIELDS_MAX ? cap : EVENT_FIELDS_MAX);
	while ((s = json_step_find(steps, last, p, r->end)) != NULL) {
		last = s;
		p += s->len;
		if (s->kind != STEP_STRING || f == room ||
		    (quote = json_short_end(p, r->end)) == NULL)
			break;
		f->id = s->id;
		f->value.kind = VALUE_STRING;
		f->value.n = 0;
		f->value.s.ptr = p;
		f->value.s.len = (size_t)(quote - p);
		f++;
		p = behind_quote(s, p, quote);
	}
	r->ev->n = (uint32_t)(f - r->ev->fields);
	*from = last;
	*at = p;
	return s;
}

bool
json_follow(struct json_reading *r, struct json_open *o)
{
	struct json_step *root = &r->paths->steps[ROOT_STEP];
	struct json_step *last = root, *s;
	const struct json_around *around;
	const char *at = r->at;

	event_reserve(r->ev, r->paths->fields);
	do {
		s = short_strings(r, &last, &at);
		if (s == NULL || s->kind == STEP_END)
			break;
		at = other_value(r, s, at);
	} while (r->wrong == NULL && r->step != NO_STEP);
	if (last == root)
		return false;
	if (r->step != NO_STEP)
		r->step = (uint16_t)(last - root);
	around = around_of(r, last);
	tell_seen(r->ev, around);
	o->depth = around->depth;
	for (unsigned i = 0; i < o->depth; i++)
		o->parents[i] = around->parents[i];
	r->at = r->from = at;
	r->mask = 0; /* the index, if there is one, lacks these fields */
	return true;
}
