/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a fixed list, run for the worker, which may run nothing: by a
 * process that was forked before the sandbox and is the ordinary user without
 * any capability.  It is told names, never arguments.  Without such a process
 * (`channel` -1) they are run from here.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* What a name stands for, argv with its NULL; NULL: nothing. */
typedef const char *const *runner_command(const char *name);

enum { RUNNER_SECONDS_MAX = 15, RUNNER_NAME_MAX = 64 };

/* The process: answers until the other end is closed. */
void runner_serve(int channel, runner_command *command);

/*
 * Starts one; *out is the caller's and reads what it says.  False: it is not
 * there, or does not start.  Then runner_end(), which waits for its end (`cut`:
 * kills it first) and gives its status as waitpid(2).  Where the process is gone
 * both end the agent, to be started again.
 */
bool runner_start(int channel, runner_command *command, const char *name,
    int *out, pid_t *pid);
int runner_end(int channel, pid_t pid, bool cut);
