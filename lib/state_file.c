/* SPDX-License-Identifier: Apache-2.0 */
#include "state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum rc
write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return RC_SYSTEM;
		s.ptr += n;
		s.len -= (size_t)n;
	}
	return RC_OK;
}

enum rc
state_file_replace(const char *dir, const char *name, struct slice text,
    struct error *err)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char fresh[NAME_MAX + 1];
	int fd = -1;
	enum rc rc = RC_OK;

	if (dir_fd == -1)
		return error_set_errno(err, errno, "%s", dir);
	(void)snprintf(fresh, sizeof(fresh), "%s.new", name);
	fd = openat(dir_fd, fresh,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || write_all(fd, text) != RC_OK || fsync(fd) != 0 ||
	    renameat(dir_fd, fresh, dir_fd, name) != 0 || fsync(dir_fd) != 0)
		rc = error_set_errno(err, errno, "%s/%s", dir, name);
	if (fd != -1)
		(void)close(fd);
	(void)close(dir_fd);
	return rc;
}

enum rc
state_file_read(const char *path, struct buf *b, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	enum rc rc = RC_OK;
	char *room;

	if (fd == -1)
		return errno == ENOENT
		    ? RC_EOF
		    : error_set_errno(err, errno, "%s", path);
	while ((room = buf_reserve(b, 65536)) != NULL &&
	    (n = read(fd, room, 65536)) > 0)
		b->len += (size_t)n;
	if (n < 0)
		rc = error_set_errno(err, errno, "%s", path);
	else if (n > 0)
		rc = error_set(err, RC_INVALID, "%s: too large", path);
	(void)close(fd);
	return rc;
}
