/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second level of Bloom filters: one for about a million events, so that a
 * long range is passed over without a look at its blocks.
 *
 * A region covers a run of commits.  Its filter is cut into parts, each a row of
 * its own: a token's bits are all in one part, so that a look reads one page.  A
 * block counts as covered only if all of its commits are the region's.
 */
#pragma once

#include "collector/store/internal.h"

enum {
	REGION_EVENTS = 1 << 20,
	REGION_PART_BYTES = 4000, /* two to a page */
	REGION_PARTS_MAX = 4096,  /* 16 MB: then it lets more pass */
};

/* ---- reading -------------------------------------------------------------- */

struct region {
	int64_t id;
	uint64_t first, last; /* commits */
	uint32_t parts;
	signed char verdict; /* of a query: -1 not asked yet, else may match */
};
struct regions {
	struct region *list; /* owned; ascending */
	size_t n;
};
/* None for a day of a format that has none. */
enum rc regions_read(struct sql *day, struct regions *out, struct error *err);
void regions_fini(struct regions *r); /* a zeroed one is fine */
/* That all of these commits are in; NULL: none. */
struct region *regions_find(const struct regions *r, uint64_t first,
    uint64_t last);

/* As those of bloom.h; what cannot be read may have everything. */
bool region_may_have_text(struct sql *day, const struct region *r,
    struct slice text);
bool region_may_have_whole(struct sql *day, const struct region *r,
    struct slice bytes);

/* ---- building ------------------------------------------------------------- */

struct region_builder;
struct region_builder *region_builder_new(struct store *s);
void region_builder_free(struct region_builder *b); /* NULL is fine */

/*
 * Adds some blocks of the day to the region under way and writes it when it has
 * enough events, or the day `ended`: *done is false if there is nothing to do.
 */
enum rc region_step(struct region_builder *b, int32_t day, bool ended,
    bool *done, struct error *err);
/* For tests: smaller regions than REGION_EVENTS. */
void region_builder_size(struct region_builder *b, uint64_t events);
