/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to lines and joined events, in any encoding.  The first two bytes
 * choose how.  However the bytes come in pieces, the events are the same; their
 * offsets ascend; what no bound cut is all there.
 */
#include <stdint.h>
#include <stdlib.h>

#include "agent/inputs/encoding.h"
#include "agent/inputs/tail.h"
#include "agent/inputs/tail_header.h"
#include "agent/roles/opener.h"
#include "digest.h"
#include "lumberjack.h"
#include "xalloc.h"

enum { CHOICE_BYTES = 2, ROUNDS_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const encodings[] = { "utf-8", "utf-16le", "utf-16be",
	"cp1251" };
static const struct multiline_options ways[] = {
	{ .first = NULL },
	{ .first = "^[A-Z]" },
	{ .next = "^\\s|^b" },
	{ .indent = true },
	{ .timestamp = true },
};

struct digest_of_events {
	struct sha256 *sha;
	struct tail *t;
	uint64_t next; /* no event begins before */
	bool any;
};

/* Frames hold text, offset and flags; the receipts hold where each ends. */
static void
take_window(struct digest_of_events *d, struct window *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		uint64_t end = w->receipts[i].mark & ~MARK_MID_LINE;

		if ((d->any && end <= d->next) || end > d->t->read_at)
			abort();
		d->next = end;
		d->any = true;
	}
	/* seq differs with the windows: what is behind it is the same */
	while (w->frames.len > 0) {
		struct slice rest = buf_slice(&w->frames);
		struct lumberjack_frame f;
		struct error err;
		size_t used;

		if (lumberjack_decode(rest, &lumberjack_limits_default, &f,
			&used, &err) != RC_OK)
			abort();
		sha256_add(d->sha, f.payload.ptr, f.payload.len);
		buf_consume(&w->frames, used);
	}
	w->n = 0;
}

/* Gives the bytes in growing pieces, as a reader of the file would. */
static void
run(struct file_spec *spec, struct slice text, size_t step,
    uint8_t out[SHA256_BYTES])
{
	struct tail t = { .fd = -1, .spec = spec, .limit = UINT64_MAX };
	struct tail_scratch scratch;
	struct opener *opener = opener_new(NULL);
	struct input_counts counts = { 0 };
	struct receipt receipts[WINDOW_EVENTS];
	struct window w = { .receipts = receipts };
	struct tail_turn_args args = { .window = &w,
		.scratch = &scratch,
		.counts = &counts };
	struct digest_of_events d = { .sha = sha256_new(), .t = &t };
	struct line_source source = { .path = "p",
		.input = "i",
		.host_name = "h",
		.stream = "s" };
	size_t have = 0;
	bool full = false;

	tail_scratch_init(&scratch, opener);
	(void)memcpy(scratch.now, "T", 2);
	buf_init(&w.frames, FRAMES_MAX);
	line_shape_init(&t.shape, &source);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct tail_lines lines;
		uint64_t before = t.read_at;

		if (!full && t.read_at + tail_longest(&t) >= have)
			have = text.len - have > step ? have + step : text.len;
		lines.data =
		    (struct slice){ text.ptr + t.read_at, have - t.read_at };
		lines.at_end = true;
		args.last_line = have == text.len;
		(void)tail_take_lines(&t, &lines, &args, &full);
		take_window(&d, &w);
		if (have == text.len && t.read_at == before && !full)
			break;
	}
	if (t.read_at != text.len)
		abort(); /* everything there is, is taken at the end */
	sha256_done(d.sha, out);
	sha256_free(d.sha);
	line_shape_fini(&t.shape);
	tail_header_free(&t);
	buf_fini(&w.frames);
	tail_scratch_fini(&scratch);
	opener_free(opener);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input_config config = { .name = "in" };
	struct file_spec spec = { .config = &config };
	uint8_t whole[SHA256_BYTES], pieces[SHA256_BYTES];
	struct slice text;
	struct error err;

	if (size < CHOICE_BYTES)
		return 0;
	text = (struct slice){ (const char *)data + CHOICE_BYTES,
		size - CHOICE_BYTES };
	config.max_line = 64 + data[1];
	config.multiline.max_lines = 2 + data[1] % 8U;
	config.multiline.how = ways[data[0] / 4U % 5];
	if (encoding_open(encodings[data[0] % 4U], &spec.encoding, &err) !=
	    RC_OK)
		abort();
	if (multiline_ways(&config.multiline.how) > 0 &&
	    multiline_new(&config.multiline.how, &spec.multiline, &err) !=
		RC_OK)
		abort();
	run(&spec, text, SIZE_MAX / 2, whole);
	run(&spec, text, 1 + data[1] % 16U, pieces);
	if (memcmp(whole, pieces, sizeof(whole)) != 0)
		abort();
	multiline_free(spec.multiline);
	encoding_free(spec.encoding);
	return 0;
}
