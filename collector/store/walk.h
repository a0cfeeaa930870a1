/* SPDX-License-Identifier: Apache-2.0 */
/* A day's events in the order of the chain: by commit, owner, place. */
#pragma once

#include "collector/store/internal.h"

struct walk_visitor {
	/* any may be NULL; RC_EOF from one ends the walk with RC_OK */
	enum rc (*on_commit)(void *ctx, const struct chain_link *link,
	    struct error *err);
	/* `hits` are those of the owner's events, whose first is row `first` */
	enum rc (*on_owner)(void *ctx, struct slice owner, uint32_t n,
	    struct error *err);
	enum rc (*on_hit)(void *ctx, uint64_t event,
	    const struct day_rule *rule, struct error *err);
	enum rc (
	    *on_event)(void *ctx, const struct event *ev, struct error *err);
	/* after its events */
	enum rc (*on_commit_end)(void *ctx, const struct chain_link *link,
	    struct error *err);
	void *ctx;
};

/* The day is opened with SQL_READ.  Commits of formats without a chain have no
 * digests, FIRST and LAST only. */
enum rc walk_day(struct sql *day, const struct walk_visitor *v,
    struct error *err);
