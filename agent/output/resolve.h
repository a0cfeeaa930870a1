/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names to addresses without blocking the loop: numbers at once, names in
 * a thread of their own (getaddrinfo has no other way).
 */
#pragma once

#include <netdb.h>
#include <stdint.h>

#include "error.h"
#include "loop.h"

struct resolve;

/* Once, in the loop's thread; `list` (NULL: err says why) is the callee's. */
typedef void resolve_cb(void *ctx, struct addrinfo *list,
    const struct error *err);

struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port,
    resolve_cb *cb, void *ctx);
/* No call any more; also after it came.  NULL is fine. */
void resolve_cancel(struct resolve *r);
