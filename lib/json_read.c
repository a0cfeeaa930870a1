/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON object straight into an event. */
#include "json.h"
#include "json_paths.h"
#include "json_scan.h"
#include "timestamp.h"
#include "utf8.h"

enum {
	/* up to so many fields doubles are looked for one by one */
	LINEAR_FIELDS = 16,
	INDEX_SLOTS = 2 * EVENT_FIELDS_MAX,
	FIRST_SLOTS = 256, /* of them, until they are half full */
	/* items of an event's lists: what is beyond stays JSON text */
	LIST_ITEMS_MAX = 65536,
	LIST_FIRST = 64,
};

const struct json_limits json_limits_default = { .depth = 64,
	.text_bytes = 1 << 20 };

/*
 * `index` finds the place of a field by its id in constant time: open
 * addressing, 0 is free, else the place plus one.  It is made when an event has
 * more than LINEAR_FIELDS, small at first; half full at most.
 */
struct reading {
	const char *at, *end;
	const char *wrong; /* not NULL: failed here */
	struct event *ev;
	const struct json_limits *limits;
	bool cut;
	uint32_t mask; /* slots of the index, less 1; 0: there is none */
	uint32_t list_items;
	struct value spare;
	struct json_paths *paths;
	uint16_t step;    /* of paths, the last; NO_STEP: off all paths */
	const char *from; /* where the text of the next step begins */
	uint16_t index[INDEX_SLOTS];
};

/* The objects that are open. */
struct open {
	unsigned depth;
	uint32_t parents[JSON_DEPTH_MAX];
};

static uint16_t *
slot_of(struct reading *r, uint32_t id)
{
	uint32_t at = (id * UINT32_C(2654435761)) >> 16 & r->mask;

	while (r->index[at] != 0 && r->ev->fields[r->index[at] - 1].id != id)
		at = (at + 1) & r->mask;
	return &r->index[at];
}

/* Of so many slots, a power of two. */
static void
make_index(struct reading *r, uint32_t slots)
{
	memset(r->index, 0, slots * sizeof(r->index[0]));
	r->mask = slots - 1;
	for (uint32_t i = 0; i < r->ev->n; i++)
		*slot_of(r, r->ev->fields[i].id) = (uint16_t)(i + 1);
}

/*
 * Where the value of a name belongs: in the event, or in `spare` if it has no
 * place.  Values are read into their places: copies of them cost.
 */
static struct value *
place(struct reading *r, uint32_t id)
{
	struct event *ev = r->ev;
	struct value *new_place;
	uint16_t *slot = NULL;

	if (ev->n < LINEAR_FIELDS) {
		for (uint32_t i = event_may_have(ev, id) ? 0 : ev->n; i < ev->n;
		     i++)
			if (ev->fields[i].id == id)
				return &ev->fields[i].value;
	} else {
		if (r->mask == 0)
			make_index(r,
			    ev->n < FIRST_SLOTS / 2 ? FIRST_SLOTS
						    : INDEX_SLOTS);
		else if (ev->n >= FIRST_SLOTS / 2 && r->mask < FIRST_SLOTS)
			make_index(r, INDEX_SLOTS);
		slot = slot_of(r, id);
		if (*slot != 0)
			return &ev->fields[*slot - 1].value;
	}
	new_place = event_place(ev, id);
	if (new_place == NULL)
		return &r->spare;
	if (slot != NULL)
		*slot = (uint16_t)ev->n;
	return new_place;
}

static void
string_value(struct reading *r, struct slice s, struct value *out)
{
	if (s.len > r->limits->text_bytes) {
		s.len = utf8_cut(s, r->limits->text_bytes);
		r->cut = true;
	}
	out->kind = VALUE_STRING;
	out->s = s;
}

/* What an event has no other kind for; beyond the bound its text, cut. */
static void
json_value(struct reading *r, struct slice text, bool compact,
    struct value *out)
{
	text = json_compact(r->ev->arena, text, compact);
	if (text.len > r->limits->text_bytes) {
		string_value(r, text, out);
		return;
	}
	out->kind = VALUE_JSON;
	out->s = text;
}

static void
fail(struct reading *r, const char *wrong)
{
	if (r->wrong == NULL)
		r->wrong = wrong;
}

