/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/match.h"

#include "json.h"
#include "timestamp.h"
#include "utf8.h"

void
matching_init(struct matching *m)
{
	buf_init(&m->folded, SIZE_MAX / 2);
	m->expressions = expression_scratch_new();
}

void
matching_fini(struct matching *m)
{
	buf_fini(&m->folded);
	expression_scratch_free(m->expressions);
}

bool
is_ascii(struct slice s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t any = 0, word;
	size_t i = 0;

	for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
		memcpy(&word, s.ptr + i, sizeof(word));
		any |= word;
	}
	for (; i < s.len; i++)
		any |= (uint64_t)(unsigned char)s.ptr[i];
	return (any & high) == 0;
}

/* Sixteen bytes at once, in whatever the processor has for that. */
typedef uint8_t lanes __attribute__((vector_size(16)));

void
lower_to(char *to, struct slice s)
{
	size_t i = 0;

	for (; i + sizeof(lanes) <= s.len; i += sizeof(lanes)) {
		lanes v, is_upper;

		memcpy(&v, s.ptr + i, sizeof(v));
		is_upper = (lanes)(v - 'A' < 26);
		v |= is_upper & 0x20;
		memcpy(to + i, &v, sizeof(v));
	}
	for (; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		to[i] = (char)(c >= 'A' && c <= 'Z' ? c + 0x20U : c);
	}
}

void
fold_to(struct buf *out, struct slice s)
{
	while (s.len > 0) {
		size_t n = 0;
		uint32_t c, folded;
		char bytes[4], *to;

		while (n < s.len && (unsigned char)s.ptr[n] < 0x80)
			n++;
		to = buf_reserve(out, n);
		if (to == NULL)
			return;
		lower_to(to, (struct slice){ s.ptr, n });
		out->len += n;
		s.ptr += n;
		s.len -= n;
		if (s.len == 0)
			return;
		n = utf8_decode(s, &c);
		folded = utf8_fold_char(c);
		if (folded >= 0x80)
			(void)buf_add(out, bytes, utf8_encode(folded, bytes));
		else
			(void)buf_add(out, s.ptr, n);
		s.ptr += n;
		s.len -= n;
	}
}

/* ---- patterns --------------------------------------------------------------- */

