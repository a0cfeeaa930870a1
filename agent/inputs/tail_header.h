/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a file whose lines are columns (log_header.h): it goes with each
 * line, as "kuzet.header", so that a line is understood by itself, whatever
 * connection, window or worker it comes through.
 *
 * Nothing of it is stored.  Where reading goes on within the file, the header is
 * looked for before that place: the nearest one of the last TAIL_HEADER_BACK
 * bytes, else the one at the file's start.
 */
#pragma once

#include "agent/inputs/tail.h"

enum { TAIL_HEADER_BACK = 16 * 1024 * 1024 };

/*
 * A line of the file, in their order, `offset` its first byte.  The member for
 * its event, as struct line has it; empty: it has no header, or is part of one.
 * Valid until the next call.
 */
struct slice tail_header(struct tail *t, struct slice line, uint64_t offset);

void tail_header_free(struct tail *t);
