/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of several lines: which line begins one.
 *
 * Five ways to tell, of which one is chosen: a pattern of first lines, a
 * pattern of the lines that follow, indentation, a time stamp,
 * the serial of audit records.  Patterns are
 * PCRE2's, searched anywhere in the line, with bounds on steps and memory; a
 * line at which a bound is met begins an event.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "slice.h"

struct multiline_options {
	const char *first; /* NULL: none; a line that matches begins an event */
	const char *next;  /* NULL: none; a line that matches goes on */
	bool indent;       /* a line that begins with white space goes on */
	bool timestamp;    /* a line that begins with a time stamp begins one */
	bool audit;        /* audit records of one serial are one */
};

struct multiline;

/* How many of the ways are chosen. */
int multiline_ways(const struct multiline_options *o);

/* RC_INVALID: none or several ways, or a pattern that is none; err says. */
enum rc multiline_new(const struct multiline_options *o, struct multiline **out,
    struct error *err);
void multiline_free(struct multiline *m); /* NULL is fine */

/*
 * Whether `line` begins an event, or goes on with the one whose first line is
 * `first`; both are without their line ends, in UTF-8 or any bytes.
 */
bool multiline_begins(const struct multiline *m, struct slice first,
    struct slice line);
/* Whether an event is whole with this line, whatever comes behind. */
bool multiline_ends(const struct multiline *m, struct slice line);
