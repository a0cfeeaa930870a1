/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a spool's folder: NUMBER.seg, in order of their numbers,
 * `position`, and `damaged`, the last file that was no segment any more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/spool/disk.h"
#include "error.h"

/* Sequences of one segment:  1st .. acked .. given .. last. */
struct segment {
	TAILQ_ENTRY(segment) link;
	uint64_t number;
	uint8_t stream[16];
	uint64_t bytes;   /* of the file that count */
	uint64_t read_to; /* bytes given out or passed by */
	uint64_t given;   /* sequence, 0: none */
	uint64_t acked;   /* sequence, 0: none */
	uint64_t n, n_given, n_acked;
	uint64_t damaged; /* bytes among them that are no record */
	bool sealed;      /* nothing more is written to it */
};

TAILQ_HEAD(segment_list, segment);

struct segments {
	struct segment_list list; /* oldest first */
	const struct spool_disk *disk;
	const char *dir; /* borrowed */
	int dir_fd;
	uint64_t last_number;
	/* Found by segments_load(). */
	uint64_t damaged_bytes; /* of files that were put aside */
	uint64_t torn_bytes;
};

/*
 * Makes the folder if it is not there, reads all segments once, cuts the torn
 * end off the newest.  `dir` is borrowed.
 */
enum rc segments_load(struct segments *s, const char *dir,
    const struct spool_disk *disk, struct error *err);
void segments_fini(struct segments *s);

/* A new, newest file, its header written; *fd is the caller's. */
enum rc segments_begin(struct segments *s, const uint8_t stream[16], int *fd,
    struct segment **out, struct error *err);
/* For reading, or -1. */
int segments_open(const struct segments *s, const struct segment *g);
void segments_remove(struct segments *s, struct segment *g);

/* What is acknowledged of the oldest segment; on the disk when it returns. */
enum rc segments_save_position(struct segments *s, const struct segment *g);

/* RC_LIMIT where the disk is full, else RC_SYSTEM. */
enum rc segments_fail(const struct segments *s, int why, struct error *err);
