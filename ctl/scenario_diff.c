/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario_diff.h"

#include <stdlib.h>

#include "event.h"
#include "json.h"
#include "xalloc.h"

enum {
	LINES_MAX = 100000,
	CELLS_MAX =
	    1 << 18, /* of the table below: what is larger is not aligned */
	TEXT_MAX = 64 << 20,
	CONTEXT = 3
};

/* A line and what it says. */
struct match {
	struct slice text;
	struct event ev;
};

struct side {
	struct match *list;
	size_t n;
};

/* ---- matches ----------------------------------------------------------- */

/* The name up to its first dot. */
static struct slice
top_of(uint32_t id)
{
	struct slice name = field_name(id);
	const char *dot = memchr(name.ptr, '.', name.len);

	if (dot != NULL)
		name.len = (size_t)(dot - name.ptr);
	return name;
}

static bool
equal_values(const struct value *a, const struct value *b)
{
	struct buf x, y;
	bool equal;

	buf_init(&x, TEXT_MAX);
	buf_init(&y, TEXT_MAX);
	json_write_value(&x, a);
	json_write_value(&y, b);
	equal = slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return equal;
}

/* Whether each member of `want` is in `have`, whole. */
static bool
is_like(const struct event *want, const struct event *have)
{
	for (uint32_t i = 0; i < want->n; i++) {
		const struct value *v = event_get(have, want->fields[i].id);

		if (v == NULL || !equal_values(&want->fields[i].value, v))
			return false;
	}
	for (uint32_t i = 0; i < have->n; i++) {
		struct slice top = top_of(have->fields[i].id);
		bool asked = false;

		if (event_get(want, have->fields[i].id) != NULL)
			continue;
		for (uint32_t k = 0; k < want->n && !asked; k++)
			asked = slice_eq(top, top_of(want->fields[k].id));
		if (asked)
			return false;
	}
	return true;
}

/* Nobody is woken by it. */
static bool
is_quiet(const struct event *match)
{
	struct slice level =
	    event_get_string(match, field_intern(SLICE("level")));

	for (uint32_t i = 0; i < match->n; i++)
		if (slice_eq(top_of(match->fields[i].id), SLICE("group")))
			return false;
	return slice_eq(level, SLICE("informational")) ||
	    slice_eq(level, SLICE("low"));
}

/* The next line that is not blank, *at its number; false: none. */
static bool
next_line(struct slice *rest, struct slice *line, size_t *at)
{
	while (rest->len > 0) {
		const char *end = memchr(rest->ptr, '\n', rest->len);
		size_t n = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
		size_t step = end != NULL ? n + 1 : n;

		*line = (struct slice){ rest->ptr, n };
		rest->ptr += step;
		rest->len -= step;
		(*at)++;
		if (n > 0 && line->ptr[n - 1] == '\r')
			line->len--;
		if (line->len > 0)
			return true;
	}
	return false;
}

static enum rc
read_side(struct arena *arena, struct slice text, const char *name,
    struct side *out, struct error *err)
{
	size_t most = 0, at = 0;
	struct slice line;

	for (struct slice rest = text; next_line(&rest, &line, &at);)
		most++;
	if (most > LINES_MAX)
		return error_set(err, RC_LIMIT, "%s: more than %d matches",
		    name, LINES_MAX);
	*out = (struct side){
		arena_alloc(arena, (most + 1) * sizeof(out->list[0])), 0
	};
	at = 0;
	while (next_line(&text, &line, &at)) {
		struct match *m = &out->list[out->n++];

		m->text = line;
		event_begin(&m->ev, arena);
		if (json_read_event(line, &json_limits_default, &m->ev, err) !=
		    RC_OK)
			return error_prefix(err, "%s:%zu", name, at);
	}
	return RC_OK;
}

/* With nothing expected quiet matches are nothing. */
static void
drop_quiet(struct side *got)
{
	size_t kept = 0;

	for (size_t i = 0; i < got->n; i++)
		if (!is_quiet(&got->list[i].ev))
			got->list[kept++] = got->list[i];
	got->n = kept;
}

/* ---- alignment --------------------------------------------------------- */

static void
add_line(struct diff *d, char kind, const struct match *m)
{
	d->lines[d->n++] = (struct diff_line){ kind, m->text };
	d->differences += kind != ' ';
}

/* The longest common subsequence of what follows (i, j), for each of them. */
static uint32_t *
common(const struct side *want, const struct side *have)
{
	size_t row = have->n + 1;
	uint32_t *length = xcalloc((want->n + 1) * row, sizeof(*length));

	for (size_t i = want->n; i-- > 0;)
		for (size_t j = have->n; j-- > 0;) {
			uint32_t *at = &length[i * row + j];

			if (is_like(&want->list[i].ev, &have->list[j].ev))
				*at = at[row + 1] + 1;
			else
				*at = at[row] > at[1] ? at[row] : at[1];
		}
	return length;
}

