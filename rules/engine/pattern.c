/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#ifdef __SSE2__
# include <emmintrin.h>
#endif

#include "utf8.h"

static bool
is_wildcard(char c)
{
	return c == '*' || c == '?';
}

static bool
is_escape(struct slice s, size_t at)
{
	return s.ptr[at] == '\\' && at + 1 < s.len &&
	    (is_wildcard(s.ptr[at + 1]) || s.ptr[at + 1] == '\\');
}

static size_t
count_wildcards(struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (is_escape(s, i))
			i++;
		else if (is_wildcard(s.ptr[i]))
			n++;
	}
	return n;
}

struct pattern
pattern_parse(struct arena *arena, struct slice text)
{
	size_t room = 2 * count_wildcards(text) + 1;
	struct pattern_part *parts =
	    arena_alloc(arena, room * sizeof(parts[0]));
	char *bytes = arena_alloc(arena, text.len + 1);
	size_t start = 0, end = 0;
	uint32_t n = 0;

	for (size_t i = 0; i <= text.len; i++) {
		char c = '*'; /* the end is one too */

		if (i < text.len)
			c = text.ptr[i];
		if (i < text.len && is_escape(text, i)) {
			bytes[end++] = text.ptr[++i];
			continue;
		}
		if (!is_wildcard(c)) {
			bytes[end++] = c;
			continue;
		}
		if (end > start)
			parts[n++] = (struct pattern_part){ PART_TEXT,
				{ bytes + start, end - start } };
		start = end;
		if (i == text.len)
			break;
		if (c == '?')
			parts[n++] = (struct pattern_part){ .kind = PART_ONE };
		else if (n == 0 || parts[n - 1].kind != PART_ANY)
			parts[n++] = (struct pattern_part){ .kind = PART_ANY };
	}
	return (struct pattern){ parts, n };
}

struct pattern
pattern_plain(struct arena *arena, struct slice text)
{
	struct pattern_part *part;

	if (text.len == 0)
		return (struct pattern){ NULL, 0 };
	part = arena_alloc(arena, sizeof(*part));
	*part = (struct pattern_part){ PART_TEXT, arena_copy(arena, text) };
	return (struct pattern){ part, 1 };
}

bool
pattern_is_plain(const struct pattern *p, struct slice *text)
{
	if (p->n == 0) {
		*text = SLICE("");
		return true;
	}
	if (p->n != 1 || p->parts[0].kind != PART_TEXT)
		return false;
	*text = p->parts[0].text;
	return true;
}

struct pattern
pattern_join(struct arena *arena, struct pattern a, struct pattern b)
{
	struct pattern_part *parts =
	    arena_alloc(arena, (size_t)(a.n + b.n + 1) * sizeof(parts[0]));
	uint32_t n = a.n;

	if (a.n > 0)
		memcpy(parts, a.parts, a.n * sizeof(parts[0]));
	for (uint32_t i = 0; i < b.n; i++) {
		const struct pattern_part *next = &b.parts[i];
		struct pattern_part *last = n > 0 ? &parts[n - 1] : NULL;

		if (last == NULL || last->kind != next->kind ||
		    next->kind == PART_ONE) {
			parts[n++] = *next;
		} else if (next->kind == PART_TEXT) {
			size_t len = last->text.len + next->text.len;
			char *both = arena_alloc(arena, len);

			memcpy(both, last->text.ptr, last->text.len);
			memcpy(both + last->text.len, next->text.ptr,
			    next->text.len);
			last->text = (struct slice){ both, len };
		}
	}
	return (struct pattern){ parts, n };
}

static const struct pattern_part any = { .kind = PART_ANY };

struct pattern
pattern_open_start(struct arena *arena, struct pattern p)
{
	return pattern_join(arena, (struct pattern){ &any, 1 }, p);
}

struct pattern
pattern_open_end(struct arena *arena, struct pattern p)
{
	return pattern_join(arena, p, (struct pattern){ &any, 1 });
}

