/* SPDX-License-Identifier: Apache-2.0 */
#include <zstd.h>

#include "collector/store/block.h"
#include "collector/store/block_format.h"
#include "collector/store/text.h"

enum {
	ZSTD_LEVEL = 1,
	PACK_FROM = 48,      /* bytes: shorter columns stay as they are */
	COLUMNS_KEPT = 2048, /* more are given back after the block */
	DICT_MAX = 4096,     /* distinct values */
	DICT_TRIAL = 1024,   /* values before a dictionary may be given up */
	DICT_RETRY = 64,     /* blocks until a plain column is tried again */
	FIRST_SLOTS = 64,
	STREAM_SLOTS = 1024,
};

/* A dictionary's entry: its text is text[from .. from + len). */
struct entry {
	uint64_t hash;
	uint32_t from, len;
};

struct column {
	uint32_t field; /* FIELD_NONE: the foreign identity */
	bool used;      /* in this block */
	bool uniform;   /* all values have kind `kind` so far */
	bool dict;
	uint8_t kind;
	uint8_t plain_for; /* blocks since the dictionary was given up */
	uint32_t n;        /* events that have it */
	uint32_t n_values; /* kinds: list items too */
	uint32_t n_strings;
	int64_t before;     /* last integer */
	bool any_int;       /* `before` is one */
	uint32_t last_row;  /* of the event that had it last */
	bool dense;         /* every event so far has it */
	struct bytes gaps;  /* written from the first hole on */
	struct bytes kinds; /* written from the first other kind on */
	struct bytes ints;
	struct bytes lens;
	struct bytes text;
	struct bytes index; /* uint16_t an entry */
	struct entry *entries;
	uint16_t *slots; /* entry + 1 */
	uint32_t n_entries, cap_entries, n_slots;
	uint16_t last_index; /* with a dictionary: of the last string */
};

struct stream {
	uint8_t id[16];
	int64_t before; /* last offset */
};

struct block_encoder {
	ZSTD_CCtx *zstd;
	struct tokens tokens;
	uint32_t n;
	int64_t first_ns, last_ns;
	struct bytes times, arrivals; /* int64_t each */
	struct bytes sources, streams, offsets;
	struct slice original;  /* of the event under way; may be empty */
	uint32_t original_near; /* see event_get_near() */
	uint32_t source_before;
	struct stream *stream_list;
	uint32_t n_streams, cap_streams, last_stream;
	uint32_t stream_slots[STREAM_SLOTS]; /* chains: stream + 1 */
	uint32_t *stream_next;
	struct column foreign;
	struct column **columns; /* owned */
	uint32_t n_columns;
	uint32_t *order; /* those in this block */
	uint32_t n_order;
	uint32_t slot[FIELDS_MAX]; /* field -> column + 1 */
	struct bytes raw, directory, packed, out, bloom;
};

struct block_encoder *
block_encoder_new(void)
{
	struct block_encoder *e = xzalloc(sizeof(*e));

	e->zstd = ZSTD_createCCtx();
	if (e->zstd == NULL)
		abort();
	return e;
}

static void
column_fini(struct column *c)
{
	bytes_fini(&c->gaps);
	bytes_fini(&c->kinds);
	bytes_fini(&c->ints);
	bytes_fini(&c->lens);
	bytes_fini(&c->text);
	bytes_fini(&c->index);
	free(c->entries);
	free(c->slots);
}

static void
columns_forget(struct block_encoder *e)
{
	for (uint32_t i = 0; i < e->n_columns; i++) {
		column_fini(e->columns[i]);
		free(e->columns[i]);
	}
	e->n_columns = 0;
	memset(e->slot, 0, sizeof(e->slot));
}

void
block_encoder_free(struct block_encoder *e)
{
	if (e == NULL)
		return;
	(void)ZSTD_freeCCtx(e->zstd);
	tokens_fini(&e->tokens);
	columns_forget(e);
	free(e->columns);
	free(e->order);
	column_fini(&e->foreign);
	bytes_fini(&e->times);
	bytes_fini(&e->arrivals);
	bytes_fini(&e->sources);
	bytes_fini(&e->streams);
	bytes_fini(&e->offsets);
	free(e->stream_list);
	free(e->stream_next);
	bytes_fini(&e->raw);
	bytes_fini(&e->directory);
	bytes_fini(&e->packed);
	bytes_fini(&e->out);
	bytes_fini(&e->bloom);
	free(e);
}

