/* SPDX-License-Identifier: Apache-2.0 */
#include "set.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "xalloc.h"

enum { DEPTH_MAX = 4, ARENA_BLOCK = 16 * 1024 };

struct loading {
	struct normalizer_set *set;
	normalizer_finding_cb *cb;
	void *ctx;
};

static int
compare_ways(const void *a, const void *b)
{
	const struct way *x = a, *y = b;
	int c = slice_compare(x->text, y->text);

	return c != 0 ? c : (x->format > y->format) - (x->format < y->format);
}

const struct way *
ways_find(const struct ways *w, struct slice text, uint32_t *n)
{
	uint32_t first = text_index_find(&w->index, text);

	*n = 0;
	if (first == UINT32_MAX)
		return NULL;
	do
		(*n)++;
	while (first + *n < w->n && slice_eq(w->list[first + *n].text, text));
	return &w->list[first];
}

static void
tell(const struct loading *l, const char *file, unsigned line,
    const char *message)
{
	struct normalizer_finding finding = { file, line, message };

	if (l->cb != NULL)
		l->cb(l->ctx, &finding);
}

static void
load_file(struct loading *l, const char *path)
{
	struct normalizer_set *s = l->set;
	struct format *f;
	struct error err;
	unsigned line;

	if (s->n == FORMATS_MAX) {
		tell(l, path, 0, "more formats than 1024");
		return;
	}
	if (format_load(path, &f, &line, &err) != RC_OK) {
		tell(l, path, line, err.text);
		return;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		if (slice_eq(s->formats[i]->name, f->name)) {
			tell(l, path, 1, "another file has this name");
			format_free(f);
			return;
		}
	}
	s->formats = xreallocarray(s->formats, s->n + 1, sizeof(void *));
	s->formats[s->n++] = f;
}

static bool
is_format_file(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 4 && strcmp(name + n - 4, ".yml") == 0;
}

static void load_entry(struct loading *l, const char *path, const char *name,
    unsigned depth);

/* In the order of names, so that every machine loads alike. */
static enum rc
load_folder(struct loading *l, const char *dir, unsigned depth,
    struct error *err)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort);

	if (n < 0)
		return error_set_errno(err, errno, "%s", dir);
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		int len = snprintf(path, sizeof(path), "%s/%s", dir,
		    names[i]->d_name);

		if (names[i]->d_name[0] != '.' && len > 0 &&
		    (size_t)len < sizeof(path))
			load_entry(l, path, names[i]->d_name, depth);
		free(names[i]);
	}
	free(names);
	return RC_OK;
}

static void
load_entry(struct loading *l, const char *path, const char *name,
    unsigned depth)
{
	struct error err;
	struct stat st;

	if (stat(path, &st) != 0) {
		(void)error_set_errno(&err, errno, "%s", path);
		tell(l, path, 0, err.text);
	} else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
		if (load_folder(l, path, depth + 1, &err) != RC_OK)
			tell(l, path, 0, err.text);
	} else if (S_ISREG(st.st_mode) && is_format_file(name)) {
		load_file(l, path);
	}
}

