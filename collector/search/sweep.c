/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/sweep.h"

#include <hs.h>
#include <stdlib.h>

#include "collector/search/class_run.h"
#include "collector/search/match.h"
#include "xalloc.h"

enum {
	COST_MAX = 20000, /* an expression's length times what it repeats */
	HITS_A_VALUE = 2, /* more of them: the pass is broken off */
	HITS_FREE = 4096,
	FEW = 4,         /* one value in so many is looked at by itself */
	RETRY = 32,      /* runs without what was found to be in vain */
	ANCHOR_GOOD = 3, /* an expression with more text needs no run */
};

struct sweep {
	struct class_run *run; /* NULL: none */
	hs_database_t *db;     /* NULL: the run only */
	uint32_t least, most;  /* bytes of a match; most UINT32_MAX: no bound */
	bool exact;
	bool expression;
	bool local; /* the expression, in one pass over all values */
	/* so many runs go without a pass, without looking for the run */
	unsigned dense, common;
	/* of a word: no letter or digit may stand before it, behind it */
	bool begins, ends;
};

/* Of a value: what the pass says of it. */
enum { NOTHING = 0, FOUND = 1, PERHAPS = 2 };

struct sweep_scratch {
	hs_scratch_t *hs;
};

struct run {
	const struct sweep *sweep;
	const struct store_column *col;
	uint8_t *found;
	uint32_t k; /* the value at hand */
	uint64_t hits, most;
};

/* ---- making ------------------------------------------------------------------ */

/*
 * Whether a match is decided by the places where the literal stands: there is
 * one, all ASCII, with nothing but runs around it.
 */
static bool
is_one_literal(const struct leaf *leaf)
{
	const struct pattern *p = &leaf->pattern;
	uint32_t first = p->n_ops > 0 && p->ops[0].kind == OP_ANY_RUN;
	uint32_t last =
	    p->n_ops > first + 1 && p->ops[p->n_ops - 1].kind == OP_ANY_RUN;

	return p->n_ops == first + last + 1 &&
	    p->ops[first].kind == OP_LITERAL && p->anchor.len == p->text.len &&
	    (leaf->words || (first == 1 && last == 1));
}

static struct sweep *
new_literal(struct slice text)
{
	hs_compile_error_t *why = NULL;
	hs_database_t *db = NULL;
	struct sweep *s;

	if (text.len == 0 ||
	    hs_compile_lit(text.ptr, HS_FLAG_CASELESS, text.len, HS_MODE_BLOCK,
		NULL, &db, &why) != HS_SUCCESS) {
		(void)hs_free_compile_error(why);
		return NULL;
	}
	s = xzalloc(sizeof(*s));
	s->db = db;
	s->least = s->most = (uint32_t)text.len;
	return s;
}

static struct sweep *
new_term(const struct leaf *leaf)
{
	const struct pattern *p = &leaf->pattern;
	struct sweep *s;

	/* an address has many spellings */
	if (!leaf->words && leaf->net.family != 0)
		return NULL;
	s = new_literal(p->anchor);
	if (s != NULL && is_one_literal(leaf)) {
		s->exact = true;
		s->begins = p->ops[0].kind == OP_LITERAL;
		s->ends = p->ops[p->n_ops - 1].kind == OP_LITERAL;
	}
	return s;
}

/* An upper bound of what an automaton of it holds, roughly. */
static uint64_t
cost_of(struct slice text)
{
	uint64_t cost = text.len;

	for (size_t i = 0; i < text.len && cost <= COST_MAX; i++) {
		uint64_t most = 0, now = 0;

		if (text.ptr[i] != '{')
			continue;
		for (i++; i < text.len && text.ptr[i] != '}'; i++) {
			char c = text.ptr[i];

			now = c >= '0' && c <= '9' && now < COST_MAX
			    ? now * 10 + (uint64_t)(c - '0')
			    : 0;
			most = now > most ? now : most;
		}
		cost *= most > 0 ? most : 1;
	}
	return cost;
}

/* The expression as Hyperscan compiled it, with least and most; or NULL. */
static struct sweep *
new_compiled(const struct leaf *leaf)
{
	unsigned flags = HS_FLAG_DOTALL | HS_FLAG_UTF8;
	char *text = xmemdupz(leaf->exact.ptr, leaf->exact.len);
	hs_compile_error_t *why = NULL;
	hs_expr_info_t *info = NULL;
	hs_database_t *db = NULL;
	struct sweep *s = NULL;

	if (leaf->caseless)
		flags |= HS_FLAG_CASELESS;
	if (strlen(text) == leaf->exact.len &&
	    cost_of(leaf->exact) <= COST_MAX &&
	    hs_expression_info(text, flags, &info, &why) == HS_SUCCESS &&
	    info->min_width > 0 &&
	    hs_compile(text, flags, HS_MODE_BLOCK, NULL, &db, &why) ==
		HS_SUCCESS) {
		s = xzalloc(sizeof(*s));
		s->db = db;
		s->least = info->min_width;
		s->most = info->max_width;
		s->exact = s->expression = true;
		s->local = leaf->local;
	}
	(void)hs_free_compile_error(why);
	free(info);
	free(text);
	return s;
}

