/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the agent: in the log, and by `kuzet-agent status`. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/pipeline_parts.h"

void
pipeline_log_report(struct pipeline *p, bool always)
{
	struct input_counts sum;
	struct sender_counts sent;

	pipeline_counts(p, &sum);
	sender_counts(p->sender, &sent);
	if (!always && sum.read + sum.acked + sent.failures == p->reported)
		return;
	p->reported = sum.read + sum.acked + sent.failures;
	log_info(
	    "files open %llu, lines read %llu, acknowledged %llu, cut "
	    "%llu; bytes skipped %llu, files dropped %llu, damaged %llu; events sent "
	    "%llu, again %llu, bytes sent %llu, connections %llu, failed "
	    "%llu",
	    (unsigned long long)sum.files, (unsigned long long)sum.read,
	    (unsigned long long)sum.acked, (unsigned long long)sum.cut,
	    (unsigned long long)sum.skipped, (unsigned long long)sum.dropped,
	    (unsigned long long)sum.damaged, (unsigned long long)sent.sent,
	    (unsigned long long)sent.resent, (unsigned long long)sent.bytes,
	    (unsigned long long)sent.connections,
	    (unsigned long long)sent.failures);
}

static void
report_refusals(struct pipeline *p)
{
	char call[SANDBOX_CALL_NAME];
	uint64_t n = sandbox_refused(call);

	if (n == p->refused_calls)
		return;
	p->refused_calls = n;
	log_warn("the sandbox refused %llu system calls since the start, the "
		 "last was %s",
	    (unsigned long long)n, call);
}

void
pipeline_on_report(void *ctx)
{
	struct pipeline *p = ctx;

	if (confined_stale(p->confined)) {
		log_error("/etc/resolv.conf or /etc/hosts was replaced, and "
			  "the sandbox has the old one: ending, to be started "
			  "again");
		_exit(EXIT_FAILURE);
	}
	report_refusals(p);
	pipeline_log_report(p, false);
	loop_timer_start(p->report, p->config.report_interval);
}

void
pipeline_on_report_signal(void *ctx, int signo)
{
	(void)signo;
	pipeline_log_report(ctx, true);
}

void
pipeline_pace_status(struct pipeline *p)
{
	status_every(p->status,
	    p->config.control_messages ? p->config.heartbeat : 0);
}

void
pipeline_open_status(struct pipeline *p)
{
	struct error err;

	p->status = status_new(p->loop,
	    &(struct status_source){ .ctx = p,
		.counts = pipeline_counts,
		.files = pipeline_each_file,
		.wake = pipeline_wake,
		.sender = p->sender,
		.spool = p->spool,
		.renewal = p->renewal,
		.opener = p->opener,
		.central = p->trusts ? p->central : NULL,
		.apart = p->processes.opener[0] != -1,
		.memory_fd = p->memory_fd,
		.landlock = confined_landlock(p->confined) });
	pipeline_pace_status(p);
	if (status_listen(p->status, p->config.state_dir, &err) != RC_OK)
		log_warn("`kuzet-agent status` gets no answer: %s", err.text);
}
