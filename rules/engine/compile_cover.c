/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which leaves announce a rule.  A set of leaves covers a tree if one of them
 * holds whenever the tree does; of an AND the rarest child's cover is enough,
 * of an OR all children's are needed.  What a negation says announces nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "compile.h"
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

/* How often it may hold, by its looks. */
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
	if (m->pattern.n == 1) /* exact; GET, 200, true are everywhere */
		return len < 6 ? 0.6f : 0.3f / len;
	return fminf(0.8f, 2 / (len * len));
}

/*
 * What many rules name beside something else (GET, \svchost.exe, SetValue)
 * is what happens all day.
 */
static float
atom_uses(const struct compiler *c, const struct atom_draft *a)
{
	uint32_t uses = 0;

	for (uint32_t i = 0; i < a->leaves.n; i++)
		uses += c->leaves[a->leaves.items[i]].uses;
	return (float)uses;
}

void
compile_weights(struct compiler *c)
{
	float *weights = xcalloc(c->n_atoms + 1, sizeof(weights[0]));

	for (uint32_t i = 0; i < c->n_atoms; i++) {
		float w = atom_weight(&c->atoms[i].atom);

		weights[i] = w < 0 || w >= 1
		    ? w
		    : fminf(0.95f, w * sqrtf(atom_uses(c, &c->atoms[i])));
	}
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
