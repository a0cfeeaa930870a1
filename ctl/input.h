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

/*
 * The options of a command line that set them: INPUT_OPTIONS stands in its
 * table for getopt_long(), what that returns goes to input_option().
 */
enum {
	INPUT_FIRST = 0x100,
	INPUT_DATASET = INPUT_FIRST,
	INPUT_PROGRAM,
	INPUT_YEAR,
	INPUT_TIMEZONE,
	INPUT_END
};
/* clang-format off */
#define INPUT_OPTIONS \
	{ "dataset", required_argument, NULL, INPUT_DATASET }, \
	{ "program", required_argument, NULL, INPUT_PROGRAM }, \
	{ "year", required_argument, NULL, INPUT_YEAR }, \
	{ "timezone", required_argument, NULL, INPUT_TIMEZONE }
/* clang-format on */
extern const char input_options_help[];

/* The code of an option by its name; -1: there is none. */
int input_option_named(struct slice name);

/* Borrows `text`.  RC_INVALID: err names the option and what it takes. */
enum rc input_option(struct input_options *o, int code, const char *text,
    struct error *err);

/* The event lives during the call.  False stops. */
typedef bool input_event_cb(void *ctx, struct event *ev);

/* One event for each line, or joined event, of FILE ("-": standard input). */
enum rc input_log(const char *path, const struct input_options *options,
    input_event_cb *cb, void *ctx, struct error *err);

/* One event for each JSON object, one a line; a bad line is an error with its
 * number. */
enum rc input_jsonl(const char *path, input_event_cb *cb, void *ctx,
    struct error *err);
