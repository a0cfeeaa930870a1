/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/bloom.h"

enum {
	BLOOM_VERSION = 1,
	BLOOM_PROBES = 6,
	BLOOM_BITS_EACH = 10, /* 1 % false positives */
	BLOOM_HEAD = 2,
	FIRST_SLOTS = 1024,
};

/* The character of a token in lower case; 0: not of a token. */
static const uint8_t token_char[256] = {
	['0'] = '0',
	['1'] = '1',
	['2'] = '2',
	['3'] = '3',
	['4'] = '4',
	['5'] = '5',
	['6'] = '6',
	['7'] = '7',
	['8'] = '8',
	['9'] = '9',
	['A'] = 'a',
	['B'] = 'b',
	['C'] = 'c',
	['D'] = 'd',
	['E'] = 'e',
	['F'] = 'f',
	['G'] = 'g',
	['H'] = 'h',
	['I'] = 'i',
	['J'] = 'j',
	['K'] = 'k',
	['L'] = 'l',
	['M'] = 'm',
	['N'] = 'n',
	['O'] = 'o',
	['P'] = 'p',
	['Q'] = 'q',
	['R'] = 'r',
	['S'] = 's',
	['T'] = 't',
	['U'] = 'u',
	['V'] = 'v',
	['W'] = 'w',
	['X'] = 'x',
	['Y'] = 'y',
	['Z'] = 'z',
	['a'] = 'a',
	['b'] = 'b',
	['c'] = 'c',
	['d'] = 'd',
	['e'] = 'e',
	['f'] = 'f',
	['g'] = 'g',
	['h'] = 'h',
	['i'] = 'i',
	['j'] = 'j',
	['k'] = 'k',
	['l'] = 'l',
	['m'] = 'm',
	['n'] = 'n',
	['o'] = 'o',
	['p'] = 'p',
	['q'] = 'q',
	['r'] = 'r',
	['s'] = 's',
	['t'] = 't',
	['u'] = 'u',
	['v'] = 'v',
	['w'] = 'w',
	['x'] = 'x',
	['y'] = 'y',
	['z'] = 'z',
};

static inline uint8_t
char_of(uint8_t c)
{
	return c >= 0x80 ? c : token_char[c];
}

bool
token_has(char c)
{
	return char_of((uint8_t)c) != 0;
}

static inline uint64_t
finish(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	h ^= h >> 32;
	return h != 0 ? h : 1;
}

/* The next token's hash, from *at; 0: there is none. */
static inline uint64_t
next_token(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *p = *at;
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	uint8_t c = 0;

	while (p < end && (c = char_of(*p)) == 0)
		p++;
	if (p == end) {
		*at = p;
		return 0;
	}
	do {
		h = (h ^ c) * UINT64_C(0x100000001b3);
		p++;
	} while (p < end && (c = char_of(*p)) != 0);
	*at = p;
	return finish(h);
}

static uint64_t
whole_hash(struct slice s)
{
	uint64_t h = UINT64_C(0x9ae16a3b2f90404f);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.ptr[i]) * UINT64_C(0x100000001b3);
	return finish(h);
}

void
tokens_fini(struct tokens *t)
{
	free(t->slots);
	free(t->used);
	*t = (struct tokens){ 0 };
}

void
tokens_clear(struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->slots[t->used[i]] = 0;
	t->n = 0;
}

static void
grow(struct tokens *t)
{
	size_t cap = t->cap > 0 ? 4 * t->cap : FIRST_SLOTS;
	uint64_t *slots = xcalloc(cap, sizeof(slots[0]));
	uint32_t *used = xcalloc(cap / 2 + 1, sizeof(used[0]));

	for (size_t i = 0; i < t->n; i++) {
		uint64_t h = t->slots[t->used[i]];
		size_t at = h & (cap - 1);

		while (slots[at] != 0)
			at = (at + 1) & (cap - 1);
		slots[at] = h;
		used[i] = (uint32_t)at;
	}
	free(t->slots);
	free(t->used);
	t->slots = slots;
	t->used = used;
	t->cap = cap;
}

