/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File integrity: what is known of one path, and how two states of it differ.
 *
 *   opener_walk --nodes--> merge with stored rows --suspects--> hash
 *                                                                 |
 *   outbox <--event-- annotate (window, package, diff, who) <-- judge
 *
 * fim_scan.h does that; fim_store.h keeps; fim_event.h tells.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/roles/opener_walk.h"
#include "digest.h"

enum fim_content {
	FIM_NO_CONTENT, /* no regular file */
	FIM_HASHED,
	FIM_TOO_LARGE,  /* above max_file_size: by its stat only */
	FIM_UNREADABLE, /* may not be opened */
	FIM_UNSTABLE    /* changed while it was read, each time */
};

enum { FIM_XATTRS_MAX = 4096 }; /* bytes kept; more become a digest */

struct fim_entry {
	struct slice path; /* NUL follows */
	struct opener_stat st;
	struct slice target; /* of a symbolic link */
	struct slice xattrs; /* as opener_xattrs() */
	enum fim_content content;
	uint8_t sha256[SHA256_BYTES];
};

enum fim_difference {
	FIM_TYPE = 1 << 0,
	FIM_MODE = 1 << 1,
	FIM_UID = 1 << 2,
	FIM_GID = 1 << 3,
	FIM_SIZE = 1 << 4,
	FIM_MTIME = 1 << 5,
	FIM_INODE = 1 << 6,
	FIM_LINKS = 1 << 7,
	FIM_MOUNT = 1 << 8,
	FIM_TARGET = 1 << 9,
	FIM_XATTRS = 1 << 10,
	FIM_CONTENT = 1 << 11,
	/* what the file's content is */
	FIM_MODIFIED = FIM_TYPE | FIM_SIZE | FIM_TARGET | FIM_CONTENT
};

/* 0: the same.  Of a folder, size, time and links say only what the events of
 * its names say already. */
unsigned fim_compare(const struct fim_entry *a, const struct fim_entry *b);

/* Whether a stat alone shows that nothing happened (ctime too). */
bool fim_same_stat(const struct opener_stat *a, const struct opener_stat *b);

/* Adds everything that is kept of the entry. */
void fim_digest_add(struct sha256 *h, const struct fim_entry *e);

/* A copy in `arena`. */
struct fim_entry fim_copy(struct arena *arena, const struct fim_entry *e);

/* "file", "dir", "symlink", "fifo", "socket", "char_device", "block_device" */
const char *fim_type_name(uint32_t mode);

/* Who changed it, as far as the kernel told. */
struct fim_who {
	bool known;
	int32_t pid;
	char name[64];
	char executable[256];
	uint32_t uid;
	uint32_t login_uid; /* UINT32_MAX: none */
};

enum fim_action {
	FIM_CREATED,
	FIM_DELETED,
	FIM_CHANGED, /* modified, attributes_modified */
	FIM_MOVED
};

struct fim_package {
	bool owned;
	/* the content is what the package says; of rpm the permissions, too */
	bool verified;
	char name[128];
};

struct fim_change {
	const struct fim_entry *before; /* NULL: CREATED */
	const struct fim_entry *after;  /* NULL: DELETED */
	enum fim_action action;
	unsigned differences; /* of MOVED too */
	struct fim_who who;
	struct fim_package package;
	bool diff_cut;
	struct slice diff; /* ptr NULL: none */
	struct slice text; /* of `after`, to be kept; ptr NULL: not */
};
