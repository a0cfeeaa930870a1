/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Search: one query language (kuzet-query(7)) over the store's columns.
 *
 * A query is parsed once and immutable; what runs it belongs to one thread.
 * Memory is bounded whatever the answer's size; blocks are read one at a time
 * and nothing is locked while an answer goes out.
 */
#pragma once

#include "store.h"

enum {
	SEARCH_TEXT_MAX = 16 * 1024, /* bytes of a query */
	SEARCH_DEPTH_MAX = 64, /* parentheses and NOTs within each other */
	SEARCH_TERMS_MAX = 1024,
	SEARCH_BY_MAX = 3,
	SEARCH_CURSOR_MAX = 96,
};

struct search_query;

/*
 * An empty query matches everything.  RC_INVALID, RC_LIMIT: *column is the
 * character, counted from 1, at which the mistake stands; err says what and
 * what would be right.
 */
enum rc search_parse(struct slice text, int64_t now_ns,
    struct search_query **out, size_t *column, struct error *err);
void search_free(struct search_query *q); /* NULL is fine */

/*
 * The same message for people: the query's line, a caret below the column, and
 * the message.
 */
void search_explain(struct buf *out, struct slice text, size_t column,
    const char *message);

/* All of them must hold: the field's text, or that of one item, is `value`. */
struct search_equal {
	uint32_t field; /* FIELD_TIMESTAMP and FIELD_EVENT_ID work too */
	struct slice value;
};
struct search_query *search_equals(const struct search_equal *list, size_t n);

enum search_sort {
	SEARCH_ARRIVAL, /* as committed */
	SEARCH_OLDEST,  /* by @timestamp, then stream and offset */
	SEARCH_NEWEST,
};

struct search_request {
	const struct search_query *query; /* borrowed */
	struct slice owner;               /* ptr NULL: all owners (SOC) */
	int64_t since_ns, until_ns;       /* @timestamp, half open */
	/* only what was committed behind the first, up to the last; 0: all */
	uint64_t after_commit, last_commit;
	/* asked now and then; true ends with RC_EOF; may be NULL */
	bool (*cancelled)(void *ctx);
	void *ctx;
};

/* `ev` lives during the call; false stops. */
typedef bool search_event_cb(void *ctx, const struct event *ev);

struct search_page {
	enum search_sort sort;
	uint64_t limit;     /* 0: all */
	struct slice after; /* an earlier `next`; ptr NULL: the beginning */
	/* out: where the next page begins; "" if there is none.  Of sorted
	 * events only. */
	char next[SEARCH_CURSOR_MAX];
};
/* RC_INVALID: `after` is no cursor. */
enum rc search_events(struct store *s, const struct search_request *r,
    struct search_page *page, search_event_cb *cb, void *ctx,
    struct error *err);

enum rc search_count(struct store *s, const struct search_request *r,
    uint64_t *count, struct error *err);

/*
 * Groups: one for each combination of the values of `by` (of a list each item
 * counts; events without a field are in no group), in each span of `every_ns`.
 */
enum { SEARCH_PERCENTILES_MAX = 16 };
struct search_groups {
	uint32_t by[SEARCH_BY_MAX];
	uint32_t n_by;
	int64_t every_ns;  /* 0: no histogram */
	uint32_t distinct; /* FIELD_NONE: not wanted */
	uint32_t measure;  /* sum, percentiles of this; FIELD_NONE: none */
	double percents[SEARCH_PERCENTILES_MAX];
	uint32_t n_percents;
	uint64_t limit; /* rows; 0: all */
	uint64_t other; /* out: events in groups that a bound kept out */
};

struct search_row {
	const int64_t *bucket_ns; /* begin of the span; NULL: no histogram */
	const struct value *key;  /* n_by values */
	uint64_t count;
	uint64_t distinct;
	bool distinct_exact;
	uint64_t measured;         /* events that have a number there */
	double sum;                /* of these numbers */
	const double *percentiles; /* n_percents; NULL: nothing measured */
	bool percentiles_exact;
};
typedef bool search_row_cb(void *ctx, const struct search_row *row);

/*
 * Most frequent first, with a histogram in order of time and then so.  Groups
 * are counted exactly up to a bound of their number and bytes; what comes after
 * it is in no row and counted in `other`.
 */
enum rc search_group(struct store *s, const struct search_request *r,
    struct search_groups *wanted, search_row_cb *cb, void *ctx,
    struct error *err);
