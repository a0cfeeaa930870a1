/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit records from the socket of auditd's af_unix plugin (its output as
 * strings: the lines of audit.log).  The records of one event are joined and
 * kept in the spool, for no file stands behind them.  The log itself is the file
 * input's (input_file.c).
 *
 * Bounds: a line and an event's text in memory, AUDIT_OPEN_MAX events that are
 * not whole.  A full spool refuses and counts; auditd is never held up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/audit_users.h"
#include "agent/inputs/line_event.h"
#include "agent/inputs/spool_event.h"
#include "audit.h"
#include "line_splitter.h"
#include "xalloc.h"

enum {
	READ_BYTES = 64 * 1024,
	READS_AT_ONCE = 4,     /* others have their turn, too */
	READS_AT_END = 64,     /* more than a socket holds */
	TEXT_MAX = 128 * 1024, /* of one event; six times that as JSON */
	EXPANSION = 6,
	SAID_MAX = 1280 /* an error's text behind a path */
};

/* auditd drops what it has while nobody listens. */
static const int64_t retry_ns = 200 * NS_PER_MS;
/* An event without EOE is whole after one or two of these. */
static const int64_t idle_ns = NS_PER_SEC;

struct source {
	struct audit_input *in;
	const struct input_config *config; /* the setup's */
	char *path;
	int fd; /* -1: not connected */
	struct loop_io *io;
	struct line_splitter *lines;
	struct audit_join *join;
	bool torn; /* the connection ended within a line */
	bool missing_said, odd_said;
};

struct audit_input {
	struct input_setup setup;
	struct audit_users *users;
	struct loop_timer *tick;
	struct source **sources;
	size_t n;
	int64_t idle_due_ns;
	char *bytes;     /* READ_BYTES */
	struct buf text; /* escaped */
	bool draining, put_said;
};

static void
say(const struct source *s, enum log_level level, const char *what,
    const char *why)
{
	char text[SAID_MAX];

	(void)snprintf(text, sizeof(text), "audit: %s: %s%s", s->path, what,
	    why);
	s->in->setup.say(s->in->setup.ctx, level, text);
}

/* ---- events -------------------------------------------------------------- */

static void
put_message(struct audit_input *in, struct json_writer *w, struct slice text)
{
	char *room;

	buf_clear(&in->text);
	room = buf_reserve(&in->text, EXPANSION * text.len + 2);
	*room = '"';
	in->text.len = (size_t)(json_escape(room + 1, text) - room);
	(void)buf_add_char(&in->text, '"');
	json_key(w, "message");
	json_raw(w, buf_slice(&in->text));
}

static void
put_flags(struct json_writer *w, unsigned flags)
{
	if (flags == 0)
		return;
	json_key(w, "log.flags");
	json_open(w, '[');
	if (flags & LINE_CUT)
		json_str(w, "truncated");
	if (flags & LINE_JOINED)
		json_str(w, "multiline");
	if (flags & LINE_SPLIT)
		json_str(w, "split");
	json_close(w, ']');
}

static void
put_event(struct source *s, struct slice text, unsigned flags)
{
	struct audit_input *in = s->in;
	struct spool_event_text t;
	struct error err;

	spool_event_begin(&t, &in->setup, s->config->name, "audit",
	    timestamp_now());
	(void)buf_add_slice(&t.text, audit_users(in->users, text));
	json_key(&t.json, "event.dataset");
	json_str(&t.json, s->config->dataset);
	put_flags(&t.json, flags);
	put_message(in, &t.json, text);
	if (spool_event_put(&t, in->setup.spool, &err) != RC_OK &&
	    !in->put_said) {
		in->put_said = true; /* the spool counts and reports */
		say(s, LOG_LEVEL_WARN, err.text, "");
	}
}

/* As many whole lines as one event of the spool takes. */
static struct slice
take_lines(struct slice *text)
{
	struct slice taken = *text;
	const char *end;

	if (text->len > TEXT_MAX) {
		end = memrchr(text->ptr, '\n', TEXT_MAX + 1);
		taken.len = end == NULL ? TEXT_MAX : (size_t)(end - text->ptr);
		text->ptr += taken.len + (end != NULL);
		text->len -= taken.len + (end != NULL);
	} else {
		*text = (struct slice){ NULL, 0 };
	}
	return taken;
}

static void
on_event(void *ctx, struct slice text, bool cut)
{
	while (text.len > 0) {
		struct slice piece = take_lines(&text);
		unsigned flags = cut ? LINE_CUT : 0;

		if (memchr(piece.ptr, '\n', piece.len) != NULL)
			flags |= LINE_JOINED;
		if (text.len > 0)
			flags |= LINE_SPLIT;
		put_event(ctx, piece, flags);
	}
}

static void
say_odd(struct source *s)
{
	if (!s->odd_said)
		say(s, LOG_LEVEL_WARN, "what comes is no audit record",
		    ": the plugin's output must be of the format string");
	s->odd_said = true;
}

static void
on_line(void *ctx, struct slice line, bool truncated)
{
	struct source *s = ctx;
	struct audit_head head;

	if (line.len == 0)
		return;
	if (!s->torn && !audit_head(line, &head))
		say_odd(s);
	audit_join_line(s->join, line, truncated || s->torn);
}

/* ---- connections --------------------------------------------------------- */

/* Up to `turns` reads; false: there is an end, and errno, 0 where auditd made
 * it. */
static bool
read_some(struct source *s, int turns)
{
	while (turns-- > 0) {
		ssize_t n = read(s->fd, s->in->bytes, READ_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0) {
			errno = 0;
			return false;
		}
		/* the plugin's other format has a header, and no line ends */
		if (memchr(s->in->bytes, '\0', (size_t)n) != NULL)
			say_odd(s);
		line_splitter_feed(s->lines,
		    (struct slice){ s->in->bytes, (size_t)n });
	}
	return true;
}

