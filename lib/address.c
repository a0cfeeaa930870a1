/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
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

enum { V4_BITS = 32, V6_BITS = 128, V4_OFFSET = 12 };

bool
ip_parse(struct slice text, struct ip *out)
{
	static const uint8_t mapped[V4_OFFSET] = { [10] = 0xff, [11] = 0xff };
	char copy[INET6_ADDRSTRLEN];

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	if (memchr(copy, ':', text.len) != NULL)
		return inet_pton(AF_INET6, copy, out->bytes) == 1;
	memcpy(out->bytes, mapped, sizeof(mapped));
	return inet_pton(AF_INET, copy, out->bytes + V4_OFFSET) == 1;
}

/* The bits behind a slash; UINT_MAX: none or too many. */
static unsigned
parse_bits(struct slice digits, unsigned max)
{
	unsigned n = 0;

	if (digits.len == 0 || digits.len > 3)
		return UINT_MAX;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
			return UINT_MAX;
		n = 10 * n + (unsigned)(digits.ptr[i] - '0');
	}
	return n <= max ? n : UINT_MAX;
}

static bool
is_mapped(const struct ip *ip)
{
	return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)ip);
}

static void
network_ends(struct ip_network *net)
{
	for (unsigned i = 0; i < sizeof(net->first.bytes); i++) {
		unsigned kept = net->bits > 8 * i ? net->bits - 8 * i : 0;
		uint8_t mask = kept >= 8 ? 0 : (uint8_t)(0xffU >> kept);

		net->last.bytes[i] = net->first.bytes[i] | mask;
		net->first.bytes[i] &= (uint8_t)~mask;
	}
}

enum rc
ip_network_parse(struct slice text, struct ip_network *out, struct error *err)
{
	const char *slash =
	    text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
	struct slice address = { text.ptr,
		slash != NULL ? (size_t)(slash - text.ptr) : text.len };
	unsigned max = V6_BITS, offset = 0;
	struct ip given;

	if (!ip_parse(address, &given))
		goto wrong;
	if (is_mapped(&given) &&
	    memchr(address.ptr, ':', address.len) == NULL) {
		max = V4_BITS;
		offset = V6_BITS - V4_BITS;
	}
	out->bits = max;
	if (slash != NULL)
		out->bits = parse_bits((struct slice){ slash + 1,
					   text.len - address.len - 1 },
		    max);
	if (out->bits > max)
		goto wrong;
	out->bits += offset;
	out->first = given;
	network_ends(out);
	if (memcmp(&given, &out->first, sizeof(given)) != 0)
		return error_set(err, RC_INVALID,
		    "\"%.*s\" has bits behind its prefix: give the network's "
		    "first address, or one address without a slash",
		    (int)(text.len < 64 ? text.len : 64), text.ptr);
	return RC_OK;
wrong:
	return error_set(err, RC_INVALID,
	    "\"%.*s\" is no network: write 192.0.2.0/24, 2001:db8::/32 or one "
	    "address",
	    (int)(text.len < 64 ? text.len : 64), text.ptr);
}
