/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/line_event.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
# include <emmintrin.h>
#endif

#include "xalloc.h"

enum {
	J_HEADER = 10,
	NUMBER_MAX = 20,
	EXPANSION = 6, /* "\u0000" */
	FLAGS_MAX = 64,
	SHAPE_MAX = 64 * 1024
};

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static bool
continues(const unsigned char *s, const unsigned char *end, unsigned lo,
    unsigned hi)
{
	return s < end && *s >= lo && *s <= hi;
}

/*
 * How many bytes of the character at `s` (>= 0x80) are well-formed; *whole
 * says whether they are all of it (Unicode 15, table 3-7).
 */
static size_t
utf8_part(const unsigned char *s, const unsigned char *end, bool *whole)
{
	unsigned lo = 0x80, hi = 0xbf;
	size_t len, i;

	*whole = false;
	if (*s < 0xc2 || *s > 0xf4)
		return 1;
	len = *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
	if (*s == 0xe0)
		lo = 0xa0;
	else if (*s == 0xed)
		hi = 0x9f;
	else if (*s == 0xf0)
		lo = 0x90;
	else if (*s == 0xf4)
		hi = 0x8f;
	for (i = 1; i < len; i++) {
		if (!continues(s + i, end, lo, hi))
			return i;
		lo = 0x80;
		hi = 0xbf;
	}
	*whole = true;
	return len;
}

static char *
escape_control(char *out, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	*out++ = '\\';
	switch (c) {
	case '\t':
		*out++ = 't';
		return out;
	case '\r':
		*out++ = 'r';
		return out;
	case '\n':
		*out++ = 'n';
		return out;
	default:
		out[0] = 'u';
		out[1] = out[2] = '0';
		out[3] = digits[c >> 4];
		out[4] = digits[c & 15];
		return out + 5;
	}
}

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Copies plain characters; there is room for 16 bytes beyond them. */
static size_t
copy_plain(char *out, const unsigned char *s, size_t len)
{
	size_t n = 0;

#if defined(__SSE2__)
	for (; len - n >= 16; n += 16) {
		__m128i v = _mm_loadu_si128((const void *)(s + n));
		/* signed: 0x80.. are below 0x20 too */
		__m128i odd =
		    _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
			_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
			    _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		unsigned mask = (unsigned)_mm_movemask_epi8(odd);

		_mm_storeu_si128((void *)(out + n), v);
		if (mask != 0)
			return n + (size_t)__builtin_ctz(mask);
	}
#endif
	for (; n < len && is_plain(s[n]); n++)
		out[n] = (char)s[n];
	return n;
}

char *
json_escape(char *out, struct slice s)
{
	const unsigned char *at = (const unsigned char *)s.ptr;
	const unsigned char *end = at + s.len;
	bool whole;
	size_t n;

	while (at < end) {
		n = copy_plain(out, at, (size_t)(end - at));
		at += n;
		out += n;
		if (at == end)
			break;
		if (*at >= 0x80) {
			n = utf8_part(at, end, &whole);
			memcpy(out, whole ? (const char *)at : replacement,
			    whole ? n : 3);
			out += whole ? n : 3;
			at += n;
		} else if (*at < 0x20) {
			out = escape_control(out, *at++);
		} else {
			*out++ = '\\';
			*out++ = (char)*at++;
		}
	}
	return out;
}

static void
add_escaped(struct buf *b, const char *text)
{
	struct slice s = { text, strlen(text) };
	char *room = buf_reserve(b, EXPANSION * s.len + 16);

	assert(room != NULL);
	b->len += (size_t)(json_escape(room, s) - room);
}

static void
add_text(struct buf *b, const char *before, const char *text)
{
	(void)buf_add_str(b, before);
	add_escaped(b, text);
}

void
line_shape_init(struct line_shape *s, const struct line_source *src)
{
	struct buf b;
	size_t middle;

	buf_init(&b, SHAPE_MAX);
	add_text(&b, "\",\"log\":{\"file\":{\"path\":\"", src->path);
	(void)buf_add_str(&b, "\"},\"offset\":");
	middle = b.len;
	(void)buf_add_str(&b, "},\"input\":{\"type\":\"file\"}");
	if (src->dataset != NULL) {
		add_text(&b, ",\"event\":{\"dataset\":\"", src->dataset);
		(void)buf_add_str(&b, "\"}");
	}
	add_text(&b, ",\"host\":{\"name\":\"", src->host_name);
	add_text(&b, "\"},\"kuzet\":{\"stream\":\"", src->stream);
	add_text(&b, "\",\"input\":\"", src->input);
	(void)buf_add_char(&b, '"');
	if (src->timezone != NULL) {
		add_text(&b, ",\"timezone\":\"", src->timezone);
		(void)buf_add_char(&b, '"');
	}
	if (src->year != 0)
		(void)buf_printf(&b, ",\"year\":%d", src->year);
	(void)buf_add_str(&b, "}}");
	assert(!b.overflowed);
	b.ptr = xreallocarray(b.ptr, b.len, 1);
	s->middle = (struct slice){ b.ptr, middle };
	s->suffix = (struct slice){ b.ptr + middle, b.len - middle };
}

