/* SPDX-License-Identifier: Apache-2.0 */
/* The syslog framer, without sockets: what comes out is bounded, and does not
 * depend on how the stream was cut on its way. */
#include <stdint.h>
#include <stdlib.h>

#include "batch.h"
#include "collector/listeners/connection.h"
#include "xalloc.h"

enum { OUT_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 |
	    (uint32_t)u[2] << 8 | u[3];
}

/* Takes each piece apart; appends its bytes to `out`. */
static bool
on_piece(void *ctx, struct piece *p)
{
	struct buf *out = ctx;
	size_t at = 0, n = 0;

	while (at < p->len) {
		uint32_t len;

		if (p->len - at < 4)
			abort();
		len = get_u32(p->bytes + at) & ~PIECE_SYSLOG_CUT;
		if (len == 0 || len > PIECE_SYSLOG_MAX || len > p->len - at - 4)
			abort();
		at += 4 + len;
		n++;
	}
	if (n == 0 || n > BATCH_EVENTS || (n > 1 && p->len > BATCH_BYTES))
		abort();
	(void)buf_add(out, p->bytes, p->len);
	piece_free(p);
	return true;
}

static void
run(struct slice in, size_t chunk, struct buf *out)
{
	struct listener l = { .framer = &syslog_framer };
	struct connection c = { .listener = &l, .state = CONNECTION_OPEN };
	struct error err;
	enum rc rc = RC_OK;

	l.options.on_piece = on_piece;
	l.options.ctx = out;
	l.options.budget = budget_new(1 << 30, NULL, NULL);
	c.state_of_framer = xzalloc(syslog_framer.state_size);
	buf_init(&c.in, OUT_MAX);
	while (in.len > 0 && rc == RC_OK) {
		size_t n = in.len < chunk ? in.len : chunk;

		(void)buf_add(&c.in, in.ptr, n);
		in.ptr += n;
		in.len -= n;
		if (c.in.len - c.at >= c.need)
			rc = syslog_framer.parse(&c, &err);
		if (c.at > c.in.len || c.stuck != NULL)
			abort();
	}
	if (rc == RC_OK)
		syslog_framer.finish(&c);
	buf_fini(&c.in);
	free(c.state_of_framer);
	budget_free(l.options.budget);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct buf whole, cut;

	buf_init(&whole, OUT_MAX);
	buf_init(&cut, OUT_MAX);
	run(in, size, &whole);
	run(in, size > 4096 ? 1000 : 1, &cut);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_fini(&whole);
	buf_fini(&cut);
	return 0;
}
