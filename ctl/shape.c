/* SPDX-License-Identifier: Apache-2.0 */
#include "shape.h"

#include <stdlib.h>

#include "ascii.h"
#include "xalloc.h"

enum { SLOTS = 4 * SHAPES_MAX, HEX_MIN = 6, UUID_LEN = 36 };

/* ---- one line ------------------------------------------------------------------ */

/* What a placeholder stands for, and the group that reads it. */
static const struct {
	const char *name, *pattern;
} kinds[] = {
	{ "<num>", "(?<numN>-?[0-9]+(?:[.,][0-9]+)*)" },
	{ "<hex>", "(?<hexN>(?:0x)?[0-9A-Fa-f]+)" },
	{ "<uuid>", "(?<uuidN>[0-9A-Fa-f-]{36})" },
	{ "<ip>", "(?<ipN>[0-9A-Fa-f.:]+)" },
	{ "<time>", "(?<timeN>[0-9]{1,4}[-/.:][0-9][0-9T:.,/Z +-]*)" },
	{ "\"<text>\"", "\"(?<textN>[^\"]*)\"" },
	{ "'<text>'", "'(?<textN>[^']*)'" },
};
enum { NUM, HEX, UUID, IP, TIME, QUOTED, SINGLE, KINDS };

/* Letters beyond ASCII belong to words, too. */
static bool
is_word(char c)
{
	return ascii_is_digit(c) || ascii_is_letter(c) || c == '_' ||
	    (c & 0x80) != 0;
}

/* How many bytes at the beginning are of a class. */
static size_t
span(struct slice s, bool (*is)(char c))
{
	size_t n = 0;

	while (n < s.len && is(s.ptr[n]))
		n++;
	return n;
}

static bool
is_number_part(char c)
{
	return ascii_is_digit(c) || c == '.' || c == ',';
}

static bool
is_time_part(char c)
{
	return ascii_is_digit(c) || c == '-' || c == ':' || c == '.' ||
	    c == '/' || c == ',' || c == 'T' || c == 'Z' || c == '+';
}

static bool
is_ip_part(char c)
{
	return ascii_is_hex(c) || c == '.' || c == ':';
}

static size_t
count_of(struct slice s, size_t n, char c)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += s.ptr[i] == c;
	return found;
}

static size_t
uuid_length(struct slice s)
{
	for (size_t i = 0; i < UUID_LEN; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (i == s.len ||
		    (hyphen ? s.ptr[i] != '-' : !ascii_is_hex(s.ptr[i])))
			return 0;
	}
	return UUID_LEN == s.len || !is_word(s.ptr[UUID_LEN]) ? UUID_LEN : 0;
}

/* Without what ends a sentence. */
static size_t
trim_end(struct slice s, size_t n)
{
	while (n > 0 &&
	    (s.ptr[n - 1] == '.' || s.ptr[n - 1] == ',' || s.ptr[n - 1] == ':'))
		n--;
	return n;
}

static bool
ends_word(struct slice s, size_t n)
{
	return n == s.len || !is_word(s.ptr[n]);
}

static size_t
ip_length(struct slice s)
{
	size_t n = trim_end(s, span(s, is_ip_part));
	size_t dots = count_of(s, n, '.'), colons = count_of(s, n, ':');

	if (!ends_word(s, n))
		return 0;
	if (colons == 0 || (colons == 1 && dots == 3)) {
		n = colons == 1
		    ? (size_t)((const char *)memchr(s.ptr, ':', n) - s.ptr)
		    : n;
		return dots == 3 && span(s, is_number_part) >= n ? n : 0;
	}
	return colons >= 2 && (dots == 0 || dots == 3) &&
		(colons == 7 || (n > 2 && memmem(s.ptr, n, "::", 2) != NULL))
	    ? n
	    : 0;
}

/* "2026-11-22T01:02:03Z", "01:02:03", "22/11/2026" */
static size_t
time_length(struct slice s)
{
	size_t n = trim_end(s, span(s, is_time_part));

	if (!ascii_is_digit(s.ptr[0]) || !ends_word(s, n))
		return 0;
	return count_of(s, n, ':') == 2 || count_of(s, n, '/') == 2 ||
		(count_of(s, n, '-') == 2 && n >= 10)
	    ? n
	    : 0;
}

