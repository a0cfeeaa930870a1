/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

enum { GROUPS = 8, HEX_DIGITS = 4, NAME_MAX_BYTES = 253 };

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
is_v4(struct slice s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;

	for (unsigned part = 0; part < 4; part++) {
		unsigned value, digit;

		if (part > 0 && (p == end || *p++ != '.'))
			return false;
		if (p == end || (value = (unsigned)(*p - '0')) > 9)
			return false;
		for (p++; p < end && (digit = (unsigned)(*p - '0')) <= 9; p++) {
			if (value == 0 || value > 25)
				return false;
			value = value * 10 + digit;
		}
		if (value > 255)
			return false;
	}
	return p == end;
}

/* Up to four hex digits at `i`; one too many is found by the caller. */
static size_t
hex_end(struct slice s, size_t i)
{
	size_t from = i;

	while (i < s.len && is_hex(s.ptr[i]) && i - from <= HEX_DIGITS)
		i++;
	return i;
}

/* The dotted end of the mixed form, behind so many groups. */
static bool
is_mixed_end(struct slice s, unsigned groups, bool gap)
{
	return is_v4(s) && (gap ? groups < GROUPS - 2 : groups == GROUPS - 2);
}

/* RFC 4291 section 2.2, the mixed form of its third item included. */
static bool
is_v6(struct slice s)
{
	bool gap = s.len >= 2 && memcmp(s.ptr, "::", 2) == 0;
	unsigned groups = 0;
	size_t i = gap ? 2 : 0;

	while (i < s.len) {
		size_t end = hex_end(s, i);

		if (end < s.len && s.ptr[end] == '.')
			return is_mixed_end((struct slice){ s.ptr + i,
						s.len - i },
			    groups, gap);
		if (end == i || end - i > HEX_DIGITS || ++groups > GROUPS)
			return false;
		if (end == s.len)
			break;
		if (s.ptr[end] != ':' || end + 1 == s.len)
			return false;
		i = end + 1;
		if (s.ptr[i] != ':')
			continue;
		if (gap)
			return false;
		gap = true;
		i++;
	}
	return gap ? groups < GROUPS : groups == GROUPS;
}

static bool
starts_with_mapped(struct slice s)
{
	return s.len > 7 && memcmp(s.ptr, "::", 2) == 0 &&
	    (s.ptr[2] | 0x20) == 'f' && (s.ptr[3] | 0x20) == 'f' &&
	    (s.ptr[4] | 0x20) == 'f' && (s.ptr[5] | 0x20) == 'f' &&
	    s.ptr[6] == ':';
}

struct slice
address_read(struct slice s)
{
	static const struct slice none = { NULL, 0 };

	if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
		s = (struct slice){ s.ptr + 1, s.len - 2 };
	if (s.len < 2 || s.len > 45)
		return none;
	if (starts_with_mapped(s)) {
		struct slice v4 = { s.ptr + 7, s.len - 7 };

		if (is_v4(v4))
			return v4;
	}
	if (is_v4(s) || (memchr(s.ptr, ':', s.len) != NULL && is_v6(s)))
		return s;
	return none;
}

bool
address_is_name(struct slice s)
{
	bool letter = false;

	if (s.len == 0 || s.len > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (unsigned char)c >= 0x80)
			letter = true;
		else if (!is_digit(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return letter;
}
