/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What correlation must say, computed in the simplest way: all hits are kept,
 * and after each everything is looked through again.
 */
#pragma once

#include "rules/engine/correlate_state.h"

enum { LOG_MAX = 128, GROUPS_MAX = 4, FOUND_MAX = 512, SOURCES_MAX = 3 };

/* One step of a log: a hit, then its source's watermark. */
struct step {
	int64_t time_ns;
	unsigned base; /* which base rule: the slot */
	unsigned group;
	int value;
	unsigned source;
	unsigned id; /* with the source: the event; twice: one event */
	int64_t watermark_ns;
};

struct found {
	char id[33];
	unsigned group;
	int64_t first_ns, last_ns, fired_ns;
	uint64_t events;
	bool disproved;
};

struct findings {
	struct found all[FOUND_MAX];
	unsigned n;
	unsigned late; /* hits that came too late */
};

/* Sorted by group, fired time, id. */
void findings_sort(struct findings *f);
bool findings_equal(const struct findings *a, const struct findings *b);
void findings_print(const char *who, const struct findings *f);

/* The stream that source `source` writes, and the group's JSON. */
void oracle_stream(unsigned source, uint8_t out[16]);
void oracle_group(unsigned group, char out[32]);

void oracle_run(const struct corr_rule *r, const struct step *log, unsigned n,
    struct findings *out);
