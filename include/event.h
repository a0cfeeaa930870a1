/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event: a flat list of (field id, value), all of it in one batch's arena.
 *
 * The instant and the identity are members, not fields: they are printed as
 * `@timestamp` and `event.id`.  Everything else is a field, `event.original`
 * (the line as read) and `message` among them.  A field occurs at most once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "field.h"
#include "slice.h"

enum value_kind {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,    /* fits int64_t */
	VALUE_DOUBLE, /* finite */
	VALUE_STRING, /* valid UTF-8; may hold NUL */
	VALUE_LIST,   /* of scalars: none of LIST or JSON */
	VALUE_JSON, /* anything else, as JSON text: arrays that hold objects or
	               * arrays, empty objects, numbers beyond int64 or double */
};

struct value {
	enum value_kind kind;
	uint32_t n; /* LIST: how many */
	union {
		bool b;
		int64_t i;
		double d;
		struct slice s; /* STRING, JSON */
		const struct value *list;
	};
};

struct field {
	uint32_t id;
	struct value value;
};

/*
 * Who an event is.  `stream` is a UUID that the agent made for a generation of
 * a file; `offset` is the first byte of the line.  Foreign clients' events have
 * no stream: theirs is all zero and `foreign` (in the arena; empty if they have
 * no identity at all) is what tells them apart within one client.
 */
struct event_id {
	uint8_t stream[16];
	uint64_t offset;
};

/* Bound: beyond it event_set_value() refuses, counts and marks. */
enum { EVENT_FIELDS_MAX = 1024, EVENT_SEEN_WORDS = 4 };

struct event {
	struct arena *arena; /* borrowed: the batch's */
	struct field *fields;
	uint32_t n;
	uint32_t cap;
	uint32_t dropped;   /* fields that a bound kept out */
	int64_t time_ns;    /* since 1970-01-01T00:00:00Z; event time */
	int64_t arrival_ns; /* when the collector read it */
	struct event_id id;
	bool own_id; /* the collector made `id`, for what came without any
		      * identity: nothing to compare it with, no mark */
	struct slice foreign;
	uint32_t size; /* bytes it came in: what budgets count */
	/* a filter of the ids in `fields`: a bit that is not set says that none
	 * of its ids is there; see event_saw() */
	uint64_t seen[EVENT_SEEN_WORDS];
};

static inline void
event_filter_add(uint64_t seen[EVENT_SEEN_WORDS], uint32_t id)
{
	seen[id / 64 % EVENT_SEEN_WORDS] |= UINT64_C(1) << id % 64;
}

/* Who writes an id into `fields` by himself tells of it. */
static inline void
event_saw(struct event *ev, uint32_t id)
{
	event_filter_add(ev->seen, id);
}

static inline bool
event_may_have(const struct event *ev, uint32_t id)
{
	return (ev->seen[id / 64 % EVENT_SEEN_WORDS] >> id % 64 & 1) != 0;
}

/* An empty event whose fields will live in `arena`. */
void event_begin(struct event *ev, struct arena *arena);

/* Room for so many fields at once, where it has none yet. */
void event_reserve(struct event *ev, uint32_t n);

/* NULL if it has no such field; valid until the next event_set_value(). */
const struct value *event_get(const struct event *ev, uint32_t id);

/* The same for one of many alike events: looks first where the last had it. */
static inline const struct value *
event_get_near(const struct event *ev, uint32_t id, uint32_t *at)
{
	if (*at >= ev->n || ev->fields[*at].id != id)
		for (*at = 0; *at < ev->n; ++*at)
			if (ev->fields[*at].id == id)
				break;
	return *at < ev->n ? &ev->fields[*at].value : NULL;
}

/* The text of a STRING field, else an empty slice with ptr NULL. */
struct slice event_get_string(const struct event *ev, uint32_t id);

/*
 * Sets or replaces.  Strings are borrowed: they must live as long as the arena.
 * FIELD_NONE is counted in `dropped`.
 */
void event_set_value(struct event *ev, uint32_t id, struct value value);
/* The same where the event is known not to have the field yet. */
void event_append(struct event *ev, uint32_t id, struct value value);
/* Its place, to be filled (VALUE_NULL now), or NULL at the bound: counted. */
struct value *event_place_slow(struct event *ev, uint32_t id);
static inline bool
event_has_room(const struct event *ev, uint32_t id)
{
	return ev->n != ev->cap && id != FIELD_NONE && ev->n < EVENT_FIELDS_MAX;
}
static inline struct value *
event_place(struct event *ev, uint32_t id)
{
	struct field *f;

	if (!event_has_room(ev, id))
		return event_place_slow(ev, id);
	event_saw(ev, id);
	f = &ev->fields[ev->n++];
	f->id = id;
	f->value.kind = VALUE_NULL;
	return &f->value;
}
void event_set_string(struct event *ev, uint32_t id, struct slice s);
/* Sets it where the event does not have the field yet. */
void event_offer_string(struct event *ev, uint32_t id, struct slice s);
void event_set_int(struct event *ev, uint32_t id, int64_t i);
void event_set_bool(struct event *ev, uint32_t id, bool b);

/* Appends to a list field, makes one of a scalar; equal items are kept once. */
void event_add_string(struct event *ev, uint32_t id, struct slice s);

void event_unset(struct event *ev, uint32_t id);

/* Everything in `arena`. */
struct value value_copy(struct arena *arena, const struct value *v);
void event_copy(struct event *to, struct arena *arena, const struct event *ev);

/*
 * "6ba7b810-9dad-11d1-80b4-00c04fd430c8:1234", or the foreign identity, or the
 * event's own event.id field, or empty.  Lives in the arena.
 */
struct slice event_id_text(const struct event *ev);

/* The id of an event that has a stream, as event_id_text() prints it. */
enum { EVENT_ID_TEXT_MAX = 36 + 1 + 20 + 1 };
struct slice event_id_format(const struct event_id *id,
    char out[EVENT_ID_TEXT_MAX]);

/* Parses what event_id_text() prints; false if it is something else. */
bool event_id_parse(struct slice text, struct event_id *id);

static inline bool
event_has_stream(const struct event *ev)
{
	static const uint8_t none[16];

	return memcmp(ev->id.stream, none, sizeof(none)) != 0;
}
