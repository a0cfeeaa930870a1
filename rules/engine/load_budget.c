/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all rules of a load may cost together.  Each rule has its bounds, but
 * rules are untrusted input and ten thousand of them could be just within
 * theirs.  Work is counted, not timed, so the same rules are always refused.
 */
#include "regex.h"
#include "ruleset.h"

/*
 * A unit is about a byte of a pattern.  The public corpus (3,780 rules) is 4
 * million units; the bound is fifteen times as much.
 */
#define WORK_MAX UINT64_C(60000000)

enum {
	/* A match has a leaf, a place in tables and a few allocations; */
	MATCH_WORK = 32,
	/* an expression's character is a state of an automaton. */
	PLACE_WORK = 128,
	/* Rules that are refused were read too: cheaper by far, */
	READ_TIMES = 16,
	/* at so much for each of their values. */
	READ_WORK = 64
};

static uint64_t
match_work(const struct sigma_match *m)
{
	uint64_t work = MATCH_WORK;
	unsigned places;

	for (uint32_t i = 0; m->kind == MATCH_PATTERN && i < m->pattern.n; i++)
		work += m->pattern.parts[i].text.len;
	if (m->kind != MATCH_REGEX)
		return work;
	places = regex_places(m->text);
	if (places > REGEX_DATABASE_PLACES)
		places = REGEX_DATABASE_PLACES; /* no automaton is made of it */
	return work + m->text.len + (uint64_t)places * PLACE_WORK;
}

static uint64_t
item_work(const struct sigma_item *item)
{
	uint64_t work = MATCH_WORK;

	for (uint32_t i = 0; i < item->n; i++)
		for (uint32_t k = 0; k < item->values[i].n; k++)
			work += match_work(&item->values[i].matches[k]);
	return work;
}

static uint64_t
selection_work(const struct sigma_selection *s)
{
	uint64_t work = MATCH_WORK;

	for (uint32_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; k < s->maps[i].n; k++)
			work += item_work(&s->maps[i].items[k]);
	return work;
}

static uint64_t
work_max(const struct loader *l)
{
	return l->options->work_max > 0 ? l->options->work_max : WORK_MAX;
}

bool
loader_may_read(const struct loader *l)
{
	return l->read < READ_TIMES * work_max(l);
}

void
loader_count_read(struct loader *l, uint64_t n_matches)
{
	l->read += READ_WORK * (n_matches + 1);
}

void
loader_count_rule(struct loader *l, struct loading_rule *r)
{
	r->work = MATCH_WORK;
	for (uint32_t i = 0; i < r->rule.n_selections; i++)
		r->work += selection_work(&r->rule.selections[i]);
	(void)loader_charge(l, r, r->work);
}

bool
loader_charge(struct loader *l, struct loading_rule *r, uint64_t work)
{
	if (work <= work_max(l) - l->work) {
		l->work += work;
		return true;
	}
	loader_refuse(l, r, 0,
	    "it needs %llu units of work, and the rules before it left %llu of "
	    "the %llu that one load may take: load fewer rules, or shorten "
	    "lists and expressions",
	    (unsigned long long)work,
	    (unsigned long long)(work_max(l) - l->work),
	    (unsigned long long)work_max(l));
	return false;
}
