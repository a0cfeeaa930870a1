/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a spool's segment: one header, then records.  Integers are
 * big-endian.
 *
 *   header  "kuzetSG1" | stream, 16 | number, 8 | CRC-32 of these, 4
 *   record  FF "KS1" | length, 4 | sequence, 8 | CRC-32, 4 | length bytes
 *
 * A record's CRC covers length, sequence and bytes.  The bytes are JSON, which
 * holds no 0xFF: behind damage, the next record is found again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

enum {
	SEGMENT_HEADER = 36,
	RECORD_HEADER = 20,
	RECORD_BYTES_MAX = 1024 * 1024
};

void segment_header_encode(char out[SEGMENT_HEADER], const uint8_t stream[16],
    uint64_t number);
/* False: damaged, or no segment. */
bool segment_header_decode(struct slice bytes, uint8_t stream[16],
    uint64_t *number);

/* The header of a record that `json` follows. */
void record_header_encode(char out[RECORD_HEADER], uint64_t sequence,
    struct slice json);

enum record_found {
	RECORD_WHOLE,  /* *used bytes are one record */
	RECORD_SHORT,  /* it may be one of *used bytes, if there are so many */
	RECORD_DAMAGED /* no record begins in the first *used bytes (>= 1) */
};

struct record {
	uint64_t sequence;
	struct slice json; /* in the bytes given */
};

/* Of `bytes`, which are not empty. */
enum record_found record_decode(struct slice bytes, struct record *out,
    size_t *used);
/* How many bytes to pass by, where the record at their start is none. */
size_t record_skip(struct slice bytes);
