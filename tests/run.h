/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: runs one of our programs and keeps what it prints. */
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_OUTPUT_MAX = 1 << 20, RUN_WORDS = 64 };

struct run {
	char out[RUN_OUTPUT_MAX];
	char err[RUN_OUTPUT_MAX];
};

/* The value of a variable of the environment, or `otherwise`. */
static inline const char *
run_env(const char *name, const char *otherwise)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it */
	const char *value = getenv(name);

	return value != NULL ? value : otherwise;
}

/* Words of a line, in place; 'single quotes' hold spaces. */
static inline void
run_split(char *line, char **words)
{
	size_t n = 0;

	while (*line != '\0' && n + 1 < RUN_WORDS) {
		char end = ' ';

		if (*line == ' ') {
			line++;
			continue;
		}
		if (*line == '\'') {
			end = '\'';
			line++;
		}
		words[n++] = line;
		while (*line != '\0' && *line != end)
			line++;
		if (*line != '\0')
			*line++ = '\0';
	}
	words[n] = NULL;
}

static inline void
run_slurp(FILE *f, char out[RUN_OUTPUT_MAX])
{
	size_t n;

	rewind(f);
	n = fread(out, 1, RUN_OUTPUT_MAX - 1, f);
	out[n] = '\0';
	(void)fclose(f);
}

/* PROGRAM of the build, with arguments; its exit status, or -1. */
static inline int
run_program(struct run *r, const char *program, const char *arguments)
{
	posix_spawn_file_actions_t actions;
	char path[4096], line[8192], *words[RUN_WORDS];
	FILE *out = tmpfile(), *err = tmpfile();
	int status = -1;
	pid_t pid;

	if (out == NULL || err == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/%s",
	    run_env("top_builddir", "."), program);
	(void)snprintf(line, sizeof(line), "%s", arguments);
	words[0] = path;
	run_split(line, words + 1);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, fileno(out),
	    STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, fileno(err),
	    STDERR_FILENO);
	if (posix_spawn(&pid, path, &actions, NULL, words, environ) == 0)
		(void)waitpid(pid, &status, 0);
	(void)posix_spawn_file_actions_destroy(&actions);
	run_slurp(out, r->out);
	run_slurp(err, r->err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