static size_t
char_len(const char *p)
{
	unsigned char c = (unsigned char)*p;

	if (c < 0xc0)
		return 1;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The ops from `op` up to the next run, at `at` of `s`; where it ends, or -1 */
static ptrdiff_t
match_piece(const struct pattern *p, uint32_t op, struct slice s, size_t at)
{
	for (; op < p->n_ops && p->ops[op].kind != OP_ANY_RUN; op++) {
		const struct op *o = &p->ops[op];

		if (o->kind == OP_ANY_ONE) {
			if (at >= s.len)
				return -1;
			at += char_len(s.ptr + at);
			continue;
		}
		if (o->len > s.len - at ||
		    memcmp(s.ptr + at, p->text.ptr + o->from, o->len) != 0)
			return -1;
		at += o->len;
	}
	return (ptrdiff_t)at;
}

/* A place between a word and what is none, or an end of the text. */
static bool
is_boundary(struct slice s, size_t at)
{
	return at == 0 || at >= s.len || !is_word_char(s.ptr[at - 1]) ||
	    !is_word_char(s.ptr[at]);
}

/* How the ends of the pattern must lie in the text. */
enum ends { ENDS_WHOLE, ENDS_WORDS };

static bool
begins_well(enum ends ends, struct slice s, size_t at)
{
	return ends == ENDS_WHOLE ? at == 0 : is_boundary(s, at);
}

static bool
finishes_well(enum ends ends, struct slice s, size_t at)
{
	return ends == ENDS_WHOLE ? at == s.len : is_boundary(s, at);
}

static uint32_t
next_run(const struct pattern *p, uint32_t op)
{
	while (op < p->n_ops && p->ops[op].kind != OP_ANY_RUN)
		op++;
	return op;
}

/* The next place from `at` on at which the piece may begin; -1: none. */
static ptrdiff_t
next_place(const struct pattern *p, uint32_t op, struct slice s, size_t at)
{
	const struct op *o = &p->ops[op];
	const char *found;

	if (at > s.len)
		return -1;
	if (o->kind != OP_LITERAL)
		return (ptrdiff_t)at;
	found = memmem(s.ptr + at, s.len - at, p->text.ptr + o->from, o->len);
	return found != NULL ? found - s.ptr : -1;
}

/*
 * The pieces behind the first: each where it is found first.  The last must end
 * well, unless the pattern ends with a run.
 */
static bool
match_rest(const struct pattern *p, uint32_t op, enum ends ends, struct slice s,
    size_t at)
{
	while (op < p->n_ops) {
		uint32_t piece = op + 1; /* behind the run */
		uint32_t after = next_run(p, piece);
		ptrdiff_t place = (ptrdiff_t)at, end = -1;

		if (piece == p->n_ops)
			return true;
		for (;; place += (ptrdiff_t)char_len(s.ptr + place)) {
			place = next_place(p, piece, s, (size_t)place);
			if (place < 0)
				return false;
			end = match_piece(p, piece, s, (size_t)place);
			if (end >= 0 &&
			    (after < p->n_ops ||
				finishes_well(ends, s, (size_t)end)))
				break;
			if ((size_t)place >= s.len)
				return false;
		}
		at = (size_t)end;
		op = after;
	}
	return true;
}

/* `s` is folded, as the pattern is. */
static bool
match_pattern(const struct pattern *p, enum ends ends, struct slice s)
{
	uint32_t after = next_run(p, 0);
	ptrdiff_t place = 0, end;

	if (after == 0 && p->n_ops > 0)
		return match_rest(p, 0, ends, s, 0);
	if (p->n_ops == 0)
		return ends == ENDS_WHOLE ? s.len == 0 : true;
	for (;; place += (ptrdiff_t)char_len(s.ptr + place)) {
		if (ends == ENDS_WORDS)
			place = next_place(p, 0, s, (size_t)place);
		if (place < 0)
			return false;
		end = begins_well(ends, s, (size_t)place)
		    ? match_piece(p, 0, s, (size_t)place)
		    : -1;
		/* what a run cannot reach from here it cannot from later on */
		if (end >= 0 && after < p->n_ops)
			return match_rest(p, after, ends, s, (size_t)end);
		if (end >= 0 && after == p->n_ops &&
		    finishes_well(ends, s, (size_t)end))
			return true;
		if (ends == ENDS_WHOLE || (size_t)place >= s.len)
			return false;
	}
}

static struct slice
folded(struct matching *m, struct slice s)
{
	buf_clear(&m->folded);
	fold_to(&m->folded, s);
	return (struct slice){ m->folded.ptr != NULL ? m->folded.ptr : "",
		m->folded.len };
}

/* An ASCII text without wildcards is equal to no longer or shorter one. */
static bool
equals_folded(struct slice literal, struct slice s)
{
	if (literal.len != s.len)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (c != literal.ptr[i])
			return false;
	}
	return true;
}

bool
pattern_match_name(struct matching *m, const struct pattern *p,
    struct slice name)
{
	return match_pattern(p, ENDS_WHOLE, folded(m, name));
}

/* ---- leaves ----------------------------------------------------------------- */

/* The pattern as the leaf wants it; `low` is folded as far as that needs. */
static bool
match_folded(const struct leaf *leaf, struct slice low)
{
	return match_pattern(&leaf->pattern,
	    leaf->words ? ENDS_WORDS : ENDS_WHOLE, low);
}

static bool
match_net(const struct leaf *leaf, struct slice s)
{
	struct net address;

	return !leaf->words && leaf->net.family != 0 &&
	    net_parse(s, false, &address) && net_has(&leaf->net, &address);
}

static bool
match_term(struct matching *m, const struct leaf *leaf, struct slice s)
{
	const struct pattern *p = &leaf->pattern;

	if (!leaf->words && p->ascii && p->n_ops == 1 &&
	    p->ops[0].kind == OP_LITERAL)
		return equals_folded(p->text, s) || match_net(leaf, s);
	return match_folded(leaf, folded(m, s)) || match_net(leaf, s);
}

static bool
above_low(const struct bound *low, int compared)
{
	return !low->given || compared > 0 || (compared == 0 && low->inclusive);
}

static bool
below_high(const struct bound *high, int compared)
{
	return !high->given || compared < 0 ||
	    (compared == 0 && high->inclusive);
}

static int
compare_numbers(double number, int64_t integer, bool whole,
    const struct bound *b)
{
	if (whole && b->whole)
		return (integer > b->integer) - (integer < b->integer);
	return (number > b->number) - (number < b->number);
}

static bool
in_number_range(const struct leaf *leaf, double number, int64_t integer,
    bool whole)
{
	return above_low(&leaf->low,
		   compare_numbers(number, integer, whole, &leaf->low)) &&
	    below_high(&leaf->high,
		compare_numbers(number, integer, whole, &leaf->high));
}

