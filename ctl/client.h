/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the collector over its control socket or HTTPS: one request, the answer
 * line by line.
 */
#pragma once

#include "buf.h"
#include "command.h"
#include "error.h"

/* `line` without LF, valid during the call.  False stops: no error. */
typedef bool client_line_cb(void *ctx, struct slice line);

/*
 * RC_INVALID: the request or the configuration is wrong; RC_SYSTEM: nobody to ask, or the
 * answer broke off; RC_LIBRARY: the collector could not answer; RC_DENIED: it
 * may not, or clashes with what is there; RC_EOF: there is no such thing.  err
 * is a whole message for a person.
 */
enum rc client_get(const struct global_options *global, const char *target,
    client_line_cb *cb, void *ctx, struct error *err);

struct client_request {
	const char *method; /* "GET" */
	const char *target;
	struct slice body; /* JSON; ptr NULL: none */
};
enum rc client_ask(const struct global_options *global,
    const struct client_request *request, client_line_cb *cb, void *ctx,
    struct error *err);

/* Adds "?name=value" or "&name=value", percent-encoded, to a target. */
void client_param(struct buf *target, const char *name, struct slice value);
