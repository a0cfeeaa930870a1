/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons one by one, and the trees above them. */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SSE2__
# include <emmintrin.h>
#endif

#include "match.h"
#include "pattern.h"
#include "utf8.h"

enum { NUMBER_TEXT = 40 };

static struct slice
number_text(struct matcher *m, const struct value *v)
{
	char *text = arena_alloc(m->arena, NUMBER_TEXT);
	size_t at = NUMBER_TEXT;
	uint64_t rest;

	if (v->kind == VALUE_DOUBLE) {
		int n = snprintf(text, NUMBER_TEXT, "%.15g", v->d);

		return (struct slice){ text, (size_t)n };
	}
	rest = v->i < 0 ? -(uint64_t)v->i : (uint64_t)v->i;
	do {
		text[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (v->i < 0)
		text[--at] = '-';
	return (struct slice){ text + at, NUMBER_TEXT - at };
}

struct slice
ref_make_raw(struct matcher *m, struct ref *r)
{
	const struct value *v = r->value;

	switch (v->kind) {
	case VALUE_STRING:
	case VALUE_JSON:
		r->raw = v->s.ptr != NULL ? v->s : SLICE("");
		break;
	case VALUE_BOOL:
		r->raw = v->b ? SLICE("true") : SLICE("false");
		break;
	case VALUE_INT:
	case VALUE_DOUBLE:
		r->raw = number_text(m, v);
		break;
	default: /* lists and null have no ref */
		r->raw = SLICE("");
		break;
	}
	return r->raw;
}

/*
 * Eight bytes in lower case.  An upper-case letter is what 0x3f lifts to the
 * high bit and 0x25 does not yet.
 */
static uint64_t
lower_word(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t low = word & 0x7f * ones;
	uint64_t upper = (low + 0x3f * ones) ^ (low + 0x25 * ones);

	return word | (upper & ~word & 0x80 * ones) >> 2;
}

/*
 * Lower case where all is ASCII; false: it is not.  The last block is done
 * again where the length is no multiple of it.
 */
static bool
fold_ascii(const char *in, char *out, size_t n)
{
	uint64_t word, seen = 0;
	size_t i = 0;

#ifdef __SSE2__
	if (n >= 16) {
		const __m128i lift = _mm_set1_epi8(0x3f);
		const __m128i end = _mm_set1_epi8(-128 + 26);
		const __m128i bit = _mm_set1_epi8(0x20);
		__m128i all = _mm_setzero_si128();

		for (;; i = i + 32 <= n ? i + 16 : n - 16) {
			__m128i x = _mm_loadu_si128(
			    (const __m128i *)(const void *)(in + i));
			__m128i upper =
			    _mm_cmplt_epi8(_mm_add_epi8(x, lift), end);

			all = _mm_or_si128(all, x);
			_mm_storeu_si128((__m128i *)(void *)(out + i),
			    _mm_or_si128(x, _mm_and_si128(upper, bit)));
			if (i + 16 == n)
				return _mm_movemask_epi8(all) == 0;
		}
	}
#endif
	if (n >= sizeof(word)) {
		for (;; i = i + 2 * sizeof(word) <= n ? i + sizeof(word)
						      : n - sizeof(word)) {
			memcpy(&word, in + i, sizeof(word));
			seen |= word;
			word = lower_word(word);
			memcpy(out + i, &word, sizeof(word));
			if (i + sizeof(word) == n)
				break;
		}
		return (seen & UINT64_C(0x8080808080808080)) == 0;
	}
	for (; i < n; i++) {
		seen |= (unsigned char)in[i];
		out[i] = ascii_lower(in[i]);
	}
	return (seen & 0x80) == 0;
}

struct slice
ref_folded(struct matcher *m, struct ref *r)
{
	struct slice raw;
	char *out;

	if (r->folded.ptr != NULL)
		return r->folded;
	raw = ref_raw(m, r);
	out = arena_alloc(m->arena, raw.len + 1);
	if (fold_ascii(raw.ptr, out, raw.len))
		r->folded = (struct slice){ out, raw.len };
	else
		r->folded = utf8_fold(m->arena, raw);
	return r->folded;
}

struct slice
match_joined(struct matcher *m)
{
	enum { NO_UTF8 = 0xff };
	size_t room = 0;
	char *start, *at;

	if (m->joined.ptr != NULL)
		return m->joined;
	for (uint32_t i = 0; i < m->n_keywords; i++)
		/* folding may lengthen: see utf8_fold() */
		room += 2 * ref_raw(m, &m->keywords[i].ref).len + 1;
	start = at = arena_alloc(m->arena, room);
	for (uint32_t i = 0; i < m->n_keywords; i++) {
		struct ref *r = &m->keywords[i].ref;

		if (r->folded.ptr == NULL &&
		    fold_ascii(r->raw.ptr, at, r->raw.len)) {
			r->folded = (struct slice){ at, r->raw.len };
		} else {
			struct slice text = ref_folded(m, r);

			memcpy(at, text.ptr, text.len);
		}
		at += r->folded.len;
		m->keywords[i].end = (uint32_t)(at - start);
		*at++ = (char)NO_UTF8;
	}
	m->joined = (struct slice){ start, (size_t)(at - start) };
	return m->joined;
}

/* ---- numbers, addresses, times ----------------------------------------- */

static bool
compare(enum compare_op op, double a, double b)
{
	switch (op) {
	case OP_EQ:
		return a == b;
	case OP_NEQ:
		return a != b;
	case OP_GT:
		return a > b;
	case OP_GTE:
		return a >= b;
	case OP_LT:
		return a < b;
	case OP_LTE:
		return a <= b;
	}
	return false;
}

static bool
text_number(struct slice s, double *out)
{
	char text[64];
	char *end;

	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < '0' || s.ptr[i] > '9') &&
		    strchr("+-.eE", s.ptr[i]) == NULL)
			return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	*out = strtod(text, &end);
	return *end == '\0' && end != text && isfinite(*out);
}

