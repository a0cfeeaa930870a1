/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/codes.h"

#include <stdlib.h>

#include "collector/search/query.h"
#include "xalloc.h"

enum { FIRST_SLOTS = 256 };

/* ---- scalars ------------------------------------------------------------------ */

static uint64_t
hash_slice(struct slice s)
{
	uint64_t h = UINT64_C(0x9ae16a3b2f90404f) ^ s.len, word = 0;
	size_t i = 0;

	for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
		memcpy(&word, s.ptr + i, sizeof(word));
		h = (h ^ word) * UINT64_C(0xd6e8feb86659fd93);
		h ^= h >> 32;
	}
	word = 0;
	if (i < s.len)
		memcpy(&word, s.ptr + i, s.len - i);
	h = (h ^ word) * UINT64_C(0xd6e8feb86659fd93);
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ (h >> 29);
}

uint64_t
value_hash(const struct value *v)
{
	struct slice bytes;

	switch (v->kind) {
	case VALUE_STRING:
	case VALUE_JSON:
		return hash_slice(v->s);
	case VALUE_BOOL:
		return v->b ? 1 : 2;
	case VALUE_DOUBLE:
		bytes = (struct slice){ (const char *)&v->d, sizeof(v->d) };
		return hash_slice(bytes) + 1;
	default:
		bytes = (struct slice){ (const char *)&v->i, sizeof(v->i) };
		return hash_slice(bytes) + 2;
	}
}

int
value_compare(const struct value *a, const struct value *b)
{
	size_t n;
	int c;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case VALUE_STRING:
	case VALUE_JSON:
		n = a->s.len < b->s.len ? a->s.len : b->s.len;
		c = n > 0 ? memcmp(a->s.ptr, b->s.ptr, n) : 0;
		return c != 0 ? c
			      : (a->s.len > b->s.len) - (a->s.len < b->s.len);
	case VALUE_BOOL:
		return (int)a->b - (int)b->b;
	case VALUE_DOUBLE:
		return (a->d > b->d) - (a->d < b->d);
	default:
		return (a->i > b->i) - (a->i < b->i);
	}
}

bool
value_same(const struct value *a, const struct value *b)
{
	return value_compare(a, b) == 0;
}

bool
value_number(const struct value *v, double *out)
{
	int64_t integer;
	bool whole;

	switch (v->kind) {
	case VALUE_INT:
		*out = (double)v->i;
		return true;
	case VALUE_DOUBLE:
		*out = v->d;
		return true;
	case VALUE_STRING:
		return number_parse(v->s, out, &integer, &whole);
	default:
		return false;
	}
}

/* ---- codes by value ----------------------------------------------------------- */

/* Gives each different value the next number. */
struct coder {
	struct value *values;
	uint32_t n, cap;
	uint32_t *slots; /* code + 1 */
	uint32_t n_slots;
};

static void
grow_slots(struct coder *x)
{
	uint32_t n = x->n_slots > 0 ? 2 * x->n_slots : FIRST_SLOTS;

	free(x->slots);
	x->slots = xcalloc(n, sizeof(x->slots[0]));
	x->n_slots = n;
	for (uint32_t i = 0; i < x->n; i++) {
		uint32_t at = (uint32_t)value_hash(&x->values[i]) & (n - 1);

		while (x->slots[at] != 0)
			at = (at + 1) & (n - 1);
		x->slots[at] = i + 1;
	}
}

static uint32_t
code_of(struct coder *x, const struct value *v)
{
	uint32_t at;

	if (2 * x->n >= x->n_slots)
		grow_slots(x);
	at = (uint32_t)value_hash(v) & (x->n_slots - 1);
	for (; x->slots[at] != 0; at = (at + 1) & (x->n_slots - 1))
		if (value_same(&x->values[x->slots[at] - 1], v))
			return x->slots[at] - 1;
	if (x->n == x->cap) {
		x->cap = x->cap > 0 ? 2 * x->cap : FIRST_SLOTS;
		x->values =
		    xreallocarray(x->values, x->cap, sizeof(x->values[0]));
	}
	x->values[x->n] = *v;
	x->slots[at] = x->n + 1;
	return x->n++;
}

static void
finish_coder(struct codes *c, struct coder *x)
{
	free(x->slots);
	c->values = c->owned[1] = x->values;
	c->n_values = x->n;
}

/* ---- columns ------------------------------------------------------------------ */

static inline uint32_t
row_of(const struct store_column *col, uint32_t k)
{
	return col->rows != NULL ? col->rows[k] : k;
}

