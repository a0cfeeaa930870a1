/* SPDX-License-Identifier: Apache-2.0 */
/* A field's column as search reads it: block.h tells the format. */
#include "collector/store/block_decoder.h"

/* What stands before the strings. */
struct column_head {
	bool all;
	uint32_t n;
	uint32_t *rows;
	bool alike;
	uint8_t kind;
	struct reader ints;
	uint8_t strings;
};

static bool
read_rows(struct block_decoder *d, struct reader *r, struct column_head *h)
{
	uint64_t n, row = 0;

	h->all = reader_u8(r) == PRESENT_ALL;
	n = h->all ? d->n : reader_varint(r);
	if (r->bad || n > d->n)
		return false;
	h->n = (uint32_t)n;
	if (h->all)
		return true;
	h->rows = arena_alloc(d->arena, (n + 1) * sizeof(h->rows[0]));
	for (uint64_t i = 0; i < n; i++, row++) {
		uint64_t gap = reader_varint(r);

		if (gap > d->n)
			return false;
		row += gap;
		if (row >= d->n)
			return false;
		h->rows[i] = (uint32_t)row;
	}
	return !r->bad;
}

static bool
read_head(struct block_decoder *d, struct reader *r, struct column_head *h)
{
	if (!read_rows(d, r, h))
		return false;
	h->alike = reader_u8(r) == KINDS_ALIKE;
	if (h->alike)
		h->kind = reader_u8(r);
	else
		(void)reader_slice(r);
	h->ints = reader_of(reader_slice(r));
	h->strings = reader_u8(r);
	return !r->bad && h->ints.at != NULL;
}

/* ---- one function for each form ----------------------------------------- */

static bool
read_entries(struct block_decoder *d, struct reader *r, struct store_column *c)
{
	uint64_t n = reader_varint(r);
	struct reader lens = reader_of(reader_slice(r));
	struct reader text = reader_of(reader_slice(r));
	struct slice *entries;

	if (r->bad || lens.at == NULL || n > reader_left(&lens) ||
	    n > UINT16_MAX + 1)
		return false;
	entries = arena_alloc(d->arena, (n + 1) * sizeof(entries[0]));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t len = reader_varint(&lens);

		entries[i].ptr = (const char *)reader_bytes(&text, len);
		entries[i].len = (size_t)len;
	}
	c->entries = entries;
	c->n_entries = (uint32_t)n;
	return !lens.bad && !text.bad;
}

static bool
read_dictionary(struct block_decoder *d, struct reader *r,
    struct store_column *c)
{
	const uint8_t *stored;
	uint16_t *index;
	uint32_t greatest = 0;
	uint8_t width;

	if (!read_entries(d, r, c))
		return false;
	width = reader_u8(r);
	if (width < 1 || width > 2 || reader_varint(r) != c->n)
		return false;
	stored = reader_bytes(r, (uint64_t)c->n * width);
	if (stored == NULL)
		return false;
	index = arena_alloc(d->arena, (c->n + 1) * sizeof(index[0]));
	for (uint32_t i = 0; i < c->n && width == 1; i++)
		index[i] = stored[i];
	for (uint32_t i = 0; i < c->n && width == 2; i++)
		index[i] = (uint16_t)(stored[2 * (size_t)i] |
		    stored[2 * (size_t)i + 1] << 8);
	for (uint32_t i = 0; i < c->n; i++)
		greatest = index[i] > greatest ? index[i] : greatest;
	c->form = COLUMN_DICTIONARY;
	c->index = index;
	return c->n == 0 || greatest < c->n_entries;
}

static bool
read_text(struct block_decoder *d, struct reader *r, struct store_column *c)
{
	struct reader lens = reader_of(reader_slice(r));
	struct slice text = reader_slice(r);
	uint32_t *offsets =
	    arena_alloc(d->arena, (size_t)(c->n + 1) * sizeof(offsets[0]));
	uint64_t at = 0;

	if (r->bad || lens.at == NULL)
		return false;
	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t len = reader_varint(&lens);

		offsets[i] = (uint32_t)at;
		if (len > text.len - at)
			return false;
		at += len;
	}
	offsets[c->n] = (uint32_t)at;
	c->form = COLUMN_TEXT;
	c->text = text.ptr != NULL ? text.ptr : "";
	c->offsets = offsets;
	return !r->bad && !lens.bad;
}

static bool
read_integers(struct block_decoder *d, struct reader *ints,
    struct store_column *c)
{
	int64_t *to = arena_alloc(d->arena, (c->n + 1) * sizeof(to[0]));
	int64_t before = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		before = undelta(reader_varint(ints), before);
		to[i] = before;
	}
	c->form = COLUMN_INTEGERS;
	c->ints = to;
	return !ints->bad;
}

/* Pieces of event.original, which is a text that every event has. */
static bool
read_pieces(struct block_decoder *d, struct reader *ints,
    const struct store_column *original, struct store_column *c)
{
	struct slice *to = arena_alloc(d->arena, (c->n + 1) * sizeof(to[0]));

	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t row = c->rows != NULL ? c->rows[i] : i;
		uint32_t from = original->offsets[row];
		uint32_t whole = original->offsets[row + 1] - from;
		uint64_t offset = reader_varint(ints);
		uint64_t len = reader_varint(ints);

		if (offset > whole || len > whole - offset)
			return false;
		to[i] = (struct slice){ original->text + from + offset,
			(size_t)len };
	}
	c->form = COLUMN_PIECES;
	c->strings = to;
	return !ints->bad;
}

/* Whatever it is: value by value. */
static enum rc
read_any(struct block_decoder *d, struct part *p, struct store_column *c,
    struct error *err)
{
	struct value *to = arena_alloc(d->arena, (c->n + 1) * sizeof(to[0]));