static bool
match_number(struct matcher *m, const struct sigma_match *want, struct ref *r)
{
	double d;

	if (r->value != NULL && r->value->kind == VALUE_INT)
		d = (double)r->value->i;
	else if (r->value != NULL && r->value->kind == VALUE_DOUBLE)
		d = r->value->d;
	else if (!text_number(ref_raw(m, r), &d))
		return false;
	return compare(want->op, d, want->number);
}

static bool
match_cidr(struct matcher *m, const struct sigma_match *want, struct ref *r)
{
	struct slice s = ref_raw(m, r);
	char text[INET6_ADDRSTRLEN + 1];
	uint8_t a[16];
	const char *zone = s.len > 0 ? memchr(s.ptr, '%', s.len) : NULL;
	size_t whole = want->prefix / 8;
	unsigned rest = want->prefix % 8;

	if (zone != NULL)
		s.len = (size_t)(zone - s.ptr);
	if (s.len < 2 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, a + 12) == 1) {
		if (want->prefix < 96)
			return false;
		memset(a, 0, 10);
		memset(a + 10, 0xff, 2);
	} else if (inet_pton(AF_INET6, text, a) != 1) {
		return false;
	}
	if (memcmp(a, want->address, whole) != 0)
		return false;
	return rest == 0 ||
	    ((a[whole] ^ want->address[whole]) >> (8 - rest)) == 0;
}

/* `n` digits at *at. */
static bool
take_digits(struct slice s, size_t *at, size_t n, int *out)
{
	*out = 0;
	if (*at + n > s.len)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned char)s.ptr[*at + i] - (unsigned)'0';

		if (d > 9)
			return false;
		*out = *out * 10 + (int)d;
	}
	*at += n;
	return true;
}

static bool
take_char(struct slice s, size_t *at, const char *any)
{
	if (*at >= s.len || strchr(any, s.ptr[*at]) == NULL)
		return false;
	(*at)++;
	return true;
}

/* ISO 8601; Monday is 0. */
static int
week_of(int year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243,
		273, 304, 334 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int ordinal = before[month - 1] + day + (leap && month > 2 ? 1 : 0);
	int y = year - 1;
	int first = (y + y / 4 - y / 100 + y / 400) % 7; /* of 1 January */
	int week = (ordinal - (first + ordinal - 1) % 7 + 9) / 7;
	int last = first == 3 || (leap && first == 2) ? 53 : 52;
	int y2 = y - 1;
	int first_before = (y2 + y2 / 4 - y2 / 100 + y2 / 400) % 7;
	bool leap_before = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	if (week < 1)
		return first_before == 3 || (leap_before && first_before == 2)
		    ? 53
		    : 52;
	return week > last ? 1 : week;
}

/* "2026-11-22T01:02:03": its digits as they stand, in no time zone. */
static bool
match_time(struct matcher *m, const struct sigma_match *want, struct ref *r)
{
	struct slice s = ref_raw(m, r);
	size_t at = 0;
	int year, month, day, hour = 0, minute = 0, got = 0;
	bool clock;

	if (!take_digits(s, &at, 4, &year) || !take_char(s, &at, "-/") ||
	    !take_digits(s, &at, 2, &month) || !take_char(s, &at, "-/") ||
	    !take_digits(s, &at, 2, &day) || month < 1 || month > 12 ||
	    day < 1 || day > 31)
		return false;
	clock = take_char(s, &at, "T t") && take_digits(s, &at, 2, &hour) &&
	    take_char(s, &at, ":") && take_digits(s, &at, 2, &minute);
	switch (want->part) {
	case TIME_MINUTE:
	case TIME_HOUR:
		if (!clock)
			return false;
		got = want->part == TIME_HOUR ? hour : minute;
		break;
	case TIME_DAY:
		got = day;
		break;
	case TIME_WEEK:
		got = week_of(year, month, day);
		break;
	case TIME_MONTH:
		got = month;
		break;
	case TIME_YEAR:
		got = year;
		break;
	}
	return compare(want->op, got, want->number);
}