static size_t
number_length(struct slice s)
{
	bool minus = s.len > 1 && s.ptr[0] == '-' && ascii_is_digit(s.ptr[1]);
	struct slice digits = { s.ptr + minus, s.len - minus };
	size_t n = trim_end(digits, span(digits, is_number_part));

	return n > 0 && ascii_is_digit(digits.ptr[0]) ? n + minus : 0;
}

/* With a digit and a letter, or 0x in front. */
static size_t
hex_length(struct slice s)
{
	size_t prefix =
	    s.len > 2 && s.ptr[0] == '0' && (s.ptr[1] | 0x20) == 'x' ? 2 : 0;
	size_t n = span((struct slice){ s.ptr + prefix, s.len - prefix },
	    ascii_is_hex);
	size_t digits = 0;

	if (!ends_word(s, prefix + n) || n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		digits += ascii_is_digit(s.ptr[prefix + i]);
	return prefix > 0 || (n >= HEX_MIN && digits > 0 && digits < n)
	    ? prefix + n
	    : 0;
}

static size_t
quoted_length(struct slice s)
{
	const char *end =
	    s.len > 1 ? memchr(s.ptr + 1, s.ptr[0], s.len - 1) : NULL;

	return end != NULL ? (size_t)(end - s.ptr) + 1 : 0;
}

/* What begins here at a word's start; KINDS: a word. */
static int
kind_at(struct slice s, size_t *n)
{
	static size_t (*const lengths[])(
	    struct slice s) = { [UUID] = uuid_length,
		[IP] = ip_length,
		[TIME] = time_length,
		[HEX] = hex_length,
		[NUM] = number_length };
	static const int order[] = { UUID, IP, TIME, HEX, NUM };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		*n = lengths[order[i]](s);
		if (*n > 0)
			return order[i];
	}
	return KINDS;
}

static size_t
word_length(struct slice s)
{
	size_t n = 0;

	/* "eth0" and "x86" are words; "pid1234" is one with a number behind */
	while (n < s.len && is_word(s.ptr[n]) && !ascii_is_digit(s.ptr[n]))
		n++;
	return n > 0 ? n : 1;
}

/* A quote within a word is an apostrophe. */
static int
quote_at(struct slice line, size_t at, size_t *n)
{
	char c = line.ptr[at];

	if ((c != '"' && c != '\'') ||
	    (c == '\'' && at > 0 && is_word(line.ptr[at - 1])))
		return KINDS;
	*n = quoted_length((struct slice){ line.ptr + at, line.len - at });
	if (*n == 0)
		return KINDS;
	return c == '"' ? QUOTED : SINGLE;
}

void
shape_of(struct slice line, struct buf *out)
{
	bool fresh = true; /* no word goes on here */

	for (size_t at = 0; at < line.len && out->len < SHAPE_TEXT_MAX;) {
		struct slice rest = { line.ptr + at, line.len - at };
		size_t n = 0;
		int kind = quote_at(line, at, &n);

		if (kind == KINDS && (fresh || ascii_is_digit(rest.ptr[0])))
			kind = kind_at(rest, &n);
		if (kind != KINDS) {
			(void)buf_add_str(out, kinds[kind].name);
		} else {
			n = word_length(rest);
			(void)buf_add(out, rest.ptr, n);
		}
		at += n;
		fresh = kind == KINDS && !is_word(line.ptr[at - 1]);
	}
}

/* ---- a pattern ------------------------------------------------------------------ */

static int
placeholder_at(struct slice s)
{
	for (int k = 0; k < KINDS; k++) {
		size_t n = strlen(kinds[k].name);

		if (s.len >= n && memcmp(s.ptr, kinds[k].name, n) == 0)
			return k;
	}
	return KINDS;
}

/* "N" in the pattern is its number among those of its name. */
static void
put_group(struct buf *out, int kind, unsigned number)
{
	for (const char *p = kinds[kind].pattern; *p != '\0'; p++) {
		if (*p == 'N')
			(void)buf_printf(out, "%u", number);
		else
			(void)buf_add_char(out, *p);
	}
}

