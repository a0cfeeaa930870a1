/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the store share: a folder of their own, events in batches,
 * and a rule set of two rules that stands in for a compiled one, so that the
 * store is tested without the engine.
 */
#pragma once

#include <stdint.h>

#include "batch.h"
#include "engine.h"
#include "error.h"
#include "search.h"
#include "store.h"
#include "store_verify.h"

#define T0     INT64_C(1763773323000000000) /* 2025-11-22T01:02:03Z */
#define SECOND INT64_C(1000000000)
#define DAY    (86400 * SECOND)

/* Below TMPDIR, empty; removed by fixture_remove(). */
char *fixture_folder(void);
void fixture_remove(char *dir); /* frees the name too */
/* Ends the test if it cannot be opened. */
struct store *fixture_open(const char *dir);

/* Rule 0 is visible and wants source.ip, user.name; rule 1 is not. */
struct ruleset *fixture_rules(void);

struct fixture_batch {
	const char *owner, *agent; /* NULL: "default", "web-1" */
	uint64_t offset;           /* of the first event; each has 100 bytes */
	int64_t time_ns;    /* of the first; each a second later; 0: T0 */
	int64_t arrival_ns; /* 0: that of the last event */
	enum source_kind kind;
	unsigned n;          /* events */
	unsigned hits_every; /* a hit of rule 0 on each n-th; 0: none */
	uint8_t stream;      /* first byte of the stream's UUID; 0: none */
};
struct batch *fixture_batch(const struct fixture_batch *f);
struct event *fixture_control(struct batch *b, const char *what, uint8_t stream,
    int64_t time_ns);
void fixture_batch_free(struct batch *b);

/* Appends one batch and frees it. */
enum rc fixture_append(struct store *s, const struct fixture_batch *f,
    struct log_record *r, struct error *err);
/* What the store gives back, by arrival, through the search; at most four
 * filters. */
enum rc fixture_events(struct store *s, const struct store_query *q,
    search_event_cb *cb, void *ctx, struct error *err);
/* UINT64_MAX: it failed. */
uint64_t fixture_count(struct store *s);
uint64_t fixture_count_of(struct store *s, const struct store_query *q);

/* store_verify()'s on_finding, where nothing should be found: prints it. */
bool fixture_told_damage(void *ctx, const struct store_finding *f);
