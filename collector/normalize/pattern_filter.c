/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern is walked through as far as this small grammar goes (pcre2pattern
 * (3)); what it does not know says nothing of the texts.  Groups that every
 * match goes through once are entered; others, with alternatives, optional ones
 * and assertions, are passed by.
 */
#include "pattern_filter.h"

#include <string.h>

#ifdef __SSE2__
# include <emmintrin.h>
#endif

enum {
	CLASS_DIGIT = 128, /* \d and [0-9] */
	CLASS_UPPER,
	CLASS_LOWER,
	CLASS_LETTER,
	CLASS_HEX,
	CLASS_ADDRESS,  /* what an IP address is written with */
	BLOCK = 16,     /* places that are looked at at once */
	FOUND_MAX = 96, /* pairs that are chosen from */
	GROUPS_DEPTH_MAX = 32,
	COUNT_MAX = 1000,
	PAIR_FACTOR = 0x9e37,
};

static const struct {
	struct slice text;
	uint8_t class;
} classes[] = {
	{ SLICE_INIT("[0-9]"), CLASS_DIGIT },
	{ SLICE_INIT("[A-Z]"), CLASS_UPPER },
	{ SLICE_INIT("[a-z]"), CLASS_LOWER },
	{ SLICE_INIT("[A-Za-z]"), CLASS_LETTER },
	{ SLICE_INIT("[a-zA-Z]"), CLASS_LETTER },
	{ SLICE_INIT("[0-9A-F]"), CLASS_HEX },
	{ SLICE_INIT("[0-9a-f]"), CLASS_HEX },
	{ SLICE_INIT("[0-9A-Fa-f]"), CLASS_HEX },
	{ SLICE_INIT("[0-9a-fA-F]"), CLASS_HEX },
	{ SLICE_INIT("[0-9A-Fa-f.:]"), CLASS_ADDRESS },
	{ SLICE_INIT("[0-9a-fA-F.:]"), CLASS_ADDRESS },
};

struct walk {
	const char *at, *end;
	struct pattern_filter *out;
	bool leading; /* all before is in `lead` */
	int last;     /* the byte before, where it is known; else -1 */
	uint16_t found[FOUND_MAX];
	unsigned n_found;
	unsigned depth;
};

/* How often: at least `least` times, and `exact`, or more. */
struct times {
	unsigned least;
	bool exact;
};

static unsigned
pair_hash(unsigned char a, unsigned char b)
{
	/* as hash_pairs() does */
	return (((unsigned)a | (unsigned)b << 8) * PAIR_FACTOR & 0xffff) >>
	    (16 - PAIR_BITS);
}

static bool
is_in_class(uint8_t class, unsigned char c)
{
	bool digit = c >= '0' && c <= '9';
	bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';

	switch (class) {
	case CLASS_DIGIT:
		return digit;
	case CLASS_UPPER:
		return upper;
	case CLASS_LOWER:
		return lower;
	case CLASS_LETTER:
		return upper || lower;
	case CLASS_HEX:
		return digit || (c >= 'A' && c <= 'F') ||
		    (c >= 'a' && c <= 'f');
	case CLASS_ADDRESS:
		return is_in_class(CLASS_HEX, c) || c == '.' || c == ':';
	default:
		return c == class;
	}
}

/* ---- reading a pattern -------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static unsigned
read_count(const char **p, const char *end)
{
	unsigned n = 0;

	for (; *p < end && is_digit(**p); (*p)++)
		n = n < COUNT_MAX ? n * 10 + (unsigned)(**p - '0') : n;
	return n;
}

/* "{2}", "{2,}", "{2,3}"; anything else is text. */
static bool
read_braces(struct walk *w, struct times *out)
{
	const char *p = w->at + 1;

	if (p == w->end || !is_digit(*p))
		return false;
	out->least = read_count(&p, w->end);
	out->exact = p < w->end && *p == '}';
	if (p < w->end && *p == ',') {
		p++;
		(void)read_count(&p, w->end);
	}
	if (p == w->end || *p != '}')
		return false;
	w->at = p + 1;
	return true;
}

