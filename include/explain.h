/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a rule matches an event or does not: the rule read literally, without
 * Hyperscan, indexes or short cuts, each step kept.  Slow, for people, and for
 * tests to compare the matcher with.
 *
 *   RULE -> LOGSOURCE, and the condition: AND, OR, NOT, AT_LEAST over
 *     SELECTION -> MAP (one of them must hold) -> ITEM (all of them must)
 *   CORRELATION -> RULE or CORRELATION, one for each that it refers to; holds
 *     if one of those does: whether it fires depends on other events too
 *
 * Conditions on the logsource are SELECTIONs below LOGSOURCE.
 */
#pragma once

#include "engine.h"

enum explain_kind {
	EXPLAIN_RULE,
	EXPLAIN_CORRELATION,
	EXPLAIN_LOGSOURCE,
	EXPLAIN_AND,
	EXPLAIN_OR,
	EXPLAIN_NOT,
	EXPLAIN_AT_LEAST,
	EXPLAIN_SELECTION,
	EXPLAIN_MAP,
	EXPLAIN_ITEM
};

/* A value that the event has where an item looks. */
struct explain_seen {
	struct slice field; /* as the event names it */
	struct slice text;
};

/* One value of an item. */
struct explain_pattern {
	struct slice text;
	const char *kind; /* text, regex, cidr, number, time, null, exists,
	                   * field */
	bool cased;
	bool hit;
	uint32_t by;       /* hit: index in `seen`; UINT32_MAX: by none */
	uint32_t variants; /* that modifiers made of it; `text` is the one that
	                    * hit, or the first */
};

struct explanation {
	enum explain_kind kind;
	bool holds;
	/* RULE, CORRELATION: the id; LOGSOURCE: product=... as the rule says
	 * it; SELECTION: its name; ITEM: its field, empty for keywords */
	struct slice name;
	unsigned line;           /* SELECTION, ITEM; 0: none */
	uint32_t needed;         /* AT_LEAST */
	struct slice definition; /* CORRELATION: what it wants, in a line */
	/*
	 * RULE that holds, below a CORRELATION: the group that the event goes
	 * into and the values it counts for, as JSON objects; or the field it
	 * lacks, without which it does not count.  Empty: none.
	 */
	struct slice group, counted, missing;
	bool all;     /* ITEM: every value, not any */
	bool negated; /* ITEM: none of the values */
	bool present; /* ITEM: the event has the field, be it null */
	const struct explain_seen *seen;
	uint32_t n_seen;
	const struct explain_pattern *patterns;
	uint32_t n_patterns;
	const struct explanation *const *children;
	uint32_t n;
};

struct explainer;

/* Of a ruleset loaded with keep_syntax; takes a reference. */
struct explainer *explainer_new(struct ruleset *rs);
void explainer_free(struct explainer *x); /* NULL is fine */

/* The event to explain, borrowed until the next; `ls` as in matcher_run(). */
void explainer_event(struct explainer *x, const struct event *ev,
    const struct logsource *ls);

/* Valid until the next explainer_event(). */
const struct explanation *explainer_rule(struct explainer *x, uint32_t index);

/* The answer only; what is no event of the logsource is not looked at. */
bool explainer_holds(struct explainer *x, uint32_t index);
