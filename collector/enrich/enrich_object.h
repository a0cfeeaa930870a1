/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose event it is: kuzet.object.* and organization.name by the register.
 *
 * An agent that an object claims speaks for that object alone; others are known
 * by the host that the event names (or the agent's id, as a host's), then by addresses (its own, the destination,
 * the source).  Names and addresses of another owner's objects say nothing, for
 * what stands in a line is no reason to tell about them; the collector's own
 * organization may know all.  kuzet.object.* that came with the event goes.
 */
#pragma once

#include "batch.h"
#include "objects.h"

struct object_enricher;

/* One thread's.  Takes a reference; `own` is the collector's organization. */
struct object_enricher *object_enricher_new(struct objects *objects,
    const char *own);
void object_enricher_free(struct object_enricher *e); /* NULL is fine */

/*
 * The batch whose events come next, with source set.  `trusted`: its events are
 * the collector's own, and say themselves which object they are about.
 */
void object_enricher_begin(struct object_enricher *e, const struct batch *b,
    bool trusted);

/* The object, or OBJECT_NONE.  What it sets is in the event's arena. */
uint32_t object_enrich(struct object_enricher *e, struct event *ev);

/* Whether the batch's agent is some object's, by its id or as a host. */
bool object_agent_is_claimed(const struct object_enricher *e,
    struct slice agent);

/*
 * An address of the event that is in the organization's own networks and no
 * object's, other than those said already for this event: call it with *at = 0,
 * then again, until it is empty.
 */
struct slice object_unclaimed(const struct object_enricher *e,
    const struct event *ev, unsigned *at);
