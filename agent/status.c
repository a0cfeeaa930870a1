/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/central.h"
#include "agent/inputs/line_event.h"
#include "agent/output/sender.h"
#include "agent/renewal.h"
#include "agent/roles/opener.h"
#include "agent/roles/sandbox.h"
#include "agent/spool/spool.h"
#include "control.h"
#include "digest.h"
#include "json.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	POSITIONS_MAX = 32,         /* told to the collector */
	POSITION_BYTES = 40 * 1024, /* of them, at most */
	MESSAGE_BYTES = 64 * 1024,  /* one control message */
	ANSWER_BYTES = 64 * 1024 * 1024,
	VISITORS_MAX = 4
};
static const int64_t visit_ns = 10 * NS_PER_SEC;

/* Somebody reads an answer. */
struct visitor {
	struct status *status;
	int fd; /* -1: nobody */
	struct loop_io *io;
	struct loop_timer *timer;
	struct buf answer;
	size_t written;
};

struct status {
	struct loop *loop;
	struct status_source source;
	struct loop_timer *timer;
	int64_t every_ns;
	bool due;
	char instance[UUID_TEXT]; /* of this process */
	int64_t started_ns;       /* real time */
	int64_t began_ns;         /* monotonic */
	int listen_fd;            /* -1: none */
	char *socket_path;
	struct loop_io *listen;
	struct visitor visitors[VISITORS_MAX];
};

