/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: the piece of a received window that goes through the collector's
 * stages as a whole and is freed once.  At most BATCH_EVENTS events or
 * BATCH_BYTES of text (one larger event alone).  It is owned by one thread at a
 * time; hand-over is by queue.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "event.h"

enum { BATCH_EVENTS = 2048, BATCH_BYTES = 1 << 20 };

enum source_kind {
	SOURCE_AGENT,   /* kuzet-agent: events carry stream and offset */
	SOURCE_FOREIGN, /* another Lumberjack client */
	SOURCE_SYSLOG,
};

/*
 * Where events come from.  A source in the sense of watermarks is
 * (owner, agent, input): `input` is the agent's input, "beats" or "syslog".
 */
struct source {
	enum source_kind kind;
	struct slice owner; /* organization.id */
	struct slice agent; /* subject CN of the certificate */
	struct slice peer;  /* address:port, for messages */
	bool own;           /* the collector itself: what it says is so */
};

/* A rule that matched an event: the unit of the log's hits column. */
struct hit {
	uint32_t event; /* index in the batch */
	uint32_t rule;  /* index in the rule set, see engine.h */
};

struct budget;
struct ruleset;

struct batch {
	struct arena *arena; /* owned */
	struct event *events;
	uint32_t n;
	struct source source; /* in the arena */

	/* Set by the workers. */
	struct hit *hits; /* by event, then rule */
	uint32_t n_hits;
	struct ruleset *rules; /* what hits[].rule refers to; counted */
	uint32_t n_unparsed;

	/*
	 * Control messages of kuzet-agent that came among the events: JSON
	 * objects with "kuzet.control" (doc/protocol.md); never stored as events.
	 */
	struct event *controls;
	uint32_t n_controls;

	/*
	 * Delivery: where it belongs in its connection.  A listener cuts what it
	 * receives into pieces (each within one window), a worker a piece into
	 * batches; the writer restores the order (connection, piece, part).
	 */
	uint64_t connection;
	uint64_t piece;  /* from 0, without gaps */
	uint32_t part;   /* of the piece, from 0 */
	bool last_part;  /* of the piece */
	uint32_t window; /* a window of so many events begins with this
	                       * part; 0: the one before goes on */
	uint32_t frames; /* events of the window that this part accounts for:
	                       * stored, refused and control alike */
	bool acked;      /* an ACK is owed when the window is complete */
	const char *failure; /* not NULL: the piece broke the protocol here; the
	                       * connection ends and nothing later is committed */
	size_t bytes;        /* charged to the budget, given back by
	                       * batch_free() */
	struct budget *budget; /* borrowed, may be NULL */
};

struct batch *batch_new(void);

/* NULL is fine.  The caller drops b->rules (ruleset_unref) before. */
void batch_free(struct batch *b);

/* Room for one more event or control message, initialised; NULL: full. */
struct event *batch_add_event(struct batch *b);
struct event *batch_add_control(struct batch *b);
void batch_add_hit(struct batch *b, uint32_t event, uint32_t rule);
