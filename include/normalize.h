/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalizing: a line becomes an ECS event, by rules that are data files
 * (rules/normalizers/ *.yml; their format is in doc/man/kuzet-normalizers.5).
 *
 * A set is immutable and counted; a normalizer is one thread's scratch.
 */
#pragma once

#include "error.h"
#include "event.h"
#include "timestamp.h"

struct normalizer_set;

struct normalizer_finding {
	const char *file;
	unsigned line;
	const char *message;
};
typedef void normalizer_finding_cb(void *ctx,
    const struct normalizer_finding *finding);

/* Loads every *.yml below `dir`; a bad file is refused, the others load. */
enum rc normalizer_set_load(const char *dir, normalizer_finding_cb *cb,
    void *ctx, struct normalizer_set **out, struct error *err);
struct normalizer_set *normalizer_set_ref(struct normalizer_set *s);
void normalizer_set_unref(struct normalizer_set *s); /* NULL is fine */
uint32_t normalizer_set_count(const struct normalizer_set *s);

/*
 * Examines the files of `dir`, which `set` was loaded from.  Findings: patterns
 * that a hostile line can make run away; and, where `count` is not NULL, samples
 * that give another event than the one that stands beside them.
 */
struct normalizer_samples {
	uint32_t run, failed;
};
enum rc normalizer_set_examine(const char *dir, struct normalizer_set *set,
    normalizer_finding_cb *cb, void *ctx, struct normalizer_samples *count,
    struct error *err);

/* What is known of a line besides its text. */
struct normalize_hints {
	struct slice dataset; /* "system.auth"; empty: found from the content */
	struct slice program; /* process.name if a header told; may be empty */
	struct timestamp_hints time;
	/* the header of the log that names the columns of the line, see
	 * log_header.h; empty: none is known */
	struct slice header;
};

struct normalizer;
struct normalizer *normalizer_new(struct normalizer_set *s);
void normalizer_free(struct normalizer *n);
/* Matches that ended at a bound so far; their events have error.message. */
uint64_t normalizer_limits(const struct normalizer *n);

/*
 * A text line.  Sets event.original, message, @timestamp and what the line says;
 * a line that no normalizer knows gets event.kind: pipeline_error (returns
 * false) and keeps time and header as far as they were read.  `line` must live
 * as long as the event's arena.  ev->time_ns must hold the arrival time before:
 * it stays where the line has none.
 */
bool normalizer_line(struct normalizer *n, struct event *ev, struct slice line,
    const struct normalize_hints *hints);

/*
 * An event that came as JSON (Beats): a `message` that a dataset's normalizer
 * knows is parsed into the fields that the event does not have yet.  True
 * unless it wanted parsing and could not be.
 */
bool normalizer_event(struct normalizer *n, struct event *ev,
    const struct normalize_hints *hints);

/* A syslog frame (RFC 5424 or RFC 3164 after the framing is taken off). */
bool normalizer_syslog(struct normalizer *n, struct event *ev,
    struct slice frame, const struct normalize_hints *hints);