	if (block_part_values(d, p, true, to, err) != RC_OK)
		return err->code;
	c->form = COLUMN_VALUES;
	c->values = to;
	return RC_OK;
}

static enum rc
read_form(struct block_decoder *d, struct part *p, struct column_head *h,
    struct reader *r, struct store_column *c, struct error *err)
{
	const struct store_column *original;
	bool good;

	if (h->alike && h->kind == KIND_STRING && h->strings == STRINGS_DICT) {
		good = read_dictionary(d, r, c);
	} else if (h->alike && h->kind == KIND_STRING &&
	    h->strings == STRINGS_PLAIN) {
		good = read_text(d, r, c);
	} else if (h->alike && h->kind == KIND_INT) {
		good = read_integers(d, &h->ints, c);
	} else if (h->alike && h->kind == KIND_REFERENCE &&
	    p->field == FIELD_MESSAGE) {
		if (block_decoder_form(d, FIELD_EVENT_ORIGINAL, &original,
			err) != RC_OK)
			return err->code;
		if (original == NULL || original->form != COLUMN_TEXT ||
		    original->rows != NULL)
			return read_any(d, p, c, err);
		good = read_pieces(d, &h->ints, original, c);
	} else {
		return read_any(d, p, c, err);
	}
	return good ? RC_OK : block_damaged(err, "a column's values");
}

enum rc
block_decoder_form(struct block_decoder *d, uint32_t field,
    const struct store_column **out, struct error *err)
{
	struct part *p = block_part(d, COLUMN_FIELD, field);
	struct column_head h = { 0 };
	struct store_column *c;
	struct reader r = { 0 };
	enum rc rc;

	*out = NULL;
	if (p == NULL)
		return RC_OK;
	if (p->column == NULL) {
		if (block_unpack(d, p, &r, err) != RC_OK)
			return err->code;
		if (r.at == NULL || !read_head(d, &r, &h))
			return block_damaged(err, "a column's values");
		c = arena_alloc(d->arena, sizeof(*c));
		*c = (struct store_column){ .n = h.n, .rows = h.rows };
		rc = read_form(d, p, &h, &r, c, err);
		if (rc != RC_OK)
			return rc;
		p->column = c;
	}
	*out = p->column;
	return RC_OK;
}

uint32_t
block_decoder_fields(struct block_decoder *d, const uint32_t **out)
{
	uint32_t *list =
	    arena_alloc(d->arena, (d->n_parts + 1) * sizeof(list[0]));
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].kind == COLUMN_FIELD &&
		    d->parts[i].field != FIELD_NONE)
			list[n++] = d->parts[i].field;
	*out = list;
	return n;
}

/* ---- events ------------------------------------------------------------- */

static struct value
value_at(const struct store_column *c, uint32_t k)
{
	struct value v = { .kind = VALUE_STRING };

	switch (c->form) {
	case COLUMN_DICTIONARY:
		v.s = c->entries[c->index[k]];
		return v;
	case COLUMN_TEXT:
		v.s = (struct slice){ c->text + c->offsets[k],
			c->offsets[k + 1] - c->offsets[k] };
		return v;
	case COLUMN_PIECES:
		v.s = c->strings[k];
		return v;
	case COLUMN_INTEGERS:
		return (struct value){ .kind = VALUE_INT, .i = c->ints[k] };
	default:
		return c->values[k];
	}
}

/* The first of the column's places that is not before `row`, from k on. */
static uint32_t
place_of(const struct store_column *c, uint32_t k, uint32_t row)
{
	if (c->rows == NULL)
		return row;
	while (k < c->n && c->rows[k] < row)
		k++;
	return k;
}

static bool
has_place(const struct store_column *c, uint32_t k, uint32_t row)
{
	return k < c->n && (c->rows == NULL || c->rows[k] == row);
}

/* Adds the column to those of the events that have it; or only counts it. */
static void
add_column(const struct store_column *c, uint32_t field, const uint32_t *rows,
    uint32_t n, struct event *events, bool count)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct event *ev = &events[i];

		k = place_of(c, k, rows[i]);
		if (!has_place(c, k, rows[i]))
			continue;
		if (count) {
			ev->cap++;
			continue;
		}
		event_saw(ev, field);
		ev->fields[ev->n++] = (struct field){ field, value_at(c, k) };
	}
}

static enum rc
add_columns(struct block_decoder *d, const uint32_t *rows, uint32_t n,
    struct event *events, bool count, struct error *err)
{
	for (uint32_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		const struct store_column *c;

		if (p->kind != COLUMN_FIELD || p->field == FIELD_NONE)
			continue;
		if (block_decoder_form(d, p->field, &c, err) != RC_OK)
			return err->code;
		/* a name that comes twice is read once */
		if (c != NULL && block_part(d, COLUMN_FIELD, p->field) == p)
			add_column(c, p->field, rows, n, events, count);
	}
	return RC_OK;
}

enum rc
block_decoder_rows(struct block_decoder *d, const uint32_t *rows, uint32_t n,
    struct event **out, struct error *err)
{
	struct event *events = arena_alloc(d->arena, n * sizeof(events[0]));
	struct block_heads heads;

	if (block_decoder_heads(d, &heads, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < n; i++) {
		event_begin(&events[i], d->arena);
		events[i].time_ns = heads.times[rows[i]];
		events[i].arrival_ns = heads.arrivals[rows[i]];
		events[i].id = heads.ids[rows[i]];
		events[i].foreign = heads.foreign[rows[i]];
		events[i].cap = 0;
	}
	if (add_columns(d, rows, n, events, true, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < n; i++)
		events[i].fields = arena_alloc(d->arena,
		    events[i].cap * sizeof(events[i].fields[0]));
	*out = events;
	return add_columns(d, rows, n, events, false, err);
}
