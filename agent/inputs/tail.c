/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/tail.h"
#include "agent/inputs/audit_users.h"
#include "agent/inputs/tail_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/gzip.h"
#include "xalloc.h"

enum {
	SCRATCH_BYTES = PRINT_LAST_BYTES + TAIL_TURN_BYTES,
	SCRATCH_TEXT_MAX = 8 * 1024 * 1024 /* of one line: 4 for each byte */
};

void
tail_scratch_init(struct tail_scratch *s, struct opener *o)
{
	*s = (struct tail_scratch){ .cap = SCRATCH_BYTES };
	s->bytes = xcalloc(s->cap, 1);
	buf_init(&s->text, SCRATCH_TEXT_MAX);
	buf_init(&s->joined, SCRATCH_TEXT_MAX);
	s->users = audit_users_new(o);
}

void
tail_scratch_fini(struct tail_scratch *s)
{
	free(s->bytes);
	buf_fini(&s->text);
	buf_fini(&s->joined);
	audit_users_free(s->users);
	*s = (struct tail_scratch){ 0 };
}

static void
scratch_reserve(struct tail_scratch *s, size_t room)
{
	if (s->cap >= room)
		return;
	s->bytes = xreallocarray(s->bytes, room, 1);
	s->cap = room;
}

/* `bytes` end at t->read_at. */
static void
remember_last(struct tail *t, const char *bytes, size_t len)
{
	size_t keep = len < PRINT_LAST_BYTES ? len : PRINT_LAST_BYTES;

	memcpy(t->last, bytes + len - keep, keep);
	t->last_len = keep;
}

static enum tail_turn
turn_result(bool full, bool at_end)
{
	if (full)
		return TAIL_FULL;
	return at_end ? TAIL_END : TAIL_MORE;
}

static size_t
turn_bytes(const struct tail *t, size_t want)
{
	uint64_t left = t->limit > t->read_at ? t->limit - t->read_at : 0;

	return left < want ? (size_t)left : want;
}

/* The bytes just read go on where the last ones ended, or begin the file. */
static bool
is_same_file(const struct tail *t, const char *bytes, size_t n)
{
	struct fingerprint head;

	if (n < t->last_len || memcmp(bytes, t->last, t->last_len) != 0)
		return false;
	if (t->read_at > 0 || t->head.len == 0)
		return true;
	if (n < t->head.len)
		return false;
	fingerprint_of(&head, (struct slice){ bytes, t->head.len },
	    t->head.len);
	return fingerprint_eq(&head, &t->head);
}

/*
 * The head is that of the bytes whose lines are sent: what a later look at the
 * file sees may be another generation's already.
 */
static void
learn_head(struct tail *t, const char *bytes, size_t n)
{
	size_t len = n < PRINT_BYTES_MAX ? n : (size_t)PRINT_BYTES_MAX;

	if (t->read_at == 0 && len > t->head.len)
		fingerprint_of(&t->head, (struct slice){ bytes, len }, len);
}

static enum tail_turn
read_plain(struct tail *t, const struct tail_turn_args *args, struct error *err)
{
	struct tail_scratch *s = args->scratch;
	size_t want = TAIL_TURN_BYTES, room, used;
	struct tail_lines lines = { .at_end = false };
	bool full = false;
	ssize_t n;

	for (;;) {
		room = t->last_len + turn_bytes(t, want);
		scratch_reserve(s, room);
		n = pread(t->fd, s->bytes, room,
		    (off_t)(t->read_at - t->last_len));
		if (n < 0) {
			(void)error_set_errno(err, errno, "read %s", t->path);
			return TAIL_BROKEN;
		}
		if (!is_same_file(t, s->bytes, (size_t)n))
			return TAIL_REPLACED;
		learn_head(t, s->bytes, (size_t)n);
		lines.data.ptr = s->bytes + t->last_len;
		lines.data.len = (size_t)n - t->last_len;
		lines.at_end = lines.data.len < want;
		used = tail_take_lines(t, &lines, args, &full);
		if (used > 0 || full || lines.at_end)
			break;
		want = tail_longest(t); /* a long line */
	}
	if (used > 0)
		remember_last(t, s->bytes, t->last_len + used);
	return turn_result(full, lines.at_end && !full);
}