static void
align(struct diff *d, const struct side *want, const struct side *have)
{
	bool small = (want->n + 1) * (have->n + 1) <= CELLS_MAX;
	uint32_t *length = small ? common(want, have) : NULL;
	size_t i = 0, j = 0;

	while (i < want->n && j < have->n && small) {
		const uint32_t *at = &length[i * (have->n + 1) + j];

		if (is_like(&want->list[i].ev, &have->list[j].ev)) {
			add_line(d, ' ', &want->list[i++]);
			j++;
		} else if (at[have->n + 1] >= at[1]) {
			add_line(d, '-', &want->list[i++]);
		} else {
			add_line(d, '+', &have->list[j++]);
		}
	}
	while (i < want->n)
		add_line(d, '-', &want->list[i++]);
	while (j < have->n)
		add_line(d, '+', &have->list[j++]);
	free(length);
}

enum rc
diff_make(struct arena *arena, struct slice expected, struct slice got,
    struct diff *out, struct error *err)
{
	struct side want, have, x, y;
	size_t begin = 0, end = 0;

	*out = (struct diff){ .n = 0 };
	if (read_side(arena, expected, "expected.jsonl", &want, err) != RC_OK ||
	    read_side(arena, got, "what the rules match", &have, err) != RC_OK)
		return err->code;
	if (want.n == 0)
		drop_quiet(&have);
	out->lines =
	    arena_alloc(arena, (want.n + have.n + 1) * sizeof(out->lines[0]));
	while (begin < want.n && begin < have.n &&
	    is_like(&want.list[begin].ev, &have.list[begin].ev))
		add_line(out, ' ', &want.list[begin++]);
	x = (struct side){ want.list + begin, want.n - begin };
	y = (struct side){ have.list + begin, have.n - begin };
	while (end < x.n && end < y.n &&
	    is_like(&x.list[x.n - end - 1].ev, &y.list[y.n - end - 1].ev))
		end++;
	x.n -= end;
	y.n -= end;
	align(out, &x, &y);
	for (size_t i = 0; i < end; i++)
		add_line(out, ' ', &x.list[x.n + i]);
	return RC_OK;
}

/* ---- as text ----------------------------------------------------------- */

/* A part of the lines with their surroundings: [begin, end). */
struct hunk {
	size_t begin, end;
	size_t expected, got;     /* line numbers of its first */
	size_t n_expected, n_got; /* lines of each */
};

/* The first one at or behind `from`; false: there is none. */
static bool
next_hunk(const struct diff *d, size_t from, struct hunk *h)
{
	size_t first = from, last;

	while (first < d->n && d->lines[first].kind == ' ')
		first++;
	if (first == d->n)
		return false;
	last = first;
	for (size_t i = first; i < d->n && i <= last + (size_t)2 * CONTEXT + 1;
	     i++)
		if (d->lines[i].kind != ' ')
			last = i;
	h->begin = first > from + CONTEXT ? first - CONTEXT : from;
	h->end = last + CONTEXT + 1 < d->n ? last + CONTEXT + 1 : d->n;
	h->n_expected = h->n_got = 0;
	for (size_t i = h->begin; i < h->end; i++) {
		h->n_expected += d->lines[i].kind != '+';
		h->n_got += d->lines[i].kind != '-';
	}
	return true;
}

/* "12,3": the line before it where there is none. */
static void
add_range(struct buf *out, char sign, size_t first, size_t n)
{
	(void)buf_printf(out, " %c%zu,%zu", sign, n > 0 ? first : first - 1, n);
}

void
diff_print(const struct diff *d, const char *name, size_t most, struct buf *out)
{
	struct hunk h = { .expected = 1, .got = 1 };
	size_t at = 0, printed = 0;

	(void)buf_printf(out, "--- %s\n+++ %s\n", name, name);
	while (next_hunk(d, at, &h) && printed < most) {
		h.expected += h.begin - at; /* all of them are ' ' */
		h.got += h.begin - at;
		(void)buf_add_str(out, "@@");
		add_range(out, '-', h.expected, h.n_expected);
		add_range(out, '+', h.got, h.n_got);
		(void)buf_add_str(out, " @@\n");
		for (size_t i = h.begin; i < h.end && printed < most;
		     i++, printed++)
			(void)buf_printf(out, "%c%.*s\n", d->lines[i].kind,
			    SLICE_ARG(d->lines[i].text));
		h.expected += h.n_expected;
		h.got += h.n_got;
		at = h.end;
	}
	if (printed == most && d->n > printed)
		(void)buf_printf(out,
		    "... cut after %zu lines; %zu lines differ\n", printed,
		    d->differences);
}

bool
diff_pair(const struct diff *d, size_t i, struct slice *expected,
    struct slice *got)
{
	size_t at = 0;

	*expected = *got = SLICE("");
	while (at < d->n) {
		size_t out = 0, in = 0, begin;

		while (at < d->n && d->lines[at].kind == ' ')
			at++;
		for (begin = at; at < d->n && d->lines[at].kind != ' '; at++) {
			bool is_out = d->lines[at].kind == '-';

			if (is_out && out++ == i)
				*expected = d->lines[at].text;
			else if (!is_out && in++ == i)
				*got = d->lines[at].text;
		}
		if (at > begin && i < (out > in ? out : in))
			return true;
		i -= out > in ? out : in;
	}
	return false;
}
