/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How json_event.c wrote an event, for json_memo.c, which writes alike ones by
 * it.  The text between the values is cut into pieces: one ends before each
 * value, the last one at the event's end.  The time, which comes first, is in
 * none.
 */
#pragma once

#include "json.h"

enum {
	JSON_LESSON_FIELDS = 80, /* events of more are not remembered */
	JSON_LESSON_PIECES = JSON_LESSON_FIELDS + 2, /* event.id, the end */
	JSON_LESSON_TEXT = 4096,
	JSON_OWN_ID = UINT16_MAX,
};

struct json_piece {
	uint16_t end;   /* in the text */
	uint16_t field; /* whose value follows: in order, or JSON_OWN_ID */
};

struct json_lesson {
	uint32_t n_pieces;
	size_t text_len;
	struct json_piece pieces[JSON_LESSON_PIECES];
	char text[JSON_LESSON_TEXT];
};

/* event.id, or an empty slice; `text` is where it may be made. */
struct slice json_own_id(const struct event *ev, char text[EVENT_ID_TEXT_MAX]);

/* The bracket and the time that every event begins with. */
void json_write_time(struct buf *out, const struct event *ev);

/*
 * Writes an event of at most JSON_LESSON_FIELDS with `id`; `lesson`, cleared,
 * learns how, if it is not NULL.  False: it cannot be remembered.
 */
bool json_write_learning(struct buf *out, const struct event *ev,
    const struct value *id, enum json_shape shape, struct json_lesson *lesson);
