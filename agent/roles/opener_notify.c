/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/roles/opener_parts.h"
#include "agent/roles/opener_path.h"
#include "xalloc.h"

enum {
	EVENTS_BYTES = 64 * 1024,
	SLOTS_MIN = 64, /* of the table of folders */
	LOGS_MASK = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
	    IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
	INOTIFY_MASK = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
	    IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_ONLYDIR,
};

static const uint64_t fanotify_mask = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM |
    FAN_MOVED_TO | FAN_CLOSE_WRITE | FAN_MODIFY | FAN_ATTRIB | FAN_ONDIR |
    FAN_EVENT_ON_CHILD;

/* A watched folder; by its key in an open hash table. */
struct folder {
	uint64_t key; /* inotify's descriptor, or a hash of fanotify's handle */
	char *path;   /* NULL: free */
};

struct opener_notify {
	struct opener *opener;
	struct opener_notify_events events;
	uint32_t handle; /* the opener process's */
	int fd;
	enum wire_notify kind;
	bool fanotify;
	pthread_mutex_t lock; /* of the table */
	struct folder *folders;
	size_t n, slots; /* a power of two */
};

static uint64_t
mix(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h;
}

static uint64_t
key_of_handle(const void *fsid, const struct file_handle *h)
{
	uint64_t key =
	    mix(UINT64_C(14695981039346656037), fsid, 2 * sizeof(int));

	key = mix(key, &h->handle_type, sizeof(h->handle_type));
	return mix(key, h->f_handle, h->handle_bytes);
}

static struct folder *
slot_of(struct folder *folders, size_t slots, uint64_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	while (folders[at & (slots - 1)].path != NULL &&
	    folders[at & (slots - 1)].key != key)
		at++;
	return &folders[at & (slots - 1)];
}

static void
rehash(struct opener_notify *n, size_t slots)
{
	struct folder *fresh = xcalloc(slots, sizeof(*fresh));

	for (size_t i = 0; i < n->slots; i++) {
		if (n->folders[i].path != NULL)
			*slot_of(fresh, slots, n->folders[i].key) =
			    n->folders[i];
	}
	free(n->folders);
	n->folders = fresh;
	n->slots = slots;
}

static enum rc
remember(struct opener_notify *n, uint64_t key, const char *dir)
{
	struct folder *f = slot_of(n->folders, n->slots, key);

	if (f->path != NULL && strcmp(f->path, dir) == 0)
		return RC_OK;
	if (f->path == NULL && n->n >= NOTIFY_FOLDERS_MAX)
		return RC_LIMIT;
	n->n += f->path == NULL;
	free(f->path); /* the same folder has another name now */
	*f = (struct folder){ key, xstrdup(dir) };
	if (2 * n->n > n->slots)
		rehash(n, 2 * n->slots);
	return RC_OK;
}

/* ---- watching, where the rights are -------------------------------------- */

static bool
mark_fanotify(int fd, int dir, const char *name, uint64_t *key)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	struct statfs fs;
	int mount;

	if (fstatfs(dir, &fs) != 0 ||
	    name_to_handle_at(dir, "", &handle.head, &mount, AT_EMPTY_PATH) !=
		0 ||
	    fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, fanotify_mask,
		AT_FDCWD, name) != 0)
		return false;
	*key = key_of_handle(&fs.f_fsid, &handle.head);
	return true;
}

bool
opener_mark(struct opener *o, int fd, enum wire_notify kind, const char *dir,
    uint64_t *key)
{
	bool logs = kind == WIRE_OF_LOGS;
	/* of changes: a link is watched by its folder */
	int at = opener_watch_fd(o, dir, logs), wd, errnum;
	char name[32];
	bool good;

	if (at == -1)
		return false;
	opener_path_name(at, name);
	if (kind == WIRE_OF_CHANGES_BY_WHOM) {
		good = mark_fanotify(fd, at, name, key);
	} else {
		wd = inotify_add_watch(fd, name,
		    logs ? LOGS_MASK : INOTIFY_MASK);
		*key = (uint64_t)wd;
		good = wd != -1;
	}
	errnum = errno;
	(void)close(at);
	errno = errnum;
	return good;
}

int
opener_notify_open(enum wire_notify *kind)
{
	int fd = -1;

	if (*kind == WIRE_OF_CHANGES_BY_WHOM) {
		fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC |
			FAN_NONBLOCK | FAN_REPORT_DFID_NAME,
		    O_RDONLY | O_CLOEXEC);
		if (fd == -1)
			*kind = WIRE_OF_CHANGES;
	}
	return fd != -1 ? fd : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static bool
