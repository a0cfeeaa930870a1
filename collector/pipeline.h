/* SPDX-License-Identifier: Apache-2.0 */
/* The collector as a whole: where its stages meet. */
#pragma once

#include "config.h"

struct pipeline;

/*
 * Opens the store, rebuilds state, binds listeners: on RC_OK the collector is
 * ready.  `config` is borrowed for the life of the pipeline; `path` is where it
 * came from (a reload reads it again).
 */
enum rc pipeline_new(const char *path, const struct collector_config *config,
    struct pipeline **out, struct error *err);

/* Until SIGTERM or SIGINT; SIGHUP reloads.  Drains what it has received. */
void pipeline_run(struct pipeline *p);
void pipeline_free(struct pipeline *p); /* NULL is fine */
