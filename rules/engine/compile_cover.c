/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which leaves announce a rule.  A set of leaves covers a tree if one of them
 * holds whenever the tree does; of an AND the rarest child's cover is enough,
 * of an OR all children's are needed.  What a negation says announces nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "compile.h"
#include "pattern.h"
#include "xalloc.h"

/* The weight of the best cover; infinite: there is none. */
static float
weigh(const struct compiler *c, const struct sigma_node *n, bool negated)
{
	bool best_of;
	float total = 0, best = INFINITY;

	switch (n->kind) {
	case NODE_LEAF:
		return negated || c->leaves[n->index].weight < 0
		    ? INFINITY
		    : c->leaves[n->index].weight;
	case NODE_NOT:
		return weigh(c, n->children[0], !negated);
	case NODE_AT_LEAST:
		if (negated || n->index == 0)
			return INFINITY;
		best_of = false;
		break;
	default:
		best_of = (n->kind == NODE_AND) != negated;
		break;
	}
	for (uint32_t i = 0; i < n->n; i++) {
		float w = weigh(c, n->children[i], negated);

		total += w;
		best = w < best ? w : best;
	}
	return best_of ? best : total;
}

static void
choose(struct compiler *c, const struct sigma_node *n, bool negated,
    uint32_t rule)
{
	const struct sigma_node *best = n;
	float least = INFINITY;

	if (n->kind == NODE_LEAF) {
		struct leaf_draft *leaf = &c->leaves[n->index];

		leaf->trigger = true;
		if (leaf->rules.n == 0 ||
		    leaf->rules.items[leaf->rules.n - 1] != rule)
			ids_add(&leaf->rules, rule);
		return;
	}
	if (n->kind == NODE_NOT) {
		choose(c, n->children[0], !negated, rule);
		return;
	}
	if (n->kind == NODE_AT_LEAST || (n->kind == NODE_AND) == negated) {
		for (uint32_t i = 0; i < n->n; i++)
			choose(c, n->children[i], negated, rule);
		return;
	}
	for (uint32_t i = 0; i < n->n; i++) {
		float w = weigh(c, n->children[i], negated);

		if (w < least) {
			least = w;
			best = n->children[i];
		}
	}
	if (best != n) /* else nothing covers it: compile_cover() asked */
		choose(c, best, negated, rule);
}

bool
compile_cover(struct compiler *c, const struct sigma_node *tree, uint32_t rule)
{
	if (isinf(weigh(c, tree, false)))
		return false;
	choose(c, tree, false, rule);
	return true;
}

struct slice
compile_literal(const struct atom *a, uint32_t *part)
{
	const struct pattern *p = &a->match.pattern;
	struct slice best = { NULL, 0 };

	for (uint32_t i = 0; i < p->n; i++) {
		if (p->parts[i].kind == PART_TEXT &&
		    p->parts[i].text.len > best.len) {
			best = p->parts[i].text;
			*part = i;
		}
	}
	return best;
}

/* How often it may hold, by its looks, if it is no exact text. */
static float
atom_weight(const struct atom *a)
{
	const struct sigma_match *m = &a->match;
	struct slice literal;
	uint32_t part;
	float len;

	switch (m->kind) {
	case MATCH_NULL:
		return -1;
	case MATCH_EXISTS:
		return m->exists ? 0.9f : -1;
	case MATCH_REGEX:
		return 5; /* dear to compile and to scan: only if all else fails */
	case MATCH_CIDR:
		return 0.3f;
	case MATCH_NUMBER:
	case MATCH_TIME:
	case MATCH_FIELD:
		return 0.6f;
	case MATCH_PATTERN:
		break;
	}
	literal = compile_literal(a, &part);
	len = (float)literal.len;
	if (m->pattern.n == 0)
		return 0.1f;
	if (literal.len == 0)
		return 0.9f;
	return fminf(0.8f, 2 / (len * len));
}

static uint32_t
atom_uses(const struct compiler *c, const struct atom_draft *a)
{
	uint32_t uses = 0;

	for (uint32_t i = 0; i < a->leaves.n; i++)
		uses += c->leaves[a->leaves.items[i]].uses;
	return uses;
}

/* What rules ask of a field by exact texts. */
struct asked {
	uint32_t uses;
	uint32_t once; /* by texts that only one asks for */
};

/* One, 10, 404: everywhere. */
static bool
is_short_number(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len < 4;
}

/*
 * Of an exact text.  A field of which rules name few texts again and again
 * (GET, true, SYSCALL) has few; else a text is as rare as it is among all that
 * they name and, for each they name but once, one that they do not.
 */
static float
exact_weight(const struct atom *a, uint32_t uses, const struct asked *asked)
{
	struct slice text = a->match.pattern.parts[0].text;

	if (asked->once * 4 < asked->uses || is_short_number(text))
		return 0.6f * sqrtf((float)uses);
	return fminf((float)uses / (float)(asked->uses + asked->once),
	    0.3f / (float)text.len * sqrtf((float)uses));
}

static bool
is_exact(const struct atom *a)
{
	struct slice text;

	return a->slot != NO_SLOT && a->match.kind == MATCH_PATTERN &&
	    a->match.pattern.n > 0 &&
	    pattern_is_plain(&a->match.pattern, &text);
}

/*
 * What many rules name beside something else (GET, \svchost.exe, SetValue)
 * is what happens all day.
 */
static float *
atom_weights(const struct compiler *c)
{
	float *weights = xcalloc(c->n_atoms + 1, sizeof(weights[0]));
	struct asked *asked = xcalloc(c->n_slots + 1, sizeof(asked[0]));

	for (uint32_t i = 0; i < c->n_atoms; i++) {
		const struct atom *a = &c->atoms[i].atom;
		uint32_t uses = atom_uses(c, &c->atoms[i]);

		if (!is_exact(a))
			continue;
		asked[a->slot].uses += uses;
		asked[a->slot].once += uses == 1 ? 1 : 0;
	}
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		const struct atom *a = &c->atoms[i].atom;
		uint32_t uses = atom_uses(c, &c->atoms[i]);
		bool exact = is_exact(a);
		float w = exact ? exact_weight(a, uses, &asked[a->slot])
				: atom_weight(a);

		if (w >= 0 && w < 1 && !exact)
			w *= sqrtf((float)uses);
		weights[i] = w < 0 || w >= 1 ? w : fminf(0.95f, w);
	}
	free(asked);
	return weights;
}

void
compile_weights(struct compiler *c)
{
	float *weights = atom_weights(c);

	for (uint32_t i = 0; i < c->n_leaves; i++) {
		struct leaf_draft *leaf = &c->leaves[i];
		float none = 1; /* holds */

		leaf->weight = 0;
		for (uint32_t k = 0; k < leaf->atoms.n; k++) {
			float w = weights[leaf->atoms.items[k]];

			if (w < 0)
				leaf->weight = -1;
			else if (w >= 1 && leaf->weight >= 0)
				leaf->weight += w;
			else
				none *= 1 - w;
		}
		if (leaf->weight >= 0)
			leaf->weight += 1 - none;
	}
	free(weights);
}
