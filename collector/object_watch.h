/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after the register of objects, in the loop's thread, once a second: has
 * its file changed, has an object fallen silent, does an attestation end.
 */
#pragma once

#include "findings.h"
#include "loop.h"
#include "objects.h"

struct object_watch;

struct object_watch_options {
	struct loop *loop;       /* borrowed, as all here */
	const char *path;        /* the register's file */
	struct objects *objects; /* takes a reference */
	struct findings *findings;
	void (*changed)(void *ctx); /* the file is another one, and at rest */
	void *ctx;
};

struct object_watch *object_watch_new(
    const struct object_watch_options *options);

/* After a reload: takes a reference; NULL: there is no register any more. */
void object_watch_set(struct object_watch *w, struct objects *objects);

/* NULL is fine for all of these; the first may be called by any thread. */
uint64_t object_watch_silent(const struct object_watch *w); /* objects, now */
void object_watch_stop(struct object_watch *w);
void object_watch_free(struct object_watch *w);
