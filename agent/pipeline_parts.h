/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pipeline's own files share; nobody else includes it.
 *
 *   pipeline.c           from the inputs through windows to the sender, the
 *                        order of start and end
 *   pipeline_inputs.c    the inputs that the configuration asks for
 *   pipeline_reload.c    the configuration, taken at the start and again
 *   pipeline_central.c   what the collector tells: configurations and orders
 *   pipeline_report.c    what is told of the agent: log, `kuzet-agent status`
 */
#pragma once

#include "agent/central.h"
#include "agent/confine.h"
#include "agent/inputs/input.h"
#include "agent/output/sender.h"
#include "agent/pipeline.h"
#include "agent/renewal.h"
#include "agent/response.h"
#include "agent/roles/opener.h"
#include "agent/spool/spool.h"
#include "agent/status.h"
#include "log.h"
#include "loop.h"
#include "tls.h"

enum { KINDS_MAX = 8, RECEIPT_SETS = SENDER_WINDOWS_MAX + 1 };

struct active_input {
	const struct input_kind *kind;
	void *self;
	struct input_config *configs; /* those of this kind */
	size_t n_configs;
};

struct pipeline {
	const char *path; /* of the configuration */
	struct agent_config config;
	struct loop *loop;
	struct processes processes; /* their channels are the opener's */
	struct confined *confined;
	struct opener *opener;
	struct tls_context *tls;
	struct tls_context *tls_fresh; /* of the configuration being loaded */
	struct renewal *renewal;
	struct sender *sender;
	struct spool *spool;
	struct active_input inputs[KINDS_MAX];
	size_t n_inputs;
	int lock_fd;
	int memory_fd; /* of statm: the sandbox lets nobody open it */

	struct window window;     /* being filled */
	struct receipt *receipts; /* all sets: what is not used costs nothing */
	struct receipt *spare[RECEIPT_SETS];
	size_t n_spare;
	bool pump_posted;
	bool closing;

	struct status *status;
	struct central *central;
	bool trusts; /* a key, whose orders it takes */
	struct response *response;
	int responder; /* channel; -1: there is none */
	struct loop_timer *report;
	struct loop_timer *rest;
	uint64_t refused_calls;
	uint64_t reported; /* what the last report summed up to */
	struct loop_timer *drain;
	int64_t drain_began_ns; /* 0: not draining */
	bool drain_reading;
};

/* pipeline.c */

/* Of the stages' callbacks; ctx is the pipeline. */
void pipeline_wake(void *ctx);
void pipeline_say(void *ctx, enum log_level level, const char *text);

/* pipeline_inputs.c */

/* With the spool; an input that needs it and has none is an error. */
enum rc pipeline_open_inputs(struct pipeline *p, struct error *err);
void pipeline_reload_inputs(struct pipeline *p);
/* The sum of what the inputs count. */
void pipeline_counts(void *ctx, struct input_counts *sum);
void pipeline_each_file(void *ctx, input_file_cb *cb, void *cb_ctx);
bool pipeline_inputs_idle(const struct pipeline *p);
void pipeline_drain_inputs(struct pipeline *p);
void pipeline_close_inputs(struct pipeline *p);

/* pipeline_reload.c */

/* The sender and the renewal, by p->config. */
void pipeline_configure(struct pipeline *p);
/*
 * Reads the owner's file again, with that copy of the collector's on top.
 * `must`: a copy that cannot be used is an error, or it is told and left out.
 * On RC_OK p->tls_fresh is made for it.  In any case *fresh is the caller's to
 * free, and opener_reloaded() has to follow.
 */
enum rc pipeline_load_again(struct pipeline *p, enum central_copy which,
    bool must, struct agent_config *fresh, struct error *err);
/* The same, and everybody goes on with it; on an error all stays as it was. */
enum rc pipeline_reload(struct pipeline *p, enum central_copy which, bool must,
    struct error *err);
void pipeline_on_renewed(void *ctx);
void pipeline_on_reload_signal(void *ctx, int signo);

/* pipeline_central.c */

void pipeline_on_told(void *ctx, struct slice json);
void pipeline_on_up(void *ctx);
void pipeline_open_central(struct pipeline *p, struct central_start *start);
/* Before any right is given up. */
enum rc pipeline_start_responder(struct pipeline *p,
    const struct central_start *start, struct error *err);
void pipeline_open_response(struct pipeline *p);

/* pipeline_report.c */

/* `always`: also if nothing has happened since the last time. */
void pipeline_log_report(struct pipeline *p, bool always);
void pipeline_on_report(void *ctx); /* the timer's, and it starts it again */
void pipeline_on_report_signal(void *ctx, int signo);
/* How often the collector is told, by p->config. */
void pipeline_pace_status(struct pipeline *p);
/* Without its socket the agent works as well. */
void pipeline_open_status(struct pipeline *p);