static uint64_t
resident_bytes(int fd)
{
	char text[128] = "", *resident = NULL;

	if (fd != -1 && pread(fd, text, sizeof(text) - 1, 0) > 0)
		resident = strchr(text, ' ');
	return resident == NULL
	    ? 0
	    : strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double
seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void
put_uint(struct json_writer *w, const char *key, uint64_t v)
{
	json_key(w, key);
	json_uint(w, v);
}

/* Paths are bytes: what is no UTF-8 becomes U+FFFD. */
static void
put_path(struct json_writer *w, const char *key, const char *path)
{
	size_t len = strlen(path);
	char *text = xcalloc(6 * len + 3, 1), *end;

	text[0] = '"';
	end = json_escape(text + 1, (struct slice){ path, len });
	*end++ = '"';
	json_key(w, key);
	json_raw(w, (struct slice){ text, (size_t)(end - text) });
	free(text);
}

static void
put_costs(struct json_writer *w, const struct status *s)
{
	struct rusage used;

	(void)getrusage(RUSAGE_SELF, &used);
	put_uint(w, "uptime_seconds",
	    (uint64_t)((loop_now() - s->began_ns) / NS_PER_SEC));
	json_key(w, "cpu_seconds");
	json_double(w, seconds(&used.ru_utime) + seconds(&used.ru_stime));
	json_key(w, "memory");
	json_open(w, '{');
	put_uint(w, "rss_bytes", resident_bytes(s->source.memory_fd));
	put_uint(w, "peak_bytes", (uint64_t)used.ru_maxrss * 1024);
	json_close(w, '}');
}

static void
put_output(struct json_writer *w, const struct sender *sender)
{
	struct sender_counts c;

	sender_counts(sender, &c);
	json_key(w, "output");
	json_open(w, '{');
	put_path(w, "host", sender_host(sender));
	json_key(w, "connected");
	json_bool(w, sender_connected(sender));
	put_uint(w, "windows_in_flight", sender_in_flight(sender));
	put_uint(w, "events_sent", c.sent);
	put_uint(w, "events_resent", c.resent);
	put_uint(w, "bytes", c.bytes);
	put_uint(w, "connections", c.connections);
	put_uint(w, "failures", c.failures);
	json_close(w, '}');
}

static void
put_counts(struct json_writer *w, const struct input_counts *c)
{
	json_key(w, "events");
	json_open(w, '{');
	put_uint(w, "read", c->read);
	put_uint(w, "acked", c->acked);
	put_uint(w, "cut", c->cut);
	json_close(w, '}');
	json_key(w, "lost");
	json_open(w, '{');
	put_uint(w, "bytes_skipped", c->skipped);
	put_uint(w, "files_dropped", c->dropped);
	put_uint(w, "files_damaged", c->damaged);
	json_close(w, '}');
}

static void
put_spool(struct json_writer *w, const struct spool *spool)
{
	struct spool_counts c;

	if (spool == NULL)
		return;
	spool_counts(spool, &c);
	json_key(w, "spool");
	json_open(w, '{');
	put_uint(w, "events", c.events);
	put_uint(w, "bytes", c.bytes);
	put_uint(w, "max_bytes", c.max_bytes);
	put_uint(w, "refused", c.refused);
	put_uint(w, "dropped", c.dropped);
	put_uint(w, "damaged_bytes", c.damaged_bytes + c.torn_bytes);
	json_close(w, '}');
}

static void
put_sandbox(struct json_writer *w, const struct status_source *s)
{
	char call[SANDBOX_CALL_NAME];

	json_key(w, "sandbox");
	json_open(w, '{');
	json_key(w, "opener");
	json_bool(w, s->apart);
	json_key(w, "seccomp");
	json_bool(w, s->apart);
	put_uint(w, "landlock", (uint64_t)s->landlock);
	put_uint(w, "refused", opener_refused(s->opener));
	put_uint(w, "syscalls_refused", sandbox_refused(call));
	json_optional_str(w, "syscall", call);
	json_close(w, '}');
}

static void
put_time(struct json_writer *w, const char *key, int64_t time_ns)
{
	if (time_ns == 0)
		return;
	json_key(w, key);
	json_time(w, time_ns);
}

/* The certificate, and whether it will be renewed. */
static void
put_certificate(struct json_writer *w, const struct renewal *renewal)
{
	struct renewal_status r;

	renewal_status(renewal, &r);
	if (!r.known && !r.enrolled)
		return;
	json_key(w, "identity");
	json_open(w, '{');
	json_key(w, "enrolled");
	json_bool(w, r.enrolled);
	if (r.group[0] != '\0')
		put_path(w, "group", r.group);
	json_key(w, "state");
	json_str(w, certificate_state_name(r.state));
	put_time(w, "not_before", r.not_before_ns);
	put_time(w, "not_after", r.not_after_ns);
	put_time(w, "renew_at", r.renew_ns);
	put_time(w, "renewed", r.renewed_ns);
	put_uint(w, "renewals", r.renewals);
	put_uint(w, "failures", r.failures);
	if (r.error[0] != '\0')
		put_path(w, "error", r.error);
	json_close(w, '}');
}

static void
put_file(struct json_writer *w, const struct input_file *f)
{
	char stream[UUID_TEXT];

	uuid_text(f->stream, stream);
	put_path(w, "path", f->path);
	if (f->input != NULL)
		put_path(w, "input", f->input);
	json_key(w, "state");
	json_str(w, f->state);
	json_key(w, "stream");
	json_str(w, stream);
	put_uint(w, "size", f->size);
	put_uint(w, "read", f->read);
	put_uint(w, "acked_to", f->acked_to);
	put_uint(w, "backlog", f->backlog);
	put_uint(w, "lines", f->lines);
	put_uint(w, "sent", f->sent);
	put_uint(w, "acked", f->acked);
	put_uint(w, "cut", f->cut);
	put_uint(w, "skipped", f->skipped);
}

/* Those with the most that is not acknowledged, the most first. */
struct worst {
	struct input_file files[POSITIONS_MAX];
	size_t n;
	uint64_t known, behind, backlog;
};

static void
rank(void *ctx, const struct input_file *f)
{
	struct worst *w = ctx;
	size_t at = w->n;

	w->known++;
	w->behind += f->backlog > 0;
	w->backlog += f->backlog;
	while (at > 0 && w->files[at - 1].backlog < f->backlog)
		at--;
	if (at == POSITIONS_MAX)
		return;
	if (w->n < POSITIONS_MAX)
		w->n++;
	memmove(w->files + at + 1, w->files + at,
	    (w->n - at - 1) * sizeof(w->files[0]));
	w->files[at] = *f;
}

static void
put_status(struct json_writer *w, struct status *s, const struct worst *worst)
{
	struct input_counts counts = { 0 };

	s->source.counts(s->source.ctx, &counts);
	put_costs(w, s);
	put_output(w, s->source.sender);
	put_counts(w, &counts);
	put_spool(w, s->source.spool);
	put_certificate(w, s->source.renewal);
	put_sandbox(w, &s->source);
	if (s->source.central != NULL) {
		json_key(w, "central");
		central_status(s->source.central, w);
	}
	json_key(w, "files");
	json_open(w, '{');
	put_uint(w, "open", counts.files);
	put_uint(w, "known", worst->known);
	put_uint(w, "behind", worst->behind);
	put_uint(w, "backlog_bytes", worst->backlog);
	json_close(w, '}');
}

static void
put_identity(struct json_writer *w, const struct status *s)
{
	json_key(w, "version");
	json_str(w, PACKAGE_VERSION);
	json_key(w, "instance");
	json_str(w, s->instance);
	json_key(w, "started");
	json_time(w, s->started_ns);
}

static void
write_message(struct status *s, struct buf *out)
{
	struct worst worst = { .n = 0 };
	struct json_writer w;

	s->source.files(s->source.ctx, rank, &worst);
	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "@timestamp");
	json_time(&w, timestamp_now());
	json_key(&w, "kuzet");
	json_open(&w, '{');
	json_key(&w, "control");
	json_str(&w, "status");
	put_identity(&w, s);
	json_key(&w, "status");
	json_open(&w, '{');
	put_status(&w, s, &worst);
	json_key(&w, "positions");
	json_open(&w, '[');
	for (size_t i = 0; i < worst.n && out->len < POSITION_BYTES; i++) {
		json_open(&w, '{');
		put_file(&w, &worst.files[i]);
		json_close(&w, '}');
	}
	json_close(&w, ']');
	json_close(&w, '}');
	json_close(&w, '}');
	json_close(&w, '}');
}