static void
column_begin(struct column *c)
{
	c->used = true;
	c->uniform = true;
	c->dense = true;
	c->n = 0;
	c->n_values = 0;
	c->n_strings = 0;
	c->before = 0;
	c->any_int = false;
	c->last_row = 0;
	c->gaps.n = 0;
	c->kinds.n = 0;
	c->ints.n = 0;
	c->lens.n = 0;
	c->text.n = 0;
	c->index.n = 0;
	c->n_entries = 0;
	c->dict = c->plain_for == 0;
	if (!c->dict && ++c->plain_for > DICT_RETRY)
		c->plain_for = 0;
	if (c->n_slots > 0)
		memset(c->slots, 0, c->n_slots * sizeof(c->slots[0]));
}

void
block_encoder_begin(struct block_encoder *e)
{
	for (uint32_t i = 0; i < e->n_order; i++)
		e->columns[e->order[i]]->used = false;
	if (e->n_columns > COLUMNS_KEPT)
		columns_forget(e);
	tokens_clear(&e->tokens);
	column_begin(&e->foreign);
	e->n = 0;
	e->first_ns = INT64_MAX;
	e->last_ns = INT64_MIN;
	e->times.n = 0;
	e->arrivals.n = 0;
	e->sources.n = 0;
	e->streams.n = 0;
	e->offsets.n = 0;
	e->source_before = 0;
	e->n_streams = 0;
	e->last_stream = 0;
	memset(e->stream_slots, 0, sizeof(e->stream_slots));
	e->n_order = 0;
}

static struct column *
column_new(struct block_encoder *e, uint32_t field)
{
	struct column *c = xzalloc(sizeof(*c));

	if ((e->n_columns & (e->n_columns - 1)) == 0) {
		size_t cap = e->n_columns > 0 ? 2 * (size_t)e->n_columns : 1;

		/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
		e->columns = xreallocarray(e->columns, cap, sizeof(void *));
		e->order = xreallocarray(e->order, cap, sizeof(e->order[0]));
	}
	c->field = field;
	e->columns[e->n_columns++] = c;
	e->slot[field] = e->n_columns;
	return c;
}

static inline struct column *
column_of(struct block_encoder *e, uint32_t field)
{
	uint32_t at = e->slot[field];
	struct column *c = at != 0 ? e->columns[at - 1] : column_new(e, field);

	if (!c->used) {
		column_begin(c);
		e->order[e->n_order++] = e->slot[field] - 1;
	}
	return c;
}

/* The event `row` has the column: gaps are written from the first hole on. */
static inline void
add_presence(struct column *c, uint32_t row)
{
	if (c->dense && row != c->n) {
		c->dense = false;
		for (uint32_t i = 0; i < c->n; i++)
			bytes_u8(&c->gaps, 0);
	}
	if (!c->dense)
		bytes_varint(&c->gaps, c->n == 0 ? row : row - c->last_row - 1);
	c->last_row = row;
	c->n++;
}

static inline void
add_kind(struct column *c, uint8_t kind)
{
	if (c->n_values == 0)
		c->kind = kind;
	if (c->uniform && kind != c->kind) {
		c->uniform = false;
		memset(bytes_room(&c->kinds, c->n_values), c->kind,
		    c->n_values);
		c->kinds.n += c->n_values;
	}
	if (!c->uniform)
		bytes_u8(&c->kinds, kind);
	c->n_values++;
}

static void
slots_grow(struct column *c)
{
	uint32_t n = c->n_slots > 0 ? 4 * c->n_slots : FIRST_SLOTS;

	free(c->slots);
	c->slots = xcalloc(n, sizeof(c->slots[0]));
	c->n_slots = n;
	for (uint32_t i = 0; i < c->n_entries; i++) {
		uint32_t at = (uint32_t)c->entries[i].hash & (n - 1);

		while (c->slots[at] != 0)
			at = (at + 1) & (n - 1);
		c->slots[at] = (uint16_t)(i + 1);
	}
}

