/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

static void
give(posix_spawn_file_actions_t *actions, int fd, int as)
{
	if (fd == -1)
		(void)posix_spawn_file_actions_addopen(actions, as, "/dev/null",
		    as == STDIN_FILENO ? O_RDONLY : O_WRONLY, 0);
	else
		(void)posix_spawn_file_actions_adddup2(actions, fd, as);
}

bool
spawn_program(const char *const *argv, const struct spawn_files *files,
    pid_t *pid)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C";
	char *const environment[] = { path, locale, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all;
	bool good;

	(void)sigfillset(&all);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawn_file_actions_init(&actions);
	give(&actions, files->in, STDIN_FILENO);
	give(&actions, files->out, STDOUT_FILENO);
	give(&actions, files->err, STDERR_FILENO);
	good = posix_spawn(pid, argv[0], &actions, &attributes,
		   (char *const *)argv, environment) == 0;
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return good;
}
