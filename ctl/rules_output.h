/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `rules match` prints, in the order of the events: a match at once where
 * no correlation can come before it, else everything at the end.
 */
#pragma once

#include <stdio.h>

#include "engine.h"

struct rules_output;

/* `stream` is borrowed: standard output, or where a test looks. */
struct rules_output *rules_output_new(struct ruleset *rs, bool json,
    FILE *stream);
/* Only this correlation, shown though no rule says `generate`. */
void rules_output_only(struct rules_output *o, uint32_t rule);
void rules_output_free(struct rules_output *o); /* NULL is fine */

/* The matches of one event; indices ascend. */
void rules_output_event(struct rules_output *o, const struct event *ev,
    uint64_t index, const uint32_t *hits, uint32_t n);

/* The end of the input; prints what is left. */
void rules_output_end(struct rules_output *o);

/* False after the stream could not be written. */
bool rules_output_good(const struct rules_output *o);
