/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was seen today and needs no second telling.  Thread-safe; bounded: what
 * has no room is counted, not told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

struct sightings;

enum { SIGHTINGS_MAX = 65536 };

struct sightings *sightings_new(void);
void sightings_free(struct sightings *s); /* NULL is fine */

/* True once a day (UTC) for each of an owner; `kind` tells sorts apart. */
bool sightings_first(struct sightings *s, char kind, struct slice owner,
    struct slice name, int64_t now_ns);

struct sightings_counters {
	uint64_t told, left_out; /* since the start */
};
void sightings_counters(struct sightings *s, struct sightings_counters *out);
