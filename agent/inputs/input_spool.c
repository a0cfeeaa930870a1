/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends what the spool keeps.  No type of agent.yaml's: it serves every input
 * that no file stands behind, says their signs of life, and reports what the
 * spool had to leave out as an event of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/line_event.h"
#include "agent/inputs/spool_event.h"
#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

#define INPUT_NAME "spool"

static const int64_t tick_ns = NS_PER_SEC;
/* Losses that go on make one event a minute. */
static const int64_t report_ns = 60 * NS_PER_SEC;

/* Receipts' marks of control messages; events carry their sequence. */
enum { MARK_HEARTBEAT = 0 };

struct spool_input {
	struct input_setup setup; /* inputs: all that put into the spool */
	struct loop_timer *tick;
	int64_t heartbeat_due_ns;
	struct spool_counts reported;
	int64_t reported_ns; /* 0: never */
	uint64_t read;
	uint8_t ending[16]; /* this stream's end is under way */
	bool end_sent;
	bool sync_said, put_said;
};

static void
say(struct spool_input *in, enum log_level level, const char *text)
{
	in->setup.say(in->setup.ctx, level, text);
}

static bool
count(struct json_writer *w, const char *name, uint64_t now, uint64_t before)
{
	if (now == before)
		return false;
	json_key(w, name);
	json_uint(w, now - before);
	return true;
}

/* What was left out since the last report. */
static bool
add_losses(struct json_writer *w, const struct spool_counts *now,
    const struct spool_counts *before)
{
	bool any = count(w, "refused", now->refused, before->refused);

	any = count(w, "dropped", now->dropped, before->dropped) || any;
	any = count(w, "damaged_bytes", now->damaged_bytes,
		  before->damaged_bytes) ||
	    any;
	any =
	    count(w, "torn_bytes", now->torn_bytes, before->torn_bytes) || any;
	return count(w, "sync_failures", now->sync_failures,
		   before->sync_failures) ||
	    any;
}

static enum rc
put_report(struct spool_input *in, const struct spool_counts *now,
    struct error *err)
{
	struct spool_event_text t;
	struct json_writer *w = &t.json;
	enum rc rc = RC_OK;

	spool_event_begin(&t, &in->setup, INPUT_NAME, INPUT_NAME,
	    timestamp_now());
	json_key(w, "event");
	json_raw(w,
	    SLICE("{\"kind\":\"event\",\"module\":\"kuzet\",\"dataset\":"
		  "\"kuzet.agent\",\"action\":\"spool-loss\",\"category\":"
		  "[\"host\"],\"type\":[\"error\"],\"outcome\":\"failure\"}"));
	json_key(w, "message");
	json_str(w, "the agent's spool had to leave events out");
	json_key(w, "kuzet.spool");
	json_open(w, '{');
	if (add_losses(w, now, &in->reported)) {
		json_close(w, '}');
		json_close(w, '}');
		rc = spool_put_report(in->setup.spool, buf_slice(&t.text), err);
	}
	buf_fini(&t.text);
	return rc;
}

/* Losses go to the log and to the collector; at most once a minute. */
static void
report_losses(struct spool_input *in)
{
	struct spool_counts now;
	struct error err;
	char text[320];

	spool_counts(in->setup.spool, &now);
	if (now.refused == in->reported.refused &&
	    now.dropped == in->reported.dropped &&
	    now.damaged_bytes == in->reported.damaged_bytes &&
	    now.torn_bytes == in->reported.torn_bytes &&
	    now.sync_failures == in->reported.sync_failures)
		return;
	if (in->reported_ns != 0 && loop_now() - in->reported_ns < report_ns)
		return;
	(void)snprintf(text, sizeof(text),
	    "spool: since the start %llu events refused, %llu dropped, %llu "
	    "bytes damaged, %llu torn, fsync failed %llu times",
	    (unsigned long long)now.refused, (unsigned long long)now.dropped,
	    (unsigned long long)now.damaged_bytes,
	    (unsigned long long)now.torn_bytes,
	    (unsigned long long)now.sync_failures);
	in->reported_ns = loop_now();
	if (put_report(in, &now, &err) == RC_OK)
		in->reported = now;
	say(in, LOG_LEVEL_WARN, text);
}

static void
keep(struct spool_input *in)
{
	struct error err = { .code = RC_OK };

	if (spool_sync(in->setup.spool, &err) != RC_OK && !in->sync_said) {
		in->sync_said = true;
		say(in, LOG_LEVEL_ERROR, err.text);
	}
	spool_save(in->setup.spool);
}

