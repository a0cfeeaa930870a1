/* SPDX-License-Identifier: Apache-2.0 */
#include "match.h"

#include <stdlib.h>

#include "pattern.h"
#include "ruleset.h"
#include "utf8.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 262144 };

struct matcher *
matcher_new(struct ruleset *rs)
{
	struct matcher *m = xzalloc(sizeof(*m));
	const struct program *p = ruleset_program(rs);

	m->ruleset = ruleset_ref(rs);
	m->program = p;
	m->arena = arena_new(ARENA_BLOCK);
	if (p->scratch != NULL &&
	    hs_clone_scratch(p->scratch, &m->scratch) != HS_SUCCESS)
		abort(); /* out of memory */
	regex_scratch_init(&m->regex);
	m->slots = xcalloc(p->n_slots + 1, sizeof(m->slots[0]));
	m->extras = xcalloc(p->n_slots + 1, sizeof(m->extras[0]));
	m->leaf_true = xcalloc(p->n_leaves + 1, sizeof(m->leaf_true[0]));
	m->leaf_false = xcalloc(p->n_leaves + 1, sizeof(m->leaf_false[0]));
	m->rule_seen = xcalloc(p->n_rules + 1, sizeof(m->rule_seen[0]));
	m->results = xcalloc(p->n_rules + 1, sizeof(m->results[0]));
	match_plans_init(m);
	match_routes_init(m);
	match_memos_init(m);
	return m;
}

uint64_t
matcher_given_up(struct matcher *m)
{
	uint64_t n = m->regex.gave_up;

	m->regex.gave_up = 0;
	return n;
}

void
matcher_free(struct matcher *m)
{
	if (m == NULL)
		return;
	(void)hs_free_scratch(m->scratch);
	regex_scratch_fini(&m->regex);
	arena_free(m->arena);
	free(m->slots);
	free(m->extras);
	free(m->leaf_true);
	free(m->leaf_false);
	free(m->rule_seen);
	free(m->results);
	match_plans_fini(m);
	match_routes_fini(m);
	match_memos_fini(m);
	free(m->refs);
	free(m->own_links);
	free(m->keywords);
	free(m->field_slots);
	free(m->pool);
	ruleset_unref(m->ruleset);
	free(m);
}

static void
next_epoch(struct matcher *m)
{
	const struct program *p = m->program;

	if (++m->epoch != 0)
		return;
	/* four thousand million events later: forget all marks */
	memset(m->slots, 0, (p->n_slots + 1) * sizeof(m->slots[0]));
	memset(m->leaf_true, 0, (p->n_leaves + 1) * sizeof(m->leaf_true[0]));
	memset(m->leaf_false, 0, (p->n_leaves + 1) * sizeof(m->leaf_false[0]));
	memset(m->rule_seen, 0, (p->n_rules + 1) * sizeof(m->rule_seen[0]));
	if (m->cap_refs > 0)
		memset(m->refs, 0, m->cap_refs * sizeof(m->refs[0]));
	m->epoch = 1;
}

/* ---- looking things up ------------------------------------------------- */

static void
add_candidate(struct matcher *m, uint32_t rule)
{
	if (m->rule_seen[rule] == m->epoch)
		return;
	m->rule_seen[rule] = m->epoch;
	m->results[m->n_results++] = rule;
}

/* Whether the atom would tell anything new. */
static bool
is_news(const struct matcher *m, const struct atom *a)
{
	for (uint32_t i = 0; i < a->n_leaves; i++)
		if (m->leaf_true[a->leaves[i]] != m->epoch)
			return true;
	return false;
}

static void
hit_atom(struct matcher *m, const struct atom *a)
{
	for (uint32_t i = 0; i < a->n_leaves; i++) {
		const struct leaf *leaf = &m->program->leaves[a->leaves[i]];

		if (m->leaf_true[a->leaves[i]] == m->epoch)
			continue;
		m->leaf_true[a->leaves[i]] = m->epoch;
		for (uint32_t k = 0; k < leaf->n_rules; k++)
			add_candidate(m, leaf->rules[k]);
	}
}

/* Whether an atom that is hit needs no further look. */
static bool
is_settled(const struct matcher *m, const struct atom *a)
{
	return m->memo == NULL && !is_news(m, a);
}

/* It holds of the value that is scanned. */
static void
found_atom(struct matcher *m, uint32_t atom)
{
	struct memo_value *v = m->memo;

	hit_atom(m, &m->program->atoms[atom]);
	if (v == NULL || v->n > MEMO_ATOMS)
		return;
	for (uint32_t i = 0; i < v->n; i++)
		if (v->atoms[i] == atom)
			return;
	if (v->n < MEMO_ATOMS)
		v->atoms[v->n] = atom;
	v->n++;
}