static int
compare_slices(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;

	return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static bool
in_address_range(const struct leaf *leaf, struct slice s)
{
	const struct bound *any = leaf->low.given ? &leaf->low : &leaf->high;
	struct net a;
	size_t n;

	if (!net_parse(s, false, &a) || a.family != any->address.family)
		return false;
	n = a.family == AF_INET6 ? 16 : 4;
	return above_low(&leaf->low,
		   memcmp(a.bytes, leaf->low.address.bytes, n)) &&
	    below_high(&leaf->high,
		memcmp(a.bytes, leaf->high.address.bytes, n));
}

static bool
in_range(struct matching *m, const struct leaf *leaf, struct slice s)
{
	const struct timestamp_hints hints = { .tz = NULL };
	double number;
	int64_t integer;
	bool whole;

	switch (leaf->range) {
	case RANGE_NUMBER:
		return number_parse(s, &number, &integer, &whole) &&
		    in_number_range(leaf, number, integer, whole);
	case RANGE_TIME:
		return s.len > 0 &&
		    timestamp_parse_rfc3339(s, &hints, &integer) == s.len &&
		    match_time(leaf, integer);
	case RANGE_ADDRESS:
		return in_address_range(leaf, s);
	default:
		s = folded(m, s);
		return above_low(&leaf->low,
			   compare_slices(s, leaf->low.text)) &&
		    below_high(&leaf->high, compare_slices(s, leaf->high.text));
	}
}

bool
leaf_match_text(struct matching *m, const struct leaf *leaf, struct slice s)
{
	switch (leaf->kind) {
	case LEAF_EXISTS:
		return true;
	case LEAF_TERM:
		return match_term(m, leaf, s);
	case LEAF_EXACT:
		return slice_eq(s, leaf->exact);
	case LEAF_REGEX:
		return expression_matches(m->expressions, leaf->expression, s);
	default:
		return in_range(m, leaf, s);
	}
}

bool
leaf_match_integer(struct matching *m, const struct leaf *leaf, int64_t i)
{
	struct value v = { .kind = VALUE_INT, .i = i };
	char room[SCALAR_TEXT_MAX];

	if (leaf->kind == LEAF_EXISTS)
		return true;
	if (leaf->kind == LEAF_RANGE && leaf->range == RANGE_NUMBER)
		return in_number_range(leaf, (double)i, i, true);
	if (leaf->kind == LEAF_TERM && leaf->is_number &&
	    (leaf->is_whole
		    ? leaf->integer == i
		    : leaf->number <= (double)i && leaf->number >= (double)i))
		return true;
	return leaf_match_text(m, leaf, scalar_text(&v, room));
}

static bool
match_double(struct matching *m, const struct leaf *leaf, const struct value *v)
{
	char room[SCALAR_TEXT_MAX];

	if (leaf->kind == LEAF_RANGE && leaf->range == RANGE_NUMBER)
		return in_number_range(leaf, v->d, 0, false);
	if (leaf->kind == LEAF_TERM && leaf->is_number &&
	    leaf->number <= v->d && leaf->number >= v->d)
		return true;
	return leaf_match_text(m, leaf, scalar_text(v, room));
}

bool
leaf_match_value(struct matching *m, const struct leaf *leaf,
    const struct value *v)
{
	switch (v->kind) {
	case VALUE_BOOL:
		return leaf_match_text(m, leaf,
		    v->b ? SLICE("true") : SLICE("false"));
	case VALUE_INT:
		return leaf_match_integer(m, leaf, v->i);
	case VALUE_DOUBLE:
		return match_double(m, leaf, v);
	case VALUE_STRING:
	case VALUE_JSON:
		return leaf_match_text(m, leaf, v->s);
	case VALUE_LIST:
		for (uint32_t i = 0; i < v->n; i++)
			if (leaf_match_value(m, leaf, &v->list[i]))
				return true;
		return false;
	default:
		return false;
	}
}

struct slice
scalar_text(const struct value *v, char room[SCALAR_TEXT_MAX])
{
	struct buf text;
	size_t n;

	if (v->kind == VALUE_STRING || v->kind == VALUE_JSON)
		return v->s;
	buf_init(&text, SCALAR_TEXT_MAX);
	json_write_value(&text, v);
	n = text.len;
	if (n > 0)
		memcpy(room, text.ptr, n);
	buf_fini(&text);
	return (struct slice){ room, n };
}
