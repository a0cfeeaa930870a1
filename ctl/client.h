/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the collector: one GET over its control socket, the answer line by line.
 */
#pragma once

#include "buf.h"
#include "command.h"
#include "error.h"

/* `line` without LF, valid during the call.  False stops: no error. */
typedef bool client_line_cb(void *ctx, struct slice line);

/*
 * RC_INVALID: the request or the configuration is wrong; RC_SYSTEM: nobody to ask, or the
 * answer broke off; RC_LIBRARY: the collector could not answer.  err is a whole
 * message for a person.
 */
enum rc client_get(const struct global_options *global, const char *target,
    client_line_cb *cb, void *ctx, struct error *err);

/* Adds "?name=value" or "&name=value", percent-encoded, to a target. */
void client_param(struct buf *target, const char *name, struct slice value);
