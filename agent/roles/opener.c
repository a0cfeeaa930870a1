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

#include "agent/roles/opener_stat.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	EVENTS_BYTES = 16 * 1024,
	WATCH_MASK = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
	    IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
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
	struct opener_events events;
	int inotify_fd; /* -1: polling only */
	struct loop_io *io;
	struct loop_timer *pause;
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

static bool
stat_path(const char *path, struct opener_stat *st)
{
	return opener_stat_at(AT_FDCWD, path, 0, st);
}

enum rc
opener_stat(struct opener *o, const char *path, struct opener_stat *st)
{
	(void)o;
	return stat_path(path, st) ? RC_OK : RC_SYSTEM;
}

bool
opener_lstat(struct opener *o, const char *path, struct opener_stat *st)
{
	(void)o;
	return opener_stat_at(AT_FDCWD, path,
	    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, st);
}

static enum rc
open_regular(const char *path, int flags, int *fd, struct opener_stat *st,
    struct error *err)
{
	int errnum;

	/* O_NONBLOCK: a fifo put in the file's place must not stop the agent */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
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

enum rc
opener_open(struct opener *o, const char *path, int *fd, struct opener_stat *st,
    struct error *err)
{
	(void)o;
	return open_regular(path, 0, fd, st, err);
}

enum rc
opener_open_itself(struct opener *o, const char *path, int *fd,
    struct opener_stat *st, struct error *err)
{
	enum rc rc;

	(void)o;
	/* O_NOATIME is the owner's and root's */
	rc = open_regular(path, O_NOFOLLOW | O_NOATIME, fd, st, err);
	if (rc == RC_SYSTEM && errno == EPERM)
		rc = open_regular(path, O_NOFOLLOW, fd, st, err);
	return rc; /* and errno, where it is RC_SYSTEM */
}

enum rc
opener_list(struct opener *o, const char *pattern, opener_path_cb *cb,
    void *ctx, struct error *err)
{
	glob_t found = { 0 };
	struct opener_stat st;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no tilde, no user data base */
	int got = glob(pattern, GLOB_NOSORT, NULL, &found);
	enum rc rc = RC_OK;

	(void)o;
	if (got == GLOB_NOSPACE)
		rc = error_set(err, RC_LIMIT, "%s: too many files", pattern);
	for (size_t i = 0; got == 0 && i < found.gl_pathc; i++) {
		if (i >= OPENER_PATHS_MAX) {
			rc = error_set(err, RC_LIMIT,
			    "%s: %zu files, only %d are followed", pattern,
			    (size_t)found.gl_pathc, OPENER_PATHS_MAX);
			break;
		}
		if (stat_path(found.gl_pathv[i], &st) && st.regular)
			cb(ctx, found.gl_pathv[i], &st);
	}
	globfree(&found);
	return rc;
}

static const char *const rotation_words[] = { "gz", "old", "bak", "prev", "log",
	"orig", "save", "rotated", "copy" };

static bool
rotation_token(const char *s, size_t len)
{
	size_t digits = strspn(s, "0123456789");

	if (len == 0 || digits >= len)
		return true;
	/* 20261122T010203Z */
	if (digits == 8 && s[8] == 'T' && len <= 17)
		return true;
	for (size_t i = 0; i < sizeof(rotation_words) / sizeof(char *); i++) {
		if (strlen(rotation_words[i]) == len &&
		    strncmp(rotation_words[i], s, len) == 0)
			return true;
	}
	return false;
}

static bool
rotation_suffix(const char *s, const char *end)
{
	static const char separators[] = ".-_~";

	if (s >= end || strchr(separators, *s) == NULL)
		return false;
	while (s < end) {
		size_t len = strcspn(s, separators);

		if (len > (size_t)(end - s))
			len = (size_t)(end - s);
		if (!rotation_token(s, len))
			return false;
		s += len + 1;
	}
	return true;
}

bool
rotation_name(const char *base, const char *name)
{
	size_t base_len = strlen(base), name_len = strlen(name);
	const char *dot = strrchr(base, '.');
	size_t stem, ext;

	if (name_len <= base_len)
		return false;
	if (strncmp(base, name, base_len) == 0 &&
	    rotation_suffix(name + base_len, name + name_len))
		return true;
	if (dot == NULL || dot == base)
		return false;
	stem = (size_t)(dot - base);
	ext = base_len - stem;
	if (name_len > 3 && strcmp(name + name_len - 3, ".gz") == 0)
		name_len -= 3;
	return name_len > base_len && strncmp(base, name, stem) == 0 &&
	    strncmp(name + name_len - ext, dot, ext) == 0 &&
	    rotation_suffix(name + stem, name + name_len - ext);
}

/* Takes away what rotations added to the end of the first `len` bytes. */
static size_t
strip_tokens(const char *name, size_t len)
{
	for (size_t at = len; at > 1; at--) {
		const char *token = name + at;

		if (strchr(".-_~", name[at - 1]) == NULL)
			continue;
		if ((len - at == 3 && strncmp(token, "log", 3) == 0) ||
		    !rotation_token(token, len - at))
			break;
		len = at - 1;
	}
	return len;
}

void
rotation_family(const char *name, char out[256])
{
	size_t len = strip_tokens(name, strnlen(name, 255));
	size_t ext = len;

	while (ext > 1 && name[ext - 1] != '.')
		ext--;
	ext = ext > 1 ? ext - 1 : len;
	(void)snprintf(out, 256, "%.*s%.*s", (int)strip_tokens(name, ext), name,
	    (int)(len - ext), name + ext);
}

void
opener_rotated(struct opener *o, const char *path, opener_path_cb *cb,
    void *ctx)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	char dir[PATH_MAX], full[PATH_MAX + NAME_MAX + 2];
	struct opener_stat st;
	struct dirent *entry;
	DIR *d;

	(void)o;
	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : (int)(slash - path + 1),
	    slash == NULL ? "." : path);
	d = opendir(dir);
	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((entry = readdir(d)) != NULL) {
		if (!rotation_name(base, entry->d_name))
			continue;
		(void)snprintf(full, sizeof(full), "%.*s%s", (int)(base - path),
		    path, entry->d_name);
		if (stat_path(full, &st) && st.regular)
			cb(ctx, full, &st);
	}
	(void)closedir(d);
}

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
on_pause_over(void *ctx)
{
	struct opener *o = ctx;

	loop_io_want(o->io, LOOP_READ);
}

struct opener *
opener_new(struct loop *l)
{
	struct opener *o = xzalloc(sizeof(*o));

	o->inotify_fd =
	    l == NULL ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	o->incomplete = o->inotify_fd == -1;
	if (o->inotify_fd == -1)
		return o;
	o->io = loop_io_new(l, o->inotify_fd, on_readable, o);
	o->pause = loop_timer_new(l, on_pause_over, o);
	return o;
}

void
opener_free(struct opener *o)
{
	if (o == NULL)
		return;
	loop_timer_free(o->pause);
	loop_io_free(o->io);
	if (o->inotify_fd != -1)
		(void)close(o->inotify_fd);
	while (o->n_watches > 0)
		forget_watch(o, &o->watches[o->n_watches - 1]);
	free(o->watches);
	free(o);
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
	wd = inotify_add_watch(o->inotify_fd, dir, WATCH_MASK);
	if (wd == -1) {
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
