/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/tail_header.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/encoding.h"
#include "agent/inputs/gzip.h"
#include "log_header.h"
#include "xalloc.h"

enum {
	CHUNK = 64 * 1024,
	EXPANSION = 6, /* "\u0000" */
	MEMBER_MAX = EXPANSION * LOG_HEADER_MAX + 64
};

struct tail_header {
	struct log_header lines;
	struct buf member; /* as JSON; empty: no columns are known */
};

static void
make_member(struct tail_header *h)
{
	struct slice text = log_header_text(&h->lines);
	char *room;

	buf_clear(&h->member);
	if (text.len == 0)
		return;
	(void)buf_add_str(&h->member, ",\"kuzet.header\":\"");
	room = buf_reserve(&h->member, EXPANSION * text.len + 16);
	if (room != NULL)
		h->member.len += (size_t)(json_escape(room, text) - room);
	(void)buf_add_char(&h->member, '"');
}

/* The whole lines in `bytes`; the first one may lack its beginning. */
static void
feed(struct tail_header *h, struct slice bytes)
{
	while (bytes.len > 0) {
		const char *lf = memchr(bytes.ptr, '\n', bytes.len);
		size_t len;

		if (lf == NULL)
			return;
		len = (size_t)(lf - bytes.ptr);
		(void)log_header_line(&h->lines,
		    (struct slice){ bytes.ptr, len });
		bytes.ptr += len + 1;
		bytes.len -= len + 1;
	}
}

/* Up to `n` bytes from `from`, none at or behind `before`. */
static struct slice
read_at(const struct tail *t, uint64_t from, uint64_t before, char *out,
    size_t n)
{
	long got;

	if (before - from < n)
		n = (size_t)(before - from);
	got = t->is_gzip ? gzip_at(t->fd, from, out, n)
			 : pread(t->fd, out, n, (off_t)from);
	return (struct slice){ out, got > 0 ? (size_t)got : 0 };
}

static bool
names_columns(const char *line, size_t len)
{
	static const struct slice heads[] = { SLICE_INIT("\n#Fields:"),
		SLICE_INIT("\n#fields") };

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (len >= heads[i].len &&
		    memcmp(line, heads[i].ptr, heads[i].len) == 0)
			return true;
	return false;
}

/* The last line of `s` that names columns; s.len: none does. */
static size_t
last_columns(struct slice s)
{
	size_t found = s.len;
	const char *at = s.ptr, *end = s.ptr + s.len;

	while ((at = memmem(at, (size_t)(end - at), "\n#", 2)) != NULL) {
		if (names_columns(at, (size_t)(end - at)))
			found = (size_t)(at - s.ptr);
		at++;
	}
	return found;
}

/* Where the nearest line before `before` that names columns is; 0: nowhere. */
static uint64_t
search_back(const struct tail *t, uint64_t before, char *chunk)
{
	uint64_t least =
	    before > TAIL_HEADER_BACK ? before - TAIL_HEADER_BACK : 0;
	uint64_t end = before;

	while (end > least) {
		uint64_t from = end - least > CHUNK ? end - CHUNK : least;
		struct slice s = read_at(t, from, before, chunk, CHUNK);
		size_t found = last_columns(s);

		if (found < s.len)
			return from + found;
		/* a line's beginning may lie across the two */
		end = from + (from > least ? sizeof("\n#Fields:") : 0);
	}
	return 0;
}

/* Lines of one header lie together. */
static void
load(struct tail *t, uint64_t before)
{
	char *chunk = xcalloc(1, CHUNK);
	uint64_t at = 0, from;

	/* whether it has a header, its first line says; its header, too */
	feed(t->header, read_at(t, 0, before, chunk, CHUNK));
	if (t->header->lines.state == LOG_HEADER_HAS && !t->is_gzip)
		at = search_back(t, before, chunk);
	if (at > 0) {
		from = at > LOG_HEADER_MAX ? at - LOG_HEADER_MAX : 0;
		feed(t->header,
		    read_at(t, from, before, chunk,
			(size_t)2 * LOG_HEADER_MAX));
	}
	free(chunk);
}

static void
begin(struct tail *t, uint64_t offset)
{
	const struct encoding *e =
	    t->spec->encoding != NULL ? t->spec->encoding : t->encoding;

	t->header = xzalloc(sizeof(*t->header));
	log_header_init(&t->header->lines);
	buf_init(&t->header->member, MEMBER_MAX);
	if (offset > 0 && e != NULL && encoding_is_utf8(e))
		load(t, offset);
	else if (offset > 0)
		t->header->lines.state = LOG_HEADER_HAS_NOT;
	make_member(t->header);
}

struct slice
tail_header(struct tail *t, struct slice line, uint64_t offset)
{
	static const struct slice none = { NULL, 0 };

	if (t->plain)
		return none;
	if (t->header == NULL)
		begin(t, offset);
	if (log_header_line(&t->header->lines, line)) {
		make_member(t->header);
		return none;
	}
	if (t->header->lines.state == LOG_HEADER_HAS_NOT) {
		tail_header_free(t);
		t->plain = true;
		return none;
	}
	return line.len > 0 && line.ptr[0] == '#'
	    ? none
	    : buf_slice(&t->header->member);
}

void
tail_header_free(struct tail *t)
{
	if (t->header != NULL)
		buf_fini(&t->header->member);
	free(t->header);
	t->header = NULL;
}
