/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `journal` input: systemd's journal, entry by entry.
 *
 * The journal is its own buffer: nothing of it is copied.  What is kept, after
 * the ACK, is the cursor of the last entry before which all are acknowledged:
 * STATE_DIR/journal-ID.state, one for each input.  Some checkpoints (a number
 * of an entry in our order of reading, and its cursor) wait for their ACKs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/journal.h"
#include "agent/inputs/journal_event.h"
#include "agent/inputs/line_event.h"
#include "digest.h"
#include "state_file.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	CHECKPOINTS = 64,
	CHECKPOINT_EVERY = 256, /* entries */
	REOPEN_AFTER = 4096,    /* entries: see on_tick() */
	EVENT_KEEP = 1024 * 1024,
	STATE_BYTES_MAX = 131072, /* what its reader asks room for, twice */
	ID_BYTES = 8
};

static const int64_t tick_ns = NS_PER_SEC;
static const int64_t retry_ns = 5 * NS_PER_SEC;

static const char first_line[] = "kuzet-agent journal 1\n";

struct checkpoint {
	uint64_t n;
	char cursor[JOURNAL_CURSOR_MAX];
};

/* One `journal` entry of agent.yaml. */
struct source {
	const struct input_config *config; /* borrowed; NULL: not read any
					    * more, ACKs are still to come */
	struct journal_input *in;
	char *name;
	char file[64]; /* of the state */

	struct journal_files *files; /* NULL: not looked for yet */
	struct loop_io *io;          /* of theirs */
	struct journal *journal;     /* NULL: closed */
	bool began;                  /* first_cursor() was asked for */
	int64_t retry_at_ns;
	bool failure_said;
	bool there; /* entries that were not read */

	uint64_t n_read, n_acked; /* entries, since the start */
	uint64_t n_opened;        /* n_read when it was opened */
	char read_cursor[JOURNAL_CURSOR_MAX];
	char acked_cursor[JOURNAL_CURSOR_MAX]; /* empty: none yet */
	struct checkpoint checkpoints[CHECKPOINTS];
	size_t first, n_checkpoints;
	bool dirty;
	int64_t heartbeat_due_ns;
};

struct journal_input {
	struct input_setup setup;
	struct source **sources;
	size_t n;
	struct loop_timer *tick;
	struct buf event;
	struct input_counts counts;
	bool draining;
};

__attribute__((format(printf, 3, 4))) static void
say(struct source *s, enum log_level level, const char *fmt, ...)
{
	char text[1400];
	int n = snprintf(text, sizeof(text), "%s: ", s->name);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	s->in->setup.say(s->in->setup.ctx, level, text);
}

/* ---- the cursor on disk ----------------------------------------------------- */

static void
state_text(const char *cursor, struct buf *b)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_TEXT];

	(void)buf_add_str(b, first_line);
	(void)buf_add_str(b, cursor);
	(void)buf_add_char(b, '\n');
	sha256_of(buf_slice(b), digest);
	hex_text(digest, sizeof(digest), hex);
	(void)buf_printf(b, "sha256 %s\n", hex);
}

static void
save(struct source *s)
{
	struct buf b;
	struct error err;

	if (!s->dirty || s->acked_cursor[0] == '\0')
		return;
	buf_init(&b, STATE_BYTES_MAX);
	state_text(s->acked_cursor, &b);
	if (state_file_replace(s->in->setup.state_dir, s->file, buf_slice(&b),
		&err) == RC_OK)
		s->dirty = false;
	else if (!s->failure_said)
		say(s, LOG_LEVEL_WARN, "%s", err.text);
	buf_fini(&b);
}

/* What is damaged is as good as none: entries keep their identity. */
static void
load(struct source *s)
{
	char path[4200];
	struct buf b, again;
	struct error err;
	const char *end;
	enum rc rc;

	(void)snprintf(path, sizeof(path), "%s/%s", s->in->setup.state_dir,
	    s->file);
	buf_init(&b, STATE_BYTES_MAX);
	buf_init(&again, STATE_BYTES_MAX);
	rc = state_file_read(path, &b, &err);
	end = rc != RC_OK || b.len <= sizeof(first_line)
	    ? NULL
	    : memchr(b.ptr + sizeof(first_line) - 1, '\n',
		  b.len - sizeof(first_line) + 1);
	if (end != NULL &&
	    end - b.ptr - sizeof(first_line) + 1 < JOURNAL_CURSOR_MAX) {
		(void)snprintf(s->acked_cursor, sizeof(s->acked_cursor), "%.*s",
		    (int)(end - b.ptr - sizeof(first_line) + 1),
		    b.ptr + sizeof(first_line) - 1);
		state_text(s->acked_cursor, &again);
		if (!slice_eq(buf_slice(&b), buf_slice(&again)))
			s->acked_cursor[0] = '\0';
	}
	if (s->acked_cursor[0] == '\0' && rc != RC_EOF)
		say(s, LOG_LEVEL_WARN,
		    "%s is damaged: the journal is read from its start", path);
	buf_fini(&b);
	buf_fini(&again);
}