mark(struct opener_notify *n, const char *dir, uint64_t *key)
{
	struct remote *r = opener_remote(n->opener);
	struct wire_request q = { WIRE_WATCH, n->handle, 0 };
	struct wire_answer a;

	if (r == NULL)
		return opener_mark(n->opener, n->fd, n->kind, dir, key);
	if (remote_ask(r, &q, dir, &a, NULL, NULL) != RC_OK)
		return false;
	*key = a.key;
	return true;
}

static enum rc
add(struct opener_notify *n, const char *dir)
{
	uint64_t key;

	if (mark(n, dir, &key))
		return remember(n, key, dir);
	return errno == ENOENT || errno == ENOTDIR ? RC_OK
	    : errno == ENOSPC                      ? RC_LIMIT
						   : RC_SYSTEM;
}

enum rc
opener_notify_add(struct opener_notify *n, const char *dir)
{
	enum rc rc;

	(void)pthread_mutex_lock(&n->lock);
	rc = add(n, dir);
	(void)pthread_mutex_unlock(&n->lock);
	return rc;
}

void
opener_notify_forget(struct opener_notify *n, const char *dir)
{
	struct slice folder = { dir, strlen(dir) };
	bool any = false;

	(void)pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->slots; i++) {
		struct folder *f = &n->folders[i];

		if (f->path == NULL ||
		    !opener_path_within((struct slice){ f->path,
					    strlen(f->path) },
			folder))
			continue;
		if (!n->fanotify)
			(void)inotify_rm_watch(n->fd, (int)f->key);
		free(f->path);
		f->path = NULL;
		n->n--;
		any = true;
	}
	if (any)
		rehash(n, n->slots); /* free places would cut chains */
	(void)pthread_mutex_unlock(&n->lock);
}

/* "DIR/NAME" into `out`; false: nobody knows the folder. */
static bool
path_of(struct opener_notify *n, uint64_t key, const char *name,
    char out[WALK_PATH_MAX + 1])
{
	const struct folder *f;
	int len = -1;

	(void)pthread_mutex_lock(&n->lock);
	f = slot_of(n->folders, n->slots, key);
	if (f->path != NULL && name[0] == '\0')
		len = snprintf(out, WALK_PATH_MAX + 1, "%s", f->path);
	else if (f->path != NULL)
		len = snprintf(out, WALK_PATH_MAX + 1, "%s/%s",
		    strcmp(f->path, "/") == 0 ? "" : f->path, name);
	(void)pthread_mutex_unlock(&n->lock);
	return len > 0 && len <= WALK_PATH_MAX;
}

static const struct {
	uint64_t fanotify;
	uint32_t inotify;
	unsigned change;
} names[] = {
	{ FAN_CREATE, IN_CREATE, NOTIFY_CREATED },
	{ FAN_DELETE, IN_DELETE, NOTIFY_GONE },
	{ FAN_MOVED_FROM, IN_MOVED_FROM, NOTIFY_GONE },
	{ FAN_MOVED_TO, IN_MOVED_TO, NOTIFY_CAME },
	{ FAN_CLOSE_WRITE, IN_CLOSE_WRITE, NOTIFY_WRITTEN },
	{ FAN_MODIFY, IN_MODIFY, NOTIFY_MODIFIED },
	{ FAN_ATTRIB, IN_ATTRIB, NOTIFY_ATTRIBUTES },
	{ FAN_ONDIR, IN_ISDIR, NOTIFY_FOLDER },
};

static void
tell(struct opener_notify *n, uint64_t key, const char *name,
    const struct opener_notice *what)
{
	char path[WALK_PATH_MAX + 1];
	struct opener_notice notice = *what;

	if (!path_of(n, key, name, path))
		return;
	notice.path = path;
	n->events.changed(n->events.ctx, &notice);
}

