/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/file_set.h"
#include "xalloc.h"

enum { CANDIDATES_MAX = 65536 };

static bool
excluded(const struct input_config *c, const char *path)
{
	const char *base = strrchr(path, '/');

	base = base == NULL ? path : base + 1;
	for (size_t i = 0; i < c->n_exclude; i++) {
		if (fnmatch(c->exclude[i], path, FNM_PATHNAME) == 0 ||
		    fnmatch(c->exclude[i], base, 0) == 0)
			return true;
	}
	return false;
}

static void
watch_folder_of(struct file_set *s, const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : (int)(slash == path ? 1 : slash - path),
	    slash == NULL ? "." : path);
	opener_watch(s->setup.opener, dir);
}

void
candidates_add(struct candidates *q, const struct file_spec *spec,
    const char *path, const struct opener_stat *st)
{
	if (q->n >= CANDIDATES_MAX || excluded(spec->config, path))
		return;
	watch_folder_of(q->set, path);
	if (q->n == q->cap) {
		q->cap = q->cap == 0 ? 64 : 2 * q->cap;
		q->found = xreallocarray(q->found, q->cap, sizeof(*q->found));
	}
	q->found[q->n++] = (struct candidate){ xstrdup(path), spec, *st };
}

static int
older_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->st.mtime_ns != y->st.mtime_ns)
		return x->st.mtime_ns < y->st.mtime_ns ? -1 : 1;
	if (x->st.btime_ns != y->st.btime_ns)
		return x->st.btime_ns < y->st.btime_ns ? -1 : 1;
	return strcmp(x->path, y->path);
}

void
candidates_sort(struct candidates *q)
{
	if (q->n > 0)
		qsort(q->found, q->n, sizeof(*q->found), older_first);
}

void
candidates_fini(struct candidates *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->found[i].path);
	free(q->found);
}

struct listing {
	struct candidates *out;
	const struct file_spec *spec;
};

static void
on_path(void *ctx, const char *path, const struct opener_stat *st)
{
	struct listing *l = ctx;

	candidates_add(l->out, l->spec, path, st);
}

/* Its last part, or all of it, is not a pattern's. */
static bool
has_one_folder(const char *pattern)
{
	const char *slash = strrchr(pattern, '/');

	return strpbrk(pattern, "*?[") == NULL ||
	    strpbrk(slash == NULL ? pattern : slash, "*?[") != NULL;
}

void
file_list(struct file_set *s, struct candidates *out)
{
	struct error err;

	for (size_t i = 0; i < s->n_specs; i++) {
		const struct input_config *c = s->specs[i].config;
		struct listing l = { out, &s->specs[i] };

		for (size_t k = 0; k < c->n_paths; k++) {
			/* before the list: what comes between is told */
			if (has_one_folder(c->paths[k]))
				watch_folder_of(s, c->paths[k]);
			if (opener_list(s->setup.opener, c->paths[k], on_path,
				&l, &err) != RC_OK)
				file_set_say_once(s, c->paths[k], err.text);
		}
	}
	candidates_sort(out);
}
