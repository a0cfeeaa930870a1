/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share; include/store.h is what others see. */
#pragma once

#include <stdatomic.h>

#include "collector/store/block.h"
#include "collector/store/daylog.h"
#include "engine.h"
#include "store.h"

#define CLAMP_NS      (INT64_C(600) * 1000000000) /* how far ahead a clock may be */
#define LIVE_NS       (INT64_C(600) * 1000000000)
#define ENDED_KEPT_NS (INT64_C(3600) * 1000000000)

/* A rule as the open day's hits name it: id is index + 1. */
struct day_rule {
	uint8_t digest[SHA256_BYTES];
	/* owned; `about` is the rule as JSON: id, title, author, tags */
	struct slice id, about, level;
	bool visible;
};

struct store {
	char *dir;
	int dir_fd; /* holds the lock; -1: read only */

	/* for any thread */
	_Atomic uint64_t events, detections, commits, duplicates, forgotten;

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
};

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
struct value value_copy(struct arena *arena, const struct value *v);
/* Of an event without a stream; with one its id says all: empty. */
struct slice id_text_copy(struct arena *arena, const struct event_id *id,
    struct slice foreign, const struct value *event_id);

/* ---- readers (read.c): a connection for each call ------------------------ */

/* Every day that has a commit, oldest first; RC_EOF: no more. */
struct days {
	struct store *store;
	int32_t *list;
	size_t n, at;
};
enum rc days_begin(struct store *s, struct days *d, struct error *err);
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
