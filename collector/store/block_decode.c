/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/block_decoder.h"

enum {
	/* most columns fit: from block to block it is the same memory, which is
	 * not given back and asked for again */
	ARENA_BLOCK = 16 << 20,
	COLUMNS_MAX = FIELDS_MAX + 8,
	HEAD_FIRST = 16 * 1024, /* bytes read for the directory, at first */
};

/* A column while it is unpacked: its streams, walked in step. */
struct walk {
	struct reader kinds, ints, lens, text;
	bool alike;
	bool dict;
	uint8_t kind;
	int64_t before;
	struct slice *entries; /* dict */
	uint64_t n_entries;
	struct reader index;
	uint8_t width;
	struct arena *arena;
	const struct value *originals; /* for references; may be NULL */
	bool packed; /* values one behind the other, not by row */
};

struct block_decoder *
block_decoder_new(void)
{
	struct block_decoder *d = xzalloc(sizeof(*d));

	d->zstd = ZSTD_createDCtx();
	if (d->zstd == NULL)
		abort();
	d->arena = arena_new(ARENA_BLOCK);
	return d;
}

void
block_decoder_free(struct block_decoder *d)
{
	if (d == NULL)
		return;
	(void)ZSTD_freeDCtx(d->zstd);
	arena_free(d->arena);
	free(d);
}

enum rc
block_damaged(struct error *err, const char *what)
{
	return error_set(err, RC_INVALID, "damaged block: %s", what);
}

/* The column's line of the directory. */
static bool
read_line(struct block_decoder *d, struct reader *r, struct part *p)
{
	uint8_t packing;

	p->kind = (enum column_kind)reader_u8(r);
	if (p->kind == COLUMN_FIELD) {
		struct slice name = reader_slice(r);

		if (r->bad)
			return false;
		p->field = field_intern(name);
	}
	packing = reader_u8(r);
	p->zstd = packing == PACKING_ZSTD;
	p->raw = (size_t)reader_varint(r);
	p->stored = (size_t)reader_varint(r);
	if (r->bad || packing > PACKING_ZSTD || p->raw > d->budget ||
	    (!p->zstd && p->raw != p->stored))
		return false;
	d->budget -= p->raw;
	return true;
}

/*
 * The directory, from the first `head` of the block's `size` bytes.  RC_AGAIN:
 * it may be longer than that.
 */
static enum rc
read_directory(struct block_decoder *d, struct slice head, size_t size,
    struct error *err)
{
	struct reader r = reader_of(head);
	uint64_t n, n_parts;
	size_t offset;

	d->budget = BLOCK_RAW_MAX;
	if (reader_u8(&r) != BLOCK_VERSION)
		return error_set(err, RC_INVALID,
		    "a block of an unknown version");
	n = reader_varint(&r);
	n_parts = reader_varint(&r);
	if (r.bad || n > BLOCK_EVENTS_MAX || n_parts > COLUMNS_MAX ||
	    n_parts > size)
		return block_damaged(err, "its size");
	d->parts = arena_alloc(d->arena, (n_parts + 1) * sizeof(d->parts[0]));
	memset(d->parts, 0, (n_parts + 1) * sizeof(d->parts[0]));
	for (uint64_t i = 0; i < n_parts; i++) {
		if (read_line(d, &r, &d->parts[i]))
			continue;
		if (r.bad && head.len < size)
			return RC_AGAIN;
		return block_damaged(err, "its directory");
	}
	offset = head.len - reader_left(&r);
	for (uint64_t i = 0; i < n_parts; i++) {
		struct part *p = &d->parts[i];

		if (p->stored > size - offset)
			return block_damaged(err, "its length");
		p->offset = offset;
		offset += p->stored;
		if (offset <= head.len)
			p->at = (const uint8_t *)head.ptr + p->offset;
	}
	if (offset != size)
		return block_damaged(err, "its length");
	d->n = (uint32_t)n;
	d->n_parts = (uint32_t)n_parts;
	return RC_OK;
}

static void
begin(struct block_decoder *d)
{
	arena_reset(d->arena);
	d->source = (struct block_source){ 0 };
	d->n_parts = 0;
	d->n = 0;
	d->heads_read = false;
}

