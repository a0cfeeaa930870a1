/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way of the agent to files of the machine: list, watch, open, stat.
 *
 * Started by root with `user:`, or with CAP_DAC_READ_SEARCH, the agent asks a
 * process of its own, which keeps that capability and serves only what the
 * configuration lists (opener_serve.h); else it opens by itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "loop.h"

struct opener;

struct opener_stat {
	uint64_t dev, ino;
	uint64_t size;
	uint64_t links;
	int64_t mtime_ns, ctime_ns;
	int64_t btime_ns; /* 0: the file system does not say */
	uint32_t mode;    /* type and permissions, as stat(2) */
	uint32_t uid, gid;
	bool regular;
	bool mount_root; /* something is mounted here, a bind mount too */
};

struct opener_events {
	void *ctx;
	/* `name` in `dir` was written to. */
	void (*written)(void *ctx, const char *dir, const char *name);
	/* Names came, went or changed somewhere, or events were lost. */
	void (*names)(void *ctx);
};

enum {
	OPENER_PATHS_MAX = 65536, /* of one pattern */
	OPENER_WATCHES_MAX = 4096 /* folders */
};

/* `l` NULL: it cannot watch. */
struct opener *opener_new(struct loop *l);
/* That asks a process of opener_serve.h; takes the channels (`runner` -1: there
 * is none).  Where the process is gone, the program ends. */
struct opener *opener_connect(struct loop *l, const int channels[2],
    int runner);
void opener_free(struct opener *o); /* NULL is fine */

/*
 * The process reads the configuration again, by itself: `text` is what it read.
 * Until it is told which one holds (`kept`: the new one), it answers for both.
 * RC_INVALID: it stays with what it had.  RC_AGAIN: there is no such process.
 */
enum rc opener_reload(struct opener *o, struct buf *text, struct error *err);
void opener_reloaded(struct opener *o, bool kept);
/* The channel for runner.h: -1: commands are run from here; OPENER_NO_RUNNER:
 * nobody runs them. */
enum { OPENER_NO_RUNNER = -2 };
int opener_runner(const struct opener *o);

/* Requests for what is not in the configuration, since the start. */
uint64_t opener_refused(const struct opener *o);

/*
 * Calls back for each file that a glob(7) pattern names, sorted; symbolic links
 * are followed.  RC_LIMIT: more than OPENER_PATHS_MAX, the rest is left out.
 */
typedef void opener_path_cb(void *ctx, const char *path,
    const struct opener_stat *st);
enum rc opener_list(struct opener *o, const char *pattern, opener_path_cb *cb,
    void *ctx, struct error *err);

/*
 * Calls back for each file beside `path` whose name says that it was `path`
 * once: see rotation.h.
 */
void opener_rotated(struct opener *o, const char *path, opener_path_cb *cb,
    void *ctx);

/* Regular files only; *fd is the caller's. */
enum rc opener_open(struct opener *o, const char *path, int *fd,
    struct opener_stat *st, struct error *err);
enum rc opener_stat(struct opener *o, const char *path, struct opener_stat *st);
bool opener_stat_fd(int fd, struct opener_stat *st);
/* The same, of a symbolic link itself; false: errno says why. */
bool opener_lstat(struct opener *o, const char *path, struct opener_stat *st);
/*
 * Never what a link points to; leaves no trace in the access time if it may.
 * RC_INVALID: no regular file; RC_SYSTEM: errno says why.
 */
enum rc opener_open_itself(struct opener *o, const char *path, int *fd,
    struct opener_stat *st, struct error *err);

/*
 * opener_open_itself() of several files, with one question where there is a
 * process to ask: `n` paths, at most OPENER_MANY.  Where .fd is -1, .errnum says
 * why; 0: it is no regular file.
 */
enum { OPENER_MANY = 32 };
struct opener_opened {
	int fd; /* the caller's */
	int errnum;
};
void opener_open_many(struct opener *o, const char *const *paths, size_t n,
    struct opener_opened *out);

/*
 * Connects to the UNIX stream socket of this path; *fd is the caller's, and does
 * not block.  RC_INVALID: it is no socket; RC_SYSTEM: errno says why.
 */
enum rc opener_socket(struct opener *o, const char *path, int *fd,
    struct error *err);

/*
 * Watches a folder from now on; asking again costs little.  A folder that
 * cannot be watched (no more inotify watches, a file system without them) is
 * left to polling: opener_watches_all() says so.
 */
void opener_watch(struct opener *o, const char *dir);
/* Who is told; one at a time. */
void opener_listen(struct opener *o, const struct opener_events *events);
bool opener_watches_all(const struct opener *o);
