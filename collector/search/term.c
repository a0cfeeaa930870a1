/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind the colon: patterns, numbers, addresses, times, ranges. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collector/search/match.h"
#include "collector/search/query.h"
#include "timestamp.h"

enum { NUMBER_TEXT_MAX = 64, NET_TEXT_MAX = INET6_ADDRSTRLEN + 4 };

#define NS_PER_DAY (86400 * NS_PER_SEC)

bool
field_is_text(uint32_t field)
{
	return field == FIELD_MESSAGE || field == FIELD_EVENT_ORIGINAL ||
	    field == FIELD_ERROR_MESSAGE;
}

/* ---- patterns -------------------------------------------------------------- */

/* The longest run of ASCII in literal text. */
static void
find_anchor(struct pattern *p)
{
	for (uint32_t i = 0; i < p->n_ops; i++) {
		const struct op *op = &p->ops[i];
		size_t run = 0;

		for (uint32_t k = 0; op->kind == OP_LITERAL && k < op->len;
		     k++) {
			const char *at = p->text.ptr + op->from + k;

			run = (unsigned char)*at < 0x80 ? run + 1 : 0;
			if (run > p->anchor.len)
				p->anchor = (struct slice){ at + 1 - run, run };
		}
	}
}

void
pattern_make(struct pattern *p, const struct word *w, struct arena *arena)
{
	struct op *ops = arena_alloc(arena, (w->text.len + 1) * sizeof(ops[0]));
	struct buf text;
	size_t i = 0;
	uint32_t n = 0;

	buf_init(&text, SIZE_MAX / 2);
	while (i < w->text.len) {
		size_t from = i;
		uint32_t at = (uint32_t)text.len;

		if (w->wild != NULL && w->wild[i]) {
			bool run = w->text.ptr[i++] == '*';

			if (!run || n == 0 || ops[n - 1].kind != OP_ANY_RUN)
				ops[n++] =
				    (struct op){ run ? OP_ANY_RUN : OP_ANY_ONE,
					    0, 0 };
			continue;
		}
		while (i < w->text.len && (w->wild == NULL || !w->wild[i]))
			i++;
		fold_to(&text, (struct slice){ w->text.ptr + from, i - from });
		ops[n++] =
		    (struct op){ OP_LITERAL, at, (uint32_t)text.len - at };
	}
	*p = (struct pattern){ .ops = ops, .n_ops = n };
	p->text = arena_copy(arena, buf_slice(&text));
	p->ascii = is_ascii(p->text);
	find_anchor(p);
	buf_fini(&text);
}

/* ---- numbers, addresses ----------------------------------------------------- */

bool
number_parse(struct slice s, double *number, int64_t *integer, bool *whole)
{
	char text[NUMBER_TEXT_MAX];
	char *end;
	bool digit = false;

	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	*whole = true;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		digit |= c >= '0' && c <= '9';
		if (c == '.' || c == 'e' || c == 'E')
			*whole = false;
		else if ((c < '0' || c > '9') && c != '-' && c != '+')
			return false;
	}
	if (!digit)
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	*number = strtod(text, &end);
	if (*end != '\0' || !isfinite(*number))
		return false;
	*integer = 0;
	if (*whole) {
		errno = 0;
		*integer = strtoll(text, &end, 10);
		*whole = errno == 0 && *end == '\0';
	}
	return true;
}

bool
net_parse(struct slice s, bool with_bits, struct net *out)
{
	char text[NET_TEXT_MAX];
	char *slash, *end;
	unsigned all;
	unsigned long bits;

	*out = (struct net){ .family = 0 };
	if (s.len < 2 || s.len >= sizeof(text) ||
	    memchr(s.ptr, '\0', s.len) != NULL)
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	slash = strchr(text, '/');
	if (slash != NULL)
		*slash++ = '\0';
	if (slash != NULL && (!with_bits || *slash < '0' || *slash > '9'))
		return false;
	out->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	all = out->family == AF_INET6 ? 128 : 32;
	out->bits = all;
	if (slash != NULL) {
		bits = strtoul(slash, &end, 10);
		if (*end != '\0' || bits > all)
			out->family = 0;
		out->bits = (unsigned)bits;
	}
	if (out->family == 0 || inet_pton(out->family, text, out->bytes) != 1) {
		out->family = 0;
		return false;
	}
	return true;
}

