/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a path to what it leads to, for a process that may read more than those
 * who own the folders on the way.  Between the parts of the opener; nobody else
 * includes it.
 *
 * Each part is opened by its folder's descriptor and never as a link; a link's
 * text is followed here.  So what was looked at is what is opened, whatever is
 * swapped meanwhile.  A link is followed where it could not have been made to
 * borrow the opener's rights: it is root's, or belongs to the owner of what it
 * leads to (as protected_symlinks of proc(5)), or what it leads to is granted by
 * its own name.
 */
#pragma once

#include <stdbool.h>

#include "agent/roles/grants.h"

enum { OPENER_LINKS_MAX = 40 };

/*
 * O_PATH, the caller's; -1: errno says why, EACCES where a link is not followed.
 * `follow`: the last part too.
 */
int opener_path_fd(const struct grants *g, const char *path, bool follow);

/* Opens for reading what the descriptor of opener_path_fd() is; -1: errno. */
int opener_path_reopen(int fd, int flags);

/* "/proc/self/fd/N": what calls take that know paths only. */
void opener_path_name(int fd, char out[32]);
