/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `fim` input: file integrity.
 *
 *   loop:    notify --paths--> dirty --.        .--> feed --> windows
 *   worker:  scans ----------------> look --> store, outbox
 *
 * The loop's thread hears and sends, the worker compares and stores.
 */
#include <stdlib.h>
#include <unistd.h>

#include "agent/inputs/fim/fim_store.h"
#include "agent/inputs/fim/fim_who.h"
#include "agent/inputs/fim/fim_worker.h"
#include "agent/roles/opener_notify.h"
#include "timestamp.h"
#include "xalloc.h"
#include <sys/stat.h>

static const int64_t tick_ns = NS_PER_SEC;

struct fim_input {
	struct input_setup setup;
	struct feed feed;
	struct fim_dirty *dirty;
	struct opener_notify *notify; /* NULL: scans only */
	struct loop_io *io;
	struct loop_timer *tick;
	struct fim_worker *worker; /* NULL: nothing to watch, or draining */
	int32_t pid;
	bool more; /* there may be something in the outbox */
};

/* ---- from the worker's thread ------------------------------------------- */

static void
fill(struct fim_input *in)
{
	in->more = true;
	in->setup.wake(in->setup.ctx);
}

static void
on_rows(void *ctx)
{
	struct fim_input *in = ctx;

	feed_look(&in->feed);
	fill(in);
}

static void
on_renewed(void *ctx)
{
	struct fim_input *in = ctx;

	feed_restart(&in->feed);
	on_rows(in);
}

static void
rows(void *ctx)
{
	struct fim_input *in = ctx;

	loop_post(in->setup.loop, on_rows, in);
}

static void
renewed(void *ctx)
{
	struct fim_input *in = ctx;

	loop_post(in->setup.loop, on_renewed, in);
}

static void
say(void *ctx, enum log_level level, const char *text)
{
	const struct fim_input *in = ctx;

	in->setup.say(in->setup.ctx, level, text);
}

/* ---- the loop's --------------------------------------------------------- */

/* What is made whole at once, and never closed by a writer. */
static bool
whole_at_once(struct fim_input *in, const struct opener_notice *n)
{
	struct opener_stat st;

	if ((n->changes & NOTIFY_CREATED) == 0)
		return false;
	return !opener_lstat(in->setup.opener, n->path, &st) || !st.regular ||
	    st.links > 1;
}

static void
on_changed(void *ctx, const struct opener_notice *n)
{
	struct fim_input *in = ctx;
	struct fim_who who = { .known = false };

	if (n->pid == in->pid)
		return;
	if (n->pid != 0)
		fim_who_is(in->setup.opener, n->pid, &who);
	fim_dirty_add(in->dirty, n, whole_at_once(in, n), &who);
}

static void
on_lost(void *ctx)
{
	struct fim_input *in = ctx;

	fim_dirty_lost(in->dirty);
}

static void
on_readable(void *ctx, int fd, unsigned ready)
{
	struct fim_input *in = ctx;

	(void)fd;
	(void)ready;
	opener_notify_read(in->notify);
	if (in->worker != NULL)
		fim_worker_wake(in->worker);
}

static void
on_tick(void *ctx)
{
	struct fim_input *in = ctx;

	if (in->setup.n_inputs > 0 && feed_heartbeat_due(&in->feed))
		fill(in);
	loop_timer_start(in->tick, tick_ns);
}

static bool
any_realtime(const struct input_setup *setup)
{
	for (size_t i = 0; i < setup->n_inputs; i++) {
		if (setup->inputs[i].fim.realtime)
			return true;
	}
	return false;
}

static void
start(struct fim_input *in)
{
	if (in->setup.n_inputs == 0)
		return;
	if (any_realtime(&in->setup)) {
		in->notify = opener_notify_new(in->setup.opener, true,
		    &(struct opener_notify_events){ .ctx = in,
			.changed = on_changed,
			.lost = on_lost });
		if (in->notify == NULL)
			say(in, LOG_LEVEL_WARN,
			    "fim: neither fanotify nor inotify is to be had: "
			    "changes are found by scans only");
	}
	if (in->notify != NULL) {
		in->io = loop_io_new(in->setup.loop,
		    opener_notify_fd(in->notify), on_readable, in);
		loop_io_want(in->io, LOOP_READ);
	}
	in->worker =
	    fim_worker_start(&in->setup, in->dirty, in->notify, &in->feed,
		&(struct fim_worker_events){ .ctx = in,
		    .rows = rows,
		    .renewed = renewed,
		    .say = say });
}

static void
stop(struct fim_input *in)
{
	fim_worker_stop(in->worker);
	in->worker = NULL;
	loop_io_free(in->io);
	in->io = NULL;
	opener_notify_free(in->notify);
	in->notify = NULL;
}

static enum rc
fim_open(const struct input_setup *setup, void **out, struct error *err)
{
	struct fim_input *in = xzalloc(sizeof(*in));

	(void)err;
	in->setup = *setup;
	in->pid = (int32_t)getpid();
	in->dirty = fim_dirty_new();
	feed_init(&in->feed, setup, FIM_STORE_NAME);
	in->tick = loop_timer_new(setup->loop, on_tick, in);
	loop_timer_start(in->tick, tick_ns);
	start(in);
	*out = in;
	return RC_OK;
}

static void
fim_reload(void *self, const struct input_setup *setup)
{
	struct fim_input *in = self;

	stop(in);
	in->setup = *setup;
	feed_setup(&in->feed, setup);
	start(in);
}

static bool
fim_fill(void *self, struct window *w)
{
	struct fim_input *in = self;

	if (!in->more)
		return false;
	in->more = feed_fill(&in->feed, in, w);
	return in->more;
}

static void
fim_acked(void *self, const struct receipt *receipts, size_t n)
{
	struct fim_input *in = self;

	feed_acked(&in->feed, receipts, n);
}

static void
fim_drain(void *self)
{
	struct fim_input *in = self;

	stop(in);
	feed_look(&in->feed);
	in->more = in->setup.n_inputs > 0;
}

static bool
fim_idle(const void *self)
{
	const struct fim_input *in = self;

	return !in->more && feed_idle(&in->feed);
}

static void
fim_counts(const void *self, struct input_counts *counts)
{
	const struct fim_input *in = self;

	*counts = (struct input_counts){ .read = in->feed.n_read,
		.acked = in->feed.n_acked };
	if (in->worker != NULL)
		counts->files = fim_worker_files(in->worker);
}

static void
fim_save(void *self)
{
	(void)self; /* everything is stored when it is found */
}

static void
fim_close(void *self)
{
	struct fim_input *in = self;

	if (in == NULL)
		return;
	stop(in);
	feed_fini(&in->feed);
	fim_dirty_free(in->dirty);
	loop_timer_free(in->tick);
	free(in);
}

const struct input_kind input_fim = {
	.name = "fim",
	.help = "file integrity: what changed, and who did it",
	.open = fim_open,
	.reload = fim_reload,
	.fill = fim_fill,
	.acked = fim_acked,
	.drain = fim_drain,
	.idle = fim_idle,
	.counts = fim_counts,
	.save = fim_save,
	.close = fim_close,
};
