/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of the fim inputs: scans when it is time, looks at what inotify or
 * fanotify told, keeps the outbox.  It is the only one that writes the store
 * while the agent runs (beside `kuzet-agent fim window`).
 */
#pragma once

#include "agent/inputs/feed.h"
#include "agent/inputs/fim/fim_dirty.h"

struct fim_worker;

struct fim_worker_events {
	void *ctx;
	/* In the worker's thread. */
	void (*rows)(void *ctx);    /* the outbox has something new */
	void (*renewed)(void *ctx); /* the store is another file now */
	void (*say)(void *ctx, enum log_level level, const char *text);
};

/* Copies the configuration.  `dirty`, `notify` (NULL: no watching), `feed` and
 * the setup's opener are borrowed. */
struct fim_worker *fim_worker_start(const struct input_setup *setup,
    struct fim_dirty *dirty, struct opener_notify *notify, struct feed *feed,
    const struct fim_worker_events *events);
/* Soon: what was found is kept, the rest is found again. */
void fim_worker_stop(struct fim_worker *w); /* NULL is fine */
/* There is something dirty, or acknowledged. */
void fim_worker_wake(struct fim_worker *w);
/* Names seen by the last scans. */
uint64_t fim_worker_files(const struct fim_worker *w);
