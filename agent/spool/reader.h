/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the records of one segment's file, passing by what is damaged. */
#pragma once

#include "agent/spool/record.h"
#include "error.h"

struct reader {
	int fd; /* -1: none; owned */
	uint64_t at;
	uint64_t skipped; /* damaged bytes passed by so far */
	char *bytes;      /* of the file from `base` on */
	size_t len, cap;
	uint64_t base;
};

/* Takes `fd`; begins behind the segment's header. */
void reader_begin(struct reader *r, int fd);
/* Closes; keeps no memory.  A reader of zeroes with fd -1 is fine. */
void reader_end(struct reader *r);

/*
 * The next whole record before byte `end` of the file; it is valid until the
 * next call.  RC_EOF: no more.  What cannot be read counts as damaged.
 */
enum rc reader_next(struct reader *r, uint64_t end, struct record *out);