enum rc
block_decoder_open(struct block_decoder *d, struct slice data,
    struct error *err)
{
	begin(d);
	return read_directory(d, data, data.len, err);
}

enum rc
block_decoder_open_source(struct block_decoder *d,
    const struct block_source *source, struct error *err)
{
	size_t len = HEAD_FIRST;
	enum rc rc;

	do {
		struct slice head;
		char *p;

		begin(d);
		d->source = *source;
		if (len > source->size)
			len = source->size;
		p = arena_alloc(d->arena, len + 1);
		head = (struct slice){ p, len };
		rc = source->read(source->ctx, 0, len, p, err);
		if (rc == RC_OK)
			rc = read_directory(d, head, source->size, err);
		len *= 8;
	} while (rc == RC_AGAIN);
	return rc;
}

/* The part's stored bytes. */
static enum rc
load_part(struct block_decoder *d, struct part *p, struct error *err)
{
	uint8_t *to;

	if (p->at != NULL)
		return RC_OK;
	to = arena_alloc(d->arena, p->stored + 1);
	if (d->source.read(d->source.ctx, p->offset, p->stored, to, err) !=
	    RC_OK)
		return err->code;
	p->at = to;
	return RC_OK;
}

uint32_t
block_events(const struct block_decoder *d)
{
	return d->n;
}

struct part *
block_part(struct block_decoder *d, enum column_kind kind, uint32_t field)
{
	for (uint32_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].kind == kind &&
		    (kind != COLUMN_FIELD || d->parts[i].field == field))
			return &d->parts[i];
	return NULL;
}

enum rc
block_unpack(struct block_decoder *d, struct part *p, struct reader *r,
    struct error *err)
{
	uint8_t *out;

	if (p->unpacked == NULL && load_part(d, p, err) != RC_OK)
		return err->code;
	if (p->unpacked == NULL && !p->zstd) {
		p->unpacked = p->at;
	} else if (p->unpacked == NULL) {
		if (ZSTD_getFrameContentSize(p->at, p->stored) != p->raw)
			return block_damaged(err, "a column's size");
		out = arena_alloc(d->arena, p->raw + 1);
		if (ZSTD_decompressDCtx(d->zstd, out, p->raw, p->at,
			p->stored) != p->raw)
			return block_damaged(err, "a column");
		p->unpacked = out;
	}
	*r = reader_of((struct slice){ (const char *)p->unpacked, p->raw });
	return RC_OK;
}

/* ---- a field's column --------------------------------------------------- */

static bool
read_dict(struct walk *w, struct reader *r)
{
	uint64_t n = reader_varint(r);
	struct reader lens = reader_of(reader_slice(r));
	struct reader text = reader_of(reader_slice(r));
	const uint8_t *index;
	uint64_t m;

	w->width = reader_u8(r);
	m = reader_varint(r);
	if (r->bad || n > reader_left(&lens) || w->width < 1 || w->width > 2 ||
	    m > reader_left(r))
		return false;
	index = reader_bytes(r, m * w->width);
	if (index == NULL)
		return false;
	w->index = (struct reader){ index, index + m * w->width, false };
	w->entries =
	    arena_alloc(w->arena, (n > 0 ? n : 1) * sizeof(w->entries[0]));
	w->n_entries = n;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t len = reader_varint(&lens);

		w->entries[i].ptr = (const char *)reader_bytes(&text, len);
		w->entries[i].len = (size_t)len;
	}
	w->dict = true;
	return !r->bad && !lens.bad && !text.bad;
}

static bool
read_streams(struct walk *w, struct reader *r)
{
	w->alike = reader_u8(r) == KINDS_ALIKE;
	if (w->alike)
		w->kind = reader_u8(r);
	else
		w->kinds = reader_of(reader_slice(r));
	w->ints = reader_of(reader_slice(r));
	switch (reader_u8(r)) {
	case STRINGS_NONE:
		w->lens = w->text = (struct reader){ r->at, r->at, false };
		break;
	case STRINGS_PLAIN:
		w->lens = reader_of(reader_slice(r));
		w->text = reader_of(reader_slice(r));
		break;
	case STRINGS_DICT:
		if (!read_dict(w, r))
			return false;
		break;
	default:
		return false;
	}
	return !r->bad;
}

