/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PORT_DIGITS = 5, PORT_MAX = 65535, BACKLOG = 1024 };

static bool
parse_port(const char *text, uint16_t *port)
{
	size_t n = strlen(text);
	unsigned value = 0;

	if (n == 0 || n > PORT_DIGITS || strspn(text, "0123456789") != n)
		return false;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (unsigned)(text[i] - '0');
	*port = (uint16_t)value;
	return value <= PORT_MAX;
}

bool
address_split(const char *text, char host[ADDRESS_HOST], uint16_t *port)
{
	const char *begin = text, *end = strrchr(text, ':');
	const char *digits;
	size_t len;

	if (end == NULL)
		return false;
	digits = end + 1;
	if (*begin == '[') {
		begin++;
		if (end == text || end[-1] != ']')
			return false;
		end--;
	} else if (memchr(begin, ':', (size_t)(end - begin)) != NULL) {
		return false;
	}
	len = (size_t)(end - begin);
	if (len == 0 || len >= ADDRESS_HOST)
		return false;
	memcpy(host, begin, len);
	host[len] = '\0';
	return strpbrk(host, " \t[]/@") == NULL && parse_port(digits, port);
}

void
address_join(const char *host, uint16_t port, char out[ADDRESS_TEXT])
{
	bool v6 = strchr(host, ':') != NULL;

	(void)snprintf(out, ADDRESS_TEXT, v6 ? "[%s]:%u" : "%s:%u", host, port);
}

void
address_of_peer(const struct sockaddr *sa, socklen_t len,
    char out[ADDRESS_TEXT])
{
	char host[ADDRESS_HOST];
	char service[16];
	uint16_t port = 0;

	if (sa->sa_family == AF_UNIX) {
		(void)snprintf(out, ADDRESS_TEXT, "unix");
		return;
	}
	if (getnameinfo(sa, len, host, sizeof(host), service, sizeof(service),
		NI_NUMERICHOST | NI_NUMERICSERV) != 0 ||
	    !parse_port(service, &port)) {
		(void)snprintf(out, ADDRESS_TEXT, "unknown");
		return;
	}
	address_join(host, port, out);
}

static int
bind_one(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family,
	    ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	int on = 1, errnum;

	if (fd == -1)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	errnum = errno;
	(void)close(fd);
	errno = errnum;
	return -1;
}

enum rc
address_listen(const char *address, int *fd, char bound[ADDRESS_TEXT],
    struct error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *list = NULL;
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(ss);
	char host[ADDRESS_HOST], service[16];
	uint16_t port;
	int status;

	*fd = -1;
	if (!address_split(address, host, &port))
		return error_set(err, RC_INVALID, "%s: no HOST:PORT", address);
	(void)snprintf(service, sizeof(service), "%u", port);
	status = getaddrinfo(host, service, &hints, &list);
	if (status != 0)
		return error_set(err, RC_SYSTEM, "%s: %s", address,
		    gai_strerror(status));
	for (struct addrinfo *ai = list; ai != NULL && *fd == -1;
	     ai = ai->ai_next)
		*fd = bind_one(ai);
	status = errno;
	freeaddrinfo(list);
	if (*fd == -1)
		return error_set_errno(err, status, "cannot listen on %s",
		    address);
	if (getsockname(*fd, (struct sockaddr *)&ss, &len) == 0)
		address_of_peer((struct sockaddr *)&ss, len, bound);
	return RC_OK;
}