bool
net_has(const struct net *net, const struct net *address)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	unsigned mask = 0xff00U >> rest;

	if (net->family == 0 || net->family != address->family ||
	    memcmp(net->bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 ||
	    ((net->bytes[whole] ^ address->bytes[whole]) & mask & 0xffU) == 0;
}

void
leaf_term(struct leaf *leaf, const struct word *w, struct arena *arena)
{
	leaf->kind = LEAF_TERM;
	leaf->exact = w->text;
	pattern_make(&leaf->pattern, w, arena);
	if (w->wild != NULL)
		return;
	leaf->is_number = number_parse(w->text, &leaf->number, &leaf->integer,
	    &leaf->is_whole);
	leaf->is_id = event_id_parse(leaf->pattern.text, &leaf->id);
	(void)net_parse(w->text, true, &leaf->net);
}

/* ---- times ------------------------------------------------------------------ */

/* The span that a time stamp of this precision stands for. */
static int64_t
precision(struct slice s)
{
	int64_t ns = NS_PER_SEC;
	const char *dot = memchr(s.ptr, '.', s.len);

	if (s.len == 10)
		return NS_PER_DAY;
	if (dot == NULL)
		return s.len > 10 ? ns : 1;
	for (dot++; dot < s.ptr + s.len && *dot >= '0' && *dot <= '9'; dot++)
		ns /= 10;
	return ns > 0 ? ns : 1;
}

/* "now-2h", "now+1d" */
static bool
parse_shifted(struct slice s, int64_t now_ns, int64_t *out)
{
	struct error ignored;
	int64_t span;

	if (s.len < 5 || memcmp(s.ptr, "now", 3) != 0 ||
	    (s.ptr[3] != '-' && s.ptr[3] != '+') ||
	    duration_parse((struct slice){ s.ptr + 4, s.len - 4 }, &span,
		&ignored) != RC_OK)
		return false;
	*out = s.ptr[3] == '-' ? now_ns - span : now_ns + span;
	return true;
}

/* [*from, *to): what the text says, to its precision. */
static enum rc
parse_time(struct slice s, int64_t now_ns, int64_t *from, int64_t *to,
    struct error *err)
{
	char text[TIMESTAMP_TEXT_MAX];
	bool stamp = s.len >= 10 && s.ptr[4] == '-';

	if (parse_shifted(s, now_ns, from)) {
		*to = *from + 1;
		return RC_OK;
	}
	if (s.len == 0 || s.len >= sizeof(text))
		return error_set(err, RC_INVALID, "\"%.*s\" is no time",
		    (int)(s.len < 64 ? s.len : 64), s.ptr);
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (timestamp_parse_argument(text, now_ns, from, err) != RC_OK)
		return err->code;
	*to = *from + (stamp ? precision(s) : 1);
	return RC_OK;
}

enum rc
leaf_time(struct leaf *leaf, struct slice text, int64_t now_ns,
    struct error *err)
{
	leaf->kind = LEAF_RANGE;
	leaf->range = RANGE_TIME;
	leaf->low.given = leaf->high.given = true;
	return parse_time(text, now_ns, &leaf->low.integer, &leaf->high.integer,
	    err);
}

/* ---- ranges ----------------------------------------------------------------- */

static bool
as_number(struct bound *b)
{
	return !b->given ||
	    number_parse(b->text, &b->number, &b->integer, &b->whole);
}

static bool
as_address(struct bound *b)
{
	return !b->given || net_parse(b->text, false, &b->address);
}

/* Half open: low.integer is in, high.integer is not. */
static enum rc
as_times(struct leaf *leaf, int64_t now_ns, struct error *err)
{
	int64_t from = 0, to = 0;

	if (leaf->low.given) {
		if (parse_time(leaf->low.text, now_ns, &from, &to, err) !=
		    RC_OK)
			return err->code;
		leaf->low.integer = leaf->low.inclusive ? from : to;
	}
	if (leaf->high.given) {
		if (parse_time(leaf->high.text, now_ns, &from, &to, err) !=
		    RC_OK)
			return err->code;
		leaf->high.integer = leaf->high.inclusive ? to : from;
	}
	leaf->range = RANGE_TIME;
	return RC_OK;
}

/* A time that cannot be anything else: no span. */
static bool
looks_like_time(const struct bound *b)
{
	struct slice s = b->text;

	return !b->given || (s.len >= 10 && s.ptr[4] == '-') ||
	    (s.len >= 3 && memcmp(s.ptr, "now", 3) == 0);
}

static struct slice
fold_copy(struct slice s, struct arena *arena)
{
	struct slice folded;
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	fold_to(&b, s);
	folded = arena_copy(arena, buf_slice(&b));
	buf_fini(&b);
	return folded;
}

enum rc
leaf_range(struct leaf *leaf, struct slice low, struct slice high,
    int64_t now_ns, struct arena *arena, struct error *err)
{
	struct error ignored;

	leaf->kind = LEAF_RANGE;
	leaf->low.text = low;
	leaf->high.text = high;
	if (leaf->target == TARGET_FIELD && leaf->field == FIELD_TIMESTAMP)
		return as_times(leaf, now_ns, err);
	if (as_number(&leaf->low) && as_number(&leaf->high)) {
		leaf->range = RANGE_NUMBER;
	} else if (as_address(&leaf->low) && as_address(&leaf->high)) {
		if (leaf->low.given && leaf->high.given &&
		    leaf->low.address.family != leaf->high.address.family)
			return error_set(err, RC_INVALID,
			    "one end is an IPv4 address, the other IPv6");
		leaf->range = RANGE_ADDRESS;
	} else if (!looks_like_time(&leaf->low) ||
	    !looks_like_time(&leaf->high) ||
	    as_times(leaf, now_ns, &ignored) != RC_OK) {
		leaf->range = RANGE_TEXT;
		leaf->low.text = fold_copy(low, arena);
		leaf->high.text = fold_copy(high, arena);
	}
	return RC_OK;
}
