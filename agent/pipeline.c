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
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/central.h"
#include "agent/confine.h"
#include "agent/inputs/input.h"
#include "agent/output/sender.h"
#include "agent/renewal.h"
#include "agent/response.h"
#include "agent/roles/opener.h"
#include "agent/spool/spool.h"
#include "agent/status.h"
#include "log.h"
#include "loop.h"
#include "timestamp.h"
#include "tls.h"
#include "xalloc.h"

/* SIGTERM: reading goes on for so long, then ACKs are waited for. */
static const int64_t drain_read_ns = 5 * NS_PER_SEC;
static const int64_t drain_total_ns = 10 * NS_PER_SEC;
static const int64_t drain_away_ns = 2 * NS_PER_SEC;
static const int64_t drain_look_ns = 20 * NS_PER_MS;

enum { CONFIG_MAX = 16 * 1024 * 1024 }; /* bytes */
enum { FRAMES_KEEP = 3 * WINDOW_BYTES };
enum { KINDS_MAX = 8, RECEIPT_SETS = SENDER_WINDOWS_MAX + 1 };

struct active_input {
	const struct input_kind *kind;
	void *self;
	struct input_config *configs; /* those of this kind */
	size_t n_configs;
};

struct pipeline {
	const char *path; /* of the configuration */
	struct agent_config config;
	struct loop *loop;
	struct processes processes; /* their channels are the opener's */
	struct confined *confined;
	struct opener *opener;
	struct tls_context *tls;
	struct tls_context *tls_fresh; /* of the configuration being loaded */
	struct renewal *renewal;
	struct sender *sender;
	struct spool *spool;
	struct active_input inputs[KINDS_MAX];
	size_t n_inputs;
	int lock_fd;
	int memory_fd; /* of statm: the sandbox lets nobody open it */

	struct window window;     /* being filled */
	struct receipt *receipts; /* all sets: what is not used costs nothing */
	struct receipt *spare[RECEIPT_SETS];
	size_t n_spare;
	bool pump_posted;
	bool closing;

	struct status *status;
	struct central *central;
	bool trusts; /* a key, whose orders it takes */
	struct response *response;
	int responder; /* channel; -1: there is none */
	struct loop_timer *report;
	uint64_t refused_calls;
	uint64_t reported; /* what the last report summed up to */
	struct loop_timer *drain;
	int64_t drain_began_ns; /* 0: not draining */
	bool drain_reading;
};

static void
say(void *ctx, enum log_level level, const char *text)
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

static void
wake(void *ctx)
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
	wake(p);
}

static void
sum_counts(void *ctx, struct input_counts *sum)
{
	const struct pipeline *p = ctx;
	struct input_counts one;

	*sum = (struct input_counts){ 0 };
	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].kind->counts == NULL)
			continue;
		p->inputs[i].kind->counts(p->inputs[i].self, &one);
		sum->files += one.files;
		sum->read += one.read;
		sum->acked += one.acked;
		sum->cut += one.cut;
		sum->skipped += one.skipped;
		sum->dropped += one.dropped;
		sum->damaged += one.damaged;
	}
}

static void
each_file(void *ctx, input_file_cb *cb, void *cb_ctx)
{
	const struct pipeline *p = ctx;

	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].kind->files != NULL)
			p->inputs[i].kind->files(p->inputs[i].self, cb, cb_ctx);
	}
}

static void
log_report(struct pipeline *p, bool always)
{
	struct input_counts sum;
	struct sender_counts sent;

	sum_counts(p, &sum);
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

static void
on_report(void *ctx)
{
	struct pipeline *p = ctx;

	if (confined_stale(p->confined)) {
		log_error("/etc/resolv.conf or /etc/hosts was replaced, and "
			  "the sandbox has the old one: ending, to be started "
			  "again");
		_exit(EXIT_FAILURE);
	}
	report_refusals(p);
	log_report(p, false);
	loop_timer_start(p->report, p->config.report_interval);
}

static void
on_report_signal(void *ctx, int signo)
{
	(void)signo;
	log_report(ctx, true);
}

static bool
inputs_idle(const struct pipeline *p)
{
	for (size_t i = 0; i < p->n_inputs; i++) {
		const struct active_input *in = &p->inputs[i];

		if (in->kind->idle != NULL && !in->kind->idle(in->self))
			return false;
	}
	return p->window.n == 0;
}

static void
on_drain(void *ctx)
{
	struct pipeline *p = ctx;
	int64_t since_ns = loop_now() - p->drain_began_ns;
	bool over = inputs_idle(p) && sender_in_flight(p->sender) == 0;

	if (!sender_connected(p->sender) && since_ns >= drain_away_ns)
		over = true;
	if (since_ns >= drain_read_ns)
		p->drain_reading = false;
	if (over || since_ns >= drain_total_ns) {
		loop_stop(p->loop);
		return;
	}
	wake(p);
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
	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].kind->drain != NULL)
			p->inputs[i].kind->drain(p->inputs[i].self);
	}
	on_drain(p);
}

