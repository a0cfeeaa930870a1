/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs and columns. */
#include "reader.h"

enum { VALUES_MAX = 1024 };

static bool
has(struct slice set, char c)
{
	return memchr(set.ptr, c, set.len) != NULL;
}

static bool
begins(struct slice s, struct slice with)
{
	return s.len >= with.len && memcmp(s.ptr, with.ptr, with.len) == 0;
}

static struct slice
from(struct slice s, size_t n)
{
	return (struct slice){ s.ptr + n, s.len - n };
}

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = from(s, 1);
	while (
	    s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static struct slice
strip(const struct reader *r, struct slice s)
{
	while (s.len > 0 && has(r->strip, s.ptr[0]))
		s = from(s, 1);
	while (s.len > 0 && has(r->strip, s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/*
 * The length of a quoted text with its quotes; 0 if it does not end.  The quote
 * itself is within it behind a backslash, or doubled where `doubled`.
 */
static size_t
quoted_len(struct slice s, bool doubled, bool *escaped)
{
	char quote = s.ptr[0];

	*escaped = false;
	for (size_t i = 1; i < s.len; i++) {
		if (!doubled && s.ptr[i] == '\\' && i + 1 < s.len) {
			*escaped = true;
			i++;
		} else if (s.ptr[i] == quote) {
			if (!doubled || i + 1 == s.len || s.ptr[i + 1] != quote)
				return i + 1;
			*escaped = true;
			i++;
		}
	}
	return 0;
}

/* Without the escapes of quotes and of the escape itself. */
static struct slice
unquote(struct slice s, char quote, bool doubled, struct arena *arena)
{
	char *copy = arena_alloc(arena, s.len);
	char escape = '\\';
	size_t n = 0;

	if (doubled)
		escape = quote;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == escape && i + 1 < s.len &&
		    (s.ptr[i + 1] == quote || s.ptr[i + 1] == escape))
			i++;
		copy[n++] = s.ptr[i];
	}
	return (struct slice){ copy, n };
}

/* A quoted value at the start of s; the bytes that it took, 0 if it is none. */
static size_t
take_quoted(struct slice s, struct slice quotes, bool doubled,
    struct arena *arena, struct slice *value)
{
	bool escaped;
	size_t n;

	if (s.len == 0 || !has(quotes, s.ptr[0]))
		return 0;
	n = quoted_len(s, doubled, &escaped);
	if (n == 0)
		return 0;
	*value = (struct slice){ s.ptr + 1, n - 2 };
	if (escaped)
		*value = unquote(*value, s.ptr[0], doubled, arena);
	return n;
}

/* The name that stands at the start of s and ends with `equals`; 0: none. */
static size_t
name_len(const struct reader *r, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (begins(from(s, i), r->equals))
			return i;
		if (has(r->between, s.ptr[i]) || has(r->quotes, s.ptr[i]))
			return 0;
	}
	return 0;
}

/* Where a value without quotes ends. */
static size_t
plain_len(const struct reader *r, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!has(r->between, s.ptr[i]))
			continue;
		if (!r->spaces || name_len(r, from(s, i + 1)) > 0)
			return i;
	}
	return s.len;
}

void
read_pairs(const struct reader *r, struct slice text, struct apply *a)
{
	struct slice s = text, name, value;

	for (unsigned n = 0; n < VALUES_MAX && s.len > 0; n++) {
		size_t len;

		while (s.len > 0 && has(r->between, s.ptr[0]))
			s = from(s, 1);
		len = name_len(r, s);
		if (len == 0) { /* a word that is no pair */
			len = plain_len(r, s);
			s = from(s, len < s.len ? len + 1 : len);
			continue;
		}
		name = trim((struct slice){ s.ptr, len });
		s = from(s, len + r->equals.len);
		len = take_quoted(s, r->quotes, false, a->ev->arena, &value);
		if (len == 0) {
			len = plain_len(r, s);
			value = trim((struct slice){ s.ptr, len });
		}
		s = from(s, len);
		reader_value(r, name, strip(r, value), a);
	}
}

static uint32_t
split(const struct reader *r, struct slice text, struct arena *arena,
    struct slice out[COLUMNS_MAX])
{
	struct slice s = text;
	uint32_t n = 0;

	while (n < COLUMNS_MAX) {
		size_t len = take_quoted(s, r->quotes, true, arena, &out[n]);
		const char *end;

		end = s.len > len
		    ? memchr(s.ptr + len, r->separator, s.len - len)
		    : NULL;
		if (len == 0)
			out[n] = (struct slice){ s.ptr,
				end != NULL ? (size_t)(end - s.ptr) : s.len };
		n++;
		if (end == NULL)
			break;
		s = from(s, (size_t)(end - s.ptr) + 1);
	}
	return n;
}

void
read_columns(const struct reader *r, struct slice text, struct apply *a)
{
	struct slice values[COLUMNS_MAX];
	uint32_t n = split(r, text, a->ev->arena, values);
	const struct column_list *list = &r->lists[0];

	for (uint32_t i = 0; i < r->n_lists; i++)
		if (r->lists[i].n == n)
			list = &r->lists[i];
	for (uint32_t i = 0; i < n && i < list->n; i++)
		if (list->names[i].len > 0)
			reader_value(r, list->names[i],
			    strip(r, trim(values[i])), a);
}
