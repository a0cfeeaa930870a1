/* SPDX-License-Identifier: Apache-2.0 */
#include "json_scan.h"

#include <math.h>
#include <stdlib.h>

#include "utf8.h"

enum {
	NUMBER_TEXT_MAX = 64, /* longer ones stay text */
	EXACT_DIGITS = 19,    /* always fit uint64_t */
	EXACT_POWER = 22,     /* 10^22 is the greatest exact double */
	EXPONENT_MAX = 100000,
	QUICK_BLOCK = 16,
	QUICK_STRING = 4096, /* bytes of a string that is read in one pass */
};

const char json_too_deep[] = "too many levels of arrays and objects";

static const char control[] = "a control character in a string";
static const char unclosed[] = "a string that does not end";
static const char bad_escape[] = "an escape that JSON does not have";

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four of them; -1 if they are not. */
static int32_t
hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

/* What may follow a backslash, but for 'u'. */
static bool
is_escape(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return true;
	default:
		return false;
	}
}

/* Checks a string up to its closing quote, where *at then stands. */
static const char *
string_end(const char **at, const char *end, bool *high, bool *escaped)
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
		} else if (is_escape(*p)) {
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
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned stops = (unsigned)_mm_movemask_epi8(
		    _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
		unsigned n = stops != 0 ? (unsigned)__builtin_ctz(stops) : 16;

		_mm_storeu_si128((__m128i *)(void *)to, x);
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
		switch (*p++) {
		case 'b':
			*to++ = '\b';
			break;
		case 'f':
			*to++ = '\f';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case 't':
			*to++ = '\t';
			break;
		case 'u':
			p = unescape_unicode(p, end, &to);
			break;
		default:
			*to++ = p[-1];
			break;
		}
	}
	return (struct slice){ out, (size_t)(to - out) };
}

/* What stands for the character behind a backslash; 0: nothing does, or \u. */
static char
simple_escape(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return '\0';
	}
}

/*
 * The usual string with escapes, in one pass: its end is sought while it is
 * copied.  `p` is where its first escape is.  False where it is not so simple
 * (long, wrong, with \u): nothing was done then.
 */
static bool
unescape_quickly(const char **at, const char *p, const char *end,
    struct arena *arena, struct slice *out, bool *high)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(0x1f);
	size_t n = (size_t)(p - *at), room = (size_t)(end - *at);
	bool above = *high;
	char *to, *start;

	if (n > QUICK_STRING - QUICK_BLOCK)
		return false;
	room = room < QUICK_STRING ? room : QUICK_STRING;
	end = *at + room;
	start = arena_alloc(arena, room);
	memcpy(start, *at, n);
	to = start + n;
	while (end - p >= QUICK_BLOCK) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned stops = (unsigned)_mm_movemask_epi8(
		    _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote),
				     _mm_cmpeq_epi8(x, backslash)),
			_mm_cmpeq_epi8(_mm_min_epu8(x, space), x)));
		unsigned highs = (unsigned)_mm_movemask_epi8(x), plain;

		_mm_storeu_si128((__m128i *)(void *)to, x);
		if (stops == 0) {
			above = above || highs != 0;
			p += QUICK_BLOCK;
			to += QUICK_BLOCK;
			continue;
		}
		plain = (unsigned)__builtin_ctz(stops);
		above = above || (highs & ((1U << plain) - 1)) != 0;
		p += plain;
		to += plain;
		if (*p == '"') {
			*at = p + 1;
			*high = above;
			*out = (struct slice){ start, (size_t)(to - start) };
			arena_trim(arena, start, out->len);
			return true;
		}
		if (*p != '\\' || p + 1 == end ||
		    (*to = simple_escape(p[1])) == '\0')
			break;
		p += 2;
		to++;
	}
	arena_trim(arena, start, 0);
#else
	(void)at;
	(void)p;
	(void)end;
	(void)arena;
	(void)out;
	(void)high;
#endif
	return false;
}

