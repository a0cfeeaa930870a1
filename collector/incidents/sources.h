/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watermarks: what the correlator thread knows of each source, and which live
 * ones have fallen silent.
 */
#pragma once

#include "correlate.h"
#include "store.h"

struct watermark {
	int64_t heard_ns; /* arrival of its last word */
	uint64_t moved;   /* the commit that moved it last; 0: none */
	int64_t time_ns;
	bool live;
};

struct sources {
	struct watermark *list; /* by source number */
	uint32_t n;
};

void sources_fini(struct sources *s);

/* Tells the correlator too. */
void sources_move(struct sources *s, struct correlator *c,
    const struct log_watermark *w, uint64_t commit);

/*
 * Live sources unheard since `silent_since_ns` follow the collector's clock; a
 * source counts as heard at `start_ns` at the earliest.
 */
void sources_tick(const struct sources *s, struct correlator *c, int64_t now_ns,
    int64_t silent_after_ns, int64_t start_ns);

/* The oldest commit that a waiting group's watermark is from; UINT64_MAX. */
uint64_t sources_oldest(const struct sources *s, const struct correlator *c);
