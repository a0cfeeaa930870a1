/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So many a second for each key, with a burst: token buckets in a table of
 * fixed size.  Where it is full, the key that has used least is forgotten.
 * Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

struct limiter;

struct limiter *limiter_new(double rate, double burst);
void limiter_free(struct limiter *l); /* NULL is fine */

/* Takes one; false: there is none left. */
bool limiter_take(struct limiter *l, struct slice key, int64_t now_ns);
/* Whether there is one, without taking it. */
bool limiter_has(struct limiter *l, struct slice key, int64_t now_ns);

/* What counts as one peer: an IPv4 address, the /64 of an IPv6 address. */
struct slice limiter_address(const char *address);
