/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One way through folders and links. */
struct way {
	int fd; /* of the folder reached, then of the end */
	struct stat st;
	char rest[2 * PATH_MAX];
	uid_t owners[OPENER_LINKS_MAX]; /* of the links followed */
	size_t links;
};

void
opener_path_name(int fd, char out[32])
{
	(void)snprintf(out, 32, "/proc/self/fd/%d", fd);
}

int
opener_path_reopen(int fd, int flags)
{
	char name[32];

	opener_path_name(fd, name);
	return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
}

/* The way without any link; -1 and ELOOP: there is one. */
static int
straight(const char *path, bool follow)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW),
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static bool
begin_at_root(struct way *w)
{
	if (w->fd != -1)
		(void)close(w->fd);
	w->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->fd != -1;
}

/* The link's text goes before what is left. */
static bool
follow_link(struct way *w, int link, const char *left)
{
	char rest[2 * PATH_MAX], target[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof(target));
	int len;

	if (n <= 0 || n == (ssize_t)sizeof(target)) {
		errno = n < 0 ? errno : ENAMETOOLONG;
		return false;
	}
	if (w->links == OPENER_LINKS_MAX) {
		errno = ELOOP;
		return false;
	}
	w->owners[w->links++] = w->st.st_uid;
	len = snprintf(rest, sizeof(rest), "%.*s/%s", (int)n, target, left);
	if (len >= (int)sizeof(rest)) {
		errno = ENAMETOOLONG;
		return false;
	}
	if (*left == '\0')
		rest[len - 1] = '\0'; /* no '/' that was not there */
	memcpy(w->rest, rest, (size_t)len + 1);
	return target[0] != '/' || begin_at_root(w);
}

/* One part of the rest; false: errno. */
static bool
step(struct way *w, bool follow)
{
	char part[NAME_MAX + 1];
	const char *at = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(at, "/");
	const char *left = at + len + strspn(at + len, "/");
	bool good = true;
	int fd;

	if (len > NAME_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(part, at, len);
	part[len] = '\0';
	fd = openat(w->fd, len == 0 ? "." : part,
	    O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return false;
	if (fstat(fd, &w->st) != 0) {
		(void)close(fd);
		return false;
	}
	if (S_ISLNK(w->st.st_mode) && (*left != '\0' || follow)) {
		good = follow_link(w, fd, left);
		(void)close(fd);
		return good;
	}
	(void)close(w->fd);
	w->fd = fd;
	memmove(w->rest, left, strlen(left) + 1);
	return true;
}

static bool
granted_by_name(const struct grants *g, int fd)
{
	char name[32], real[PATH_MAX];
	ssize_t n;

	opener_path_name(fd, name);
	n = readlink(name, real, sizeof(real) - 1);
	if (n <= 0 || n == (ssize_t)sizeof(real) - 1)
		return false;
	real[n] = '\0';
	return grants_path(g, real);
}

static bool
links_are_good(const struct grants *g, const struct way *w)
{
	for (size_t i = 0; i < w->links; i++) {
		if (w->owners[i] != 0 && w->owners[i] != w->st.st_uid)
			return granted_by_name(g, w->fd);
	}
	return true;
}

int
opener_path_fd(const struct grants *g, const char *path, bool follow)
{
	struct way w = { .fd = straight(path, follow) };
	size_t len = strlen(path);
	bool good;
	int errnum;

	if (w.fd != -1 || (errno != ELOOP && errno != ENOSYS && errno != EPERM))
		return w.fd;
	if (path[0] != '/' || len >= PATH_MAX) {
		errno = path[0] != '/' ? EINVAL : ENAMETOOLONG;
		return -1;
	}
	memcpy(w.rest, path, len + 1);
	good = begin_at_root(&w) && fstat(w.fd, &w.st) == 0;
	while (good && w.rest[strspn(w.rest, "/")] != '\0')
		good = step(&w, follow);
	if (good && !links_are_good(g, &w)) {
		errno = EACCES;
		good = false;
	}
	if (good)
		return w.fd;
	errnum = errno;
	if (w.fd != -1)
		(void)close(w.fd);
	errno = errnum;
	return -1;
}
