/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping days: what there is, archiving, restoring and removing them.  All of
 * it works on the folder beside a running collector: closed days do not change
 * but for merges, and a removed file stays with those who read it.
 *
 * An archive of a day is
 *   YYYY-MM-DD.jsonl.gz    its events in the order of the chain, as
 *                          `kuzetctl events --json` prints them
 *   YYYY-MM-DD.commits.gz  the chain's rows
 *   YYYY-MM-DD.hits.gz     their owners and rule hits: kuzet-store(5)
 *   YYYY-MM-DD.heads       signed heads, a JSON object a line
 *   YYYY-MM-DD.manifest    what `sha256sum -c` checks; written last
 */
#pragma once

#include "error.h"
#include "store.h"

enum { STORE_DAY_NAME = 11 }; /* YYYY-MM-DD and NUL */

/* "2026-11-22"; RC_INVALID otherwise. */
enum rc store_day_parse(const char *text, int32_t *day, struct error *err);
void store_day_name(int32_t day, char out[STORE_DAY_NAME]);

struct store_day {
	int32_t day;
	uint64_t bytes; /* with what stands beside it while it is in use */
	uint64_t events, commits, blocks;
	int format;
	bool newest; /* it may still be written to */
	bool archived;
	bool restored;       /* came back from an archive */
	const char *damaged; /* why it cannot be read; NULL: it can */
};
typedef bool store_day_cb(void *ctx, const struct store_day *d);
/* Oldest first, restored ones last.  `archive` may be NULL. */
enum rc store_days(const char *dir, const char *archive, store_day_cb *cb,
    void *ctx, struct error *err);

/* Now and then; false ends it: RC_AGAIN, nothing is left behind. */
typedef bool store_keep_progress(void *ctx, uint64_t events, uint64_t of);

/*
 * Archives a closed day into the folder `to`, which is made if it is missing.
 * RC_INVALID: it is the newest, or not there.  RC_DENIED: its events are not
 * those that were committed; nothing is archived.
 */
enum rc store_archive(const char *dir, int32_t day, const char *to,
    store_keep_progress *progress, void *ctx, struct error *err);
bool store_is_archived(const char *archive, int32_t day);

/*
 * Puts the archived day back as DIR/restored/YYYY-MM-DD.db, where searches look
 * too; each event has kuzet.restored: true.  RC_DENIED: the archive is not what
 * its manifest says.
 */
enum rc store_restore(const char *dir, int32_t day, const char *from,
    store_keep_progress *progress, void *ctx, struct error *err);

struct store_retention {
	int64_t keep_ns;     /* days that ended longer ago may go; 0: none */
	uint64_t disk_bytes; /* of all days; 0: no bound */
	const char *archive; /* NULL: none */
	bool archive_first;  /* what is not there stays */
	bool dry_run;
	int64_t now_ns;
};
/* `kept`: NULL: it goes; else why it cannot, though it should. */
typedef bool store_prune_cb(void *ctx, const struct store_day *d,
    const char *kept);
/*
 * Removes days, oldest first; never the newest, nor what correlation would need
 * after a restart, nor what comes after a day that must stay.
 */
enum rc store_prune(const char *dir, const struct store_retention *r,
    store_prune_cb *cb, void *ctx, struct error *err);
