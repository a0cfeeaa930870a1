/* SPDX-License-Identifier: Apache-2.0 */
/* Which words a leaf needs, and which leaf is tested first. */
#include <stdio.h>
#include <stdlib.h>

#include "collector/search/column.h"

/* Integers below are printed alike whatever their kind in an event was. */
#define PLAIN_INTEGER_MAX INT64_C(100000000000000)

enum { INTEGER_TEXT_MAX = 24, OCTETS_TEXT_MAX = 16 };

/* Blanks the words with characters beyond ASCII: their case is not folded. */
static void
blank_foreign(char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t from = i;
		bool foreign = false;

		while (i < len && is_word_char(text[i]))
			foreign |= (unsigned char)text[i++] >= 0x80;
		if (foreign)
			memset(text + from, ' ', i - from);
		i += i == from;
	}
}

/* A literal run, without the words that a wildcard may go on with. */
static struct slice
whole_words(const struct pattern *p, uint32_t i, struct arena *arena)
{
	const struct op *op = &p->ops[i];
	struct slice s = arena_copy(arena,
	    (struct slice){ p->text.ptr + op->from, op->len });

	blank_foreign((char *)s.ptr, s.len);
	while (i > 0 && s.len > 0 && is_word_char(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (i + 1 < p->n_ops && s.len > 0 && is_word_char(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static struct slice
print_integer(int64_t i, struct arena *arena)
{
	char *text = arena_alloc(arena, INTEGER_TEXT_MAX);
	int n = snprintf(text, INTEGER_TEXT_MAX, "%lld", (long long)i);

	return (struct slice){ text, (size_t)n };
}

/* The octets of an IPv4 net that all of its addresses have. */
static struct slice
net_octets(const struct net *net, struct arena *arena)
{
	char *text = arena_alloc(arena, OCTETS_TEXT_MAX + 1);
	size_t n = 0;

	for (unsigned i = 0; net->family == AF_INET && i < net->bits / 8; i++)
		n += (size_t)snprintf(text + n, OCTETS_TEXT_MAX + 1 - n, "%u.",
		    net->bytes[i]);
	return (struct slice){ text, n };
}

static void
plan_term(struct leaf *leaf, struct slice *needs, struct arena *arena)
{
	const struct pattern *p = &leaf->pattern;

	if (leaf->target == TARGET_FIELD && leaf->field == FIELD_EVENT_ID) {
		if (p->n_ops == 1 && p->ops[0].kind == OP_LITERAL)
			needs[leaf->n_needs++] = whole_words(p, 0, arena);
		return;
	}
	if (leaf->is_number) {
		if (!leaf->is_whole || leaf->integer <= -PLAIN_INTEGER_MAX ||
		    leaf->integer >= PLAIN_INTEGER_MAX)
			return;
		leaf->alternative = print_integer(leaf->integer, arena);
	}
	if (leaf->net.family == AF_INET6 ||
	    (leaf->net.family == AF_INET && leaf->net.bits < 32 &&
		!leaf->words)) {
		needs[leaf->n_needs++] = net_octets(&leaf->net, arena);
		return;
	}
	for (uint32_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].kind == OP_LITERAL)
			needs[leaf->n_needs++] = whole_words(p, i, arena);
}

static void
plan_leaf(struct leaf *leaf, struct arena *arena)
{
	struct slice *needs =
	    arena_alloc(arena, (leaf->pattern.n_ops + 1) * sizeof(needs[0]));

	leaf->needs = needs;
	if (leaf->kind == LEAF_EXACT &&
	    (leaf->target != TARGET_FIELD || leaf->field != FIELD_TIMESTAMP))
		needs[leaf->n_needs++] = leaf->exact;
	else if (leaf->kind == LEAF_TERM)
		plan_term(leaf, needs, arena);
	else if (leaf->kind == LEAF_REGEX)
		leaf->local = expression_is_local(leaf->exact);
}

static unsigned
node_cost(const struct node *n)
{
	unsigned cost = 0;

	if (n->kind == NODE_LEAF)
		return leaf_cost(n->leaf);
	for (uint32_t i = 0; i < n->n; i++)
		cost += node_cost(n->children[i]);
	return cost;
}

void
node_plan(struct node *n, struct arena *arena)
{
	if (n->kind == NODE_LEAF)
		plan_leaf(n->leaf, arena);
	for (uint32_t i = 0; i < n->n; i++) {
		struct node *child = n->children[i];
		unsigned cost = node_cost(child);
		uint32_t at = i;

		node_plan(child, arena);
		/* insertion keeps the order of equals */
		for (; at > 0 && node_cost(n->children[at - 1]) > cost; at--)
			n->children[at] = n->children[at - 1];
		n->children[at] = child;
	}
}
