/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opener process: opens, lists and watches for the worker what the
 * configuration lists, and nothing else; opener.h asks it.
 *
 * What it may open is made from the configuration by the opener itself.  A
 * worker that is no longer ours can only ask.
 */
#pragma once

#include "agent/roles/grants.h"
#include "agent/roles/opener_wire.h"
#include "buf.h"
#include "slice.h"

struct opener_policy {
	void *ctx;
	/* The configuration's text, which *out is made from; the caller's. */
	enum rc (*read)(void *ctx, struct buf *text, struct grants **out,
	    struct error *err);
};

struct opener_server;

/* Takes the grants. */
struct opener_server *opener_server_new(struct grants *g,
    const struct opener_policy *policy);
void opener_server_free(struct opener_server *s); /* NULL is fine */

/* Answers on both channels until the other end closes one; then ends. */
_Noreturn void opener_server_run(struct opener_server *s,
    const int channels[2]);

/* One channel's lists and walks; for tests, which have no channel. */
struct opener_client;
struct opener_client *opener_client_new(struct opener_server *s);
void opener_client_free(struct opener_client *c); /* NULL is fine */
/* The answer to one message, its head included, and its descriptors. */
void opener_client_answer(struct opener_client *c, struct slice message,
    struct buf *out, struct wire_fds *fds);
