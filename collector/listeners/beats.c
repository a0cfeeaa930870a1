/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lumberjack v2 (doc/protocol.md): windows and frames become pieces.
 *
 * How many events a compressed frame holds is known only after it is inflated,
 * so of a window with one in it the count is checked downstream.
 */
#include "batch.h"
#include "collector/listeners/connection.h"

struct beats {
	uint32_t left; /* events that the window still lacks */
	bool unknown;  /* a compressed frame came in this window */
};

/* J frames that lie one after the other in c->in, not yet emitted. */
struct run {
	size_t begin, end; /* of c->in */
	uint32_t n;
};

static void
run_emit(struct connection *c, struct run *run)
{
	if (run->n > 0)
		connection_emit(c, PIECE_JSON,
		    (struct slice){ c->in.ptr + run->begin,
			run->end - run->begin });
	*run = (struct run){ .begin = c->at, .end = c->at };
}

static enum rc
check_window(const struct beats *b, uint32_t count, struct error *err)
{
	if (b->unknown || b->left == 0)
		return RC_OK;
	return error_set(err, RC_INVALID,
	    "a window of %u begins, but the one before lacks %u events", count,
	    b->left);
}

static enum rc
check_event(const struct beats *b, struct error *err)
{
	if (b->unknown || b->left > 0)
		return RC_OK;
	return error_set(err, RC_INVALID, "more events than the window has");
}

/* Frames that are more than the run can take wait until it is emitted. */
static bool
must_emit_first(const struct run *run, const struct lumberjack_frame *frame,
    size_t size)
{
	if (run->n == 0)
		return false;
	return frame->type != LUMBERJACK_JSON || run->n == BATCH_EVENTS ||
	    run->end - run->begin + size > BATCH_BYTES;
}

static enum rc
take(struct connection *c, struct run *run,
    const struct lumberjack_frame *frame, size_t size, struct error *err)
{
	struct beats *b = c->state_of_framer;
	enum rc rc = RC_OK;

	switch (frame->type) {
	case LUMBERJACK_WINDOW:
		rc = check_window(b, frame->seq, err);
		if (rc != RC_OK)
			break;
		*b = (struct beats){ .left = frame->seq };
		connection_window(c, frame->seq);
		break;
	case LUMBERJACK_JSON:
		rc = check_event(b, err);
		if (rc != RC_OK)
			break;
		b->left -= b->unknown ? 0 : 1;
		if (run->n++ == 0)
			run->begin = c->at;
		run->end = c->at + size;
		break;
	case LUMBERJACK_COMPRESSED:
		rc = check_event(b, err);
		if (rc != RC_OK)
			break;
		b->unknown = true;
		connection_emit(c, PIECE_COMPRESSED, frame->payload);
		break;
	case LUMBERJACK_ACK:
		rc = error_set(err, RC_INVALID, "an ACK from a sender");
		break;
	}
	if (rc == RC_OK)
		c->at += size;
	return rc;
}

static enum rc
beats_parse(struct connection *c, struct error *err)
{
	struct run run = { .n = 0 };
	enum rc rc = RC_OK;

	c->need = 0;
	while (rc == RC_OK && c->stuck == NULL && c->state == CONNECTION_OPEN) {
		struct lumberjack_frame frame;
		size_t size;

		rc = lumberjack_decode(connection_rest(c),
		    c->listener->options.limits, &frame, &size, err);
		if (rc == RC_AGAIN)
			c->need = size;
		if (rc != RC_OK)
			break;
		if (must_emit_first(&run, &frame, size))
			run_emit(c, &run);
		else
			rc = take(c, &run, &frame, size, err);
	}
	if (c->state != CONNECTION_OPEN)
		return RC_OK;
	if (run.n > 0)
		run_emit(c, &run);
	/* a failure waits until what came before it has found room */
	if (rc == RC_AGAIN || c->stuck != NULL)
		return RC_OK;
	return rc;
}

static bool
beats_whole(const struct connection *c)
{
	const struct beats *b = c->state_of_framer;

	return b->unknown || b->left == 0;
}

const struct framer beats_framer = {
	.name = "beats",
	.kind = BEATS,
	.state_size = sizeof(struct beats),
	.acks = true,
	.parse = beats_parse,
	.whole = beats_whole,
};

enum rc
beats_listen(struct loop *loop, const struct listener_options *options,
    struct listener **out, struct error *err)
{
	return listener_open(loop, &beats_framer, options, out, err);
}
