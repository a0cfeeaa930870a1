/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CEF and LEEF: a header between '|', then pairs.
 *
 * CEF:0|vendor|product|version|class|name|severity|a=b c=d e f
 *   In the header '|' and '\' are escaped by '\'; in the extension '=', '\',
 *   and line ends ("\n").  A value ends where the next name begins.
 * LEEF:1.0|vendor|product|version|event id|a=b<TAB>c=d
 * LEEF:2.0|vendor|product|version|event id|separator|a=b^c=d
 *   The separator is a character, or its number as xHH or 0xHH; empty: a tab.
 */
#include "ascii.h"
#include "reader.h"

enum { CEF_PARTS = 7, LEEF_PARTS = 5, VALUES_MAX = 1024 };

static const char *const cef_names[CEF_PARTS] = { "version", "device_vendor",
	"device_product", "device_version", "device_event_class_id", "name",
	"severity" };
static const char *const leef_names[LEEF_PARTS] = { "version", "device_vendor",
	"device_product", "device_version", "event_id" };

static struct slice
unescape(struct slice s, struct arena *arena)
{
	char *copy;
	size_t n = 0;

	if (memchr(s.ptr, '\\', s.len) == NULL)
		return s;
	copy = arena_alloc(arena, s.len);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '\\' && i + 1 < s.len) {
			c = s.ptr[++i];
			if (c == 'n')
				c = '\n';
			else if (c == 'r')
				c = '\r';
			else if (strchr("\\|=", c) == NULL)
				copy[n++] = '\\';
		}
		copy[n++] = c;
	}
	return (struct slice){ copy, n };
}

/* Up to the next '|' that is not escaped; the rest of `s` is behind it. */
static bool
take_part(struct slice *s, struct slice *part)
{
	for (size_t i = 0; i < s->len; i++) {
		if (s->ptr[i] == '\\') {
			i++;
		} else if (s->ptr[i] == '|') {
			*part = (struct slice){ s->ptr, i };
			*s = (struct slice){ s->ptr + i + 1, s->len - i - 1 };
			return true;
		}
	}
	return false;
}

/* "CEF:" and the parts; false: the header is no whole one. */
static bool
read_header(const struct reader *r, struct slice *s, const char *lead,
    const char *const *names, unsigned n, struct apply *a)
{
	size_t lead_len = strlen(lead);
	struct slice part;

	if (s->len < lead_len || memcmp(s->ptr, lead, lead_len) != 0)
		return false;
	*s = (struct slice){ s->ptr + lead_len, s->len - lead_len };
	for (unsigned i = 0; i < n; i++) {
		if (!take_part(s, &part))
			return false;
		reader_value(r, (struct slice){ names[i], strlen(names[i]) },
		    unescape(part, a->ev->arena), a);
	}
	return true;
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || strchr("_.-[]", c) != NULL;
}

/* Where the name before the next '=' begins, and that '='; false: no more. */
static bool
next_name(struct slice s, size_t at, size_t *name, size_t *equals)
{
	for (size_t i = at; i < s.len; i++) {
		size_t begin = i;

		if (s.ptr[i] == '\\') {
			i++;
			continue;
		}
		if (s.ptr[i] != '=')
			continue;
		while (begin > at && is_name(s.ptr[begin - 1]))
			begin--;
		if (begin == i || (begin > 0 && s.ptr[begin - 1] != ' '))
			continue;
		*name = begin;
		*equals = i;
		return true;
	}
	return false;
}

static void
read_extension(const struct reader *r, struct slice s, struct apply *a)
{
	size_t name, equals, next = 0, next_equals = 0;
	bool more = next_name(s, 0, &name, &equals);

	for (unsigned n = 0; more && n < VALUES_MAX; n++) {
		size_t end = s.len;
		struct slice value;

		more = next_name(s, equals + 1, &next, &next_equals);
		if (more)
			end = next;
		while (end > equals + 1 && s.ptr[end - 1] == ' ')
			end--;
		value = (struct slice){ s.ptr + equals + 1, end - equals - 1 };
		reader_value(r, (struct slice){ s.ptr + name, equals - name },
		    unescape(value, a->ev->arena), a);
		name = next;
		equals = next_equals;
	}
}

void
read_cef(const struct reader *r, struct slice text, struct apply *a)
{
	struct slice s = text;

	if (read_header(r, &s, "CEF:", cef_names, CEF_PARTS, a))
		read_extension(r, s, a);
}

/* "^", "x09", "0x5E"; a tab if it is nothing of that. */
static char
leef_separator(struct slice s)
{
	if (s.len == 1)
		return s.ptr[0];
	if (s.len == 4 && s.ptr[0] == '0')
		s = (struct slice){ s.ptr + 1, 3 };
	if (s.len == 3 && (s.ptr[0] == 'x' || s.ptr[0] == 'X') &&
	    ascii_hex_value(s.ptr[1]) >= 0 && ascii_hex_value(s.ptr[2]) >= 0)
		return (char)(ascii_hex_value(s.ptr[1]) * 16 +
		    ascii_hex_value(s.ptr[2]));
	return '\t';
}

void
read_leef(const struct reader *r, struct slice text, struct apply *a)
{
	struct slice s = text, part;
	struct reader pairs = *r;
	char separator = '\t';

	if (!read_header(r, &s, "LEEF:", leef_names, LEEF_PARTS, a))
		return;
	if (text.len > 5 && text.ptr[5] == '2' && take_part(&s, &part))
		separator = leef_separator(part);
	pairs.between = (struct slice){ &separator, 1 };
	pairs.equals = SLICE("=");
	pairs.quotes = SLICE("");
	pairs.spaces = false;
	read_pairs(&pairs, s, a);
}
