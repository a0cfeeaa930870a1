/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soc.db: incidents, the outbox, and the cursor into the log, which moves in
 * the same transaction as what was derived up to it.
 */
#pragma once

#include "store.h"

/* An incident as stored and as everybody sees it (interfaces.md). */
struct incident {
	struct slice id; /* hex */
	struct slice owner;
	struct slice rule_id, rule_title, rule_author;
	struct slice rule_tags; /* JSON array of strings */
	uint8_t rule_digest[SHA256_BYTES];
	struct slice level;
	struct slice status; /* new, open, closed ... */
	struct slice reason; /* of a closed one; may be empty */
	int64_t first_seen_ns, last_seen_ns;
	int64_t fired_ns;   /* see rules/engine/correlate.h */
	struct slice group; /* JSON object */
	uint64_t events;
	struct slice agents;   /* JSON array of strings */
	uint64_t revision;     /* of the row, from 1 */
	struct slice assignee; /* who works on it; empty: nobody */
	/* By the register of objects when it last changed; empty: unknown. */
	struct slice owner_about; /* JSON object */
	struct slice objects;     /* JSON array */
	bool opened;              /* a change: the first of this incident */
};

/* {"type":"incident",...}: the one shape, for API, Kafka, webhook, demo. */
void incident_write(struct buf *out, const struct incident *i);

struct soc;
enum rc soc_open(struct store *s, struct soc **out, struct error *err);
void soc_close(struct soc *soc);

/* The position up to which incidents are derived, and where a rebuild begins */
struct soc_cursor {
	uint64_t commit;       /* last commit that is in; 0: none */
	uint64_t rebuild_from; /* first commit whose hits the state holds */
};
enum rc soc_cursor_get(struct soc *soc, struct soc_cursor *out,
    struct error *err);

/*
 * One transaction: incidents inserted or replaced (machine-made columns only:
 * what people edited stays), their outbox rows, the cursor.  Publishing is due
 * at once for a new one or a change of level or status, else one minute after
 * the last time.  `outbox` false: no publisher is configured.
 */
enum rc soc_apply(struct soc *soc, const struct incident *incidents, size_t n,
    const struct soc_cursor *cursor, bool outbox, int64_t now_ns,
    struct error *err);

typedef bool soc_incident_cb(void *ctx, const struct incident *i);
struct soc_query {
	struct slice owner;         /* ptr NULL: all */
	struct slice rule;          /* id, ptr NULL: all */
	struct slice group;         /* canonical JSON, ptr NULL: all */
	struct slice id, status;    /* ptr NULL: all */
	int64_t since_ns, until_ns; /* last_seen >= since, first_seen < until */
	/* only those behind this first_seen and id; id ptr NULL: from the
	 * first */
	int64_t after_ns;
	struct slice after_id;
	uint64_t limit;
};
/* By first_seen, then id.  Any thread: opens its own connection. */
enum rc soc_incidents(struct store *s, const struct soc_query *q,
    soc_incident_cb *cb, void *ctx, struct error *err);
enum rc soc_incident_count(struct store *s, uint64_t *n, struct error *err);

/*
 * What a person changes of an incident; what has ptr NULL stays.  A word on
 * status and reason goes before the machine's.
 */
struct incident_edit {
	struct slice id;
	struct slice owner;    /* ptr NULL: whosever it is */
	uint64_t revision;     /* what was looked at */
	struct slice status;   /* new, open, closed */
	struct slice reason;   /* why, at most 256 bytes */
	struct slice assignee; /* at most 128 bytes; empty: nobody */
	struct slice note;     /* at most 16 KiB; added to the others */
	struct slice author;
};
/*
 * RC_INVALID: no good; RC_EOF: no such incident; RC_DENIED: it has changed
 * since; RC_LIMIT: it has 1,000 notes.  `outbox` as soc_apply().
 */
enum rc soc_edit(struct store *s, const struct incident_edit *e, bool outbox,
    int64_t now_ns, struct error *err);

struct incident_note {
	int64_t id, time_ns;
	struct slice author, text;
};
typedef bool soc_note_cb(void *ctx, const struct incident_note *n);
enum rc soc_notes(struct store *s, struct slice incident, soc_note_cb *cb,
    void *ctx, struct error *err);

/* ---- outbox: used by publish/ through its own connection ---------------- */
struct outbox;
enum rc outbox_open(struct store *s, struct outbox **out, struct error *err);
void outbox_close(struct outbox *o);

/* Rows due at `now_ns`, oldest first; `json` is the incident's message. */
typedef bool outbox_row_cb(void *ctx, struct slice id, uint64_t revision,
    struct slice json);
enum rc outbox_due(struct outbox *o, int64_t now_ns, size_t limit,
    outbox_row_cb *cb, void *ctx, struct error *err);
/* The broker has them: rows whose revision is still this one are done, in one
 * transaction. */
struct outbox_sent {
	struct slice id;
	uint64_t revision;
	struct slice json;
};
enum rc outbox_delivered(struct outbox *o, const struct outbox_sent *rows,
    size_t n, int64_t now_ns, struct error *err);
/* Everything that is due within the minute becomes due now: at shutdown. */
enum rc outbox_flush(struct outbox *o, int64_t now_ns, struct error *err);
enum rc outbox_counts(struct outbox *o, uint64_t *pending, uint64_t *delivered,
    struct error *err);
/* Small notes of the publisher (end offsets before a send), by name. */
enum rc outbox_note_set(struct outbox *o, const char *name, struct slice text,
    struct error *err);
enum rc outbox_note_get(struct outbox *o, const char *name, struct buf *text,
    struct error *err);