/* Too many distinct values: every string as it is, in a text of its own. */
static void
dict_give_up(struct block_encoder *e, struct column *c)
{
	struct bytes text = { 0 };
	uint16_t index;

	c->dict = false;
	c->plain_for = 1;
	for (uint32_t i = 0; i < c->n_entries; i++)
		tokens_add_text(&e->tokens,
		    (struct slice){ (char *)c->text.p + c->entries[i].from,
			c->entries[i].len });
	for (uint32_t i = 0; i < c->n_strings; i++) {
		const struct entry *x;

		memcpy(&index, c->index.p + 2 * (size_t)i, sizeof(index));
		x = &c->entries[index];
		bytes_varint(&c->lens, x->len);
		bytes_add(&text, c->text.p + x->from, x->len);
	}
	bytes_fini(&c->text);
	c->text = text;
}

static inline void
add_plain(struct block_encoder *e, struct column *c, struct slice s)
{
	bytes_varint(&c->lens, s.len);
	bytes_add(&c->text, s.ptr, s.len);
	c->n_strings++;
	tokens_add_text(&e->tokens, s);
}

static uint16_t
entry_add(struct column *c, struct slice s, uint64_t hash)
{
	if (c->n_entries == c->cap_entries) {
		c->cap_entries = c->cap_entries > 0 ? 2 * c->cap_entries : 32;
		c->entries = xreallocarray(c->entries, c->cap_entries,
		    sizeof(c->entries[0]));
	}
	c->entries[c->n_entries] =
	    (struct entry){ hash, (uint32_t)c->text.n, (uint32_t)s.len };
	(void)bytes_room(&c->text, 1); /* an address, also for "" */
	bytes_add(&c->text, s.ptr, s.len);
	return (uint16_t)c->n_entries++;
}

/* Many columns say the same all the time. */
static inline bool
same_as_last(const struct column *c, struct slice s)
{
	const struct entry *x;

	if (c->n_strings == 0)
		return false;
	x = &c->entries[c->last_index];
	return x->len == s.len &&
	    (s.len == 0 || memcmp(c->text.p + x->from, s.ptr, s.len) == 0);
}

static inline void
add_string(struct block_encoder *e, struct column *c, struct slice s)
{
	uint64_t hash;
	uint32_t at;
	uint16_t index;

	if (!c->dict) {
		add_plain(e, c, s);
		return;
	}
	if (same_as_last(c, s)) {
		bytes_add(&c->index, &c->last_index, sizeof(c->last_index));
		c->n_strings++;
		return;
	}
	hash = hash_bytes(s.ptr, s.len, 0);
	if (2 * c->n_entries >= c->n_slots)
		slots_grow(c);
	at = (uint32_t)hash & (c->n_slots - 1);
	for (;; at = (at + 1) & (c->n_slots - 1)) {
		const struct entry *x;

		if (c->slots[at] == 0) {
			index = entry_add(c, s, hash);
			c->slots[at] = (uint16_t)(index + 1);
			break;
		}
		index = (uint16_t)(c->slots[at] - 1);
		x = &c->entries[index];
		if (x->hash == hash && x->len == s.len &&
		    (s.len == 0 ||
			memcmp(c->text.p + x->from, s.ptr, s.len) == 0))
			break;
	}
	bytes_add(&c->index, &index, sizeof(index));
	c->last_index = index;
	c->n_strings++;
	if (c->n_entries >= DICT_MAX ||
	    (c->n_strings >= DICT_TRIAL && 2 * c->n_entries > c->n_strings))
		dict_give_up(e, c);
}

static inline void
add_int(struct block_encoder *e, struct column *c, int64_t i)
{
	char text[VALUE_TEXT_MAX];

	if (i != c->before || !c->any_int)
		tokens_add_text(&e->tokens, int_text(i, text));
	bytes_varint(&c->ints, delta(i, c->before));
	c->before = i;
	c->any_int = true;
}

static void
add_double(struct block_encoder *e, struct column *c, double d)
{
	char text[VALUE_TEXT_MAX];
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	bytes_varint(&c->ints, bits);
	tokens_add_text(&e->tokens, double_text(d, text));
}

