/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/column.h"

#include <stdlib.h>

#include "json.h"
#include "timestamp.h"
#include "xalloc.h"

/* Fewer rows than one in so many are looked at one by one. */
enum { SPARSE = 16 };

struct leaf_sweep {
	const struct leaf *leaf;
	struct sweep *sweep; /* NULL: each value is looked at */
};

void
columns_init(struct columns *c)
{
	*c = (struct columns){ .n = 0 };
	matching_init(&c->matching);
	c->scratch = sweep_scratch_new();
}

void
columns_fini(struct columns *c)
{
	matching_fini(&c->matching);
	for (uint32_t i = 0; i < c->n_sweeps; i++)
		sweep_free(c->sweeps[i].sweep);
	sweep_scratch_free(c->scratch);
	free(c->sweeps);
	free(c->found);
	free(c->near);
}

void
columns_begin(struct columns *c, struct store_block *b, uint32_t n)
{
	c->block = b;
	c->n = n;
	if (c->room < n + 1) {
		free(c->near);
		free(c->found);
		c->near = xzalloc(n + 1);
		c->found = xzalloc(n + 1);
		c->room = n + 1;
	}
}

static inline uint32_t
row_of(const struct store_column *col, uint32_t k)
{
	return col->rows != NULL ? col->rows[k] : k;
}

/* ---- the k-th value --------------------------------------------------------- */

static inline struct slice
text_at(const struct store_column *col, uint32_t k)
{
	switch (col->form) {
	case COLUMN_DICTIONARY:
		return col->entries[col->index[k]];
	case COLUMN_TEXT:
		return (struct slice){ col->text + col->offsets[k],
			col->offsets[k + 1] - col->offsets[k] };
	default:
		return col->strings[k];
	}
}

static bool
test_at(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, uint32_t k)
{
	switch (col->form) {
	case COLUMN_INTEGERS:
		return leaf_match_integer(&c->matching, leaf, col->ints[k]);
	case COLUMN_VALUES:
		if (leaf->kind == LEAF_EXISTS)
			return col->values[k].kind != VALUE_NULL &&
			    (col->values[k].kind != VALUE_LIST ||
				col->values[k].n > 0);
		return leaf_match_value(&c->matching, leaf, &col->values[k]);
	default:
		return leaf_match_text(&c->matching, leaf, text_at(col, k));
	}
}

static void
test_each(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, const uint8_t *in, uint8_t *out)
{
	for (uint32_t k = 0; k < col->n; k++) {
		uint32_t row = row_of(col, k);

		if (in[row] && !out[row])
			out[row] = test_at(c, leaf, col, k);
	}
}

/* ---- dictionaries ----------------------------------------------------------- */

/* Each entry is tested once, when the first event has it. */
static void
test_dictionary(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, const uint8_t *in, uint8_t *out)
{
	enum { UNKNOWN = 2 };
	uint8_t *verdict = xcalloc(col->n_entries + 1, 1);

	memset(verdict, UNKNOWN, col->n_entries);
	for (uint32_t k = 0; k < col->n; k++) {
		uint32_t row = row_of(col, k), i = col->index[k];

		if (!in[row])
			continue;
		if (verdict[i] == UNKNOWN)
			verdict[i] = leaf_match_text(&c->matching, leaf,
			    col->entries[i]);
		out[row] |= verdict[i];
	}
	free(verdict);
}

/* ---- texts ------------------------------------------------------------------ */

static struct sweep *
sweep_of(struct columns *c, const struct leaf *leaf)
{
	for (uint32_t i = 0; i < c->n_sweeps; i++)
		if (c->sweeps[i].leaf == leaf)
			return c->sweeps[i].sweep;
	c->sweeps =
	    xreallocarray(c->sweeps, c->n_sweeps + 1, sizeof(c->sweeps[0]));
	c->sweeps[c->n_sweeps] = (struct leaf_sweep){ leaf, sweep_new(leaf) };
	return c->sweeps[c->n_sweeps++].sweep;
}

static bool
is_sparse(const uint8_t *in, uint32_t n)
{
	uint32_t some = 0;

	for (uint32_t i = 0; i < n; i++)
		some += in[i];
	return some < n / SPARSE;
}

/* c->near: those rows of `in` that the sweep finds; false: it gave up. */
static bool
find_near(struct columns *c, struct sweep *sweep,
    const struct store_column *col, const uint8_t *in)
{
	if (!sweep_run(sweep, c->scratch, col, c->found))
		return false;
	memset(c->near, 0, c->n);
	for (uint32_t k = 0; k < col->n; k++) {
		uint32_t row = row_of(col, k);

		c->near[row] = in[row] & c->found[k];
	}
	c->near_of = col;
	return true;
}

