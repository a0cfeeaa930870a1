/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incidents: the correlator thread.  Reads committed hits in the order of the
 * log, runs correlation, opens incidents of single rules, writes soc.db.
 *
 * At start it rebuilds its state from the log (soc_cursor.rebuild_from), then
 * takes what came after the cursor as if it came now.
 */
#pragma once

#include "correlate.h"
#include "soc.h"

struct incidents;

struct incidents_options {
	struct store *store;
	struct objects *objects; /* takes a reference; NULL: no register */
	struct ruleset *rules;   /* takes a reference */
	enum rule_level single_rule_level; /* opens an incident from here on:
					    * RULE_HIGH */
	int64_t silent_after_ns;           /* 10 min */
	bool outbox;
	size_t max_queued; /* records waiting: then the writer waits */
	void (*on_incident)(void *ctx, const struct incident *i);
	/* "" when it is over; both run in the correlator's thread */
	void (*on_trouble)(void *ctx, const char *message);
	void *ctx;
	struct correlate_options correlate; /* bounds; 0: the defaults */
};

/* Reads the cursor; rebuilding goes on in the thread. */
enum rc incidents_new(const struct incidents_options *options,
    struct incidents **out, struct error *err);

/* Any thread; takes what the record holds; waits for room. */
void incidents_submit(struct incidents *in, struct log_record *record);

/*
 * A reload, in order with the records: those before it are the old rules'.  Takes
 * a reference.  False: there is no room now, or it ends.  What was matched by
 * other rules than correlation has is passed over, and counted.
 */
bool incidents_set_rules(struct incidents *in, struct ruleset *rules);

/* soc.db cannot be written now, and it tries again.  Any thread. */
bool incidents_is_stuck(struct incidents *in);

/* The register of objects from now on; takes a reference, NULL: none. */
void incidents_set_objects(struct incidents *in, struct objects *objects);

/* Commit number up to which everything is correlated and in soc.db. */
uint64_t incidents_position(struct incidents *in);

/* What correlation holds and what its bounds forced out. */
void incidents_stats(struct incidents *in, struct correlator_stats *out);

/*
 * Hits since the start that were passed over because their rule has changed or
 * gone since: those that a stopped collector had not correlated yet.
 */
uint64_t incidents_unknown_hits(struct incidents *in);

/*
 * The end is near: rebuilding stops where it is, and a soc.db that cannot be
 * written is not waited for.  The log has it all, and the next start reads on.
 */
void incidents_wait_no_more(struct incidents *in);

/* Works off what it has, then ends; NULL is fine. */
void incidents_free(struct incidents *in);
