/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, DIR_TEXT = 4096 };

/*
 * The address of a path: a long one by way of an open descriptor of its folder,
 * *dir, which the caller closes behind the call that uses it.
 */
static enum rc
address_of(const char *path, struct sockaddr_un *sa, int *dir,
    struct error *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	char folder[DIR_TEXT];
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;
	int n;

	*dir = -1;
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path[0] == '\0' || name[0] == '\0')
		return error_set(err, RC_INVALID, "no path of a socket");
	if (strlen(path) < sizeof(sa->sun_path)) {
		memcpy(sa->sun_path, path, strlen(path));
		return RC_OK;
	}
	if (len >= sizeof(folder))
		return error_set(err, RC_INVALID, "the path is too long");
	memcpy(folder, path, len);
	folder[len] = '\0';
	*dir = open(len > 0 ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return error_set_errno(err, errno, "%s", folder);
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s",
	    *dir, name);
	if (n < 0 || (size_t)n >= sizeof(sa->sun_path)) {
		(void)close(*dir);
		*dir = -1;
		return error_set(err, RC_INVALID, "the name is too long");
	}
	return RC_OK;
}

static int
unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Removes a socket that a collector left behind. */
static enum rc
remove_stale(const struct sockaddr_un *sa, struct error *err)
{
	struct stat st;
	int fd, errnum;

	if (lstat(sa->sun_path, &st) != 0)
		return errno == ENOENT
		    ? RC_OK
		    : error_set_errno(err, errno, "cannot look at it");
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, RC_INVALID,
		    "it exists and is no socket: remove it, or choose another "
		    "path for `control`");
	fd = unix_socket();
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	errnum = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0
	    ? 0
	    : errno;
	(void)close(fd);
	if (errnum != ECONNREFUSED)
		return errnum == 0 || errnum == EAGAIN
		    ? error_set(err, RC_DENIED,
			  "another collector answers there: stop it, or choose "
			  "another path for `control`")
		    : error_set_errno(err, errnum, "cannot look at it");
	if (unlink(sa->sun_path) != 0)
		return error_set_errno(err, errno, "cannot remove it");
	return RC_OK;
}

enum rc
control_listen(const char *path, int *fd, struct error *err)
{
	struct sockaddr_un sa;
	int dir, s = -1;
	enum rc rc = address_of(path, &sa, &dir, err);

	if (rc == RC_OK)
		rc = remove_stale(&sa, err);
	if (rc != RC_OK)
		goto out;
	s = unix_socket();
	/* bind(2) gives the file the socket's mode: it is never wider */
	if (s < 0 || fchmod(s, 0600) != 0 ||
	    bind(s, (const struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    listen(s, BACKLOG) != 0) {
		rc = error_set_errno(err, errno, "cannot listen");
		goto out;
	}
	*fd = s;
	s = -1;
out:
	if (s >= 0)
		(void)close(s);
	if (dir >= 0)
		(void)close(dir);
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "control socket %s", path);
}

enum rc
control_connect(const char *path, int *fd, struct error *err)
{
	struct sockaddr_un sa;
	int dir, s = -1;
	enum rc rc = address_of(path, &sa, &dir, err);

	if (rc != RC_OK)
		return rc;
	s = unix_socket();
	if (s < 0 ||
	    connect(s, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
		rc = error_set_errno(err, errno, "connect");
		if (s >= 0)
			(void)close(s);
	} else {
		*fd = s;
	}
	if (dir >= 0)
		(void)close(dir);
	return rc;
}
