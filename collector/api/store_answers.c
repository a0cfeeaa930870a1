/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/store_answers.h"

#include "json.h"
#include "store_verify.h"
#include "timestamp.h"
#include "utf8.h"

enum {
	LINE_BYTES = 64 << 20,
	HEX_MAX = 64 << 10,
	BAD_REQUEST = 400,
	NOT_FOUND = 404,
	CONFLICT = 409,
	INTERNAL_ERROR = 500,
};

static const int64_t seal_patience_ns = 10 * NS_PER_SEC;

struct answer {
	struct http_reply *reply;
	struct buf line;
	struct json_writer w;
};

static void
begin_line(struct answer *a)
{
	buf_clear(&a->line);
	json_begin(&a->w, &a->line);
	json_open(&a->w, '{');
}

static bool
end_line(struct answer *a)
{
	json_close(&a->w, '}');
	(void)buf_add_char(&a->line, '\n');
	return !a->line.overflowed && http_write(a->reply, buf_slice(&a->line));
}

static void
put_number(struct answer *a, const char *key, uint64_t n)
{
	json_key(&a->w, key);
	json_uint(&a->w, n);
}

static void
put_text(struct answer *a, const char *key, const char *text)
{
	json_key(&a->w, key);
	json_str(&a->w, text);
}

static bool
on_finding(void *ctx, const struct store_finding *f)
{
	struct answer *a = ctx;

	begin_line(a);
	put_text(a, "file", f->file);
	put_number(a, "block", f->block);
	put_text(a, "problem", f->problem);
	put_text(a, "message", f->message);
	return end_line(a);
}

static bool
on_progress(void *ctx, const char *file, const struct store_verified *v)
{
	struct answer *a = ctx;

	begin_line(a);
	json_key(&a->w, "progress");
	json_open(&a->w, '{');
	put_text(a, "file", file);
	put_number(a, "events", v->events);
	json_close(&a->w, '}');
	return end_line(a);
}

void
answer_store_verify(struct store *s, const char *tsa_ca,
    struct http_reply *reply)
{
	struct answer a = { .reply = reply };
	struct store_verify what = { .store = s,
		.tsa_ca = tsa_ca,
		.on_finding = on_finding,
		.on_progress = on_progress,
		.ctx = &a };
	struct store_verified v;
	struct error err;

	buf_init(&a.line, LINE_BYTES);
	if (store_verify(&what, &v, &err) != RC_OK) {
		http_fail(reply, INTERNAL_ERROR, err.text);
	} else {
		begin_line(&a);
		put_number(&a, "blocks", v.blocks);
		put_number(&a, "events", v.events);
		put_number(&a, "damaged", v.damaged);
		put_number(&a, "commits", v.commits);
		put_number(&a, "heads", v.heads);
		put_number(&a, "unsigned", v.unsealed);
		put_number(&a, "unchained", v.unchained);
		put_number(&a, "stamps", v.stamps);
		(void)end_line(&a);
	}
	buf_fini(&a.line);
}

static bool
on_file(void *ctx, const char *name, struct slice bytes)
{
	struct answer *a = ctx;
	char hex[3];

	begin_line(a);
	put_text(a, "name", name);
	if (utf8_valid(bytes)) {
		json_key(&a->w, "text");
		json_string(&a->w, bytes);
		return end_line(a);
	}
	if (bytes.len > HEX_MAX)
		return false;
	json_key(&a->w, "hex");
	(void)buf_add_char(&a->line, '"');
	for (size_t i = 0; i < bytes.len; i++) {
		hex_text((const uint8_t *)&bytes.ptr[i], 1, hex);
		(void)buf_add(&a->line, hex, 2);
	}
	(void)buf_add_char(&a->line, '"');
	return end_line(a);
}

/* What cannot be proven is a finding, as those of verification are. */
static void
finish_proof(struct answer *a, enum rc rc, const struct store_proven *out,
    const struct error *err)
{
	if (rc == RC_EOF || rc == RC_INVALID || rc == RC_AGAIN) {
		http_fail(a->reply,
		    rc == RC_EOF         ? NOT_FOUND
			: rc == RC_AGAIN ? CONFLICT
					 : BAD_REQUEST,
		    err->text);
		return;
	}
	if (rc == RC_DENIED)
		(void)on_finding(a,
		    &(struct store_finding){ out->file, out->block, "changed",
			err->text });
	else if (rc != RC_OK) {
		http_fail(a->reply, INTERNAL_ERROR, err->text);
		return;
	}
	begin_line(a);
	put_number(a, "blocks", out->blocks);
	put_number(a, "events", out->events);
	put_number(a, "damaged", out->damaged);
	(void)end_line(a);
}

void
answer_store_proof(struct store *s, const struct http_request *r,
    struct http_reply *reply)
{
	struct answer a = { .reply = reply };
	struct store_proven out;
	struct store_proof what = { .store = s,
		.event = http_param(r, "event"),
		.on_file = on_file,
		.ctx = &a,
		.out = &out };
	struct error err;

	if (what.event.len == 0) {
		http_fail(reply, BAD_REQUEST, "event: give the event's id");
		return;
	}
	buf_init(&a.line, LINE_BYTES);
	(void)store_want_seal(s, seal_patience_ns);
	finish_proof(&a, store_prove(&what, &err), &out, &err);
	buf_fini(&a.line);
}