void
line_shape_fini(struct line_shape *s)
{
	free((void *)s->middle.ptr);
	*s = (struct line_shape){ 0 };
}

static char *
put(char *out, struct slice s)
{
	memcpy(out, s.ptr, s.len);
	return out + s.len;
}

static char *
put_number(char *out, uint64_t v)
{
	char digits[NUMBER_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	memcpy(out, digits + at, sizeof(digits) - at);
	return out + (sizeof(digits) - at);
}

static char *
put_u32(char *out, size_t v)
{
	out[0] = (char)(v >> 24);
	out[1] = (char)(v >> 16);
	out[2] = (char)(v >> 8);
	out[3] = (char)v;
	return out + 4;
}

/* The frame from `frame` to `end` is the window's next event. */
static void
finish_frame(struct window *w, char *frame, const char *end)
{
	frame[0] = '2';
	frame[1] = 'J';
	(void)put_u32(frame + 2, ++w->n);
	(void)put_u32(frame + 6, (size_t)(end - frame - J_HEADER));
	w->frames.len += (size_t)(end - frame);
}

/* At most FLAGS_MAX bytes. */
static char *
put_flags(char *out, unsigned flags)
{
	static const struct {
		enum line_flag flag;
		struct slice text;
	} names[] = {
		{ LINE_CUT, SLICE_INIT("\"truncated\"") },
		{ LINE_JOINED, SLICE_INIT("\"multiline\"") },
		{ LINE_SPLIT, SLICE_INIT("\"split\"") },
	};
	static const struct slice open = SLICE_INIT(",\"flags\":[");
	bool first = true;

	out = put(out, open);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((flags & names[i].flag) == 0)
			continue;
		if (!first)
			*out++ = ',';
		first = false;
		out = put(out, names[i].text);
	}
	*out++ = ']';
	return out;
}

void
line_event_add(struct window *w, const struct line_shape *shape,
    const struct line *line)
{
	static const struct slice open = SLICE_INIT("{\"@timestamp\":\"");
	static const struct slice message = SLICE_INIT(",\"message\":\"");
	struct slice when = { line->read_at, strlen(line->read_at) };
	size_t most = J_HEADER + open.len + when.len + message.len +
	    EXPANSION * line->text.len + shape->middle.len + NUMBER_MAX +
	    line->members.len + FLAGS_MAX + shape->suffix.len + 16;
	char *frame = buf_reserve(&w->frames, most);
	char *at;

	assert(frame != NULL && w->n < WINDOW_EVENTS);
	at = put(frame + J_HEADER, open);
	at = put(at, when);
	*at++ = '"';
	if (line->members.len > 0)
		at = put(at, line->members);
	at = put(at, message);
	at = json_escape(at, line->text);
	at = put(at, shape->middle);
	at = put_number(at, line->offset);
	if (line->flags != 0)
		at = put_flags(at, line->flags);
	at = put(at, shape->suffix);
	finish_frame(w, frame, at);
}

void
control_add(struct window *w, struct slice json)
{
	char *frame = buf_reserve(&w->frames, J_HEADER + json.len);

	assert(frame != NULL && w->n < WINDOW_EVENTS);
	finish_frame(w, frame, put(frame + J_HEADER, json));
}

static void
add_control(struct window *w, struct buf *json)
{
	assert(!json->overflowed);
	control_add(w, buf_slice(json));
	buf_fini(json);
}

void
json_event_add(struct window *w, struct slice json, const char *stream,
    uint64_t offset)
{
	static const struct slice at_offset = SLICE_INIT(",\"log.offset\":");
	static const struct slice of_stream =
	    SLICE_INIT(",\"kuzet.stream\":\"");
	struct slice uuid = { stream, strlen(stream) };
	char *frame = buf_reserve(&w->frames,
	    J_HEADER + json.len + at_offset.len + NUMBER_MAX + of_stream.len +
		uuid.len + 2);
	char *at;

	assert(frame != NULL && w->n < WINDOW_EVENTS);
	assert(json.len > 2 && json.ptr[json.len - 1] == '}');
	json.len--;
	at = put(frame + J_HEADER, json);
	at = put(at, at_offset);
	at = put_number(at, offset);
	at = put(at, of_stream);
	at = put(at, uuid);
	at = put(at, SLICE("\"}"));
	finish_frame(w, frame, at);
}

void
control_heartbeat_add(struct window *w, const char *input, const char *now)
{
	struct buf b;

	buf_init(&b, SHAPE_MAX);
	add_text(&b, "{\"@timestamp\":\"", now);
	add_text(&b, "\",\"kuzet\":{\"control\":\"heartbeat\",\"input\":\"",
	    input);
	(void)buf_add_str(&b, "\",\"version\":\"" PACKAGE_VERSION "\"}}");
	add_control(w, &b);
}

void
control_stream_end_add(struct window *w, const char *stream)
{
	struct buf b;

	buf_init(&b, SHAPE_MAX);
	add_text(&b, "{\"kuzet\":{\"control\":\"stream_end\",\"stream\":\"",
	    stream);
	(void)buf_add_str(&b, "\"}}");
	add_control(w, &b);
}
