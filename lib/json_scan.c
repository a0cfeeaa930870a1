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
};

const char json_too_deep[] = "too many levels of arrays and objects";

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
		wrong = json_string_end(at, end, &high, &escaped);
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
			(void)json_string_end(&p, end, &high, &escaped);
			p++;
		} else if (p < end) {
			p++;
		}
		memcpy(to, from, (size_t)(p - from));
		to += p - from;
	}
	return utf8_repair(arena, (struct slice){ out, (size_t)(to - out) });
}
