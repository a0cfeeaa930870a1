/* SPDX-License-Identifier: Apache-2.0 */
/* Values that were looked up before. */
#include "match.h"
#include "xalloc.h"

static uint64_t
word_at(struct slice text, size_t at)
{
	uint64_t word;

	memcpy(&word, text.ptr + at, sizeof(word));
	return word;
}

/* Three words of it; what is alike in them shares a place, no more. */
static uint32_t
place_of(struct slice text)
{
	uint64_t h = text.len, word = 0;

	if (text.len >= sizeof(word)) {
		h ^= word_at(text, 0);
		h = (h << 23 | h >> 41) ^
		    word_at(text, (text.len - sizeof(word)) / 2);
		h = (h << 23 | h >> 41) ^
		    word_at(text, text.len - sizeof(word));
	} else {
		memcpy(&word, text.ptr, text.len);
		h ^= word << 8;
	}
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 40) % MEMO_VALUES;
}

struct memo_value *
match_memo(struct matcher *m, const struct slot_index *x, struct slice text,
    bool *is_known)
{
	struct memo_value **values = &m->memos[x->number], *v;

	*is_known = false;
	if (text.len == 0 || text.len > MEMO_TEXT)
		return NULL;
	if (*values == NULL)
		*values = xcalloc(MEMO_VALUES, sizeof(**values));
	v = &(*values)[place_of(text)];
	if (v->len == text.len && memcmp(v->text, text.ptr, text.len) == 0) {
		*is_known = true;
		return v;
	}
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