struct pattern
pattern_fold(struct arena *arena, struct pattern p)
{
	struct pattern_part *parts;

	if (p.n == 0)
		return p;
	parts = arena_alloc(arena, p.n * sizeof(parts[0]));
	for (uint32_t i = 0; i < p.n; i++) {
		parts[i] = p.parts[i];
		if (parts[i].kind == PART_TEXT)
			parts[i].text = utf8_fold(arena, parts[i].text);
	}
	return (struct pattern){ parts, p.n };
}

static size_t
character_length(struct slice text, size_t at)
{
	size_t n = 1;

	while (at + n < text.len &&
	    ((unsigned char)text.ptr[at + n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* One part at `*at`; the position behind it. */
static bool
match_part(const struct pattern_part *part, struct slice text, size_t *at)
{
	if (part->kind == PART_ONE) {
		if (*at >= text.len)
			return false;
		*at += character_length(text, *at);
		return true;
	}
	if (text.len - *at < part->text.len ||
	    memcmp(text.ptr + *at, part->text.ptr, part->text.len) != 0)
		return false;
	*at += part->text.len;
	return true;
}

static bool
is_at(struct slice text, size_t at, struct slice piece)
{
	return text.ptr[at] == piece.ptr[0] &&
	    text.ptr[at + piece.len - 1] == piece.ptr[piece.len - 1] &&
	    memcmp(text.ptr + at, piece.ptr, piece.len) == 0;
}

/*
 * Moves *at to where the piece, which is not empty, first is from there on.
 * Texts are short: memmem() prepares longer than this looks, at the first and
 * last byte of sixteen places at a time.  The last places are done again where
 * their number is no multiple of that.
 */
static bool
find(struct slice text, struct slice piece, size_t *at)
{
	size_t i = *at, places;

	if (text.len - i < piece.len)
		return false;
	places = text.len - piece.len + 1; /* from 0 */
#ifdef __SSE2__
	if (places - i >= 16) {
		const __m128i first = _mm_set1_epi8(piece.ptr[0]);
		const __m128i last = _mm_set1_epi8(piece.ptr[piece.len - 1]);

		for (;; i = i + 32 <= places ? i + 16 : places - 16) {
			const char *p = text.ptr + i;
			__m128i x =
			    _mm_loadu_si128((const __m128i *)(const void *)p);
			__m128i y = _mm_loadu_si128(
			    (const __m128i *)(const void *)(p + piece.len - 1));
			unsigned hits = (unsigned)_mm_movemask_epi8(
			    _mm_and_si128(_mm_cmpeq_epi8(x, first),
				_mm_cmpeq_epi8(y, last)));

			for (; hits != 0; hits &= hits - 1) {
				*at = i + (unsigned)__builtin_ctz(hits);
				if (is_at(text, *at, piece))
					return true;
			}
			if (i + 16 == places)
				return false;
		}
	}
#endif
	for (; i < places; i++) {
		if (is_at(text, i, piece)) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* Where the part behind a star can begin, from `at` on. */
static bool
next_start(const struct pattern_part *part, struct slice text, size_t *at)
{
	if (*at > text.len)
		return false;
	if (part->kind == PART_ONE)
		return *at < text.len;
	return find(text, part->text, at);
}

/*
 * Only the last star is ever taken back: what an earlier one could give, the
 * later one can take.  So it is O(text * pattern) at worst.
 */
bool
pattern_match(const struct pattern *p, struct slice text)
{
	size_t at = 0, star_at = 0;
	uint32_t i = 0, star = UINT32_MAX;

	for (;;) {
		if (i < p->n && p->parts[i].kind == PART_ANY) {
			if (++i == p->n)
				return true;
			star = i;
			star_at = at;
			if (!next_start(&p->parts[i], text, &star_at))
				return false;
			at = star_at;
			continue;
		}
		if (i == p->n && at == text.len)
			return true;
		if (i < p->n && match_part(&p->parts[i], text, &at)) {
			i++;
			continue;
		}
		if (star == UINT32_MAX || star_at >= text.len)
			return false;
		star_at += character_length(text, star_at);
		if (!next_start(&p->parts[star], text, &star_at))
			return false;
		at = star_at;
		i = star;
	}
}
