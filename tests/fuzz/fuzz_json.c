/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "json.h"
#include "utf8.h"

enum { DEPTH = 64, TEXT_MAX = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* What the token reader says of the text; every string of it is valid. */
static bool
tokens_accept(struct slice text, bool *object)
{
	struct arena *a = arena_new(4096);
	struct json_reader r;
	enum json_token t;
	int depth = 0;

	*object = false;
	json_reader_init(&r, text, a, DEPTH);
	for (unsigned n = 0;; n++) {
		t = json_next(&r);
		if (t == JSON_END || t == JSON_ERROR)
			break;
		if (n == 0)
			*object = t == JSON_OBJECT_BEGIN;
		if (t == JSON_STRING || t == JSON_KEY)
			must(utf8_valid(r.text));
		depth += t == JSON_OBJECT_BEGIN || t == JSON_ARRAY_BEGIN;
		depth -= t == JSON_OBJECT_END || t == JSON_ARRAY_END;
		must(depth >= 0 && depth <= DEPTH);
	}
	must(t == JSON_ERROR || depth == 0);
	arena_free(a);
	return t == JSON_END;
}

/* What was learnt of other events changes nothing in how one is written. */
static void
must_write_again(const struct event *ev, struct slice written)
{
	static struct json_memo *memo;
	struct buf again;

	if (memo == NULL)
		memo = json_memo_new(JSON_NESTED);
	for (int i = 0; i < 2; i++) {
		buf_init(&again, TEXT_MAX);
		json_write_event_again(&again, ev, memo);
		must(slice_eq(buf_slice(&again), written));
		buf_fini(&again);
	}
}

/*
 * `paths` NULL: read without any memory of others.  Of what is broken `out` has
 * what is wrong, and what came before.
 */
static bool
read_write(struct slice text, unsigned depth, struct json_paths *paths,
    struct buf *out)
{
	struct json_limits limits = { .depth = depth, .text_bytes = TEXT_MAX };
	struct arena *a = arena_new(4096);
	struct event ev;
	struct error err;
	size_t before;
	bool ok;

	event_begin(&ev, a);
	ok = json_read_event_again(text, &limits, &ev, paths, &err) == RC_OK;
	if (!ok)
		(void)buf_add_str(out, err.text);
	before = out->len;
	json_write_event(out, &ev, JSON_NESTED);
	if (ok)
		must_write_again(&ev,
		    (struct slice){ out->ptr + before, out->len - before });
	arena_free(a);
	return ok;
}

/* What was learnt of this text and of those before changes nothing. */
static void
must_read_again(struct slice text, bool event, const struct buf *once)
{
	static struct json_paths *paths;
	struct buf again;

	if (paths == NULL)
		paths = json_paths_new();
	for (int i = 0; i < 2; i++) {
		buf_init(&again, TEXT_MAX);
		must(read_write(text, DEPTH, paths, &again) == event);
		must(field_refused() > 0 ||
		    slice_eq(buf_slice(&again), buf_slice(once)));
		buf_fini(&again);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct buf once, twice;
	bool object, tokens = tokens_accept(text, &object);
	bool event;

	buf_init(&once, TEXT_MAX);
	buf_init(&twice, TEXT_MAX);
	event = read_write(text, DEPTH, NULL, &once);
	must_read_again(text, event, &once);
	/* both readers accept the same objects */
	must(event == (tokens && object));
	/* once the table of names is full, new ones are dropped */
	if (event && field_refused() == 0) {
		must(utf8_valid(buf_slice(&once)));
		must(once.len == 0 || memchr(once.ptr, '\n', once.len) == NULL);
		/* what is written reads back as the same event; names with
		 * dots may have made it deeper */
		must(read_write(buf_slice(&once), 2 * DEPTH, NULL, &twice));
		must(field_refused() > 0 ||
		    slice_eq(buf_slice(&once), buf_slice(&twice)));
	}
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