/* Any string, in two passes; says what is wrong, and where. */
static const char *
slow_string(const char **at, const char *end, struct arena *arena,
    struct slice *out)
{
	const char *from = *at;
	bool high = false, escaped = false;
	const char *wrong = string_end(at, end, &high, &escaped);

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

static const char *
digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

const char *
json_scan_number(const char **at, const char *end, struct slice *out)
{
	static const char no_digit[] = "a number that lacks a digit";
	const char *p = *at, *from = p;

	p += p < end && *p == '-';
	*at = p;
	p = digits(p, end);
	if (p == *at)
		return p == from ? "a value is missing" : no_digit;
	if (**at == '0' && p - *at > 1)
		return "a number that begins with 0";
	if (p < end && *p == '.') {
		*at = ++p;
		p = digits(p, end);
		if (p == *at)
			return no_digit;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		*at = p;
		p = digits(p, end);
		if (p == *at)
			return no_digit;
	}
	*at = p;
	*out = (struct slice){ from, (size_t)(p - from) };
	return NULL;
}

/* Whether the number is an integer that fits; "-0" is none: it is a double. */
static bool
integer_value(struct slice s, int64_t *out)
{
	bool minus = s.len > 0 && *s.ptr == '-';
	size_t n = s.len - minus;
	uint64_t v = 0;

	if (n > EXACT_DIGITS)
		return false;
	for (const char *p = s.ptr + minus; p < s.ptr + s.len; p++) {
		unsigned digit = (unsigned char)*p - (unsigned)'0';

		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	if (minus ? v > (uint64_t)INT64_MAX + 1 || v == 0 : v > INT64_MAX)
		return false;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool
is_integer(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '.' || (s.ptr[i] | 0x20) == 'e')
			return false;
	return true;
}

/*
 * The significant digits of a number and the power of ten they are multiplied
 * with; false where either does not fit.
 */
static bool
decimal_parts(struct slice s, uint64_t *mantissa, int *power)
{
	const char *p = s.ptr, *end = s.ptr + s.len;
	bool point = false, minus;
	int n = 0, exponent = 0;

	*mantissa = 0;
	*power = 0;
	p += *p == '-';
	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		*mantissa = *mantissa * 10 + (unsigned)(*p - '0');
		n += *mantissa != 0;
		*power -= point;
		if (n > EXACT_DIGITS)
			return false;
	}
	if (p == end)
		return true;
	p++;
	minus = *p == '-';
	p += minus || *p == '+';
	for (; p < end; p++) {
		exponent = exponent * 10 + (*p - '0');
		if (exponent > EXPONENT_MAX)
			return false;
	}
	*power += minus ? -exponent : exponent;
	return true;
}

static double
by_strtod(struct slice s)
{
	char text[NUMBER_TEXT_MAX + 1];

	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return strtod(text, NULL);
}

struct value
json_number_value(struct slice number)
{
	static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
		1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
		1e19, 1e20, 1e21, 1e22 };
	struct value as_text = { .kind = VALUE_JSON, .s = number };
	uint64_t mantissa;
	int64_t i;
	int power;
	double d;

	if (integer_value(number, &i))
		return (struct value){ .kind = VALUE_INT, .i = i };
	if (number.len > NUMBER_TEXT_MAX ||
	    !decimal_parts(number, &mantissa, &power))
		return as_text;
	if (mantissa != 0 && is_integer(number))
		return as_text; /* beyond int64_t */
	if (mantissa <= UINT64_C(1) << 53 && power >= -EXACT_POWER &&
	    power <= EXACT_POWER) {
		/* one correctly rounded operation on exact operands */
		d = power < 0 ? (double)mantissa / powers[-power]
			      : (double)mantissa * powers[power];
		d = *number.ptr == '-' ? -d : d;
	} else {
		d = by_strtod(number);
	}
	if (!isfinite(d) || (fpclassify(d) == FP_ZERO && mantissa != 0))
		return as_text;
	return (struct value){ .kind = VALUE_DOUBLE, .d = d };
}

const char *
json_scan_word(const char **at, const char *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - *at) < n || memcmp(*at, word, n) != 0)
		return "a word that is not true, false or null";
	*at += n;
	return NULL;
}

