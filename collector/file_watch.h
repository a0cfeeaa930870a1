/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a file has become another one: looked at again and again. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* One that is not there is all zero. */
struct file_state {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};
struct file_watch {
	struct file_state read, last;
};

void file_watch_begin(struct file_watch *w, const char *path);
/* True once for each change, and only when two looks have seen the same: an
 * editor writes in pieces. */
bool file_watch_changed(struct file_watch *w, const char *path);
