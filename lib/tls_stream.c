/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_stream.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "loop.h"
#include "xalloc.h"

struct tls_stream {
	struct tls *tls;
	struct tls_stream_patience patience;
};

enum rc
tls_stream_wait(int fd, unsigned what, int seconds, struct error *err)
{
	struct pollfd p = { .fd = fd,
		.events = (short)(((what & LOOP_READ) != 0 ? POLLIN : 0) |
		    ((what & LOOP_WRITE) != 0 ? POLLOUT : 0)) };
	int ready;

	do
		ready = poll(&p, 1, seconds * 1000);
	while (ready < 0 && errno == EINTR);
	if (ready > 0)
		return RC_OK;
	return ready < 0
	    ? error_set_errno(err, errno, "poll")
	    : error_set(err, RC_SYSTEM,
		  "the collector said nothing for %d seconds", seconds);
}

static int
connect_one(const struct addrinfo *ai, int seconds)
{
	int fd = socket(ai->ai_family,
	    ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	socklen_t len = sizeof(int);
	int errnum = 0;
	struct error err;

	if (fd == -1)
		return -1;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		errnum = errno;
		if (errnum == EINPROGRESS) {
			errnum = ETIMEDOUT;
			if (tls_stream_wait(fd, LOOP_WRITE, seconds, &err) ==
			    RC_OK)
				(void)getsockopt(fd, SOL_SOCKET, SO_ERROR,
				    &errnum, &len);
		}
	}
	if (errnum == 0)
		return fd;
	(void)close(fd);
	errno = errnum;
	return -1;
}

static enum rc
connect_tcp(const char *server, int seconds, char host[ADDRESS_HOST], int *fd,
    struct error *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	char service[16];
	uint16_t port;
	int status;

	*fd = -1;
	if (!address_split(server, host, &port))
		return error_set(err, RC_INVALID, "%s: no HOST:PORT", server);
	(void)snprintf(service, sizeof(service), "%u", port);
	status = getaddrinfo(host, service, &hints, &list);
	if (status != 0)
		return error_set(err, RC_SYSTEM, "%s: %s", server,
		    gai_strerror(status));
	for (const struct addrinfo *ai = list; ai != NULL && *fd == -1;
	     ai = ai->ai_next)
		*fd = connect_one(ai, seconds);
	status = errno;
	freeaddrinfo(list);
	return *fd != -1 ? RC_OK
			 : error_set_errno(err, status,
			       "cannot reach the collector at %s", server);
}

enum rc
tls_stream_open(struct tls_context *ctx, const char *server,
    const struct tls_stream_patience *patience, struct tls_stream **out,
    struct error *err)
{
	int seconds = patience->connect_seconds;
	struct tls_stream *s;
	char host[ADDRESS_HOST];
	int fd;
	enum rc rc = connect_tcp(server, seconds, host, &fd, err);

	*out = NULL;
	if (rc != RC_OK)
		return rc;
	s = xzalloc(sizeof(*s));
	s->patience = *patience;
	s->tls = tls_new(ctx, fd, host);
	while ((rc = tls_handshake(s->tls, err)) == RC_AGAIN)
		if (tls_stream_wait(fd, tls_wants(s->tls), seconds, err) !=
		    RC_OK) {
			rc = RC_SYSTEM;
			break;
		}
	if (rc == RC_EOF)
		rc = error_set(err, RC_SYSTEM,
		    "what listens there does not speak TLS, or closed the "
		    "connection");
	if (rc != RC_OK) {
		tls_stream_close(s);
		return error_prefix(err, "%s", server);
	}
	*out = s;
	return RC_OK;
}

void
tls_stream_close(struct tls_stream *s)
{
	if (s == NULL)
		return;
	tls_shutdown(s->tls);
	tls_free(s->tls);
	free(s);
}

enum rc
tls_stream_send(struct tls_stream *s, struct slice bytes, struct error *err)
{
	enum rc rc = RC_OK;

	while (bytes.len > 0 && rc == RC_OK) {
		size_t n = 0;

		rc = tls_write(s->tls, bytes.ptr, bytes.len, &n, err);
		if (rc == RC_AGAIN)
			rc = tls_stream_wait(tls_fd(s->tls), tls_wants(s->tls),
			    s->patience.silence_seconds, err);
		bytes.ptr += n;
		bytes.len -= n;
	}
	return rc;
}

enum rc
tls_stream_receive(struct tls_stream *s, char *out, size_t room, size_t *n,
    struct error *err)
{
	enum rc rc;

	while ((rc = tls_read(s->tls, out, room, n, err)) == RC_AGAIN)
		if (tls_stream_wait(tls_fd(s->tls), tls_wants(s->tls),
			s->patience.silence_seconds, err) != RC_OK)
			return RC_SYSTEM;
	if (rc == RC_EOF) {
		*n = 0;
		return RC_OK;
	}
	return rc;
}