static inline struct slice
next_string(struct walk *w)
{
	const uint8_t *p;
	uint64_t len;
	size_t i;

	if (!w->dict) {
		len = reader_varint(&w->lens);
		p = reader_bytes(&w->text, len);
		w->lens.bad |= w->text.bad;
		return (struct slice){ p != NULL ? (const char *)p : "",
			p != NULL ? (size_t)len : 0 };
	}
	p = reader_bytes(&w->index, w->width);
	if (p == NULL)
		return SLICE("");
	i = w->width == 1 ? p[0] : (size_t)p[0] | (size_t)p[1] << 8;
	if (i >= w->n_entries) {
		w->index.bad = true;
		return SLICE("");
	}
	return w->entries[i];
}

static inline uint8_t
next_kind(struct walk *w)
{
	return w->alike ? w->kind : reader_u8(&w->kinds);
}

static bool
next_reference(struct walk *w, uint32_t row, struct value *v)
{
	uint64_t offset = reader_varint(&w->ints);
	uint64_t len = reader_varint(&w->ints);
	const struct value *o;

	if (w->originals == NULL)
		return false;
	o = &w->originals[row];
	if (o->kind != VALUE_STRING || offset > o->s.len ||
	    len > o->s.len - offset)
		return false;
	v->kind = VALUE_STRING;
	v->s = (struct slice){ o->s.ptr + offset, (size_t)len };
	return true;
}

static inline bool
next_scalar(struct walk *w, uint8_t kind, struct value *v)
{
	uint64_t bits;

	switch (kind) {
	case KIND_NULL:
		v->kind = VALUE_NULL;
		return true;
	case KIND_FALSE:
	case KIND_TRUE:
		v->kind = VALUE_BOOL;
		v->b = kind == KIND_TRUE;
		return true;
	case KIND_INT:
		w->before = undelta(reader_varint(&w->ints), w->before);
		v->kind = VALUE_INT;
		v->i = w->before;
		return !w->ints.bad;
	case KIND_DOUBLE:
		bits = reader_varint(&w->ints);
		v->kind = VALUE_DOUBLE;
		memcpy(&v->d, &bits, sizeof(v->d));
		return !w->ints.bad;
	case KIND_STRING:
	case KIND_JSON:
		v->kind = kind == KIND_STRING ? VALUE_STRING : VALUE_JSON;
		v->s = next_string(w);
		return !w->lens.bad && !w->index.bad;
	default:
		return false;
	}
}

static bool
next_list(struct walk *w, struct value *v)
{
	uint64_t n = reader_varint(&w->ints);
	struct value *items;

	/* an item has a kind of its own: never more than there are */
	if (w->ints.bad || (n > 0 && w->alike) ||
	    (n > 0 && n > reader_left(&w->kinds)))
		return false;
	items = arena_alloc(w->arena, (n > 0 ? n : 1) * sizeof(items[0]));
	memset(items, 0, (n > 0 ? n : 1) * sizeof(items[0]));
	for (uint64_t i = 0; i < n; i++)
		if (!next_scalar(w, next_kind(w), &items[i]) || w->kinds.bad)
			return false;
	v->kind = VALUE_LIST;
	v->n = (uint32_t)n;
	v->list = items;
	return true;
}

static bool
next_value(struct walk *w, uint32_t row, struct value *v)
{
	uint8_t kind = next_kind(w);

	if (kind == KIND_LIST)
		return next_list(w, v);
	if (kind == KIND_REFERENCE)
		return next_reference(w, row, v);
	return next_scalar(w, kind, v) && !w->kinds.bad;
}

/* Walks presence and values together. */
static bool
read_values(struct block_decoder *d, struct walk *w, struct reader *r,
    struct value *values)
{
	struct reader gaps = { r->at, r->at, false };
	bool all = reader_u8(r) == PRESENT_ALL;
	uint64_t n = all ? d->n : reader_varint(r);
	uint64_t row = 0;

