/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/feed.h"

#include <stdio.h>

#include "agent/inputs/line_event.h"
#include "timestamp.h"

/* What a receipt is of, by its `stream`: these addresses. */
static char of_control, of_event, of_stream_end;

void
feed_look(struct feed *f)
{
	atomic_store(&f->look, true);
}

void
feed_init(struct feed *f, const struct input_setup *setup, const char *name)
{
	*f = (struct feed){ .name = name, .setup = *setup };
	f->heartbeat_due_ns = loop_now() + setup->heartbeat_ns;
	feed_look(f);
}

void
feed_fini(struct feed *f)
{
	state_db_close(&f->reader);
}

void
feed_setup(struct feed *f, const struct input_setup *setup)
{
	f->setup = *setup;
}

void
feed_restart(struct feed *f)
{
	state_db_close(&f->reader);
	f->sent = f->acked = f->ending = 0;
	f->end_sent = false;
	feed_look(f);
	atomic_store(&f->acked_id, 0);
	atomic_store(&f->ended_stream, 0);
}

static void
add_receipt(struct window *w, const void *self, void *of, int64_t mark)
{
	w->receipts[w->n - 1] = (struct receipt){ self, of, (uint64_t)mark };
}

static void
add_heartbeats(struct feed *f, const void *self, struct window *w)
{
	char now[TIMESTAMP_TEXT_MAX];
	char text[TIMESTAMP_TEXT_MAX + 1];
	int64_t now_ns = timestamp_now();
	struct slice s = timestamp_format(now_ns - now_ns % NS_PER_MS, now);

	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(s));
	for (size_t i = 0; i < f->setup.n_inputs && !window_full(w); i++) {
		control_heartbeat_add(w, f->setup.inputs[i].name, text);
		add_receipt(w, self, &of_control, 0);
	}
	f->heartbeat_due_ns = loop_now() + f->setup.heartbeat_ns;
}

/* Streams of earlier runs end when nothing of them is left. */
static void
add_stream_end(struct feed *f, const void *self, struct window *w)
{
	char uuid[UUID_TEXT];
	struct error err;

	if (f->end_sent || window_full(w) ||
	    outbox_ended_stream(&f->reader, &f->ending, uuid, &err) != RC_OK)
		return;
	control_stream_end_add(w, uuid);
	add_receipt(w, self, &of_stream_end, f->ending);
	f->end_sent = true;
}

/* Events, then the end of a stream; RC_EOF: that was all. */
static enum rc
add_rows(struct feed *f, const void *self, struct window *w)
{
	struct outbox_event e;
	struct error err;
	enum rc rc = RC_OK;

	while (!window_full(w) &&
	    (rc = outbox_next(&f->reader, f->sent, &e, &err)) == RC_OK) {
		json_event_add(w, e.json, e.stream, (uint64_t)e.id);
		add_receipt(w, self, &of_event, e.id);
		f->sent = e.id;
		f->n_read++;
	}
	if (rc != RC_EOF)
		return rc;
	if (f->sent == f->acked)
		add_stream_end(f, self, w);
	sql_rest(f->reader.sql);
	return RC_EOF;
}

bool
feed_fill(struct feed *f, const void *self, struct window *w)
{
	struct error err;
	enum rc rc = RC_EOF;

	if (f->reader.sql == NULL &&
	    state_db_open_reader(f->setup.state_dir, f->name, &f->reader,
		&err) != RC_OK)
		return false; /* the writer has not made it yet */
	if (atomic_exchange(&f->look, false))
		rc = add_rows(f, self, w);
	if (rc != RC_EOF)
		feed_look(f);
	if (rc == RC_EOF && feed_heartbeat_due(f))
		add_heartbeats(f, self, w);
	return rc == RC_OK;
}

void
feed_acked(struct feed *f, const struct receipt *receipts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (receipts[i].stream == &of_event) {
			f->acked = (int64_t)receipts[i].mark;
			f->n_acked++;
		} else if (receipts[i].stream == &of_stream_end) {
			atomic_store(&f->ended_stream,
			    (int64_t)receipts[i].mark);
			f->end_sent = false;
		}
	}
	atomic_store(&f->acked_id, f->acked);
}

bool
feed_idle(const struct feed *f)
{
	return f->sent == f->acked;
}

bool
feed_heartbeat_due(const struct feed *f)
{
	return feed_idle(f) && loop_now() >= f->heartbeat_due_ns;
}

enum rc
feed_trim(struct feed *f, struct state_db *db, struct error *err)
{
	int64_t acked = atomic_load(&f->acked_id);
	int64_t ended = atomic_exchange(&f->ended_stream, 0);
	enum rc rc = RC_OK;

	if (acked <= db->trimmed && ended == 0)
		return RC_OK;
	if (acked > db->trimmed)
		rc = outbox_acked(db, acked, err);
	if (rc == RC_OK)
		db->trimmed = acked;
	if (rc == RC_OK && ended != 0)
		rc = outbox_forget_stream(db, ended, err);
	sql_rest(db->sql);
	feed_look(f); /* a stream may have ended by it */
	return rc;
}
