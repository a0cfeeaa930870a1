/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the decoder share: block_decode.c, block_column.c. */
#pragma once

#include <zstd.h>

#include "collector/store/block.h"
#include "collector/store/block_format.h"

struct part {
	enum column_kind kind;
	bool zstd;
	uint32_t field; /* COLUMN_FIELD: FIELD_NONE if it cannot be interned */
	size_t raw, stored;
	size_t offset;                     /* of what is stored, in the block */
	const uint8_t *at;                 /* that, or NULL: not read yet */
	const uint8_t *unpacked;           /* NULL: not yet */
	const struct value *values;        /* once decoded */
	const struct store_column *column; /* the same, as a column */
};

struct block_decoder {
	ZSTD_DCtx *zstd;
	struct arena *arena;
	struct block_source source;
	uint32_t n;
	struct part *parts; /* in the arena */
	uint32_t n_parts;
	size_t budget; /* bytes that may still be unpacked */
	struct block_heads heads;
	bool heads_read;
};

enum rc block_damaged(struct error *err, const char *what);
struct part *block_part(struct block_decoder *d, enum column_kind kind,
    uint32_t field); /* NULL: there is none */
/* The part's bytes as they were before they were packed. */
enum rc block_unpack(struct block_decoder *d, struct part *p, struct reader *r,
    struct error *err);
/* All values, by row, or those that there are one behind the other. */
enum rc block_part_values(struct block_decoder *d, struct part *p, bool packed,
    struct value *values, struct error *err);
