/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read this first.
 *
 *   inputs --fill--> window --put--> sender ==TLS==> collector
 *   |  ^                               |
 *   |  '----------- receipts ---acked--'
 *   '--put--> spool (an input too): events that no file stands behind
 *
 * One thread.  pump() pulls: as long as the sender has room, each input adds
 * what it has to the window.  A window that is not full waits as long as
 * another one is on its way, so that slow writers make few windows and a lone
 * line goes at once.  Nothing is read ahead of the windows: while the collector
 * is away, files and spool are the buffer.
 */
#include "agent/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pipeline_parts.h"
#include "footprint.h"
#include "timestamp.h"
#include "xalloc.h"

/* SIGTERM: reading goes on for so long, then ACKs are waited for. */
static const int64_t drain_read_ns = 5 * NS_PER_SEC;
static const int64_t drain_total_ns = 10 * NS_PER_SEC;
static const int64_t drain_away_ns = 2 * NS_PER_SEC;
static const int64_t drain_look_ns = 20 * NS_PER_MS;
static const int64_t rest_ns = 2 * NS_PER_SEC; /* after the last ACK */

enum { FRAMES_KEEP = 3 * WINDOW_BYTES };

void
pipeline_say(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	log_line(level, "%s", text);
}

static bool
fill_window(struct pipeline *p)
{
	bool more = false;

	if (p->drain_began_ns != 0 && !p->drain_reading)
		return false;
	status_fill(p->status, &p->window);
	central_fill(p->central, &p->window);
	for (size_t i = 0; i < p->n_inputs; i++) {
		struct active_input *in = &p->inputs[i];

		if (window_full(&p->window))
			return true;
		if (in->kind->fill == NULL)
			continue;
		more = in->kind->fill(in->self, &p->window) || more;
	}
	return more;
}

static void
put_window(struct pipeline *p)
{
	struct window *w = &p->window;

	sender_put(p->sender, buf_slice(&w->frames), w->n, w->receipts);
	buf_clear(&w->frames);
	/* one long line must not hold its memory for ever */
	if (w->frames.cap > FRAMES_KEEP)
		buf_fini(&w->frames);
	w->n = 0;
	w->receipts = p->spare[--p->n_spare];
}

static void
pump(void *ctx)
{
	struct pipeline *p = ctx;
	bool more = true;

	p->pump_posted = false;
	while (!p->closing && more && sender_has_room(p->sender)) {
		more = fill_window(p);
		if (p->window.n == 0)
			return;
		if (!window_full(&p->window) && sender_in_flight(p->sender) > 0)
			return; /* the next ACK comes back here */
		put_window(p);
	}
}

void
pipeline_wake(void *ctx)
{
	struct pipeline *p = ctx;

	if (p->pump_posted || p->loop == NULL)
		return;
	p->pump_posted = true;
	loop_post(p->loop, pump, p);
}

static const struct active_input *
input_of(const struct pipeline *p, const struct receipt *r)
{
	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].self == r->input)
			return &p->inputs[i];
	}
	return NULL;
}

static void
on_acked(void *ctx, void *cookie, uint32_t from, uint32_t to, bool done)
{
	struct pipeline *p = ctx;
	struct receipt *receipts = cookie;

	while (from < to) {
		const struct active_input *in = input_of(p, &receipts[from]);
		uint32_t n = 1;

		while (from + n < to &&
		    receipts[from + n].input == receipts[from].input)
			n++;
		if (in != NULL)
			in->kind->acked(in->self, receipts + from, n);
		else if (receipts[from].input == p->central)
			central_acked(p->central, receipts[from + n - 1].mark);
		from += n;
	}
	if (done)
		p->spare[p->n_spare++] = receipts;
	if (sender_in_flight(p->sender) == 0)
		loop_timer_start(p->rest, rest_ns);
	pipeline_wake(p);
}

/* What a burst, or the start, needed is given back. */
static void
on_rest(void *ctx)
{
	struct pipeline *p = ctx;

	if (p->window.n == 0)
		buf_fini(&p->window.frames);
	sender_rest(p->sender);
	footprint_rest();
}

static void
on_drain(void *ctx)
{
	struct pipeline *p = ctx;
	int64_t since_ns = loop_now() - p->drain_began_ns;
	bool over = pipeline_inputs_idle(p) && p->window.n == 0 &&
	    sender_in_flight(p->sender) == 0;

	if (!sender_connected(p->sender) && since_ns >= drain_away_ns)
		over = true;
	if (since_ns >= drain_read_ns)
		p->drain_reading = false;
	if (over || since_ns >= drain_total_ns) {
		loop_stop(p->loop);
		return;
	}
	pipeline_wake(p);
	loop_timer_start(p->drain, drain_look_ns);
}

static void
on_stop_signal(void *ctx, int signo)
{
	struct pipeline *p = ctx;

	if (p->drain_began_ns != 0) {
		if (signo == SIGINT)
			loop_stop(p->loop); /* twice: at once */
		return;
	}
	log_info("stopping: sending what is there");
	p->drain_began_ns = loop_now();
	p->drain_reading = true;
	pipeline_drain_inputs(p);
	on_drain(p);
}

/* ---- the collector's configuration ---------------------------------------- */

/* Two agents with one state would both be wrong. */
static enum rc
lock_state(struct pipeline *p, struct error *err)
{
	char path[4200];

	(void)snprintf(path, sizeof(path), "%s/lock", p->config.state_dir);
	p->lock_fd =
	    open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock_fd == -1) {
		log_warn("%s cannot be written: positions will not be saved",
		    p->config.state_dir);
		return RC_OK;
	}
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return error_set(err, RC_DENIED,
		    "%s is in use by another agent", p->config.state_dir);
	return RC_OK;
}

