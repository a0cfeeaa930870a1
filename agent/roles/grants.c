/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/grants.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/roles/opener.h"
#include "rotation.h"
#include "xalloc.h"

enum { AS_GLOB = FNM_PATHNAME | FNM_PERIOD };

struct grant {
	enum grant_kind kind;
	char *pattern; /* without a '/' at its end */
	size_t slashes;
};

struct grants {
	struct grant *at;
	size_t n, cap;
};

struct grants *
grants_new(void)
{
	return xzalloc(sizeof(struct grants));
}

void
grants_free(struct grants *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n; i++)
		free(g->at[i].pattern);
	free(g->at);
	free(g);
}

static size_t
slashes_in(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += *s == '/';
	return n;
}

bool
grants_add(struct grants *g, enum grant_kind kind, const char *pattern)
{
	size_t len = strlen(pattern);
	struct grant *fresh;

	if (pattern[0] != '/' || len >= PATH_MAX || g->n >= GRANTS_MAX)
		return false;
	while (len > 0 && pattern[len - 1] == '/')
		len--; /* "/" becomes "": everything is below it */
	if (g->n == g->cap) {
		g->cap = g->cap == 0 ? 16 : 2 * g->cap;
		g->at = xreallocarray(g->at, g->cap, sizeof(*g->at));
	}
	fresh = &g->at[g->n++];
	fresh->kind = kind;
	fresh->pattern = xmemdupz(pattern, len);
	fresh->slashes = slashes_in(fresh->pattern);
	return true;
}

struct grants *
grants_union(const struct grants *a, const struct grants *b)
{
	struct grants *both = grants_new();

	for (size_t i = 0; i < a->n + b->n; i++) {
		const struct grant *g = i < a->n ? &a->at[i] : &b->at[i - a->n];

		(void)grants_add(both, g->kind,
		    g->pattern[0] == '\0' ? "/" : g->pattern);
	}
	return both;
}

/* No "." and no ".." from here on. */
static bool
goes_down(const char *path)
{
	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if ((n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
		path += *path == '/';
	}
	return true;
}

/* "/a/b" of "/a/b/c/d" for a pattern of two parts. */
static bool
within_tree(const struct grant *grant, const char *path)
{
	char head[PATH_MAX];
	size_t len = 0, slashes = 0;

	for (; path[len] != '\0'; len++) {
		if (path[len] == '/' && slashes++ == grant->slashes)
			break;
	}
	memcpy(head, path, len);
	head[len] = '\0';
	return fnmatch(grant->pattern, head, AS_GLOB) == 0 &&
	    goes_down(path + len);
}

/*
 * Whether a rotation of something that the pattern names made this of it: every
 * beginning of the name, alone and with the name's own ending, may be what it
 * was called.
 */
static bool
rotated(const char *pattern, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	char base[PATH_MAX + NAME_MAX];
	size_t dir = (size_t)(name - path), len = strlen(name), end = len, dot;

	if (len == 0 || len > NAME_MAX || !goes_down(name))
		return false;
	if (len > 3 && strcmp(name + len - 3, ".gz") == 0)
		end -= 3;
	for (dot = end; dot > 0 && name[dot] != '.';)
		dot--;
	memcpy(base, path, dir);
	for (size_t k = 1; k < len; k++) {
		char *stem = memcpy(base + dir, name, k);

		stem[k] = '\0';
		if (rotation_name(stem, name) &&
		    fnmatch(pattern, base, AS_GLOB) == 0)
			return true;
		memcpy(stem + k, name + dot, end - dot);
		stem[k + end - dot] = '\0';
		if (rotation_name(stem, name) &&
		    fnmatch(pattern, base, AS_GLOB) == 0)
			return true;
	}
	return false;
}

static bool
names_path(const struct grant *grant, const char *path)
{
	if (grant->kind == GRANT_TREE)
		return within_tree(grant, path);
	if (grant->kind == GRANT_SOCKET)
		return strcmp(grant->pattern, path) == 0;
	return fnmatch(grant->pattern, path, AS_GLOB) == 0 ||
	    (grant->kind == GRANT_LOG && rotated(grant->pattern, path));
}

bool
grants_path(const struct grants *g, const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	for (size_t i = 0; i < g->n; i++) {
		if (names_path(&g->at[i], path))
			return true;
	}
	return false;
}

bool
grants_socket(const struct grants *g, const char *path)
{
	for (size_t i = 0; i < g->n; i++) {
		if (g->at[i].kind == GRANT_SOCKET &&
		    names_path(&g->at[i], path))
			return true;
	}
	return false;
}

static bool
names_folder(const struct grant *grant, const char *path)
{
	char dir[PATH_MAX];
	size_t len;

	if (grant->kind == GRANT_TREE)
		return within_tree(grant, path);
	if (grant->kind != GRANT_LOG)
		return false;
	len = (size_t)(strrchr(grant->pattern, '/') - grant->pattern);
	memcpy(dir, grant->pattern, len);
	dir[len] = '\0';
	return fnmatch(len == 0 ? "/" : dir, path, AS_GLOB) == 0;
}

bool
grants_folder(const struct grants *g, const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	for (size_t i = 0; i < g->n; i++) {
		if (names_folder(&g->at[i], path))
			return true;
	}
	return false;
}

bool
grants_pattern(const struct grants *g, const char *pattern)
{
	size_t literal = strcspn(pattern, "*?[\\");

	if (pattern[0] != '/' || strlen(pattern) >= PATH_MAX)
		return false;
	for (size_t i = 0; i < g->n; i++) {
		const struct grant *grant = &g->at[i];
		char folder[PATH_MAX];

		if (strcmp(grant->pattern, pattern) == 0)
			return true;
		if (grant->kind != GRANT_TREE)
			continue;
		memcpy(folder, pattern, literal);
		folder[literal] = '\0';
		if (pattern[literal] != '\0')
			*(strrchr(folder, '/')) = '\0';
		if (folder[0] == '/' && within_tree(grant, folder) &&
		    goes_down(pattern))
			return true;
	}
	return grants_path(g, pattern);
}