static struct sweep *
new_expression(const struct leaf *leaf)
{
	struct class_run *run = NULL;
	struct sweep *s = new_compiled(leaf);

	if (leaf->anchor.len < ANCHOR_GOOD)
		run = class_run_new(leaf->exact, leaf->caseless);
	/* what looks around itself would see the value's neighbours */
	if (s != NULL && !leaf->local && run == NULL) {
		sweep_free(s);
		s = NULL;
	}
	if (s == NULL && run == NULL)
		return new_literal(leaf->anchor);
	if (s == NULL)
		s = xzalloc(sizeof(*s));
	s->run = run;
	s->exact |= run != NULL && class_run_is_all(run);
	return s;
}

struct sweep *
sweep_new(const struct leaf *leaf)
{
	if (leaf->kind == LEAF_TERM)
		return new_term(leaf);
	return leaf->kind == LEAF_REGEX ? new_expression(leaf) : NULL;
}

void
sweep_free(struct sweep *s)
{
	if (s == NULL)
		return;
	class_run_free(s->run);
	(void)hs_free_database(s->db);
	free(s);
}

bool
sweep_is_exact(const struct sweep *s)
{
	return s->exact;
}

/* ---- running ----------------------------------------------------------------- */

struct sweep_scratch *
sweep_scratch_new(void)
{
	return xzalloc(sizeof(struct sweep_scratch));
}

void
sweep_scratch_free(struct sweep_scratch *x)
{
	if (x == NULL)
		return;
	(void)hs_free_scratch(x->hs);
	free(x);
}

/* Whether the match, within its value, stands as the sweep wants it. */
static bool
stands_well(const struct run *r, uint64_t from, uint64_t to)
{
	const struct store_column *col = r->col;

	if (r->sweep->begins && from > col->offsets[r->k] &&
	    is_word_char(col->text[from - 1]) && is_word_char(col->text[from]))
		return false;
	return !r->sweep->ends || to == col->offsets[r->k + 1] ||
	    !is_word_char(col->text[to]) || !is_word_char(col->text[to - 1]);
}

static uint8_t
verdict(const struct run *r, uint64_t to)
{
	const struct sweep *s = r->sweep;
	uint64_t before = to - r->col->offsets[r->k];

	if (before < s->least)
		return NOTHING;
	/* where it begins is not told */
	if (s->expression)
		return before >= s->most ? FOUND : PERHAPS;
	return !s->exact || stands_well(r, to - s->least, to) ? FOUND : NOTHING;
}

/* Matches come in the order of their ends. */
static int
on_match(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *ctx)
{
	struct run *r = ctx;

	(void)id;
	(void)from;
	(void)flags;
	while (r->col->offsets[r->k + 1] < to)
		r->k++;
	if (r->found[r->k] != FOUND) {
		uint8_t now = verdict(r, to);

		if (now != NOTHING)
			r->found[r->k] = now;
	}
	return ++r->hits > r->most;
}

static int
on_any(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *ctx)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	(void)ctx;
	return 1;
}

/* Whether the value by itself matches. */
static bool
matches_alone(const struct run *r, struct sweep_scratch *x, uint32_t k)
{
	uint32_t from = r->col->offsets[k];

	return hs_scan(r->sweep->db, r->col->text + from,
		   r->col->offsets[k + 1] - from, 0, x->hs, on_any,
		   NULL) == HS_SCAN_TERMINATED;
}

/* Of the values that were found, those that match. */
static void
keep_matches(const struct run *r, struct sweep_scratch *x)
{
	for (uint32_t k = 0; k < r->col->n; k++)
		if (r->found[k])
			r->found[k] = matches_alone(r, x, k) ? FOUND : NOTHING;
}

/* One pass over all values; false: it was broken off. */
static bool
pass(struct run *r, struct sweep_scratch *x)
{
	const struct store_column *col = r->col;

	memset(r->found, NOTHING, col->n);
	if (hs_scan(r->sweep->db, col->text, col->offsets[col->n], 0, x->hs,
		on_match, r) != HS_SUCCESS)
		return false;
	for (uint32_t k = 0; r->sweep->expression && k < col->n; k++)
		if (r->found[k] == PERHAPS)
			r->found[k] = matches_alone(r, x, k) ? FOUND : NOTHING;
	return true;
}

bool
sweep_run(struct sweep *s, struct sweep_scratch *x,
    const struct store_column *col, uint8_t *found)
{
	struct run r = { .sweep = s,
		.col = col,
		.found = found,
		.most = HITS_FREE + (uint64_t)HITS_A_VALUE * col->n };
	uint32_t some = col->n;

	if (s->dense > 0) {
		s->dense--;
		return false;
	}
	if (s->common > 0)
		s->common--; /* of a local expression only */
	else if (s->run != NULL)
		some = class_run_find(s->run, col->text, col->offsets, col->n,
		    found);
	if (s->db == NULL || (s->run != NULL && class_run_is_all(s->run)))
		return true;
	if (hs_alloc_scratch(s->db, &x->hs) != HS_SUCCESS)
		return false;
	if (s->run != NULL && (!s->local || some < col->n / FEW)) {
		keep_matches(&r, x);
		return true;
	}
	if (s->run != NULL && s->common == 0)
		s->common = RETRY;
	if (pass(&r, x))
		return true;
	s->dense = RETRY;
	return false;
}
