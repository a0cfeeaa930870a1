/* SPDX-License-Identifier: Apache-2.0 */
/* A parsed query: a tree whose leaves are tests of fields. */
#pragma once

#include <sys/socket.h>

#include "collector/search/expression.h"
#include "search.h"

enum node_kind {
	NODE_ALL,
	NODE_AND,
	NODE_OR,
	NODE_NOT,
	NODE_LEAF,
};

enum leaf_kind {
	LEAF_EXISTS,
	LEAF_TERM,  /* a word, a phrase, a pattern */
	LEAF_EXACT, /* the value's text, byte by byte */
	LEAF_REGEX,
	LEAF_RANGE,
};

/* Where a leaf looks. */
enum target {
	TARGET_FREE,  /* event.original, message, else everything */
	TARGET_FIELD, /* one field */
	TARGET_NAMES, /* all fields whose name fits a pattern */
};

/*
 * A pattern, folded: literal runs with `*` and `?` between them.  `ops` has one
 * entry for each: a run of `text`, or a wildcard.
 */
enum op_kind { OP_LITERAL, OP_ANY_RUN, OP_ANY_ONE };
struct op {
	enum op_kind kind;
	uint32_t from, len; /* of OP_LITERAL, in the pattern's text */
};
struct pattern {
	struct slice text;
	const struct op *ops;
	uint32_t n_ops;
	bool ascii;          /* all of its text */
	struct slice anchor; /* ASCII text that must occur; may be empty */
};

/* An address or a net, in network order. */
struct net {
	int family; /* AF_INET, AF_INET6; 0: none */
	uint8_t bytes[16];
	unsigned bits;
};

enum range_kind { RANGE_NUMBER, RANGE_TIME, RANGE_ADDRESS, RANGE_TEXT };

/* One end of a range. */
struct bound {
	double number;
	int64_t integer;   /* RANGE_NUMBER with `whole`, RANGE_TIME */
	struct slice text; /* folded */
	struct net address;
	bool given, inclusive, whole;
};

struct leaf {
	enum leaf_kind kind;
	enum target target;
	uint32_t field; /* TARGET_FIELD */
	enum range_kind range;
	struct pattern names; /* TARGET_NAMES */

	struct pattern pattern; /* LEAF_TERM */
	double number;
	int64_t integer;
	struct slice exact; /* LEAF_EXACT; of the others as written */
	struct event_id id; /* of FIELD_EVENT_ID */
	struct net net;

	uint32_t n_needs;
	struct expression *expression; /* owned by the query */
	struct slice anchor; /* of the expression, in lower case; or empty */
	/*
	 * Texts whose words all occur in a block that has a match, or those of
	 * `alternative` do (empty: there is none).
	 */
	const struct slice *needs;
	struct slice alternative;

	struct bound low, high;

	bool words; /* looks for words in a text, not for a value */
	bool is_number, is_whole, is_id;
	bool caseless; /* the expression */
	bool local;    /* expression_is_local() */
};

struct node {
	enum node_kind kind;
	struct node **children; /* AND, OR, NOT */
	uint32_t n;
	struct leaf *leaf;
};

struct search_query {
	struct arena *arena;
	struct node *root;
	struct expression **expressions;
	uint32_t n_expressions;
};

/* ---- plan.c ---------------------------------------------------------------- */

/* After parsing, once: what the Bloom filters are asked, the order of tests. */
void node_plan(struct node *n, struct arena *arena);

static inline bool
is_word_char_ascii(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

/* ---- term.c: what stands behind the colon -------------------------------- */

/* Text with its escapes resolved; `wild` marks unescaped * and ?. */
struct word {
	struct slice text;
	const bool *wild; /* for each byte; NULL: none */
};

/* Whether values of the field are searched for words. */
bool field_is_text(uint32_t field);

void leaf_term(struct leaf *leaf, const struct word *w, struct arena *arena);
void pattern_make(struct pattern *p, const struct word *w, struct arena *arena);

/* Bounds by what they look like; RC_INVALID: they are no pair. */
enum rc leaf_range(struct leaf *leaf, struct slice low, struct slice high,
    int64_t now_ns, struct arena *arena, struct error *err);
/* A time as written, to a range of its precision. */
enum rc leaf_time(struct leaf *leaf, struct slice text, int64_t now_ns,
    struct error *err);

bool net_parse(struct slice text, bool with_bits, struct net *out);
bool net_has(const struct net *net, const struct net *address);
bool number_parse(struct slice text, double *number, int64_t *integer,
    bool *whole);
