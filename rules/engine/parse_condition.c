/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions, from the weakest to the strongest:
 *   or  ->  and  ->  not  ->  "N of PATTERN"  ->  ( )  and names
 */
#include <stdlib.h>

#include "near.h"
#include "parse.h"

struct parser {
	struct rule_parser *p;
	const struct condition_names *names;
	struct slice rest;
	struct slice token; /* empty: the end */
	unsigned line;
	unsigned depth;
	uint32_t n_nodes;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
advance(struct parser *c)
{
	size_t n = 0;

	while (c->rest.len > 0 && is_space(c->rest.ptr[0])) {
		c->rest.ptr++;
		c->rest.len--;
	}
	if (c->rest.len > 0 &&
	    (c->rest.ptr[0] == '(' || c->rest.ptr[0] == ')' ||
		c->rest.ptr[0] == '|'))
		n = 1;
	else
		while (n < c->rest.len && !is_space(c->rest.ptr[n]) &&
		    c->rest.ptr[n] != '(' && c->rest.ptr[n] != ')' &&
		    c->rest.ptr[n] != '|')
			n++;
	c->token = (struct slice){ c->rest.ptr, n };
	c->rest.ptr += n;
	c->rest.len -= n;
}

static bool
is_word(struct slice token, const char *word)
{
	size_t n = strlen(word);

	if (token.len != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((token.ptr[i] | 0x20) != word[i])
			return false;
	return true;
}

static struct sigma_node *
new_node(struct parser *c, enum node_kind kind)
{
	struct sigma_node *n;

	if (++c->n_nodes > RULE_CONDITION_NODES) {
		(void)parse_fail(c->p, c->line,
		    "the condition has more than %d parts",
		    RULE_CONDITION_NODES);
		return NULL;
	}
	n = arena_alloc(c->p->arena, sizeof(*n));
	*n = (struct sigma_node){ .kind = kind };
	return n;
}

/* children grow by doubling; the old array stays in the arena */
static void
add_child(struct parser *c, struct sigma_node *n,
    const struct sigma_node *child)
{
	const struct sigma_node **children =
	    (const struct sigma_node **)(uintptr_t)n->children;

	if ((n->n & (n->n - 1)) == 0) {
		uint32_t cap = n->n == 0 ? 1 : 2 * n->n;

		children = arena_alloc(c->p->arena, cap * sizeof(void *));
		if (n->n > 0)
			memcpy(children, n->children, n->n * sizeof(void *));
		n->children = children;
	}
	children[n->n++] = child;
}

static bool
like(struct slice pattern, struct slice name)
{
	size_t p = 0, n = 0, star = SIZE_MAX, star_n = 0;

	while (n < name.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = ++p;
			star_n = n;
		} else if (p < pattern.len && pattern.ptr[p] == name.ptr[n]) {
			p++;
			n++;
		} else if (star != SIZE_MAX) {
			p = star;
			n = ++star_n;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

static struct sigma_node *
new_leaf(struct parser *c, uint32_t index)
{
	struct sigma_node *leaf = new_node(c, NODE_LEAF);

	if (leaf != NULL)
		leaf->index = index;
	return leaf;
}

static void
fail_too_few(struct parser *c, uint32_t least, uint32_t n)
{
	(void)parse_fail(c->p, c->line,
	    n == 0 ? "the condition wants %u of \"%.*s\", but no %s has such a "
		     "name: mend the pattern, or add one"
		   : "the condition wants %u of \"%.*s\", but too few %ss have "
		     "such a name: ask for fewer, or add some",
	    least, (int)(c->token.len < 128 ? c->token.len : 128), c->token.ptr,
	    c->names->what);
}

/* `least` of 0 stands for "all of". */
static const struct sigma_node *
parse_quantified(struct parser *c, uint32_t least)
{
	bool them;
	struct sigma_node *n;

	if (c->token.len == 0) {
		(void)parse_fail(c->p, c->line,
		    "the condition ends behind \"of\": name a pattern, as "
		    "\"1 of %s_*\", or \"them\"",
		    c->names->what);
		return NULL;
	}
	them = is_word(c->token, "them");
	n = new_node(c,
	    least == 0       ? NODE_AND
		: least == 1 ? NODE_OR
			     : NODE_AT_LEAST);
	if (n == NULL)
		return NULL;
	n->index = least;
	for (uint32_t i = 0; i < c->names->n; i++) {
		struct slice name = c->names->names[i];
		const struct sigma_node *leaf;

		if (them ? name.len > 0 && name.ptr[0] == '_'
			 : !like(c->token, name))
			continue;
		leaf = new_leaf(c, i);
		if (leaf == NULL)
			return NULL;
		add_child(c, n, leaf);
	}
	if (n->n == 0 || least > n->n) {
		fail_too_few(c, least == 0 ? 1 : least, n->n);
		return NULL;
	}
	advance(c);
	return n;
}

/* "1 of", "all of", "any of": how many, or -1. */
static int
quantifier(struct parser *c)
{
	struct parser ahead = *c;
	int n = -1;

	if (is_word(c->token, "all"))
		n = 0;
	else if (is_word(c->token, "any"))
		n = 1;
	else if (c->token.len > 0 && c->token.len < 6) {
		n = 0;
		for (size_t i = 0; i < c->token.len && n >= 0; i++) {
			char d = c->token.ptr[i];

			n = d >= '0' && d <= '9' ? n * 10 + (d - '0') : -1;
		}
		if (n == 0)
			n = -1;
	}
	if (n < 0)
		return -1;
	advance(&ahead);
	if (!is_word(ahead.token, "of"))
		return -1;
	advance(&ahead);
	*c = ahead;
	return n;
}

static const struct sigma_node *parse_or(struct parser *c);

static void
fail_unknown(struct parser *c)
{
	struct slice near = near_of(c->token, c->names->names, c->names->n);
	int len = (int)(c->token.len < 128 ? c->token.len : 128);

	if (near.len > 0)
		(void)parse_fail(c->p, c->line,
		    "the condition names the %s \"%.*s\", which is not there: "
		    "is \"%.*s\" meant?",
		    c->names->what, len, c->token.ptr, SLICE_ARG(near));
	else
		(void)parse_fail(c->p, c->line,
		    "the condition names the %s \"%.*s\", which is not there: "
		    "add it, or mend the name",
		    c->names->what, len, c->token.ptr);
}

static const struct sigma_node *
parse_name(struct parser *c)
{
	for (uint32_t i = 0; i < c->names->n; i++) {
		if (slice_eq(c->token, c->names->names[i])) {
			advance(c);
			return new_leaf(c, i);
		}
	}
	if (c->token.len == 0)
		(void)parse_fail(c->p, c->line,
		    "the condition ends where the name of a %s is expected: "
		    "add it, or take the last word out",
		    c->names->what);
	else if (c->token.ptr[0] == '|')
		(void)parse_fail(c->p, c->line,
		    "\"|\" in a condition is the old aggregation: write a "
		    "correlation rule instead");
	else
		fail_unknown(c);
	return NULL;
}

static const struct sigma_node *
parse_primary(struct parser *c)
{
	const struct sigma_node *inner;
	int n = quantifier(c);

	if (n >= 0)
		return parse_quantified(c, (uint32_t)n);
	if (c->token.len == 0 || c->token.ptr[0] != '(')
		return parse_name(c);
	advance(c);
	inner = parse_or(c);
	if (inner == NULL)
		return NULL;
	if (c->token.len != 1 || c->token.ptr[0] != ')') {
		(void)parse_fail(c->p, c->line,
		    "a parenthesis of the condition is not closed: add \")\"");
		return NULL;
	}
	advance(c);
	return inner;
}

static const struct sigma_node *
parse_not(struct parser *c)
{
	bool negate = false;
	const struct sigma_node *inner;
	struct sigma_node *n;

	while (is_word(c->token, "not")) {
		negate = !negate;
		advance(c);
	}
	inner = parse_primary(c);
	if (inner == NULL || !negate)
		return inner;
	n = new_node(c, NODE_NOT);
	if (n == NULL)
		return NULL;
	add_child(c, n, inner);
	return n;
}

static const struct sigma_node *
parse_list(struct parser *c, const char *word, enum node_kind kind,
    const struct sigma_node *(*operand)(struct parser *))
{
	const struct sigma_node *one = operand(c);
	struct sigma_node *all;

	if (one == NULL || !is_word(c->token, word))
		return one;
	all = new_node(c, kind);
	if (all == NULL)
		return NULL;
	add_child(c, all, one);
	while (is_word(c->token, word)) {
		advance(c);
		one = operand(c);
		if (one == NULL)
			return NULL;
		add_child(c, all, one);
	}
	return all;
}

static const struct sigma_node *
parse_and(struct parser *c)
{
	return parse_list(c, "and", NODE_AND, parse_not);
}

static const struct sigma_node *
parse_or(struct parser *c)
{
	const struct sigma_node *n;

	if (++c->depth > RULE_CONDITION_DEPTH) {
		(void)parse_fail(c->p, c->line,
		    "the condition is nested deeper than %d",
		    RULE_CONDITION_DEPTH);
		return NULL;
	}
	n = parse_list(c, "or", NODE_OR, parse_and);
	c->depth--;
	return n;
}

static const struct sigma_node *
parse_one(struct parser *c, const struct yaml_node *text)
{
	const struct sigma_node *n;

	c->line = text->line;
	if (text->kind != YAML_SCALAR || text->text.len == 0 ||
	    text->text.len > RULE_CONDITION_BYTES) {
		(void)parse_fail(c->p, c->line,
		    "a condition must be a text of 1 to %d bytes, as selection "
		    "and not filter",
		    RULE_CONDITION_BYTES);
		return NULL;
	}
	c->rest = text->text;
	c->depth = 0;
	advance(c);
	n = parse_or(c);
	if (n != NULL && c->token.len > 0) {
		if (c->token.ptr[0] == '|')
			return parse_name(c);
		(void)parse_fail(c->p, c->line,
		    "the condition has \"%.*s\" where \"and\", \"or\" or its "
		    "end is expected: join the two, or take one out",
		    (int)(c->token.len < 128 ? c->token.len : 128),
		    c->token.ptr);
		return NULL;
	}
	return n;
}

bool
parse_condition(struct rule_parser *p, const struct yaml_node *text,
    const struct condition_names *names, const struct sigma_node **out)
{
	struct parser c = { .p = p, .names = names };
	struct sigma_node *any;

	if (text->kind != YAML_SEQUENCE) {
		*out = parse_one(&c, text);
		return *out != NULL;
	}
	c.line = text->line;
	if (text->n == 0 || text->n > RULE_SELECTIONS_MAX)
		return parse_fail(p, text->line,
		    "the list of conditions must have 1 to %d of them",
		    RULE_SELECTIONS_MAX);
	any = new_node(&c, NODE_OR);
	for (size_t i = 0; any != NULL && i < text->n; i++) {
		const struct sigma_node *one = parse_one(&c, text->items[i]);

		if (one == NULL)
			return false;
		add_child(&c, any, one);
	}
	*out = any;
	return any != NULL;
}

void
condition_mark(const struct sigma_node *n, bool *used)
{
	if (n->kind == NODE_LEAF)
		used[n->index] = true;
	for (uint32_t i = 0; i < n->n; i++)
		condition_mark(n->children[i], used);
}
