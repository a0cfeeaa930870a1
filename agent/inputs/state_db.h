/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of an input that compares (fim, inventory, policy), and its outbox,
 * in one SQLite file: what is known and the event that says so change with one
 * transaction.  So neither a kill nor a power cut loses a change or tells one
 * twice under two identities, and no second queue is needed.
 *
 *   BEGIN; state changes; outbox_add(); COMMIT --> feed.h --> window, ACK
 *
 * Events have their identity from the moment they are kept: (stream, id).
 * Each run makes a stream of its own with its first event, so a file that comes
 * back from a backup never gives one identity to two events.
 *
 * A connection belongs to one thread.  Bound: OUTBOX_EVENTS_MAX; who finds the
 * outbox full waits: what is compared is still there to be compared later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "sql.h"

enum { OUTBOX_EVENTS_MAX = 65536, OUTBOX_EVENT_BYTES_MAX = 1024 * 1024 };

struct state_db {
	struct sql *sql;
	int64_t stream;  /* row of this run's; 0: none yet */
	int64_t next_id; /* at least, where somebody else writes too */
	int64_t trimmed; /* acknowledged and gone up to this id */
	bool damaged;    /* another one was put aside for this one */
};

/*
 * The file DIR/NAME, made with `schema` (CREATE TABLE IF NOT EXISTS ...) if it
 * is missing; one that SQLite cannot read is put aside as NAME.damaged.  Made by
 * root, it belongs to the owner of DIR.
 */
enum rc state_db_open(const char *dir, const char *name, const char *schema,
    struct state_db *db, struct error *err);
/* The same, to read only; RC_SYSTEM: there is none. */
enum rc state_db_open_reader(const char *dir, const char *name,
    struct state_db *db, struct error *err);
/* Before the first one is opened: none of them holds what it does not need. */
void state_db_keep_small(void);
/* Nothing is to be done for long: what was needed till now is given back. */
void state_db_rest(struct state_db *db);
void state_db_close(struct state_db *db); /* a zeroed one is fine */
/* Closes it and puts it aside; the next open makes a new one. */
void state_db_aside(struct state_db *db, const char *dir, const char *name);

/* Within a transaction.  One JSON object, without its identity. */
enum rc outbox_add(struct state_db *db, struct slice json, struct error *err);
/* How many wait. */
enum rc outbox_length(struct state_db *db, uint64_t *n, struct error *err);

struct outbox_event {
	int64_t id;
	const char *stream; /* UUID text */
	struct slice json;
};
/* The oldest after `id`; RC_EOF: none.  Valid until the next call. */
enum rc outbox_next(struct state_db *reader, int64_t id,
    struct outbox_event *out, struct error *err);
/* Up to and with `id` they are acknowledged. */
enum rc outbox_acked(struct state_db *db, int64_t id, struct error *err);

/* A stream of an earlier run with nothing left; RC_EOF: none. */
enum rc outbox_ended_stream(struct state_db *reader, int64_t *row,
    char uuid[UUID_TEXT], struct error *err);
enum rc outbox_forget_stream(struct state_db *db, int64_t row,
    struct error *err);
