/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Sigma rule is after parsing: the syntax tree that compile and
 * correlate read.  Internal to rules/engine.
 *
 *   sigma_rule -> sigma_selection (OR of maps) -> sigma_map (AND of items)
 *     -> sigma_item (one field, its values OR, or AND with `all`)
 *       -> sigma_value (OR of the variants that windash and encodings make)
 *         -> sigma_match (one comparison)
 *
 * All of a rule lives in the arena that it was parsed into.
 */
#pragma once

#include "engine.h"

/* Bounds: rules are untrusted input. */
enum {
	RULE_SELECTIONS_MAX = 256,
	RULE_MAPS_MAX = 4096,         /* of one selection */
	RULE_ITEMS_MAX = 1024,        /* of one map */
	RULE_VALUES_MAX = 16384,      /* of one item */
	RULE_MATCHES_MAX = 65536,     /* of one rule, variants included */
	RULE_VARIANTS_MAX = 3125,     /* of one value: 5^5 dashes */
	RULE_VARIANT_BYTES = 1 << 20, /* of one value, all variants */
	RULE_MATCH_BYTES = 16 << 20,  /* of one rule, variants included */
	RULE_VALUE_BYTES = 16384,
	RULE_REGEX_BYTES = 4096,
	RULE_REGEX_PLACES = 2048, /* that counts add, of one rule */
	RULE_CONDITION_BYTES = 8192,
	RULE_CONDITION_NODES = 4096,
	RULE_CONDITION_DEPTH = 32,
	RULE_REFERENCES_MAX = 256, /* of one correlation */
	RULE_TEMPORAL_MAX = 30,    /* of a temporal one: a bit each */
	RULE_GROUP_BY_MAX = 16,
	RULE_CHAIN_MAX = 8, /* correlations of correlations */
	RULES_MAX = 65536
};

static inline char
ascii_lower(char c)
{
	return (char)(c + (c >= 'A' && c <= 'Z' ? 'a' - 'A' : 0));
}

static inline bool
ascii_starts_with(struct slice s, struct slice lower)
{
	if (s.len < lower.len)
		return false;
	for (size_t i = 0; i < lower.len; i++)
		if (ascii_lower(s.ptr[i]) != lower.ptr[i])
			return false;
	return true;
}

/* ---- strings with wildcards -------------------------------------------- */

enum pattern_part_kind { PART_TEXT, PART_ANY /* * */, PART_ONE /* ? */ };

struct pattern_part {
	enum pattern_part_kind kind;
	struct slice text; /* TEXT; valid UTF-8, not empty */
};

struct pattern {
	const struct pattern_part *parts; /* no two ANY or TEXT in a row */
	uint32_t n;                       /* 0: the empty string */
};

/* ---- comparisons ------------------------------------------------------- */

enum match_kind {
	MATCH_PATTERN, /* the text, whole, folded unless `cased` */
	MATCH_REGEX,   /* found anywhere in the text */
	MATCH_CIDR,
	MATCH_NUMBER, /* op, number */
	MATCH_TIME,   /* op, number: of a part of a time stamp */
	MATCH_NULL,   /* missing or null */
	MATCH_EXISTS, /* the field is there, null or not */
	MATCH_FIELD   /* equals, or contains ..., another field's value */
};

enum compare_op { OP_EQ, OP_NEQ, OP_GT, OP_GTE, OP_LT, OP_LTE };

enum time_part {
	TIME_MINUTE,
	TIME_HOUR,
	TIME_DAY,
	TIME_WEEK,
	TIME_MONTH,
	TIME_YEAR
};

enum { REGEX_CASELESS = 1, REGEX_MULTILINE = 2, REGEX_DOTALL = 4 };

/* FIELD: what may stand around the other field's value. */
enum { OPEN_START = 1, OPEN_END = 2 };

struct sigma_match {
	enum match_kind kind;
	bool cased;             /* PATTERN, FIELD */
	bool exists;            /* EXISTS: the wanted answer */
	uint8_t flags;          /* REGEX: REGEX_*; FIELD: OPEN_* */
	uint8_t prefix;         /* CIDR: bits of the 128 */
	enum compare_op op;     /* NUMBER, TIME */
	enum time_part part;    /* TIME */
	double number;          /* NUMBER, TIME */
	struct pattern pattern; /* PATTERN */
	struct slice text;      /* REGEX; FIELD: the other field's name */
	uint8_t address[16];    /* CIDR: IPv4 as ::ffff:a.b.c.d */
};

struct sigma_value {
	const struct sigma_match *matches; /* OR */
	uint32_t n;
};

struct sigma_item {
	struct slice field; /* empty: a keyword */
	bool all;           /* every value, not any */
	bool negated;       /* neq: none of the values */
	const struct sigma_value *values;
	uint32_t n;
	unsigned line;
};

struct sigma_map {
	const struct sigma_item *items; /* AND */
	uint32_t n;
};