/* Not of another unit that shares a database of keywords. */
static bool
is_of_event(const struct matcher *m, const struct atom *a)
{
	if (a->slot != NO_SLOT)
		return true;
	for (uint32_t i = 0; i < m->n_units; i++)
		if (m->units[i] == a->unit)
			return true;
	return false;
}

struct scan {
	struct matcher *m;
	const struct slot_index *index;
	struct ref *ref; /* NULL: of all keywords' texts, joined */
};

/* A literal that ends at byte `to` of a value's folded text. */
static void
hit_literal(struct matcher *m, const struct literal *l, struct ref *r,
    size_t to)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct atom *a = &m->program->atoms[l->atoms[i]];

		if ((a->at_start && to != l->len) ||
		    (a->at_end && to != r->folded.len) || !is_of_event(m, a) ||
		    is_settled(m, a) || (a->verify && !match_value(m, a, r)))
			continue;
		found_atom(m, l->atoms[i]);
	}
}

static int
on_literal(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *ctx)
{
	const struct scan *s = ctx;

	(void)from;
	(void)flags;
	hit_literal(s->m, &s->index->literals[id], s->ref, to);
	return 0;
}

/* The keyword's value that byte `to` of their joined text is the end in. */
static struct keyword *
keyword_at(struct matcher *m, uint64_t to)
{
	uint32_t low = 0, high = m->n_keywords - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->keywords[middle].end < to)
			low = middle + 1;
		else
			high = middle;
	}
	return &m->keywords[low];
}

/* The same where all keywords' texts are one: finds whose it is. */
static int
on_joined(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *ctx)
{
	const struct scan *s = ctx;
	struct matcher *m = s->m;
	struct keyword *k = keyword_at(m, to);

	(void)from;
	(void)flags;
	hit_literal(m, &s->index->literals[id], &k->ref,
	    to - (k->end - k->ref.folded.len));
	return 0;
}

static int
on_regex(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *ctx)
{
	const struct scan *s = ctx;
	uint32_t atom = s->index->regexes[id];
	const struct atom *a = &s->m->program->atoms[atom];

	(void)from;
	(void)to;
	(void)flags;
	if (!a->verify ||
	    (!is_settled(s->m, a) && match_value(s->m, a, s->ref)))
		found_atom(s->m, atom);
	return 0;
}

/* Whether no text of the table is as long: one in ASCII keeps its length. */
static bool
has_no_length(const struct exact_table *t, struct slice text)
{
	return (t->lengths >> length_bit(text.len) & 1) == 0 &&
	    utf8_is_ascii(text);
}

static void
look_up_exact(struct matcher *m, const struct exact_table *t, uint32_t ref)
{
	struct ref *r;
	struct slice text;
	uint32_t hash;

	if (has_no_length(t, match_raw(m, ref)))
		return;
	r = match_ref(m, ref);
	text = ref_folded(m, r);
	hash = program_hash(text);
	for (uint32_t at = hash & t->mask; t->atoms[at] != 0;
	     at = (at + 1) & t->mask) {
		const struct atom *a;

		if (t->hashes[at] != hash)
			continue;
		a = &m->program->atoms[t->atoms[at] - 1];
		/* folds equal texts to equal ones, so this is exact */
		if (!is_settled(m, a) && match_value(m, a, r))
			found_atom(m, t->atoms[at] - 1);
	}
}

static void
scan_raw(struct matcher *m, const struct slot_index *x, struct ref *r)
{
	struct scan scan = { m, x, r };
	struct slice text = ref_raw(m, r);

	(void)hs_scan(x->raw, text.ptr, (unsigned)text.len, 0, m->scratch,
	    on_regex, &scan);
}

static void
look_up_value(struct matcher *m, const struct slot_index *x, uint32_t ref)
{
	struct ref *r;
	struct scan scan = { m, x, NULL };
	struct slice text;

	if (x->exact.atoms != NULL)
		look_up_exact(m, &x->exact, ref);
	if (x->folded == NULL && x->raw == NULL)
		return;
	r = scan.ref = match_ref(m, ref);
	if (x->folded != NULL) {
		text = ref_folded(m, r);
		(void)hs_scan(x->folded, text.ptr, (unsigned)text.len, 0,
		    m->scratch, on_literal, &scan);
	}
	if (x->raw != NULL)
		scan_raw(m, x, r);
}

