/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Syslog over TLS (RFC 5425): octet counting, and LF framing (RFC 6587) on the
 * same port.  The first byte of each frame tells which: a digit 1-9 begins
 * MSG-LEN SP, anything else, and digits that no space ends, a line.
 *
 * There is no ACK and no way to have anything sent again: what came is kept,
 * cut messages are marked, and what a peer leaves unfinished is kept too.
 */
#include "batch.h"
#include "collector/listeners/connection.h"

enum {
	LENGTH_DIGITS = 9,
	CLAIM_MAX = 64 << 20, /* a larger MSG-LEN ends the connection */
	LENGTH_BYTES = 4,
	PIECE_ROOM = BATCH_BYTES + PIECE_SYSLOG_MAX,
};

struct syslog {
	size_t skip;    /* bytes of a cut message still to come */
	bool skip_line; /* as `skip`, up to the next LF */
	size_t scanned; /* bytes at c->at that hold no LF */
};

/* One frame at the start of what is there. */
struct frame {
	struct slice message;
	size_t size; /* to be taken; more of a cut one is skipped */
	size_t skip;
	bool skip_line, cut;
};

/* Messages of one piece, each with its length before. */
struct batcher {
	struct buf bytes;
	unsigned n;
};

/* Senders differ in what they put at the end. */
static struct slice
without_end(struct slice s)
{
	while (s.len > 0 &&
	    (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r' ||
		s.ptr[s.len - 1] == '\0'))
		s.len--;
	return s;
}

static void
batcher_emit(struct connection *c, struct batcher *b)
{
	if (b->n > 0)
		connection_emit(c, PIECE_SYSLOG, buf_slice(&b->bytes));
	buf_clear(&b->bytes);
	b->n = 0;
}

static bool
batcher_has_room(const struct batcher *b, size_t message)
{
	return b->n == 0 ||
	    (b->n < BATCH_EVENTS &&
		b->bytes.len + LENGTH_BYTES + message <= BATCH_BYTES);
}

static void
batcher_add(struct batcher *b, const struct frame *f)
{
	struct slice text = without_end(f->message);

	if (text.len == 0)
		return;
	(void)buf_add_u32be(&b->bytes,
	    (uint32_t)text.len | (f->cut ? PIECE_SYSLOG_CUT : 0));
	(void)buf_add_slice(&b->bytes, text);
	b->n++;
}

/* RC_EOF: this is no MSG-LEN SP, so it is a line. */
static enum rc
counted_frame(struct connection *c, struct slice in, struct frame *f,
    struct error *err)
{
	size_t digits = 0, len = 0, whole;

	if (in.ptr[0] < '1' || in.ptr[0] > '9')
		return RC_EOF;
	while (digits < in.len && digits <= LENGTH_DIGITS &&
	    in.ptr[digits] >= '0' && in.ptr[digits] <= '9')
		len = len * 10 + (size_t)(in.ptr[digits++] - '0');
	if (digits > LENGTH_DIGITS)
		return RC_EOF;
	if (digits == in.len) {
		c->need = digits + 1;
		return RC_AGAIN;
	}
	if (in.ptr[digits] != ' ')
		return RC_EOF;
	if (len > CLAIM_MAX)
		return error_set(err, RC_LIMIT,
		    "a message of %zu bytes, the bound is %d", len, CLAIM_MAX);
	whole = len < PIECE_SYSLOG_MAX ? len : PIECE_SYSLOG_MAX;
	if (in.len < digits + 1 + whole) {
		c->need = digits + 1 + whole;
		return RC_AGAIN;
	}
	*f = (struct frame){
		.message = { in.ptr + digits + 1, whole },
		.size = digits + 1 + whole,
		.skip = len - whole,
		.cut = len > whole,
	};
	return RC_OK;
}

