/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log as a source of events: its entries go the way of all events, as
 * if the agent "kuzet-collector" had sent them, with event.dataset kuzet.audit.
 * Each has its id as offset in one stream, so that those that come again after
 * a crash add nothing.
 */
#pragma once

#include "accounts.h"
#include "listeners/listener.h"

struct audit_feed;

struct audit_feed_options {
	struct store *store; /* borrowed */
	/* As workers_submit(): takes the piece, or says no for now. */
	bool (*submit)(void *ctx, struct piece *piece);
	void *ctx;
};
enum rc audit_feed_new(const struct audit_feed_options *options,
    struct audit_feed **out, struct error *err);

/* Any thread: there are new entries. */
void audit_feed_wake(struct audit_feed *f);

/*
 * The writer's word on a connection; false: it is not the feed's.  count 0: it
 * failed.
 */
bool audit_feed_reply(struct audit_feed *f, uint64_t connection,
    uint32_t count);

/* Submits no more: the rest is fed at the next start. */
void audit_feed_stop(struct audit_feed *f); /* NULL is fine, as below */
void audit_feed_free(struct audit_feed *f);