static inline void
add_scalar(struct block_encoder *e, struct column *c, const struct value *v)
{
	switch (v->kind) {
	case VALUE_BOOL:
		add_kind(c, v->b ? KIND_TRUE : KIND_FALSE);
		tokens_add_text(&e->tokens,
		    v->b ? SLICE("true") : SLICE("false"));
		break;
	case VALUE_INT:
		add_kind(c, KIND_INT);
		add_int(e, c, v->i);
		break;
	case VALUE_DOUBLE:
		add_kind(c, KIND_DOUBLE);
		add_double(e, c, v->d);
		break;
	case VALUE_STRING:
		add_kind(c, KIND_STRING);
		add_string(e, c, v->s);
		break;
	case VALUE_JSON:
		add_kind(c, KIND_JSON);
		add_string(e, c, v->s);
		break;
	default:
		add_kind(c, KIND_NULL);
	}
}

/* Where `s` lies in `original`; false if it does not. */
static inline bool
lies_inside(struct slice s, struct slice original, size_t *offset)
{
	uintptr_t from = (uintptr_t)original.ptr;

	if (original.len == 0 || s.len > original.len || s.len == 0)
		return false;
	*offset = (uintptr_t)s.ptr - from;
	if ((uintptr_t)s.ptr >= from && *offset <= original.len - s.len)
		return true;
	*offset = original.len - s.len;
	return memcmp(original.ptr + *offset, s.ptr, s.len) == 0;
}

/*
 * A piece of event.original has its words, but for those that are cut at its
 * ends: they are words of their own.
 */
static void
add_cut_words(struct block_encoder *e, struct slice piece, size_t offset)
{
	size_t after = offset + piece.len;
	size_t head = 0, tail = piece.len;

	if (offset > 0 && token_has(e->original.ptr[offset - 1])) {
		while (head < piece.len && token_has(piece.ptr[head]))
			head++;
		tokens_add_text(&e->tokens, (struct slice){ piece.ptr, head });
	}
	if (after < e->original.len && token_has(e->original.ptr[after])) {
		while (tail > 0 && token_has(piece.ptr[tail - 1]))
			tail--;
		tokens_add_text(&e->tokens,
		    (struct slice){ piece.ptr + tail, piece.len - tail });
	}
}

static void
add_field(struct block_encoder *e, const struct field *f)
{
	struct column *c = column_of(e, f->id);
	size_t offset;

	add_presence(c, e->n);
	if (f->value.kind == VALUE_LIST) {
		add_kind(c, KIND_LIST);
		bytes_varint(&c->ints, f->value.n);
		for (uint32_t i = 0; i < f->value.n; i++)
			add_scalar(e, c, &f->value.list[i]);
		return;
	}
	if (f->id == FIELD_MESSAGE && f->value.kind == VALUE_STRING &&
	    lies_inside(f->value.s, e->original, &offset)) {
		add_kind(c, KIND_REFERENCE);
		bytes_varint(&c->ints, offset);
		bytes_varint(&c->ints, f->value.s.len);
		add_cut_words(e, f->value.s, offset);
		return;
	}
	add_scalar(e, c, &f->value);
}

static uint32_t
stream_of(struct block_encoder *e, const uint8_t id[16])
{
	uint32_t *slot;

	if (e->n_streams > 0 &&
	    memcmp(e->stream_list[e->last_stream].id, id, 16) == 0)
		return e->last_stream;
	slot = &e->stream_slots[hash_bytes(id, 16, 0) % STREAM_SLOTS];
	for (uint32_t i = *slot; i != 0; i = e->stream_next[i - 1])
		if (memcmp(e->stream_list[i - 1].id, id, 16) == 0)
			return i - 1;
	if (e->n_streams == e->cap_streams) {
		e->cap_streams = e->cap_streams > 0 ? 2 * e->cap_streams : 64;
		e->stream_list = xreallocarray(e->stream_list, e->cap_streams,
		    sizeof(e->stream_list[0]));
		e->stream_next = xreallocarray(e->stream_next, e->cap_streams,
		    sizeof(e->stream_next[0]));
	}
	memcpy(e->stream_list[e->n_streams].id, id, 16);
	e->stream_list[e->n_streams].before = 0;
	e->stream_next[e->n_streams] = *slot;
	*slot = ++e->n_streams;
	tokens_add_whole(&e->tokens, (struct slice){ (const char *)id, 16 });
	return e->n_streams - 1;
}

