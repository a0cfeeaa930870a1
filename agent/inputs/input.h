/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every input of the agent offers.  One kind of input is one .c file that
 * ends with one `const struct input_kind`; registry.c lists them all.
 *
 * Inputs are pulled: when the output has room, the pipeline gives each a window
 * to fill.  With each event goes a receipt; it comes back when the collector
 * acknowledged the event, in the order of the events.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "log.h"
#include "loop.h"
#include "multiline.h"

struct opener;
struct spool;

enum {
	WINDOW_EVENTS = 2048,
	WINDOW_BYTES = 1024 * 1024,    /* of J frames; filled up to there */
	FRAMES_MAX = 8 * 1024 * 1024,  /* one event can be long */
	MAX_LINE_DEFAULT = 1024 * 1024 /* and largest: 6 MiB of JSON */
};

struct receipt {
	const void *input; /* who gets it back */
	void *stream;      /* his */
	uint64_t mark;     /* his */
};

struct window {
	struct buf frames;        /* J frames, seq from 1 */
	struct receipt *receipts; /* WINDOW_EVENTS of them */
	uint32_t n;
};

static inline bool
window_full(const struct window *w)
{
	return w->n >= WINDOW_EVENTS || w->frames.len >= WINDOW_BYTES;
}

/* What the `journal` input reads; everything is borrowed. */
struct journal_config {
	const char *const *files; /* these, */
	size_t n_files;
	const char *directory;    /* or this folder, or NULL: this machine's */
	const char *const *units; /* none: all */
	size_t n_units;
	int priority;   /* 7: all, without one too; else 0 to this one */
	bool from_tail; /* a first start begins at the end */
};

enum probe_check { PROBE_DNS, PROBE_TCP, PROBE_HTTP, PROBE_TLS, PROBE_NTP };

/* What the `probe` input looks at; everything is borrowed. */
struct probe_config {
	enum probe_check check;
	const char *const *targets;
	size_t n_targets;
	const char *const *servers; /* dns; none: those of the zone */
	size_t n_servers;
	int64_t every_ns, timeout_ns;
	int status;            /* http; 0: below 400 */
	const char *sha256;    /* http; NULL: any content */
	const char *ca;        /* PEM; NULL: the system's */
	int certificate_days;  /* that it must be good for */
	int signature_days;    /* the same of a zone's signatures */
	int64_t offset_max_ns; /* ntp */
	const char *const *maintenance;
	size_t n_maintenance;
};

/* One `inputs` entry of agent.yaml; everything is borrowed. */
struct input_config {
	const char *name; /* unique; the watermark's name at the collector */
	const char *const *paths;
	size_t n_paths;
	const char *const *exclude;
	size_t n_exclude;
	const char *dataset;  /* NULL: none */
	const char *timezone; /* NULL: none */
	int year;             /* 0: none */
	size_t max_line;      /* bytes */
	const char *encoding; /* NULL: UTF-8, or what a byte order mark says */
	struct {
		struct multiline_options how; /* no way: each line an event */
		uint32_t max_lines;
		int64_t timeout_ns;
	} multiline;
	const char *socket; /* of `audit`, which has no paths then; or NULL */
	struct journal_config journal;
	struct probe_config probe;
	struct fim_config {
		bool realtime;
		int64_t interval_ns;
		bool full;    /* rescan: full */
		int64_t rate; /* bytes a second; 0: no limit */
		uint64_t max_file_size;
		const char *const *diff;
		size_t n_diff;
		const char *const *diff_never;
		size_t n_diff_never;
		size_t diff_max;                /* bytes */
		const char *const *maintenance; /* maintenance.h */
		size_t n_maintenance;
	} fim;
};

struct input_setup {
	struct loop *loop;
	struct opener *opener;
	struct spool *spool; /* for events that no file stands behind */
	const char *state_dir;
	const char *host_name;
	const struct input_config *inputs; /* those of this kind */
	size_t n_inputs;
	int64_t heartbeat_ns;
	bool controls;   /* the receiver understands control messages */
	int64_t scan_ns; /* between two looks at all names */
	/* There is something to fill a window with. */
	void (*wake)(void *ctx);
	/* For the operator's log. */
	void (*say)(void *ctx, enum log_level level, const char *text);
	void *ctx;
};

struct input_counts {
	uint64_t files;   /* followed now */
	uint64_t read;    /* events put into windows */
	uint64_t acked;   /* events acknowledged */
	uint64_t cut;     /* events cut at max_line */
	uint64_t skipped; /* bytes that were gone before they could be read */
	uint64_t dropped; /* files that a bound left out */
	uint64_t damaged; /* files that could not be read to their end */
};

/* One file, or one generation of it; everything is borrowed. */
struct input_file {
	const char *path;
	const char *input; /* the entry's name; NULL: none names it any more */
	const char *state; /* one word */
	uint8_t stream[16];
	uint64_t size;           /* bytes; of a compressed file: on disk */
	uint64_t read, acked_to; /* positions */
	uint64_t backlog;        /* bytes that are not acknowledged */
	uint64_t lines;          /* read since the start, as all below */
	uint64_t sent, acked;    /* events */
	uint64_t cut;            /* events */
	uint64_t skipped;        /* bytes */
};
typedef void input_file_cb(void *ctx, const struct input_file *f);

struct input_kind {
	const char *name; /* as written in agent.yaml(5) */
	const char *help; /* one line */

	/* Its events go through the spool, which fills, counts and saves in
	 * its place: of the calls below only open, reload and close are needed,
	 * the others may be NULL. */
	bool spools;

	/* On RC_OK *out is owned by the caller, who gives it to close(). */
	enum rc (*open)(const struct input_setup *setup, void **out,
	    struct error *err);
	/* Other entries from now on; what goes on keeps its positions. */
	void (*reload)(void *self, const struct input_setup *setup);
	/* Adds what there is; true: there is more. */
	bool (*fill)(void *self, struct window *w);
	void (*acked)(void *self, const struct receipt *receipts, size_t n);
	/* From now on nothing is read that was not there by now. */
	void (*drain)(void *self);
	/* Everything there is has been read and acknowledged. */
	bool (*idle)(const void *self);
	void (*counts)(const void *self, struct input_counts *counts);
	/* Everything that is followed or remembered; NULL: it has no files. */
	void (*files)(const void *self, input_file_cb *cb, void *ctx);
	/* Positions go to disk now. */
	void (*save)(void *self);
	void (*close)(void *self); /* NULL is fine; saves */
};

/* The kinds that agent.yaml's inputs can have, then the spool's; ends with
 * NULL. */
extern const struct input_kind *const input_kinds[];
extern const struct input_kind input_spool;
