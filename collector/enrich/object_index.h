/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a register looks up: names by hash, addresses by binary search over the
 * points at which the answer changes.  Filled once, then only read.
 */
#pragma once

#include "address.h"
#include "slice.h"

enum { INDEX_NONE = UINT32_MAX, INDEX_MANY = UINT32_MAX - 1 };

/* Names within a scope, case folded (ASCII); borrowed. */
struct name_index {
	struct name_slot *slots;
	size_t n, cap; /* cap: a power of two */
};

/*
 * What the name stands for after it: `value`, or INDEX_MANY where it stood for
 * another one.  Returns what it was before: INDEX_NONE: new.
 */
uint32_t name_index_add(struct name_index *x, uint32_t scope, struct slice name,
    uint32_t value);
uint32_t name_index_find(const struct name_index *x, uint32_t scope,
    struct slice name);
void name_index_free(struct name_index *x);

/* Networks of one scope; the longest prefix wins. */
struct network_entry {
	struct ip_network network;
	uint32_t value;
};
struct network_point {
	struct ip from;
	uint32_t value;
};
struct network_index {
	struct network_entry *entries; /* while it is filled */
	size_t n_entries, cap;
	struct network_point *points;
	size_t n;
};

void network_index_add(struct network_index *x, const struct ip_network *net,
    uint32_t value);
/* Ends filling: equal networks of different values become INDEX_MANY. */
void network_index_build(struct network_index *x);
uint32_t network_index_find(const struct network_index *x, const struct ip *ip);
void network_index_free(struct network_index *x);
