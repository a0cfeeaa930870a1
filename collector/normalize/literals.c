/* SPDX-License-Identifier: Apache-2.0 */
#include "literals.h"

#include <stdlib.h>

#ifdef __SSE2__
# include <emmintrin.h>
#endif

#include "xalloc.h"

enum {
	GRAM = 4, /* bytes that are hashed */
	FILTER_BITS = 16,
	BUCKETS = 1024,
	WAITING_MAX = 128,
	BYTES = 256
};

struct entry {
	struct slice text; /* in `bytes` */
	uint32_t gram;     /* its first bytes; where it has fewer, then 0 */
	uint32_t mask;     /* … and these are of the literal */
	uint32_t value;
	uint32_t order; /* as given */
};

struct entries {
	struct entry *list; /* of one place one after the other, as given */
	uint32_t n;
};

/*
 * Where a bit of `filter` is set, a literal may begin: one of the bucket of the
 * place's gram, or one of three bytes.  Those of one or two bytes are looked
 * for by themselves, those at the start of the text by its first byte.
 */
struct literals {
	uint64_t filter[(1 << FILTER_BITS) / 64];
	struct entries more; /* of GRAM bytes and more, by bucket */
	struct entries three;
	struct entries few; /* one or two bytes */
	struct entries start;
	uint32_t bucket[BUCKETS + 1]; /* in `more` */
	uint32_t first[BYTES + 1];    /* in `start` */
	char *bytes;
};

/* An occurrence that waits for those that end before it. */
struct occurrence {
	size_t end;
	const struct entry *entry;
};

struct scan {
	const struct literals *l;
	const char *text;
	size_t n;
	literal_cb *cb;
	void *ctx;
	struct occurrence waiting[WAITING_MAX]; /* by end, falling */
	uint32_t n_waiting;
};

static uint32_t
load_gram(const char *p)
{
	uint32_t gram;

	memcpy(&gram, p, GRAM);
	return gram;
}

static uint32_t
hash(uint32_t gram)
{
	return gram * UINT32_C(0x9e3779b1) >> (32 - FILTER_BITS);
}

static bool
may_begin(const struct literals *l, uint32_t h)
{
	return (l->filter[h / 64] >> h % 64 & 1) != 0;
}

/* ---- building --------------------------------------------------------------- */

static struct entries *
kind_of(struct literals *l, const struct literal *lit)
{
	if (lit->at_start)
		return &l->start;
	if (lit->text.len >= GRAM)
		return &l->more;
	return lit->text.len == GRAM - 1 ? &l->three : &l->few;
}

static uint32_t
place_of(const struct entry *e, bool at_start)
{
	if (at_start)
		return (unsigned char)e->text.ptr[0];
	return hash(e->gram) % BUCKETS;
}

static void
set_filter(struct literals *l, const struct literal *lit)
{
	char gram[GRAM];

	memcpy(gram, lit->text.ptr,
	    lit->text.len < GRAM ? lit->text.len : GRAM);
	/* behind three bytes there may be any */
	for (unsigned c = 0; c < (lit->text.len < GRAM ? BYTES : 1U); c++) {
		uint32_t h;

		if (lit->text.len < GRAM)
			gram[GRAM - 1] = (char)c;
		h = hash(load_gram(gram));
		l->filter[h / 64] |= UINT64_C(1) << h % 64;
	}
}

static int
compare_places(const struct entry *x, const struct entry *y, bool at_start)
{
	uint32_t a = place_of(x, at_start), b = place_of(y, at_start);

	return a != b ? (a > b) - (a < b)
		      : (x->order > y->order) - (x->order < y->order);
}

static int
compare_start(const void *a, const void *b)
{
	return compare_places(a, b, true);
}

static int
compare_more(const void *a, const void *b)
{
	return compare_places(a, b, false);
}

/* from[place] is the first entry of the place, from[places] their number. */
static void
index_places(const struct entries *e, bool at_start, uint32_t *from,
    uint32_t places)
{
	uint32_t i = 0;

	for (uint32_t place = 0; place <= places; place++) {
		while (i < e->n && place_of(&e->list[i], at_start) < place)
			i++;
		from[place] = i;
	}
}

