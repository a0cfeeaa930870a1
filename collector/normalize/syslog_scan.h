/* SPDX-License-Identifier: Apache-2.0 */
/* Small steps through a syslog header, for its reader and its fields. */
#pragma once

#include "slice.h"

enum { PID_DIGITS = 10 };

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline struct slice
skip(struct slice s, size_t n)
{
	return (struct slice){ s.ptr + n, s.len - n };
}

static inline struct slice
skip_spaces(struct slice s)
{
	while (s.len > 0 && s.ptr[0] == ' ')
		s = skip(s, 1);
	return s;
}

/* The text up to the next space; false at the end of `s`. */
static inline bool
word(struct slice *s, struct slice *out)
{
	const char *space = s->len > 0 ? memchr(s->ptr, ' ', s->len) : NULL;
	size_t n = space != NULL ? (size_t)(space - s->ptr) : s->len;

	if (n == 0)
		return false;
	*out = (struct slice){ s->ptr, n };
	*s = skip(*s, space != NULL ? n + 1 : n);
	return true;
}

/* Length of one "[ID NAME="VALUE"…]" (RFC 5424 section 6.3), 0 if broken. */
static inline size_t
element_length(struct slice s)
{
	bool quoted = false;

	for (size_t i = 1; i < s.len; i++) {
		if (quoted && s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (s.ptr[i] == ']' && !quoted)
			return i + 1;
	}
	return 0;
}
