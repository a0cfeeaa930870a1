/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every generation of every file that the `file` inputs follow, in one set: a
 * file that several globs, links or inputs name is in it once.
 *
 *   file_set.c    the set: find, add, forget, the state on disk
 *   file_list.c   which files the globs name
 *   file_scan.c   which of them are new; which were renamed, came or went
 *   file_missed.c generations that came and went between two looks
 *   file_match.c  which one a file is, where the inode does not say it: copies,
 *                 compressed ones, truncated ones
 *   input_file.c  whose turn it is; when one is finished; heartbeats
 */
#pragma once

#include "agent/inputs/file_state.h"
#include "agent/inputs/tail.h"
#include "agent/roles/opener.h"

enum {
	FILE_BUCKETS = 4096,
	FILE_SPECS_MAX = 1000,
	SAID_MAX = 512,      /* warnings that are remembered */
	OPEN_IDLE_MAX = 512, /* above it, quiet files are closed */
};

struct stranger;

struct file_set {
	struct input_setup setup;
	struct file_spec *specs;
	size_t n_specs;
	struct tail_list tails; /* oldest first */
	struct tail_list ready; /* by ready_link */
	size_t n_tails;
	size_t n_ready;
	size_t n_open;
	struct tail *by_inode[FILE_BUCKETS];
	struct tail_scratch scratch;
	struct input_counts counts;
	struct loop_timer *poll;
	struct loop_timer *scan;
	struct loop_timer *save;
	struct tail *gzip_owner; /* one at a time is being read */
	uint32_t scan_id;
	int64_t scanned_ns;
	int64_t scan_gap_ns;     /* between two scans, at least */
	int64_t looked_ns;       /* real time of the last scan; 0: none yet */
	int64_t save_gap_ns;     /* between two writes of the state, at least */
	uint64_t said[SAID_MAX]; /* hashes of paths, a ring */
	size_t said_at;
	bool scan_soon;
	bool dirty; /* the state on disk is behind */
	bool save_armed;
	bool save_failed; /* said so */
	bool settling;    /* truncations are being seen to */
	bool full_said;
	bool draining;
};

void file_set_say(struct file_set *s, enum log_level level, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

/* A warning about `path`, which does not come again with each scan. */
void file_set_say_once(struct file_set *s, const char *path, const char *text);

void file_set_specs(struct file_set *s, const struct input_setup *setup);
void file_set_load(struct file_set *s);
/* Positions to disk; what is new in them may be sent from then on. */
void file_set_save(struct file_set *s);
void file_set_dirty(struct file_set *s);
void file_set_clear(struct file_set *s);

/* The generation that has this inode now, if it is known. */
struct tail *file_set_find(const struct file_set *s, const struct file_id *id);
void file_set_index(struct file_set *s, struct tail *t);
void file_set_unindex(struct file_set *s, struct tail *t);

/*
 * A generation found at `path`, with a stream of its own; takes `fd`.  NULL:
 * there are too many (said and counted), fd is closed.
 */
struct tail *file_set_add(struct file_set *s, const char *path,
    const struct file_spec *spec, int fd, const struct opener_stat *st);
void file_set_forget(struct file_set *s, struct tail *t);
/* The same, later: somebody may be walking the set. */
void file_set_drop(struct file_set *s, struct tail *t);
void file_set_purge(struct file_set *s);

/* Whose lines its events are from now on. */
void file_set_assign(struct file_set *s, struct tail *t,
    const struct file_spec *spec);
/* The input whose globs name `path`, or NULL. */
const struct file_spec *file_set_spec_of(const struct file_set *s,
    const char *path);

void file_set_ready(struct file_set *s, struct tail *t);
void file_set_unready(struct file_set *s, struct tail *t);
void file_set_close(struct file_set *s, struct tail *t);
void file_set_opened(struct file_set *s, struct tail *t, int fd,
    const struct opener_stat *st);
void file_set_set_path(struct tail *t, const char *path);

/* file_list.c */
struct candidate {
	char *path;
	const struct file_spec *spec;
	struct opener_stat st;
};

struct candidates {
	struct file_set *set;
	struct candidate *found; /* owned */
	size_t n, cap;
};

/* Unless the input excludes it, or there are too many. */
void candidates_add(struct candidates *q, const struct file_spec *spec,
    const char *path, const struct opener_stat *st);
void candidates_sort(struct candidates *q); /* oldest first */
void candidates_fini(struct candidates *q);
/* All files that the globs name, oldest first. */
void file_list(struct file_set *s, struct candidates *out);

static inline struct file_id
file_id_of(const struct opener_stat *st)
{
	return (struct file_id){ st->dev, st->ino, st->btime_ns };
}

/* file_missed.c */
/* The generation that was read at `path` before `t`, or NULL. */
struct tail *file_former(struct file_set *s, const char *path,
    const struct tail *t);
/*
 * Reads what was rotated away between `f` and `t`.  Without `f` there was
 * nothing at the last scan, so what was born since is missed.
 */
void file_find_missed(struct file_set *s, struct tail *f, struct tail *t);
/* The same for `t`, which was empty at the last look and is not any more. */
void file_find_missed_before(struct file_set *s, struct tail *t);
/* Searches that are not over go on: names moved while folders were read. */
void file_find_missed_again(struct file_set *s);

/* file_scan.c */
void file_scan(struct file_set *s);
/* A generation that nobody has read; takes the descriptor.  NULL: too many. */
struct tail *file_begin(struct file_set *s, struct stranger *f,
    const struct file_spec *spec);
void file_scan_soon(struct file_set *s);
/* Looks at an open file again: grown, truncated, deleted? */
void file_refresh(struct file_set *s, struct tail *t);
/* Its bytes are gone; what the file holds now is another generation. */
void file_replaced(struct file_set *s, struct tail *t);

/* file_match.c */
/* A file that nobody reads yet. */
struct stranger {
	const char *path;
	int fd;
	struct opener_stat st;
	bool is_gzip;
	size_t head_len;
	char head[PRINT_BYTES_MAX]; /* uncompressed */
};

/* Opens it and reads its head; false: not now (said where it matters). */
bool stranger_open(struct file_set *s, const char *path, struct stranger *out);
void stranger_close(struct stranger *f);
/*
 * Before it is matched: open files that were truncated unseen are seen to be,
 * for it may be a copy of what they hold now, or of what they held before.
 * False: somebody has it by now (names have moved between their listing and the
 * opening), or it is to be looked at again soon.
 */
bool stranger_settle(struct file_set *s, const struct stranger *f);

enum match {
	MATCH_NONE, /* it holds something else */
	MATCH_COPY, /* all it holds is or was read from `of` */
	MATCH_HEIR, /* it holds what `of` has lost before it was read */
};
enum match stranger_match(struct file_set *s, struct stranger *f,
    struct tail **of);
/* Whether `f` holds the bytes that `t` has read, and those after them. */
bool stranger_continues(struct stranger *f, const struct tail *t);
/* What was read of an open file is not what it holds now. */
bool file_content_changed(const struct tail *t);
/* `t` goes on in that file; its descriptor is taken. */
void file_adopt(struct file_set *s, struct tail *t, struct stranger *f);
/* An open file of the state: is it what the state speaks of? */
bool file_verify(struct tail *t, int fd, const struct opener_stat *st);
/* A generation without a file looks for one beside its old name. */
bool file_relocate(struct file_set *s, struct tail *t);
