/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of verification share: one run of store_verify(). */
#pragma once

#include "collector/store/internal.h"
#include "store_verify.h"

struct finding {
	uint64_t commit;
	int64_t block;
	const char *problem;
	char *message;       /* owned */
	uint64_t looks_like; /* the commit whose events these are; 0: none */
};

/* A commit of the window. */
struct slot {
	struct chain_link row;
	bool has_row, chained;
	bool damaged;    /* a block of it could not be read: told */
	uint64_t events; /* found */
	int64_t block;   /* the first that has some of them; 0: none */
	/* what would make queries pass over the block; NULL: nothing */
	const char *hidden;
	int64_t hidden_block;
	struct sha256 *lines, *hits;
};

struct verify_block {
	int64_t id;
	uint64_t first, last; /* commits */
	struct slice owner;
};

/* A signed head of the day. */
struct verify_head {
	uint64_t last;
	struct slice text, signature; /* in the day's arena */
	struct slice stamp;           /* the same; ptr NULL: none */
};

struct verify {
	const struct store_verify *what;
	struct store_verified *out;
	const char *dir;
	struct sign_keys *keys; /* NULL: none */
	uint64_t told_events;
	struct error ignored;

	/* the chain so far; number 0: nothing before */
	uint64_t number, last;
	uint8_t chain[SHA256_BYTES];

	/* the day */
	struct sql *day;
	struct arena *day_arena;
	struct rule_rows rules;
	sqlite3_stmt *rows_of_day, *blocks_of_day;
	struct slot row;           /* ahead */
	struct verify_block block; /* ahead; owner in the window's arena */
	int64_t last_number;
	uint64_t last_commit;
	struct finding *findings;
	size_t n_findings, cap_findings;
	uint64_t bad_commit; /* of the last finding */
	int64_t last_block;  /* the one looked at last */
	int64_t next_block;  /* what comes after those of the commits so far */

	/* heads of the day */
	struct verify_head *heads; /* in the day's arena */
	size_t n_heads, at_head;
	uint64_t last_head; /* the last commit that one covers */
	struct sha256 *rows;
	uint64_t first_row; /* since the head before; 0: none */
	struct buf head_text;

	/* the window */
	struct arena *window_arena, *spare_arena;
	uint64_t begin;
	struct slot *slots;
	size_t n_slots, cap_slots;
	struct verify_block *blocks;
	size_t n_blocks, cap_blocks;

	/* the block */
	struct block_decoder *decoder;
	struct block_encoder *encoder;
	struct chain_digest digest; /* with the digests of the slot at hand */
	struct segments segments;
	struct bytes data;

	int format;       /* of the day */
	int32_t last_day; /* the one before */
	bool chained_before;
	bool has_row, has_block; /* ahead */
	bool stopped;
	char file[4096];
};

void verify_finding(struct verify *v, uint64_t commit, int64_t block,
    const char *problem, const char *fmt, ...) PRINTF_LIKE(5, 6);
bool verify_progress(struct verify *v);
/* Of the window; NULL: it is not of it. */
struct slot *verify_slot(struct verify *v, uint64_t commit);

/* A block's events into the digests of its commits (verify_block.c). */
enum rc verify_block(struct verify *v, const struct verify_block *b,
    struct error *err);

/* ---- signed heads (verify_heads.c) --------------------------------------- */
enum rc verify_heads_begin(struct verify *v, struct error *err);
/* After each row: whether a head ends with it, and fits. */
void verify_head(struct verify *v);
void verify_heads_end(struct verify *v, bool newest);