/* What came is kept, the last line as far as it is there. */
static void
disconnect(struct source *s)
{
	loop_io_free(s->io);
	s->io = NULL;
	if (s->fd != -1)
		(void)close(s->fd);
	s->fd = -1;
	s->torn = true;
	line_splitter_flush(s->lines);
	s->torn = false;
	audit_join_flush(s->join);
}

static void
on_ready(void *ctx, int fd, unsigned ready)
{
	struct source *s = ctx;
	struct error err;

	(void)fd;
	(void)ready;
	if (read_some(s, READS_AT_ONCE))
		return;
	if (errno == 0)
		(void)error_set(&err, RC_EOF, "auditd closed it");
	else
		(void)error_set_errno(&err, errno, "read");
	say(s, LOG_LEVEL_WARN, err.text, ": connecting again");
	disconnect(s);
	loop_timer_start(s->in->tick, retry_ns);
}

static void
connect_source(struct source *s)
{
	struct error err;

	if (opener_socket(s->in->setup.opener, s->path, &s->fd, &err) !=
	    RC_OK) {
		if (!s->missing_said)
			say(s, LOG_LEVEL_WARN, err.text,
			    ": trying again until it is there");
		s->missing_said = true;
		return;
	}
	s->missing_said = false;
	say(s, LOG_LEVEL_INFO, "connected", "");
	s->io = loop_io_new(s->in->setup.loop, s->fd, on_ready, s);
	loop_io_want(s->io, LOOP_READ);
}

static void
on_tick(void *ctx)
{
	struct audit_input *in = ctx;
	bool idle = loop_now() >= in->idle_due_ns, all = true;

	if (idle)
		in->idle_due_ns = loop_now() + idle_ns;
	for (size_t i = 0; i < in->n; i++) {
		struct source *s = in->sources[i];

		if (idle)
			audit_join_flush_idle(s->join);
		if (s->fd == -1 && !in->draining)
			connect_source(s);
		all = all && (s->fd != -1 || in->draining);
	}
	if (in->n > 0)
		loop_timer_start(in->tick, all ? idle_ns : retry_ns);
}

/* ---- the input ----------------------------------------------------------- */

static struct source *
source_new(struct audit_input *in, const struct input_config *config)
{
	struct source *s = xzalloc(sizeof(*s));

	s->in = in;
	s->config = config;
	s->path = xstrdup(config->socket);
	s->fd = -1;
	s->lines =
	    line_splitter_new(config->max_line < TEXT_MAX ? config->max_line
							  : TEXT_MAX,
		on_line, s);
	s->join = audit_join_new(on_event, s);
	return s;
}

static void
source_free(struct source *s)
{
	if (s->fd != -1)
		(void)read_some(s, READS_AT_END);
	disconnect(s);
	line_splitter_free(s->lines);
	audit_join_free(s->join);
	free(s->path);
	free(s);
}

/* Takes the source of this entry, connected as it is; NULL: there is none. */
static struct source *
take_source(struct source **from, size_t n, const struct input_config *config)
{
	for (size_t i = 0; i < n; i++) {
		struct source *s = from[i];

		if (s == NULL || strcmp(s->path, config->socket) != 0 ||
		    s->config->max_line != config->max_line)
			continue;
		from[i] = NULL;
		return s;
	}
	return NULL;
}

static void
audit_reload(void *self, const struct input_setup *setup)
{
	struct audit_input *in = self;
	struct source **before = in->sources;
	size_t n_before = in->n;

	in->sources = xcalloc(setup->n_inputs + 1, sizeof(struct source *));
	in->n = setup->n_inputs;
	for (size_t i = 0; i < in->n; i++)
		in->sources[i] =
		    take_source(before, n_before, &setup->inputs[i]);
	for (size_t i = 0; i < n_before; i++) {
		if (before[i] != NULL)
			source_free(before[i]);
	}
	free(before);
	in->setup = *setup;
	for (size_t i = 0; i < in->n; i++) {
		if (in->sources[i] == NULL)
			in->sources[i] = source_new(in, &setup->inputs[i]);
		in->sources[i]->config = &setup->inputs[i];
	}
	loop_timer_stop(in->tick);
	on_tick(in);
}

static enum rc
audit_open(const struct input_setup *setup, void **out, struct error *err)
{
	struct audit_input *in = xzalloc(sizeof(*in));

	(void)err;
	in->users = audit_users_new(setup->opener);
	in->bytes = xcalloc(READ_BYTES, 1);
	buf_init(&in->text, EXPANSION * TEXT_MAX + 3);
	in->tick = loop_timer_new(setup->loop, on_tick, in);
	audit_reload(in, setup);
	*out = in;
	return RC_OK;
}

static void
audit_drain(void *self)
{
	struct audit_input *in = self;

	in->draining = true;
	for (size_t i = 0; i < in->n; i++) {
		if (in->sources[i]->fd != -1)
			(void)read_some(in->sources[i], READS_AT_END);
		disconnect(in->sources[i]);
	}
}

static void
audit_close(void *self)
{
	struct audit_input *in = self;

	if (in == NULL)
		return;
	for (size_t i = 0; i < in->n; i++)
		source_free(in->sources[i]);
	free(in->sources);
	loop_timer_free(in->tick);
	audit_users_free(in->users);
	buf_fini(&in->text);
	free(in->bytes);
	free(in);
}

const struct input_kind input_audit = {
	.name = "audit",
	.help = "records that auditd writes to a socket",
	.spools = true,
	.open = audit_open,
	.reload = audit_reload,
	.drain = audit_drain,
	.close = audit_close,
};
