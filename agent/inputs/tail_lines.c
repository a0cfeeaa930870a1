/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a file become events: lines, or several lines joined.
 *
 * Nothing is kept between two calls but how far an unfinished joined event was
 * looked at: its bytes stay in the file until it is whole.  So its offset is
 * that of its first byte, and a restart in its midst loses and splits nothing.
 */
#include <string.h>
#include <unistd.h>

#include "agent/inputs/audit_users.h"
#include "agent/inputs/encoding.h"
#include "agent/inputs/gzip.h"
#include "agent/inputs/tail.h"
#include "agent/inputs/tail_header.h"
#include "multiline.h"
#include "utf8.h"

/* A line's own bytes, and what it takes with its end. */
struct raw_line {
	struct slice text;
	size_t used;
	bool has_end;
};

/* What becomes one event. */
struct piece {
	struct slice raw; /* all of it, with its ends */
	size_t text;      /* bytes in UTF-8, where lines are joined */
	uint32_t lines;
	bool has_end; /* a LF is its last */
	bool split;   /* a bound ended it */
};

/* The lines under work. */
struct cutter {
	struct tail *t;
	const struct tail_turn_args *args;
	const struct encoding *encoding;
	size_t unit;
	size_t max;     /* bytes of text */
	size_t max_raw; /* a line of so many bytes is longer, in any case */
	bool final;     /* no more will come: what there is, is a line */
	bool flush;     /* whole lines at the end are an event */
};

enum { BOM_TEXT = 3 };

/* With CR, LF and a byte order mark: more than max_line bytes of text. */
static size_t
longest(const struct encoding *e, size_t max_line)
{
	return (max_line + 2) * encoding_unit(e) + BOM_TEXT;
}

size_t
tail_longest(const struct tail *t)
{
	const struct encoding *e =
	    t->spec->encoding != NULL ? t->spec->encoding : t->encoding;

	if (e == NULL)
		return BOM_TEXT;
	/* an event, and the line that decides whether it goes on */
	return longest(e, t->spec->config->max_line) *
	    (t->spec->multiline != NULL ? 2 : 1);
}

/* False: it is not whole yet. */
static bool
next_line(const struct cutter *c, struct slice data, struct raw_line *line)
{
	const char *lf = encoding_find_lf(c->encoding, data);

	*line = (struct raw_line){ .text = data, .has_end = lf != NULL };
	if (lf != NULL) {
		line->text.len = (size_t)(lf - data.ptr);
		line->used = line->text.len + c->unit;
		return true;
	}
	/* not within a character, or all LFs behind it would be missed */
	if (!c->final)
		line->text.len -= data.len % c->unit;
	line->used = line->text.len;
	return data.len > 0 && (c->final || data.len >= c->max_raw);
}

static void
skip_bom(struct slice *text, uint64_t offset)
{
	if (offset != 0 || text->len < 3 ||
	    memcmp(text->ptr, "\xef\xbb\xbf", 3) != 0)
		return;
	text->ptr += 3;
	text->len -= 3;
}

static void
drop_cr(struct slice *text)
{
	if (text->len > 0 && text->ptr[text->len - 1] == '\r')
		text->len--;
}

/* UTF-8, or what was meant as such; lives until the next call. */
static struct slice
text_of(const struct cutter *c, const struct raw_line *line)
{
	struct buf *b = &c->args->scratch->text;
	struct slice text = line->text;

	if (!encoding_is_utf8(c->encoding)) {
		buf_clear(b);
		encoding_decode(c->encoding, text, b);
		text = b->len > 0 ? buf_slice(b) : SLICE("");
	}
	if (line->has_end)
		drop_cr(&text);
	return text;
}

static void
end_piece(struct piece *p, struct slice data, size_t end, bool split)
{
	p->raw = (struct slice){ data.ptr, end };
	p->split = split;
}

/*
 * The lines that belong to the first one, which ends at `end`; false: whether
 * there are more is not known yet.
 */
static bool
join(struct cutter *c, struct slice data, size_t end, struct piece *p)
{
	struct tail *t = c->t;
	uint32_t most = t->spec->config->multiline.max_lines;
	const struct multiline *how = t->spec->multiline;
	const char *lf = memchr(data.ptr, '\n', data.len);
	struct slice first = { data.ptr,
		lf == NULL ? data.len : (size_t)(lf - data.ptr) };

	for (;;) {
		struct slice rest = { data.ptr + end, data.len - end }, text;
		struct raw_line line;
		bool whole = next_line(c, rest, &line), begins;

		if (!whole)
			break;
		text = text_of(c, &line);
		begins = multiline_begins(how, first, text);
		if (begins || p->lines >= most ||
		    end + line.used > c->max_raw ||
		    p->text + 1 + text.len > c->max) {
			end_piece(p, data, end, !begins);
			return true;
		}
		end += line.used;
		p->text += 1 + text.len;
		p->lines++;
		p->has_end = line.has_end;
		if (line.has_end && multiline_ends(how, text)) {
			end_piece(p, data, end, false);
			return true;
		}
	}
	if ((c->final && end == data.len) || c->flush) {
		end_piece(p, data, end, false);
		return true;
	}
	t->pending.bytes = end;
	t->pending.lines = p->lines;
	t->pending.text = p->text;
	return false;
}