static enum tail_turn
read_gzip(struct tail *t, const struct tail_turn_args *args, struct error *err)
{
	struct tail_turn_args here = *args;
	struct tail_lines lines = { .at_end = false };
	size_t want = TAIL_TURN_BYTES, used;
	bool full = false;
	enum rc rc;

	do {
		rc = gzip_peek(t->gzip, want, &lines.data, err);
		/* nothing can follow the end or the damage of such a file */
		lines.at_end = rc == RC_EOF || rc == RC_INVALID ||
		    (rc == RC_AGAIN && args->last_line);
		here.last_line = lines.at_end;
		used = tail_take_lines(t, &lines, &here, &full);
		gzip_consume(t->gzip, used);
		want = tail_longest(t);
	} while (rc == RC_OK && used == 0 && !full);
	if (used < lines.data.len && rc != RC_AGAIN)
		return full ? TAIL_FULL : TAIL_MORE;
	if (rc == RC_INVALID || rc == RC_SYSTEM) {
		(void)error_prefix(err, "%s", t->path);
		return TAIL_BROKEN;
	}
	if (rc == RC_AGAIN)
		(void)error_set(err, RC_AGAIN, "%s: not whole yet", t->path);
	return turn_result(full, rc != RC_OK);
}

enum tail_turn
tail_read(struct tail *t, const struct tail_turn_args *args, struct error *err)
{
	uint64_t from = t->read_at;
	enum tail_turn turn =
	    t->is_gzip ? read_gzip(t, args, err) : read_plain(t, args, err);

	if (t->read_at > from && t->check_next.at <= t->acked_at)
		tail_plan_check(t);
	tail_settle(t);
	return turn;
}

void
tail_plan_check(struct tail *t)
{
	if (t->last_len == 0 || t->is_gzip)
		return;
	fingerprint_of(&t->check_next,
	    (struct slice){ (const char *)t->last, t->last_len }, t->read_at);
}

static void
promote_check(struct tail *t)
{
	if (t->check_next.len > 0 && t->check_next.at <= t->acked_at &&
	    t->check_next.at > t->check.at)
		t->check = t->check_next;
}

void
tail_settle(struct tail *t)
{
	if (t->unacked > 0)
		return;
	t->acked_at = t->read_at;
	t->acked_mid_line = t->mid_line;
	if (t->check_next.at < t->read_at && !t->replaced)
		tail_plan_check(t);
	promote_check(t);
}

void
tail_acked(struct tail *t, uint64_t mark)
{
	t->unacked--;
	t->counts.acked++;
	t->acked_mid_line = (mark & MARK_MID_LINE) != 0;
	t->acked_at = mark & ~MARK_MID_LINE;
	promote_check(t);
	tail_settle(t);
}

void
tail_load_last(struct tail *t)
{
	size_t n = t->read_at < PRINT_LAST_BYTES ? (size_t)t->read_at
						 : (size_t)PRINT_LAST_BYTES;

	t->last_len = 0;
	t->pending.bytes = 0;
	if (t->fd == -1 || t->is_gzip)
		return;
	if (pread(t->fd, t->last, n, (off_t)(t->read_at - n)) == (ssize_t)n)
		t->last_len = n;
}

void
tail_close(struct tail *t)
{
	gzip_free(t->gzip);
	t->gzip = NULL;
	if (t->fd != -1)
		(void)close(t->fd);
	t->fd = -1;
}

void
tail_free(struct tail *t)
{
	if (t == NULL)
		return;
	tail_close(t);
	line_shape_fini(&t->shape);
	tail_header_free(t);
	free(t->path);
	free(t->origin);
	free(t);
}
