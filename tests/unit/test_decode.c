/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/decode.h"

#include <stdio.h>
#include <stdlib.h>

#include "conf.h"
#include "tap.h"
#include "xalloc.h"

enum { COLLECTED_MAX = 64 };

struct collected {
	struct batch *batches[COLLECTED_MAX];
	size_t n;
};

static void
collect(void *ctx, struct batch *b)
{
	struct collected *c = ctx;

	if (c->n == COLLECTED_MAX)
		abort();
	c->batches[c->n++] = b;
}

static void
forget(struct collected *c)
{
	for (size_t i = 0; i < c->n; i++)
		batch_free(c->batches[i]);
	c->n = 0;
}

static struct piece *
make_piece(enum piece_kind kind, const struct buf *bytes)
{
	struct piece *p = xzalloc(sizeof(*p));

	p->kind = kind;
	p->window = 5;
	p->bytes = xmemdupz(bytes->ptr, bytes->len);
	p->len = bytes->len;
	p->agent = xstrdup("web-1");
	p->peer = xstrdup("127.0.0.1:1");
	p->arrival_ns = 1;
	return p;
}

static void
put(struct buf *frames, const char *json)
{
	lumberjack_put_json(frames, 1, (struct slice){ json, strlen(json) });
}

static uint32_t
total_frames(const struct collected *c)
{
	uint32_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->batches[i]->frames;
	return n;
}

static void
identities_are_found(struct decoder *d, struct collected *c)
{
	const char *stream = "\"6ba7b810-9dad-41d1-80b4-00c04fd430c8\"";
	char json[256];
	struct buf frames;
	struct batch *b;

	buf_init(&frames, 1 << 20);
	(void)snprintf(json, sizeof(json),
	    "{\"message\":\"a\",\"log\":{\"offset\":7},"
	    "\"kuzet\":{\"stream\":%s}}",
	    stream);
	put(&frames, json);
	put(&frames, "{\"message\":\"b\",\"event\":{\"id\":\"x1\"}}");
	put(&frames, "{\"message\":\"c\",\"@metadata\":{\"_id\":\"x2\"}}");
	put(&frames,
	    "{\"message\":\"d\",\"winlog\":{\"channel\":\"S\","
	    "\"record_id\":5,\"computer_name\":\"h\"}}");
	put(&frames, "{\"message\":\"e\"}");
	put(&frames, "{\"kuzet\":{\"control\":\"heartbeat\"}}");
	put(&frames, "no json");
	decoder_run(d, make_piece(PIECE_JSON, &frames));
	b = c->batches[0];
	CHECK(c->n == 1 && b->last_part && b->window == 5 && b->frames == 7,
	    "every frame of a piece is accounted for");
	CHECK(b->n == 6 && b->n_controls == 1, "control messages stand apart");
	CHECK(b->source.kind == SOURCE_AGENT && b->events[0].id.offset == 7,
	    "kuzet-agent's events are known by stream and offset");
	CHECK(slice_eq(b->events[1].foreign, SLICE("x1")) &&
		slice_eq(b->events[2].foreign, SLICE("x2")),
	    "foreign events by their own id");
	CHECK(b->events[3].foreign.len == 32 && !b->events[3].own_id,
	    "Windows events by computer, channel and record");
	CHECK(b->events[4].own_id && event_has_stream(&b->events[4]) &&
		event_get(&b->events[4], FIELD_KUZET_DELIVERY) != NULL,
	    "what has no identity gets one and is marked");
	CHECK(slice_eq(event_get_string(&b->events[5], FIELD_EVENT_KIND),
		  SLICE("pipeline_error")),
	    "what is no JSON is kept");
	CHECK(slice_eq(event_get_string(&b->events[1], FIELD_ORGANIZATION_ID),
		  SLICE("bank")),
	    "the owner comes from the certificate's name");
	buf_fini(&frames);
	forget(c);
}

static void
pieces_are_cut_into_batches(struct decoder *d, struct collected *c)
{
	struct lumberjack_deflate *z = lumberjack_deflate_new(1);
	struct buf frames, piece;
	struct lumberjack_frame frame;
	struct error err;
	size_t used;

	buf_init(&frames, 8 << 20);
	buf_init(&piece, 8 << 20);
	for (int i = 0; i < 5000; i++)
		put(&frames, "{\"message\":\"many\"}");
	CHECK(lumberjack_put_compressed(z, &piece, buf_slice(&frames), &err) ==
		    RC_OK &&
		lumberjack_decode(buf_slice(&piece), &lumberjack_limits_default,
		    &frame, &used, &err) == RC_OK,
	    "a compressed frame is made");
	buf_consume(&piece, 6);
	decoder_run(d, make_piece(PIECE_COMPRESSED, &piece));
	CHECK(c->n == 3 && total_frames(c) == 5000,
	    "5,000 events are three batches");
	CHECK(c->batches[0]->window == 5 && c->batches[1]->window == 0,
	    "the window begins once");
	CHECK(!c->batches[0]->last_part && c->batches[2]->last_part &&
		c->batches[2]->part == 2,
	    "the last part says so");
	forget(c);

	piece.ptr[piece.len / 2] ^= 0x55;
	decoder_run(d, make_piece(PIECE_COMPRESSED, &piece));
	CHECK(c->batches[c->n - 1]->failure != NULL &&
		c->batches[c->n - 1]->last_part,
	    "a broken compressed frame is a failure");
	forget(c);
	lumberjack_deflate_free(z);
	buf_fini(&frames);
	buf_fini(&piece);
}

static void
failures_and_syslog_pass(struct decoder *d, struct collected *c)
{
	struct piece *p;
	struct buf bytes;

	buf_init(&bytes, 1024);
	p = make_piece(PIECE_FAILURE, &bytes);
	p->failure = "a liar";
	decoder_run(d, p);
	CHECK(c->n == 1 && strcmp(c->batches[0]->failure, "a liar") == 0,
	    "a failed connection is told in its place");
	forget(c);
	(void)buf_add_u32be(&bytes, 3);
	(void)buf_add_str(&bytes, "abc");
	(void)buf_add_u32be(&bytes, 0);
	decoder_run(d, make_piece(PIECE_SYSLOG, &bytes));
	CHECK(c->n == 1 && c->batches[0]->n == 2 && !c->batches[0]->acked &&
		c->batches[0]->source.kind == SOURCE_SYSLOG,
	    "syslog frames owe no ACK");
	forget(c);
	buf_fini(&bytes);
}

int
main(void)
{
	char name[] = "web-1", owner[] = "bank";
	char *names[] = { name }, *owners[] = { owner };
	const struct conf_map map = { .names = names,
		.values = owners,
		.n = 1 };
	struct collected c = { .n = 0 };
	struct budget *budget = budget_new(1 << 20, NULL, NULL);
	const struct decoder_options options = {
		.limits = &lumberjack_limits_default,
		.owner = "default",
		.owners = &map,
		.budget = budget,
		.on_batch = collect,
		.ctx = &c,
	};
	struct decoder *d = decoder_new(&options);

	identities_are_found(d, &c);
	pieces_are_cut_into_batches(d, &c);
	failures_and_syslog_pass(d, &c);
	CHECK(budget_used(budget) == 0, "the budget gets everything back");
	decoder_free(d);
	budget_free(budget);
	return tap_done();
}