static struct entry
entry(const char *text, size_t len, uint32_t value, size_t order)
{
	static const char ones[GRAM] = "\xff\xff\xff\xff";
	struct entry e = { { text, len }, 0, 0, value, (uint32_t)order };

	memcpy(&e.gram, text, len < GRAM ? len : GRAM);
	memcpy(&e.mask, ones, len < GRAM ? len : GRAM);
	return e;
}

static void
add_literals(struct literals *l, const struct literal *list, size_t n)
{
	char *to = l->bytes;

	for (size_t i = 0; i < n; i++) {
		struct entries *e = kind_of(l, &list[i]);
		size_t len = list[i].text.len;

		if (len == 0)
			continue;
		memcpy(to, list[i].text.ptr, len);
		e->list[e->n++] = entry(to, len, list[i].value, i);
		to += len;
		if (e == &l->more || e == &l->three)
			set_filter(l, &list[i]);
	}
}

enum rc
literals_new(const struct literal *list, size_t n, struct literals **out,
    struct error *err)
{
	size_t bytes = 1;
	struct literals *l;

	*out = NULL;
	for (size_t i = 0; i < n; i++)
		bytes += list[i].text.len;
	if (bytes > LITERALS_BYTES_MAX)
		return error_set(err, RC_LIMIT,
		    "the literals that choose formats are longer than %d bytes",
		    LITERALS_BYTES_MAX);
	l = xzalloc(sizeof(*l));
	l->bytes = xreallocarray(NULL, bytes, 1);
	l->more.list = xcalloc(n + 1, sizeof(struct entry));
	l->three.list = xcalloc(n + 1, sizeof(struct entry));
	l->few.list = xcalloc(n + 1, sizeof(struct entry));
	l->start.list = xcalloc(n + 1, sizeof(struct entry));
	add_literals(l, list, n);
	qsort(l->more.list, l->more.n, sizeof(struct entry), compare_more);
	qsort(l->start.list, l->start.n, sizeof(struct entry), compare_start);
	index_places(&l->more, false, l->bucket, BUCKETS);
	index_places(&l->start, true, l->first, BYTES);
	*out = l;
	return RC_OK;
}

void
literals_free(struct literals *l)
{
	if (l == NULL)
		return;
	free(l->more.list);
	free(l->three.list);
	free(l->few.list);
	free(l->start.list);
	free(l->bytes);
	free(l);
}

/* ---- scanning --------------------------------------------------------------- */

/* Tells what ends at `end` or before; true: the scan is over. */
static bool
tell(struct scan *s, size_t end)
{
	while (s->n_waiting > 0 && s->waiting[s->n_waiting - 1].end <= end)
		if (s->cb(s->ctx, s->waiting[--s->n_waiting].entry->value))
			return true;
	return false;
}

/* Whether `a` is told before `b`. */
static bool
is_before(const struct occurrence *a, const struct occurrence *b)
{
	if (a->end != b->end)
		return a->end < b->end;
	if (a->entry->text.len != b->entry->text.len)
		return a->entry->text.len > b->entry->text.len;
	return a->entry->order < b->entry->order;
}

static bool
wait_for(struct scan *s, const struct entry *e, size_t end)
{
	struct occurrence o = { end, e };
	uint32_t i;

	/* so many within each other: nobody minds their order */
	if (s->n_waiting == WAITING_MAX &&
	    tell(s, s->waiting[WAITING_MAX - 1].end))
		return true;
	for (i = s->n_waiting++; i > 0 && is_before(&s->waiting[i - 1], &o);
	     i--)
		s->waiting[i] = s->waiting[i - 1];
	s->waiting[i] = o;
	return false;
}

static bool
stands_at(const struct scan *s, const struct entry *e, size_t at)
{
	return e->text.len <= s->n - at &&
	    memcmp(s->text + at, e->text.ptr, e->text.len) == 0;
}

