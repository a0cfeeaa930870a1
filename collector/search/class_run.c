/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/class_run.h"

#ifdef __SSE2__
# include <emmintrin.h>
#endif
#include <stdlib.h>

#include "xalloc.h"

enum {
	LENGTH_MAX = 24,
	CLASSES_MAX = 8,
	RANGES_MAX = 4,   /* of bytes, in a class */
	RARITY_MIN = 10,  /* bits, for a run to be worth it */
	COUNT_MAX = 1000, /* in braces */
	AT_ONCE = 64,
};

/* A class of ASCII characters: bit c of the two words. */
struct set {
	uint64_t bits[2];
};

struct range {
	uint8_t low, span; /* low .. low + span */
};

struct class
{
	struct set set;
	struct range ranges[RANGES_MAX];
	uint32_t n_ranges;
};

struct class_run {
	struct class classes[CLASSES_MAX];
	uint32_t n_classes;
	uint8_t at[LENGTH_MAX]; /* the class at each place */
	uint32_t length;
	bool is_all;
};

/* ---- sets ---------------------------------------------------------------- */

static bool
set_has(const struct set *s, unsigned c)
{
	return c < 0x80 && (s->bits[c >> 6] >> (c & 63) & 1) != 0;
}

static void
set_add(struct set *s, unsigned low, unsigned high)
{
	for (unsigned c = low; c <= high && c < 0x80; c++)
		s->bits[c >> 6] |= UINT64_C(1) << (c & 63);
}

/* The class of "\d" and the like, of ASCII only as PCRE2 has them without
 * PCRE2_UCP; false: it is none. */
static bool
set_add_escaped(struct set *s, char c)
{
	static const char plain[] = "tnrf", meant[] = "\t\n\r\f";
	const char *at = strchr(plain, c);

	if (c == '\0' || (unsigned char)c >= 0x80)
		return false;
	if (c == 'd' || c == 'w')
		set_add(s, '0', '9');
	if (c == 'w') {
		set_add(s, 'a', 'z');
		set_add(s, 'A', 'Z');
		set_add(s, '_', '_');
	}
	if (c == 's') {
		set_add(s, '\t', '\r');
		set_add(s, ' ', ' ');
	}
	if (c == 'd' || c == 'w' || c == 's')
		return true;
	if (at != NULL)
		c = meant[at - plain];
	else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z'))
		return false;
	set_add(s, (unsigned char)c, (unsigned char)c);
	return true;
}

/* Both cases; false: a letter of it is one beyond ASCII in another case. */
static bool
set_fold(struct set *s)
{
	if (set_has(s, 'k') || set_has(s, 'K') || set_has(s, 's') ||
	    set_has(s, 'S'))
		return false;
	for (unsigned c = 'a'; c <= 'z'; c++) {
		if (set_has(s, c) || set_has(s, c - 0x20)) {
			set_add(s, c, c);
			set_add(s, c - 0x20, c - 0x20);
		}
	}
	return true;
}

/* How rare its characters are in the text of logs: bits, roughly. */
static unsigned
rarity_of(const struct set *s)
{
	unsigned thousandths = 0, bits = 0;

	for (unsigned c = 0; c < 0x80; c++) {
		if (!set_has(s, c))
			continue;
		thousandths += c >= 'a' && c <= 'z' ? 15
		    : c >= '0' && c <= '9'          ? 20
		    : c == ' '                      ? 80
						    : 5;
	}
	for (; thousandths <= 500 && bits < 8; thousandths *= 2)
		bits++;
	return bits;
}

/* ---- reading an expression ------------------------------------------------ */

enum step {
	STEP_SET,     /* one character of a class */
	STEP_NOTHING, /* a place, no character: the run goes on */
	STEP_BREAK,   /* anything else */
	STEP_UNKNOWN, /* nothing certain can be said */
};

struct reading {
	struct slice text;
	size_t at;
	bool caseless;
	unsigned depth; /* of groups */
	/* the run at hand, and the rarest so far */
	struct set now[LENGTH_MAX], best[LENGTH_MAX];
	uint32_t n_now, n_best;
	unsigned rarity;
	bool broken; /* there is more than one run */
};

