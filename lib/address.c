/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <stdio.h>
#include <string.h>

enum { PORT_DIGITS = 5, PORT_MAX = 65535 };

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
