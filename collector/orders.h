/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents are told, signed (order.h), and what they answer.
 *
 * An agent that trusts a key says so with its status messages; what waits for
 * it goes out on the connection of that message.  A configuration goes to whom
 * it is for until the agent says that it has it, or will not; an action goes
 * once, until it expires.
 *
 * Thread-safe.  In memory: after a start the next heartbeat of each agent says
 * what it has; who asked for what is in the audit log.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "batch.h"
#include "groups.h"
#include "identities.h"
#include "order.h"

enum {
	ORDERS_MAX = 1024, /* the oldest is forgotten */
	ORDERS_AGENTS_MAX = 100000,
	ORDER_ANSWER_MAX = 64 * 1024
};

struct orders;

struct orders_options {
	struct signer *signer; /* taken */
	const char *groups;    /* the folder; NULL: none; borrowed */
	const char *state_dir; /* borrowed */
	/* The group for which an agent enrolled, where that is known; under a
	 * lock of this. */
	bool (*group_of)(void *ctx, struct slice agent, char out[AGENT_GROUP]);
	/* Any thread: sends it, if the connection is there. */
	void (*tell)(void *ctx, uint64_t connection, struct slice wire);
	void *ctx;
};

enum rc orders_new(const struct orders_options *options, struct orders **out,
    struct error *err);
void orders_free(struct orders *o); /* NULL is fine */

/* The folder again: what changed has a new version, or all where `again`. */
enum rc orders_reload(struct orders *o, bool again, struct error *err);

/* A control message came; other ones than "status" and "answer" are nothing. */
void orders_heard(struct orders *o, const struct source *from,
    uint64_t connection, const struct event *control);
void orders_closed(struct orders *o, uint64_t connection);

/* The public key, PEM. */
void orders_key(const struct orders *o, struct buf *out);

/*
 * An order for an agent of that owner (ptr NULL: any).  kind, agent, by,
 * reason, target and seconds are taken from *what.  RC_EOF: no such agent has
 * said that it trusts a key.
 */
enum rc orders_ask(struct orders *o, struct slice owner,
    const struct order *what, char id[UUID_TEXT], struct error *err);

/* Newest last; `id` and `agent` with ptr NULL: any.  A callback must not call
 * back into this. */
void orders_list(struct orders *o, struct slice owner, struct slice id,
    struct slice agent, api_line_cb *cb, void *ctx);
/*
 * Who has, or should have, which configuration.  `check`: each that is
 * connected is asked to check the folder's file as it is now ("order" in the
 * line).
 */
enum rc orders_configs(struct orders *o, const struct api_configs *which,
    api_line_cb *cb, void *ctx, struct error *err);