static const char *
skip_scalar(const char **at, const char *end)
{
	bool high = false, escaped = false;
	struct slice number;
	const char *wrong;

	switch (**at) {
	case '"':
		++*at;
		wrong = string_end(at, end, &high, &escaped);
		*at += wrong == NULL;
		return wrong;
	case 't':
		return json_scan_word(at, end, "true");
	case 'f':
		return json_scan_word(at, end, "false");
	case 'n':
		return json_scan_word(at, end, "null");
	default:
		return json_scan_number(at, end, &number);
	}
}

/* The levels that a skipped value is in: a bit each, set for objects. */
struct levels {
	uint64_t in_object[JSON_DEPTH_MAX / 64];
	unsigned depth;
};

static bool
in_object(const struct levels *l)
{
	unsigned top = l->depth - 1;

	return (l->in_object[top / 64] >> (top % 64) & 1) != 0;
}

static void
enter(struct levels *l, bool object)
{
	uint64_t bit = UINT64_C(1) << (l->depth % 64);
	uint64_t *word = &l->in_object[l->depth / 64];

	*word = object ? *word | bit : *word & ~bit;
	l->depth++;
}

static void
space_between(const char **at, const char *end, bool *compact)
{
	const char *from = *at;

	json_scan_space(at, end);
	*compact &= *at == from;
}

/* "key":  */
static const char *
skip_key(const char **at, const char *end, bool *compact)
{
	const char *wrong;

	if (*at == end || **at != '"')
		return "a key is missing";
	wrong = skip_scalar(at, end);
	if (wrong != NULL)
		return wrong;
	space_between(at, end, compact);
	if (*at == end || **at != ':')
		return "a colon is missing";
	++*at;
	space_between(at, end, compact);
	return NULL;
}

/* Behind a value: closes what closes, goes over the comma. */
static const char *
skip_after(struct levels *l, const char **at, const char *end, bool *compact)
{
	while (l->depth > 0) {
		space_between(at, end, compact);
		if (*at == end)
			return "the text ends too early";
		if (**at == ',') {
			++*at;
			space_between(at, end, compact);
			return in_object(l) ? skip_key(at, end, compact) : NULL;
		}
		if (**at != (in_object(l) ? '}' : ']'))
			return "a comma or closing bracket is missing";
		++*at;
		l->depth--;
	}
	return NULL;
}

/* An opening bracket: goes in, or over an array or object that is empty. */
static const char *
skip_open(struct levels *l, const char **at, const char *end, bool *compact)
{
	bool object = **at == '{';

	enter(l, object);
	++*at;
	space_between(at, end, compact);
	if (*at < end && **at == (object ? '}' : ']')) {
		l->depth--;
		++*at;
		return skip_after(l, at, end, compact);
	}
	return object ? skip_key(at, end, compact) : NULL;
}

const char *
json_scan_value(const char **at, const char *end, unsigned depth, bool *compact)
{
	struct levels l = { .depth = 0 };
	const char *wrong;

	if (depth > JSON_DEPTH_MAX)
		depth = JSON_DEPTH_MAX;
	*compact = true;
	do {
		if (*at == end)
			return "the text ends too early";
		if (**at == '{' || **at == '[') {
			if (l.depth >= depth)
				return json_too_deep;
			wrong = skip_open(&l, at, end, compact);
		} else {
			wrong = skip_scalar(at, end);
			if (wrong == NULL)
				wrong = skip_after(&l, at, end, compact);
		}
		if (wrong != NULL)
			return wrong;
	} while (l.depth > 0);
	return NULL;
}

struct slice
json_compact(struct arena *arena, struct slice text, bool compact)
{
	const char *p = text.ptr, *end = text.ptr + text.len;
	char *out, *to;

	if (compact)
		return utf8_repair(arena, text);
	out = to = arena_alloc(arena, text.len);
	while (p < end) {
		const char *from;

		json_scan_space(&p, end);
		from = p;
		if (p < end && *p == '"') {
			bool high = false, escaped = false;

			p++;
			(void)string_end(&p, end, &high, &escaped);
			p++;
		} else if (p < end) {
			p++;
		}
		memcpy(to, from, (size_t)(p - from));
		to += p - from;
	}
	return utf8_repair(arena, (struct slice){ out, (size_t)(to - out) });
}
