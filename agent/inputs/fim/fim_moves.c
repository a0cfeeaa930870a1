/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_moves.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "xalloc.h"

struct held {
	struct fim_entry entry;
	bool went; /* else it came */
	bool paired;
};

struct fim_moves {
	struct arena *arena;
	struct held *held;
	size_t n, cap;
};

struct fim_moves *
fim_moves_new(void)
{
	struct fim_moves *m = xzalloc(sizeof(*m));

	m->arena = arena_new(4096);
	return m;
}

void
fim_moves_free(struct fim_moves *m)
{
	if (m == NULL)
		return;
	arena_free(m->arena);
	free(m->held);
	free(m);
}

void
fim_moves_clear(struct fim_moves *m)
{
	arena_reset(m->arena);
	m->n = 0;
}

void
fim_moves_add(struct fim_moves *m, const struct fim_entry *before,
    const struct fim_entry *after)
{
	if (m->n == m->cap) {
		m->cap = m->cap == 0 ? 16 : 2 * m->cap;
		m->held = xreallocarray(m->held, m->cap, sizeof(*m->held));
	}
	m->held[m->n++] = (struct held){
		.entry = fim_copy(m->arena, before != NULL ? before : after),
		.went = before != NULL,
	};
}

size_t
fim_moves_length(const struct fim_moves *m)
{
	return m->n;
}

/* Same file: neighbours after sorting; those that went come first. */
static int
same_file(const struct held *a, const struct held *b)
{
	const struct opener_stat *x = &a->entry.st, *y = &b->entry.st;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if ((x->mode & S_IFMT) != (y->mode & S_IFMT))
		return (x->mode & S_IFMT) < (y->mode & S_IFMT) ? -1 : 1;
	if (S_ISDIR(x->mode))
		return 0;
	if (x->mtime_ns != y->mtime_ns)
		return x->mtime_ns < y->mtime_ns ? -1 : 1;
	return memcmp(a->entry.sha256, b->entry.sha256, SHA256_BYTES);
}

static int
by_file(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	int order = same_file(x, y);

	if (order != 0)
		return order;
	if (x->went != y->went)
		return x->went ? -1 : 1;
	return opener_path_cmp(x->entry.path, y->entry.path);
}

enum rc
fim_moves_each(struct fim_moves *m, fim_move_cb *cb, void *ctx)
{
	enum rc rc = RC_OK;
	size_t came;

	if (m->n > 1)
		qsort(m->held, m->n, sizeof(*m->held), by_file);
	for (size_t from = 0; rc == RC_OK && from < m->n; from++) {
		struct held *h = &m->held[from];

		if (!h->went || h->paired)
			continue;
		for (came = from + 1;
		     came < m->n && same_file(h, &m->held[came]) == 0 &&
		     (m->held[came].went || m->held[came].paired);
		     came++)
			;
		if (came == m->n || same_file(h, &m->held[came]) != 0)
			continue;
		h->paired = m->held[came].paired = true;
		rc = cb(ctx,
		    &(struct fim_move){ &h->entry, &m->held[came].entry });
	}
	for (size_t i = 0; rc == RC_OK && i < m->n; i++) {
		const struct held *h = &m->held[i];

		if (!h->paired)
			rc = cb(ctx,
			    &(struct fim_move){ h->went ? &h->entry : NULL,
				h->went ? NULL : &h->entry });
	}
	return rc;
}