/* The spool serves all those that go through it. */
static bool
serves(const struct input_kind *kind, const struct agent_input *in)
{
	const struct input_kind *own = agent_input_kind(in);

	return kind == own || (kind == &input_spool && own->spools);
}

/* The entries of one kind, as the input takes them. */
static void
set_configs(const struct agent_config *c, struct active_input *out)
{
	out->configs = xcalloc(c->inputs.n, sizeof(*out->configs));
	out->n_configs = 0;
	for (size_t i = 0; i < c->inputs.n; i++) {
		const struct agent_input *in =
		    (const struct agent_input *)c->inputs.items + i;

		if (serves(out->kind, in))
			out->configs[out->n_configs++] = agent_input_config(in);
	}
}

static struct input_setup
input_setup(struct pipeline *p, const struct active_input *in)
{
	return (struct input_setup){
		.loop = p->loop,
		.opener = p->opener,
		.spool = p->spool,
		.state_dir = p->config.state_dir,
		.host_name = p->config.host_name,
		.inputs = in->configs,
		.n_inputs = in->n_configs,
		.heartbeat_ns = p->config.heartbeat,
		.controls = p->config.control_messages,
		.scan_ns = p->config.scan_interval,
		.wake = wake,
		.say = say,
		.ctx = p,
	};
}

static enum spool_full
spool_full(const struct agent_config *c)
{
	return c->spool_drop == 0 ? SPOOL_DROP_NEWEST : SPOOL_DROP_OLDEST;
}

static enum rc
open_spool(struct pipeline *p, struct error *err)
{
	char dir[4200];

	(void)snprintf(dir, sizeof(dir), "%s/spool", p->config.state_dir);
	return spool_open(&(struct spool_options){ .dir = dir,
			      .max_bytes = (uint64_t)p->config.spool_size,
			      .when_full = spool_full(&p->config),
			      .ready = wake,
			      .ctx = p },
	    &p->spool, err);
}

static void
reload_inputs(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_inputs; i++) {
		struct active_input *in = &p->inputs[i];
		struct input_config *old = in->configs;
		struct input_setup setup;

		set_configs(&p->config, in);
		setup = input_setup(p, in);
		in->kind->reload(in->self, &setup);
		free(old);
	}
	if (p->spool != NULL)
		spool_limit(p->spool, (uint64_t)p->config.spool_size,
		    spool_full(&p->config));
}

static void
configure_sender(struct pipeline *p)
{
	const struct agent_config *c = &p->config;

	sender_configure(p->sender,
	    &(struct sender_config){
		.hosts = (const char *const *)c->hosts.items,
		.n_hosts = c->hosts.n,
		.tls = p->tls,
		.compression_level = (int)c->compression_level,
		.pipelining = (unsigned)c->pipelining,
		.ack_timeout_ns = c->ack_timeout,
		.connect_timeout_ns = c->connect_timeout,
		.backoff_min_ns = c->backoff_min,
		.backoff_max_ns = c->backoff_max,
		.return_ns = c->return_after,
	    });
}

/* New connections show the new certificate; nothing is sent twice for it. */
static void
on_renewed(void *ctx)
{
	struct pipeline *p = ctx;
	struct tls_context *fresh = NULL, *old = p->tls;
	struct error err;

	if (confine_tls(&p->config, p->opener, &fresh, &err) != RC_OK) {
		log_error("the renewed certificate is not used: %s", err.text);
		return;
	}
	p->tls = fresh;
	sender_set_tls(p->sender, fresh);
	tls_context_free(old);
}

static void
configure_renewal(struct pipeline *p)
{
	struct identity_files files = agent_identity_files(&p->config);

	renewal_configure(p->renewal, &files);
}

static void
set_status_pace(struct pipeline *p)
{
	status_every(p->status,
	    p->config.control_messages ? p->config.heartbeat : 0);
}

/* What the collector gives goes on top.  `must`: or it is an error. */
static enum rc
add_central(struct pipeline *p, enum central_copy which, bool must,
    struct agent_config *fresh, struct error *err)
{
	struct central_trust trust = central_trust(p->central);
	enum rc rc;

