/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading systemd's journal through libsystemd: entries in order, each with an
 * identity that is its own.
 *
 * journald numbers its entries (seqnum) within an id that it changes whenever
 * it could not go on counting (seqnum_id: after an unclean end, in another
 * folder).  The stream of an entry is a UUID made of the seqnum_id and of the
 * filters, its offset is the seqnum: the same entry read by the same filters
 * has the same identity for ever, whatever became of the agent's state; two
 * inputs with different filters never share a stream, because each passes the
 * numbers in its own time.  Our own counter would not do: rotation may remove
 * entries between two starts, and then number N names another one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/inputs/journal_files.h"

struct journal;

enum { JOURNAL_CURSOR_MAX = 512 };

struct journal_entry {
	uint8_t stream[16];
	uint64_t seqnum;
	int64_t time_ns;
	bool cut;  /* journal_event(): not all of it is in the event */
	bool late; /* its number is below one that was given out before */
	char cursor[JOURNAL_CURSOR_MAX];
};

/*
 * Opens `files` anew, those that can be read, and goes to behind `cursor` (NULL:
 * to the start).  *exact: the entry of the cursor is still there.  RC_EOF: there
 * are no files.
 */
enum rc journal_open(struct journal_files *files,
    const struct journal_config *config, const char *cursor,
    struct journal **out, bool *exact, struct error *err);
void journal_close(struct journal *j); /* NULL is fine */

/*
 * The next entry.  RC_EOF: none now.  RC_INVALID: this one cannot be read (its
 * cursor is there, if even that can be); go on.  RC_LIBRARY: close and open
 * again at the last cursor.
 */
enum rc journal_next(struct journal *j, struct journal_entry *out,
    struct error *err);

/*
 * Calls back with the fields of the entry that journal_next() gave, each name
 * with its first value.  Values are any bytes, cut at `longest`.
 */
typedef void journal_field_cb(void *ctx, struct slice name, struct slice value,
    bool cut);
enum rc journal_fields(struct journal *j, size_t longest, journal_field_cb *cb,
    void *ctx, struct error *err);

/* The cursor of the last entry there is: where "from now on" begins.  Without
 * any: empty. */
enum rc journal_tail(struct journal_files *files,
    const struct journal_config *config, char out[JOURNAL_CURSOR_MAX],
    struct error *err);
