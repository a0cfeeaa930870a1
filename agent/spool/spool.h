/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk spool: events that no file stands behind, kept until the collector
 * has acknowledged them.
 *
 *   put --> | segment | segment | ... | newest | --next--> window, acked --'
 *           '- unlinked when acknowledged                  |
 *           `----------------------------------------------'
 *
 * An event's identity is (stream, sequence).  Each run of the agent makes a
 * stream of its own with its first segment, whose header is on the disk before
 * anything of it is given out; sequences count from 1.  So a spool that comes
 * back from an old backup never gives an identity to two events.
 *
 * Durability: spool_put() writes at once, which outlives the agent.  It is on
 * the disk (fsync) after spool_sync(), and always before spool_next() gives it
 * out: many puts share one fsync.  A segment is removed only when everything in
 * it was acknowledged; a position beside it says what not to send again.
 *
 * Bounds: `max_bytes` on disk, one segment of reading in memory.  Beyond it (or
 * on a full disk) the newest event is refused, or the oldest segment dropped.
 * Damage is passed by and counted; a torn end, which no fsync covered, is cut
 * off at the next start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/spool/disk.h"
#include "error.h"
#include "slice.h"

struct spool;

enum spool_full { SPOOL_DROP_NEWEST, SPOOL_DROP_OLDEST };

enum {
	SPOOL_EVENT_MAX = 1024 * 1024,    /* bytes of one event's JSON */
	SPOOL_BYTES_MIN = 4 * 1024 * 1024 /* least `max_bytes` */
};

struct spool_options {
	const char *dir; /* made if it is not there */
	uint64_t max_bytes;
	enum spool_full when_full;
	const struct spool_disk *disk; /* NULL: the real one */
	/* There is something to give out. */
	void (*ready)(void *ctx);
	void *ctx;
};

/*
 * Reads what is there.  Damage is no error: it is counted.  RC_SYSTEM: the
 * folder cannot be used.
 */
enum rc spool_open(const struct spool_options *options, struct spool **out,
    struct error *err);
void spool_close(struct spool *s); /* NULL is fine; syncs */
/* Other bounds from now on. */
void spool_limit(struct spool *s, uint64_t max_bytes, enum spool_full full);

/*
 * Keeps one JSON object (not an empty one).  RC_OK: it outlives the agent; spool_sync() makes it
 * outlive the machine.  Nothing is kept otherwise.  RC_LIMIT: full, or the disk
 * is; counted as refused.  RC_INVALID: no object, or over SPOOL_EVENT_MAX.
 * RC_SYSTEM: the disk fails.
 */
enum rc spool_put(struct spool *s, struct slice json, struct error *err);
/* The same for what the spool says of itself: it fits into a full spool. */
enum rc spool_put_report(struct spool *s, struct slice json, struct error *err);
enum rc spool_sync(struct spool *s, struct error *err);

struct spool_event {
	uint8_t stream[16];
	uint64_t sequence; /* ascending within the stream */
	uint64_t segment;  /* for spool_acked() */
	struct slice json; /* valid until the next call */
};

/* The oldest event that was not given out yet; false: there is none. */
bool spool_next(struct spool *s, struct spool_event *out);
bool spool_has_next(const struct spool *s);
/* In the order in which they were given out. */
void spool_acked(struct spool *s, uint64_t segment, uint64_t sequence);

/*
 * A stream of an earlier run of which everything is acknowledged, on disk too:
 * the collector may forget it, and then spool_forget() removes the rest of it.
 */
bool spool_ended(struct spool *s, uint8_t stream[16]);
void spool_forget(struct spool *s, const uint8_t stream[16]);

/* Writes down how far it is acknowledged, if that changed. */
void spool_save(struct spool *s);

struct spool_counts {
	uint64_t events;    /* kept now, not acknowledged */
	uint64_t bytes;     /* on disk now */
	uint64_t max_bytes; /* bound of these */
	uint64_t segments;  /* files now */
	uint64_t put;       /* since the start, as all below */
	uint64_t acked;
	uint64_t refused;       /* newest events that found no room */
	uint64_t dropped;       /* oldest events, for newer ones */
	uint64_t damaged_bytes; /* passed by */
	uint64_t torn_bytes;    /* cut off at the start */
	uint64_t sync_failures;
};
void spool_counts(const struct spool *s, struct spool_counts *out);
