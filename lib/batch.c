/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <stdlib.h>

#include "budget.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 256 * 1024, FIRST_EVENTS = 64, FIRST_HITS = 64 };

struct batch *
batch_new(void)
{
	struct batch *b = xzalloc(sizeof(*b));

	b->arena = arena_new(ARENA_BLOCK);
	return b;
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	if (b->budget != NULL)
		budget_release(b->budget, b->bytes);
	free(b->events);
	free(b->controls);
	free(b->hits);
	arena_free(b->arena);
	free(b);
}

/* True if an array of `n` elements is full: it doubles from `first`. */
static bool
must_grow(uint32_t n, uint32_t first)
{
	return n == 0 || (n >= first && (n & (n - 1)) == 0);
}

static struct event *
add(struct batch *b, struct event **list, uint32_t *n)
{
	struct event *ev;

	if (*n >= BATCH_EVENTS)
		return NULL;
	if (must_grow(*n, FIRST_EVENTS))
		*list = xreallocarray(*list,
		    *n == 0 ? FIRST_EVENTS : 2 * (size_t)*n, sizeof(**list));
	ev = &(*list)[(*n)++];
	event_begin(ev, b->arena);
	return ev;
}

struct event *
batch_add_event(struct batch *b)
{
	return add(b, &b->events, &b->n);
}

struct event *
batch_add_control(struct batch *b)
{
	return add(b, &b->controls, &b->n_controls);
}

void
batch_add_hit(struct batch *b, uint32_t event, uint32_t rule)
{
	if (must_grow(b->n_hits, FIRST_HITS))
		b->hits = xreallocarray(b->hits,
		    b->n_hits == 0 ? FIRST_HITS : 2 * (size_t)b->n_hits,
		    sizeof(b->hits[0]));
	b->hits[b->n_hits++] = (struct hit){ event, rule };
}