/* ---- open and close --------------------------------------------------------- */

static void
close_journal(struct source *s)
{
	journal_close(s->journal);
	s->journal = NULL;
	s->there = false;
}

static void
close_files(struct source *s)
{
	close_journal(s);
	loop_io_free(s->io);
	s->io = NULL;
	journal_files_free(s->files);
	s->files = NULL;
}

static void
give_up(struct source *s, const struct error *err)
{
	close_journal(s);
	s->retry_at_ns = loop_now() + retry_ns;
	if (!s->failure_said)
		say(s, LOG_LEVEL_WARN, "%s; trying on", err->text);
	s->failure_said = true;
}

static void
look(struct source *s)
{
	s->there = true;
	s->in->setup.wake(s->in->setup.ctx);
}

/* A first start at the end keeps that place, whatever comes before an ACK. */
static enum rc
first_cursor(struct source *s, struct error *err)
{
	enum rc rc;

	if (!s->config->journal.from_tail || s->acked_cursor[0] != '\0' ||
	    s->n_read > 0 || s->began)
		return RC_OK;
	rc = journal_tail(s->files, &s->config->journal, s->acked_cursor, err);
	s->began = rc == RC_OK;
	s->dirty = rc == RC_OK;
	save(s);
	return rc;
}

static void
open_journal(struct source *s)
{
	const char *cursor = s->n_read > 0 ? s->read_cursor : s->acked_cursor;
	struct error err;
	bool exact;
	enum rc rc = first_cursor(s, &err);

	if (rc == RC_OK)
		rc = journal_open(s->files, &s->config->journal,
		    cursor[0] == '\0' ? NULL : cursor, &s->journal, &exact,
		    &err);
	if (rc != RC_OK) {
		give_up(s, &err);
		return;
	}
	if (!exact)
		say(s, LOG_LEVEL_WARN,
		    "the journal removed entries up to the last one "
		    "acknowledged, and perhaps more: reading goes on with the "
		    "oldest one behind it");
	if (s->failure_said)
		say(s, LOG_LEVEL_INFO, "the journal can be read again");
	s->failure_said = false;
	s->n_opened = s->n_read;
	look(s);
}

static void
reopen(struct source *s)
{
	close_journal(s);
	open_journal(s);
}

static void
on_readable(void *ctx, int fd, unsigned ready)
{
	struct source *s = ctx;

	(void)fd;
	(void)ready;
	if (s->in->draining)
		loop_io_want(s->io, 0);
	else if (journal_files_renewed(s->files))
		reopen(s);
	else if (s->journal != NULL)
		look(s);
}

static void
find_files(struct source *s)
{
	s->files = journal_files_new(s->in->setup.opener, &s->config->journal);
	if (journal_files_fd(s->files) == -1)
		return;
	s->io = loop_io_new(s->in->setup.loop, journal_files_fd(s->files),
	    on_readable, s);
	loop_io_want(s->io, LOOP_READ);
}

/* ---- reading ---------------------------------------------------------------- */

static void
add_checkpoint(struct source *s, const char *cursor)
{
	size_t at = (s->first + s->n_checkpoints) % CHECKPOINTS;

	if (s->n_checkpoints == CHECKPOINTS) /* the newest moves on */
		at = (at + CHECKPOINTS - 1) % CHECKPOINTS;
	else
		s->n_checkpoints++;
	s->checkpoints[at].n = s->n_read;
	(void)snprintf(s->checkpoints[at].cursor, JOURNAL_CURSOR_MAX, "%s",
	    cursor);
}

static void
add_event(struct source *s, struct window *w, struct journal_entry *e)
{
	struct journal_input *in = s->in;
	char stream[UUID_TEXT];
	struct error err;
	enum rc rc = journal_event(s->journal, e, &in->setup, s->config,
	    &in->event, &err);

	if (rc != RC_OK) {
		in->counts.skipped++;
		say(s, LOG_LEVEL_WARN, "%s (%s)", err.text, e->cursor);
	}
	if (rc == RC_LIMIT)
		return;
	uuid_text(e->stream, stream);
	json_event_add(w, buf_slice(&in->event), stream, e->seqnum);
	s->n_read++;
	(void)snprintf(s->read_cursor, sizeof(s->read_cursor), "%s", e->cursor);
	w->receipts[w->n - 1] = (struct receipt){ in, s, s->n_read };
	in->counts.read++;
	in->counts.cut += e->cut;
	if (e->late)
		say(s, LOG_LEVEL_DEBUG, "a late entry (%s)", e->cursor);
	if (s->n_read % CHECKPOINT_EVERY == 0)
		add_checkpoint(s, e->cursor);
	/* what one long entry needed is not kept for ever */
	if (in->event.cap > EVENT_KEEP)
		buf_fini(&in->event);
}