static inline const char *
string(struct reading *r, struct slice *out)
{
	if (json_scan_short(&r->at, r->end, out))
		return NULL;
	return json_scan_string(&r->at, r->end, r->ev->arena, out);
}

static const char *
number(struct reading *r, struct value *out)
{
	struct slice text;
	const char *wrong = json_scan_number(&r->at, r->end, &text);

	if (wrong != NULL)
		return wrong;
	*out = json_number_value(text);
	if (out->kind == VALUE_JSON)
		json_value(r, text, true, out);
	return NULL;
}

static void
scalar(struct reading *r, struct value *out)
{
	const char *wrong;
	struct slice text;

	switch (r->at < r->end ? *r->at : '\0') {
	case '"':
		r->at++;
		wrong = string(r, &text);
		if (wrong == NULL)
			string_value(r, text, out);
		break;
	case 't':
		wrong = json_scan_word(&r->at, r->end, "true");
		out->kind = VALUE_BOOL;
		out->b = true;
		break;
	case 'f':
		wrong = json_scan_word(&r->at, r->end, "false");
		out->kind = VALUE_BOOL;
		out->b = false;
		break;
	case 'n':
		wrong = json_scan_word(&r->at, r->end, "null");
		out->kind = VALUE_NULL;
		break;
	default:
		wrong = number(r, out);
		break;
	}
	if (wrong != NULL)
		fail(r, wrong);
}

/* Any value as JSON text; `depth` levels are open around it. */
static void
whole(struct reading *r, unsigned depth, struct value *out)
{
	const char *from = r->at;
	bool compact;
	const char *wrong =
	    json_scan_value(&r->at, r->end, r->limits->depth - depth, &compact);

	if (wrong != NULL)
		fail(r, wrong);
	else
		json_value(r, (struct slice){ from, (size_t)(r->at - from) },
		    compact, out);
}

/* Room for one more; the old array stays in the arena, as everything does. */
static struct value *
grow_list(struct reading *r, struct value *items, uint32_t n)
{
	struct value *grown =
	    arena_alloc(r->ev->arena, 2 * (size_t)n * sizeof(items[0]));

	memcpy(grown, items, n * sizeof(items[0]));
	return grown;
}

/*
 * The scalars behind a '[', as far as they go: true if that was all of the
 * array and it fits the bounds.
 */
static bool
scalars(struct reading *r, struct value *list)
{
	struct value first[LIST_FIRST];
	struct value *items = first;
	uint32_t n = 0, room = LIST_FIRST;

	r->at++;
	json_scan_space(&r->at, r->end);
	if (r->at < r->end && *r->at == ']') {
		r->at++;
		list->kind = VALUE_LIST;
		list->n = 0;
		list->list = NULL;
		return true;
	}
	for (;;) {
		if (r->at < r->end && (*r->at == '{' || *r->at == '['))
			return false;
		if (n == room) {
			items = grow_list(r, items, n);
			room *= 2;
		}
		scalar(r, &items[n]);
		if (r->wrong != NULL || items[n].kind == VALUE_JSON ||
		    r->list_items >= LIST_ITEMS_MAX)
			return false;
		n++;
		r->list_items++;
		json_scan_space(&r->at, r->end);
		if (r->at == r->end || *r->at != ',')
			break;
		r->at++;
		json_scan_space(&r->at, r->end);
	}
	if (r->at == r->end || *r->at != ']') {
		fail(r, "a comma or closing bracket is missing");
		return false;
	}
	r->at++;
	if (items == first) {
		items = arena_alloc(r->ev->arena, n * sizeof(items[0]));
		memcpy(items, first, n * sizeof(items[0]));
	}
	list->kind = VALUE_LIST;
	list->n = n;
	list->list = items;
	return true;
}

static void
array(struct reading *r, unsigned depth, struct value *out)
{
	const char *from = r->at;

	if (depth >= r->limits->depth) {
		fail(r, json_too_deep);
		return;
	}
	if (scalars(r, out) || r->wrong != NULL)
		return;
	r->at = from;
	whole(r, depth, out);
}

static void
any_value(struct reading *r, unsigned depth, struct value *out)
{
	if (r->at < r->end && *r->at == '[')
		array(r, depth, out);
	else if (r->at < r->end && *r->at == '{')
		whole(r, depth, out);
	else
		scalar(r, out);
}

