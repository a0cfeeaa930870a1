/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One byte budget for everything received and not yet committed: receive
 * buffers, inflated data, queued batches.  Thread-safe.
 *
 * Who reads sockets asks budget_available() before it reads and is told by
 * `on_room` when bytes came back after it was used up.  What is already
 * received may overdraw it: it is a brake, not an allocator.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct budget;

struct budget *budget_new(size_t bytes, void (*on_room)(void *ctx), void *ctx);
void budget_free(struct budget *b);
bool budget_available(struct budget *b); /* false arms on_room */
void budget_charge(struct budget *b, size_t bytes);
void budget_release(struct budget *b, size_t bytes);
size_t budget_used(struct budget *b);
