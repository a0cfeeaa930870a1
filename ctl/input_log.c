/* SPDX-License-Identifier: Apache-2.0 */
/* A log file, offline: each line, or joined event, through the normalizers. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "arena.h"
#include "audit.h"
#include "datadir.h"
#include "input.h"
#include "input_file.h"
#include "line_splitter.h"
#include "log_header.h"
#include "normalize.h"
#include "xalloc.h"

enum {
	READ_BYTES = 256 * 1024,
	LINE_MAX_BYTES = 1 << 20,
	ARENA_BLOCK = 256 * 1024,
};

struct reading {
	struct normalizer_set *set;
	struct normalizer *normalizer;
	struct timezone_info *tz;
	struct arena *arena;
	struct normalize_hints hints;
	struct log_header header;
	input_event_cb *cb;
	void *ctx;
	bool stopped;
	struct audit_join *join; /* NULL: lines stand by themselves */
};

static void
on_finding(void *ctx, const struct normalizer_finding *finding)
{
	(void)ctx;
	(void)fprintf(stderr, "kuzetctl: %s:%u: %s\n", finding->file,
	    finding->line, finding->message);
}

static void
on_event_text(void *ctx, struct slice line, bool truncated)
{
	struct reading *r = ctx;
	struct event ev;

	if (r->stopped)
		return;
	arena_reset(r->arena);
	event_begin(&ev, r->arena);
	ev.arrival_ns = r->hints.time.now_ns;
	ev.time_ns = ev.arrival_ns;
	if (truncated)
		event_add_string(&ev, FIELD_LOG_FLAGS, SLICE("truncated"));
	(void)log_header_line(&r->header, line);
	r->hints.header = log_header_text(&r->header);
	(void)normalizer_line(r->normalizer, &ev, line, &r->hints);
	if (!r->cb(r->ctx, &ev))
		r->stopped = true;
}

/* A log of the audit system is known by its dataset, or by its first record. */
static bool
wants_joining(const struct reading *r, struct slice line)
{
	struct audit_head head;

	if (r->hints.dataset.len > 0)
		return slice_eq(r->hints.dataset, SLICE("auditd.log"));
	return audit_head(line, &head);
}

static void
on_line(void *ctx, struct slice line, bool truncated)
{
	struct reading *r = ctx;

	if (r->join == NULL && wants_joining(r, line))
		r->join = audit_join_new(on_event_text, r);
	if (r->join != NULL)
		audit_join_line(r->join, line, truncated);
	else
		on_event_text(r, line, truncated);
}

static struct slice
text_of(const char *s)
{
	return s != NULL ? (struct slice){ s, strlen(s) } : SLICE("");
}

static enum rc
prepare(struct reading *r, const struct input_options *options,
    struct error *err)
{
	char dir[PATH_MAX];
	enum rc rc;

	if (!datadir_path("normalizers", dir, sizeof(dir)))
		return error_set(err, RC_INVALID,
		    "the path of the data files is too long");
	rc = normalizer_set_load(dir, on_finding, NULL, &r->set, err);
	if (rc != RC_OK)
		return error_prefix(err, "normalizers");
	if (options->timezone != NULL &&
	    timezone_open(options->timezone, &r->tz, err) != RC_OK)
		return err->code;
	r->normalizer = normalizer_new(r->set);
	log_header_init(&r->header);
	r->arena = arena_new(ARENA_BLOCK);
	r->hints.dataset = text_of(options->dataset);
	r->hints.program = text_of(options->program);
	r->hints.time.tz = r->tz;
	r->hints.time.year = options->year;
	r->hints.time.now_ns = timestamp_now();
	return RC_OK;
}

static enum rc
read_lines(struct reading *r, const struct input_file *in, struct error *err)
{
	struct line_splitter *lines =
	    line_splitter_new(LINE_MAX_BYTES, on_line, r);
	char *bytes = xreallocarray(NULL, READ_BYTES, 1);
	enum rc rc;
	size_t n;

	while (!r->stopped && (n = fread(bytes, 1, READ_BYTES, in->f)) > 0)
		line_splitter_feed(lines, (struct slice){ bytes, n });
	rc = input_file_check(in, err);
	if (rc == RC_OK)
		line_splitter_flush(lines);
	if (r->join != NULL)
		audit_join_flush(r->join);
	free(bytes);
	line_splitter_free(lines);
	return rc;
}

enum rc
input_log(const char *path, const struct input_options *options,
    input_event_cb *cb, void *ctx, struct error *err)
{
	struct reading r = { .cb = cb, .ctx = ctx };
	struct input_file in;
	enum rc rc;

	if (input_file_open(&in, path, err) != RC_OK)
		return err->code;
	rc = prepare(&r, options, err);
	if (rc == RC_OK)
		rc = read_lines(&r, &in, err);
	input_file_close(&in);
	audit_join_free(r.join);
	normalizer_free(r.normalizer);
	normalizer_set_unref(r.set);
	timezone_close(r.tz);
	arena_free(r.arena);
	return rc;
}
