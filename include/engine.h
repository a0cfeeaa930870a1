/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule engine: Sigma (specification v2.1.0), native and streaming.
 *
 *   parse    YAML -> rule (syntax tree, metadata), untrusted input, bounded
 *   compile  rules -> ruleset: Hyperscan databases a field, conditions, routing
 *   match    event -> base rules that match it (per thread scratch)
 *   correlate  hits in the order of the log -> firings of correlation rules
 *
 * A ruleset is immutable and counted, so a reload is a swap.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch.h"
#include "buf.h"
#include "digest.h"
#include "error.h"
#include "event.h"

enum rule_level {
	RULE_INFORMATIONAL,
	RULE_LOW,
	RULE_MEDIUM,
	RULE_HIGH,
	RULE_CRITICAL,
};

enum rule_severity { RULE_WARNING, RULE_ERROR };

/* A finding of load: an error refuses the rule, the others load. */
struct rule_finding {
	const char *file;
	unsigned line;
	struct slice rule; /* id or title; may be empty */
	enum rule_severity severity;
	const char *message; /* reason and remedy */
};
typedef void rule_finding_cb(void *ctx, const struct rule_finding *finding);

struct rule_options {
	const char *const *paths; /* files, or folders searched for *.yml */
	size_t n_paths;
	/* kuzet's data folder with taxonomy/, NULL: the installed one */
	const char *taxonomy;
	/* folders of one's own, read after it: what they say of a logsource
	 * wins, the names of fields and values of placeholders are added */
	const char *const *extra_taxonomy;
	size_t n_extra_taxonomy;
	/*
	 * Folder of compiled databases, made if it is not there, bounded; NULL:
	 * everything is compiled anew.  What is in it is checked, so a damaged
	 * one costs time only.
	 */
	const char *cache;
	/*
	 * What all rules together may cost, in units of about a byte of a
	 * pattern; 0: 60 million, fifteen times the public corpus.  A rule
	 * beyond it is refused, smaller ones still load.
	 */
	uint64_t work_max;
	/* placeholder values for `expand`: name, then values; NULL: those of
	 * the taxonomy */
	const struct conf_map *placeholders;
	rule_finding_cb *on_finding; /* may be NULL */
	void *ctx;
	bool lint;        /* also warnings that only `rules check` wants */
	bool keep_syntax; /* for explain.h: what the rules were made of stays */
};

struct ruleset;

/* RC_OK though rules were refused; an error only if no path could be read. */
enum rc ruleset_load(const struct rule_options *options, struct ruleset **out,
    struct error *err);
struct ruleset *ruleset_ref(struct ruleset *rs);
void ruleset_unref(struct ruleset *rs); /* NULL is fine */

uint32_t ruleset_loaded(const struct ruleset *rs);
uint32_t ruleset_refused(const struct ruleset *rs);

/* How the cache did: databases found in it and made anew. */
struct ruleset_cache {
	uint32_t found, made;
	const char *trouble; /* why it was not written; empty: it was */
};
void ruleset_cache(const struct ruleset *rs, struct ruleset_cache *out);

/* What everybody may know of a rule; lives as long as the ruleset. */
struct rule_info {
	struct slice id; /* the rule's uuid, else its name, else digest */
	struct slice title;
	struct slice author;
	const struct slice *tags;
	uint32_t n_tags;
	enum rule_level level;
	bool correlation;
	bool visible;   /* its own matches show (see Sigma `generate`) */
	bool scope_all; /* kuzet: {scope: all} */
	uint8_t digest[SHA256_BYTES]; /* of the compiled form */
	const char *file;
	unsigned line;
};
uint32_t ruleset_count(const struct ruleset *rs); /* loaded ones; index < it */
const struct rule_info *ruleset_rule(const struct ruleset *rs, uint32_t index);
/* UINT32_MAX: no such rule. */
uint32_t ruleset_find(const struct ruleset *rs, struct slice id);
uint32_t ruleset_find_digest(const struct ruleset *rs,
    const uint8_t digest[SHA256_BYTES]);
const char *rule_level_name(enum rule_level level);
/*
 * {"id","title","author","tags"}, as incidents and detections name a rule: a
 * match carries its author, the DRL 1.1 licence demands it.
 */
void rule_write_about(struct buf *out, const struct rule_info *info);

/*
 * The fields of an event that a later stage needs of rule `index`'s hits:
 * group-by and value fields of all correlations that refer to it, and source.ip
 * for the incident of a single rule.  Sorted, no doubles.
 */
const uint32_t *ruleset_hit_fields(const struct ruleset *rs, uint32_t index,
    uint32_t *n);

/* Logsource said from outside; empty parts come from the event itself. */
struct logsource {
	struct slice product, category, service;
};

/* Matching: one matcher a thread. */
struct matcher;
struct matcher *matcher_new(struct ruleset *rs); /* takes a reference */
void matcher_free(struct matcher *m);
/*
 * The base rules that match: indices ascending, valid until the next call.
 * `ls` may be NULL.
 */
const uint32_t *matcher_run(struct matcher *m, const struct event *ev,
    const struct logsource *ls, uint32_t *n);
/*
 * How often since the last call a regular expression was given up at its limit
 * of steps, which is taken as no match.
 */
uint64_t matcher_given_up(struct matcher *m);
