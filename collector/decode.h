/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piece becomes batches of events: inflating, JSON, identity, and the limits
 * of a batch.  Nothing here knows what the events mean.
 */
#pragma once

#include "batch.h"
#include "listeners/listener.h"

struct decoder;

struct decoder_options {
	const struct lumberjack_limits *limits;
	const char *owner; /* organization.id where no other is said */
	const struct conf_map *owners; /* CN -> organization.id; borrowed */
	/* Who else knows it; NULL, or the answer NULL: nobody does. */
	const char *(*owner_of)(void *ctx, const char *agent);
	struct budget *budget; /* charged for each batch */
	/* Takes the batch, complete but for the later stages' work. */
	void (*on_batch)(void *ctx, struct batch *b);
	void *ctx;
};

struct decoder *decoder_new(const struct decoder_options *options);
void decoder_free(struct decoder *d); /* NULL is fine */

/* Hands out at least one batch; takes the piece and its charge. */
void decoder_run(struct decoder *d, struct piece *p);

/*
 * One more event of the batch, the collector's own, about its source; NULL:
 * there is no room.  The caller fills it.
 */
struct event *decoder_add_own(struct decoder *d, struct batch *b);
