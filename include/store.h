/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: a folder with one SQLite file for each UTC day of arrival (the
 * log and the only truth) and soc.db (what is derived from it or edited by
 * people).  Formats: doc/ARCHITECTURE.md, "The store".  SQLite is used in this
 * folder and nowhere else.
 *
 * One thread appends, one owns soc.db's writing side, any number read: each
 * reader has its own connection.
 */
#pragma once

#include "batch.h"
#include "digest.h"
#include "error.h"
#include "json.h"

struct store;

/*
 * Makes the folder and soc.db if they are missing.  RC_INVALID: a newer version
 * wrote it.  RC_DENIED: another collector holds it (flock).
 */
enum rc store_open(const char *dir, struct store **out, struct error *err);
struct store_options {
	const char *dir;
	const char *key; /* signs the heads; NULL: DIR/store.key, made if it is
			  * missing */
};
enum rc store_open_with(const struct store_options *options, struct store **out,
    struct error *err);
/* For readers beside a running collector, and of one that stopped. */
enum rc store_open_readonly(const char *dir, struct store **out,
    struct error *err);
void store_close(struct store *s); /* NULL is fine */

struct store_counters {
	uint64_t events;     /* stored, restarts included */
	uint64_t detections; /* visible hits stored, restarts included */
	uint64_t commits;    /* number of the last commit; 0: none yet */
	uint64_t duplicates; /* dropped since the start */
	/* of streams that a bound forced out since the start: of those a
	 * resend would be stored again */
	uint64_t forgotten_marks;
};
void store_counters(struct store *s, struct store_counters *out);

/*
 * ---- the log: append ---------------------------------------------------
 *
 * One transaction: events above their stream's mark become blocks (one an
 * owner), their hits a column beside them, marks and watermarks move.
 * Events that are not above their mark, and foreign events whose identity was
 * seen among the last 65,536 of that client, are dropped and counted.  An event
 * time more than 10 min after arrival becomes the arrival.  Nothing of it is
 * visible, and nothing changed in memory, if it fails: RC_SYSTEM for a full
 * disk, RC_AGAIN for a lock: try the same again later.  Without events and
 * control messages nothing is written: arrival_ns of the record is 0.
 */
struct log_record;
enum rc store_append(struct store *s, struct batch *const *batches, size_t n,
    struct log_record *out, struct error *err);

/*
 * Signs the head of the chain over commits, if there is any commit since the
 * last head.  The appending thread's; a day's end and store_open() do it too.
 */
enum rc store_seal(struct store *s, struct error *err);
/* Commits that no head covers yet.  The appending thread's. */
uint64_t store_unsealed(struct store *s);
/* Somebody waits for a head: store_want_seal(). */
bool store_seal_wanted(struct store *s);

/*
 * What a commit means to correlation: the same live and when read back.
 * Everything is owned by the record; log_record_fini() frees it.
 */
struct log_hit {
	uint8_t rule_digest[SHA256_BYTES];
	struct slice rule_id;
	bool visible;
	int64_t time_ns;
	int64_t arrival_ns;
	struct event_id id;
	struct slice id_text; /* of an event without a stream, as printed */
	struct slice owner;
	struct slice agent;
	uint32_t source;            /* see log_source */
	const uint32_t *fields;     /* ruleset_hit_fields() at ingest or, read
				     * back, those that were asked for */
	const struct value *values; /* parallel to fields */
	uint32_t n_fields;
};

/* (owner, agent, input) -> a small number, kept in the log for good. */
struct log_watermark {
	uint32_t source;
	int64_t time_ns;    /* highest event time of the source, clamped */
	int64_t arrival_ns; /* when it last said anything */
	bool live;          /* newest event less than 10 min old on arrival */
};

struct log_record {
	uint64_t commit;
	int64_t arrival_ns;
	struct log_hit *hits; /* in the order of the events */
	size_t n_hits;
	struct log_watermark *watermarks; /* those that this commit moved */
	size_t n_watermarks;
	uint64_t stored, duplicates;
	struct arena *arena;
};
void log_record_fini(struct log_record *r);

/*
 * ---- the log: read -----------------------------------------------------
 * Records from commit number `from` on, in order, those without hits and
 * watermarks left out.  `fields` tells which fields a rule's hits need now (by
 * digest; NULL result: rule unknown, the hit comes without values).  The
 * callback returns false to stop.
 */
typedef const uint32_t *log_fields_cb(void *ctx,
    const uint8_t digest[SHA256_BYTES], uint32_t *n);
typedef bool log_record_cb(void *ctx, const struct log_record *r);
enum rc store_read_log(struct store *s, uint64_t from, log_fields_cb *fields,
    log_record_cb *cb, void *ctx, struct error *err);

/*
 * ---- what detections are asked for by -----------------------------------
 */
struct store_filter {
	uint32_t field;     /* FIELD_TIMESTAMP and FIELD_EVENT_ID work too */
	struct slice value; /* equals the value's text */
};

struct store_query {
	struct slice owner;         /* ptr NULL: all owners (SOC) */
	int64_t since_ns, until_ns; /* @timestamp, half open; INT64_MIN/MAX */
	const struct store_filter *filters;
	size_t n_filters;
	uint64_t limit; /* 0: all */
};