static void
read_source(struct source *s, struct window *w)
{
	uint64_t before = s->n_read;
	struct journal_entry e;
	struct error err;

	while (s->there && !window_full(w)) {
		enum rc rc = journal_next(s->journal, &e, &err);

		if (rc != RC_EOF && journal_files_renewed(s->files)) {
			/* what was written before it may be in a file that is
			 * new: it comes again, in its turn */
			reopen(s);
		} else if (rc == RC_OK) {
			add_event(s, w, &e);
		} else if (rc == RC_INVALID) {
			s->in->counts.skipped++;
			say(s, LOG_LEVEL_WARN, "%s", err.text);
		} else if (rc == RC_EOF) {
			s->there = false;
		} else {
			give_up(s, &err);
		}
	}
	if (s->n_read > before && s->n_read % CHECKPOINT_EVERY != 0)
		add_checkpoint(s, s->read_cursor);
}

static bool
source_idle(const struct source *s)
{
	return !s->there && s->n_acked == s->n_read;
}

static void
add_heartbeat(struct source *s, struct window *w, int64_t now_ns)
{
	char text[TIMESTAMP_TEXT_MAX + 1];
	int64_t real_ns = timestamp_now();
	struct slice now;

	if (now_ns < s->heartbeat_due_ns || s->journal == NULL ||
	    !source_idle(s) || window_full(w))
		return;
	now = timestamp_format(real_ns - real_ns % NS_PER_MS, text);
	text[now.len] = '\0';
	control_heartbeat_add(w, s->name, text);
	w->receipts[w->n - 1] = (struct receipt){ s->in, NULL, 0 };
	s->heartbeat_due_ns = now_ns + s->in->setup.heartbeat_ns;
}

static bool
journal_fill(void *self, struct window *w)
{
	struct journal_input *in = self;
	bool more = false;

	for (size_t i = 0; i < in->n; i++) {
		struct source *s = in->sources[i];

		add_heartbeat(s, w, loop_now());
		read_source(s, w);
		more = more || s->there;
	}
	return more;
}

static void
take_checkpoints(struct source *s)
{
	while (
	    s->n_checkpoints > 0 && s->checkpoints[s->first].n <= s->n_acked) {
		(void)snprintf(s->acked_cursor, sizeof(s->acked_cursor), "%s",
		    s->checkpoints[s->first].cursor);
		s->first = (s->first + 1) % CHECKPOINTS;
		s->n_checkpoints--;
		s->dirty = true;
	}
}

static void
journal_acked(void *self, const struct receipt *receipts, size_t n)
{
	struct journal_input *in = self;

	for (size_t i = 0; i < n; i++) {
		struct source *s = receipts[i].stream;

		if (s == NULL)
			continue;
		s->n_acked = receipts[i].mark;
		in->counts.acked++;
		take_checkpoints(s);
	}
}

static void
source_free(struct source *s)
{
	save(s);
	close_files(s);
	free(s->name);
	free(s);
}

/* Those that the configuration has no more and all is acknowledged of. */
static void
forget_gone(struct journal_input *in)
{
	size_t kept = 0;

	for (size_t i = 0; i < in->n; i++) {
		struct source *s = in->sources[i];

		if (s->config == NULL && s->n_acked == s->n_read)
			source_free(s);
		else
			in->sources[kept++] = s;
	}
	in->n = kept;
}

static void
tell_refused(struct source *s)
{
	const struct journal_file *file;

	while ((file = journal_files_tell(s->files)) != NULL) {
		char why[128];

		s->in->counts.damaged++;
		say(s, LOG_LEVEL_WARN,
		    "%s is left out, it cannot be read as a journal: %s",
		    file->path, strerror_r(file->refused, why, sizeof(why)));
	}
}

