/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: threads that take pieces and hand on batches that are decoded,
 * normalized, enriched and matched.  A piece is one worker's, so its batches
 * leave in order; the writer restores the order of pieces.
 */
#pragma once

#include "agents.h"
#include "decode.h"
#include "findings.h"
#include "program_count.h"
#include "stages.h"

struct workers;

struct workers_options {
	size_t n;
	size_t max_queued;              /* pieces */
	struct decoder_options decoder; /* on_batch and ctx are set by us */
	struct stages *stages;          /* takes a reference */
	struct agents *agents; /* borrowed; NULL: nobody keeps what they say */
	struct findings *findings; /* borrowed; NULL: nobody is told */
	/* Any worker's thread; takes the batch. */
	void (*on_batch)(void *ctx, struct batch *b);
	/* Any worker's thread: a control message; NULL: nobody listens. */
	void (*on_control)(void *ctx, const struct batch *b,
	    const struct event *control);
	/* There is room again after workers_submit() said no. */
	void (*on_room)(void *ctx);
	void *ctx;
};

struct workers *workers_new(const struct workers_options *options);

/* Takes the piece, or returns false at once when the queue is full. */
bool workers_submit(struct workers *w, struct piece *p);

/* From the next piece on. */
void workers_set_stages(struct workers *w, struct stages *stages);

/*
 * No further piece is begun until workers_resume(); waits until none is being
 * worked on and all their batches have been handed on.  False: not within that
 * time; it is a pause all the same, and may be waited for again.
 */
bool workers_pause(struct workers *w, int64_t timeout_ns);
void workers_resume(struct workers *w);

/* Works off what is queued, then ends; not while paused.  NULL is fine. */
void workers_free(struct workers *w);

struct workers_counters {
	uint64_t received; /* events */
	uint64_t unparsed;
	uint64_t given_up; /* regular expressions of rules, at their limit */
};
/* Unparsed events by program, the commonest first; how many of out are set. */
size_t workers_unparsed(struct workers *w,
    struct program_count out[PROGRAM_COUNTS]);
void workers_counters(struct workers *w, struct workers_counters *out);
