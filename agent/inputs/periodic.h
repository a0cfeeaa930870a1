/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An input that looks at the machine from time to time, compares with what it
 * knew, and tells the differences (inventory, policy): a thread of its own, its
 * state and outbox in one file (state_db.h), and the calls of struct input_kind.
 */
#pragma once

#include <stdatomic.h>

#include "agent/inputs/input.h"
#include "agent/inputs/state_db.h"

/* One entry of agent.yaml at its time. */
struct periodic_turn {
	struct state_db *db; /* in a transaction */
	struct opener *opener;
	const struct input_setup *setup;
	const char *host_name;
	const char *name; /* of the entry */
	const char *const *paths;
	size_t n_paths;
	const atomic_bool *stop;
};

struct periodic_kind {
	const char *db_name; /* in the state folder */
	const char *schema;
	/* Looks, and keeps what differs together with its events. */
	enum rc (*look)(const struct periodic_turn *turn, struct error *err);
};

enum rc periodic_open(const struct periodic_kind *kind,
    const struct input_setup *setup, void **out);

/* As in struct input_kind. */
void periodic_reload(void *self, const struct input_setup *setup);
bool periodic_fill(void *self, struct window *w);
void periodic_acked(void *self, const struct receipt *receipts, size_t n);
void periodic_drain(void *self);
bool periodic_idle(const void *self);
void periodic_counts(const void *self, struct input_counts *counts);
void periodic_save(void *self);
void periodic_close(void *self);

/* All of struct input_kind but its name, help and open(). */
#define PERIODIC_CALLS                                                         \
 .reload = periodic_reload, .fill = periodic_fill, .acked = periodic_acked,    \
 .drain = periodic_drain, .idle = periodic_idle, .counts = periodic_counts,    \
 .save = periodic_save, .close = periodic_close