void
status_fill(struct status *s, struct window *w)
{
	struct buf message;

	if (!s->due || window_full(w))
		return;
	s->due = false;
	loop_timer_start(s->timer, s->every_ns);
	buf_init(&message, MESSAGE_BYTES);
	write_message(s, &message);
	if (!message.overflowed) {
		control_add(w, buf_slice(&message));
		w->receipts[w->n - 1] = (struct receipt){
			.input = s->source.central,
			.mark = s->source.central == NULL
			    ? 0
			    : central_mark(s->source.central),
		};
	}
	buf_fini(&message);
}

static void
on_due(void *ctx)
{
	struct status *s = ctx;

	s->due = true;
	s->source.wake(s->source.ctx);
}

void
status_every(struct status *s, int64_t ns)
{
	s->every_ns = ns;
	s->due = ns > 0;
	loop_timer_stop(s->timer);
	if (s->due)
		s->source.wake(s->source.ctx);
}

void
status_now(struct status *s)
{
	if (s->every_ns == 0)
		return;
	s->due = true;
	loop_timer_stop(s->timer);
	s->source.wake(s->source.ctx);
}

struct file_lines {
	struct buf *out;
};

static void
add_file_line(void *ctx, const struct input_file *f)
{
	struct file_lines *l = ctx;
	struct json_writer w;

	json_begin(&w, l->out);
	json_open(&w, '{');
	json_key(&w, "type");
	json_str(&w, "file");
	put_file(&w, f);
	json_close(&w, '}');
	(void)buf_add_char(l->out, '\n');
}

static void
write_answer(struct status *s, struct buf *out)
{
	struct file_lines lines = { out };
	struct worst worst = { .n = 0 };
	struct json_writer w;

	s->source.files(s->source.ctx, rank, &worst);
	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "type");
	json_str(&w, "agent");
	put_identity(&w, s);
	put_uint(&w, "pid", (uint64_t)getpid());
	put_status(&w, s, &worst);
	json_close(&w, '}');
	(void)buf_add_char(out, '\n');
	s->source.files(s->source.ctx, add_file_line, &lines);
}

static void
dismiss(struct visitor *v)
{
	loop_io_free(v->io);
	loop_timer_free(v->timer);
	if (v->fd != -1)
		(void)close(v->fd);
	buf_fini(&v->answer);
	*v = (struct visitor){ .status = v->status, .fd = -1 };
}

static void
on_visit_over(void *ctx)
{
	dismiss(ctx);
}

static void
on_writable(void *ctx, int fd, unsigned ready)
{
	struct visitor *v = ctx;
	ssize_t n = send(fd, v->answer.ptr + v->written,
	    v->answer.len - v->written, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)ready;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		v->written += (size_t)n;
	if (n < 0 || v->written == v->answer.len)
		dismiss(v);
}

static void
on_visitor(void *ctx, int listen_fd, unsigned ready)
{
	struct status *s = ctx;
	struct visitor *v = NULL;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)ready;
	for (size_t i = 0; v == NULL && i < VISITORS_MAX; i++) {
		if (s->visitors[i].fd == -1)
			v = &s->visitors[i];
	}
	if (fd == -1 || v == NULL) {
		if (fd != -1)
			(void)close(fd);
		return;
	}
	v->fd = fd;
	buf_init(&v->answer, ANSWER_BYTES);
	write_answer(s, &v->answer);
	v->timer = loop_timer_new(s->loop, on_visit_over, v);
	loop_timer_start(v->timer, visit_ns);
	v->io = loop_io_new(s->loop, fd, on_writable, v);
	loop_io_want(v->io, LOOP_WRITE);
}

struct status *
status_new(struct loop *l, const struct status_source *source)
{
	struct status *s = xzalloc(sizeof(*s));
	uint8_t uuid[16];

	s->loop = l;
	s->source = *source;
	s->timer = loop_timer_new(l, on_due, s);
	uuid_new(uuid);
	uuid_text(uuid, s->instance);
	s->started_ns = timestamp_now();
	s->began_ns = loop_now();
	s->listen_fd = -1;
	for (size_t i = 0; i < VISITORS_MAX; i++)
		s->visitors[i] = (struct visitor){ .status = s, .fd = -1 };
	return s;
}

void
status_free(struct status *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < VISITORS_MAX; i++)
		dismiss(&s->visitors[i]);
	loop_io_free(s->listen);
	if (s->listen_fd != -1) {
		(void)unlink(s->socket_path);
		(void)close(s->listen_fd);
	}
	free(s->socket_path);
	loop_timer_free(s->timer);
	free(s);
}

enum rc
status_listen(struct status *s, const char *state_dir, struct error *err)
{
	size_t room = strlen(state_dir) + sizeof("/status.sock");
	enum rc rc;

	s->socket_path = xzalloc(room);
	(void)snprintf(s->socket_path, room, "%s/status.sock", state_dir);
	rc = control_listen(s->socket_path, &s->listen_fd, err);
	if (rc != RC_OK) {
		s->listen_fd = -1;
		return rc;
	}
	(void)fcntl(s->listen_fd, F_SETFL, O_NONBLOCK);
	s->listen = loop_io_new(s->loop, s->listen_fd, on_visitor, s);
	loop_io_want(s->listen, LOOP_READ);
	return RC_OK;
}
