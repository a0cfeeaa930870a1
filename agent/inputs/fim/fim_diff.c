/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_diff.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "xalloc.h"

struct lines {
	struct slice *at;
	size_t n;
};

struct differ {
	struct lines a, b;
	uint16_t *lcs; /* of the rests: (a.n + 1) x (b.n + 1); NULL: too many */
	struct buf *out;
	size_t skip; /* equal lines before what is compared */
	bool cut;
};

static struct lines
split(struct slice s)
{
	size_t cap = 64;
	struct lines l = { xcalloc(cap, sizeof(*l.at)), 0 };

	while (s.len > 0) {
		const char *lf = memchr(s.ptr, '\n', s.len);
		size_t len = lf == NULL ? s.len : (size_t)(lf - s.ptr);

		if (l.n == cap) {
			cap *= 2;
			l.at = xreallocarray(l.at, cap, sizeof(*l.at));
		}
		l.at[l.n++] = (struct slice){ s.ptr, len };
		len += lf != NULL;
		s.ptr += len;
		s.len -= len;
	}
	return l;
}

static uint16_t *
cell(const struct differ *d, size_t i, size_t k)
{
	return &d->lcs[i * (d->b.n + 1) + k];
}

/* Longest common subsequences of all ends. */
static void
fill(struct differ *d)
{
	if ((d->a.n + 1) * (d->b.n + 1) > DIFF_CELLS_MAX)
		return;
	d->lcs = xcalloc((d->a.n + 1) * (d->b.n + 1), sizeof(*d->lcs));
	for (size_t i = d->a.n; i-- > 0;) {
		for (size_t k = d->b.n; k-- > 0;) {
			uint16_t down = *cell(d, i + 1, k);
			uint16_t right = *cell(d, i, k + 1);

			if (slice_eq(d->a.at[i], d->b.at[k]))
				*cell(d, i, k) =
				    (uint16_t)(*cell(d, i + 1, k + 1) + 1);
			else
				*cell(d, i, k) = down > right ? down : right;
		}
	}
}

static void
line(struct differ *d, char mark, struct slice s)
{
	d->cut = d->cut || d->out->len + s.len + 2 > d->out->max;
	if (d->cut)
		return;
	(void)buf_add_char(d->out, mark);
	(void)buf_add_slice(d->out, s);
	(void)buf_add_char(d->out, '\n');
}

/* Lines [i, to_i) went, [k, to_k) came. */
static void
hunk(struct differ *d, size_t i, size_t to_i, size_t k, size_t to_k)
{
	char head[96];
	int n = snprintf(head, sizeof(head), "@@ -%zu,%zu +%zu,%zu @@\n",
	    d->skip + i + (to_i > i), to_i - i, d->skip + k + (to_k > k),
	    to_k - k);

	if (i == to_i && k == to_k)
		return;
	d->cut = d->cut || d->out->len + (size_t)n > d->out->max;
	if (!d->cut)
		(void)buf_add(d->out, head, (size_t)n);
	for (; i < to_i; i++)
		line(d, '-', d->a.at[i]);
	for (; k < to_k; k++)
		line(d, '+', d->b.at[k]);
}

static void
walk(struct differ *d)
{
	size_t i = 0, k = 0, from_i = 0, from_k = 0;

	if (d->lcs == NULL) {
		hunk(d, 0, d->a.n, 0, d->b.n);
		return;
	}
	while (i < d->a.n && k < d->b.n) {
		if (slice_eq(d->a.at[i], d->b.at[k])) {
			hunk(d, from_i, i, from_k, k);
			from_i = ++i;
			from_k = ++k;
		} else if (*cell(d, i + 1, k) >= *cell(d, i, k + 1)) {
			i++;
		} else {
			k++;
		}
	}
	hunk(d, from_i, d->a.n, from_k, d->b.n);
}

bool
fim_diff(struct slice before, struct slice after, struct buf *out)
{
	struct lines a = split(before), b = split(after);
	struct differ d = { .a = a, .b = b, .out = out };

	while (d.skip < a.n && d.skip < b.n &&
	    slice_eq(a.at[d.skip], b.at[d.skip]))
		d.skip++;
	d.a = (struct lines){ a.at + d.skip, a.n - d.skip };
	d.b = (struct lines){ b.at + d.skip, b.n - d.skip };
	while (d.a.n > 0 && d.b.n > 0 &&
	    slice_eq(d.a.at[d.a.n - 1], d.b.at[d.b.n - 1])) {
		d.a.n--;
		d.b.n--;
	}
	fill(&d);
	walk(&d);
	free(d.lcs);
	free(a.at);
	free(b.at);
	return !d.cut;
}
