/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a journal, found, watched and opened through the opener: what
 * reads them needs no way to any path.
 *
 * Which files those are is what journalctl(1) reads: "*.journal" and
 * "*.journal~" of the folder and of its folders that are named by the id of a
 * machine; of this machine's journal, by its own id.
 */
#pragma once

#include "agent/inputs/input.h"
#include "agent/roles/opener.h"

enum { JOURNAL_FILES_MAX = 7168 }; /* libsystemd reads no more at once */

/*
 * Calls back with each pattern, glob(7), that names files of this journal.
 * `o` reads the id of this machine.
 */
typedef void journal_pattern_cb(void *ctx, const char *pattern);
void journal_patterns(const struct journal_config *config, struct opener *o,
    journal_pattern_cb *cb, void *ctx);

struct journal_files;

struct journal_file {
	int fd;           /* -1: nobody's, or taken */
	int refused;      /* errno: it cannot be read, or is no journal */
	const char *path; /* of its last look */
};

/* `config` is borrowed. */
struct journal_files *journal_files_new(struct opener *o,
    const struct journal_config *config);
void journal_files_free(struct journal_files *f); /* NULL is fine */

/* Readable: journal_files_renewed() has something to see.  -1: none. */
int journal_files_fd(const struct journal_files *f);

/*
 * Looks for files and opens them; who takes a descriptor makes it -1 and closes
 * it, who cannot use one sets `refused`.  Valid until the next call.
 */
struct journal_file *journal_files_open(struct journal_files *f, size_t *n);
/* Closes what was not taken. */
void journal_files_close(struct journal_files *f);

/*
 * Whether files came since they were opened: they may hold entries from before
 * what was read since, so they have to be opened again first.
 */
bool journal_files_renewed(struct journal_files *f);
/* From time to time: whether files came or went, watched or not. */
bool journal_files_differ(struct journal_files *f);

/* The next one that has been refused for a while and was not told of; NULL:
 * there is none. */
const struct journal_file *journal_files_tell(struct journal_files *f);
