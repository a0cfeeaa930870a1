/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of JSON (RFC 8259, section 7): their ends, and what escapes stand for. */
#include <limits.h>

#include "ascii.h"
#include "json_scan.h"
#include "utf8.h"

enum {
	COPY_BLOCK = 64,
	COPY_READ = 2 * COPY_BLOCK + 2, /* bytes that a block may look at */
	COPY_SLACK = COPY_BLOCK,
	QUICK_STRING = 4096, /* bytes of a string that is read in one pass */
};

static const char control[] = "a control character in a string";
static const char unclosed[] = "a string that does not end";
static const char bad_escape[] = "an escape that JSON does not have";

/* Four of them; -1 if they are not. */
static int32_t
hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = ascii_hex_value(p[i]);

		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

/* What stands for the character behind a backslash; 0: nothing does, or \u. */
static const char escapes[UCHAR_MAX + 1] = {
	['"'] = '"',
	['\\'] = '\\',
	['/'] = '/',
	['b'] = '\b',
	['f'] = '\f',
	['n'] = '\n',
	['r'] = '\r',
	['t'] = '\t',
};

static char
simple_escape(char c)
{
	return escapes[(unsigned char)c];
}

const char *
json_string_end(const char **at, const char *end, bool *high, bool *escaped)
{
	const char *p = *at;

	for (;;) {
		p = json_plain_end(p, end, high);
		*at = p;
		if (p == end)
			return unclosed;
		if (*p == '"')
			return NULL;
		if (*p != '\\')
			return control;
		*escaped = true;
		if (++p == end)
			return unclosed;
		if (*p == 'u') {
			if (hex4(p + 1, end) < 0)
				return bad_escape;
			p += 5;
		} else if (simple_escape(*p) != '\0') {
			p++;
		} else {
			return bad_escape;
		}
	}
}

/* A \uXXXX escape, or the pair of them, at `p` behind the 'u'. */
static const char *
unescape_unicode(const char *p, const char *end, char **to)
{
	uint32_t c = (uint32_t)hex4(p, end);
	int32_t low;

	p += 4;
	if (c >= 0xd800 && c <= 0xdfff) {
		low = end - p >= 6 && p[0] == '\\' && p[1] == 'u'
		    ? hex4(p + 2, end)
		    : -1;
		if (c <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
			c = 0x10000 + ((c - 0xd800) << 10) +
			    ((uint32_t)low - 0xdc00);
			p += 6;
		} else {
			c = 0xfffd;
		}
	}
	*to += utf8_encode(c, *to);
	return p;
}

