/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the opener may open: patterns that the configuration gives.
 *
 * A path is compared as text, as glob(7) would have found it: "*" is no '/',
 * and names no ".", "..".  That a path leads where its text says, is the
 * resolver's (opener_path.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum grant_kind {
	GRANT_FILE, /* what the pattern names */
	GRANT_LOG,  /* and what rotations make of it, and its folder's events */
	GRANT_TREE, /* and everything below it */
	GRANT_SOCKET /* a path, no pattern: may be connected to, too */
};

enum { GRANTS_MAX = 65536 };

struct grants;

struct grants *grants_new(void);
void grants_free(struct grants *g); /* NULL is fine */
/* An absolute pattern, copied; false: it is none, or there are too many. */
bool grants_add(struct grants *g, enum grant_kind kind, const char *pattern);

/* What either grants; the caller's. */
struct grants *grants_union(const struct grants *a, const struct grants *b);

/* Whether this path may be opened and asked about. */
bool grants_path(const struct grants *g, const char *path);
/* Whether this socket may be connected to: by its own grant only. */
bool grants_socket(const struct grants *g, const char *path);
/* Whether this folder may be watched. */
bool grants_folder(const struct grants *g, const char *path);
/* Whether names may be looked for by this pattern: it is a grant's own, or
 * begins within a tree. */
bool grants_pattern(const struct grants *g, const char *pattern);
