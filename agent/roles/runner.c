/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/roles/opener_wire.h"
#include "agent/roles/spawn.h"
#include "log.h"
#include "loop.h"
#include "timestamp.h"

enum { LOOK_MS = 20 };

static bool
start_here(const char *const *argv, int *out, pid_t *pid)
{
	struct spawn_files files = { -1, -1, -1 };
	int ends[2];

	if (argv == NULL || access(argv[0], X_OK) != 0 ||
	    pipe2(ends, O_CLOEXEC) != 0)
		return false;
	*out = ends[0];
	files.out = ends[1];
	if (!spawn_program(argv, &files, pid)) {
		(void)close(ends[0]);
		*out = -1;
	}
	(void)close(ends[1]);
	return *out != -1;
}

/* Waits for the worker's word: everything is read, or it is enough; then for
 * its end, no longer than its time. */
static void
await(int channel, pid_t pid, int *status)
{
	int64_t until_ns = loop_now() + RUNNER_SECONDS_MAX * NS_PER_SEC;
	struct pollfd p = { .fd = channel, .events = POLLIN };
	char word = '\0';
	bool heard = false, over = false;

	while (!heard || !over) {
		if (!heard && poll(&p, 1, LOOK_MS) > 0) {
			heard = true;
			if (recv(channel, &word, 1, 0) != 1)
				word = 'k';
		} else if (heard) {
			(void)poll(NULL, 0, LOOK_MS);
		}
		if (!over && (word == 'k' || loop_now() >= until_ns))
			(void)kill(pid, SIGKILL);
		if (!over)
			over = waitpid(pid, status, WNOHANG) != 0;
	}
}

static bool
one_command(int channel, runner_command *command)
{
	const struct slice nothing = { NULL, 0 };
	char name[RUNNER_NAME_MAX + 1];
	ssize_t n = recv(channel, name, RUNNER_NAME_MAX, 0);
	int out = -1, status = -1;
	pid_t pid;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	name[n] = '\0';
	if (!start_here(command(name), &out, &pid))
		return wire_send(channel, &status, sizeof(status), nothing,
			   NULL, 0) == RC_OK;
	status = 0;
	(void)wire_send(channel, &status, sizeof(status), nothing, &out, 1);
	(void)close(out);
	await(channel, pid, &status);
	return wire_send(channel, &status, sizeof(status), nothing, NULL, 0) ==
	    RC_OK;
}

void
runner_serve(int channel, runner_command *command)
{
	while (one_command(channel, command))
		continue;
}

/* What it was asked for would be told as a fact of the machine. */
static _Noreturn void
lost(void)
{
	log_error("the runner process is gone: ending, to be started again");
	_exit(EXIT_FAILURE);
}

static void
tell(int channel, const char *text, size_t len)
{
	if (send(channel, text, len, MSG_NOSIGNAL) == -1)
		lost();
}

static bool
hear(int channel, int *status, int *fd)
{
	struct buf message;
	enum rc rc;
	bool good;

	buf_init(&message, WIRE_MESSAGE_MAX);
	rc = wire_receive(channel, &message, fd, 1);
	if (rc == RC_EOF)
		lost();
	good = rc == RC_OK && message.len == sizeof(*status);
	if (good)
		memcpy(status, message.ptr, sizeof(*status));
	buf_fini(&message);
	return good;
}

bool
runner_start(int channel, runner_command *command, const char *name, int *out,
    pid_t *pid)
{
	int status;

	*out = -1;
	*pid = -1;
	if (channel == -1)
		return start_here(command(name), out, pid);
	tell(channel, name, strlen(name));
	return hear(channel, &status, out) && status == 0 && *out != -1;
}

int
runner_end(int channel, pid_t pid, bool cut)
{
	int status = -1, fd;

	if (channel == -1) {
		if (cut)
			(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return status;
	}
	/* it ends by itself when nobody reads it, or at its time */
	tell(channel, cut ? "k" : "e", 1);
	return hear(channel, &status, &fd) ? status : -1;
}