static enum rc
line_frame(struct connection *c, struct slice in, struct frame *f)
{
	struct syslog *s = c->state_of_framer;
	const char *end =
	    memchr(in.ptr + s->scanned, '\n', in.len - s->scanned);
	size_t len = end != NULL ? (size_t)(end - in.ptr) : in.len;

	if (end == NULL && len <= PIECE_SYSLOG_MAX) {
		s->scanned = len;
		c->need = len + 1;
		return RC_AGAIN;
	}
	s->scanned = 0;
	*f = (struct frame){ .message = { in.ptr, len } };
	f->size = end != NULL ? len + 1 : len;
	f->cut = len > PIECE_SYSLOG_MAX;
	f->skip_line = end == NULL;
	if (f->cut)
		f->message.len = PIECE_SYSLOG_MAX;
	return RC_OK;
}

static enum rc
next_frame(struct connection *c, struct frame *f, struct error *err)
{
	struct slice in = connection_rest(c);
	enum rc rc;

	if (in.len == 0)
		return RC_AGAIN;
	rc = counted_frame(c, in, f, err);
	return rc == RC_EOF ? line_frame(c, in, f) : rc;
}

/* Goes past what is left of a message that was cut. */
static void
skip(struct connection *c)
{
	struct syslog *s = c->state_of_framer;
	struct slice in = connection_rest(c);
	const char *end;
	size_t n;

	if (in.len == 0)
		return;
	if (s->skip_line) {
		end = memchr(in.ptr, '\n', in.len);
		n = end != NULL ? (size_t)(end - in.ptr) + 1 : in.len;
		s->skip_line = end == NULL;
	} else {
		n = s->skip < in.len ? s->skip : in.len;
		s->skip -= n;
	}
	c->at += n;
}

static enum rc
syslog_parse(struct connection *c, struct error *err)
{
	struct syslog *s = c->state_of_framer;
	struct batcher b = { .n = 0 };
	enum rc rc = RC_OK;

	buf_init(&b.bytes, PIECE_ROOM);
	c->need = 0;
	while (rc == RC_OK && c->stuck == NULL && c->state != CONNECTION_DEAD) {
		struct frame f = { .size = 0 };

		skip(c);
		rc = next_frame(c, &f, err);
		if (rc != RC_OK)
			break;
		if (!batcher_has_room(&b, f.message.len)) {
			batcher_emit(c, &b);
			continue;
		}
		batcher_add(&b, &f);
		c->at += f.size;
		s->skip = f.skip;
		s->skip_line = f.skip_line;
	}
	if (b.n > 0 && c->state != CONNECTION_DEAD)
		batcher_emit(c, &b);
	buf_fini(&b.bytes);
	return rc == RC_AGAIN || c->stuck != NULL ? RC_OK : rc;
}

static void
syslog_finish(struct connection *c)
{
	const struct syslog *s = c->state_of_framer;
	struct frame f = { .message = connection_rest(c) };
	struct batcher b = { .n = 0 };
	size_t digits = 0;

	c->at = c->in.len;
	if (f.message.len == 0 || s->skip > 0 || s->skip_line)
		return;
	while (digits < f.message.len && f.message.ptr[digits] >= '0' &&
	    f.message.ptr[digits] <= '9')
		digits++;
	if (digits < f.message.len && digits > 0 &&
	    f.message.ptr[digits] == ' ') {
		f.message.ptr += digits + 1;
		f.message.len -= digits + 1;
		f.cut = true;
	}
	listener_log(c->listener, "%s (%s): ended within a message", c->peer,
	    c->agent);
	buf_init(&b.bytes, PIECE_ROOM);
	batcher_add(&b, &f);
	batcher_emit(c, &b);
	buf_fini(&b.bytes);
}

static bool
syslog_whole(const struct connection *c)
{
	(void)c;
	return true;
}

const struct framer syslog_framer = {
	.name = "syslog",
	.kind = SYSLOG,
	.state_size = sizeof(struct syslog),
	.max_frame = PIECE_SYSLOG_MAX + LENGTH_DIGITS + 1,
	.parse = syslog_parse,
	.finish = syslog_finish,
	.whole = syslog_whole,
};

enum rc
syslog_listen(struct loop *loop, const struct listener_options *options,
    struct listener **out, struct error *err)
{
	return listener_open(loop, &syslog_framer, options, out, err);
}