static bool
any_of(struct scan *s, const struct entry *list, uint32_t n, size_t at)
{
	uint32_t gram = 0;

	memcpy(&gram, s->text + at, s->n - at < GRAM ? s->n - at : GRAM);
	for (uint32_t i = 0; i < n; i++)
		if (((gram ^ list[i].gram) & list[i].mask) == 0 &&
		    stands_at(s, &list[i], at) &&
		    wait_for(s, &list[i], at + list[i].text.len))
			return true;
	return false;
}

/* What begins at a place that the filter let through. */
static bool
look_at(struct scan *s, size_t at)
{
	const struct literals *l = s->l;
	uint32_t gram = load_gram(s->text + at);
	uint32_t b = hash(gram) % BUCKETS;

	if (tell(s, at))
		return true;
	for (uint32_t i = l->bucket[b]; i < l->bucket[b + 1]; i++) {
		const struct entry *e = &l->more.list[i];

		if (e->gram == gram && stands_at(s, e, at) &&
		    wait_for(s, e, at + e->text.len))
			return true;
	}
	return any_of(s, l->three.list, l->three.n, at);
}

/* Where one or two bytes stand at `at` or behind; `n` if nowhere. */
static size_t
find_few(const struct scan *s, struct slice few, size_t at)
{
	const char *p;

	if (few.len == 1) {
		p = memchr(s->text + at, few.ptr[0], s->n - at);
		return p != NULL ? (size_t)(p - s->text) : s->n;
	}
#ifdef __SSE2__
	{
		const __m128i first = _mm_set1_epi8(few.ptr[0]);
		const __m128i second = _mm_set1_epi8(few.ptr[1]);

		for (; s->n - at > 16; at += 16) {
			const void *q = s->text + at;
			const void *next = s->text + at + 1;
			int both = _mm_movemask_epi8(
			    _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(q),
					      first),
				_mm_cmpeq_epi8(_mm_loadu_si128(next), second)));

			if (both != 0)
				return at +
				    (size_t)__builtin_ctz((unsigned)both);
		}
	}
#endif
	p = memmem(s->text + at, s->n - at, few.ptr, few.len);
	return p != NULL ? (size_t)(p - s->text) : s->n;
}

/* Places from `at` to before `to`. */
static bool
scan_places(struct scan *s, size_t at, size_t to)
{
	const struct literals *l = s->l;

	for (; at < to; at++)
		if (may_begin(l, hash(load_gram(s->text + at))) &&
		    look_at(s, at))
			return true;
	return false;
}

/* All places, with a stop at each one or two bytes that are looked for. */
static bool
scan_text(struct scan *s)
{
	const struct literals *l = s->l;
	size_t end = s->n >= GRAM ? s->n - GRAM + 1 : 0;

	for (size_t at = 0; at < s->n;) {
		size_t next = s->n;

		for (uint32_t i = 0; i < l->few.n; i++) {
			size_t found = find_few(s, l->few.list[i].text, at);

			next = found < next ? found : next;
		}
		if (scan_places(s, at, next < end ? next + 1 : end))
			return true;
		if (next == s->n)
			break;
		if (tell(s, next) || any_of(s, l->few.list, l->few.n, next))
			return true;
		at = next + 1;
	}
	/* what three bytes at the end are, the filter was not asked */
	return s->n >= GRAM - 1 &&
	    (tell(s, s->n - (GRAM - 1)) ||
		any_of(s, l->three.list, l->three.n, s->n - (GRAM - 1)));
}

bool
literals_scan(const struct literals *l, struct slice text, size_t max,
    literal_cb *cb, void *ctx)
{
	struct scan s; /* what waits is not cleared: it is large */
	unsigned char first;

	s.l = l;
	s.text = text.ptr;
	s.n = text.len < max ? text.len : max;
	s.cb = cb;
	s.ctx = ctx;
	s.n_waiting = 0;
	if (s.n == 0)
		return false;
	first = (unsigned char)text.ptr[0];
	return any_of(&s, &l->start.list[l->first[first]],
		   l->first[first + 1] - l->first[first], 0) ||
	    scan_text(&s) || tell(&s, s.n);
}
