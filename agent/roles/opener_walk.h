/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking folders, in batches: what the file integrity input sees of a machine.
 *
 * The order is that of opener_path_cmp(): names by byte, and everything below a
 * folder right behind it.  It is the same at each walk, so that two walks can be
 * merged without either in memory.
 *
 * Nothing is opened but folders, and those through their parent's descriptor,
 * so a name that is swapped for a link on the way leads nowhere else.  Only the
 * given paths themselves may be links.
 */
#pragma once

#include "agent/roles/opener.h"
#include "arena.h"
#include "buf.h"

enum {
	WALK_DEPTH_MAX = 256,     /* folders within each other */
	WALK_NAMES_MAX = 1000000, /* of one folder */
	WALK_PATH_MAX = 4095,     /* bytes: what open(2) takes */
	WALK_TARGET_MAX = 4095    /* bytes of a link's target */
};

struct opener_node {
	const char *path; /* in the arena */
	size_t path_len;
	struct opener_stat st;
	struct slice target; /* of a symbolic link, in the arena */
	/* A folder that could not be read to its end (EACCES, ELOOP: it is
	 * within itself, ENAMETOOLONG: too deep, E2BIG: too many names); what is below it
	 * is not known.  Or a name that has no stat. */
	int error;
};

struct opener_walk_options {
	const char *const *patterns; /* glob(7), absolute */
	size_t n_patterns;
	const char *const *exclude; /* of paths or names */
	size_t n_exclude;
	bool flat;    /* what the patterns name, nothing below */
	bool literal; /* `patterns` are paths */
};

struct opener_walk;

/* `options` is borrowed until the end. */
struct opener_walk *opener_walk_begin(struct opener *o,
    const struct opener_walk_options *options);
/* Up to `max` nodes; 0: the end. */
size_t opener_walk_next(struct opener_walk *w, struct arena *arena,
    struct opener_node *nodes, size_t max);
/* Names left out because no system call takes so long a path. */
uint64_t opener_walk_too_long(const struct opener_walk *w);
/* What it walks, in order: none within another (`flat`: none twice). */
const char *const *opener_walk_roots(const struct opener_walk *w, size_t *n);
void opener_walk_end(struct opener_walk *w); /* NULL is fine */

/* The order of a walk: '/' is below every other byte. */
int opener_path_cmp(struct slice a, struct slice b);
/* Whether `path` is `folder` or below it. */
bool opener_path_within(struct slice path, struct slice folder);
/* Whether a pattern of paths or names names it. */
bool opener_path_matches(const char *const *patterns, size_t n,
    const char *path);

/*
 * Extended attributes of a file (`fd`, or -1: of `path` itself), as
 * "name\0" length (4 bytes, big-endian) value, in the order of the names;
 * appended to `out`.  False: they cannot be read (errno).  Attributes that are
 * no part of the file (trusted.overlay.*) are left out.
 */
bool opener_xattrs(struct opener *o, const char *path, int fd, struct buf *out);
