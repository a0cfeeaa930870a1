/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The responder: a process that takes what a collector orders to be done on the
 * machine, from a fixed list, and does it if the owner lists it, too.
 *
 *   worker --message, as it came--> responder --argv of a fixed form--> program
 *          <--answers, events------
 *
 * It is forked before anything foreign is read, keeps CAP_NET_ADMIN and
 * CAP_DAC_READ_SEARCH where it has them, and believes the worker nothing: it
 * checks signature, agent and time by itself.  An order is done once: its id is
 * remembered as long as it is good, and none is taken that could have been
 * issued before the process began, so that a restart forgets nothing.  What is
 * undone after a time is undone by the kernel (a set's time-out) or systemd (a
 * timer), whatever becomes of us.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "order.h"

struct conf_strings;

/* All borrowed. */
struct responder_options {
	const struct sign_keys *keys;
	const char *agent;                  /* its id */
	const struct conf_strings *enabled; /* actions */
	const struct conf_strings *services;
	const struct conf_strings *evidence; /* files */
	const struct conf_strings *never;    /* networks that are not blocked */
	const struct conf_strings *hosts;    /* nor are these, HOST:PORT */
	int64_t max_ns;                      /* of what is undone */
	int64_t started_ns;                  /* real time */
	/* Programs; NULL: where they are. */
	const char *nft, *systemctl, *systemd_run;
	/* What is to be told: a JSON object with "type": "answer" (order, result,
	 * reason) or "event" (an event's members); more than RESPONDER_SAYS_MAX
	 * is cut. */
	void (*say)(void *ctx, struct slice json);
	void *ctx;
};
enum { RESPONDER_SAYS_MAX = 96 * 1024, RESPONDER_SEEN_MAX = 4096 };

extern const char *const response_actions[]; /* ends with NULL */
/* Whether an action of that name exists. */
bool response_is_action(const char *name);
/* A unit's name that can be given to systemctl(1): "nginx.service". */
bool response_is_unit(const char *name);

struct responder;
struct responder *responder_new(const struct responder_options *options);
void responder_free(struct responder *r); /* NULL is fine */

/* One message; `now_ns` is real time. */
void responder_take(struct responder *r, struct slice wire, int64_t now_ns);

/* The process: messages of the channel, until its other end is closed. */
void responder_serve(int channel, struct responder_options *options);