	if (r->bad || n > d->n)
		return false;
	if (!all) {
		gaps = *r;
		for (uint64_t i = 0; i < n; i++)
			(void)reader_varint(r);
	}
	if (r->bad || !read_streams(w, r))
		return false;
	for (uint64_t i = 0; i < n; i++, row++) {
		if (!all) {
			uint64_t gap = reader_varint(&gaps);

			if (gap > d->n)
				return false;
			row += gap;
		}
		if (row >= d->n ||
		    !next_value(w, (uint32_t)row, &values[w->packed ? i : row]))
			return false;
	}
	return true;
}

static bool
column_has_references(const struct part *p)
{
	return p->kind == COLUMN_FIELD && p->field == FIELD_MESSAGE;
}

static enum rc read_column(struct block_decoder *d, struct part *p,
    struct error *err);

enum rc
block_part_values(struct block_decoder *d, struct part *p, bool packed,
    struct value *values, struct error *err)
{
	struct walk w = { .arena = d->arena, .packed = packed };
	struct reader r = { 0 };

	if (column_has_references(p)) {
		struct part *o =
		    block_part(d, COLUMN_FIELD, FIELD_EVENT_ORIGINAL);

		if (o != NULL && read_column(d, o, err) != RC_OK)
			return err->code;
		w.originals = o != NULL ? o->values : NULL;
	}
	if (block_unpack(d, p, &r, err) != RC_OK)
		return err->code;
	if (!read_values(d, &w, &r, values))
		return block_damaged(err, "a column's values");
	return RC_OK;
}

static enum rc
read_column(struct block_decoder *d, struct part *p, struct error *err)
{
	struct value *values;

	if (p->values != NULL)
		return RC_OK;
	values = arena_alloc(d->arena, (d->n + 1) * sizeof(values[0]));
	for (uint32_t i = 0; i < d->n; i++)
		values[i].kind = (enum value_kind)BLOCK_ABSENT;
	if (block_part_values(d, p, false, values, err) != RC_OK)
		return err->code;
	p->values = values;
	return RC_OK;
}

enum rc
block_decoder_column(struct block_decoder *d, uint32_t field,
    const struct value **out, struct error *err)
{
	struct part *p = block_part(d, COLUMN_FIELD, field);

	*out = NULL;
	if (p == NULL)
		return RC_OK;
	if (read_column(d, p, err) != RC_OK)
		return err->code;
	*out = p->values;
	return RC_OK;
}

/* ---- what every event has ----------------------------------------------- */

static enum rc
head(struct block_decoder *d, enum column_kind kind, struct reader *r,
    struct error *err)
{
	struct part *p = block_part(d, kind, FIELD_NONE);

	if (p == NULL)
		return block_damaged(err, "a column is missing");
	return block_unpack(d, p, r, err);
}

static enum rc
read_times(struct block_decoder *d, enum column_kind kind, const int64_t **out,
    struct error *err)
{
	int64_t *times;
	uint64_t unit;
	int64_t before = 0;
	struct reader r = { 0 };

	if (head(d, kind, &r, err) != RC_OK)
		return err->code;
	times = arena_alloc(d->arena, (d->n + 1) * sizeof(times[0]));
	unit = reader_varint(&r);
	for (uint32_t i = 0; i < d->n; i++) {
		before = undelta(reader_varint(&r), before);
		times[i] = (int64_t)((uint64_t)before * unit);
	}
	*out = times;
	return r.bad ? block_damaged(err, "its times") : RC_OK;
}

static enum rc
read_sources(struct block_decoder *d, struct error *err)
{
	uint32_t *sources;
	int64_t before = 0;
	struct reader r = { 0 };

	if (head(d, COLUMN_SOURCE, &r, err) != RC_OK)
		return err->code;
	sources = arena_alloc(d->arena, (d->n + 1) * sizeof(sources[0]));
	for (uint32_t i = 0; i < d->n; i++) {
		before = undelta(reader_varint(&r), before);
		sources[i] = (uint32_t)before;
	}
	d->heads.sources = sources;
	return r.bad ? block_damaged(err, "its sources") : RC_OK;
}

