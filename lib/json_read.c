/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON object straight into an event. */
#include "json_reading.h"
#include "json_scan.h"
#include "timestamp.h"
#include "utf8.h"

enum {
	/* up to so many fields doubles are looked for one by one */
	LINEAR_FIELDS = 16,
	FIRST_SLOTS = 256, /* of them, until they are half full */
	LIST_FIRST = 64,
};

const struct json_limits json_limits_default = { .depth = 64,
	.text_bytes = 1 << 20 };

static uint16_t *
slot_of(struct json_reading *r, uint32_t id)
{
	uint32_t at = (id * UINT32_C(2654435761)) >> 16 & r->mask;

	while (r->index[at] != 0 && r->ev->fields[r->index[at] - 1].id != id)
		at = (at + 1) & r->mask;
	return &r->index[at];
}

/* Of so many slots, a power of two. */
static void
make_index(struct json_reading *r, uint32_t slots)
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
place(struct json_reading *r, uint32_t id)
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
						    : JSON_INDEX_SLOTS);
		else if (ev->n >= FIRST_SLOTS / 2 && r->mask < FIRST_SLOTS)
			make_index(r, JSON_INDEX_SLOTS);
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

void
json_read_string(struct json_reading *r, struct slice s, struct value *out)
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
json_value(struct json_reading *r, struct slice text, bool compact,
    struct value *out)
{
	text = json_compact(r->ev->arena, text, compact);
	if (text.len > r->limits->text_bytes) {
		json_read_string(r, text, out);
		return;
	}
	out->kind = VALUE_JSON;
	out->s = text;
}

static inline const char *
string(struct json_reading *r, struct slice *out)
{
	const char *quote = json_short_end(r->at, r->end);

	if (quote != NULL) {
		*out = (struct slice){ r->at, (size_t)(quote - r->at) };
		r->at = quote + 1;
		return NULL;
	}
	return json_scan_string(&r->at, r->end, r->ev->arena, out);
}

static const char *
number(struct json_reading *r, struct value *out)
{
	const char *wrong, *behind;
	struct slice text;

	behind = json_short_integer(r->at, r->end, &out->i);
	if (behind != NULL) {
		out->kind = VALUE_INT;
		r->at = behind;
		return NULL;
	}
	wrong = json_scan_number(&r->at, r->end, &text);

	if (wrong != NULL)
		return wrong;
	*out = json_number_value(text);
	if (out->kind == VALUE_JSON)
		json_value(r, text, true, out);
	return NULL;
}

static void
scalar(struct json_reading *r, struct value *out)
{
	const char *wrong;
	struct slice text;

	switch (r->at < r->end ? *r->at : '\0') {
	case '"':
		r->at++;
		wrong = string(r, &text);
		if (wrong == NULL)
			json_read_string(r, text, out);
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
		json_read_fail(r, wrong);
}

/* Any value as JSON text; `depth` levels are open around it. */
static void
whole(struct json_reading *r, unsigned depth, struct value *out)
{
	const char *from = r->at;
	bool compact;
	const char *wrong =
	    json_scan_value(&r->at, r->end, r->limits->depth - depth, &compact);

	if (wrong != NULL)
		json_read_fail(r, wrong);
	else
		json_value(r, (struct slice){ from, (size_t)(r->at - from) },
		    compact, out);
}

/* Room for one more; the old array stays in the arena, as everything does. */
static struct value *
grow_list(struct json_reading *r, struct value *items, uint32_t n)
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
scalars(struct json_reading *r, struct value *list)
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
		    r->list_items >= JSON_LIST_ITEMS_MAX)
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
		json_read_fail(r, "a comma or closing bracket is missing");
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
array(struct json_reading *r, unsigned depth, struct value *out)
{
	const char *from = r->at;

	if (depth >= r->limits->depth) {
		json_read_fail(r, json_too_deep);
		return;
	}
	if (scalars(r, out) || r->wrong != NULL)
		return;
	r->at = from;
	whole(r, depth, out);
}

void
json_read_value(struct json_reading *r, unsigned depth, struct value *out)
{
	if (r->at < r->end && *r->at == '[')
		array(r, depth, out);
	else if (r->at < r->end && *r->at == '{')
		whole(r, depth, out);
	else
		scalar(r, out);
}

/* @timestamp is a member of the event; one that cannot be read a field. */
void
json_read_time(struct json_reading *r, unsigned depth)
{
	struct value v = { .kind = VALUE_NULL };

	json_read_value(r, depth, &v);
	if (r->wrong == NULL &&
	    (v.kind != VALUE_STRING || v.s.len == 0 ||
		timestamp_parse_rfc3339(v.s, NULL, &r->ev->time_ns) != v.s.len))
		*place(r, FIELD_KUZET_TIMESTAMP) = v;
}

