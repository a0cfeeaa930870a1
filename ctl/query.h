/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `events`, `incidents` and `detections` share: options that become a
 * request, and an answer that is passed on as JSON or printed as a table.
 */
#pragma once

#include "command.h"
#include "event.h"
#include "slice.h"

enum query_accepts {
	QUERY_TIME = 1,   /* --since, --until */
	QUERY_RULE = 2,   /* --rule */
	QUERY_EVENTS = 4, /* --where, --count, --flat */
	QUERY_LIMIT = 8,  /* --limit */
	QUERY_AFTER = 16, /* --after: pages */
};

struct query_spec {
	const char *name;
	const char *path;
	unsigned accepts;
	const char *help;   /* all of --help */
	const char *header; /* of the table */
	/* One object as a line; its names are dotted. */
	void (*row)(const struct event *ev, bool colour);
};

int query_run(const struct query_spec *spec,
    const struct global_options *global, int argc, char *argv[]);

/*
 * {"next":CURSOR} is for people: a member that no row has alone.  Says on
 * standard error what goes on behind it; false: the line is none such.
 */
bool print_next(struct slice line);

/*
 * For rows.  Text of strangers: what a terminal could obey is printed as '?'.
 * `width` pads; 0 is the last column.
 */
void print_text(struct slice s, int width);
/* A field's text: strings, numbers, lists with commas; "-" if missing. */
void print_field(const struct event *ev, const char *name, int width);
/* On a terminal, where NO_COLOR does not say otherwise (no-color.org). */
bool print_in_colour(void);
/* level in words, on a terminal also in colour */
void print_level(const struct event *ev, bool colour);
/* "source.ip=203.0.113.7 user.name=root": members below `name` */
void print_members(const struct event *ev, const char *name);
/* An event as a line of a table, and what stands above; in cmd_events.c. */
extern const char event_header[];
void print_event_row(const struct event *ev);
/* @timestamp, or another time, to the second */
void print_time(int64_t time_ns);
/* As above, of a field that holds an RFC 3339 text. */
void print_time_field(const struct event *ev, const char *name);
/* A field as it is, or, where it holds such a text, a time to the second. */
void print_cell(const struct event *ev, const char *name, int width);