/* @timestamp is a member of the event; one that cannot be read a field. */
static void
timestamp(struct reading *r, unsigned depth)
{
	struct value v = { .kind = VALUE_NULL };

	any_value(r, depth, &v);
	if (r->wrong == NULL &&
	    (v.kind != VALUE_STRING || v.s.len == 0 ||
		timestamp_parse_rfc3339(v.s, NULL, &r->ev->time_ns) != v.s.len))
		*place(r, FIELD_KUZET_TIMESTAMP) = v;
}

/* "key": and the white space around it; the id of the name below `parent` */
static uint32_t
member_name(struct reading *r, uint32_t parent)
{
	struct slice key;
	const char *wrong;

	if (r->at == r->end || *r->at != '"') {
		fail(r, "a key is missing");
		return FIELD_NONE;
	}
	r->at++;
	wrong = string(r, &key);
	if (wrong != NULL) {
		fail(r, wrong);
		return FIELD_NONE;
	}
	if (r->at < r->end && *r->at != ':')
		json_scan_space(&r->at, r->end);
	if (r->at == r->end || *r->at != ':') {
		fail(r, "a colon is missing");
		return FIELD_NONE;
	}
	r->at++;
	json_scan_space(&r->at, r->end);
	return key.len > 0 ? field_child(parent, key) : FIELD_NONE;
}

static bool
is_empty_object(const struct reading *r)
{
	const char *p = r->at + 1;

	json_scan_space(&p, r->end);
	return p < r->end && *p == '}';
}

/* What was read since the last value becomes a step. */
static void
learn(struct reading *r, const struct open *o, const char *end, uint32_t id)
{
	const struct json_spot spot = { id, o->depth, o->parents };

	r->step = json_step_add(r->paths, r->step,
	    (struct slice){ r->from, (size_t)(end - r->from) }, &spot);
	r->from = r->at;
}

/* One member; the id of its name if its value is an object that begins here. */
static uint32_t
member(struct reading *r, const struct open *o)
{
	uint32_t id = member_name(r, o->parents[o->depth - 1]);
	uint32_t before = r->ev->n;
	const char *value = r->at;
	bool alone;

	if (r->wrong != NULL)
		return FIELD_NONE;
	if (r->at < r->end && *r->at == '{' && id != FIELD_NONE &&
	    !is_empty_object(r))
		return id;
	if (id == FIELD_TIMESTAMP)
		timestamp(r, o->depth);
	else
		any_value(r, o->depth, place(r, id));
	if (r->wrong != NULL) {
		r->ev->n = before; /* no place for what broke off */
		return FIELD_NONE;
	}
	if (r->step == NO_STEP)
		return FIELD_NONE;
	/* names that have no place of their own end the path */
	alone = r->ev->n == before + (id != FIELD_TIMESTAMP);
	if (alone && id != FIELD_NONE && *value != '{')
		learn(r, o, value, id);
	else
		r->step = NO_STEP;
	return FIELD_NONE;
}

/* The same for most of them. */
static inline void
known_string(struct reading *r, uint32_t id)
{
	struct value *v = event_place(r->ev, id);
	struct slice text;
	const char *wrong;

	r->at++;
	wrong = string(r, &text);
	if (wrong != NULL) {
		fail(r, wrong);
		r->ev->n -= v != NULL ? 1 : 0;
	} else if (v != NULL) {
		string_value(r, text, v);
	} else {
		r->step = NO_STEP;
	}
}

/* The value behind a step: no field before has its name. */
static void
known_value(struct reading *r, const struct json_step *s)
{
	uint32_t before = r->ev->n;
	struct value *v;

	r->mask = 0; /* the index, if there is one, lacks the field */
	if (*r->at == '"' && s->id != FIELD_TIMESTAMP) {
		known_string(r, s->id);
		return;
	}
	if (s->id == FIELD_TIMESTAMP) {
		timestamp(r, s->depth);
	} else {
		v = event_place(r->ev, s->id);
		any_value(r, s->depth, v != NULL ? v : &r->spare);
	}
	if (r->wrong != NULL)
		r->ev->n = before;
	else if (r->ev->n != before + (s->id != FIELD_TIMESTAMP))
		r->step = NO_STEP;
}

