/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of the machine, run for the agent: with an environment of our own,
 * signals as they are by default, and no descriptor but these.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Borrowed; -1: /dev/null. */
struct spawn_files {
	int in, out, err;
};

/* argv[0] is a path.  False: it cannot be run; *pid is to be waited for else. */
bool spawn_program(const char *const *argv, const struct spawn_files *files,
    pid_t *pid);