/* The column's own dictionary. */
static void
read_dictionary(struct codes *c, const struct store_column *col)
{
	struct value *values = xcalloc(col->n_entries + 1, sizeof(values[0]));

	for (uint32_t i = 0; i < col->n_entries; i++)
		values[i] = (struct value){ .kind = VALUE_STRING,
			.s = col->entries[i] };
	if (col->rows == NULL)
		for (uint32_t k = 0; k < col->n; k++)
			c->first[k] = col->index[k] + 1U;
	else
		for (uint32_t k = 0; k < col->n; k++)
			c->first[col->rows[k]] = col->index[k] + 1U;
	c->values = c->owned[1] = values;
	c->n_values = col->n_entries;
}

static bool
is_scalar(const struct value *v)
{
	return v->kind != VALUE_NULL && v->kind != VALUE_LIST;
}

/* Each different item once. */
static void
read_list(struct codes *c, struct coder *x, const struct value *v, uint32_t row,
    uint32_t *n_items)
{
	struct codes_list *l = &c->lists[row];

	c->items =
	    xreallocarray(c->items, *n_items + v->n + 1, sizeof(c->items[0]));
	l->from = *n_items;
	for (uint32_t i = 0; i < v->n; i++) {
		uint32_t code, k = l->from;

		if (!is_scalar(&v->list[i]))
			continue;
		code = code_of(x, &v->list[i]);
		while (k < *n_items && c->items[k] != code)
			k++;
		if (k == *n_items)
			c->items[(*n_items)++] = code;
	}
	l->n = *n_items - l->from;
}

static struct value
value_at(const struct store_column *col, uint32_t k)
{
	struct value v = { .kind = VALUE_STRING };

	switch (col->form) {
	case COLUMN_TEXT:
		v.s = (struct slice){ col->text + col->offsets[k],
			col->offsets[k + 1] - col->offsets[k] };
		return v;
	case COLUMN_PIECES:
		v.s = col->strings[k];
		return v;
	case COLUMN_INTEGERS:
		return (struct value){ .kind = VALUE_INT, .i = col->ints[k] };
	default:
		return col->values[k];
	}
}

static void
read_values(struct codes *c, const struct store_column *col, uint32_t n_rows,
    const uint8_t *mask)
{
	struct coder x = { 0 };
	uint32_t n_items = 0;

	for (uint32_t k = 0; k < col->n; k++) {
		uint32_t row = row_of(col, k);
		struct value v;

		if (!mask[row])
			continue;
		v = value_at(col, k);
		if (is_scalar(&v)) {
			c->first[row] = code_of(&x, &v) + 1;
		} else if (v.kind == VALUE_LIST) {
			if (c->lists == NULL)
				c->lists = c->owned[2] =
				    xcalloc(n_rows + 1, sizeof(c->lists[0]));
			read_list(c, &x, &v, row, &n_items);
		}
	}
	finish_coder(c, &x);
}

enum rc
codes_read(struct codes *c, struct store_block *b, uint32_t field,
    const uint8_t *mask, struct error *err)
{
	uint32_t n = store_block_info(b).n;
	const struct store_column *col;

	*c = (struct codes){ 0 };
	if (store_block_column(b, field, &col, err) != RC_OK)
		return err->code;
	if (col == NULL)
		return RC_OK;
	c->first = c->owned[0] = xcalloc(n + 1, sizeof(c->first[0]));
	if (col->form == COLUMN_DICTIONARY)
		read_dictionary(c, col);
	else
		read_values(c, col, n, mask);
	return RC_OK;
}

enum rc
codes_times(struct codes *c, struct store_block *b, int64_t every_ns,
    const uint8_t *mask, struct error *err)
{
	uint32_t n = store_block_info(b).n;
	struct coder x = { 0 };
	struct value v = { .kind = VALUE_INT };
	const int64_t *times;
	bool any = false;

	*c = (struct codes){ 0 };
	if (store_block_times(b, &times, err) != RC_OK)
		return err->code;
	c->first = c->owned[0] = xcalloc(n + 1, sizeof(c->first[0]));
	for (uint32_t i = 0; i < n; i++) {
		int64_t rest = times[i] % every_ns;
		int64_t begin = times[i] - rest - (rest < 0 ? every_ns : 0);

		if (!mask[i])
			continue;
		if (any && begin == v.i) {
			c->first[i] = c->one;
			continue;
		}
		v.i = begin;
		any = true;
		c->one = c->first[i] = code_of(&x, &v) + 1;
	}
	finish_coder(c, &x);
	return RC_OK;
}

void
codes_fini(struct codes *c)
{
	for (unsigned i = 0; i < 3; i++)
		free(c->owned[i]);
	free(c->items);
	*c = (struct codes){ 0 };
}

const uint32_t *
codes_at(struct codes *c, uint32_t row, uint32_t *n)
{
	*n = 0;
	if (c->first == NULL)
		return NULL;
	if (c->first[row] > 0) {
		*n = 1;
		c->one = c->first[row] - 1;
		return &c->one;
	}
	if (c->lists == NULL)
		return NULL;
	*n = c->lists[row].n;
	return c->items + c->lists[row].from;
}
