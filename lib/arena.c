/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

#include "xalloc.h"

enum { ALIGN = 8 };

struct block {
	struct block *next;
	size_t size; /* of data[] */
	_Alignas(ALIGN) char data[];
};

/*
 * `head` is the block that is filled now; older and oversized ones follow it.
 * `at` is the first free byte of head->data.
 */
struct arena {
	struct block *head;
	size_t at;
	size_t block_size;
	size_t used;
};

static struct block *
block_new(struct arena *a, size_t size)
{
	struct block *b = xreallocarray(NULL, sizeof(*b) + size, 1);

	b->next = NULL;
	b->size = size;
	a->used += sizeof(*b) + size;
	return b;
}

struct arena *
arena_new(size_t block_size)
{
	struct arena *a = xzalloc(sizeof(*a));

	a->block_size = block_size;
	a->head = block_new(a, block_size);
	return a;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	for (struct block *b = a->head, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

void
arena_reset(struct arena *a)
{
	struct block *keep = NULL;

	a->used = 0;
	for (struct block *b = a->head, *next; b != NULL; b = next) {
		next = b->next;
		if (keep == NULL && b->size == a->block_size) {
			keep = b;
			keep->next = NULL;
			a->used = sizeof(*b) + b->size;
		} else {
			free(b);
		}
	}
	a->head = keep != NULL ? keep : block_new(a, a->block_size);
	a->at = 0;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct block *b;
	void *p;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (a->head->size - a->at >= size) {
		p = a->head->data + a->at;
		a->at += size;
		return p;
	}
	if (size > a->block_size / 4) {
		/* a block of its own, behind the one being filled */
		b = block_new(a, size);
		b->next = a->head->next;
		a->head->next = b;
		return b->data;
	}
	b = block_new(a, a->block_size);
	b->next = a->head;
	a->head = b;
	a->at = size;
	return b->data;
}

void
arena_trim(struct arena *a, void *last, size_t size)
{
	char *p = last;

	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (p >= a->head->data && p < a->head->data + a->at)
		a->at = (size_t)(p - a->head->data) + size;
}

struct slice
arena_copy(struct arena *a, struct slice s)
{
	char *p;

	if (s.len == 0)
		return (struct slice){ "", 0 };
	p = arena_alloc(a, s.len);
	memcpy(p, s.ptr, s.len);
	return (struct slice){ p, s.len };
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}