static void
scan_value(struct matcher *m, const struct slot_index *x, uint32_t ref)
{
	struct memo_value *v = NULL;
	bool is_known = false;

	/* a hash table is as quick as a memo */
	if (x->folded != NULL || x->raw != NULL)
		v = match_memo(m, x, match_raw(m, ref), &is_known);
	if (is_known) {
		for (uint32_t i = 0; i < v->n; i++)
			hit_atom(m, &m->program->atoms[v->atoms[i]]);
		return;
	}
	m->memo = v;
	look_up_value(m, x, ref);
	m->memo = NULL;
	if (v != NULL)
		match_memo_fill(v, match_raw(m, ref));
}

static void
scan_others(struct matcher *m, const struct slot_index *x)
{
	for (uint32_t i = 0; i < x->n_others; i++) {
		const struct atom *a = &m->program->atoms[x->others[i]];

		if (is_news(m, a) && match_atom(m, a))
			hit_atom(m, a);
	}
}

/* All of the event's values: one scan is cheaper than thirty. */
static void
scan_joined(struct matcher *m, const struct slot_index *x)
{
	struct scan scan = { m, x, NULL };
	struct slice text;

	match_keywords(m);
	if (m->n_keywords == 0)
		return;
	text = match_joined(m);
	(void)hs_scan(x->folded, text.ptr, (unsigned)text.len, 0, m->scratch,
	    on_joined, &scan);
}

/* Expressions, and what is tried one by one. */
static void
scan_keywords(struct matcher *m, const struct slot_index *x)
{
	match_keywords(m);
	for (uint32_t i = 0; x->raw != NULL && i < m->n_keywords; i++)
		scan_raw(m, x, &m->keywords[i].ref);
	if (x->n_others > 0)
		scan_others(m, x);
}

static void
scan_slot(struct matcher *m, const struct slot_index *x)
{
	for (uint32_t k = match_first(m, x->slot); k != 0;
	     k = m->links[k - 1].next)
		scan_value(m, x, m->links[k - 1].ref);
	if (x->n_others > 0)
		scan_others(m, x);
}

/* The slots that the plan has. */
static void
scan_planned(struct matcher *m, const struct unit *u)
{
	for (uint32_t i = 0; i < m->plan->n_slots; i++) {
		uint16_t at = u->by_slot[m->plan->slots[i].slot];

		if (at != 0)
			scan_slot(m, &u->indexes[at - 1]);
	}
}

static void
scan_extras(struct matcher *m, const struct unit *u)
{
	if (!m->extras_ready)
		match_extras(m);
	for (uint32_t i = 0; i < m->n_extras; i++) {
		uint16_t at = u->by_slot[m->extras[i]];

		if (at != 0)
			scan_slot(m, &u->indexes[at - 1]);
	}
}

/* What a unit wants besides slots of the plan and literals. */
static void
scan_busy(struct matcher *m, const struct unit *u)
{
	if (u->has_extras)
		scan_extras(m, u);
	if (u->keywords != NULL)
		scan_keywords(m, u->keywords);
	for (uint32_t i = 0; i < u->n_always; i++)
		add_candidate(m, u->always[i]);
}

static void
scan_event(struct matcher *m)
{
	const struct plan_route *route = m->plan_route;
	const struct unit *units = m->program->units;

	for (uint32_t i = 0; route != NULL && i < route->n; i++)
		scan_slot(m, route->scans[i]);
	for (uint32_t i = 0; route == NULL && i < m->n_units; i++)
		scan_planned(m, &units[m->units[i]]);
	for (uint32_t i = 0; i < m->work->n_busy; i++)
		scan_busy(m, &units[m->work->busy[i]]);
	for (uint32_t i = 0; i < m->work->n_joined; i++)
		scan_joined(m, m->work->joined[i]);
}

/* ---- deciding ---------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

const uint32_t *
matcher_run(struct matcher *m, const struct event *ev,
    const struct logsource *ls, uint32_t *n)
{
	uint32_t kept = 0;

	next_epoch(m);
	m->n_results = 0;
	match_begin(m, ev);
	match_route(m, ls);
	scan_event(m);
	for (uint32_t i = 0; i < m->n_results; i++)
		if (match_tree(m, m->program->trees[m->results[i]]))
			m->results[kept++] = m->results[i];
	if (kept > 1)
		qsort(m->results, kept, sizeof(m->results[0]), by_number);
	*n = kept;
	return m->results;
}
