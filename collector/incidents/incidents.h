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
	struct ruleset *rules;             /* takes a reference */
	enum rule_level single_rule_level; /* opens an incident from here on:
					    * RULE_HIGH */
	int64_t silent_after_ns;           /* 10 min */
	bool outbox;
	size_t max_queued; /* records waiting: then the writer waits */
	void (*on_incident)(void *ctx, const struct incident *i);
	void (*on_trouble)(void *ctx, const char *message);
	void *ctx;
};

enum rc incidents_new(const struct incidents_options *options,
    struct incidents **out, struct error *err);

/* Any thread; takes the record; waits for room. */
void incidents_submit(struct incidents *in, struct log_record *record);

/* A reload. */
void incidents_set_rules(struct incidents *in, struct ruleset *rules);

/* Commit number up to which everything is correlated and in soc.db. */
uint64_t incidents_position(struct incidents *in);

/* Works off what it has, then ends. */
void incidents_free(struct incidents *in);
