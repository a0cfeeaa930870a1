/* SPDX-License-Identifier: Apache-2.0 */
/* Orders to agents: waiting for what becomes of them. */
#pragma once

#include "buf.h"
#include "client.h"
#include "command.h"
#include "digest.h"
#include "slice.h"

enum { ORDER_WAIT_SECONDS = 30 };

/* A text of a JSON object's member, NUL-terminated; "": there is none. */
void order_member(struct slice json, const char *name, char *out, size_t room);

/* A line of an answer, the last one of which stays in `ctx`, a struct buf. */
bool order_keep_line(void *ctx, struct slice line);

/*
 * Asks for the order until it is answered, expired, or ORDER_WAIT_SECONDS are
 * over; its last JSON is in `out`.
 */
enum rc order_await(const struct global_options *global, const char *id,
    struct buf *out, struct error *err);