	if (which == CENTRAL_NONE || !fresh->central.accept)
		return RC_OK;
	rc = central_add(&trust, which, fresh, p->opener, err);
	if (rc == RC_OK || must)
		return rc;
	central_refused(p->central, err);
	return RC_OK;
}

/* The configuration anew, read by whoever may. */
static enum rc
load_again(struct pipeline *p, enum central_copy which, bool must,
    struct agent_config *fresh, struct error *err)
{
	char path[PATH_MAX];
	struct buf text;
	enum rc rc;

	buf_init(&text, CONFIG_MAX);
	rc = opener_reload(p->opener, &text, err);
	if (rc == RC_AGAIN)
		rc = agent_config_load(p->path, fresh, err);
	else if (rc == RC_OK)
		rc = agent_config_parse(p->path, buf_slice(&text), fresh, err);
	buf_fini(&text);
	if (rc == RC_OK)
		rc = agent_config_check_inputs(p->path, fresh, p->opener, err);
	if (rc == RC_OK)
		rc = add_central(p, which, must, fresh, err);
	if (rc == RC_OK && confined_lacks(p->confined, fresh, path))
		log_warn("%s can be read from the next start on: the sandbox "
			 "does not grow",
		    path);
	if (rc == RC_OK)
		rc = confine_tls(fresh, p->opener, &p->tls_fresh, err);
	return rc;
}

static enum rc
reload(struct pipeline *p, enum central_copy which, bool must,
    struct error *err)
{
	struct agent_config fresh = { 0 }, old;
	struct tls_context *old_tls = p->tls;
	enum rc rc = load_again(p, which, must, &fresh, err);

	if (rc != RC_OK) {
		opener_reloaded(p->opener, false);
		agent_config_free(&fresh);
		return rc;
	}
	if (strcmp(fresh.state_dir, p->config.state_dir) != 0)
		log_warn("state_dir changes with the next start only");
	free(fresh.state_dir);
	fresh.state_dir = xstrdup(p->config.state_dir);
	old = p->config;
	p->config = fresh;
	p->tls = p->tls_fresh;
	p->tls_fresh = NULL;
	reload_inputs(p);
	configure_sender(p);
	configure_renewal(p);
	set_status_pace(p);
	opener_reloaded(p->opener, true);
	central_reconfigure(p->central, p->config.central.accept,
	    p->config.central.fall_back);
	tls_context_free(old_tls);
	agent_config_free(&old);
	wake(p);
	return RC_OK;
}

static void
on_reload_signal(void *ctx, int signo)
{
	struct pipeline *p = ctx;
	struct error err;

	(void)signo;
	if (p->drain_began_ns != 0)
		return;
	if (reload(p, central_in_use(p->central), false, &err) == RC_OK)
		log_info("configuration reloaded");
	else
		log_error("the configuration stays as it was: %s", err.text);
}

/* ---- the collector's configuration ---------------------------------------- */

static enum rc
apply_central(void *ctx, enum central_copy which, struct error *err)
{
	struct pipeline *p = ctx;

	if (p->drain_began_ns != 0)
		return error_set(err, RC_AGAIN, "the agent is stopping");
	return reload(p, which, true, err);
}

static enum rc
check_central(void *ctx, enum central_copy which, struct buf *changes,
    struct error *err)
{
	struct pipeline *p = ctx;
	struct agent_config fresh = { 0 };
	enum rc rc = load_again(p, which, true, &fresh, err);

	opener_reloaded(p->opener, false);
	tls_context_free(p->tls_fresh);
	p->tls_fresh = NULL;
	if (rc == RC_OK)
		agent_config_diff(&p->config, &fresh, changes);
	agent_config_free(&fresh);
	return rc;
}

static void
on_told(void *ctx, struct slice json)
{
	struct pipeline *p = ctx;

	central_take(p->central, json);
}

static void
on_up(void *ctx)
{
	struct pipeline *p = ctx;

	status_now(p->status);
}

static void
respond(void *ctx, struct slice id, struct slice wire)
{
	struct pipeline *p = ctx;

	response_take(p->response, id, wire);
}

static void
wake_central(void *ctx)
{
	struct pipeline *p = ctx;

	if (p->status != NULL)
		status_now(p->status);
	wake(p);
}

static void
open_central(struct pipeline *p, struct central_start *start)
{
	p->central =
	    central_new(&(struct central_options){ .loop = p->loop,
			    .state_dir = p->config.state_dir,
			    .accept = p->config.central.accept,
			    .fall_back_ns = p->config.central.fall_back,
			    .apply = apply_central,
			    .check = check_central,
			    .respond = respond,
			    .wake = wake_central,
			    .ctx = p },
		start);
}