static void
end_run(struct reading *r)
{
	unsigned rarity = 0;

	for (uint32_t i = 0; i < r->n_now; i++)
		rarity += rarity_of(&r->now[i]);
	if (rarity > r->rarity) {
		memcpy(r->best, r->now, r->n_now * sizeof(r->now[0]));
		r->n_best = r->n_now;
		r->rarity = rarity;
	}
	r->n_now = 0;
}

static void
break_run(struct reading *r)
{
	end_run(r);
	r->broken = true;
}

static void
add_set(struct reading *r, const struct set *s, unsigned times)
{
	for (; times > 0; times--) {
		if (r->n_now == LENGTH_MAX) {
			break_run(r);
			return;
		}
		r->now[r->n_now++] = *s;
	}
}

static bool
left(const struct reading *r, size_t n)
{
	return r->text.len - r->at >= n;
}

/* One end of a range within brackets; -1: a class such as \d, or unknown. */
static int
class_char(struct reading *r, struct set *s, bool *known)
{
	char c = r->text.ptr[r->at++];
	struct set one = { { 0, 0 } };

	if (c != '\\') {
		/* [:alpha:] and the like */
		if (c == '[' && left(r, 1) &&
		    strchr(":.=", r->text.ptr[r->at]) != NULL)
			*known = false;
		return (unsigned char)c < 0x80 ? c : -1;
	}
	if (!left(r, 1))
		return -1;
	c = r->text.ptr[r->at++];
	if (!set_add_escaped(&one, c)) {
		*known = false;
		return -1;
	}
	if (strchr("dws", c) != NULL) {
		s->bits[0] |= one.bits[0];
		s->bits[1] |= one.bits[1];
		return -1;
	}
	for (int i = 0; i < 0x80; i++)
		if (set_has(&one, (unsigned)i))
			return i;
	return -1;
}

/* Behind "["; what is not all ASCII breaks the run. */
static enum step
read_class(struct reading *r, struct set *s)
{
	bool known = true, foreign = false, first = true;

	if (left(r, 1) && r->text.ptr[r->at] == '^') {
		foreign = true;
		r->at++;
	}
	for (; left(r, 1) && (first || r->text.ptr[r->at] != ']');
	     first = false) {
		bool escaped = r->text.ptr[r->at] == '\\';
		int low, high;

		foreign |= (unsigned char)r->text.ptr[r->at] >= 0x80;
		low = high = class_char(r, s, &known);
		if (left(r, 2) && r->text.ptr[r->at] == '-' &&
		    r->text.ptr[r->at + 1] != ']') {
			if (low < 0 && escaped)
				known = false;
			r->at++;
			foreign |= (unsigned char)r->text.ptr[r->at] >= 0x80;
			high = class_char(r, s, &known);
		}
		if (low >= 0 && high >= low)
			set_add(s, (unsigned)low, (unsigned)high);
		else if (low >= 0)
			foreign = true;
	}
	if (!left(r, 1) || !known)
		return STEP_UNKNOWN;
	r->at++;
	return foreign ? STEP_BREAK : STEP_SET;
}

static enum step
read_escape(struct reading *r, struct set *s)
{
	char c;

	if (!left(r, 1))
		return STEP_UNKNOWN;
	c = r->text.ptr[r->at++];
	if (set_add_escaped(s, c))
		return STEP_SET;
	if (c != '\0' && strchr("bBAzZ", c) != NULL) {
		r->broken = true;
		return STEP_NOTHING;
	}
	return c != '\0' && strchr("DWShHvVR", c) != NULL ? STEP_BREAK
							  : STEP_UNKNOWN;
}

static enum step
read_group(struct reading *r)
{
	r->depth++;
	if (!left(r, 1) ||
	    (r->text.ptr[r->at] != '?' && r->text.ptr[r->at] != '*'))
		return STEP_BREAK;
	if (!left(r, 2) || r->text.ptr[r->at] != '?' ||
	    r->text.ptr[r->at + 1] != ':')
		return STEP_UNKNOWN;
	r->at += 2;
	return STEP_BREAK;
}