static void
keep_open(struct source *s, int64_t now_ns)
{
	if (s->files == NULL)
		find_files(s);
	/* libsystemd keeps what it mapped: let go of a backlog */
	if (source_idle(s) && s->n_read - s->n_opened >= REOPEN_AFTER)
		close_journal(s);
	if (s->journal == NULL && now_ns >= s->retry_at_ns)
		open_journal(s);
	else if (s->journal != NULL && journal_files_differ(s->files))
		reopen(s);
	else if (s->journal != NULL && !s->there)
		look(s); /* where inotify is not to be had */
	tell_refused(s);
}

static void
on_tick(void *ctx)
{
	struct journal_input *in = ctx;
	int64_t now_ns = loop_now();

	forget_gone(in);
	for (size_t i = 0; i < in->n; i++) {
		struct source *s = in->sources[i];

		save(s);
		if (in->draining || s->config == NULL)
			continue;
		keep_open(s, now_ns);
		if (!source_idle(s))
			s->heartbeat_due_ns = now_ns + in->setup.heartbeat_ns;
		else if (now_ns >= s->heartbeat_due_ns)
			in->setup.wake(in->setup.ctx);
	}
	loop_timer_start(in->tick, tick_ns);
}

/* ---- the input -------------------------------------------------------------- */

static struct source *
source_new(struct journal_input *in, const struct input_config *config)
{
	struct source *s = xzalloc(sizeof(*s));
	uint8_t digest[SHA256_BYTES];
	char id[2 * ID_BYTES + 1];

	s->in = in;
	s->config = config;
	s->name = xstrdup(config->name);
	sha256_of((struct slice){ config->name, strlen(config->name) }, digest);
	hex_text(digest, ID_BYTES, id);
	(void)snprintf(s->file, sizeof(s->file), "journal-%s.state", id);
	load(s);
	return s;
}

static enum rc
journal_input_open(const struct input_setup *setup, void **out,
    struct error *err)
{
	struct journal_input *in = xzalloc(sizeof(*in));

	(void)err;
	in->setup = *setup;
	in->n = setup->n_inputs;
	in->sources = xcalloc(in->n, sizeof(struct source *));
	buf_init(&in->event, JOURNAL_EVENT_MAX);
	in->tick = loop_timer_new(setup->loop, on_tick, in);
	for (size_t i = 0; i < in->n; i++)
		in->sources[i] = source_new(in, &setup->inputs[i]);
	on_tick(in);
	*out = in;
	return RC_OK;
}

static struct source *
source_named(struct journal_input *in, const char *name)
{
	for (size_t i = 0; i < in->n; i++) {
		if (strcmp(in->sources[i]->name, name) == 0)
			return in->sources[i];
	}
	return NULL;
}

/* One of the same name goes on behind what it read, by its new filters. */
static void
journal_reload(void *self, const struct input_setup *setup)
{
	struct journal_input *in = self;

	in->setup = *setup;
	for (size_t i = 0; i < in->n; i++) {
		close_files(in->sources[i]);
		in->sources[i]->retry_at_ns = 0;
		in->sources[i]->config = NULL;
	}
	for (size_t i = 0; i < setup->n_inputs; i++) {
		const struct input_config *config = &setup->inputs[i];
		struct source *s = source_named(in, config->name);

		if (s == NULL) {
			in->sources = xreallocarray(in->sources, in->n + 1,
			    sizeof(struct source *));
			s = in->sources[in->n++] = source_new(in, config);
		}
		s->config = config;
	}
	on_tick(in);
}

static void
journal_drain(void *self)
{
	struct journal_input *in = self;

	in->draining = true;
}

static bool
journal_idle(const void *self)
{
	const struct journal_input *in = self;

	for (size_t i = 0; i < in->n; i++) {
		if (!source_idle(in->sources[i]))
			return false;
	}
	return true;
}

static void
journal_counts(const void *self, struct input_counts *counts)
{
	const struct journal_input *in = self;

	*counts = in->counts;
	for (size_t i = 0; i < in->n; i++)
		counts->files += in->sources[i]->journal != NULL;
}

static void
journal_save(void *self)
{
	struct journal_input *in = self;

	for (size_t i = 0; i < in->n; i++)
		save(in->sources[i]);
}

static void
journal_input_close(void *self)
{
	struct journal_input *in = self;

	if (in == NULL)
		return;
	for (size_t i = 0; i < in->n; i++)
		source_free(in->sources[i]);
	free(in->sources);
	loop_timer_free(in->tick);
	buf_fini(&in->event);
	free(in);
}

const struct input_kind input_journal = {
	.name = "journal",
	.help = "systemd's journal",
	.open = journal_input_open,
	.reload = journal_reload,
	.fill = journal_fill,
	.acked = journal_acked,
	.drain = journal_drain,
	.idle = journal_idle,
	.counts = journal_counts,
	.save = journal_save,
	.close = journal_input_close,
};
