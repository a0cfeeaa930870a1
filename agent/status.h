/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the agent is: what it has read, sent and had to leave out, what it costs,
 * and where it is in each file.  Told to the collector with each heartbeat, and
 * on STATE_DIR/status.sock to `kuzet-agent status`: one JSON object a line, the
 * agent first, then each file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/inputs/input.h"

struct central;
struct renewal;
struct sender;
struct status;

/* What the pipeline knows; borrowed. */
struct status_source {
	void *ctx;
	void (*counts)(void *ctx, struct input_counts *sum);
	void (*files)(void *ctx, input_file_cb *cb, void *cb_ctx);
	void (*wake)(void *ctx); /* there is something to fill a window with */
	const struct sender *sender;
	const struct spool *spool;
	const struct opener *opener;
	const struct central *central; /* NULL: nothing is trusted */
	bool apart;                    /* the opener is a process of its own */
	const struct renewal *renewal;
	int landlock;  /* the version that confines this one; 0: none */
	int memory_fd; /* /proc/self/statm; -1: none */
};

struct status *status_new(struct loop *l, const struct status_source *source);
void status_free(struct status *s); /* NULL is fine; before the loop */

/* Tells the collector so often from now on; 0: never. */
void status_every(struct status *s, int64_t ns);
/* Tells as soon as it can, if it tells at all. */
void status_now(struct status *s);
/* Adds the control message if it is due; its receipt's `input` is `central`. */
void status_fill(struct status *s, struct window *w);

/* Answers on STATE_DIR/status.sock, mode 0600, to its owner and root. */
enum rc status_listen(struct status *s, const char *state_dir,
    struct error *err);

/* `kuzet-agent status`: argv[0] is "status"; the exit status. */
int status_command(int argc, char *argv[]);