static struct times
read_times(struct walk *w)
{
	struct times t = { 1, true };

	if (w->at == w->end)
		return t;
	if (*w->at == '{') {
		if (!read_braces(w, &t))
			return t;
	} else if (strchr("*+?", *w->at) != NULL && *w->at != '\0') {
		t = (struct times){ *w->at == '+', false };
		w->at++;
	} else {
		return t;
	}
	/* lazy or possessive */
	if (w->at < w->end && (*w->at == '?' || *w->at == '+'))
		w->at++;
	return t;
}

static void
lead_place(struct pattern_filter *f, uint8_t what)
{
	unsigned at = f->n_lead++, low = 0, high = 0xff;

	/* the ends of the class; and whether all between is of it */
	while (!is_in_class(what, (unsigned char)low))
		low++;
	while (!is_in_class(what, (unsigned char)high))
		high--;
	for (unsigned c = low; c < high; c++)
		if (!is_in_class(what, (unsigned char)c))
			f->odd |= UINT32_C(1) << at;
	f->low[at] = (uint8_t)low;
	f->span[at] = (uint8_t)(high - low);
	f->class[at] = what;
}

static void
lead_with(struct walk *w, uint8_t what, struct times t)
{
	struct pattern_filter *f = w->out;

	for (unsigned i = 0; w->leading && i < t.least; i++) {
		if (f->n_lead == FILTER_LEAD)
			w->leading = false;
		else
			lead_place(f, what);
	}
	w->leading = w->leading && t.exact;
}

static void
add_byte(struct walk *w, unsigned char c)
{
	struct times t = read_times(w);

	if (c >=
	    0x80) { /* a part of a character, and what follows repeats all */
		w->leading = false;
		w->last = -1;
		return;
	}
	lead_with(w, c, t);
	if (t.least == 0) {
		w->last = -1;
		return;
	}
	if (w->last >= 0 && w->n_found < FOUND_MAX)
		w->found[w->n_found++] =
		    (uint16_t)pair_hash((unsigned char)w->last, c);
	w->last = c;
}

/* Something of another kind; CLASS_… where it is one of these, else 0. */
static void
add_other(struct walk *w, uint8_t class)
{
	struct times t = read_times(w);

	if (class == 0)
		w->leading = false;
	else
		lead_with(w, class, t);
	w->last = -1;
}

/* Behind '\'; false: nobody knows where it ends. */
static bool
walk_escape(struct walk *w)
{
	char c;

	if (++w->at == w->end)
		return false;
	c = *w->at++;
	if (is_digit(c)) {
		while (w->at < w->end && is_digit(*w->at))
			w->at++;
	} else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
		if (c == 'k' && w->at < w->end && *w->at == '<') {
			const char *close =
			    memchr(w->at, '>', (size_t)(w->end - w->at));

			if (close == NULL)
				return false;
			w->at = close + 1;
		} else if (strchr("dDwWsSbBhHvVRntrfAzZGK", c) == NULL) {
			return false;
		}
	} else {
		add_byte(w, (unsigned char)c);
		return true;
	}
	add_other(w, c == 'd' ? CLASS_DIGIT : 0);
	return true;
}

/* Behind the ']' of the class at `p`; NULL: it has none. */
static const char *
class_end(const char *p, const char *end)
{
	p++;
	if (p < end && *p == '^')
		p++;
	if (p < end && *p == ']')
		p++;
	for (; p < end && *p != ']'; p++) {
		if (*p == '\\') {
			p++;
		} else if (*p == '[' && p + 1 < end && p[1] == ':') {
			p = memmem(p + 2, (size_t)(end - p - 2), ":]", 2);
			if (p == NULL)
				return NULL;
			p++;
		}
	}
	return p < end ? p + 1 : NULL;
}