static inline void
add(struct tokens *t, uint64_t h)
{
	size_t at;

	if (2 * t->n >= t->cap)
		grow(t);
	at = h & (t->cap - 1);
	while (t->slots[at] != 0) {
		if (t->slots[at] == h)
			return;
		at = (at + 1) & (t->cap - 1);
	}
	t->slots[at] = h;
	t->used[t->n++] = (uint32_t)at;
}

void
tokens_add_text(struct tokens *t, struct slice text)
{
	const uint8_t *at = (const uint8_t *)text.ptr;
	const uint8_t *end = at + text.len;
	uint64_t h;

	if (text.len == 0)
		return;
	while ((h = next_token(&at, end)) != 0)
		add(t, h);
}

void
tokens_add_whole(struct tokens *t, struct slice bytes)
{
	add(t, whole_hash(bytes));
}

static inline uint64_t
bit_of(uint64_t h, unsigned probe, uint64_t bits)
{
	uint32_t x = (uint32_t)h + probe * (uint32_t)(h >> 32);

	return ((uint64_t)x * bits) >> 32;
}

void
bloom_write(struct bytes *out, const struct tokens *t)
{
	uint64_t bits = (t->n * BLOOM_BITS_EACH + 63) / 64 * 64;
	uint8_t *p;

	if (bits == 0)
		bits = 64;
	bytes_u8(out, BLOOM_VERSION);
	bytes_u8(out, BLOOM_PROBES);
	p = bytes_room(out, bits / 8);
	memset(p, 0, bits / 8);
	for (size_t i = 0; i < t->n; i++) {
		uint64_t h = t->slots[t->used[i]];

		for (unsigned k = 0; k < BLOOM_PROBES; k++) {
			uint64_t bit = bit_of(h, k, bits);

			p[bit / 8] |= (uint8_t)(1U << (bit % 8));
		}
	}
	out->n += bits / 8;
}

static bool
known_form(struct slice bloom)
{
	return bloom.len > BLOOM_HEAD && bloom.ptr[0] == BLOOM_VERSION;
}

static bool
has(struct slice bloom, uint64_t h)
{
	const uint8_t *p = (const uint8_t *)bloom.ptr;
	uint64_t bits = (bloom.len - BLOOM_HEAD) * 8;

	for (unsigned k = 0; k < p[1]; k++) {
		uint64_t bit = bit_of(h, k, bits);

		if ((p[BLOOM_HEAD + bit / 8] & (1U << (bit % 8))) == 0)
			return false;
	}
	return true;
}

bool
bloom_may_have_text(struct slice bloom, struct slice text)
{
	const uint8_t *at = (const uint8_t *)text.ptr;
	const uint8_t *end = at + text.len;
	uint64_t h;

	if (!known_form(bloom) || text.len == 0)
		return true;
	while ((h = next_token(&at, end)) != 0)
		if (!has(bloom, h))
			return false;
	return true;
}

bool
bloom_may_have_whole(struct slice bloom, struct slice bytes)
{
	return !known_form(bloom) || has(bloom, whole_hash(bytes));
}

bool
bloom_has_all(struct slice bloom, const struct tokens *t)
{
	for (size_t i = 0; known_form(bloom) && i < t->n; i++)
		if (!has(bloom, t->slots[t->used[i]]))
			return false;
	return true;
}

bool
tokens_each(struct slice text, token_hash_cb *cb, void *ctx)
{
	const uint8_t *at = (const uint8_t *)text.ptr;
	const uint8_t *end = at + text.len;
	uint64_t h;

	if (text.len == 0)
		return true;
	while ((h = next_token(&at, end)) != 0)
		if (!cb(ctx, h))
			return false;
	return true;
}

void
tokens_visit(const struct tokens *t, token_hash_cb *cb, void *ctx)
{
	for (size_t i = 0; i < t->n; i++)
		(void)cb(ctx, t->slots[t->used[i]]);
}

uint64_t
token_of_whole(struct slice bytes)
{
	return whole_hash(bytes);
}
