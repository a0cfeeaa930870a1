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
	BLOCK = 16 /* places that are looked at together */
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

/* Literals of GRAM bytes and more, by their first ones. */
struct table {
	struct entries entries;
	uint32_t bucket[BUCKETS + 1]; /* where its entries begin */
};

/*
 * Where a bit of `filter` is set, a literal may begin: one of the bucket of the
 * place's gram, or one of three bytes.  Those of one or two bytes are looked
 * for by themselves.
 */
struct literals {
	uint64_t filter[(1 << FILTER_BITS) / 64];
	struct table more;
	struct table start;       /* at the text's start only */
	struct entries start_few; /* … of fewer bytes */
	struct entries three;
	uint64_t three_begins[4]; /* … by begin_of() */
	struct entries few;       /* one or two bytes */
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

/* Of the first two bytes: 0 to 255. */
static unsigned
begin_of(const char *p)
{
	return ((unsigned char)p[0] * 31U + (unsigned char)p[1]) & 0xff;
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
		return lit->text.len >= GRAM ? &l->start.entries
					     : &l->start_few;
	if (lit->text.len >= GRAM)
		return &l->more.entries;
	return lit->text.len == GRAM - 1 ? &l->three : &l->few;
}

static uint32_t
bucket_of(uint32_t gram)
{
	return hash(gram) % BUCKETS;
}

static void
set_filter(struct literals *l, const struct literal *lit)
{
	char gram[GRAM];

	memcpy(gram, lit->text.ptr,
	    lit->text.len < GRAM ? lit->text.len : GRAM);
	/* behind three bytes there may be any */
	for (unsigned c = 0; c < (lit->text.len < GRAM ? 256U : 1U); c++) {
		uint32_t h;

		if (lit->text.len < GRAM)
			gram[GRAM - 1] = (char)c;
		h = hash(load_gram(gram));
		l->filter[h / 64] |= UINT64_C(1) << h % 64;
	}
}

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	uint32_t p = bucket_of(x->gram), q = bucket_of(y->gram);

	return p != q ? (p > q) - (p < q)
		      : (x->order > y->order) - (x->order < y->order);
}

