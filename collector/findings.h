/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the collector finds out about the register of objects and about
 * certificates, as events of its own (event.dataset kuzet.collector), owned by
 * whom they concern.  The same finding is told once a day; rules/packs/objects makes incidents of them.
 *
 * Thread-safe.  Bounded: FINDINGS_PENDING wait to be stored, more are counted.
 */
#pragma once

#include "batch.h"
#include "listeners/listener.h"
#include "objects.h"

/* The agent.id of the collector's own events. */
#define FINDINGS_AGENT "kuzet-collector"

enum { FINDINGS_PENDING = 4096 };

struct findings;

struct findings *findings_new(void);
void findings_free(struct findings *f); /* NULL is fine */

/* No object claims the agent; no object claims an address of its owner's. */
void findings_agent(struct findings *f, const struct source *from,
    int64_t now_ns);
void findings_address(struct findings *f, const struct source *from,
    struct slice address, int64_t now_ns);
/* Nothing was heard of it since then: told each time. */
void findings_silent(struct findings *f, const struct object *object,
    int64_t since_ns, int64_t now_ns);

/* Its attestation ends, or has ended: told each time. */
void findings_attestation(struct findings *f, const struct object *object,
    int64_t now_ns);

/* More passed a gateway within an hour than ever in its history: each time. */
struct volume {
	struct slice owner, source;
	int64_t hour_ns;       /* its begin */
	double bytes, busiest; /* of the hour; of those before */
	uint32_t hours;        /* before, with anything at all */
};
void findings_volume(struct findings *f, const struct volume *v,
    int64_t now_ns);

/* A certificate that ends, or has: told once a day, and logged then. */
struct certificate_finding {
	struct slice owner;
	const char *use; /* "agent", or the option of the collector */
	struct slice subject;
	const char *file; /* NULL: of an agent */
	int64_t expires_ns;
	bool ended;
	struct slice why; /* it is not renewed; may be empty */
};
void findings_certificate(struct findings *f,
    const struct certificate_finding *c, int64_t now_ns);
/* The same of what an agent says of its own with a status message. */
void findings_agent_certificate(struct findings *f, const struct source *from,
    const struct event *status);

/* Hands those that wait to `submit`, workers_submit() or the like. */
void findings_send(struct findings *f,
    bool (*submit)(void *ctx, struct piece *piece), void *ctx);

/*
 * Those that wait, of one owner, as a piece for the workers; NULL: none, or the
 * last piece is still under way.  One that nobody takes comes back.
 */
struct piece *findings_piece(struct findings *f, int64_t now_ns);
void findings_back(struct findings *f, struct piece *p);

/* The writer's word on a connection; false: it is not the findings'. */
bool findings_reply(struct findings *f, uint64_t connection, uint32_t count);

struct findings_counters {
	uint64_t told;     /* since the start */
	uint64_t left_out; /* there was no room for them */
};
void findings_counters(struct findings *f, struct findings_counters *out);