/* ---- another field ----------------------------------------------------- */

static bool
like_other(const struct sigma_match *want, struct slice a, struct slice b)
{
	if (a.len < b.len)
		return false;
	switch (want->flags & (OPEN_START | OPEN_END)) {
	case OPEN_START | OPEN_END:
		return b.len == 0 || memmem(a.ptr, a.len, b.ptr, b.len) != NULL;
	case OPEN_START:
		return memcmp(a.ptr + a.len - b.len, b.ptr, b.len) == 0;
	case OPEN_END:
		return memcmp(a.ptr, b.ptr, b.len) == 0;
	default:
		return slice_eq(a, b);
	}
}

static bool
match_field(struct matcher *m, const struct atom *a, struct ref *r)
{
	struct slice own = a->match.cased ? ref_raw(m, r) : ref_folded(m, r);

	for (uint32_t at = match_first(m, a->other); at != 0;
	     at = m->links[at - 1].next) {
		struct ref *o = match_ref(m, m->links[at - 1].ref);

		if (like_other(&a->match, own,
			a->match.cased ? ref_raw(m, o) : ref_folded(m, o)))
			return true;
	}
	return false;
}

/* ---- atoms, leaves, trees ---------------------------------------------- */

bool
match_value(struct matcher *m, const struct atom *a, struct ref *r)
{
	struct slice text, plain;

	switch (a->match.kind) {
	case MATCH_PATTERN:
		text = a->match.cased ? ref_raw(m, r) : ref_folded(m, r);
		if (pattern_is_plain(&a->match.pattern, &plain))
			return slice_eq(text, plain);
		return pattern_match(&a->match.pattern, text);
	case MATCH_REGEX:
		return a->code != NULL &&
		    regex_match(&m->regex, a->code, ref_raw(m, r));
	case MATCH_CIDR:
		return match_cidr(m, &a->match, r);
	case MATCH_NUMBER:
		return match_number(m, &a->match, r);
	case MATCH_TIME:
		return match_time(m, &a->match, r);
	case MATCH_FIELD:
		return match_field(m, a, r);
	case MATCH_NULL:
	case MATCH_EXISTS:
		break;
	}
	return false;
}

static bool
match_keyword(struct matcher *m, const struct atom *a)
{
	match_keywords(m);
	for (uint32_t i = 0; i < m->n_keywords; i++)
		if (match_value(m, a, &m->keywords[i].ref))
			return true;
	return false;
}

bool
match_atom(struct matcher *m, const struct atom *a)
{
	if (a->slot == NO_SLOT)
		return match_keyword(m, a);
	if (a->match.kind == MATCH_EXISTS)
		return (match_slot(m, a->slot) != NULL) == a->match.exists;
	if (a->match.kind == MATCH_NULL)
		return match_first(m, a->slot) == 0;
	for (uint32_t at = match_first(m, a->slot); at != 0;
	     at = m->links[at - 1].next)
		if (match_value(m, a, match_ref(m, m->links[at - 1].ref)))
			return true;
	return false;
}

bool
match_leaf(struct matcher *m, uint32_t leaf)
{
	const struct leaf *l = &m->program->leaves[leaf];

	if (m->leaf_true[leaf] == m->epoch)
		return true;
	if (!l->lazy || m->leaf_false[leaf] == m->epoch)
		return false;
	for (uint32_t i = 0; i < l->n_atoms; i++) {
		if (match_atom(m, &m->program->atoms[l->atoms[i]])) {
			m->leaf_true[leaf] = m->epoch;
			return true;
		}
	}
	m->leaf_false[leaf] = m->epoch;
	return false;
}

bool
match_tree(struct matcher *m, const struct sigma_node *n)
{
	uint32_t count = 0;

	switch (n->kind) {
	case NODE_LEAF:
		return match_leaf(m, n->index);
	case NODE_NOT:
		return !match_tree(m, n->children[0]);
	case NODE_AND:
		for (uint32_t i = 0; i < n->n; i++)
			if (!match_tree(m, n->children[i]))
				return false;
		return true;
	case NODE_OR:
		for (uint32_t i = 0; i < n->n; i++)
			if (match_tree(m, n->children[i]))
				return true;
		return false;
	case NODE_AT_LEAST:
		for (uint32_t i = 0; i < n->n && count < n->index; i++)
			count += match_tree(m, n->children[i]) ? 1 : 0;
		return count >= n->index;
	}
	return false;
}