/* Follows the steps of objects before as far as they go; whether any did. */
static bool
known_members(struct reading *r, struct open *o)
{
	const struct json_step *s, *last = NULL;

	while (r->step != NO_STEP && r->wrong == NULL &&
	    (s = json_step_find(r->paths, r->step, r->at, r->end)) != NULL) {
		r->step = (uint16_t)(s - r->paths->steps);
		r->at += s->len;
		last = s;
		if (s->id == FIELD_NONE)
			break;
		known_value(r, s);
	}
	if (last == NULL)
		return false;
	o->depth = last->depth;
	for (unsigned i = 0; i < o->depth; i++)
		o->parents[i] = last->parents[i];
	r->from = r->at;
	return true;
}

/* Behind a value: to the next member; false: the end, or a mistake. */
static bool
next_member(struct reading *r, struct open *o)
{
	json_scan_space(&r->at, r->end);
	while (o->depth > 0 && r->at < r->end && *r->at == '}') {
		r->at++;
		o->depth--;
		json_scan_space(&r->at, r->end);
	}
	if (o->depth == 0) {
		if (r->at == r->end && r->step != NO_STEP && r->from < r->at)
			learn(r, o, r->at, FIELD_NONE);
		return false;
	}
	if (r->at == r->end || *r->at != ',') {
		fail(r, "a comma or closing bracket is missing");
		return false;
	}
	r->at++;
	return true;
}

/* The members of an object, behind its '{', and of those within it. */
static void
members(struct reading *r)
{
	struct open o;
	bool first = true;

	o.depth = 1;
	o.parents[0] = FIELD_NONE;
	if (known_members(r, &o)) {
		first = false;
		if (r->wrong != NULL || !next_member(r, &o))
			return;
	}
	for (;;) {
		uint32_t inner;

		json_scan_space(&r->at, r->end);
		if (!first || r->at == r->end || *r->at != '}') {
			inner = member(r, &o);
			if (r->wrong != NULL)
				return;
			first = inner != FIELD_NONE;
			if (first && o.depth >= r->limits->depth) {
				fail(r, json_too_deep);
				return;
			}
			if (first) {
				o.parents[o.depth++] = inner;
				r->at++;
				continue;
			}
		}
		first = false;
		if (!next_member(r, &o))
			return;
	}
}

/* Paths are of whole events, and of no more levels than may be. */
static void
begin_paths(struct reading *r, struct json_paths *paths)
{
	r->step = NO_STEP;
	r->paths = paths;
	if (paths == NULL || r->ev->n > 0 || r->limits->depth < STEP_DEPTH)
		return;
	if (paths->full)
		json_paths_clear(paths);
	r->step = ROOT_STEP;
}

enum rc
json_read_event_again(struct slice text, const struct json_limits *limits,
    struct event *ev, struct json_paths *paths, struct error *err)
{
	struct json_limits l = *limits;
	struct reading r;

	if (l.depth > JSON_DEPTH_MAX)
		l.depth = JSON_DEPTH_MAX;
	r.at = text.len > 0 ? text.ptr : "";
	r.end = r.at + text.len;
	text.ptr = r.at;
	r.wrong = NULL;
	r.ev = ev;
	r.limits = &l;
	r.cut = false;
	r.mask = 0;
	r.list_items = 0;
	begin_paths(&r, paths);
	json_scan_bom(&r.at, r.end);
	json_scan_space(&r.at, r.end);
	if (r.at == r.end || *r.at != '{') {
		fail(&r, "no object");
	} else if (l.depth == 0) {
		fail(&r, json_too_deep);
	} else {
		r.from = ++r.at;
		members(&r);
		if (r.wrong == NULL && r.at != r.end)
			fail(&r, "text behind the object");
	}
	if (r.cut)
		event_add_string(ev, FIELD_LOG_FLAGS, SLICE("truncated"));
	if (r.wrong == NULL)
		return RC_OK;
	return error_set(err, r.wrong == json_too_deep ? RC_LIMIT : RC_INVALID,
	    "JSON, byte %zu: %s", (size_t)(r.at - text.ptr), r.wrong);
}

enum rc
json_read_event(struct slice text, const struct json_limits *limits,
    struct event *ev, struct error *err)
{
	return json_read_event_again(text, limits, ev, NULL, err);
}