/* Of texts, or of pieces of those that were swept. */
static void
test_near(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, uint8_t *out)
{
	for (uint32_t k = 0; k < col->n; k++) {
		uint32_t row = row_of(col, k);

		if (c->near[row] && !out[row])
			out[row] = leaf_match_text(&c->matching, leaf,
			    text_at(col, k));
	}
}

static void
test_texts(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, const uint8_t *in, uint8_t *out)
{
	struct sweep *sweep = is_sparse(in, c->n) ? NULL : sweep_of(c, leaf);

	if (sweep == NULL || !find_near(c, sweep, col, in)) {
		test_each(c, leaf, col, in, out);
	} else if (!sweep_is_exact(sweep)) {
		test_near(c, leaf, col, out);
	} else {
		for (uint32_t i = 0; i < c->n; i++)
			out[i] |= c->near[i];
	}
}

static void
test_column(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, const uint8_t *in, uint8_t *out)
{
	if (col->form == COLUMN_DICTIONARY)
		test_dictionary(c, leaf, col, in, out);
	else if (col->form == COLUMN_TEXT)
		test_texts(c, leaf, col, in, out);
	else
		test_each(c, leaf, col, in, out);
}

/* ---- where a leaf looks ------------------------------------------------------ */

static enum rc
test_times(struct columns *c, const struct leaf *leaf, const uint8_t *in,
    uint8_t *out, struct error *err)
{
	const struct timestamp_hints hints = { .tz = NULL };
	const int64_t *times;
	int64_t t = 0;
	bool parsed = leaf->kind == LEAF_EXACT && leaf->exact.len > 0 &&
	    timestamp_parse_rfc3339(leaf->exact, &hints, &t) == leaf->exact.len;

	if (store_block_times(c->block, &times, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < c->n; i++)
		if (in[i])
			out[i] = leaf->kind == LEAF_EXISTS ||
			    (leaf->kind == LEAF_RANGE &&
				match_time(leaf, times[i])) ||
			    (parsed && times[i] == t);
	return RC_OK;
}

/* The id as it is printed; ptr NULL: the event has none. */
static struct slice
id_at(const struct store_ids *ids, const struct value *named, uint32_t row,
    char room[EVENT_ID_TEXT_MAX])
{
	static const uint8_t none[16];

	if (memcmp(ids->ids[row].stream, none, sizeof(none)) != 0)
		return event_id_format(&ids->ids[row], room);
	if (ids->foreign[row].len > 0)
		return ids->foreign[row];
	if (named != NULL && named->kind == VALUE_STRING)
		return named->s;
	return (struct slice){ NULL, 0 };
}

static bool
test_id(struct columns *c, const struct leaf *leaf, const struct store_ids *ids,
    const struct value *named, uint32_t row)
{
	static const uint8_t none[16];
	const struct event_id *own = &ids->ids[row];
	char room[EVENT_ID_TEXT_MAX];
	struct slice text;

	if (leaf->is_id && memcmp(own->stream, none, sizeof(none)) != 0)
		return own->offset == leaf->id.offset &&
		    memcmp(own->stream, leaf->id.stream, 16) == 0;
	text = id_at(ids, named, row, room);
	return text.ptr != NULL && leaf_match_text(&c->matching, leaf, text);
}

/* The event.id that an event brought along, by row; all NULL without one. */
static enum rc
named_ids(struct columns *c, const struct value **list, struct error *err)
{
	const struct store_column *col;
	struct value *to;

	*list = NULL;
	if (store_block_column(c->block, FIELD_EVENT_ID, &col, err) != RC_OK)
		return err->code;
	if (col == NULL)
		return RC_OK;
	to = xcalloc(c->n + 1, sizeof(to[0]));
	for (uint32_t k = 0; k < col->n; k++) {
		struct value *v = &to[row_of(col, k)];

		if (col->form == COLUMN_VALUES)
			*v = col->values[k];
		else if (col->form == COLUMN_INTEGERS)
			*v = (struct value){ .kind = VALUE_INT,
				.i = col->ints[k] };
		else
			*v = (struct value){ .kind = VALUE_STRING,
				.s = text_at(col, k) };
	}
	*list = to;
	return RC_OK;
}

static enum rc
test_ids(struct columns *c, const struct leaf *leaf, const uint8_t *in,
    uint8_t *out, struct error *err)
{
	const struct value *named;
	struct store_ids ids;

	if (store_block_ids(c->block, &ids, err) != RC_OK ||
	    named_ids(c, &named, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < c->n; i++)
		if (in[i])
			out[i] = test_id(c, leaf, &ids,
			    named != NULL ? &named[i] : NULL, i);
	free((void *)named);
	return RC_OK;
}

static enum rc
test_field(struct columns *c, const struct leaf *leaf, uint32_t field,
    const uint8_t *in, uint8_t *out, struct error *err)
{
	const struct store_column *col;

	if (field == FIELD_TIMESTAMP)
		return test_times(c, leaf, in, out, err);
	if (field == FIELD_EVENT_ID)
		return test_ids(c, leaf, in, out, err);
	if (store_block_column(c->block, field, &col, err) != RC_OK)
		return err->code;
	if (col != NULL)
		test_column(c, leaf, col, in, out);
	return RC_OK;
}

/* Every field whose name fits; of free text: all but the two looked at. */
static enum rc
test_fields(struct columns *c, const struct leaf *leaf, const uint8_t *in,
    uint8_t *out, struct error *err)
{
	const uint32_t *fields;
	uint32_t n;

	if (store_block_fields(c->block, &fields, &n, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < n; i++) {
		if (leaf->target == TARGET_FREE
			? fields[i] == FIELD_EVENT_ORIGINAL ||
			    fields[i] == FIELD_MESSAGE
			: !pattern_match_name(&c->matching, &leaf->names,
			      field_name(fields[i])))
			continue;
		if (test_field(c, leaf, fields[i], in, out, err) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

/*
 * message, where event.original was looked at: of pieces only those rows can
 * match in whose whole line the anchor is.
 */
static void
test_message(struct columns *c, const struct leaf *leaf,
    const struct store_column *col, const struct store_column *original,
    const uint8_t *in, uint8_t *out)
{
	if (col->form != COLUMN_PIECES)
		test_column(c, leaf, col, in, out);
	else if (leaf->kind == LEAF_REGEX && leaf->local)
		return; /* the whole line would have matched too */
	else if (original != NULL && c->near_of == original)
		test_near(c, leaf, col, out);
	else
		test_each(c, leaf, col, in, out);
}

/* Events without event.original: whatever they have. */
static enum rc
test_others(struct columns *c, const struct leaf *leaf,
    const struct store_column *original, const uint8_t *in, uint8_t *out,
    struct error *err)
{
	uint8_t *rest;
	enum rc rc = RC_OK;

	if (original != NULL && original->rows == NULL)
		return RC_OK;
	rest = xzalloc(c->n + 1);
	for (uint32_t i = 0; i < c->n; i++)
		rest[i] = in[i] & (out[i] ^ 1);
	for (uint32_t k = 0; original != NULL && k < original->n; k++)
		rest[original->rows[k]] = 0;
	if (memchr(rest, 1, c->n) != NULL)
		rc = test_fields(c, leaf, rest, out, err);
	free(rest);
	return rc;
}

static enum rc
test_free(struct columns *c, const struct leaf *leaf, const uint8_t *in,
    uint8_t *out, struct error *err)
{
	const struct store_column *original, *message;

	if (store_block_column(c->block, FIELD_EVENT_ORIGINAL, &original,
		err) != RC_OK ||
	    store_block_column(c->block, FIELD_MESSAGE, &message, err) != RC_OK)
		return err->code;
	c->near_of = NULL;
	if (original != NULL)
		test_column(c, leaf, original, in, out);
	if (message != NULL)
		test_message(c, leaf, message, original, in, out);
	return test_others(c, leaf, original, in, out, err);
}

enum rc
columns_test(struct columns *c, const struct leaf *leaf, const uint8_t *in,
    uint8_t *out, struct error *err)
{
	switch (leaf->target) {
	case TARGET_FREE:
		return test_free(c, leaf, in, out, err);
	case TARGET_NAMES:
		return test_fields(c, leaf, in, out, err);
	default:
		return test_field(c, leaf, leaf->field, in, out, err);
	}
}

/* ---- what a leaf costs ------------------------------------------------------- */

bool
leaf_may_match(const struct leaf *leaf, const struct store_words *w)
{
	if (leaf->is_id && leaf->target == TARGET_FIELD &&
	    leaf->field == FIELD_EVENT_ID &&
	    store_may_have_stream(w, leaf->id.stream))
		return true;
	for (uint32_t i = 0; i < leaf->n_needs; i++)
		if (!store_may_have(w, leaf->needs[i]))
			return leaf->alternative.len > 0 &&
			    store_may_have(w, leaf->alternative);
	return true;
}

unsigned
leaf_cost(const struct leaf *leaf)
{
	enum { COST_FIELD = 1, COST_TEXT = 4, COST_FREE = 8, COST_NAMES = 16 };
	unsigned cost = leaf->kind == LEAF_REGEX ? 2 : 1;

	if (leaf->target == TARGET_NAMES)
		return cost * COST_NAMES;
	if (leaf->target == TARGET_FREE)
		return cost * COST_FREE;
	return cost * (leaf->words ? COST_TEXT : COST_FIELD);
}
