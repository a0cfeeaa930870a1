/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded set of rules; internal to rules/engine. */
#pragma once

#include "program.h"

struct ruleset_entry {
	struct rule_info info;
	struct slice name; /* how correlations may call it; may be empty */
	struct sigma_correlation *correlation; /* NULL: a base rule */
	const uint32_t *referrers;
	uint32_t n_referrers;
	const uint32_t *hit_fields;
	uint32_t n_hit_fields;
};

struct ruleset {
	_Atomic uint32_t references;
	struct arena *arena; /* owned: everything below but `program` */
	struct ruleset_entry *entries;
	uint32_t n;
	uint32_t refused;
	const uint32_t *by_id;     /* indices, in the order of their ids */
	const uint32_t *by_digest; /* ... of their digests */
	struct program *program;   /* owned */
	uint32_t databases_found, databases_made;
	char cache_trouble[1024]; /* empty: none */

	/* with keep_syntax, else NULL */
	struct arena *syntax;             /* owned */
	struct taxonomy *taxonomy;        /* owned */
	const struct sigma_rule **parsed; /* by index, in `syntax` */
};

const struct program *ruleset_program(const struct ruleset *rs);

/* A rule on its way into a set. */
struct loading_rule {
	struct sigma_rule rule;
	bool refused;
	uint8_t visit;  /* resolving: 0 not yet, 1 in it, 2 done */
	uint8_t height; /* of a correlation above base rules */
	uint32_t index; /* in the ruleset */
	uint64_t work;  /* see load_budget.c */
};

struct loader {
	const struct rule_options *options;
	struct arena *syntax; /* of everything parsed; owned */
	struct taxonomy *taxonomy;
	struct ruleset *set;
	struct loading_rule **rules; /* malloc'ed, in the syntax arena */
	uint32_t n, cap;
	char **files; /* malloc'ed, sorted */
	uint32_t n_files, cap_files;
	struct loading_rule *current; /* what a warning is about */
	uint64_t work, read;          /* of rules taken; of all rules read */
};

void loader_report(struct loader *l, const struct loading_rule *r,
    unsigned line, enum rule_severity severity, const char *message);
/* Takes the rule out, with a reason and the line of it; 0: its first. */
void loader_refuse(struct loader *l, struct loading_rule *r, unsigned line,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* load_budget.c: what a load may cost; a rule beyond it is refused. */
bool loader_may_read(const struct loader *l);
void loader_count_read(struct loader *l, uint64_t n_matches);
void loader_count_rule(struct loader *l, struct loading_rule *r);
bool loader_charge(struct loader *l, struct loading_rule *r, uint64_t work);

/* load_files.c: reads every file into `rules`. */
enum rc loader_read(struct loader *l, struct error *err);

/* load_resolve.c: filters, doubles, references; sets `index`. */
void loader_resolve(struct loader *l);

/* load_fields.c: what correlations need of hits. */
void loader_fields(struct loader *l);