static enum rc
read_ids(struct block_decoder *d, struct error *err)
{
	struct event_id *ids;
	const uint8_t *streams;
	int64_t *before;
	struct reader r = { 0 };
	uint64_t n;

	if (head(d, COLUMN_ID, &r, err) != RC_OK)
		return err->code;
	n = reader_varint(&r);
	if (r.bad || n > reader_left(&r) / 16)
		return block_damaged(err, "its streams");
	streams = reader_bytes(&r, n * 16);
	ids = arena_alloc(d->arena, (d->n + 1) * sizeof(ids[0]));
	before = arena_alloc(d->arena, (n + 1) * sizeof(before[0]));
	memset(before, 0, (n + 1) * sizeof(before[0]));
	for (uint32_t i = 0; i < d->n; i++) {
		uint64_t s = reader_varint(&r);

		if (s >= n)
			return block_damaged(err, "its streams");
		memcpy(ids[i].stream, streams + 16 * s, 16);
		ids[i].offset = s;
	}
	for (uint32_t i = 0; i < d->n; i++) {
		uint64_t s = ids[i].offset;

		before[s] = undelta(reader_varint(&r), before[s]);
		ids[i].offset = (uint64_t)before[s];
	}
	d->heads.ids = ids;
	return r.bad ? block_damaged(err, "its ids") : RC_OK;
}

static enum rc
read_foreign(struct block_decoder *d, struct error *err)
{
	struct part *p = block_part(d, COLUMN_FOREIGN, FIELD_NONE);
	struct slice *foreign =
	    arena_alloc(d->arena, (d->n + 1) * sizeof(foreign[0]));

	if (p != NULL && read_column(d, p, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < d->n; i++)
		foreign[i] = p != NULL && p->values[i].kind == VALUE_STRING
		    ? p->values[i].s
		    : SLICE("");
	d->heads.foreign = foreign;
	return RC_OK;
}

enum rc
block_decoder_heads(struct block_decoder *d, struct block_heads *out,
    struct error *err)
{
	if (!d->heads_read &&
	    (read_times(d, COLUMN_TIME, &d->heads.times, err) != RC_OK ||
		read_times(d, COLUMN_ARRIVAL, &d->heads.arrivals, err) !=
		    RC_OK ||
		read_sources(d, err) != RC_OK || read_ids(d, err) != RC_OK ||
		read_foreign(d, err) != RC_OK))
		return err->code;
	d->heads_read = true;
	*out = d->heads;
	return RC_OK;
}

enum rc
block_decoder_times(struct block_decoder *d, const int64_t **times,
    struct error *err)
{
	if (d->heads_read) {
		*times = d->heads.times;
		return RC_OK;
	}
	return read_times(d, COLUMN_TIME, times, err);
}

enum rc
block_decoder_all(struct block_decoder *d, struct error *err)
{
	struct block_heads heads;

	if (block_decoder_heads(d, &heads, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].kind == COLUMN_FIELD &&
		    read_column(d, &d->parts[i], err) != RC_OK)
			return err->code;
	return RC_OK;
}

void
block_event(struct block_decoder *d, uint32_t index, struct event *ev)
{
	uint32_t n = 0;

	event_begin(ev, d->arena);
	ev->time_ns = d->heads.times[index];
	ev->arrival_ns = d->heads.arrivals[index];
	ev->id = d->heads.ids[index];
	ev->foreign = d->heads.foreign[index];
	for (uint32_t i = 0; i < d->n_parts; i++)
		n += d->parts[i].values != NULL &&
		    d->parts[i].values[index].kind !=
			(enum value_kind)BLOCK_ABSENT;
	ev->cap = n;
	ev->fields = arena_alloc(d->arena, n * sizeof(ev->fields[0]));
	for (uint32_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];

		if (p->kind == COLUMN_FIELD && p->field != FIELD_NONE &&
		    p->values != NULL && ev->n < n &&
		    p->values[index].kind != (enum value_kind)BLOCK_ABSENT) {
			event_saw(ev, p->field);
			ev->fields[ev->n++] =
			    (struct field){ p->field, p->values[index] };
		}
	}
}
