/* SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "xalloc.h"

struct budget {
	pthread_mutex_t lock;
	size_t limit;
	size_t used;
	bool waiting; /* somebody was told that there is no room */
	void (*on_room)(void *ctx);
	void *ctx;
};

struct budget *
budget_new(size_t bytes, void (*on_room)(void *ctx), void *ctx)
{
	struct budget *b = xzalloc(sizeof(*b));

	(void)pthread_mutex_init(&b->lock, NULL);
	b->limit = bytes;
	b->on_room = on_room;
	b->ctx = ctx;
	return b;
}

void
budget_free(struct budget *b)
{
	if (b == NULL)
		return;
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

bool
budget_available(struct budget *b)
{
	bool room;

	(void)pthread_mutex_lock(&b->lock);
	room = b->used < b->limit;
	if (!room)
		b->waiting = true;
	(void)pthread_mutex_unlock(&b->lock);
	return room;
}

void
budget_charge(struct budget *b, size_t bytes)
{
	(void)pthread_mutex_lock(&b->lock);
	b->used += bytes;
	(void)pthread_mutex_unlock(&b->lock);
}

void
budget_release(struct budget *b, size_t bytes)
{
	bool wake;

	(void)pthread_mutex_lock(&b->lock);
	assert(b->used >= bytes);
	b->used -= bytes;
	wake = b->waiting && b->used < b->limit;
	if (wake)
		b->waiting = false;
	(void)pthread_mutex_unlock(&b->lock);
	if (wake && b->on_room != NULL)
		b->on_room(b->ctx);
}

size_t
budget_used(struct budget *b)
{
	size_t used;

	(void)pthread_mutex_lock(&b->lock);
	used = b->used;
	(void)pthread_mutex_unlock(&b->lock);
	return used;
}
