/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/roles/opener_parts.h"
#include "agent/roles/opener_path.h"
#include "rotation.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	EVENTS_BYTES = 16 * 1024,
	NAME_MASK = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
	    IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW
};

/* Between two looks at the events: a busy writer makes one for each write(2) */
static const int64_t coalesce_ns = 10 * NS_PER_MS;

struct watch {
	int wd;
	char *dir;
};

struct opener {
	struct remote *remote;       /* NULL: by itself */
	const struct grants *grants; /* NULL: everything */
	uint64_t refused;
	int runner; /* as opener_runner() */
	struct opener_events events;
	uint32_t notify; /* the opener's handle */
	int inotify_fd;  /* -1: polling only */
	struct loop_io *io;
	struct loop_timer *pause;
	struct loop_io *lost; /* readable: the opener is gone */
	struct watch *watches;
	size_t n_watches;
	bool incomplete; /* some folder has no watch */
};

static int64_t
statx_ns(const struct statx_timestamp *t)
{
	return t->tv_sec * NS_PER_SEC + t->tv_nsec;
}

static void
from_statx(const struct statx *stx, struct opener_stat *st)
{
	*st = (struct opener_stat){
		.dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.links = stx->stx_nlink,
		.mtime_ns = statx_ns(&stx->stx_mtime),
		.ctime_ns = statx_ns(&stx->stx_ctime),
		.mode = stx->stx_mode,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.regular = S_ISREG(stx->stx_mode),
		.mount_root = (stx->stx_attributes_mask & stx->stx_attributes &
				  STATX_ATTR_MOUNT_ROOT) != 0,
	};
	if ((stx->stx_mask & STATX_BTIME) != 0)
		st->btime_ns = statx_ns(&stx->stx_btime);
}

bool
opener_stat_fd(int fd, struct opener_stat *st)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME,
		&stx) != 0)
		return false;
	from_statx(&stx, st);
	return true;
}

bool
opener_stat_at(int dir, const char *name, int flags, struct opener_stat *st)
{
	struct statx stx;

	if (statx(dir, name, flags, STATX_BASIC_STATS | STATX_BTIME, &stx) != 0)
		return false;
	from_statx(&stx, st);
	return true;
}

struct remote *
opener_remote(const struct opener *o)
{
	return o->remote;
}

void
opener_grant(struct opener *o, const struct grants *g)
{
	o->grants = g;
}

const struct grants *
opener_grants(const struct opener *o)
{
	return o->grants;
}

uint64_t
opener_refused(const struct opener *o)
{
	return o->remote != NULL ? remote_refused(o->remote) : o->refused;
}

/* ---- from paths to descriptors ------------------------------------------- */

static int
refuse(struct opener *o)
{
	o->refused++;
	errno = EACCES;
	return -1;
}

