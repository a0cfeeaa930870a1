/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations that came and went between two looks: rotated several times, or
 * copied and truncated, before anybody saw them.  They lie beside the file,
 * under names that rotations make, changed since the last look.
 *
 * A folder whose names move while it is read may show a file twice or never,
 * so a search goes on for a while: each later scan, which the moved names
 * themselves bring about, searches again.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/file_set.h"
#include "timestamp.h"
#include "xalloc.h"

static const int64_t search_ns = 2 * NS_PER_SEC;

struct missed {
	struct candidates names;
	const struct tail *t;
};

struct tail *
file_former(struct file_set *s, const char *path, const struct tail *t)
{
	struct tail *f;

	TAILQ_FOREACH_REVERSE(f, &s->tails, tail_list, all)
	{
		if (f != t && !f->copy && !f->dead &&
		    strcmp(f->origin, path) == 0)
			return f;
	}
	return NULL;
}

static void
on_missed(void *ctx, const char *path, const struct opener_stat *st)
{
	struct missed *q = ctx;
	struct file_id id = file_id_of(st);

	if (file_set_find(q->names.set, &id) != NULL ||
	    st->mtime_ns < q->t->missed.changed_ns ||
	    (st->btime_ns != 0 && st->btime_ns < q->t->missed.born_ns))
		return;
	candidates_add(&q->names, q->t->spec, path, st);
}

/* The missed generation in `c`, or NULL: it is what another one read. */
static struct tail *
meet_missed(struct file_set *s, const struct tail *t, const struct candidate *c)
{
	struct tail *of = NULL, *m = NULL;
	struct stranger file;
	enum match match = MATCH_COPY;

	if (!stranger_open(s, c->path, &file))
		return NULL;
	if (stranger_settle(s, &file))
		match = stranger_match(s, &file, &of);
	if (match == MATCH_HEIR)
		file_adopt(s, of, &file);
	else if (match == MATCH_NONE)
		m = file_begin(s, &file, t->spec);
	if (m != NULL) {
		free(m->origin);
		m->origin = xstrdup(t->origin);
		file_set_assign(s, m, t->spec);
		m->rotated = true;
	}
	stranger_close(&file);
	return m;
}

static void
search(struct file_set *s, struct tail *t)
{
	struct missed q = { .names = { .set = s }, .t = t };
	struct tail *m;

	opener_rotated(s->setup.opener, t->origin, on_missed, &q);
	candidates_sort(&q.names);
	for (size_t i = 0; i < q.names.n; i++) {
		m = meet_missed(s, t, &q.names.found[i]);
		if (m == NULL)
			continue;
		m->after = t->after;
		t->after = m;
	}
	candidates_fini(&q.names);
}

void
file_find_missed(struct file_set *s, struct tail *f, struct tail *t)
{
	t->missed.changed_ns = f == NULL ? s->looked_ns : f->mtime_ns;
	t->missed.born_ns = f == NULL ? s->looked_ns : f->born_ns;
	t->missed.until_ns = loop_now() + search_ns;
	/* one search at a time for each file: the longest */
	if (f != NULL && f->missed.until_ns != 0) {
		if (f->missed.changed_ns < t->missed.changed_ns)
			t->missed.changed_ns = f->missed.changed_ns;
		if (f->missed.born_ns < t->missed.born_ns)
			t->missed.born_ns = f->missed.born_ns;
		f->missed.until_ns = 0;
	}
	if (f != NULL && f->fd != -1)
		file_refresh(s, f); /* its last lines go first */
	t->after = f;
	search(s, t);
}

void
file_find_missed_before(struct file_set *s, struct tail *t)
{
	if (t->spec == NULL || t->rotated)
		return;
	if (t->missed.until_ns == 0) {
		t->missed.changed_ns = t->mtime_ns;
		t->missed.born_ns = t->born_ns;
	}
	t->missed.until_ns = loop_now() + search_ns;
	search(s, t);
}

void
file_find_missed_again(struct file_set *s)
{
	int64_t now_ns = loop_now();
	struct tail *t;

	/* the list may grow at its end, and its members stay */
	TAILQ_FOREACH (t, &s->tails, all) {
		if (t->missed.until_ns == 0)
			continue;
		if (t->spec == NULL || t->dead || now_ns >= t->missed.until_ns)
			t->missed.until_ns = 0;
		if (t->spec != NULL && !t->dead)
			search(s, t);
	}
}
