/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "json_put.h"
#include "json_scan.h"
#include "timestamp.h"

enum {
	DECIMALS_MAX = 9, /* of doubles that are written without printf */
	DOUBLE_TEXT_MAX = 40,
	ESCAPED_MAX = 4096, /* bytes of a string that gets room for the worst */
	ESCAPE_BYTES = 6,   /* \u001f */
	BLOCK = 16,
};

char *
json_room_slow(struct buf *b, size_t n)
{
	if (n > b->max || b->len > b->max - n)
		return NULL;
	return buf_reserve(b, n);
}

/* A byte that cannot stand in a string as it is. */
static char *
escape(char *to, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "btn?fr"; /* 8 .. 13 */

	*to++ = '\\';
	if (c == '"' || c == '\\') {
		*to++ = (char)c;
	} else if (c >= '\b' && c <= '\r' && c != '\v') {
		*to++ = letters[c - '\b'];
	} else {
		*to++ = 'u';
		*to++ = '0';
		*to++ = '0';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 0xf];
	}
	return to;
}

/* Exactly, byte for byte: near a buffer's bound, and very long strings. */
static void
write_escaped_slowly(struct buf *out, struct slice s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;
	bool high = false;
	char piece[8] = { '"' };

	/* all of it or nothing, as buf's other writers do */
	size_t before = out->len;

	(void)buf_add(out, piece, 1);
	while (p < end) {
		const char *stop = json_plain_end(p, end, &high);

		(void)buf_add(out, p, (size_t)(stop - p));
		p = stop;
		if (p < end)
			(void)buf_add(out, piece,
			    (size_t)(escape(piece, (unsigned char)*p++) -
				piece));
	}
	if (!buf_add_char(out, '"') || out->overflowed)
		out->len = before;
}

/*
 * What begins before `last`, where 16 bytes can be read; returns how far it
 * came, which may be up to 16 bytes behind it.
 */
static const char *
put_escaped(char **out, const char *p, const char *last)
{
	char *to = *out;

	while (p < last) {
#ifdef __SSE2__
		__m128i x = json_load16(p);
		unsigned stops = json_stops16(x);
		unsigned n = stops != 0 ? (unsigned)__builtin_ctz(stops) : 16;

		json_store16(to, x);
		p += n;
		to += n;
		if (stops == 0)
			continue;
		to = escape(to, (unsigned char)*p++);
#else
		unsigned char c = (unsigned char)*p++;

		if (c == '"' || c == '\\' || c < 0x20)
			to = escape(to, c);
		else
			*to++ = (char)c;
#endif
	}
	*out = to;
	return p;
}

static void
write_escaped(struct buf *out, struct slice s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;
	char tail[2 * BLOCK], *to = NULL;
	size_t n;

	if (s.len <= ESCAPED_MAX)
		to = json_room(out, ESCAPE_BYTES * s.len + 2);
	if (to == NULL) {
		write_escaped_slowly(out, s);
		return;
	}
	*to++ = '"';
	if (s.len >= BLOCK)
		p = put_escaped(&to, p, end - (BLOCK - 1));
	n = (size_t)(end - p);
	memset(tail, ' ', sizeof(tail));
	if (n > 0)
		memcpy(tail, p, n);
	/* spaces behind the end are none of it */
	p = put_escaped(&to, tail, tail + n);
	to -= p - (tail + n);
	*to++ = '"';
	out->len = (size_t)(to - out->ptr);
}

void
json_write_string(struct buf *out, struct slice s)
{
	char *to = json_room(out, s.len + 2);

	if (to != NULL)
		to = json_put_string(to, s);
	if (to != NULL)
		out->len = (size_t)(to - out->ptr);
	else
		write_escaped(out, s);
}

static void
write_int(struct buf *out, int64_t i)
{
	if (i < 0)
		(void)buf_add_char(out, '-');
	(void)buf_add_u64dec(out, i < 0 ? 0 - (uint64_t)i : (uint64_t)i);
}

