/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of the opener; nobody else includes it. */
#pragma once

#include "agent/roles/grants.h"
#include "agent/roles/opener_remote.h"
#include "agent/roles/opener_wire.h"

/* NULL: this process opens by itself. */
struct remote *opener_remote(const struct opener *o);

/* For the server: it answers for what is granted (borrowed), and counts what is
 * not. */
struct opener *opener_new_granted(void);
void opener_grant(struct opener *o, const struct grants *g);
const struct grants *opener_grants(const struct opener *o); /* NULL: none */

/*
 * An O_PATH descriptor, the caller's: where there are grants, of what they name
 * and links that may be followed; else of anything.  -1: errno says why.
 */
int opener_fd(struct opener *o, const char *path, bool follow);
/* The same of a folder that is to be watched. */
int opener_watch_fd(struct opener *o, const char *dir, bool follow);
/* The same of a socket that is to be connected to. */
int opener_socket_fd(struct opener *o, const char *path);
/* The same of a folder on the way to what is granted. */
int opener_way_fd(struct opener *o, const char *dir);
/* Whether names may be looked for by it; false: errno, and it is counted. */
bool opener_may_look(struct opener *o, const char *pattern);

/* As fstatat(2), with statx(2)'s flags; false: errno says why. */
bool opener_stat_at(int dir, const char *name, int flags,
    struct opener_stat *st);

/* What tells of changes; `kind` may become WIRE_OF_CHANGES.  -1: errno. */
int opener_notify_open(enum wire_notify *kind);
/* Watches a folder by it; the key of its events.  False: errno says why. */
bool opener_mark(struct opener *o, int fd, enum wire_notify kind,
    const char *dir, uint64_t *key);
