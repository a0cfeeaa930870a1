/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the reader of events share, for lib/json_read.c and
 * lib/json_follow.c only.
 */
#pragma once

#include "json_paths.h"

enum {
	/* of the index of a struct json_reading */
	JSON_INDEX_SLOTS = 2 * EVENT_FIELDS_MAX,
	/* items of an event's lists: what is beyond stays JSON text */
	JSON_LIST_ITEMS_MAX = 65536,
};

/*
 * `index` finds the place of a field by its id in constant time: open
 * addressing, 0 is free, else the place plus one.  It is made when an event has
 * more than a few, small at first; half full at most.
 */
struct json_reading {
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
	uint16_t index[JSON_INDEX_SLOTS];
};

/* The objects that are open. */
struct json_open {
	unsigned depth;
	uint32_t parents[JSON_DEPTH_MAX];
};

/* The first mistake counts. */
static inline void
json_read_fail(struct json_reading *r, const char *wrong)
{
	if (r->wrong == NULL)
		r->wrong = wrong;
}

/* A value that is no object with members; `depth` levels are open around it. */
void json_read_value(struct json_reading *r, unsigned depth, struct value *out);

/* The value of @timestamp: a member of the event, or a field. */
void json_read_time(struct json_reading *r, unsigned depth);

/* A string that was read, within the limits. */
void json_read_string(struct json_reading *r, struct slice s,
    struct value *out);

/*
 * From behind the first brace along the steps of objects before, as far as they
 * go: their values are in the event, and `o` says where this ends.  False: not
 * one step.  Only where r->step is no NO_STEP.
 */
bool json_follow(struct json_reading *r, struct json_open *o);