static void
add_id(struct block_encoder *e, const struct event *ev)
{
	struct stream *s;

	e->last_stream = stream_of(e, ev->id.stream);
	s = &e->stream_list[e->last_stream];
	bytes_varint(&e->streams, e->last_stream);
	bytes_varint(&e->offsets, delta((int64_t)ev->id.offset, s->before));
	s->before = (int64_t)ev->id.offset;
	if (ev->foreign.len == 0)
		return;
	add_presence(&e->foreign, e->n);
	add_kind(&e->foreign, KIND_STRING);
	add_string(e, &e->foreign, ev->foreign);
}

void
block_encoder_add(struct block_encoder *e, const struct event *ev,
    int64_t time_ns, uint32_t source)
{
	const struct value *original;

	bytes_add(&e->times, &time_ns, sizeof(time_ns));
	bytes_add(&e->arrivals, &ev->arrival_ns, sizeof(ev->arrival_ns));
	bytes_varint(&e->sources, delta(source, e->source_before));
	e->source_before = source;
	if (time_ns < e->first_ns)
		e->first_ns = time_ns;
	if (time_ns > e->last_ns)
		e->last_ns = time_ns;
	add_id(e, ev);
	original = event_get_near(ev, FIELD_EVENT_ORIGINAL, &e->original_near);
	e->original = original != NULL && original->kind == VALUE_STRING
	    ? original->s
	    : SLICE("");
	for (uint32_t i = 0; i < ev->n; i++)
		if (ev->fields[i].id != FIELD_KUZET_INPUT)
			add_field(e, &ev->fields[i]);
	e->n++;
}

/* ---- finishing ---------------------------------------------------------- */

static void
put_bytes(struct bytes *out, const struct bytes *b)
{
	bytes_varint(out, b->n);
	bytes_add(out, b->p, b->n);
}

static void
put_dict(struct block_encoder *e, struct column *c)
{
	struct bytes *out = &e->raw;
	bool narrow = c->n_entries <= 256;
	uint8_t *p;

	c->lens.n = 0;
	for (uint32_t i = 0; i < c->n_entries; i++) {
		struct slice s = { (char *)c->text.p + c->entries[i].from,
			c->entries[i].len };

		bytes_varint(&c->lens, s.len);
		tokens_add_text(&e->tokens, s);
	}
	bytes_u8(out, STRINGS_DICT);
	bytes_varint(out, c->n_entries);
	put_bytes(out, &c->lens);
	put_bytes(out, &c->text);
	bytes_u8(out, narrow ? 1 : 2);
	bytes_varint(out, c->n_strings);
	if (!narrow) {
		bytes_add(out, c->index.p, c->index.n);
		return;
	}
	p = bytes_room(out, c->n_strings);
	for (uint32_t i = 0; i < c->n_strings; i++)
		p[i] = c->index.p[2 * (size_t)i];
	out->n += c->n_strings;
}

static void
put_column(struct block_encoder *e, struct column *c)
{
	struct bytes *out = &e->raw;

	out->n = 0;
	if (c->dense && c->n == e->n) {
		bytes_u8(out, PRESENT_ALL);
	} else {
		if (c->dense) {
			memset(bytes_room(&c->gaps, c->n), 0, c->n);
			c->gaps.n = c->n;
		}
		bytes_u8(out, PRESENT_SOME);
		bytes_varint(out, c->n);
		bytes_add(out, c->gaps.p, c->gaps.n);
	}
	if (c->uniform) {
		bytes_u8(out, KINDS_ALIKE);
		bytes_u8(out, c->kind);
	} else {
		bytes_u8(out, KINDS_EACH);
		put_bytes(out, &c->kinds);
	}
	put_bytes(out, &c->ints);
	if (c->n_strings == 0) {
		bytes_u8(out, STRINGS_NONE);
	} else if (c->dict) {
		put_dict(e, c);
	} else {
		bytes_u8(out, STRINGS_PLAIN);
		put_bytes(out, &c->lens);
		put_bytes(out, &c->text);
	}
}