/*
 * ---- columns: what search reads ------------------------------------------
 *
 * A scan visits the blocks of one owner, or of all, that may hold events of a
 * time range.  A block's events are in order of arrival.  Nothing of the store
 * is locked while on_block runs, but for the time of one block's reading.
 */
struct store_block;
struct store_words; /* which words occur in a block, or in several */

/*
 * False: certainly no value has all words of `text`.  A word is a run of ASCII
 * letters and digits and of bytes above 0x7f, ASCII letters in lower case.
 */
bool store_may_have(const struct store_words *w, struct slice text);
bool store_may_have_stream(const struct store_words *w,
    const uint8_t stream[16]);

enum store_order {
	STORE_ARRIVAL,     /* as committed */
	STORE_FIRST_TIME,  /* blocks by their least event time, ascending */
	STORE_LATEST_TIME, /* by their greatest, descending */
};

struct store_scan {
	struct slice owner;         /* ptr NULL: all owners (SOC) */
	int64_t since_ns, until_ns; /* @timestamp, half open */
	/* only what was committed behind the first, up to the last; 0: all */
	uint64_t after_commit, last_commit;
	enum store_order order;
	/* NULL: every block may hold what is looked for */
	bool (*may_match)(void *ctx, const struct store_words *w);
	/* RC_EOF ends the scan, which then says RC_OK */
	enum rc (
	    *on_block)(void *ctx, struct store_block *b, struct error *err);
	void *ctx;
};

/*
 * RC_AGAIN: blocks were merged or unlinked meanwhile: what was given so far is
 * good, the rest has to be asked for again.  RC_LIMIT: too many blocks to sort.
 */
enum rc store_scan(struct store *s, const struct store_scan *scan,
    struct error *err);

/* Valid during on_block, as is all that the functions below give out. */
struct store_block_info {
	uint32_t n;                /* events */
	int64_t first_ns, last_ns; /* least and greatest time */
	bool within;               /* both are in the scan's time range */
	uint32_t from, to;         /* the rows that are of the scan's commits */
};
struct store_block_info store_block_info(const struct store_block *b);

/* n entries each. */
enum rc store_block_times(struct store_block *b, const int64_t **times,
    struct error *err);
struct store_ids {
	const struct event_id *ids;
	const struct slice *foreign; /* of those without a stream */
	const uint32_t *sources;     /* see log_watermark */
};
enum rc store_block_ids(struct store_block *b, struct store_ids *out,
    struct error *err);

/* The commit that each of the n events came with, ascending. */
enum rc store_block_commits(struct store_block *b, uint64_t *commits,
    struct error *err);

/* The fields that any event of the block has. */
enum rc store_block_fields(struct store_block *b, const uint32_t **fields,
    uint32_t *n, struct error *err);

/*
 * One field's column: `n` events have it, ascending in `rows` (NULL: all have
 * it, and n is the block's).  The k-th of them has, by form:
 */
enum column_form {
	COLUMN_DICTIONARY, /* string entries[index[k]] */
	COLUMN_TEXT,       /* string text[offsets[k] .. offsets[k + 1]) */
	COLUMN_PIECES,     /* string strings[k]: a piece of event.original */
	COLUMN_INTEGERS,   /* ints[k] */
	COLUMN_VALUES,     /* values[k]: lists, mixed kinds */
};
struct store_column {
	enum column_form form;
	uint32_t n;
	const uint32_t *rows;
	const struct slice *entries;
	uint32_t n_entries;
	const uint16_t *index;
	const char *text;
	const uint32_t *offsets; /* n + 1 */
	const struct slice *strings;
	const int64_t *ints;
	const struct value *values;
};
/* *out is NULL if no event of the block has the field. */
enum rc store_block_column(struct store_block *b, uint32_t field,
    const struct store_column **out, struct error *err);

/* Whole events, in the order of `rows`, ascending; false stops. */
typedef bool store_row_cb(void *ctx, uint32_t row, const struct event *ev);
enum rc store_block_events(struct store_block *b, const uint32_t *rows,
    uint32_t n, store_row_cb *cb, void *ctx, struct error *err);

/* Visible matches of single rules, in order of arrival; from the log. */
struct store_detection {
	struct slice rule_id;
	struct slice rule; /* JSON object: id, title, author, tags */
	struct slice level;
	const struct event *event;
	struct slice group; /* JSON object */
};
typedef bool store_detection_cb(void *ctx, const struct store_detection *d);
/* `rule`: id, ptr NULL: all; filters are the event's.  The callback may lower
 * until_ns: what lies behind it is left out from there on. */
enum rc store_detections(struct store *s, const struct store_query *q,
    struct slice rule, store_detection_cb *cb, void *ctx, struct error *err);

/* Agents that ever sent something. */
struct store_agent {
	struct slice owner, agent;
	int64_t last_seen_ns;
	uint64_t events;
};
typedef bool store_agent_cb(void *ctx, const struct store_agent *a);
/* `owner` ptr NULL: of all.  Sorted by owner, then agent. */
enum rc store_agents(struct store *s, struct slice owner, store_agent_cb *cb,
    void *ctx, struct error *err);