/* Copies up to a backslash or the end; `to` has room for end - *at. */
static char *
copy_plain(const char **at, const char *end, char *to)
{
	const char *p = *at;

#ifdef __SSE2__
	while (end - p >= 16) {
		__m128i x = json_load16(p);
		unsigned stops = (unsigned)_mm_movemask_epi8(
		    _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
		unsigned n = stops != 0 ? (unsigned)__builtin_ctz(stops) : 16;

		json_store16(to, x);
		p += n;
		to += n;
		if (n < 16) {
			*at = p;
			return to;
		}
	}
#endif
	while (p < end && *p != '\\')
		*to++ = *p++;
	*at = p;
	return to;
}

/* No longer than `raw`: \uXXXX are 6 bytes for 3, a pair is 12 for 4. */
static struct slice
unescape(struct arena *arena, struct slice raw)
{
	char *out = arena_alloc(arena, raw.len);
	const char *p = raw.ptr, *end = raw.ptr + raw.len;
	char *to = out;

	for (;;) {
		to = copy_plain(&p, end, to);
		if (p == end)
			break;
		p++;
		if (*p++ == 'u')
			p = unescape_unicode(p, end, &to);
		else
			*to++ = simple_escape(p[-1]);
	}
	return (struct slice){ out, (size_t)(to - out) };
}

/*
 * Strings with escapes in one pass: their end is sought while they are copied.
 * `to` has room for what is left of [p, end), and COPY_SLACK.
 */
struct copying {
	const char *p;
	const char *end;
	char *to;
	bool high;
};

#ifdef __SSE2__
struct block {
	__m128i a, b, c, d;
};

static inline uint64_t
stops64(struct block x)
{
	return json_stops16(x.a) | (uint64_t)json_stops16(x.b) << 16 |
	    (uint64_t)json_stops16(x.c) << 32 |
	    (uint64_t)json_stops16(x.d) << 48;
}

static inline struct block
load_block(const char *p)
{
	return (struct block){ json_load16(p), json_load16(p + 16),
		json_load16(p + 32), json_load16(p + 48) };
}

static inline void
store_block(char *to, struct block x)
{
	json_store16(to, x.a);
	json_store16(to + 16, x.b);
	json_store16(to + 32, x.c);
	json_store16(to + 48, x.d);
}

/*
 * To the closing quote; false: what is not so simple came first.  A stop comes
 * before `end`, or there are two blocks and two bytes.  What was copied behind a
 * stop is written over.
 */
static bool
copy_blocks(struct copying *c)
{
	__m128i seen = _mm_setzero_si128();
	bool done = false, odd = false;

	/* an escape moves what is left of a block: two are read */
	while (!done && !odd && c->end - c->p >= COPY_READ) {
		const char *p = c->p, *behind = p + COPY_BLOCK;
		struct block x = load_block(p);
		char *to = c->to;
		uint64_t stops;
		unsigned n;

		store_block(to, x);
		seen = _mm_or_si128(seen,
		    _mm_or_si128(_mm_or_si128(x.a, x.b),
			_mm_or_si128(x.c, x.d)));
		for (stops = stops64(x); stops != 0; stops = stops >> n >> 2) {
			n = (unsigned)__builtin_ctzll(stops);
			p += n;
			to += n;
			done = *p == '"';
			odd = !done && *p != '\\';
			if (done || odd)
				break;
			*to = simple_escape(p[1]);
			odd = *to == '\0';
			if (odd)
				break;
			p += 2;
			to++;
			store_block(to, load_block(p));
		}
		if (!done && !odd && p < behind) {
			to += behind - p;
			p = behind;
		}
		c->p = p;
		c->to = to;
	}
	c->high = c->high || _mm_movemask_epi8(seen) != 0;
	return done;
}

/* The same where the text ends too soon: of a copy that does not. */
static bool
copy_last(struct copying *c)
{
	char text[2 * COPY_READ];
	size_t n = (size_t)(c->end - c->p);
	struct copying last = { .p = text,
		.end = text + sizeof(text),
		.to = c->to,
		.high = c->high };
	bool done;

	memset(text + n, 0, sizeof(text) - n);
	memcpy(text, c->p, n);
	done = copy_blocks(&last);
	c->p += last.p - text;
	c->to = last.to;
	c->high = last.high;
	return done;
}

static bool
copy_string(struct copying *c)
{
	return copy_blocks(c) || (c->end - c->p < COPY_READ && copy_last(c));
}

#else

/* To the closing quote; false: the end, or what is not so simple, came first. */
static bool
copy_string(struct copying *c)
{
	for (; c->p < c->end; c->p++) {
		if (*c->p == '"')
			return true;
		if ((unsigned char)*c->p < 0x20)
			return false;
		if (*c->p != '\\') {
			c->high = c->high || (unsigned char)*c->p >= 0x80;
			*c->to++ = *c->p;
			continue;
		}
		if (++c->p == c->end || simple_escape(*c->p) == '\0')
			return false;
		*c->to++ = simple_escape(*c->p);
	}
	return false;
}

#endif

/*
 * `p` is where the first escape of a string is.  False where it is not so simple
 * (long, wrong, with \u): nothing was done then.
 */
static bool
unescape_quickly(const char **at, const char *p, const char *end,
    struct arena *arena, struct slice *out, bool *high)
{
	size_t n = (size_t)(p - *at), room = (size_t)(end - *at);
	struct copying c = { .p = p, .high = *high };
	char *start;

	if (n >= QUICK_STRING)
		return false;
	room = room < QUICK_STRING ? room : QUICK_STRING;
	c.end = *at + room;
	start = arena_alloc(arena, room + COPY_SLACK);
	memcpy(start, *at, n);
	c.to = start + n;
	if (!copy_string(&c)) {
		arena_trim(arena, start, 0);
		return false;
	}
	*at = c.p + 1;
	*high = c.high;
	*out = (struct slice){ start, (size_t)(c.to - start) };
	arena_trim(arena, start, out->len);
	return true;
}

/* Any string, in two passes; says what is wrong, and where. */
static const char *
slow_string(const char **at, const char *end, struct arena *arena,
    struct slice *out)
{
	const char *from = *at;
	bool high = false, escaped = false;
	const char *wrong = json_string_end(at, end, &high, &escaped);

	if (wrong != NULL)
		return wrong;
	*out = (struct slice){ from, (size_t)(*at - from) };
	if (escaped)
		*out = unescape(arena, *out);
	if (high)
		*out = utf8_repair(arena, *out);
	++*at;
	return NULL;
}

const char *
json_scan_string(const char **at, const char *end, struct arena *arena,
    struct slice *out)
{
	const char *from = *at;
	bool high = false;
	const char *p = json_plain_end(from, end, &high);

	if (p < end && *p == '"') {
		*out = (struct slice){ from, (size_t)(p - from) };
		*at = p + 1;
	} else if (p == end || *p != '\\' ||
	    !unescape_quickly(at, p, end, arena, out, &high)) {
		return slow_string(at, end, arena, out);
	}
	if (high)
		*out = utf8_repair(arena, *out);
	return NULL;
}