static bool
all_acked(const struct spool_input *in)
{
	struct spool_counts c;

	spool_counts(in->setup.spool, &c);
	return c.events == 0 && !spool_has_next(in->setup.spool);
}

static void
on_tick(void *ctx)
{
	struct spool_input *in = ctx;
	uint8_t stream[16];

	keep(in);
	report_losses(in);
	if (!all_acked(in))
		in->heartbeat_due_ns = loop_now() + in->setup.heartbeat_ns;
	if (loop_now() >= in->heartbeat_due_ns ||
	    (!in->end_sent && spool_ended(in->setup.spool, stream)))
		in->setup.wake(in->setup.ctx);
	loop_timer_start(in->tick, tick_ns);
}

static void
receipt(struct spool_input *in, struct window *w, void *segment, uint64_t mark)
{
	w->receipts[w->n - 1] = (struct receipt){ in, segment, mark };
}

static void
add_controls(struct spool_input *in, struct window *w)
{
	char now[TIMESTAMP_TEXT_MAX + 1], stream[UUID_TEXT];
	int64_t now_ns = timestamp_now();
	struct slice text = timestamp_format(now_ns - now_ns % NS_PER_MS, now);

	now[text.len] = '\0';
	if (loop_now() >= in->heartbeat_due_ns && all_acked(in) &&
	    in->setup.controls) {
		for (size_t i = 0; i < in->setup.n_inputs && !window_full(w);
		     i++) {
			control_heartbeat_add(w, in->setup.inputs[i].name, now);
			receipt(in, w, NULL, MARK_HEARTBEAT);
		}
		in->heartbeat_due_ns = loop_now() + in->setup.heartbeat_ns;
	}
	if (!in->end_sent && !window_full(w) &&
	    spool_ended(in->setup.spool, in->ending)) {
		if (!in->setup.controls) {
			spool_forget(in->setup.spool, in->ending);
			return;
		}
		uuid_text(in->ending, stream);
		control_stream_end_add(w, stream);
		receipt(in, w, in->ending, MARK_HEARTBEAT);
		in->end_sent = true;
	}
}

static bool
fill(void *self, struct window *w)
{
	struct spool_input *in = self;
	struct spool_event e;
	char stream[UUID_TEXT];

	add_controls(in, w);
	while (!window_full(w) && spool_next(in->setup.spool, &e)) {
		uuid_text(e.stream, stream);
		json_event_add(w, e.json, stream, e.sequence);
		receipt(in, w, (void *)(uintptr_t)e.segment, e.sequence);
		in->read++;
	}
	return spool_has_next(in->setup.spool);
}

static void
acked(void *self, const struct receipt *receipts, size_t n)
{
	struct spool_input *in = self;

	for (size_t i = 0; i < n; i++) {
		if (receipts[i].mark != MARK_HEARTBEAT) {
			spool_acked(in->setup.spool,
			    (uintptr_t)receipts[i].stream, receipts[i].mark);
		} else if (receipts[i].stream == in->ending) {
			spool_forget(in->setup.spool, in->ending);
			in->end_sent = false;
		}
	}
}

static enum rc
open_spool(const struct input_setup *setup, void **out, struct error *err)
{
	struct spool_input *in = xzalloc(sizeof(*in));

	(void)err;
	in->setup = *setup;
	in->tick = loop_timer_new(setup->loop, on_tick, in);
	report_losses(in);
	on_tick(in);
	*out = in;
	return RC_OK;
}

static void
reload(void *self, const struct input_setup *setup)
{
	struct spool_input *in = self;

	in->setup = *setup;
}

static bool
idle(const void *self)
{
	return all_acked(self);
}

static void
counts(const void *self, struct input_counts *out)
{
	const struct spool_input *in = self;
	struct spool_counts c;

	spool_counts(in->setup.spool, &c);
	*out = (struct input_counts){ .read = in->read, .acked = c.acked };
}

static void
save(void *self)
{
	keep(self);
}

static void
close_spool(void *self)
{
	struct spool_input *in = self;

	if (in == NULL)
		return;
	keep(in);
	loop_timer_free(in->tick);
	free(in);
}

const struct input_kind input_spool = {
	.name = INPUT_NAME,
	.help = "what other inputs keep on disk until it is acknowledged",
	.open = open_spool,
	.reload = reload,
	.fill = fill,
	.acked = acked,
	.idle = idle,
	.counts = counts,
	.save = save,
	.close = close_spool,
};
