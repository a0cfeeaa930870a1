/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baselines of all fim inputs, in STATE_DIR/fim.db.
 *
 * Rows are in the order of a walk: their key is the path with NUL for '/'.
 * Against changes by others the baseline is sealed: the digest over all rows of
 * an input is kept, told to the collector at each scan, and compared before the
 * next.  Who is root can change both here, but not what the collector has heard.
 */
#pragma once

#include "agent/inputs/fim/fim.h"
#include "agent/inputs/state_db.h"

#define FIM_STORE_NAME "fim.db"

struct fim_store {
	struct state_db db;
	struct buf key; /* scratch */
	struct buf key2;
};

struct fim_baseline {
	int64_t input; /* its row */
	bool sealed;   /* the digest is that of the rows */
	uint8_t sha256[SHA256_BYTES];
	uint64_t files;
	int64_t sealed_ns; /* when */
};

enum rc fim_store_open(const char *state_dir, struct fim_store *s,
    struct error *err);
void fim_store_close(struct fim_store *s); /* a zeroed one is fine */
/* Puts a damaged one aside and opens a new one. */
enum rc fim_store_renew(const char *state_dir, struct fim_store *s,
    struct error *err);

/* Made if it is not there. */
enum rc fim_store_baseline(struct fim_store *s, const char *input,
    struct fim_baseline *out, struct error *err);
enum rc fim_store_seal(struct fim_store *s, const struct fim_baseline *b,
    struct error *err);
/* From now on the rows are not what was sealed. */
enum rc fim_store_unseal(struct fim_store *s, int64_t input, struct error *err);
/* Something else that waits: asked every few rows.  `now` may be NULL: never. */
struct fim_hurry {
	void *ctx;
	bool (*now)(void *ctx);
};
/* The digest over all rows, and their number.  RC_AGAIN: something else waits. */
enum rc fim_store_digest(struct fim_store *s, int64_t input,
    struct fim_hurry hurry, uint8_t sha256[SHA256_BYTES], uint64_t *files,
    struct error *err);

/* The patterns of which there is a whole baseline. */
typedef void fim_root_cb(void *ctx, const char *pattern);
enum rc fim_store_roots(struct fim_store *s, int64_t input, fim_root_cb *cb,
    void *ctx, struct error *err);
enum rc fim_store_set_roots(struct fim_store *s, int64_t input,
    const char *const *patterns, size_t n, struct error *err);

struct fim_range {
	int64_t input;
	struct slice after;  /* only behind it; empty: from the start */
	struct slice within; /* only it and what is below; empty: all */
	size_t max;          /* rows */
};
/* Rows in order; in the arena. */
enum rc fim_store_rows(struct fim_store *s, const struct fim_range *range,
    struct arena *arena, struct fim_entry *rows, size_t *n, struct error *err);
/* RC_EOF: there is none. */
enum rc fim_store_get(struct fim_store *s, int64_t input, struct slice path,
    struct arena *arena, struct fim_entry *out, struct error *err);
enum rc fim_store_put(struct fim_store *s, int64_t input,
    const struct fim_entry *e, struct error *err);
enum rc fim_store_delete(struct fim_store *s, int64_t input, struct slice path,
    struct error *err);

/* The text of a file whose changes are shown; RC_EOF: none. */
enum rc fim_store_text(struct fim_store *s, int64_t input, struct slice path,
    struct arena *arena, struct slice *text, struct error *err);
enum rc fim_store_put_text(struct fim_store *s, int64_t input,
    struct slice path, struct slice text, struct error *err);

/* Change windows, for all inputs. */
struct fim_window {
	int64_t id;
	int64_t opened_ns, until_ns; /* 0: no end */
	int64_t closed_ns;           /* 0: not yet */
	char by[128], reason[512];
	char closed_by[128];
};
enum rc fim_window_open(struct fim_store *s, const struct fim_window *w,
    struct error *err);
/* All open ones; *n says how many. */
enum rc fim_window_close(struct fim_store *s, const char *by, int64_t now_ns,
    uint64_t *n, struct error *err);
/* The newest that is open at `now_ns`; RC_EOF: none. */
enum rc fim_window_current(struct fim_store *s, int64_t now_ns,
    struct fim_window *out, struct error *err);
typedef void fim_window_cb(void *ctx, const struct fim_window *w);
enum rc fim_window_list(struct fim_store *s, fim_window_cb *cb, void *ctx,
    struct error *err);
