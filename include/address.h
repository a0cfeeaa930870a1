/* SPDX-License-Identifier: Apache-2.0 */
/* HOST:PORT and [IPv6]:PORT, as configuration files write them; networks. */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "error.h"
#include "slice.h"

enum { ADDRESS_HOST = 256, ADDRESS_TEXT = ADDRESS_HOST + 8 };

/*
 * False if it is none; "localhost:5044", "192.0.2.1:0", "[::1]:5044".  The host
 * comes without brackets; a bare IPv6 address needs them.
 */
bool address_split(const char *text, char host[ADDRESS_HOST], uint16_t *port);

/* The same back: brackets around what holds a colon. */
void address_join(const char *host, uint16_t port, char out[ADDRESS_TEXT]);

/* A socket address in numbers; "unix" for local sockets. */
void address_of_peer(const struct sockaddr *sa, socklen_t len,
    char out[ADDRESS_TEXT]);

/*
 * A listening TCP socket, non-blocking, with TCP_NODELAY, which its connections
 * inherit.  `bound` is where it listens: port 0 is any free one.
 */
enum rc address_listen(const char *address, int *fd, char bound[ADDRESS_TEXT],
    struct error *err);

/*
 * An IP address in network order; IPv4 is IPv4-mapped (RFC 4291 section
 * 2.5.5.2), so that one order covers both.
 */
struct ip {
	uint8_t bytes[16];
};

/* "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"; no zone, no brackets. */
bool ip_parse(struct slice text, struct ip *out);

/* A network of RFC 4632: `bits` counts within the 16 bytes. */
struct ip_network {
	struct ip first, last;
	unsigned bits;
};

/*
 * "192.0.2.0/24", "2001:db8::/32", or one address.  Bits that are set behind
 * the prefix are refused: most often a typing mistake.  The message says what
 * is allowed.
 */
enum rc ip_network_parse(struct slice text, struct ip_network *out,
    struct error *err);
