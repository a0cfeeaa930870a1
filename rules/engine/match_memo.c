/* SPDX-License-Identifier: Apache-2.0 */
/* Values that were looked up before. */
#include <stdlib.h>

#include "match.h"
#include "xalloc.h"

static uint64_t
word_at(struct slice text, size_t at)
{
	uint64_t word;

	memcpy(&word, text.ptr + at, sizeof(word));
	return word;
}

static uint32_t
half_at(struct slice text, size_t at)
{
	uint32_t half;

	memcpy(&half, text.ptr + at, sizeof(half));
	return half;
}

/* Three words of it; what is alike in them shares a place, no more. */
static uint32_t
place_of(struct slice text)
{
	uint64_t h = text.len;

	if (text.len >= 8) {
		h ^= word_at(text, 0);
		h = (h << 23 | h >> 41) ^ word_at(text, (text.len - 8) / 2);
		h = (h << 23 | h >> 41) ^ word_at(text, text.len - 8);
	} else if (text.len >= 4) {
		h ^= (uint64_t)half_at(text, 0) << 32;
		h += half_at(text, text.len - 4);
	} else {
		h ^= (uint64_t)(unsigned char)text.ptr[0] << 8 |
		    (uint64_t)(unsigned char)text.ptr[text.len / 2] << 16 |
		    (uint64_t)(unsigned char)text.ptr[text.len - 1] << 24;
	}
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 40);
}

void
match_memos_init(struct matcher *m)
{
	m->memos = xcalloc(m->program->n_indexes + 1, sizeof(m->memos[0]));
}

void
match_memos_fini(struct matcher *m)
{
	for (uint32_t i = 0; i < m->program->n_indexes; i++)
		free(m->memos[i].values);
	free(m->memos);
}

/*
 * A value that is not there.  Where there are many of them (addresses of pages)
 * more are remembered, once, and what was is forgotten.
 */
static void
missed(struct matcher *m, struct memo *memo)
{
	if (memo->n == MEMO_MANY || ++memo->misses < MEMO_MISSES ||
	    m->n_grown == MEMO_GROWN)
		return;
	m->n_grown++;
	free(memo->values);
	memo->n = MEMO_MANY;
	memo->values = xcalloc(memo->n, sizeof(memo->values[0]));
}

struct memo_value *
match_memo(struct matcher *m, const struct slot_index *x, struct slice text,
    bool *is_known)
{
	struct memo *memo = &m->memos[x->number];
	uint32_t place;
	struct memo_value *v;

	*is_known = false;
	if (text.len == 0 || text.len > MEMO_TEXT)
		return NULL;
	if (memo->values == NULL) {
		memo->n = MEMO_VALUES;
		memo->values = xcalloc(memo->n, sizeof(memo->values[0]));
	}
	place = place_of(text);
	v = &memo->values[place & (memo->n - 1)];
	if (v->len == text.len && match_same(v->text, text.ptr, text.len)) {
		*is_known = true;
		return v;
	}
	missed(m, memo);
	v = &memo->values[place & (memo->n - 1)];
	v->len = 0;
	v->n = 0;
	return v;
}

void
match_memo_fill(struct memo_value *v, struct slice text)
{
	if (v->n > MEMO_ATOMS)
		return;
	v->len = (uint16_t)text.len;
	memcpy(v->text, text.ptr, text.len);
}