static bool
walk_class(struct walk *w)
{
	const char *close = class_end(w->at, w->end);
	struct slice text;
	uint8_t class = 0;

	if (close == NULL)
		return false;
	text = (struct slice){ w->at, (size_t)(close - w->at) };
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (slice_eq(classes[i].text, text))
			class = classes[i].class;
	w->at = close;
	add_other(w, class);
	return true;
}

/* The ')' of the group whose inside begins at `p`; NULL: none. */
static const char *
group_end(const char *p, const char *end, bool *alternatives)
{
	unsigned depth = 1;

	*alternatives = false;
	while (p < end) {
		if (*p == '\\') {
			p += p + 1 < end ? 2 : 1;
			continue;
		}
		if (*p == '[') {
			p = class_end(p, end);
			if (p == NULL)
				return NULL;
			continue;
		}
		depth += *p == '(';
		*alternatives = *alternatives || (*p == '|' && depth == 1);
		if (*p == ')' && --depth == 0)
			return p;
		p++;
	}
	return NULL;
}

/*
 * What stands behind '(' before the group's own text: "?:", "?>", "?<name>",
 * "?P<name>", or nothing.  False: an assertion or a thing of another kind.
 */
static bool
group_head(const char **p, const char *end)
{
	const char *at = *p;

	if (at == end || *at != '?')
		return true;
	at++;
	if (at < end && (*at == ':' || *at == '>')) {
		*p = at + 1;
		return true;
	}
	if (at < end && *at == 'P')
		at++;
	if (at + 1 < end && *at == '<' && at[1] != '=' && at[1] != '!') {
		at = memchr(at, '>', (size_t)(end - at));
		*p = at != NULL ? at + 1 : *p;
		return at != NULL;
	}
	return false;
}

static bool walk_sequence(struct walk *w);

static bool
walk_group(struct walk *w)
{
	const char *inside = w->at + 1, *from = inside, *close, *end = w->end;
	bool alternatives, plain;
	struct times t;

	close = group_end(inside, end, &alternatives);
	if (close == NULL || w->depth == GROUPS_DEPTH_MAX)
		return false;
	plain = group_head(&inside, close);
	/* "(?i)" changes what stands behind it */
	if (!plain && (from + 1 >= close || strchr("=!<", from[1]) == NULL))
		return false;
	w->at = close + 1;
	t = read_times(w);
	if (!plain || alternatives || t.least == 0) {
		w->leading = false;
		w->last = -1;
		return true;
	}
	from = w->at;
	w->at = inside;
	w->end = close;
	w->depth++;
	if (!walk_sequence(w))
		return false;
	w->depth--;
	w->at = from;
	w->end = end;
	if (t.least != 1 || !t.exact) {
		w->leading = false;
		w->last = -1;
	}
	return true;
}

static bool
walk_sequence(struct walk *w)
{
	while (w->at < w->end) {
		bool known = true;

		switch (*w->at) {
		case '\\':
			known = walk_escape(w);
			break;
		case '[':
			known = walk_class(w);
			break;
		case '(':
			known = walk_group(w);
			break;
		case '.':
		case '^':
		case '$':
			w->at++;
			add_other(w, 0);
			break;
		case '|': /* of the whole pattern */
		case ')':
			return false;
		case '{': /* what one version takes for text, and others do not */
			if (w->at + 1 < w->end &&
			    (is_digit(w->at[1]) || w->at[1] == ',' ||
				w->at[1] == ' '))
				return false;
			add_byte(w, (unsigned char)*w->at++);
			break;
		default:
			add_byte(w, (unsigned char)*w->at++);
			break;
		}
		if (!known)
			return false;
	}
	return true;
}

/* What lets all through: so do the places behind those that are known. */
static void
filter_nothing(struct pattern_filter *f)
{
	*f = (struct pattern_filter){ .n_lead = 0 };
	memset(f->span, 0xff, sizeof(f->span));
}