/* Few decimals, such as a latitude's: exact without printf. */
static bool
write_short_double(struct buf *out, double d)
{
	static const double powers[DECIMALS_MAX + 1] = { 1e0, 1e1, 1e2, 1e3,
		1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
	char text[DOUBLE_TEXT_MAX];
	size_t at = sizeof(text);
	double a = fabs(d);
	uint64_t whole;
	int n;

	for (n = 1; n <= DECIMALS_MAX; n++) {
		double scaled = a * powers[n];

		/* all products and the quotient are rounded once */
		if (scaled >= 1e15)
			return false;
		whole = (uint64_t)(scaled + 0.5);
		if ((double)whole / powers[n] >= a &&
		    (double)whole / powers[n] <= a)
			break;
	}
	if (n > DECIMALS_MAX)
		return false;
	for (int i = 0; i < n || whole > 0 || i == n; i++) {
		if (i == n)
			text[--at] = '.';
		text[--at] = (char)('0' + whole % 10);
		whole /= 10;
	}
	if (signbit(d) != 0)
		text[--at] = '-';
	(void)buf_add(out, text + at, sizeof(text) - at);
	return true;
}

/* As few of 15 to 17 digits as read back as the same double. */
static void
write_double(struct buf *out, double d)
{
	char text[DOUBLE_TEXT_MAX];
	double back = 0;

	if (!isfinite(d)) {
		(void)buf_add_str(out, "null");
		return;
	}
	if (write_short_double(out, d))
		return;
	for (int precision = 15; precision <= 17; precision++) {
		(void)snprintf(text, sizeof(text), "%.*g", precision, d);
		back = strtod(text, NULL);
		if (back >= d && back <= d)
			break;
	}
	(void)buf_add_str(out, text);
	/* so that it stays a double when it is read */
	if (strpbrk(text, ".e") == NULL)
		(void)buf_add_str(out, ".0");
}

static void
write_scalar(struct buf *out, const struct value *v)
{
	switch (v->kind) {
	case VALUE_BOOL:
		(void)buf_add_str(out, v->b ? "true" : "false");
		break;
	case VALUE_INT:
		write_int(out, v->i);
		break;
	case VALUE_DOUBLE:
		write_double(out, v->d);
		break;
	case VALUE_STRING:
		json_write_string(out, v->s);
		break;
	case VALUE_JSON:
		(void)buf_add_slice(out, v->s);
		break;
	case VALUE_NULL:
	case VALUE_LIST:
	default:
		(void)buf_add_str(out, "null");
		break;
	}
}

void
json_write_value(struct buf *out, const struct value *v)
{
	if (v->kind != VALUE_LIST) {
		write_scalar(out, v);
		return;
	}
	(void)buf_add_char(out, '[');
	for (uint32_t i = 0; i < v->n; i++) {
		if (i > 0)
			(void)buf_add_char(out, ',');
		write_scalar(out, &v->list[i]);
	}
	(void)buf_add_char(out, ']');
}

void
json_begin(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){ .out = out };
}

static void
comma(struct json_writer *w)
{
	if (w->comma)
		(void)buf_add_char(w->out, ',');
	w->comma = true;
}

void
json_open(struct json_writer *w, char bracket)
{
	comma(w);
	(void)buf_add_char(w->out, bracket);
	w->comma = false;
}

void
json_close(struct json_writer *w, char bracket)
{
	(void)buf_add_char(w->out, bracket);
	w->comma = true;
}

void
json_key_slice(struct json_writer *w, struct slice key)
{
	comma(w);
	json_write_string(w->out, key);
	(void)buf_add_char(w->out, ':');
	w->comma = false;
}

void
json_key(struct json_writer *w, const char *key)
{
	json_key_slice(w, (struct slice){ key, strlen(key) });
}

void
json_string(struct json_writer *w, struct slice s)
{
	comma(w);
	json_write_string(w->out, s);
}

void
json_str(struct json_writer *w, const char *s)
{
	json_string(w, (struct slice){ s, strlen(s) });
}

void
json_int(struct json_writer *w, int64_t i)
{
	comma(w);
	write_int(w->out, i);
}

void
json_uint(struct json_writer *w, uint64_t u)
{
	comma(w);
	(void)buf_add_u64dec(w->out, u);
}

void
json_double(struct json_writer *w, double d)
{
	comma(w);
	write_double(w->out, d);
}

void
json_bool(struct json_writer *w, bool b)
{
	comma(w);
	(void)buf_add_str(w->out, b ? "true" : "false");
}

void
json_null(struct json_writer *w)
{
	comma(w);
	(void)buf_add_str(w->out, "null");
}

void
json_raw(struct json_writer *w, struct slice json)
{
	comma(w);
	(void)buf_add_slice(w->out, json);
}

void
json_optional(struct json_writer *w, const char *key, struct slice text)
{
	if (text.len == 0)
		return;
	json_key(w, key);
	json_string(w, text);
}

void
json_optional_str(struct json_writer *w, const char *key, const char *text)
{
	if (text != NULL)
		json_optional(w, key, (struct slice){ text, strlen(text) });
}

void
json_time(struct json_writer *w, int64_t time_ns)
{
	char text[TIMESTAMP_TEXT_MAX];

	json_string(w, timestamp_format(time_ns, text));
}