static enum step
read_step(struct reading *r, struct set *s)
{
	char c = r->text.ptr[r->at++];

	switch (c) {
	case '\\':
		return read_escape(r, s);
	case '[':
		return read_class(r, s);
	case '(':
		return read_group(r);
	case ')':
		r->depth -= r->depth > 0;
		return STEP_BREAK;
	case '|':
		return r->depth > 0 ? STEP_BREAK : STEP_UNKNOWN;
	case '^':
	case '$':
		r->broken = true;
		return STEP_NOTHING;
	case '*':
	case '?':
	case '+':
		return STEP_UNKNOWN; /* behind nothing */
	case '.':
		return STEP_BREAK;
	default:
		set_add(s, (unsigned char)c, (unsigned char)c);
		return (unsigned char)c < 0x80 ? STEP_SET : STEP_BREAK;
	}
}

static bool
read_number(struct reading *r, unsigned *out)
{
	size_t from = r->at;

	for (*out = 0; left(r, 1) && r->text.ptr[r->at] >= '0' &&
	     r->text.ptr[r->at] <= '9' && *out < COUNT_MAX;
	     r->at++)
		*out = *out * 10 + (unsigned)(r->text.ptr[r->at] - '0');
	return r->at > from;
}

/* "{3}", "{2,}", "{1,4}": the least, and whether more may stand there. */
static bool
read_braces(struct reading *r, unsigned *least, bool *more)
{
	unsigned most;

	if (!read_number(r, least))
		return false;
	most = *least;
	*more = left(r, 1) && r->text.ptr[r->at] == ',';
	if (*more) {
		r->at++;
		*more = !read_number(r, &most) || most != *least;
	}
	return left(r, 1) && r->text.ptr[r->at++] == '}';
}

/* False: a brace that is no count, or one that other releases read as one. */
static bool
read_count(struct reading *r, unsigned *least, bool *more)
{
	char c = '\0';

	*least = 1;
	*more = false;
	if (left(r, 1))
		c = r->text.ptr[r->at];
	if (c == '\0' || strchr("*?+{", c) == NULL)
		return true;
	r->at++;
	*more = true;
	if (c == '{' && !read_braces(r, least, more))
		return false;
	if (c == '*' || c == '?')
		*least = 0;
	/* as few as possible, or never fewer again */
	if (left(r, 1) &&
	    (r->text.ptr[r->at] == '?' || r->text.ptr[r->at] == '+')) {
		r->broken = true;
		r->at++;
	}
	return true;
}

/* False: nothing certain can be said. */
static bool
read_expression(struct reading *r)
{
	while (left(r, 1)) {
		struct set s = { { 0, 0 } };
		enum step step = read_step(r, &s);
		unsigned least;
		bool more;

		if (step == STEP_SET && r->caseless && !set_fold(&s))
			step = STEP_BREAK;
		if (step == STEP_UNKNOWN || !read_count(r, &least, &more))
			return false;
		if (step == STEP_NOTHING)
			continue;
		if (step == STEP_BREAK || r->depth > 0) {
			break_run(r);
			continue;
		}
		add_set(r, &s, least);
		if (more) {
			break_run(r);
			add_set(r, &s, least);
		}
	}
	end_run(r);
	return true;
}

/* ---- making ---------------------------------------------------------------- */

/* False: it has too many ranges. */
static bool
make_ranges(struct class *class)
{
	for (unsigned c = 0; c < 0x80; c++) {
		unsigned low = c;

		if (!set_has(&class->set, c))
			continue;
		if (class->n_ranges == RANGES_MAX)
			return false;
		while (set_has(&class->set, c + 1))
			c++;
		class->ranges[class->n_ranges++] =
		    (struct range){ (uint8_t)low, (uint8_t)(c - low) };
	}
	return class->n_ranges > 0;
}

/* The class's number; -1: there are too many, or it has too many ranges. */
static int
class_of(struct class_run *run, const struct set *s)
{
	struct class *class;

	for (uint32_t i = 0; i < run->n_classes; i++)
		if (memcmp(&run->classes[i].set, s, sizeof(*s)) == 0)
			return (int)i;
	if (run->n_classes == CLASSES_MAX)
		return -1;
	class = &run->classes[run->n_classes];
	*class = (struct class){ .set = *s };
	if (!make_ranges(class))
		return -1;
	return (int)run->n_classes++;
}