/* Before any right is given up. */
static enum rc
start_responder(struct pipeline *p, const struct central_start *start,
    struct error *err)
{
	const struct agent_config *c = &p->config;
	struct responder_options options = {
		.keys = start->keys,
		.agent = start->agent,
		.enabled = &c->response.enabled,
		.services = &c->response.services,
		.evidence = &c->response.evidence,
		.never = &c->response.never,
		.hosts = &c->hosts,
		.max_ns = c->response.max_time,
		.started_ns = timestamp_now(),
	};

	return c->response.enabled.n == 0
	    ? RC_OK
	    : responder_start(&options, &p->processes, &p->responder, err);
}

static void
open_response(struct pipeline *p)
{
	p->response = response_new(&(struct response_options){ .loop = p->loop,
	    .channel = p->responder,
	    .spool = p->spool,
	    .host_name = p->config.host_name,
	    .central = p->central });
	p->responder = -1;
}

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
open_inputs(struct pipeline *p, struct error *err)
{
	enum rc rc = open_spool(p, err);

	if (rc != RC_OK)
		log_warn("the spool: %s", err->text);
	for (size_t i = 0; input_kinds[i] != NULL; i++) {
		struct active_input *in = &p->inputs[p->n_inputs];
		struct input_setup setup;

		if (p->spool == NULL && input_kinds[i] == &input_spool)
			continue;
		in->kind = input_kinds[i];
		set_configs(&p->config, in);
		if (p->spool == NULL && in->n_configs > 0 && in->kind->spools)
			return error_prefix(err, "input %s needs the spool",
			    in->kind->name);
		setup = input_setup(p, in);
		rc = in->kind->open(&setup, &in->self, err);
		if (rc != RC_OK)
			return error_prefix(err, "input %s", in->kind->name);
		p->n_inputs++;
	}
	return RC_OK;
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
		{ SIGHUP, on_reload_signal },
		{ SIGUSR1, on_report_signal },
	};
	enum rc rc = RC_OK;

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0;
	     rc == RC_OK && i < sizeof(signals) / sizeof(*signals); i++)
		rc = loop_on_signal(p->loop, signals[i].signo, signals[i].cb, p,
		    err);
	return rc;
}

/* Without its socket the agent works as well. */
static void
open_status(struct pipeline *p)
{
	struct error err;

	p->status = status_new(p->loop,
	    &(struct status_source){ .ctx = p,
		.counts = sum_counts,
		.files = each_file,
		.wake = wake,
		.sender = p->sender,
		.spool = p->spool,
		.renewal = p->renewal,
		.opener = p->opener,
		.central = p->trusts ? p->central : NULL,
		.apart = p->processes.opener[0] != -1,
		.memory_fd = p->memory_fd,
		.landlock = confined_landlock(p->confined) });
	set_status_pace(p);
	if (status_listen(p->status, p->config.state_dir, &err) != RC_OK)
		log_warn("`kuzet-agent status` gets no answer: %s", err.text);
}

static void
make_parts(struct pipeline *p)
{
	raise_file_limit();
	p->loop = loop_new();
	p->report = loop_timer_new(p->loop, on_report, p);
	p->drain = loop_timer_new(p->loop, on_drain, p);
	p->sender = sender_new(p->loop,
	    &(struct sender_events){ .ctx = p,
		.acked = on_acked,
		.told = p->trusts ? on_told : NULL,
		.up = p->trusts ? on_up : NULL,
		.say = say });
	p->renewal = renewal_new(p->loop,
	    &(struct renewal_events){ .ctx = p,
		.renewed = on_renewed,
		.say = say });
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
		rc = start_responder(p, &start, err);
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
	open_central(p, &start);
	configure_sender(p);
	configure_renewal(p);
	rc = open_inputs(p, err);
	if (rc != RC_OK) {
		central_failed(p->central, err);
		goto out;
	}
	open_response(p);
	open_status(p);
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
	loop_timer_start(p->report, p->config.report_interval);
	wake(p);
	loop_run(p->loop);
	log_report(p, true);
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
	for (size_t i = 0; i < p->n_inputs; i++)
		p->inputs[i].kind->close(p->inputs[i].self);
	for (size_t i = 0; i < KINDS_MAX; i++)
		free(p->inputs[i].configs); /* of one that failed, too */
	status_free(p->status);
	response_free(p->response);
	central_free(p->central);
	spool_close(p->spool);
	renewal_free(p->renewal);
	sender_free(p->sender);
	tls_context_free(p->tls);
	opener_free(p->opener);
	loop_timer_free(p->report);
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