static int
path_fd(struct opener *o, const char *path, bool follow)
{
	int fd;

	if (o->grants == NULL)
		return open(path,
		    O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	fd = opener_path_fd(o->grants, path, follow);
	return fd == -1 && errno == EACCES ? refuse(o) : fd;
}

int
opener_fd(struct opener *o, const char *path, bool follow)
{
	if (o->grants != NULL && !grants_path(o->grants, path))
		return refuse(o);
	return path_fd(o, path, follow);
}

int
opener_watch_fd(struct opener *o, const char *dir, bool follow)
{
	if (o->grants != NULL && !grants_folder(o->grants, dir))
		return refuse(o);
	return path_fd(o, dir, follow);
}

int
opener_socket_fd(struct opener *o, const char *path)
{
	if (o->grants != NULL && !grants_socket(o->grants, path))
		return refuse(o);
	return path_fd(o, path, true);
}

int
opener_way_fd(struct opener *o, const char *dir)
{
	return path_fd(o, dir, true);
}

bool
opener_may_look(struct opener *o, const char *pattern)
{
	return o->grants == NULL || grants_pattern(o->grants, pattern) ||
	    refuse(o) == 0;
}

static bool
stat_by_fd(struct opener *o, const char *path, bool follow,
    struct opener_stat *st)
{
	int fd = opener_fd(o, path, follow), errnum;
	bool good;

	if (fd == -1)
		return false;
	good = opener_stat_fd(fd, st);
	errnum = errno;
	(void)close(fd);
	errno = errnum;
	return good;
}

static bool
ask_stat(struct opener *o, enum wire_op op, const char *path,
    struct opener_stat *st)
{
	struct wire_answer a;

	if (remote_ask(o->remote, &(struct wire_request){ .op = op }, path, &a,
		NULL, NULL) != RC_OK)
		return false;
	*st = a.st;
	return true;
}

enum rc
opener_stat(struct opener *o, const char *path, struct opener_stat *st)
{
	bool good = o->remote != NULL ? ask_stat(o, WIRE_STAT, path, st)
	    : o->grants != NULL       ? stat_by_fd(o, path, true, st)
				      : opener_stat_at(AT_FDCWD, path, 0, st);

	return good ? RC_OK : RC_SYSTEM;
}

bool
opener_lstat(struct opener *o, const char *path, struct opener_stat *st)
{
	if (o->remote != NULL)
		return ask_stat(o, WIRE_LSTAT, path, st);
	if (o->grants != NULL)
		return stat_by_fd(o, path, false, st);
	return opener_stat_at(AT_FDCWD, path,
	    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, st);
}

/* O_NONBLOCK: a fifo put in the file's place must not stop the agent.  What is
 * granted is looked at before it is opened: opening alone moves some devices. */
static int
open_any(struct opener *o, const char *path, int flags)
{
	bool follow = (flags & O_NOFOLLOW) == 0;
	struct opener_stat st;
	int fd, real, errnum;

	if (o->grants == NULL)
		return open(path,
		    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
	fd = opener_fd(o, path, follow);
	if (fd == -1 || !opener_stat_fd(fd, &st))
		return fd;
	if (S_ISLNK(st.mode)) {
		(void)close(fd);
		errno = ELOOP;
		return -1;
	}
	if (!st.regular)
		return fd;
	if (st.uid != geteuid())
		flags &= ~O_NOATIME; /* it would be refused */
	real = opener_path_reopen(fd, flags & ~O_NOFOLLOW);
	errnum = errno;
	(void)close(fd);
	errno = errnum;
	return real;
}

static enum rc
open_regular(struct opener *o, const char *path, int flags, int *fd,
    struct opener_stat *st, struct error *err)
{
	int errnum;

	*fd = open_any(o, path, flags);
	errnum = errno;
	if (*fd == -1) {
		(void)error_set_errno(err, errnum, "open %s", path);
		errno = errnum;
		return err->code;
	}
	if (!opener_stat_fd(*fd, st)) {
		errnum = errno;
		(void)error_set_errno(err, errnum, "stat %s", path);
	} else if (!st->regular) {
		(void)error_set(err, RC_INVALID, "%s is no regular file", path);
	} else {
		return RC_OK;
	}
	(void)close(*fd);
	*fd = -1;
	errno = errnum;
	return err->code;
}

static enum rc
ask_open(struct opener *o, enum wire_op op, const char *path, int *fd,
    struct opener_stat *st, struct error *err)
{
	struct wire_answer a;
	enum rc rc = remote_ask(o->remote, &(struct wire_request){ .op = op },
	    path, &a, NULL, fd);

	if (rc == RC_OK && *fd == -1) {
		rc = RC_SYSTEM;
		a.errnum = EMFILE; /* it came, and there was no room for it */
	}
	*st = a.st;
	if (rc == RC_INVALID)
		return error_set(err, rc, "%s is no regular file", path);
	if (rc == RC_OK)
		return rc;
	(void)error_set_errno(err, a.errnum, "open %s", path);
	errno = a.errnum;
	return err->code;
}

enum rc
opener_open(struct opener *o, const char *path, int *fd, struct opener_stat *st,
    struct error *err)
{
	if (o->remote != NULL)
		return ask_open(o, WIRE_OPEN, path, fd, st, err);
	return open_regular(o, path, 0, fd, st, err);
}

enum rc
opener_open_itself(struct opener *o, const char *path, int *fd,
    struct opener_stat *st, struct error *err)
{
	enum rc rc;

	if (o->remote != NULL)
		return ask_open(o, WIRE_OPEN_ITSELF, path, fd, st, err);
	/* O_NOATIME is the owner's and root's */
	rc = open_regular(o, path, O_NOFOLLOW | O_NOATIME, fd, st, err);
	if (rc == RC_SYSTEM && errno == EPERM)
		rc = open_regular(o, path, O_NOFOLLOW, fd, st, err);
	return rc; /* and errno, where it is RC_SYSTEM */
}

void
opener_open_many(struct opener *o, const char *const *paths, size_t n,
    struct opener_opened *out)
{
	struct opener_stat st;
	struct error err;

	while (o->remote != NULL && n > 0) {
		size_t asked = remote_open_many(o->remote, paths, n, out);

		paths += asked;
		out += asked;
		n -= asked;
	}
	for (size_t i = 0; i < n; i++) {
		enum rc rc =
		    opener_open_itself(o, paths[i], &out[i].fd, &st, &err);

		out[i].errnum = rc == RC_SYSTEM ? errno : 0;
	}
}

/* ---- names --------------------------------------------------------------- */

/* Everything before the first call back: that may ask as well. */
static enum rc
ask_names(struct opener *o, enum wire_op op, const char *what,
    opener_path_cb *cb, void *ctx, struct error *err)
{
	struct wire_request q = { .op = op };
	struct opener_node node;
	struct wire_answer a;
	struct buf part, all;
	struct slice rest;
	enum rc rc;

	buf_init(&part, WIRE_MESSAGE_MAX);
	buf_init(&all, (size_t)OPENER_PATHS_MAX * WIRE_NODE_MAX);
	do {
		rc = remote_ask(o->remote, &q, q.op == WIRE_NEXT ? NULL : what,
		    &a, &part, NULL);
		if (rc == RC_OK || rc == RC_LIMIT)
			(void)buf_add_slice(&all, buf_slice(&part));
		q = (struct wire_request){ WIRE_NEXT, a.handle, 0 };
	} while (rc == RC_OK && a.handle != 0);
	rest = buf_slice(&all);
	while (wire_node_take(&rest, &node) == RC_OK)
		cb(ctx, node.path, &node.st);
	buf_fini(&part);
	buf_fini(&all);
	if (rc == RC_LIMIT)
		(void)error_set(err, rc, "%s: only %d files are followed", what,
		    OPENER_PATHS_MAX);
	else if (rc != RC_OK)
		(void)error_set_errno(err, a.errnum, "%s", what);
	return rc;
}

enum rc
opener_list(struct opener *o, const char *pattern, opener_path_cb *cb,
    void *ctx, struct error *err)
{
	glob_t found = { 0 };
	struct opener_stat st;
	enum rc rc = RC_OK;
	int got;

	if (o->remote != NULL)
		return ask_names(o, WIRE_LIST, pattern, cb, ctx, err);
	if (!opener_may_look(o, pattern))
		return error_set_errno(err, errno, "%s", pattern);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no tilde, no user data base */
	got = glob(pattern, GLOB_NOSORT, NULL, &found);
	if (got == GLOB_NOSPACE)
		rc = error_set(err, RC_LIMIT, "%s: too many files", pattern);
	for (size_t i = 0; got == 0 && i < found.gl_pathc; i++) {
		if (i >= OPENER_PATHS_MAX) {
			rc = error_set(err, RC_LIMIT,
			    "%s: %zu files, only %d are followed", pattern,
			    (size_t)found.gl_pathc, OPENER_PATHS_MAX);
			break;
		}
		if (opener_stat(o, found.gl_pathv[i], &st) == RC_OK &&
		    st.regular)
			cb(ctx, found.gl_pathv[i], &st);
	}
	globfree(&found);
	return rc;
}

/* The folder of `path`, for reading; NULL: errno. */
static DIR *
open_beside(struct opener *o, const char *path, size_t dir_len)
{
	char dir[PATH_MAX];
	int fd, real;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), "%.*s",
	    dir_len == 0 ? 1 : (int)dir_len, dir_len == 0 ? "." : path);
	if (o->grants == NULL)
		return opendir(dir);
	fd = opener_way_fd(o, dir);
	if (fd == -1)
		return NULL;
	real = opener_path_reopen(fd, O_DIRECTORY);
	(void)close(fd);
	d = real == -1 ? NULL : fdopendir(real);
	if (d == NULL && real != -1)
		(void)close(real);
	return d;
}

