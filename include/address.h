/* SPDX-License-Identifier: Apache-2.0 */
/* HOST:PORT and [IPv6]:PORT, as configuration files write them. */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "error.h"

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
