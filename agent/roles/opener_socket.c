/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/roles/opener_parts.h"
#include "agent/roles/opener_path.h"

/* By its descriptor: what was looked at is what is connected to, and no path is
 * too long for sockaddr_un. */
static enum rc
connect_by(int at, int *fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char name[32];
	int s, errnum;

	opener_path_name(at, name);
	memcpy(to.sun_path, name, sizeof(name));
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s == -1)
		return RC_SYSTEM;
	if (connect(s, (const struct sockaddr *)&to, sizeof(to)) == 0) {
		*fd = s;
		return RC_OK;
	}
	errnum = errno;
	(void)close(s);
	errno = errnum;
	return RC_SYSTEM;
}

static enum rc
connect_path(struct opener *o, const char *path, int *fd)
{
	int at = opener_socket_fd(o, path), errnum;
	struct opener_stat st;
	enum rc rc = RC_SYSTEM;

	if (at == -1)
		return RC_SYSTEM;
	if (opener_stat_fd(at, &st))
		rc = S_ISSOCK(st.mode) ? connect_by(at, fd) : RC_INVALID;
	errnum = errno;
	(void)close(at);
	errno = errnum;
	return rc;
}

static enum rc
ask_socket(struct remote *r, const char *path, int *fd)
{
	const struct wire_request q = { .op = WIRE_SOCKET };
	struct wire_answer a;
	enum rc rc = remote_ask(r, &q, path, &a, NULL, fd);

	if (rc != RC_OK || *fd != -1)
		return rc;
	errno = EMFILE; /* it came, and there was no room for it */
	return RC_SYSTEM;
}

enum rc
opener_socket(struct opener *o, const char *path, int *fd, struct error *err)
{
	struct remote *r = opener_remote(o);
	enum rc rc;
	int errnum;

	*fd = -1;
	rc = r == NULL ? connect_path(o, path, fd) : ask_socket(r, path, fd);
	errnum = errno;
	if (rc == RC_OK)
		return RC_OK;
	if (rc == RC_INVALID)
		return error_set(err, rc, "%s is no socket", path);
	(void)error_set_errno(err, errnum, "connect to %s", path);
	errno = errnum;
	return RC_SYSTEM;
}