/* The next event of `data`, which is at t->read_at; false: not whole yet. */
static bool
next_piece(struct cutter *c, struct slice data, struct piece *p)
{
	struct tail *t = c->t;
	struct raw_line line;

	*p = (struct piece){ .lines = 1 };
	if (t->pending.bytes > 0 && t->pending.bytes <= data.len) {
		p->lines = t->pending.lines;
		p->text = t->pending.text;
		p->has_end = true;
		return join(c, data, t->pending.bytes, p);
	}
	if (!next_line(c, data, &line))
		return false;
	p->raw = (struct slice){ data.ptr, line.used };
	p->has_end = line.has_end;
	if (t->spec->multiline == NULL || !line.has_end)
		return true;
	p->text = text_of(c, &line).len;
	return p->text > c->max || join(c, data, line.used, p);
}

/* All lines of a joined event, each in UTF-8 and without its CR. */
static struct slice
joined_text(struct cutter *c, struct slice raw)
{
	struct buf *out = &c->args->scratch->joined;
	struct cutter all = *c;
	struct raw_line line;

	all.final = true;
	buf_clear(out);
	while (raw.len > 0 && next_line(&all, raw, &line)) {
		(void)buf_add_slice(out, text_of(c, &line));
		if (line.used < raw.len)
			(void)buf_add_char(out, '\n');
		raw.ptr += line.used;
		raw.len -= line.used;
	}
	return buf_slice(out);
}

static void
emit(struct cutter *c, const struct piece *p, struct slice text,
    uint64_t offset, unsigned flags)
{
	struct window *w = c->args->window;
	struct tail *t = c->t;
	struct line line = {
		.text = text,
		.offset = offset,
		.flags = flags,
		.read_at = c->args->scratch->now,
	};

	if (t->spec->config->multiline.how.audit)
		line.members = audit_users(c->args->scratch->users, text);
	else if (t->spec->multiline == NULL)
		line.members = tail_header(t, text, offset);
	line_event_add(w, &t->shape, &line);
	t->unacked++;
	t->counts.lines += p->lines;
	t->counts.sent++;
	t->counts.cut += (flags & LINE_CUT) != 0;
	c->args->counts->read++;
	c->args->counts->cut += (flags & LINE_CUT) != 0;
}

/* What of it is consumed. */
static size_t
take_piece(struct cutter *c, const struct piece *p, uint64_t offset)
{
	struct tail *t = c->t;
	struct window *w = c->args->window;
	struct raw_line line = { p->raw, p->raw.len, p->has_end };
	unsigned flags = p->split ? LINE_SPLIT : 0;
	size_t used = p->raw.len;
	struct slice text;

	if (p->lines > 1) {
		flags |= LINE_JOINED;
		text = joined_text(c, p->raw);
	} else {
		if (p->has_end)
			line.text.len -= c->unit;
		text = text_of(c, &line);
	}
	skip_bom(&text, offset);
	if (text.len > c->max) {
		text.len = utf8_cut(text, c->max);
		flags |= LINE_CUT;
	}
	emit(c, p, text, offset, flags);
	if ((flags & LINE_CUT) != 0 && !p->has_end)
		t->mid_line = true;
	w->receipts[w->n - 1] = (struct receipt){ c->args->input, t,
		(offset + used) | (t->mid_line ? MARK_MID_LINE : 0) };
	return used;
}

/* The rest of a line that was cut; what of it is there. */
static size_t
skip_rest(struct cutter *c, struct slice data)
{
	const char *lf = encoding_find_lf(c->encoding, data);

	c->t->mid_line = lf == NULL;
	if (lf != NULL)
		return (size_t)(lf - data.ptr) + c->unit;
	/* the half of a character may be the half of a LF */
	return c->final ? data.len : data.len - data.len % c->unit;
}

/* NULL: there are too few bytes to say. */
static const struct encoding *
encoding_of(struct tail *t)
{
	char bytes[ENCODING_BOM];
	long n;

	if (t->spec->encoding != NULL)
		return t->spec->encoding;
	if (t->encoding == NULL) {
		n = t->is_gzip ? gzip_head(t->fd, bytes, sizeof(bytes))
			       : pread(t->fd, bytes, sizeof(bytes), 0);
		t->encoding = encoding_of_bom(
		    (struct slice){ bytes, n < 0 ? 0 : (size_t)n });
	}
	return t->encoding;
}

size_t
tail_take_lines(struct tail *t, const struct tail_lines *lines,
    const struct tail_turn_args *args, bool *full)
{
	struct cutter c = {
		.t = t,
		.args = args,
		.encoding = encoding_of(t),
		.max = t->spec->config->max_line,
		.final = args->last_line && lines->at_end,
		.flush = args->flush && lines->at_end,
	};
	struct slice rest = lines->data;
	size_t used = 0;
	struct piece piece;

	*full = false;
	if (c.encoding == NULL)
		return 0;
	c.unit = encoding_unit(c.encoding);
	c.max_raw = longest(c.encoding, c.max);
	while (rest.len > 0) {
		if (t->mid_line) {
			used = skip_rest(&c, rest);
		} else {
			*full = window_full(args->window);
			if (*full || !next_piece(&c, rest, &piece))
				break;
			used = take_piece(&c, &piece, t->read_at);
		}
		if (used == 0)
			break;
		t->pending.bytes = 0;
		t->read_at += used;
		rest.ptr += used;
		rest.len -= used;
	}
	return lines->data.len - rest.len;
}
