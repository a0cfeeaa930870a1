/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process can still ask of the kernel: seccomp(2) lists of system calls,
 * and, for the worker, the folders it can open files in (Landlock).  A call that
 * is not listed fails with EPERM and is told to the kernel's log; one that only
 * an intruder makes ends the process.
 */
#pragma once

#include <stddef.h>

#include "error.h"

enum { SANDBOX_PATHS_MAX = 64 };

struct sandbox_paths {
	const char *read[SANDBOX_PATHS_MAX]; /* files and folders, borrowed */
	size_t n_read;
	const char *write; /* a folder */
};

struct sandbox_state {
	int landlock; /* the kernel's version of it; 0: it has none */
};

/* Before any thread: Landlock holds for the calling one and those it makes. */
enum rc sandbox_worker(const struct sandbox_paths *paths,
    struct sandbox_state *out, struct error *err);
enum rc sandbox_opener(struct error *err);
