/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an outbox (state_db.h) into windows: the side of the event loop.  The
 * thread that writes the outbox learns from feed_acked_id() what may go.
 */
#pragma once

#include <stdatomic.h>

#include "agent/inputs/input.h"
#include "agent/inputs/state_db.h"

struct feed {
	const char *name; /* of the file; borrowed, as the setup's parts */
	struct input_setup setup;
	struct state_db reader;
	int64_t sent, acked; /* ids */
	int64_t heartbeat_due_ns;
	int64_t ending; /* row of the stream whose end is under way */
	bool end_sent;
	_Atomic int64_t acked_id;
	_Atomic int64_t ended_stream; /* 0: none */
	atomic_bool look;             /* there may be something in the file */
	uint64_t n_read, n_acked;
};

void feed_init(struct feed *f, const struct input_setup *setup,
    const char *name);
void feed_fini(struct feed *f);
void feed_setup(struct feed *f, const struct input_setup *setup);
/* The file is another one now: from its start. */
void feed_restart(struct feed *f);

/* There may be something new in the file; else it is not asked. */
void feed_look(struct feed *f);
/* `self` is who gets the receipts. */
bool feed_fill(struct feed *f, const void *self, struct window *w);
void feed_acked(struct feed *f, const struct receipt *receipts, size_t n);
bool feed_idle(const struct feed *f);
/* A sign of life is due: wake() is worth it. */
bool feed_heartbeat_due(const struct feed *f);

/* In the writer's thread: lets go what was acknowledged. */
enum rc feed_trim(struct feed *f, struct state_db *db, struct error *err);