struct sigma_selection {
	struct slice name;
	const struct sigma_map *maps; /* OR */
	uint32_t n;
	unsigned line;
};

/* ---- conditions -------------------------------------------------------- */

enum node_kind {
	NODE_LEAF, /* `index`: selection, or rule of a correlation */
	NODE_NOT,  /* one child */
	NODE_AND,
	NODE_OR,
	NODE_AT_LEAST /* `index` of the children */
};

struct sigma_node {
	enum node_kind kind;
	uint32_t index;
	const struct sigma_node *const *children;
	uint32_t n;
};

/* ---- correlations ------------------------------------------------------ */

enum correlation_type {
	CORRELATION_EVENT_COUNT,
	CORRELATION_VALUE_COUNT,
	CORRELATION_TEMPORAL,
	CORRELATION_TEMPORAL_ORDERED,
	CORRELATION_VALUE_SUM,
	CORRELATION_VALUE_AVG,
	CORRELATION_VALUE_PERCENTILE,
	CORRELATION_VALUE_MEDIAN
};

/*
 * A field as one of the referred rules spells it.  The event may carry it under
 * any of `ids` (the name itself, its ECS names): the first that is there and
 * not null counts.  All of them are in ruleset_hit_fields() of that rule.
 * Where the referred rule is a correlation, `name` is one of its group-by
 * keys, or nothing can be found.
 */
struct correlation_field {
	struct slice name;
	const uint32_t *ids;
	uint32_t n_ids;
	/* a derived field (Imphash of Hashes), where none of `ids` is there:
	 * the names of what it is taken from, and its key therein */
	const uint32_t *from;
	uint32_t n_from;
	struct slice key;
};

/* What the event has there; VALUE_NULL: nothing.  Borrowed from the event. */
struct value correlation_value(const struct correlation_field *f,
    const struct event *ev);

/* A group-by key, or a field of the condition. */
struct correlation_key {
	struct slice name; /* as the rule says it: an alias or a field */
	const struct correlation_field *by_rule; /* n_rules of them */
};

const char *correlation_type_name(enum correlation_type type);

struct correlation_bound {
	enum compare_op op;
	double value;
};

struct correlation_alias {
	struct slice alias;
	struct slice rule; /* id or name */
	struct slice field;
	unsigned line;
};

struct sigma_correlation {
	enum correlation_type type;

	/*
	 * Indices in the ruleset, in the order written, no doubles; base rules
	 * or correlations, never in a cycle.
	 */
	const uint32_t *rules;
	const struct slice *rule_names; /* as written: id or name */
	const unsigned *rule_lines;     /* where; only while loading */
	uint32_t n_rules;

	const struct correlation_key *group_by; /* n 0: one group */
	uint32_t n_group_by;
	int64_t timespan_ns; /* > 0 */

	/*
	 * TEMPORAL*: n_bounds is 0 (all rules; or what `extended` says), else
	 * they bound the number of distinct rules.  Others: one or two bounds,
	 * all must hold.
	 */
	struct correlation_bound bounds[2];
	uint32_t n_bounds;
	const struct correlation_key *values; /* condition.field: VALUE_* */
	uint32_t n_values; /* VALUE_COUNT may have several: tuples */
	double percentile; /* VALUE_PERCENTILE: 0..100 */
	/* TEMPORAL*, else NULL; a leaf's index is into `rules` */
	const struct sigma_node *extended;
	bool generate; /* referred rules show their own matches */

	/* as written; by_rule above has them resolved */
	const struct correlation_alias *aliases;
	uint32_t n_aliases;
};

/* ---- filters and rules ------------------------------------------------- */

/* Sigma filter: narrows the rules it names. */
struct sigma_filter {
	bool any_rule; /* `rules: any` or an empty list */
	const struct slice *rule_names;
	const unsigned *rule_lines;
	uint32_t n_rules;
};

struct sigma_logsource {
	struct slice product, category, service; /* lower case; empty: any */
};

enum rule_kind { RULE_DETECTION, RULE_CORRELATION, RULE_FILTER };

struct sigma_rule {
	enum rule_kind kind;
	const char *file; /* lives with the ruleset */
	unsigned line;

	struct slice id;   /* as written; may be empty */
	struct slice name; /* may be empty */
	struct slice title;
	struct slice author;
	struct slice status;
	const struct slice *tags;
	uint32_t n_tags;
	enum rule_level level;
	bool has_level;
	bool scope_all; /* kuzet: {scope: all} */

	/* DETECTION, FILTER */
	struct sigma_logsource logsource;
	unsigned logsource_line;
	const struct sigma_selection *selections;
	uint32_t n_selections;
	const struct sigma_node *condition;

	struct sigma_correlation *correlation; /* CORRELATION */
	struct sigma_filter *filter;           /* FILTER */
};

/* ---- of a loaded ruleset (ruleset.c) ----------------------------------- */

/* NULL: `index` is a base rule. */
const struct sigma_correlation *ruleset_correlation(const struct ruleset *rs,
    uint32_t index);
