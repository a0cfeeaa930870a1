/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/processes.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/roles/sandbox.h"
#include "footprint.h"
#include "log.h"
#include "privileges.h"

enum { SEND_BUFFER = 256 * 1024 };

bool
processes_wanted(const char *user)
{
	/* a container's root may not have it */
	return (geteuid() != 0 || user != NULL) &&
	    privileges_has(CAP_DAC_READ_SEARCH);
}

static enum rc
channel(int ends[2], struct error *err)
{
	int size = SEND_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return error_set_errno(err, errno, "socketpair");
	for (size_t i = 0; i < 2; i++)
		(void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size,
		    sizeof(size));
	return RC_OK;
}

/* Signals are the worker's: it tells us by its end. */
static void
be_child(const char *name)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
		SIGPIPE };

	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
}

static _Noreturn void
be_opener(const struct processes_options *o, struct grants *grants,
    const int channels[2])
{
	struct opener_server *s = opener_server_new(grants, &o->policy);
	struct error err;

	be_child("kuzet-opener");
	if (privileges_become(o->user, CAP_DAC_READ_SEARCH, &err) != RC_OK ||
	    sandbox_opener(&err) != RC_OK) {
		log_error("opener: %s", err.text);
		_exit(EXIT_FAILURE);
	}
	footprint_rest(); /* the start's */
	opener_server_run(s, channels);
}

static _Noreturn void
be_runner(const struct processes_options *o, int at)
{
	struct error err;

	be_child("kuzet-runner");
	if (privileges_become(o->user, -1, &err) != RC_OK) {
		log_error("runner: %s", err.text);
		_exit(EXIT_FAILURE);
	}
	footprint_rest();
	runner_serve(at, o->commands);
	_exit(EXIT_SUCCESS);
}

static enum rc
start_runner(const struct processes_options *o, struct processes *out,
    struct error *err)
{
	int ends[2];
	enum rc rc = channel(ends, err);
	pid_t pid;

	if (rc != RC_OK)
		return rc;
	pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		be_runner(o, ends[1]);
	}
	(void)close(ends[1]);
	out->runner = ends[0];
	return pid == -1 ? error_set_errno(err, errno, "fork") : RC_OK;
}

static _Noreturn void
be_responder(struct responder_options *o, int at)
{
	static const int kept[] = { CAP_NET_ADMIN, CAP_DAC_READ_SEARCH };
	struct error err;

	be_child("kuzet-responder");
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* nobody looks into it */
	if (privileges_limit(kept, sizeof(kept) / sizeof(kept[0]), &err) !=
	    RC_OK) {
		log_error("responder: %s", err.text);
		_exit(EXIT_FAILURE);
	}
	footprint_rest();
	responder_serve(at, o);
	_exit(EXIT_SUCCESS);
}

enum rc
responder_start(struct responder_options *options,
    const struct processes *others, int *channel_fd, struct error *err)
{
	const int theirs[] = { others->opener[0], others->opener[1],
		others->runner };
	int ends[2];
	enum rc rc = channel(ends, err);
	pid_t pid;

	if (rc != RC_OK)
		return rc;
	pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]);
		     i++) {
			if (theirs[i] != -1)
				(void)close(theirs[i]);
		}
		be_responder(options, ends[1]);
	}
	(void)close(ends[1]);
	*channel_fd = ends[0];
	return pid == -1 ? error_set_errno(err, errno, "fork") : RC_OK;
}

static enum rc
start_opener(const struct processes_options *o, struct grants *grants,
    struct processes *out, struct error *err)
{
	int ends[2][2] = { { -1, -1 }, { -1, -1 } };
	enum rc rc = channel(ends[0], err);
	pid_t pid = -1;

	if (rc == RC_OK)
		rc = channel(ends[1], err);
	if (rc == RC_OK) {
		pid = fork();
		if (pid == -1)
			rc = error_set_errno(err, errno, "fork");
	}
	if (pid == 0) {
		const int mine[2] = { ends[0][1], ends[1][1] };

		(void)close(ends[0][0]);
		(void)close(ends[1][0]);
		if (out->runner != -1)
			(void)close(out->runner);
		be_opener(o, grants, mine);
	}
	for (size_t i = 0; i < 2; i++) {
		(void)close(ends[i][1]);
		out->opener[i] = ends[i][0];
	}
	return rc;
}

enum rc
processes_start(const struct processes_options *options, struct grants *grants,
    struct processes *out, struct error *err)
{
	enum rc rc = RC_OK;

	*out = (struct processes){ .opener = { -1, -1 }, .runner = -1 };
	sandbox_count();
	if (options->commands != NULL)
		rc = start_runner(options, out, err);
	if (rc == RC_OK)
		rc = start_opener(options, grants, out, err);
	grants_free(grants);
	return rc;
}
