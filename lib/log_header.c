/* SPDX-License-Identifier: Apache-2.0 */
#include "log_header.h"

/* What a header's lines begin with. */
static const struct {
	struct slice text;
	bool first;   /* of a new header */
	bool columns; /* says what they are */
} directives[] = {
	{ SLICE_INIT("#separator "), true, false },
	{ SLICE_INIT("#set_separator"), false, false },
	{ SLICE_INIT("#empty_field"), false, false },
	{ SLICE_INIT("#unset_field"), false, false },
	{ SLICE_INIT("#path"), false, false },
	{ SLICE_INIT("#fields"), false, true },
	{ SLICE_INIT("#types"), false, false },
	{ SLICE_INIT("#Software:"), true, false },
	{ SLICE_INIT("#Fields:"), false, true },
};
enum { N_DIRECTIVES = sizeof(directives) / sizeof(directives[0]) };

static bool
starts_with(struct slice s, struct slice head)
{
	return s.len >= head.len && memcmp(s.ptr, head.ptr, head.len) == 0;
}

static size_t
kind_of(struct slice line)
{
	size_t i = 0;

	while (i < N_DIRECTIVES && !starts_with(line, directives[i].text))
		i++;
	return i;
}

/* Where a line that begins with `head` is, and how long with its LF. */
static bool
find(const struct log_header *h, struct slice head, size_t *at, size_t *len)
{
	for (size_t i = 0; i < h->len; i += *len) {
		const char *lf = memchr(h->text + i, '\n', h->len - i);

		/* each line was added with its end */
		*len = (size_t)(lf - (h->text + i)) + 1;
		*at = i;
		if (starts_with((struct slice){ h->text + i, *len }, head))
			return true;
	}
	return false;
}

void
log_header_init(struct log_header *h)
{
	h->state = LOG_HEADER_NEW;
	h->len = 0;
}

static bool
is_comment(struct slice line)
{
	static const struct slice bom = SLICE_INIT("\xef\xbb\xbf");

	if (starts_with(line, bom))
		line = (struct slice){ line.ptr + bom.len, line.len - bom.len };
	return line.len > 0 && line.ptr[0] == '#';
}

bool
log_header_line(struct log_header *h, struct slice line)
{
	size_t kind, at, len;

	if (h->state == LOG_HEADER_NEW)
		h->state =
		    is_comment(line) ? LOG_HEADER_HAS : LOG_HEADER_HAS_NOT;
	if (h->state == LOG_HEADER_HAS_NOT || line.len == 0 ||
	    (line.ptr[0] != '#' && line.ptr[0] != '\xef'))
		return false;
	if (line.ptr[0] != '#' && is_comment(line))
		line = (struct slice){ line.ptr + 3, line.len - 3 };
	kind = kind_of(line);
	if (kind == N_DIRECTIVES)
		return false;
	while (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (directives[kind].first)
		h->len = 0;
	if (find(h, directives[kind].text, &at, &len)) {
		memmove(h->text + at, h->text + at + len, h->len - at - len);
		h->len -= len;
	}
	if (memchr(line.ptr, '\n', line.len) != NULL ||
	    line.len + 1 > sizeof(h->text) - h->len) {
		/* without one of its lines it would say something else */
		h->len = 0;
		return true;
	}
	memcpy(h->text + h->len, line.ptr, line.len);
	h->len += line.len;
	h->text[h->len++] = '\n';
	return true;
}

struct slice
log_header_text(const struct log_header *h)
{
	size_t at, len;

	for (size_t i = 0; i < N_DIRECTIVES; i++)
		if (directives[i].columns &&
		    find(h, directives[i].text, &at, &len))
			return (struct slice){ h->text, h->len };
	return (struct slice){ NULL, 0 };
}
