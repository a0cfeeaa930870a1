/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Day files: DIR/YYYY-MM-DD.db, one for each UTC day of arrival.
 *
 *   commits      number, arrival, what it stored, totals so far, watermarks,
 *                its link of the chain (chain.h)
 *   blocks       owner, least and greatest event time, n, bloom, hits; a reader
 *                asks the view `live`, ordered by commit_number, id
 *   block_data   the block itself (block.h)
 *   heads        signed heads of the chain
 *   meta         chain_before: the chain before the day's first commit;
 *                generation: how often blocks were merged
 *   rules        what the numbers in hits mean
 *   agents, sources, marks, seen   the appender's state (state.h) after the
 *                last commit; copied by a day's first transaction
 *
 * Closed days are merged, never migrated: readers know every format.  Its
 * number is user_version: a file with 0 was never committed to.
 */
#pragma once

#include "collector/store/state.h"
#include "sql.h"

enum { DAY_FORMAT = 2, DAY_NAME_LEN = 13 /* YYYY-MM-DD.db */ };

/* Days since 1970-01-01. */
int32_t day_of(int64_t time_ns);

/* "YYYY-MM-DD.db"; false: it is no such name. */
bool day_parse(const char *name, int32_t *day);

/* Ascending; the caller frees *days. */
enum rc day_list(const char *dir, int32_t **days, size_t *n, struct error *err);

/* The day's file. */
enum rc day_file(const char *dir, int32_t day, char *out, size_t size,
    struct error *err);

/*
 * RC_EOF, but not with CREATE: it is not there, or nothing was ever committed
 * to it.
 * RC_INVALID: a newer version wrote it.
 */
enum rc day_open(const char *dir, int32_t day, enum sql_mode mode,
    struct sql **out, struct error *err);

/* In a transaction: makes the tables. */
enum rc day_create(struct sql *s, struct error *err);

/* The open day of an older version, to the newest format. */
enum rc day_migrate(struct sql *s, struct error *err);

/* How often its blocks were merged; a reader sees those of when it opened. */
enum rc day_generation(struct sql *s, int64_t *out, struct error *err);

/* Closes and removes a file to which nothing was ever committed. */
void day_abandon(struct sql *s);

struct day_totals {
	uint64_t commit, events, detections; /* so far, days before too */
	int64_t first_ns,
	    last_ns; /* least and greatest event time, the day's */
};
enum rc day_totals(struct sql *s, struct day_totals *out, struct error *err);

enum rc day_load_state(struct sql *s, struct state *st, struct error *err);
/* In a transaction: what the commit under way touched, or everything. */
enum rc day_save_state(struct sql *s, const struct state *st, bool all,
    struct error *err);
