/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One generation of a file, and the reading of it.
 *
 * A rotation or a truncation begins a new generation; each has its own stream
 * (a UUID) and counts its bytes from 0.  The positions:
 *
 *   0 .......... acked_at .......... read_at .......... size
 *     acknowledged  |  in windows       |   not read
 *                   `- what the state   `- a line begins here, or the rest of
 *                      file says           a cut one (mid_line)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/inputs/fingerprint.h"
#include "agent/inputs/input.h"
#include "agent/inputs/line_event.h"

struct encoding;
struct gzip;
struct file_spec;
struct multiline;
struct tail_header;

/* Since the agent's start. */
struct file_counts {
	uint64_t lines;   /* read */
	uint64_t sent;    /* events put into windows */
	uint64_t acked;   /* events */
	uint64_t cut;     /* events */
	uint64_t skipped; /* bytes that were gone before they could be read */
};

/* A position in a stream, as receipts and the state carry it. */
#define MARK_MID_LINE   (UINT64_C(1) << 63)
#define MARK_STREAM_END UINT64_MAX

struct tail {
	TAILQ_ENTRY(tail) all;
	TAILQ_ENTRY(tail) ready_link;
	struct tail *hash_next;

	/* Which file. */
	uint8_t stream[16];
	struct file_id id;
	struct fingerprint head;
	struct fingerprint check;      /* before an acknowledged position */
	struct fingerprint check_next; /* becomes `check` once acknowledged */
	char *path;                    /* where it was seen last */
	char *origin; /* where it was seen first: what its events say */
	const struct file_spec *spec; /* NULL: no input names it */

	int64_t born_ns; /* of the file it was first seen as; 0: not known */

	/* Where in it. */
	uint64_t read_at;
	uint64_t acked_at;
	bool mid_line;
	bool acked_mid_line;
	uint32_t unacked; /* receipts that are out */
	/* Of a joined event that is not whole: looked at, from read_at on. */
	struct {
		size_t bytes, text;
		uint32_t lines;
	} pending;
	struct file_counts counts;

	/* How it is read. */
	int fd;            /* -1: closed */
	struct gzip *gzip; /* while it is read; else NULL */
	struct line_shape shape;
	const struct encoding *encoding; /* of its BOM; NULL: not known yet */
	unsigned char last[PRINT_LAST_BYTES]; /* before read_at */
	size_t last_len;
	struct tail_header *header; /* owned; NULL: not looked for, or plain */
	bool plain;                 /* a line by itself says all */
	uint64_t limit; /* read no further (drain); UINT64_MAX: no limit */
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
	int64_t checked_ns;     /* when these were true, real time */
	int64_t quiet_since_ns; /* monotonic; nothing came since */

	/* What is with it. */
	bool is_gzip;
	bool durable;   /* the state on disk knows its stream */
	bool ready;     /* in the ready list */
	bool rotated;   /* another file has its place, or none */
	bool deleted;   /* no name left */
	bool replaced;  /* truncated: its bytes are gone */
	bool copy;      /* holds what another one holds: is not read */
	bool finished;  /* nothing more will come; descriptor closed */
	bool last_line; /* an unfinished last line is one: no end will come */
	bool flush;    /* an unfinished joined event is one: it took too long */
	bool end_sent; /* stream_end is in a window */
	bool ended;    /* and acknowledged */
	bool dead;     /* out of use; freed when nobody walks the set */
	bool verified; /* since the start: the file is the one of the state */
	uint32_t scan; /* the last one that met it */
	struct tail *after; /* is read to its end before; may be NULL */

	/* What came between it and the one before is being searched. */
	struct {
		int64_t changed_ns, born_ns; /* since then; real time */
		int64_t until_ns;            /* monotonic; 0: no search */
	} missed;
};

struct file_spec {
	const struct input_config *config; /* borrowed */
	struct encoding *encoding;         /* owned; NULL: what a BOM says */
	struct multiline *multiline;       /* owned; NULL: each line an event */
	int64_t heartbeat_due_ns;          /* monotonic */
};

/* What the readers share: their buffers, one clock text. */
struct tail_scratch {
	char *bytes;
	size_t cap;
	struct buf text;   /* one line, decoded */
	struct buf joined; /* lines */
	struct audit_users *users;
	char now[48]; /* RFC 3339 */
};

/* `o` is borrowed. */
void tail_scratch_init(struct tail_scratch *s, struct opener *o);
void tail_scratch_fini(struct tail_scratch *s);

enum {
	TAIL_TURN_BYTES = 128 * 1024, /* fairness: one turn of one file */
	TAIL_QUIET_MS = 2000 /* a gone file's end is its end after that */
};

enum tail_turn {
	TAIL_MORE,     /* the turn is over, there may be more */
	TAIL_END,      /* everything there is was read */
	TAIL_FULL,     /* the window is */
	TAIL_REPLACED, /* the bytes before are not those that were read */
	TAIL_BROKEN    /* cannot be read; err says why */
};

/*
 * Adds the lines of one turn to the window, with receipts of `input`.
 * `last_line`: an unfinished last line counts as a line.  `flush`: whole lines
 * at the end are an event, though more that belong to it might come.
 */
struct tail_turn_args {
	struct window *window;
	struct tail_scratch *scratch;
	struct input_counts *counts;
	const void *input;
	bool last_line;
	bool flush;
};
enum tail_turn tail_read(struct tail *t, const struct tail_turn_args *args,
    struct error *err);

/* Where everything read is acknowledged, the position may pass silent bytes. */
void tail_settle(struct tail *t);
/* The position of a receipt was acknowledged. */
void tail_acked(struct tail *t, uint64_t mark);
/* Remembers what stands before the position, of a file just opened. */
void tail_load_last(struct tail *t);
/* Takes a digest of what was read last, to become `check`. */
void tail_plan_check(struct tail *t);

void tail_close(struct tail *t); /* the descriptor */
void tail_free(struct tail *t);  /* NULL is fine */

/* The lines in `data` as tail_read() takes them; for the gzip reader too. */
struct tail_lines {
	struct slice data; /* from t->read_at on */
	bool at_end;       /* no more behind it for now */
};
/* As many bytes hold a whole line or event, or show that it is too long. */
size_t tail_longest(const struct tail *t);
/* How many bytes were consumed; *full is set when the window is. */
size_t tail_take_lines(struct tail *t, const struct tail_lines *lines,
    const struct tail_turn_args *args, bool *full);
