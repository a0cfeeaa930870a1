/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file is it?  The inode alone does not say: inodes are used again, files
 * are truncated and written anew, copied, renamed, compressed.  So a file is
 * known by device, inode, time of birth, and by digests of its own bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

enum {
	PRINT_BYTES_MAX =
	    1024, /* of the file's head: grows with it up to here */
	PRINT_LAST_BYTES = 256, /* before a position */
	PRINT_DIGEST = 16
};

/* Digest of the first `len` bytes (head), or of the last before `at`. */
struct fingerprint {
	uint64_t at;  /* first byte after them */
	uint32_t len; /* 0: says nothing */
	uint8_t digest[PRINT_DIGEST];
};

struct file_id {
	uint64_t dev, ino;
	int64_t btime_ns; /* 0: not known */
};

/* Of the bytes that end at `at`. */
void fingerprint_of(struct fingerprint *f, struct slice bytes, uint64_t at);
bool fingerprint_eq(const struct fingerprint *a, const struct fingerprint *b);

/*
 * Makes a digest of the file's head cover as much as there is by now; false:
 * it stays as it was, for the file does not begin with those bytes any more.
 */
bool fingerprint_grow(int fd, struct fingerprint *f);

/* Whether the file's bytes at its place are those; true if it says nothing. */
bool fingerprint_fits(int fd, const struct fingerprint *f);

/* The same inode, as far as known: births count where both are known. */
bool file_id_eq(const struct file_id *a, const struct file_id *b);
