/* SPDX-License-Identifier: Apache-2.0 */
/* Events as JSON by what was learnt of alike ones: see json_lesson.h. */
#include <stdlib.h>

#include "hash.h"
#include "json_lesson.h"
#include "json_put.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	KINDS = 512,
	MEMO_BYTES = 512 << 10, /* of all kinds */
};

/* Events with the same fields in the same order: their text but the values. */
struct kind {
	uint32_t n; /* fields */
	uint32_t n_pieces;
	bool with_id;
	const uint32_t *ids;             /* n */
	const struct json_piece *pieces; /* n_pieces */
	const char *text;                /* with JSON_SLACK bytes more */
	size_t bytes;                    /* of all this */
	max_align_t rest[];
};

struct json_memo {
	enum json_shape shape;
	size_t bytes; /* of all kinds, at most MEMO_BYTES */
	struct kind *kinds[KINDS];
	struct json_lesson lesson;
};

struct json_memo *
json_memo_new(enum json_shape shape)
{
	struct json_memo *m = xzalloc(sizeof(*m));

	m->shape = shape;
	return m;
}

static void
forget(struct json_memo *m, struct kind **place)
{
	if (*place != NULL)
		m->bytes -= (*place)->bytes;
	free(*place);
	*place = NULL;
}

void
json_memo_free(struct json_memo *m)
{
	if (m == NULL)
		return;
	for (unsigned i = 0; i < KINDS; i++)
		forget(m, &m->kinds[i]);
	free(m);
}

static bool
is_kind(const struct kind *k, const struct event *ev, bool with_id)
{
	if (k == NULL || k->n != ev->n || k->with_id != with_id)
		return false;
	for (uint32_t i = 0; i < k->n; i++)
		if (k->ids[i] != ev->fields[i].id)
			return false;
	return true;
}

/* Where the kind is, or may be put: one of two places. */
static struct kind **
place_of(struct json_memo *m, const struct event *ev, bool with_id)
{
	uint64_t hash = with_id;
	struct kind **place;

	for (uint32_t i = 0; i < ev->n; i++)
		hash = hash_mix(hash, ev->fields[i].id);
	place = &m->kinds[hash % KINDS];
	if (*place == NULL || is_kind(*place, ev, with_id))
		return place;
	return &m->kinds[(hash ^ 1) % KINDS];
}

static void
remember(struct json_memo *m, struct kind **place, const struct event *ev,
    bool with_id)
{
	const struct json_lesson *l = &m->lesson;
	size_t ids = ev->n * sizeof(uint32_t);
	size_t pieces = l->n_pieces * sizeof(l->pieces[0]);
	size_t bytes =
	    sizeof(struct kind) + ids + pieces + l->text_len + JSON_SLACK;
	struct kind *k;
	uint32_t *own_ids;
	char *rest;

	forget(m, place);
	for (unsigned i = 0; i < KINDS && m->bytes + bytes > MEMO_BYTES; i++)
		forget(m, &m->kinds[i]);
	k = xzalloc(bytes);
	rest = (char *)k->rest;
	own_ids = (void *)rest;
	for (uint32_t i = 0; i < ev->n; i++)
		own_ids[i] = ev->fields[i].id;
	k->ids = own_ids;
	k->pieces = (void *)(rest + ids);
	memcpy(rest + ids, l->pieces, pieces);
	k->text = rest + ids + pieces;
	memcpy(rest + ids + pieces, l->text, l->text_len);
	k->n = ev->n;
	k->n_pieces = l->n_pieces;
	k->with_id = with_id;
	k->bytes = bytes;
	m->bytes += bytes;
	*place = k;
}

/* A list of strings that need no escape; NULL: it is another. */
static char *
put_list(char *to, const struct value *v)
{
	*to++ = '[';
	for (uint32_t i = 0; i < v->n && to != NULL; i++) {
		if (i > 0)
			*to++ = ',';
		to = json_put_string(to, v->list[i].s);
	}
	if (to != NULL)
		*to++ = ']';
	return to;
}

/* How many bytes put_list() takes; 0: it cannot. */
static size_t
list_bytes(const struct value *v)
{
	size_t bytes = 2;

	for (uint32_t i = 0; i < v->n; i++) {
		if (v->list[i].kind != VALUE_STRING)
			return 0;
		bytes += v->list[i].s.len + 3;
	}
	return bytes;
}

/* A piece and a value whose text is at most as long; false: nothing was done. */
static bool
put_quickly(struct buf *out, struct slice piece, const struct value *v)
{
	size_t bytes = JSON_DIGITS_MAX;
	char *to;

	if (v->kind == VALUE_STRING)
		bytes = v->s.len + 2;
	else if (v->kind == VALUE_LIST)
		bytes = list_bytes(v);
	else if (v->kind != VALUE_INT || v->i < 0)
		return false;
	to = bytes > 0 ? json_room(out, piece.len + bytes) : NULL;
	if (to == NULL)
		return false;
	to = json_put_piece(to, piece.ptr, piece.len);
	if (v->kind == VALUE_STRING)
		to = json_put_string(to, v->s);
	else if (v->kind == VALUE_LIST)
		to = put_list(to, v);
	else
		to = json_put_digits(to, (uint64_t)v->i);
	if (to != NULL)
		out->len = (size_t)(to - out->ptr);
	return to != NULL;
}

static void
write_by(struct buf *out, const struct kind *k, const struct event *ev,
    const struct value *id)
{
	uint32_t last = k->n_pieces - 1;
	size_t from = 0;

	json_write_time(out, ev);
	for (uint32_t i = 0; i < last; i++) {
		const struct json_piece *p = &k->pieces[i];
		const struct value *v =
		    p->field == JSON_OWN_ID ? id : &ev->fields[p->field].value;
		struct slice piece = { k->text + from, p->end - from };

		from = p->end;
		if (put_quickly(out, piece, v))
			continue;
		(void)buf_add_slice(out, piece);
		json_write_value(out, v);
	}
	(void)buf_add(out, k->text + from, k->pieces[last].end - from);
}

void
json_write_event_again(struct buf *out, const struct event *ev,
    struct json_memo *m)
{
	char text[EVENT_ID_TEXT_MAX];
	struct value id = { .kind = VALUE_STRING, .s = json_own_id(ev, text) };
	bool with_id = id.s.len > 0;
	struct kind **place = place_of(m, ev, with_id);

	if (is_kind(*place, ev, with_id)) {
		write_by(out, *place, ev, &id);
		return;
	}
	m->lesson.n_pieces = 0;
	m->lesson.text_len = 0;
	if (json_write_learning(out, ev, &id, m->shape,
		ev->n <= JSON_LESSON_FIELDS ? &m->lesson : NULL))
		remember(m, place, ev, with_id);
}
