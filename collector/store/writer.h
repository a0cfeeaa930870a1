/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: one thread that restores each connection's order, follows its
 * windows, commits in groups and says when a window may be acknowledged.
 *
 * It commits whatever waits as soon as it is free, though not more often than
 * every 10 ms unless 512 KiB wait; at most 10,000 events or 8 MiB a commit.  A
 * full disk is waited out: nothing is acknowledged, reads go on, it tries again
 * every second and says so once.  It signs the store's head every hour and at
 * its end.
 */
#pragma once

#include "store.h"

struct writer;

struct writer_options {
	struct store *store; /* borrowed */
	size_t max_queued;   /* batches waiting; bound of the hand-over queue */
	int64_t seal_every_ns; /* the store's head is signed; 0: every hour */
	/* All run in the writer's thread. */
	void (*on_ack)(void *ctx, uint64_t connection, uint32_t count);
	/* protocol broken, or the store refuses: end the connection, no ACK */
	void (*on_fail)(void *ctx, uint64_t connection, const char *why);
	/* takes the record (log_record_fini) */
	void (*on_commit)(void *ctx, struct log_record *record);
	void (*on_trouble)(void *ctx, const char *message); /* "" when over */
	void *ctx;
};

struct writer *writer_new(const struct writer_options *options);

/* Any thread; takes the batch; waits for room; false after stop. */
bool writer_submit(struct writer *w, struct batch *b);

/* A connection ended: forget its order; what was received whole still counts */
void writer_connection_closed(struct writer *w, uint64_t connection);

/*
 * Any thread, while nobody submits: waits until everything submitted before is
 * committed and on_commit has run for it, or it is dropped for good.  False:
 * not within that time, or the writer is told not to wait any more.
 */
bool writer_flush(struct writer *w, int64_t timeout_ns);

/* What it has cannot be written now, and it tries again. */
bool writer_is_stuck(struct writer *w);

/*
 * The end is near: what cannot be written from now on fails at once, so that
 * nobody who hands over batches waits for a disk without room.
 */
void writer_wait_no_more(struct writer *w);

/* Commits what it has, then ends.  NULL is fine. */
void writer_free(struct writer *w);

/* A sender's sequence: how many connections it follows now. */
size_t writer_connections(struct writer *w);