/* Puts `raw` among the payloads, and its line into the directory. */
static void
pack(struct block_encoder *e, enum column_kind kind, struct slice name)
{
	const struct bytes *raw = &e->raw;
	size_t bound = ZSTD_compressBound(raw->n);
	size_t n = raw->n;

	bytes_u8(&e->directory, (uint8_t)kind);
	if (kind == COLUMN_FIELD) {
		bytes_varint(&e->directory, name.len);
		bytes_add(&e->directory, name.ptr, name.len);
	}
	if (raw->n >= PACK_FROM) {
		n = ZSTD_compressCCtx(e->zstd, bytes_room(&e->packed, bound),
		    bound, raw->p, raw->n, ZSTD_LEVEL);
		if (ZSTD_isError(n) != 0 || n >= raw->n)
			n = raw->n;
	}
	bytes_u8(&e->directory, n < raw->n ? PACKING_ZSTD : PACKING_NONE);
	bytes_varint(&e->directory, raw->n);
	bytes_varint(&e->directory, n);
	if (n < raw->n)
		e->packed.n += n;
	else
		bytes_add(&e->packed, raw->p, raw->n);
}

/* Times are multiples of the greatest unit that loses nothing. */
static void
put_times(struct block_encoder *e, const struct bytes *times)
{
	static const int64_t units[] = { 1000000000, 1000000, 1000, 1 };
	size_t n = times->n / sizeof(int64_t);
	unsigned u = 0;
	int64_t t, before = 0;

	for (size_t i = 0; i < n; i++) {
		memcpy(&t, times->p + i * sizeof(t), sizeof(t));
		while (t % units[u] != 0)
			u++;
	}
	e->raw.n = 0;
	bytes_varint(&e->raw, (uint64_t)units[u]);
	for (size_t i = 0; i < n; i++) {
		memcpy(&t, times->p + i * sizeof(t), sizeof(t));
		bytes_varint(&e->raw, delta(t / units[u], before));
		before = t / units[u];
	}
}

static void
put_heads(struct block_encoder *e)
{
	struct slice none = SLICE("");

	put_times(e, &e->times);
	pack(e, COLUMN_TIME, none);
	put_times(e, &e->arrivals);
	pack(e, COLUMN_ARRIVAL, none);

	e->raw.n = 0;
	bytes_add(&e->raw, e->sources.p, e->sources.n);
	pack(e, COLUMN_SOURCE, none);

	e->raw.n = 0;
	bytes_varint(&e->raw, e->n_streams);
	for (uint32_t i = 0; i < e->n_streams; i++)
		bytes_add(&e->raw, e->stream_list[i].id, 16);
	bytes_add(&e->raw, e->streams.p, e->streams.n);
	bytes_add(&e->raw, e->offsets.p, e->offsets.n);
	pack(e, COLUMN_ID, none);

	if (e->foreign.n > 0) {
		put_column(e, &e->foreign);
		pack(e, COLUMN_FOREIGN, none);
	}
}

enum rc
block_encoder_finish(struct block_encoder *e, struct block_encoded *out,
    struct error *err)
{
	uint32_t n_columns = HEAD_COLUMNS + (e->foreign.n > 0) + e->n_order;
	size_t raw = 0;

	e->directory.n = 0;
	e->packed.n = 0;
	e->out.n = 0;
	e->bloom.n = 0;
	put_heads(e);
	for (uint32_t i = 0; i < e->n_order; i++) {
		struct column *c = e->columns[e->order[i]];

		put_column(e, c);
		raw += e->raw.n;
		pack(e, COLUMN_FIELD, field_name(c->field));
	}
	if (raw > BLOCK_RAW_MAX / 2 || e->n > BLOCK_EVENTS_MAX)
		return error_set(err, RC_LIMIT,
		    "a commit of %u events and %zu bytes is too large", e->n,
		    raw);
	bytes_u8(&e->out, BLOCK_VERSION);
	bytes_varint(&e->out, e->n);
	bytes_varint(&e->out, n_columns);
	bytes_add(&e->out, e->directory.p, e->directory.n);
	bytes_add(&e->out, e->packed.p, e->packed.n);
	bloom_write(&e->bloom, &e->tokens);
	*out = (struct block_encoded){ e->n, e->first_ns, e->last_ns,
		bytes_slice(&e->out), bytes_slice(&e->bloom) };
	return RC_OK;
}

const struct tokens *
block_encoder_tokens(const struct block_encoder *e)
{
	return &e->tokens;
}