/* bucket[i] is the first entry of the i-th, bucket[BUCKETS] their number. */
static void
index_table(struct table *t)
{
	const struct entries *e = &t->entries;
	uint32_t i = 0;

	qsort(e->list, e->n, sizeof(struct entry), compare_entries);
	for (uint32_t b = 0; b <= BUCKETS; b++) {
		while (i < e->n && bucket_of(e->list[i].gram) < b)
			i++;
		t->bucket[b] = i;
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
		if (e == &l->more.entries || e == &l->three)
			set_filter(l, &list[i]);
		if (e == &l->three)
			l->three_begins[begin_of(to) / 64] |= UINT64_C(1)
			    << begin_of(to) % 64;
		to += len;
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
	l->more.entries.list = xcalloc(n + 1, sizeof(struct entry));
	l->start.entries.list = xcalloc(n + 1, sizeof(struct entry));
	l->start_few.list = xcalloc(n + 1, sizeof(struct entry));
	l->three.list = xcalloc(n + 1, sizeof(struct entry));
	l->few.list = xcalloc(n + 1, sizeof(struct entry));
	add_literals(l, list, n);
	index_table(&l->more);
	index_table(&l->start);
	*out = l;
	return RC_OK;
}

void
literals_free(struct literals *l)
{
	if (l == NULL)
		return;
	free(l->more.entries.list);
	free(l->start.entries.list);
	free(l->start_few.list);
	free(l->three.list);
	free(l->few.list);
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

static bool
any_of_table(struct scan *s, const struct table *t, size_t at)
{
	uint32_t gram = load_gram(s->text + at), b = bucket_of(gram);

	for (uint32_t i = t->bucket[b]; i < t->bucket[b + 1]; i++) {
		const struct entry *e = &t->entries.list[i];

		if (e->gram == gram && stands_at(s, e, at) &&
		    wait_for(s, e, at + e->text.len))
			return true;
	}
	return false;
}

static bool
any_of_three(struct scan *s, size_t at)
{
	const struct literals *l = s->l;
	unsigned begin;

	if (s->n - at < GRAM - 1)
		return false;
	begin = begin_of(s->text + at);
	return (l->three_begins[begin / 64] >> begin % 64 & 1) != 0 &&
	    any_of(s, l->three.list, l->three.n, at);
}

/* What ends at a place, and what begins at it: where `few`, of few bytes too. */
static bool
look_at(struct scan *s, size_t at, bool few)
{
	const struct literals *l = s->l;

	return tell(s, at) ||
	    (s->n - at >= GRAM && any_of_table(s, &l->more, at)) ||
	    any_of_three(s, at) ||
	    (few && any_of(s, l->few.list, l->few.n, at));
}

static bool
begins_few(const struct scan *s, size_t at)
{
	const struct entries *few = &s->l->few;
	uint32_t gram = load_gram(s->text + at), found = 0;

	for (uint32_t i = 0; i < few->n; i++)
		found |= ((gram ^ few->list[i].gram) & few->list[i].mask) == 0;
	return found != 0;
}

/*
 * By bits: the places of a block where one or two bytes begin that are looked
 * for.  There are GRAM - 1 bytes behind the block.
 */
static uint32_t
few_in_block(const struct scan *s, size_t at)
{
	uint32_t places = 0;
#ifdef __SSE2__
	const struct entries *few = &s->l->few;
	__m128i block = _mm_loadu_si128((const void *)(s->text + at));
	__m128i next = _mm_loadu_si128((const void *)(s->text + at + 1));

	for (uint32_t i = 0; i < few->n; i++) {
		struct slice t = few->list[i].text;
		__m128i found = _mm_cmpeq_epi8(block, _mm_set1_epi8(t.ptr[0]));

		if (t.len == 2)
			found = _mm_and_si128(found,
			    _mm_cmpeq_epi8(next, _mm_set1_epi8(t.ptr[1])));
		places |= (uint32_t)_mm_movemask_epi8(found);
	}
#else
	for (uint32_t i = 0; i < BLOCK; i++)
		places |= (uint32_t)begins_few(s, at + i) << i;
#endif
	return places;
}

static inline uint32_t
more_at(const struct literals *l, const char *p)
{
	return may_begin(l, hash(load_gram(p)));
}

/* By bits: the places of a block where a longer literal may begin. */
static uint32_t
more_in_block(const struct scan *s, size_t at)
{
	const struct literals *l = s->l;
	const char *p = s->text + at;
	uint32_t places = 0;

	for (unsigned i = 0; i < BLOCK; i += 4, p += 4)
		places |= (more_at(l, p) | more_at(l, p + 1) << 1 |
			      more_at(l, p + 2) << 2 | more_at(l, p + 3) << 3)
		    << i;
	return places;
}

/* The first of what waits ends in the block: that place is looked at, too. */
static uint32_t
place_of_end(const struct scan *s, size_t at)
{
	size_t end;

	if (s->n_waiting == 0)
		return 0;
	end = s->waiting[s->n_waiting - 1].end;
	return end >= at && end - at < BLOCK ? UINT32_C(1) << (end - at) : 0;
}

static bool
scan_block(struct scan *s, size_t at)
{
	uint32_t few = few_in_block(s, at), i;
	uint32_t places = few | more_in_block(s, at);

	for (places |= place_of_end(s, at); places != 0;) {
		i = (uint32_t)__builtin_ctz(places);
		if (look_at(s, at + i, (few >> i & 1) != 0))
			return true;
		places |= place_of_end(s, at);
		/* not this one and none before */
		places &= ~UINT32_C(0) << i << 1;
	}
	return false;
}

static bool
scan_text(struct scan *s)
{
	size_t at = 0;

	for (; s->n - at >= BLOCK + GRAM - 1; at += BLOCK)
		if (scan_block(s, at))
			return true;
	for (; s->n - at >= GRAM; at++) {
		bool few = begins_few(s, at);

		if ((few || may_begin(s->l, hash(load_gram(s->text + at)))) &&
		    look_at(s, at, few))
			return true;
	}
	/* these the filter was not asked about */
	for (; at < s->n; at++)
		if (look_at(s, at, true))
			return true;
	return tell(s, s->n);
}

bool
literals_scan(const struct literals *l, struct slice text, size_t max,
    literal_cb *cb, void *ctx)
{
	struct scan s; /* what waits is not cleared: it is large */

	s.l = l;
	s.text = text.ptr;
	s.n = text.len < max ? text.len : max;
	s.cb = cb;
	s.ctx = ctx;
	s.n_waiting = 0;
	if (s.n == 0)
		return false;
	return (s.n >= GRAM && any_of_table(&s, &l->start, 0)) ||
	    any_of(&s, l->start_few.list, l->start_few.n, 0) || scan_text(&s);
}