/* "key": and the white space around it; the id of the name below `parent` */
static uint32_t
member_name(struct json_reading *r, uint32_t parent)
{
	struct slice key;
	const char *wrong;

	if (r->at == r->end || *r->at != '"') {
		json_read_fail(r, "a key is missing");
		return FIELD_NONE;
	}
	r->at++;
	wrong = string(r, &key);
	if (wrong != NULL) {
		json_read_fail(r, wrong);
		return FIELD_NONE;
	}
	if (r->at < r->end && *r->at != ':')
		json_scan_space(&r->at, r->end);
	if (r->at == r->end || *r->at != ':') {
		json_read_fail(r, "a colon is missing");
		return FIELD_NONE;
	}
	r->at++;
	json_scan_space(&r->at, r->end);
	return key.len > 0 ? field_child(parent, key) : FIELD_NONE;
}

static bool
is_empty_object(const struct json_reading *r)
{
	const char *p = r->at + 1;

	json_scan_space(&p, r->end);
	return p < r->end && *p == '}';
}

/* What was read since the last value becomes a step, up to `end`. */
static void
learn(struct json_reading *r, const struct json_open *o, const char *end,
    uint32_t id, enum json_step_kind kind)
{
	const struct json_spot spot = { id, kind, o->depth, o->parents };

	r->step = json_step_add(r->paths, r->step,
	    (struct slice){ r->from, (size_t)(end - r->from) }, &spot);
	r->from = r->at;
}

/* The same before a value that is no object. */
static void
learn_value(struct json_reading *r, const struct json_open *o,
    const char *value, uint32_t id)
{
	if (*value == '"')
		learn(r, o, value + 1, id,
		    id == FIELD_TIMESTAMP ? STEP_TIME : STEP_STRING);
	else if (id == FIELD_TIMESTAMP)
		r->step = NO_STEP;
	else if (*value == '[' && value[1] == '"')
		learn(r, o, value + 2, id, STEP_LIST);
	else
		learn(r, o, value, id, STEP_OTHER);
}

/* One member; the id of its name if its value is an object that begins here. */
static uint32_t
member(struct json_reading *r, const struct json_open *o)
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
		json_read_time(r, o->depth);
	else
		json_read_value(r, o->depth, place(r, id));
	if (r->wrong != NULL) {
		r->ev->n = before; /* no place for what broke off */
		return FIELD_NONE;
	}
	if (r->step == NO_STEP)
		return FIELD_NONE;
	/* names that have no place of their own end the path */
	alone = r->ev->n == before + (id != FIELD_TIMESTAMP);
	if (alone && id != FIELD_NONE && *value != '{')
		learn_value(r, o, value, id);
	else
		r->step = NO_STEP;
	return FIELD_NONE;
}

/* Behind a value: to the next member; false: the end, or a mistake. */
static bool
next_member(struct json_reading *r, struct json_open *o)
{
	json_scan_space(&r->at, r->end);
	while (o->depth > 0 && r->at < r->end && *r->at == '}') {
		r->at++;
		o->depth--;
		json_scan_space(&r->at, r->end);
	}
	if (o->depth == 0) {
		if (r->at == r->end && r->step != NO_STEP && r->from < r->at)
			learn(r, o, r->at, FIELD_NONE, STEP_END);
		return false;
	}
	if (r->at == r->end || *r->at != ',') {
		json_read_fail(r, "a comma or closing bracket is missing");
		return false;
	}
	r->at++;
	return true;
}

/* The members of an object, behind its '{', and of those within it. */
static void
members(struct json_reading *r)
{
	struct json_open o;
	bool first = true;

	o.depth = 1;
	o.parents[0] = FIELD_NONE;
	if (r->step != NO_STEP && json_follow(r, &o)) {
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
				json_read_fail(r, json_too_deep);
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

/*
 * Paths are of whole events, of no more levels than may be, and of strings of
 * which short ones need not be cut.
 */
static void
begin_paths(struct json_reading *r, struct json_paths *paths)
{
	r->step = NO_STEP;
	r->paths = paths;
	if (paths == NULL || r->ev->n > 0 || r->limits->depth < STEP_DEPTH ||
	    r->limits->text_bytes < STEP_BLOCK)
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
	struct json_reading r;

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
		json_read_fail(&r, "no object");
	} else if (l.depth == 0) {
		json_read_fail(&r, json_too_deep);
	} else {
		r.from = ++r.at;
		members(&r);
		if (r.wrong == NULL && r.at != r.end)
			json_read_fail(&r, "text behind the object");
	}
	if (paths != NULL)
		paths->fields = ev->n;
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
