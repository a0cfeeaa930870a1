/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share; include/store.h is what others see. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "collector/store/block.h"
#include "collector/store/chain.h"
#include "collector/store/daylog.h"
#include "engine.h"
#include "store.h"

#define CLAMP_NS       (INT64_C(600) * 1000000000) /* how far ahead a clock may be */
#define LIVE_NS        (INT64_C(600) * 1000000000)
#define STORE_SOC      "soc.db"
#define STORE_KEY      "store.key" /* in the store's folder */
#define STORE_PUBLIC   "store.pub"
#define STORE_RESTORED "restored" /* folder of days that came back */
#define ENDED_KEPT_NS  (INT64_C(3600) * 1000000000)

/* A rule as the open day's hits name it: id is index + 1. */
struct day_rule {
	uint8_t digest[SHA256_BYTES];
	/* owned; `about` is the rule as JSON: id, title, author, tags */
	struct slice id, about, level;
	bool visible;
};

/* A reader under way: merged blocks stay until those before it have ended. */
struct reading {
	uint64_t since; /* 0: not under way */
	struct reading *next, **at;
};

struct store {
	char *dir;
	int dir_fd; /* holds the lock; -1: read only */

	/* for any thread */
	_Atomic uint64_t events, detections, commits, duplicates, forgotten;

	_Atomic uint64_t n_heads; /* signed since the start */
	_Atomic uint64_t seal_wanted,
	    seals_done; /* numbers of heads asked for */

	/* held over each transaction that writes a day file */
	pthread_mutex_t write_lock;

	/* readers under way, newest first */
	pthread_mutex_t readers_lock;
	struct reading *readers;
	uint64_t n_readings;

	/* the appender's alone */
	struct sql *day; /* NULL: no day yet */
	int32_t day_number;
	struct sql *begun; /* a new day whose first transaction failed */
	int32_t begun_number;
	struct state state;
	struct block_encoder *encoder;
	uint64_t next_block;       /* id in the open day */
	int64_t first_ns, last_ns; /* event times of the open day */
	struct day_rule *rules;
	uint32_t n_rules, final_rules;
	bool rules_loaded;       /* `rules` are those of `day` */
	struct ruleset *ruleset; /* whose indices `rule_ids` has; counted */
	uint32_t *rule_ids;      /* by index in the ruleset; 0: not yet */
	struct bytes hits, watermarks;
	uint32_t *rows; /* of each event of a batch; UINT32_MAX: dropped */

	/* the chain: the appender's too */
	struct signer *signer;
	struct chain_digest digest;
	uint8_t chain[SHA256_BYTES]; /* after the last commit */
	struct sha256 *rows_digest;
	uint64_t unsealed; /* first commit that no head covers; 0: none */
};

/* Of that folder, nothing opened yet; store_close(). */
struct store *store_bare(const char *dir);

/* ---- the chain (seal.c) -------------------------------------------------- */

/* `key`: NULL: STORE_KEY, made if it is missing. */
enum rc seal_open(struct store *s, const char *key, struct error *err);
/* The chain's end, and what no head covers, of the newest day. */
enum rc seal_load(struct store *s, struct sql *day, struct error *err);
/* A commit is on disk. */
void seal_add(struct store *s, const struct chain_link *link);

/* SELECT number, first, last, digest, hits_digest, chain FROM commits */
enum rc link_of_row(sqlite3_stmt *q, struct chain_link *out, struct error *err);
/* Of the day's first commit; zero if the day does not say. */
enum rc chain_before(struct sql *day, uint8_t out[SHA256_BYTES],
    struct error *err);

/* ---- hits and watermarks as stored (record.c) ---------------------------- */
struct stored_hit {
	uint32_t row;  /* in the block */
	uint32_t rule; /* rules.id */
};
void hits_write(struct bytes *out, const struct stored_hit *hits, size_t n);
/* *hits is in the arena.  RC_INVALID: damaged. */
enum rc hits_read(struct slice stored, struct arena *arena,
    const struct stored_hit **hits, size_t *n, struct error *err);

void watermarks_write(struct bytes *out, const struct log_watermark *list,
    size_t n);
enum rc watermarks_read(struct slice stored, struct arena *arena,
    struct log_watermark **list, size_t *n, struct error *err);

/* The same for live and read-back hits: everything copied into the arena. */
struct value column_value_copy(struct arena *arena, const struct value *v);
/* Of an event without a stream; with one its id says all: empty. */
struct slice id_text_copy(struct arena *arena, const struct event_id *id,
    struct slice foreign, const struct value *event_id);

/* ---- a block's commits (segments.c) --------------------------------------- */
struct segment {
	uint64_t commit;
	uint32_t n; /* events, never 0 */
};
struct segments {
	struct segment *list; /* owned; ascending */
	size_t n, cap;
};
void segments_add(struct segments *s, uint64_t commit, uint32_t events);
void segments_fini(struct segments *s); /* a zeroed one is fine */
void segments_write(struct bytes *out, const struct segment *list, size_t n);
/*
 * Of a block of `events` events whose first commit is `commit`; stored empty:
 * its only one.  Reuses *out.  RC_INVALID: damaged.
 */
enum rc segments_read(struct slice stored, uint64_t commit, uint32_t events,
    struct segments *out, struct error *err);

/* ---- readers (read.c): a connection for each call ------------------------ */

/* Every day that has a commit, oldest first; RC_EOF: no more. */
struct days {
	struct store *store;
	int32_t *list;
	size_t n, at;
	bool *restored; /* of each; NULL: none is */
	struct reading reading;
};
/* How many readers ever began, and the number of the oldest under way. */
uint64_t store_readings(struct store *s);
uint64_t store_oldest_reading(struct store *s); /* UINT64_MAX: none */
enum rc days_begin(struct store *s, struct days *d, struct error *err);
/* For queries: then also the days that were restored, unless they are there. */
enum rc days_with_restored(struct days *d, struct error *err);
/* The day `at` of the list; RC_EOF: nothing was ever committed to it. */
enum rc days_open(struct days *d, size_t at, struct sql **day,
    struct error *err);
enum rc days_next(struct days *d, struct sql **day, struct error *err);
void days_end(struct days *d);

/* The rules of a day, by id - 1; in the arena. */
struct rule_rows {
	struct day_rule *list;
	size_t n;
};
enum rc rules_read(struct sql *day, struct arena *arena, struct rule_rows *out,
    struct error *err);

/* Reads them again if there are more by now: blocks come with new rules. */
enum rc rules_follow(struct sql *day, struct arena *arena,
    struct rule_rows *rows, struct error *err);

/* Makes or checks soc.db. */
enum rc soc_prepare(const char *dir, struct error *err);
enum rc soc_connect(const char *dir, enum sql_mode mode, struct sql **out,
    struct error *err);
