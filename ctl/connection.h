/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the collector: its control socket, or HTTPS by a profile.
 * Blocking, with a bound on silence.
 */
#pragma once

#include <stddef.h>

#include "command.h"
#include "error.h"
#include "slice.h"

struct connection;

/* err is a whole message for a person. */
enum rc connection_open(const struct global_options *global,
    struct connection **out, struct error *err);
void connection_close(struct connection *c); /* NULL is fine */

/* "host:port", for the Host header; "kuzet" for the control socket. */
const char *connection_host(const struct connection *c);
/* The profile's token; empty: none. */
const char *connection_token(const struct connection *c);

enum rc connection_send(struct connection *c, struct slice bytes,
    struct error *err);
/* *n 0: the end. */
enum rc connection_receive(struct connection *c, char *out, size_t room,
    size_t *n, struct error *err);
