/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Word of changes in folders: from fanotify(7) where it is allowed
 * (CAP_SYS_ADMIN), which says who did it, else from inotify(7).
 *
 * Only the folder itself is watched, not what is below.  opener_notify_add()
 * and _forget() may be called by another thread than the one that reads.
 */
#pragma once

#include "agent/roles/opener.h"

enum { NOTIFY_FOLDERS_MAX = 65536 };

enum opener_change {
	NOTIFY_CREATED = 1 << 0,
	NOTIFY_GONE = 1 << 1,    /* deleted, or moved away */
	NOTIFY_CAME = 1 << 2,    /* moved here */
	NOTIFY_WRITTEN = 1 << 3, /* closed by a writer */
	NOTIFY_MODIFIED = 1 << 4,
	NOTIFY_ATTRIBUTES = 1 << 5,
	NOTIFY_FOLDER = 1 << 6 /* it is a folder */
};

struct opener_notice {
	const char *path; /* valid in the call only */
	unsigned changes;
	int32_t pid; /* 0: unknown */
};

struct opener_notify_events {
	void *ctx;
	void (*changed)(void *ctx, const struct opener_notice *n);
	void (*lost)(void *ctx); /* events; look at everything */
};

struct opener_notify;

/* NULL: neither is to be had.  `who`: fanotify is wanted. */
struct opener_notify *opener_notify_new(struct opener *o, bool who,
    const struct opener_notify_events *events);
/* Of the folders of logs: inotify(7), and a folder may be a link. */
struct opener_notify *opener_notify_of_logs(struct opener *o,
    const struct opener_notify_events *events);
void opener_notify_free(struct opener_notify *n); /* NULL is fine */
int opener_notify_fd(const struct opener_notify *n);
/* Calls back for everything that is there now. */
void opener_notify_read(struct opener_notify *n);

/* RC_LIMIT: no more watches (of ours, or of the kernel's). */
enum rc opener_notify_add(struct opener_notify *n, const char *dir);
/* A folder and those below it. */
void opener_notify_forget(struct opener_notify *n, const char *dir);
