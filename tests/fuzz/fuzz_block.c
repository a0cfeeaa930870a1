/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store keeps, read back by somebody else's hand: the first byte says
 * whether the rest is a block, hits or watermarks.
 */
#include <stdint.h>
#include <stdlib.h>

#include "collector/store/block.h"
#include "collector/store/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum;

static void
touch(const struct value *v)
{
	if (v->kind == VALUE_STRING || v->kind == VALUE_JSON)
		for (size_t i = 0; i < v->s.len; i++)
			sum += (uint8_t)v->s.ptr[i];
	if (v->kind == VALUE_LIST)
		for (uint32_t i = 0; i < v->n; i++)
			touch(&v->list[i]);
	if (v->kind > VALUE_JSON)
		abort();
}

/* What can be read can be written, and read again. */
static void
write_again(struct block_decoder *d)
{
	static struct block_encoder *e;
	static struct block_decoder *again;
	struct block_encoded out;
	struct error err;
	struct event ev;

	if (e == NULL) {
		e = block_encoder_new();
		again = block_decoder_new();
	}
	block_encoder_begin(e);
	for (uint32_t i = 0; i < block_events(d); i++) {
		block_event(d, i, &ev);
		for (uint32_t k = 0; k < ev.n; k++)
			touch(&ev.fields[k].value);
		block_encoder_add(e, &ev, ev.time_ns, 1);
	}
	if (block_encoder_finish(e, &out, &err) != RC_OK)
		return;
	if (block_decoder_open(again, out.data, &err) != RC_OK ||
	    block_events(again) != block_events(d) ||
	    block_decoder_all(again, &err) != RC_OK)
		abort();
}

static void
read_block_bytes(struct slice s)
{
	static struct block_decoder *d;
	struct error err;

	if (d == NULL)
		d = block_decoder_new();
	if (block_decoder_open(d, s, &err) != RC_OK ||
	    block_decoder_all(d, &err) != RC_OK)
		return;
	/* one event may have a field twice only in a forged block */
	if (block_events(d) <= 4096)
		write_again(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena;
	const struct stored_hit *hits;
	struct log_watermark *marks;
	struct error err;
	struct slice s;
	size_t n;

	if (size == 0)
		return 0;
	s = (struct slice){ (const char *)data + 1, size - 1 };
	arena = arena_new(4096);
	if (data[0] % 3 == 0)
		read_block_bytes(s);
	else if (data[0] % 3 == 1)
		(void)hits_read(s, arena, &hits, &n, &err);
	else
		(void)watermarks_read(s, arena, &marks, &n, &err);
	arena_free(arena);
	return 0;
}
