/* SPDX-License-Identifier: Apache-2.0 */
#include "intern.h"

#include <assert.h>
#include <stdlib.h>

#include "digest.h"
#include "xalloc.h"

enum { BUCKETS_MIN = 64 };

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, unsigned by)
{
	return (x << by) | (x >> (64 - by));
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

/* Little endian whatever the machine is: incidents' ids rest on it. */
static inline uint64_t
load_le(const unsigned char *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << (8 * i);
	return x;
}

uint64_t
sip_hash(const uint64_t key[2], const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	struct sip s = { key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573) };
	uint64_t m;
	size_t at = 0;

	for (; at + 8 <= len; at += 8) {
		m = load_le(p + at, 8);
		s.v3 ^= m;
		sip_round(&s);
		s.v0 ^= m;
	}
	m = ((uint64_t)len << 56) | (at < len ? load_le(p + at, len - at) : 0);
	s.v3 ^= m;
	sip_round(&s);
	s.v0 ^= m;
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void
intern_init(struct intern *in)
{
	memset(in, 0, sizeof(*in));
	in->free = INTERN_NONE;
	in->mask = BUCKETS_MIN - 1;
	in->buckets = xcalloc(BUCKETS_MIN, sizeof(*in->buckets));
	memset(in->buckets, 0xff, BUCKETS_MIN * sizeof(*in->buckets));
	in->bytes = BUCKETS_MIN * sizeof(*in->buckets);
	random_bytes(in->key, sizeof(in->key));
}

void
intern_fini(struct intern *in)
{
	for (uint32_t i = 0; i < in->n; i++)
		free(in->slots[i].text);
	free(in->slots);
	free(in->buckets);
}

static void
grow_buckets(struct intern *in)
{
	uint32_t n = 2 * (in->mask + 1);

	in->bytes += (n - (in->mask + 1)) * sizeof(*in->buckets);
	in->buckets = xreallocarray(in->buckets, n, sizeof(*in->buckets));
	memset(in->buckets, 0xff, n * sizeof(*in->buckets));
	in->mask = n - 1;
	for (uint32_t i = 0; i < in->n; i++) {
		uint32_t *head = &in->buckets[in->slots[i].hash & in->mask];

		if (in->slots[i].text == NULL)
			continue;
		in->slots[i].next = *head;
		*head = i;
	}
}

static uint32_t
new_slot(struct intern *in)
{
	uint32_t id = in->free;

	if (id != INTERN_NONE) {
		in->free = in->slots[id].next;
		return id;
	}
	if (in->n == in->cap) {
		uint32_t cap = in->cap == 0 ? 64 : 2 * in->cap;

		in->slots = xreallocarray(in->slots, cap, sizeof(*in->slots));
		in->bytes += (cap - in->cap) * sizeof(*in->slots);
		in->cap = cap;
	}
	return in->n++;
}

uint32_t
intern_take(struct intern *in, struct slice text)
{
	uint32_t hash = (uint32_t)sip_hash(in->key, text.ptr, text.len);
	uint32_t id = in->buckets[hash & in->mask];
	struct interned *s;

	for (; id != INTERN_NONE; id = in->slots[id].next) {
		s = &in->slots[id];
		if (s->hash == hash &&
		    slice_eq(text, (struct slice){ s->text, s->len })) {
			s->refs++;
			return id;
		}
	}
	if (in->used > in->mask)
		grow_buckets(in);
	id = new_slot(in);
	s = &in->slots[id];
	s->text = xmemdupz(text.ptr, text.len);
	s->len = (uint32_t)text.len;
	s->refs = 1;
	s->hash = hash;
	s->next = in->buckets[hash & in->mask];
	in->buckets[hash & in->mask] = id;
	in->used++;
	in->bytes += text.len + 1;
	return id;
}

void
intern_ref(struct intern *in, uint32_t id)
{
	if (id != INTERN_NONE)
		in->slots[id].refs++;
}

void
intern_drop(struct intern *in, uint32_t id)
{
	uint32_t *at;
	struct interned *s;

	if (id == INTERN_NONE)
		return;
	s = &in->slots[id];
	assert(s->refs > 0);
	if (--s->refs > 0)
		return;
	at = &in->buckets[s->hash & in->mask];
	while (*at != id)
		at = &in->slots[*at].next;
	*at = s->next;
	in->bytes -= s->len + 1;
	free(s->text);
	s->text = NULL;
	s->next = in->free;
	in->free = id;
	in->used--;
}

struct slice
intern_text(const struct intern *in, uint32_t id)
{
	if (id == INTERN_NONE)
		return (struct slice){ "", 0 };
	return (struct slice){ in->slots[id].text, in->slots[id].len };
}