static int
compare_formats(const void *a, const void *b)
{
	const struct format *x = *(const struct format *const *)a;
	const struct format *y = *(const struct format *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? 1 : -1;
	return slice_compare(x->name, y->name);
}

static void
add_way(struct ways *w, struct slice text, uint32_t format)
{
	w->list[w->n++] = (struct way){ text, format };
}

static void
sort_ways(struct normalizer_set *s, struct ways *w)
{
	qsort(w->list, w->n, sizeof(w->list[0]), compare_ways);
	text_index_build(&w->index, s->arena, w->list, sizeof(w->list[0]),
	    w->n);
}

static enum rc
index_literals(struct normalizer_set *s, struct error *err)
{
	size_t all = 0, n[3] = { 0, 0, 0 };
	struct literals **to[3] = { &s->line, &s->message, &s->path };
	struct literal *lists[3];
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < s->n; i++)
		all += s->formats[i]->n_keys;
	for (unsigned k = 0; k < 3; k++)
		lists[k] = xcalloc(all + 1, sizeof(lists[k][0]));
	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = 0; k < s->formats[i]->n_keys; k++) {
			const struct key *key = &s->formats[i]->keys[k];
			bool start =
			    key->kind == KEY_STARTS || key->kind == KEY_MESSAGE;
			unsigned which = key->kind == KEY_MESSAGE ? 1
			    : key->kind == KEY_PATH               ? 2
								  : 0;

			if (key->kind != KEY_PROGRAM)
				lists[which][n[which]++] =
				    (struct literal){ key->text, start, i };
		}
	}
	for (unsigned k = 0; k < 3 && rc == RC_OK; k++)
		rc = literals_new(lists[k], n[k], to[k], err);
	for (unsigned k = 0; k < 3; k++)
		free(lists[k]);
	return rc;
}

static enum rc
index_formats(struct normalizer_set *s, struct error *err)
{
	size_t programs = 0;

	if (s->n > 1)
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
		qsort(s->formats, s->n, sizeof(void *), compare_formats);
	for (uint32_t i = 0; i < s->n; i++)
		programs += s->formats[i]->n_keys;
	s->programs.list = xcalloc(programs + 1, sizeof(struct way));
	s->datasets.list = xcalloc((size_t)s->n + 1, sizeof(struct way));
	s->json.list = xcalloc((size_t)s->n + 1, sizeof(struct way));
	s->last = xcalloc((size_t)s->n + 1, sizeof(s->last[0]));
	s->fallback = s->any_object = UINT32_MAX;
	for (uint32_t i = 0; i < s->n; i++) {
		struct format *f = s->formats[i];

		f->index = i;
		if (f->fallback && s->fallback == UINT32_MAX)
			s->fallback = i;
		if (f->any_object && s->any_object == UINT32_MAX)
			s->any_object = i;
		if (f->last)
			s->last[s->n_last++] = i;
		add_way(&s->datasets, f->dataset, i);
		if (f->n_json_when > 0)
			add_way(&s->json, f->json_when[0].name, i);
		for (uint32_t k = 0; k < f->n_keys; k++)
			if (f->keys[k].kind == KEY_PROGRAM)
				add_way(&s->programs, f->keys[k].text, i);
	}
	sort_ways(s, &s->programs);
	sort_ways(s, &s->datasets);
	sort_ways(s, &s->json);
	return index_literals(s, err);
}

enum rc
normalizer_set_load(const char *dir, normalizer_finding_cb *cb, void *ctx,
    struct normalizer_set **out, struct error *err)
{
	struct normalizer_set *s = xzalloc(sizeof(*s));
	struct loading l = { s, cb, ctx };
	enum rc rc;

	*out = NULL;
	atomic_init(&s->references, 1);
	s->arena = arena_new(ARENA_BLOCK);
	rc = load_folder(&l, dir, 0, err);
	if (rc == RC_OK)
		rc = index_formats(s, err);
	if (rc != RC_OK) {
		normalizer_set_unref(s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

struct normalizer_set *
normalizer_set_ref(struct normalizer_set *s)
{
	atomic_fetch_add(&s->references, 1);
	return s;
}

void
normalizer_set_unref(struct normalizer_set *s)
{
	if (s == NULL || atomic_fetch_sub(&s->references, 1) != 1)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		format_free(s->formats[i]);
	free(s->formats);
	free(s->programs.list);
	free(s->datasets.list);
	free(s->json.list);
	free(s->last);
	literals_free(s->line);
	literals_free(s->message);
	literals_free(s->path);
	arena_free(s->arena);
	free(s);
}

uint32_t
normalizer_set_count(const struct normalizer_set *s)
{
	return s->n;
}
