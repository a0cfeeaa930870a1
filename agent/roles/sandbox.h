/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process can still ask of the kernel: seccomp(2) lists of system calls,
 * and, for the worker, the folders it can open files in (Landlock).  A call that
 * is not listed fails with EPERM, is counted, and is told to the kernel's log;
 * one that only an intruder makes ends the process.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Sanitizers look at their own process: there the lists are wider. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
# define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
# define SANDBOX_SANITIZED                                                     \
  (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
# define SANDBOX_SANITIZED 0
#endif

enum { SANDBOX_PATHS_MAX = 64, SANDBOX_CALL_NAME = 32 };

struct sandbox_paths {
	const char *read[SANDBOX_PATHS_MAX]; /* files and folders, borrowed */
	size_t n_read;
	const char *write; /* a folder */
};

struct sandbox_state {
	int landlock; /* the kernel's version of it; 0: it has none */
};

/*
 * Before the processes are made: refused calls of all of them are counted in one
 * place.  Without it, nothing is counted.
 */
void sandbox_count(void);
/* Calls refused since then; `last` is the newest one's name, or empty. */
uint64_t sandbox_refused(char last[SANDBOX_CALL_NAME]);

/* The version that this kernel has; 0: none. */
int sandbox_landlock(void);

/* Before any thread: Landlock holds for the calling one and those it makes. */
enum rc sandbox_worker(const struct sandbox_paths *paths,
    struct sandbox_state *out, struct error *err);
enum rc sandbox_opener(struct error *err);
