/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails on demand: a SQLite VFS over the real one, which counts the
 * operations that change files and, at one of them, fails or ends the process
 * as kill -9 would.
 */
#pragma once

enum faulty_mode {
	FAULTY_NEVER,
	FAULTY_FULL, /* from that operation on nothing can be written */
	FAULTY_IO,   /* that one operation fails */
	FAULTY_TORN, /* half of that write is done, then the process ends */
	FAULTY_KILL, /* the process ends before it */
};

enum { FAULTY_EXIT = 86 }; /* status of a process ended so */

/* Makes it the default for connections opened from now on. */
void faulty_vfs_install(void);

/* Counts from 0 again; the operation `at` (from 0) is the one that fails. */
void faulty_vfs_set(enum faulty_mode mode, unsigned at);
unsigned faulty_vfs_count(void);