void
opener_rotated(struct opener *o, const char *path, opener_path_cb *cb,
    void *ctx)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	char full[PATH_MAX + NAME_MAX + 2];
	struct opener_stat st;
	struct dirent *entry;
	struct error err;
	DIR *d;

	if (o->remote != NULL) {
		(void)ask_names(o, WIRE_ROTATED, path, cb, ctx, &err);
		return;
	}
	if (o->grants != NULL && !grants_path(o->grants, path)) {
		(void)refuse(o);
		return;
	}
	d = open_beside(o, path, (size_t)(base - path));
	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((entry = readdir(d)) != NULL) {
		if (!rotation_name(base, entry->d_name))
			continue;
		(void)snprintf(full, sizeof(full), "%.*s%s", (int)(base - path),
		    path, entry->d_name);
		if (opener_stat(o, full, &st) == RC_OK && st.regular)
			cb(ctx, full, &st);
	}
	(void)closedir(d);
}

/* ---- events -------------------------------------------------------------- */

static struct watch *
find_watch(struct opener *o, int wd)
{
	for (size_t i = 0; i < o->n_watches; i++) {
		if (o->watches[i].wd == wd)
			return &o->watches[i];
	}
	return NULL;
}

static void
forget_watch(struct opener *o, struct watch *w)
{
	free(w->dir);
	*w = o->watches[--o->n_watches];
}

