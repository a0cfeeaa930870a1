/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts kept once and counted: correlation's hits name a stream, an agent or a
 * value by a small number.  A text goes when its last user drops it, so a table
 * is bounded by what uses it.  One thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "slice.h"

/* SipHash-1-3 (Aumasson, Bernstein): keyed where strangers choose the text. */
uint64_t sip_hash(const uint64_t key[2], const void *bytes, size_t len);

struct interned {
	char *text; /* owned; NULL: the slot is free */
	uint32_t len;
	uint32_t refs;
	uint32_t hash;
	uint32_t next; /* of its bucket, or of the free list */
};

struct intern {
	struct interned *slots;
	uint32_t n, cap;
	uint32_t free;     /* list of free slots; INTERN_NONE: none */
	uint32_t *buckets; /* heads */
	uint32_t mask;     /* buckets - 1 */
	uint32_t used;
	uint64_t key[2];
	size_t bytes; /* of memory */
};

#define INTERN_NONE UINT32_MAX

void intern_init(struct intern *in);
void intern_fini(struct intern *in);

/* The number of a text, with one more user. */
uint32_t intern_take(struct intern *in, struct slice text);
void intern_ref(struct intern *in, uint32_t id);
/* INTERN_NONE is fine. */
void intern_drop(struct intern *in, uint32_t id);
/* Valid while it has users. */
struct slice intern_text(const struct intern *in, uint32_t id);
