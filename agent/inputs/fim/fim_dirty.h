/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths that something happened to, until they are looked at: each once, with a
 * time to wait for, so that a file that is written in many steps is told once.
 * Bounded: what does not fit makes the whole input be looked at.  Between the
 * thread that hears and the one that looks: all calls are thread-safe.
 */
#pragma once

#include "agent/inputs/fim/fim.h"
#include "agent/roles/opener_notify.h"

enum { DIRTY_MAX = 4096 };

struct fim_dirty;

struct fim_dirty_path {
	char *path; /* NULL ends a list */
	int64_t due_ns;
	bool deep; /* a folder came or went: what is below it too */
	bool new;  /* created, and perhaps not yet written to its end */
	struct fim_who *who; /* NULL: nobody knows */
};

struct fim_dirty *fim_dirty_new(void);
void fim_dirty_free(struct fim_dirty *d); /* NULL is fine */

/* `at_once`: it will not be written any more (a link, a folder, a device). */
void fim_dirty_add(struct fim_dirty *d, const struct opener_notice *n,
    bool at_once, const struct fim_who *who);
/* Events were lost: look at everything. */
void fim_dirty_lost(struct fim_dirty *d);
/* Whether that is so; then it no longer is. */
bool fim_dirty_take_lost(struct fim_dirty *d);

/* What is due at `now_ns`, up to `max`; how many.  The caller's, to clear. */
size_t fim_dirty_take(struct fim_dirty *d, int64_t now_ns,
    struct fim_dirty_path *out, size_t max);
/* When the next is due; INT64_MAX: none. */
int64_t fim_dirty_due(struct fim_dirty *d);
void fim_dirty_clear(struct fim_dirty_path *paths, size_t n);