static void
one_event(struct opener *o, const struct inotify_event *ev, bool *names)
{
	struct watch *w = find_watch(o, ev->wd);

	if ((ev->mask & NAME_MASK) != 0)
		*names = true;
	if (w == NULL)
		return;
	if ((ev->mask & IN_IGNORED) != 0)
		forget_watch(o, w);
	else if ((ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0)
		(void)inotify_rm_watch(o->inotify_fd, ev->wd);
	else if ((ev->mask & IN_MODIFY) != 0 && ev->len > 0)
		o->events.written(o->events.ctx, w->dir, ev->name);
}

static void
on_readable(void *ctx, int fd, unsigned ready)
{
	alignas(struct inotify_event) char bytes[EVENTS_BYTES];
	struct opener *o = ctx;
	bool names = false;
	ssize_t n;

	(void)ready;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev =
			    (const void *)(bytes + at);

			one_event(o, ev, &names);
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
	loop_io_want(o->io, 0);
	loop_timer_start(o->pause, coalesce_ns);
	if (names)
		o->events.names(o->events.ctx);
}

static void
on_lost(void *ctx, int fd, unsigned ready)
{
	(void)ctx;
	(void)fd;
	(void)ready;
	remote_lost();
}

static void
on_pause_over(void *ctx)
{
	struct opener *o = ctx;

	loop_io_want(o->io, LOOP_READ);
}

static struct opener *
new_with(struct loop *l, struct remote *r, int inotify_fd)
{
	struct opener *o = xzalloc(sizeof(*o));

	o->remote = r;
	o->runner = -1;
	o->inotify_fd = inotify_fd;
	o->incomplete = o->inotify_fd == -1;
	if (o->inotify_fd == -1)
		return o;
	o->io = loop_io_new(l, o->inotify_fd, on_readable, o);
	o->pause = loop_timer_new(l, on_pause_over, o);
	return o;
}

struct opener *
opener_new(struct loop *l)
{
	enum wire_notify kind = WIRE_OF_LOGS;

	return new_with(l, NULL, l == NULL ? -1 : opener_notify_open(&kind));
}

struct opener *
opener_new_granted(void)
{
	return new_with(NULL, NULL, -1);
}

struct opener *
opener_connect(struct loop *l, const int channels[2], int runner)
{
	struct remote *r = remote_new(channels);
	struct wire_request q = { WIRE_NOTIFY, 0, WIRE_OF_LOGS };
	struct wire_answer a;
	struct opener *o;
	int fd;

	(void)remote_ask(r, &q, NULL, &a, NULL, &fd);
	o = new_with(l, r, fd);
	o->runner = runner == -1 ? OPENER_NO_RUNNER : runner;
	o->notify = a.handle;
	o->lost = loop_io_new(l, remote_channel(r), on_lost, NULL);
	loop_io_want(o->lost, LOOP_READ);
	return o;
}

int
opener_runner(const struct opener *o)
{
	return o->runner;
}

enum rc
opener_reload(struct opener *o, struct buf *text, struct error *err)
{
	struct wire_request q = { .op = WIRE_RELOAD };
	struct wire_answer a;
	struct buf why;
	ssize_t n = 1;
	char *room;
	enum rc rc;
	int fd;

	if (o->remote == NULL)
		return RC_AGAIN;
	buf_init(&why, sizeof(err->text));
	rc = remote_ask(o->remote, &q, NULL, &a, &why, &fd);
	if (rc != RC_OK)
		(void)error_set(err, RC_INVALID, "%.*s", (int)why.len, why.ptr);
	buf_fini(&why);
	while (fd != -1 && n > 0) {
		room = buf_reserve(text, 65536);
		n = room == NULL ? -1
				 : pread(fd, room, 65536, (off_t)text->len);
		text->len += n > 0 ? (size_t)n : 0;
	}
	if (fd != -1)
		(void)close(fd);
	if (rc == RC_OK && n != 0)
		return error_set(err, RC_INVALID,
		    "the configuration cannot be read");
	return rc == RC_OK ? RC_OK : err->code;
}

void
opener_reloaded(struct opener *o, bool kept)
{
	struct wire_request q = { WIRE_KEEP, 0, kept };
	struct wire_answer a;

	if (o->remote != NULL)
		(void)remote_ask(o->remote, &q, NULL, &a, NULL, NULL);
}

void
opener_free(struct opener *o)
{
	if (o == NULL)
		return;
	loop_timer_free(o->pause);
	loop_io_free(o->io);
	loop_io_free(o->lost);
	remote_free(o->remote);
	if (o->runner >= 0)
		(void)close(o->runner);
	if (o->inotify_fd != -1)
		(void)close(o->inotify_fd);
	while (o->n_watches > 0)
		forget_watch(o, &o->watches[o->n_watches - 1]);
	free(o->watches);
	free(o);
}

static bool
add_watch(struct opener *o, const char *dir, int *wd)
{
	struct wire_request q = { WIRE_WATCH, o->notify, 0 };
	struct wire_answer a = { .key = 0 };
	bool good = o->remote != NULL
	    ? remote_ask(o->remote, &q, dir, &a, NULL, NULL) == RC_OK
	    : opener_mark(o, o->inotify_fd, WIRE_OF_LOGS, dir, &a.key);

	*wd = (int)a.key;
	return good;
}

void
opener_watch(struct opener *o, const char *dir)
{
	int wd;

	if (o->inotify_fd == -1)
		return;
	for (size_t i = 0; i < o->n_watches; i++) {
		if (strcmp(o->watches[i].dir, dir) == 0)
			return;
	}
	if (o->n_watches >= OPENER_WATCHES_MAX) {
		o->incomplete = true;
		return;
	}
	if (!add_watch(o, dir, &wd)) {
		/* ENOSPC: the user's limit of watches; ENOENT: not there yet */
		o->incomplete = o->incomplete || errno != ENOENT;
		return;
	}
	if (find_watch(o, wd) != NULL)
		return; /* the same folder by another name */
	o->watches =
	    xreallocarray(o->watches, o->n_watches + 1, sizeof(*o->watches));
	o->watches[o->n_watches++] = (struct watch){ wd, xstrdup(dir) };
}

void
opener_listen(struct opener *o, const struct opener_events *events)
{
	o->events = *events;
	if (o->io != NULL)
		loop_io_want(o->io, LOOP_READ);
}

bool
opener_watches_all(const struct opener *o)
{
	return !o->incomplete;
}
