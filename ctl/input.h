/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for the offline commands: raw logs through the normalizers, and
 * files of JSON objects.
 */
#pragma once

#include "error.h"
#include "event.h"

struct input_options {
	const char *dataset;  /* NULL: found from the content */
	const char *program;  /* NULL: from the line's header */
	const char *timezone; /* NULL: UTC */
	int year;             /* 0: guessed */
};

/* The event lives during the call.  False stops. */
typedef bool input_event_cb(void *ctx, struct event *ev);

/* One event for each line, or joined event, of FILE ("-": standard input). */
enum rc input_log(const char *path, const struct input_options *options,
    input_event_cb *cb, void *ctx, struct error *err);

/* One event for each JSON object, one a line; a bad line is an error with its
 * number. */
enum rc input_jsonl(const char *path, input_event_cb *cb, void *ctx,
    struct error *err);