void
shape_pattern(struct slice shape, struct buf *out)
{
	unsigned numbers[KINDS] = { 0 };

	for (size_t at = 0; at < shape.len;) {
		struct slice rest = { shape.ptr + at, shape.len - at };
		int kind = placeholder_at(rest);

		if (kind == KINDS) {
			if (strchr("\\^$.[]|()?*+{}#", rest.ptr[0]) != NULL &&
			    rest.ptr[0] != '\0')
				(void)buf_add_char(out, '\\');
			(void)buf_add_char(out, rest.ptr[0]);
			at++;
			continue;
		}
		/* both quotes read a text */
		numbers[kind == SINGLE ? QUOTED : kind]++;
		put_group(out, kind, numbers[kind == SINGLE ? QUOTED : kind]);
		at += strlen(kinds[kind].name);
	}
}

/* ---- many lines ------------------------------------------------------------------- */

struct shapes {
	struct shape *list;
	size_t n;
	uint32_t slots[SLOTS]; /* index + 1; 0: free */
	uint64_t lines, left_out;
	struct buf text; /* scratch */
	bool sorted;     /* the slots are void */
};

struct shapes *
shapes_new(void)
{
	struct shapes *s = xzalloc(sizeof(*s));

	s->list = xcalloc(SHAPES_MAX, sizeof(*s->list));
	buf_init(&s->text, SHAPE_TEXT_MAX + SHAPE_EXAMPLE_MAX);
	return s;
}

static void
forget(struct shape *shape)
{
	free((char *)shape->program.ptr);
	free((char *)shape->text.ptr);
	free((char *)shape->example.ptr);
}

void
shapes_free(struct shapes *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		forget(&s->list[i]);
	free(s->list);
	buf_fini(&s->text);
	free(s);
}

static uint64_t
hash_more(uint64_t h, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
	return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

/* Its slot, or the free one where it belongs. */
static uint32_t *
find_slot(struct shapes *s, struct slice program, struct slice text)
{
	uint64_t h =
	    hash_more(hash_more(UINT64_C(0xcbf29ce484222325), program), text);

	for (size_t at = (h ^ h >> 32) % SLOTS;; at = (at + 1) % SLOTS) {
		uint32_t i = s->slots[at];

		if (i == 0 ||
		    (slice_eq(s->list[i - 1].program, program) &&
			slice_eq(s->list[i - 1].text, text)))
			return &s->slots[at];
	}
}

static void
index_all(struct shapes *s)
{
	memset(s->slots, 0, sizeof(s->slots));
	for (size_t i = 0; i < s->n; i++)
		*find_slot(s, s->list[i].program, s->list[i].text) =
		    (uint32_t)i + 1;
	s->sorted = false;
}

static int
compare_shapes(const void *a, const void *b)
{
	const struct shape *x = a, *y = b;
	int c;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	c = slice_compare(x->program, y->program);
	return c != 0 ? c : slice_compare(x->text, y->text);
}

static void
make_room(struct shapes *s)
{
	qsort(s->list, s->n, sizeof(*s->list), compare_shapes);
	while (s->n > SHAPES_MAX - SHAPES_MAX / 4) {
		s->left_out += s->list[--s->n].count;
		forget(&s->list[s->n]);
	}
	index_all(s);
}

static struct slice
keep(struct slice s, size_t max)
{
	size_t n = s.len < max ? s.len : max;

	/* not within a character */
	while (n > 0 && n < s.len && (s.ptr[n] & 0xc0) == 0x80)
		n--;
	return (struct slice){ xmemdupz(s.len > 0 ? s.ptr : "", n), n };
}

void
shapes_add(struct shapes *s, struct slice program, struct slice line)
{
	uint32_t *slot;
	struct slice text;

	if (s->sorted)
		index_all(s);
	if (s->n == SHAPES_MAX)
		make_room(s);
	s->lines++;
	buf_clear(&s->text);
	shape_of(line, &s->text);
	text = buf_slice(&s->text);
	slot = find_slot(s, program, text);
	if (*slot == 0) {
		s->list[s->n++] = (struct shape){
			.program = keep(program, SHAPE_TEXT_MAX),
			.text = keep(text, SIZE_MAX),
			.example = keep(line, SHAPE_EXAMPLE_MAX),
		};
		*slot = (uint32_t)s->n;
	}
	s->list[*slot - 1].count++;
}

const struct shape *
shapes_sorted(struct shapes *s, size_t *n)
{
	qsort(s->list, s->n, sizeof(*s->list), compare_shapes);
	s->sorted = true;
	*n = s->n;
	return s->list;
}

uint64_t
shapes_lines(const struct shapes *s)
{
	return s->lines;
}

uint64_t
shapes_left_out(const struct shapes *s)
{
	return s->left_out;
}