void
pattern_filter_read(struct slice pattern, struct pattern_filter *out)
{
	struct walk w = { .at = pattern.ptr,
		.end = pattern.ptr + pattern.len,
		.out = out,
		.leading = true,
		.last = -1 };

	filter_nothing(out);
	/* a verb, wherever it is, may end a match: "(*ACCEPT)" */
	if (memmem(pattern.ptr, pattern.len, "(*", 2) != NULL ||
	    !walk_sequence(&w)) {
		filter_nothing(out);
		return;
	}
	/* from all over the pattern: its beginning is known by the lead */
	out->n_pairs =
	    (uint8_t)(w.n_found < FILTER_PAIRS ? w.n_found : FILTER_PAIRS);
	for (unsigned i = 0; i < out->n_pairs; i++)
		out->pairs[i] = w.found[(i + 1) * w.n_found / out->n_pairs - 1];
}

/* ---- reading a text ----------------------------------------------------------- */

/* Whether the places from `from` to before `to` are within their ranges. */
static bool
block_fits(const struct pattern_filter *f, const char *text, unsigned from,
    unsigned to)
{
#ifdef __SSE2__
	if (to - from == BLOCK) {
		__m128i low = _mm_loadu_si128((const void *)(f->low + from));
		__m128i span = _mm_loadu_si128((const void *)(f->span + from));
		__m128i more =
		    _mm_sub_epi8(_mm_loadu_si128((const void *)(text + from)),
			low);

		return _mm_movemask_epi8(
			   _mm_cmpeq_epi8(_mm_min_epu8(more, span), more)) ==
		    0xffff;
	}
#endif
	for (unsigned i = from; i < to; i++)
		if ((uint8_t)((uint8_t)text[i] - f->low[i]) > f->span[i])
			return false;
	return true;
}

bool
pattern_filter_lead(const struct pattern_filter *f, struct slice text)
{
	if (text.len < f->n_lead)
		return false;
	for (unsigned at = 0; at < f->n_lead; at += BLOCK) {
		unsigned to = text.len - at < BLOCK ? f->n_lead : at + BLOCK;

		if (!block_fits(f, text.ptr, at, to))
			return false;
	}
	for (uint32_t odd = f->odd; odd != 0; odd &= odd - 1) {
		unsigned i = (unsigned)__builtin_ctz(odd);

		if (!is_in_class(f->class[i], (unsigned char)text.ptr[i]))
			return false;
	}
	return true;
}

#ifdef __SSE2__
/* pair_hash() of the BLOCK pairs that begin at `p`. */
static void
hash_pairs(const char *p, uint16_t hashes[BLOCK])
{
	__m128i a = _mm_loadu_si128((const void *)p);
	__m128i b = _mm_loadu_si128((const void *)(p + 1));
	__m128i low = _mm_mullo_epi16(_mm_unpacklo_epi8(a, b),
	    _mm_set1_epi16((short)PAIR_FACTOR));
	__m128i high = _mm_mullo_epi16(_mm_unpackhi_epi8(a, b),
	    _mm_set1_epi16((short)PAIR_FACTOR));

	_mm_store_si128((void *)hashes, _mm_srli_epi16(low, 16 - PAIR_BITS));
	_mm_store_si128((void *)(hashes + BLOCK / 2),
	    _mm_srli_epi16(high, 16 - PAIR_BITS));
}
#endif

void
text_pairs_read(struct text_pairs *t, struct slice text)
{
	size_t i = 0;

	t->text = text;
	memset(t->has, 0, sizeof(t->has));
#ifdef __SSE2__
	for (; text.len - i > BLOCK; i += BLOCK) {
		_Alignas(BLOCK) uint16_t hashes[BLOCK];

		hash_pairs(text.ptr + i, hashes);
		for (unsigned k = 0; k < BLOCK; k += 4) {
			t->has[hashes[k]] = 1;
			t->has[hashes[k + 1]] = 1;
			t->has[hashes[k + 2]] = 1;
			t->has[hashes[k + 3]] = 1;
		}
	}
#endif
	for (; i + 1 < text.len; i++)
		t->has[pair_hash((unsigned char)text.ptr[i],
		    (unsigned char)text.ptr[i + 1])] = 1;
}