static void
one_inotify(struct opener_notify *n, const struct inotify_event *ev)
{
	struct opener_notice what = { 0 };

	if ((ev->mask & IN_Q_OVERFLOW) != 0) {
		n->events.lost(n->events.ctx);
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		what.changes |=
		    (ev->mask & names[i].inotify) != 0 ? names[i].change : 0;
	if (what.changes != 0)
		tell(n, (uint64_t)ev->wd, ev->len > 0 ? ev->name : "", &what);
}

static void
one_fanotify(struct opener_notify *n, const struct fanotify_event_metadata *ev)
{
	const struct fanotify_event_info_fid *fid = (const void *)(ev + 1);
	struct opener_notice what = { .pid = ev->pid };
	const struct file_handle *handle;
	const char *name;

	if ((ev->mask & FAN_Q_OVERFLOW) != 0) {
		n->events.lost(n->events.ctx);
		return;
	}
	if (ev->event_len < sizeof(*ev) + sizeof(*fid) + sizeof(*handle) ||
	    (fid->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME &&
		fid->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID))
		return;
	handle = (const void *)fid->handle;
	name = fid->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME
	    ? (const char *)handle->f_handle + handle->handle_bytes
	    : "";
	if (strcmp(name, ".") == 0)
		name = "";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		what.changes |=
		    (ev->mask & names[i].fanotify) != 0 ? names[i].change : 0;
	if (what.changes != 0)
		tell(n, key_of_handle(&fid->fsid, handle), name, &what);
}

/* Its length; 0: it is none.  The kernel aligns events to four bytes only. */
static size_t
next_fanotify(struct opener_notify *n, const char *at, size_t left)
{
	struct fanotify_event_metadata head;
	alignas(8) char event[EVENTS_BYTES];

	memcpy(&head, at, sizeof(head));
	if (head.event_len < sizeof(head) || head.event_len > left ||
	    head.vers != FANOTIFY_METADATA_VERSION)
		return 0;
	memcpy(event, at, head.event_len);
	one_fanotify(n, (const void *)event);
	return head.event_len;
}

void
opener_notify_read(struct opener_notify *n)
{
	alignas(8) char bytes[EVENTS_BYTES];
	ssize_t got;

	while ((got = read(n->fd, bytes, sizeof(bytes))) > 0) {
		size_t left = (size_t)got;
		const char *at = bytes;

		while (n->fanotify &&
		    left >= sizeof(struct fanotify_event_metadata)) {
			size_t len = next_fanotify(n, at, left);

			if (len == 0)
				return;
			at += len;
			left -= len;
		}
		while (!n->fanotify && left >= sizeof(struct inotify_event)) {
			const struct inotify_event *ev = (const void *)at;

			one_inotify(n, ev);
			at += sizeof(*ev) + ev->len;
			left -= sizeof(*ev) + ev->len;
		}
	}
}

static void
open_it(struct opener_notify *n)
{
	struct remote *r = opener_remote(n->opener);
	struct wire_request q = { WIRE_NOTIFY, 0, n->kind };
	struct wire_answer a;

	if (r == NULL) {
		n->fd = opener_notify_open(&n->kind);
	} else {
		(void)remote_ask(r, &q, NULL, &a, NULL, &n->fd);
		n->handle = a.handle;
		n->kind = (enum wire_notify)a.key;
	}
	n->fanotify = n->kind == WIRE_OF_CHANGES_BY_WHOM;
}

static struct opener_notify *
notify_new(struct opener *o, enum wire_notify kind,
    const struct opener_notify_events *events)
{
	struct opener_notify *n = xzalloc(sizeof(*n));

	n->opener = o;
	n->events = *events;
	n->kind = kind;
	open_it(n);
	if (n->fd == -1) {
		free(n);
		return NULL;
	}
	(void)pthread_mutex_init(&n->lock, NULL);
	rehash(n, SLOTS_MIN);
	return n;
}

struct opener_notify *
opener_notify_new(struct opener *o, bool who,
    const struct opener_notify_events *events)
{
	return notify_new(o, who ? WIRE_OF_CHANGES_BY_WHOM : WIRE_OF_CHANGES,
	    events);
}

struct opener_notify *
opener_notify_of_logs(struct opener *o,
    const struct opener_notify_events *events)
{
	return notify_new(o, WIRE_OF_LOGS, events);
}

void
opener_notify_free(struct opener_notify *n)
{
	struct remote *r;
	struct wire_answer a;

	if (n == NULL)
		return;
	r = opener_remote(n->opener);
	if (r != NULL)
		(void)remote_ask(r,
		    &(struct wire_request){ WIRE_UNNOTIFY, n->handle, 0 }, NULL,
		    &a, NULL, NULL);
	(void)close(n->fd);
	for (size_t i = 0; i < n->slots; i++)
		free(n->folders[i].path);
	free(n->folders);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

int
opener_notify_fd(const struct opener_notify *n)
{
	return n->fd;
}
