/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected now.  Thread-safe; bounded by the listeners' own bounds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

struct presence;

struct presence *presence_new(void);
void presence_free(struct presence *p); /* NULL is fine */

/*
 * True if the same agent is also connected from another host: two agents with
 * one certificate, or one that moved.  `peer` is address:port.
 */
bool presence_add(struct presence *p, uint64_t connection, const char *agent,
    const char *peer);
void presence_remove(struct presence *p, uint64_t connection);

/* Every connection; the callback must not call back into presence. */
void presence_each(struct presence *p,
    void (*cb)(void *ctx, uint64_t connection), void *ctx);

/* Those of one agent, the same way. */
void presence_each_of(struct presence *p, const char *agent,
    void (*cb)(void *ctx, uint64_t connection), void *ctx);

bool presence_has(struct presence *p, struct slice agent);

/* Different agents. */
size_t presence_agents(struct presence *p);
