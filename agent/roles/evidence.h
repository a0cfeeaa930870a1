/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence of a machine, as it is now: processes, sockets, log-ins, and the
 * files that the owner lists.  Bounded: EVIDENCE_ITEM_MAX of each (a file's
 * end), EVIDENCE_MAX of all, handed out in pieces of EVIDENCE_PIECE bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "slice.h"

struct conf_strings;

enum {
	EVIDENCE_PIECE = 8 * 1024,
	EVIDENCE_ITEM_MAX = 256 * 1024,
	EVIDENCE_MAX = 2 * 1024 * 1024
};

struct evidence_piece {
	const char *item;  /* "processes", "sockets", "logins", or a path */
	unsigned part;     /* from 1 */
	struct slice text; /* any bytes */
	uint64_t left_out; /* bytes of the item, known with its last piece */
};
typedef void evidence_cb(void *ctx, const struct evidence_piece *piece);

void evidence_gather(const struct conf_strings *files, evidence_cb *cb,
    void *ctx);