static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static enum rc
watch_signals(struct pipeline *p, struct error *err)
{
	static const struct {
		int signo;
		loop_signal_cb *cb;
	} signals[] = {
		{ SIGTERM, on_stop_signal },
		{ SIGINT, on_stop_signal },
		{ SIGHUP, pipeline_on_reload_signal },
		{ SIGUSR1, pipeline_on_report_signal },
	};
	enum rc rc = RC_OK;

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0;
	     rc == RC_OK && i < sizeof(signals) / sizeof(*signals); i++)
		rc = loop_on_signal(p->loop, signals[i].signo, signals[i].cb, p,
		    err);
	return rc;
}

static void
make_parts(struct pipeline *p)
{
	raise_file_limit();
	p->loop = loop_new();
	p->report = loop_timer_new(p->loop, pipeline_on_report, p);
	p->rest = loop_timer_new(p->loop, on_rest, p);
	p->drain = loop_timer_new(p->loop, on_drain, p);
	p->sender = sender_new(p->loop,
	    &(struct sender_events){ .ctx = p,
		.acked = on_acked,
		.told = p->trusts ? pipeline_on_told : NULL,
		.up = p->trusts ? pipeline_on_up : NULL,
		.say = pipeline_say });
	p->renewal = renewal_new(p->loop,
	    &(struct renewal_events){ .ctx = p,
		.renewed = pipeline_on_renewed,
		.say = pipeline_say });
	buf_init(&p->window.frames, FRAMES_MAX);
	p->receipts = xcalloc((size_t)RECEIPT_SETS * WINDOW_EVENTS,
	    sizeof(struct receipt));
	for (size_t i = 0; i < RECEIPT_SETS; i++)
		p->spare[p->n_spare++] = p->receipts + i * WINDOW_EVENTS;
	p->window.receipts = p->spare[--p->n_spare];
}

void
pipeline_make_state_dir(const struct agent_config *c)
{
	const char *dir = c->state_dir;
	char text[4096];
	struct passwd pw, *found = NULL;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		log_warn("cannot make %s", dir);
		return;
	}
	if (geteuid() != 0 || c->user == NULL)
		return;
	(void)getpwnam_r(c->user, &pw, text, sizeof(text), &found);
	if (found != NULL && lchown(dir, pw.pw_uid, pw.pw_gid) != 0)
		log_warn("cannot give %s to %s", dir, c->user);
}

enum rc
pipeline_open(const char *path, struct agent_config *config,
    struct pipeline **out, struct error *err)
{
	struct pipeline *p = xzalloc(sizeof(*p));
	struct central_start start;
	struct tls_files files;
	bool split;
	enum rc rc;

	p->path = path;
	p->config = *config;
	*config = (struct agent_config){ 0 };
	p->lock_fd = -1;
	p->memory_fd = -1;
	p->responder = -1;
	rc = central_begin(&p->config, &start, err);
	p->trusts = start.keys != NULL;
	if (rc == RC_OK)
		rc = confine_start(path, &p->config, &p->processes, err);
	if (rc == RC_OK)
		rc = pipeline_start_responder(p, &start, err);
	split = p->processes.opener[0] != -1;
	make_parts(p);
	if (rc != RC_OK)
		goto out;
	files = agent_tls_files(&p->config);
	rc = tls_context_new(TLS_CLIENT, &files, false, &p->tls, err);
	if (rc != RC_OK)
		goto out;
	pipeline_make_state_dir(&p->config);
	p->memory_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	rc = confine_worker(&p->config, split, &p->confined, err);
	if (rc != RC_OK)
		goto out;
	p->opener = split
	    ? opener_connect(p->loop, p->processes.opener, p->processes.runner)
	    : opener_new(p->loop);
	rc = lock_state(p, err);
	if (rc == RC_OK)
		rc = watch_signals(p, err);
	if (rc != RC_OK)
		goto out;
	pipeline_open_central(p, &start);
	pipeline_configure(p);
	rc = pipeline_open_inputs(p, err);
	if (rc != RC_OK) {
		central_failed(p->central, err);
		goto out;
	}
	pipeline_open_response(p);
	pipeline_open_status(p);
	*out = p;
	p = NULL;
out:
	sign_keys_free(start.keys);
	pipeline_close(p);
	return rc;
}

void
pipeline_run(struct pipeline *p)
{
	sender_start(p->sender);
	loop_timer_start(p->rest, rest_ns);
	loop_timer_start(p->report, p->config.report_interval);
	pipeline_wake(p);
	loop_run(p->loop);
	pipeline_log_report(p, true);
	if (sender_in_flight(p->sender) > 0 || p->window.n > 0)
		log_warn("stopped with lines that are not acknowledged: they "
			 "will be sent again");
}

void
pipeline_close(struct pipeline *p)
{
	if (p == NULL)
		return;
	p->closing = true;
	pipeline_close_inputs(p);
	status_free(p->status);
	response_free(p->response);
	central_free(p->central);
	spool_close(p->spool);
	renewal_free(p->renewal);
	sender_free(p->sender);
	tls_context_free(p->tls);
	opener_free(p->opener);
	loop_timer_free(p->report);
	loop_timer_free(p->rest);
	loop_timer_free(p->drain);
	loop_free(p->loop);
	confined_free(p->confined);
	free(p->receipts);
	buf_fini(&p->window.frames);
	agent_config_free(&p->config);
	if (p->responder != -1)
		(void)close(p->responder);
	if (p->lock_fd != -1)
		(void)close(p->lock_fd);
	if (p->memory_fd != -1)
		(void)close(p->memory_fd);
	free(p);
}
