/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block: the events of one owner in one commit, as columns.
 *
 *   block    = version(1) n_events n_columns directory payloads
 *   directory, for each column:
 *              kind(1) name(length, bytes; fields only) packing(1)
 *              raw length, stored length
 *   payload  = zstd frame, or the bytes as they are (packing)
 *
 * Integers are LEB128 unless a width is given.  A column of a field:
 *
 *   presence = 0: every event | 1 n (gaps between event indices)*n
 *   kinds    = 0 kind(1): all alike | 1 n kind(1)*n
 *   ints     = length bytes: integers as zigzag differences, list lengths, ...
 *   strings  = 0: none
 *            | 1 lengths(length, bytes) text(length, bytes)
 *            | 2 n lengths text width(1) m index(width)*m
 *
 * Kinds are walked in order; each takes what it needs from ints and strings.  A
 * list is followed by its items.  A reference is a piece of the same event's
 * event.original (offset, length).  Field names are stored, never ids.
 *
 * Readers keep every version.
 */
#pragma once

#include "collector/store/bloom.h"
#include "collector/store/bytes.h"
#include "error.h"
#include "event.h"
#include "store.h"

enum { BLOCK_VERSION = 1, BLOCK_EVENTS_MAX = 65536 };

/* Bound of one block unpacked: what a decoder believes. */
enum { BLOCK_RAW_MAX = 256 << 20 };

/* ---- writing: one encoder for all commits, its memory is reused ---------- */
struct block_encoder;
struct block_encoder *block_encoder_new(void);
void block_encoder_free(struct block_encoder *e); /* NULL is fine */

/* Begins a block. */
void block_encoder_begin(struct block_encoder *e);

/*
 * Adds one event, at `time_ns`, of the log's source `source`.  Its values are
 * copied.  FIELD_KUZET_INPUT is left out: it is the source.
 */
void block_encoder_add(struct block_encoder *e, const struct event *ev,
    int64_t time_ns, uint32_t source);

struct block_encoded {
	uint32_t n;
	int64_t first_ns, last_ns; /* least and greatest event time */
	struct slice data, bloom;  /* until the next block begins */
};
/* RC_LIMIT: larger than a block may be. */
enum rc block_encoder_finish(struct block_encoder *e, struct block_encoded *out,
    struct error *err);

/* Of the block that was finished last. */
const struct tokens *block_encoder_tokens(const struct block_encoder *e);

/* ---- reading: untrusted bytes ------------------------------------------- */
struct block_decoder;
struct block_decoder *block_decoder_new(void);
void block_decoder_free(struct block_decoder *d); /* NULL is fine */

/*
 * Reads the directory.  `data` is borrowed until the next open; what the
 * decoder gives out lives as long.  RC_INVALID: no block, or damaged.
 */
enum rc block_decoder_open(struct block_decoder *d, struct slice data,
    struct error *err);

/* The same of a block that is read as far as it is asked for. */
struct block_source {
	enum rc (*read)(void *ctx, size_t offset, size_t n, void *to,
	    struct error *err);
	void *ctx;
	size_t size; /* of the block */
};
enum rc block_decoder_open_source(struct block_decoder *d,
    const struct block_source *source, struct error *err);
uint32_t block_events(const struct block_decoder *d);

/* What every event has; n entries each. */
struct block_heads {
	const int64_t *times;
	const int64_t *arrivals;
	const uint32_t *sources;
	const struct event_id *ids;
	const struct slice *foreign;
};
enum rc block_decoder_heads(struct block_decoder *d, struct block_heads *out,
    struct error *err);

/* Of the heads, the times only. */
enum rc block_decoder_times(struct block_decoder *d, const int64_t **times,
    struct error *err);

/*
 * One field's values, n entries; kind BLOCK_ABSENT where the event has none.
 * *out is NULL if no event of the block has the field.
 */
enum { BLOCK_ABSENT = 255 };
enum rc block_decoder_column(struct block_decoder *d, uint32_t field,
    const struct value **out, struct error *err);

/* The same as include/store.h describes it; values are not made one by one. */
enum rc block_decoder_form(struct block_decoder *d, uint32_t field,
    const struct store_column **out, struct error *err);

/* The fields of the block; *out is in the decoder's memory. */
uint32_t block_decoder_fields(struct block_decoder *d, const uint32_t **out);

/* The events of `rows`, ascending; *out is in the decoder's memory. */
enum rc block_decoder_rows(struct block_decoder *d, const uint32_t *rows,
    uint32_t n, struct event **out, struct error *err);

/* Unpacks every column: block_event() needs it. */
enum rc block_decoder_all(struct block_decoder *d, struct error *err);
/* The event at `index`, below block_events(). */
void block_event(struct block_decoder *d, uint32_t index, struct event *ev);
