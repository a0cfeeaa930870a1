/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's processes: the worker is the one that was started; the opener and
 * the runner are its children, forked while the rights are there and before
 * anything foreign is read.
 *
 *   worker   `user:`, no capability          parses, hashes, ships
 *   opener   `user:`, CAP_DAC_READ_SEARCH    opens what is configured
 *   runner   `user:`, no capability          runs a policy's commands
 *   responder  who began; CAP_NET_ADMIN,     does what is ordered and signed
 *            CAP_DAC_READ_SEARCH
 *
 * Each ends when the worker does; the worker ends when the opener does.
 */
#pragma once

#include "agent/roles/opener_serve.h"
#include "agent/roles/responder.h"
#include "agent/roles/runner.h"

struct processes_options {
	const char *user; /* NULL: who we are */
	struct opener_policy policy;
	runner_command *commands; /* NULL: no runner */
};

struct processes {
	int opener[2]; /* channels, the caller's; -1: this process opens */
	int runner;    /* -1: none */
};

/*
 * The responder, which is forked whether or not the rest is: only it runs what
 * is ordered.  *channel is the caller's.  The options are used by the child
 * alone, which closes the channels of the others.
 */
enum rc responder_start(struct responder_options *options,
    const struct processes *others, int *channel, struct error *err);

/* Whether there is a right to keep apart: CAP_DAC_READ_SEARCH, of root with
 * `user:`, or of an ordinary user (systemd's AmbientCapabilities). */
bool processes_wanted(const char *user);

/* Takes the grants.  Before any thread. */
enum rc processes_start(const struct processes_options *options,
    struct grants *grants, struct processes *out, struct error *err);
