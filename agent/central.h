/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that a collector gives (order.h), and its way:
 *
 *   order --checked, allowed--> trial --a window was acknowledged--> good
 *                                 '-- nothing was, in fall_back --> the one
 *                                     before, and there it stays
 *
 * STATE_DIR holds "central.good" and "central.trial", the messages as they came
 * (their signatures are checked at each start), and "central.state", the newest
 * version that was ever seen and what became of it.  Each is replaced as a
 * whole, in an order in which an end at any point leaves one of: the old one,
 * the trial (begun again, TRIES times at most), the new one.
 */
#pragma once

#include "agent/config.h"
#include "agent/inputs/input.h"
#include "order.h"

struct central;

/* Which copy is in use. */
enum central_copy { CENTRAL_NONE, CENTRAL_GOOD, CENTRAL_TRIAL, CENTRAL_CHECK };

/*
 * Adds a copy to *c, as agent_config_add().  RC_EOF: there is none.
 */
struct central_trust {
	const char *state_dir;
	const struct sign_keys *keys;
	const char *agent; /* its id */
};
enum rc central_add(const struct central_trust *trust, enum central_copy which,
    struct agent_config *c, struct opener *o, struct error *err);

/* With what the agent begins; nothing is written. */
enum { CENTRAL_AGENT = 256 };
struct central_start {
	struct sign_keys *keys; /* owned until central_new(); NULL: no trust */
	char agent[CENTRAL_AGENT];
	enum central_copy in_use;
	bool given_up;       /* the trial that there is */
	struct error reason; /* of that */
};
/* Adds the copy to *c, which is loaded and checked. */
enum rc central_begin(struct agent_config *c, struct central_start *out,
    struct error *err);

struct central_options {
	struct loop *loop;
	const char *state_dir; /* copied */
	bool accept;
	int64_t fall_back_ns;
	/* Makes the copy the configuration in use; an error leaves what was. */
	enum rc (*apply)(void *ctx, enum central_copy which, struct error *err);
	/* Whether it could be; adds what would change, a JSON array. */
	enum rc (*check)(void *ctx, enum central_copy which,
	    struct buf *changes, struct error *err);
	/* Any other order, as it came; whoever takes it answers. */
	void (*respond)(void *ctx, struct slice id, struct slice wire);
	/* There is something to tell. */
	void (*wake)(void *ctx);
	void *ctx;
};

/* Takes the keys; the state folder is ours by now. */
struct central *central_new(const struct central_options *options,
    struct central_start *start);
void central_free(struct central *c); /* NULL is fine */

/* The configuration was read anew: `refused`: why its copy is out of use. */
void central_reconfigure(struct central *c, bool accept, int64_t fall_back_ns);
void central_refused(struct central *c, const struct error *why);
/* What is in use, or is to be when a trial was given up; CENTRAL_NONE where
 * nothing is accepted. */
enum central_copy central_in_use(const struct central *c);
struct central_trust central_trust(const struct central *c);

/* A message of the collector; copied, worked on soon. */
void central_take(struct central *c, struct slice wire);
/* What became of an order. */
void central_answer(struct central *c, struct slice order, struct slice result,
    struct slice reason);
/* Adds answers to a window. */
void central_fill(struct central *c, struct window *w);

/*
 * A status message went into a window with this mark; its ACK shows that the
 * configuration in use reaches a collector.
 */
uint64_t central_mark(const struct central *c);
void central_acked(struct central *c, uint64_t mark);
/* The inputs of a trial did not start. */
void central_failed(struct central *c, const struct error *why);

/* An object of the status message. */
struct json_writer;
void central_status(const struct central *c, struct json_writer *w);