struct class_run *
class_run_new(struct slice expression, bool caseless)
{
	struct reading r = { .text = expression, .caseless = caseless };
	struct class_run *run;

	/* what people write */
	if (r.text.len >= 4 && memcmp(r.text.ptr, "(?i)", 4) == 0) {
		r.at = 4;
		r.caseless = true;
	}
	if (!read_expression(&r) || r.rarity < RARITY_MIN)
		return NULL;
	run = xzalloc(sizeof(*run));
	run->is_all = !r.broken;
	for (; run->length < r.n_best; run->length++) {
		int class = class_of(run, &r.best[run->length]);

		if (class < 0) {
			free(run);
			return NULL;
		}
		run->at[run->length] = (uint8_t) class;
	}
	return run;
}

void
class_run_free(struct class_run *r)
{
	free(r);
}

bool
class_run_is_all(const struct class_run *r)
{
	return r->is_all;
}

/* ---- looking for it -------------------------------------------------------- */

/* Bit i: text[i] is of the class. */
#ifdef __SSE2__
static inline uint64_t
mask_of(const struct class *class, const char text[AT_ONCE])
{
	enum { LANES = AT_ONCE / sizeof(__m128i) };
	__m128i in[LANES] = { _mm_setzero_si128() };
	uint64_t mask = 0;

	for (uint32_t k = 0; k < class->n_ranges; k++) {
		__m128i low = _mm_set1_epi8((char)class->ranges[k].low);
		__m128i span = _mm_set1_epi8((char)class->ranges[k].span);

		for (size_t i = 0; i < LANES; i++) {
			__m128i v =
			    _mm_sub_epi8(_mm_loadu_si128(
					     (const void *)(text + 16 * i)),
				low);

			in[i] = _mm_or_si128(in[i],
			    _mm_cmpeq_epi8(_mm_min_epu8(v, span), v));
		}
	}
	for (size_t i = 0; i < LANES; i++)
		mask |= (uint64_t)(unsigned)_mm_movemask_epi8(in[i])
		    << (16 * i);
	return mask;
}
#else
static inline uint64_t
mask_of(const struct class *class, const char text[AT_ONCE])
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < AT_ONCE; i++)
		mask |= (uint64_t)set_has(&class->set, (unsigned char)text[i])
		    << i;
	return mask;
}
#endif

static void
masks_of(const struct class_run *r, const char *text, size_t len,
    uint64_t masks[CLASSES_MAX])
{
	char room[AT_ONCE] = "";

	if (len < AT_ONCE) {
		if (len > 0)
			memcpy(room, text, len);
		text = room;
	}
	for (uint32_t k = 0; k < r->n_classes; k++) {
		masks[k] = mask_of(&r->classes[k], text);
		if (len < AT_ONCE) /* what is behind the end is of no class */
			masks[k] &= (UINT64_C(1) << len) - 1;
	}
}

/* Bit i: the run begins at the i-th place of `now`, which `next` follow. */
static inline uint64_t
places_of(const struct class_run *r, const uint64_t *now, const uint64_t *next)
{
	uint64_t places = now[r->at[0]];

	for (uint32_t i = 1; places != 0 && i < r->length; i++)
		places &= now[r->at[i]] >> i | next[r->at[i]] << (AT_ONCE - i);
	return places;
}

uint32_t
class_run_find(const struct class_run *r, const char *text,
    const uint32_t *offsets, uint32_t n, uint8_t *found)
{
	uint64_t masks[2][CLASSES_MAX];
	size_t at = offsets[0], end = offsets[n];
	uint32_t k = 0, some = 0;
	unsigned turn = 0;

	memset(found, 0, n);
	masks_of(r, text + at, end - at < AT_ONCE ? end - at : AT_ONCE,
	    masks[0]);
	for (; at < end; at += AT_ONCE, turn ^= 1) {
		size_t after = end - at > AT_ONCE ? end - at - AT_ONCE : 0;
		uint64_t places;

		masks_of(r, text + end - after,
		    after < AT_ONCE ? after : AT_ONCE, masks[turn ^ 1]);
		places = places_of(r, masks[turn], masks[turn ^ 1]);
		for (; places != 0; places &= places - 1) {
			size_t place = at + (unsigned)__builtin_ctzll(places);

			while (offsets[k + 1] <= place)
				k++;
			if (place + r->length > offsets[k + 1] || found[k])
				continue;
			found[k] = 1;
			some++;
		}
	}
	return some;
}
