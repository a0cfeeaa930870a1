/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language of kuzet-query(7), by recursive descent:
 *
 *   or     = and { OR and }
 *   and    = unary { [AND] unary }
 *   unary  = (NOT | ! | - | +) unary | ( or ) | clause
 *   clause = [field :] value | field (< | <= | > | >=) word
 *   value  = word | "phrase" | /expression/ | [a TO b] | {a TO b} | ( or )
 *          | (< | <= | > | >=) word
 *
 * Within `field:( ... )` every word is a value of that field.
 */
#include <stdlib.h>

#include "collector/search/query.h"
#include "json.h"
#include "utf8.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 8 * 1024,
	CHILDREN_FIRST = 4,
	NAME_MAX = FIELD_NAME_MAX,
};

/* Where values look: nothing named yet, or a field. */
struct context {
	bool named;
	struct leaf where; /* target, field, names, words */
};

struct parser {
	struct slice text;
	size_t at;
	int64_t now_ns;
	struct search_query *query;
	struct arena *arena;
	unsigned depth, terms;
	struct error *err;
	size_t wrong; /* byte at which it is wrong */
};

static struct node *parse_or(struct parser *p, const struct context *ctx);

static struct node *
mistake(struct parser *p, size_t at, const char *message)
{
	(void)error_set(p->err, RC_INVALID, "%s", message);
	p->wrong = at;
	return NULL;
}

static struct node *
too_much(struct parser *p, size_t at, const char *what, int most)
{
	(void)error_set(p->err, RC_LIMIT, "more than %d %s", most, what);
	p->wrong = at;
	return NULL;
}

/* ---- characters ------------------------------------------------------------- */

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char
peek(const struct parser *p, size_t ahead)
{
	size_t left = p->text.len - p->at;

	if (ahead >= left)
		return '\0';
	return p->text.ptr[p->at + ahead];
}

static bool
at_end(const struct parser *p)
{
	return p->at >= p->text.len;
}

static void
skip_space(struct parser *p)
{
	while (!at_end(p) && is_space(p->text.ptr[p->at]))
		p->at++;
}

static bool
ends_word(char c)
{
	return is_space(c) || c == '(' || c == ')' || c == '"';
}

/* The keyword stands here as a word of its own. */
static bool
at_keyword(const struct parser *p, const char *upper, const char *lower)
{
	size_t n = strlen(upper), left = p->text.len - p->at;
	const char *s = p->text.ptr + p->at;

	return left >= n &&
	    (memcmp(s, upper, n) == 0 || memcmp(s, lower, n) == 0) &&
	    (left == n || ends_word(s[n]));
}

static bool
take(struct parser *p, const char *upper, const char *lower, const char *sign)
{
	size_t n = 0;

	skip_space(p);
	if (at_keyword(p, upper, lower))
		n = strlen(upper);
	else if (sign != NULL && p->text.len - p->at >= strlen(sign) &&
	    memcmp(p->text.ptr + p->at, sign, strlen(sign)) == 0)
		n = strlen(sign);
	p->at += n;
	return n > 0;
}

/* ---- nodes ------------------------------------------------------------------ */

static struct node *
node_new(struct parser *p, enum node_kind kind)
{
	struct node *n = arena_alloc(p->arena, sizeof(*n));

	*n = (struct node){ .kind = kind };
	return n;
}

static void
node_add(struct parser *p, struct node *to, struct node *child)
{
	/* NOLINTBEGIN(bugprone-sizeof-expression): of pointers */
	if (to->n == 0) {
		to->children =
		    arena_alloc(p->arena, CHILDREN_FIRST * sizeof(child));
	} else if (to->n >= CHILDREN_FIRST && (to->n & (to->n - 1)) == 0) {
		struct node **more =
		    arena_alloc(p->arena, 2 * (size_t)to->n * sizeof(child));

		memcpy(more, to->children, to->n * sizeof(child));
		to->children = more;
	}
	/* NOLINTEND(bugprone-sizeof-expression) */
	to->children[to->n++] = child;
}

static struct leaf *
leaf_new(struct parser *p, const struct context *ctx)
{
	struct leaf *leaf = arena_alloc(p->arena, sizeof(*leaf));

	*leaf = ctx->where;
	return leaf;
}

static struct node *
leaf_node(struct parser *p, struct leaf *leaf)
{
	struct node *n = node_new(p, NODE_LEAF);

	n->leaf = leaf;
	return n;
}

/* ---- words ------------------------------------------------------------------ */

/* Room for what may belong to the word or phrase that begins here. */
static void
begin_word(struct parser *p, bool quoted, char **text, bool **wild)
{
	size_t room = 1;

	for (size_t i = p->at; i < p->text.len; i++, room++) {
		char c = p->text.ptr[i];

		if (c == '\\' && i + 1 < p->text.len) {
			i++;
			room++;
		} else if (quoted ? c == '"' : ends_word(c)) {
			break;
		}
	}
	*text = arena_alloc(p->arena, room);
	*wild = arena_alloc(p->arena, room * sizeof(**wild));
	memset(*wild, 0, room * sizeof(**wild));
}

/* Up to white space or a parenthesis; `stop` ends it too. */
static struct word
read_word(struct parser *p, const char *stop)
{
	char *text;
	bool *wild, any = false;
	size_t n = 0;

	begin_word(p, false, &text, &wild);
	while (!at_end(p) && !ends_word(peek(p, 0)) &&
	    (stop == NULL || strchr(stop, peek(p, 0)) == NULL)) {
		char c = peek(p, 0), next = peek(p, 1);

		if (c == '\\' && p->at + 1 < p->text.len &&
		    !is_word_char_ascii(next)) {
			c = next;
			p->at++;
		} else if (c == '*' || c == '?') {
			any = wild[n] = true;
		}
		text[n++] = c;
		p->at++;
	}
	return (struct word){ { text, n }, any ? wild : NULL };
}

/* Behind the opening quote; false: it is never closed. */
static bool
read_quoted(struct parser *p, struct word *out)
{
	char *text;
	bool *wild;
	size_t n = 0;

	begin_word(p, true, &text, &wild);
	while (!at_end(p) && peek(p, 0) != '"') {
		if (peek(p, 0) == '\\' &&
		    (peek(p, 1) == '"' || peek(p, 1) == '\\'))
			p->at++;
		text[n++] = p->text.ptr[p->at++];
	}
	*out = (struct word){ { text, n }, NULL };
	if (at_end(p))
		return false;
	p->at++;
	return true;
}

/*
 * The length of "/.../" or "/.../i" here; 0: what stands here is none, such as
 * a path: the slash that closes it must end the word.
 */
static size_t
expression_length(const struct parser *p)
{
	bool in_class = false;

	for (size_t i = 1; p->at + i < p->text.len; i++) {
		char c = peek(p, i);

		if (c == '\\')
			i++;
		else if (in_class)
			in_class = c != ']';
		else if (c == '[')
			in_class = true;
		else if (c == '/' && i > 1) {
			i += peek(p, i + 1) == 'i' ? 2 : 1;
			return p->at + i >= p->text.len || ends_word(peek(p, i))
			    ? i
			    : 0;
		} else if (c == '/')
			return 0;
	}
	return 0;
}

/* ---- values ----------------------------------------------------------------- */

static bool
all_stars(const struct word *w)
{
	for (size_t i = 0; i < w->text.len; i++)
		if (w->wild == NULL || !w->wild[i] || w->text.ptr[i] != '*')
			return false;
	return w->text.len > 0;
}

static struct node *
count_term(struct parser *p, size_t at, struct node *n)
{
	if (++p->terms > SEARCH_TERMS_MAX)
		return too_much(p, at, "terms", SEARCH_TERMS_MAX);
	return n;
}

static bool
is_time_field(const struct context *ctx)
{
	return ctx->named && ctx->where.target == TARGET_FIELD &&
	    ctx->where.field == FIELD_TIMESTAMP;
}

static struct node *
make_term(struct parser *p, const struct context *ctx, const struct word *w,
    size_t at)
{
	struct leaf *leaf;

	if (w->text.len == 0 && !ctx->named)
		return count_term(p, at, node_new(p, NODE_ALL));
	if (all_stars(w) && !ctx->named)
		return count_term(p, at, node_new(p, NODE_ALL));
	leaf = leaf_new(p, ctx);
	if (all_stars(w)) {
		leaf->kind = LEAF_EXISTS;
	} else if (is_time_field(ctx)) {
		if (w->wild != NULL)
			return mistake(p, at,
			    "@timestamp takes a time, as 2026-11-22 or "
			    "2026-11-22T01:02:03Z, or a range of times");
		if (leaf_time(leaf, w->text, p->now_ns, p->err) != RC_OK) {
			p->wrong = at;
			return NULL;
		}
	} else {
		leaf_term(leaf, w, p->arena);
	}
	return count_term(p, at, leaf_node(p, leaf));
}

static struct node *
parse_expression(struct parser *p, const struct context *ctx, size_t len)
{
	size_t at = p->at, offset = 0;
	bool caseless = p->text.ptr[at + len - 1] == 'i';
	struct slice text = { p->text.ptr + at + 1, len - 2 - caseless };
	struct leaf *leaf = leaf_new(p, ctx);
	struct search_query *q = p->query;

	if (is_time_field(ctx))
		return mistake(p, at, "@timestamp takes a time, no pattern");
	leaf->kind = LEAF_REGEX;
	if (expression_new(text, caseless, &leaf->expression, &offset,
		p->err) != RC_OK) {
		p->wrong = at + 1 + offset;
		return NULL;
	}
	/* NOLINTBEGIN(bugprone-sizeof-expression): of pointers */
	q->expressions = xreallocarray(q->expressions, q->n_expressions + 1,
	    sizeof(q->expressions[0]));
	/* NOLINTEND(bugprone-sizeof-expression) */
	q->expressions[q->n_expressions++] = leaf->expression;
	leaf->exact = text;
	leaf->caseless = caseless;
	leaf->anchor = expression_anchor(text, caseless, p->arena);
	p->at += len;
	return count_term(p, at, leaf_node(p, leaf));
}

/* One end of a range: a word, a quoted text, or * for none. */
static bool
read_bound(struct parser *p, struct bound *b, struct slice *text)
{
	struct word w;

	skip_space(p);
	if (peek(p, 0) == '"') {
		p->at++;
		if (!read_quoted(p, &w))
			return false;
	} else {
		w = read_word(p, "]}");
	}
	*text = w.text;
	b->given = !all_stars(&w);
	return w.text.len > 0;
}

static struct node *
finish_range(struct parser *p, struct leaf *leaf, struct slice low,
    struct slice high, size_t at)
{
	if (!leaf->low.given && !leaf->high.given) {
		leaf->kind = LEAF_EXISTS;
	} else if (leaf_range(leaf, low, high, p->now_ns, p->arena, p->err) !=
	    RC_OK) {
		p->wrong = at;
		return NULL;
	}
	return count_term(p, at, leaf_node(p, leaf));
}

/* [a TO b], {a TO b}, [a TO b} */
static struct node *
parse_range(struct parser *p, const struct context *ctx)
{
	static const char form[] =
	    "a range is written [a TO b], or {a TO b} without its ends";
	struct leaf *leaf = leaf_new(p, ctx);
	struct slice low, high;
	size_t at = p->at;

	leaf->low.inclusive = peek(p, 0) == '[';
	p->at++;
	if (!read_bound(p, &leaf->low, &low))
		return mistake(p, p->at, form);
	skip_space(p);
	if (!at_keyword(p, "TO", "to"))
		return mistake(p, p->at, form);
	p->at += 2;
	if (!read_bound(p, &leaf->high, &high))
		return mistake(p, p->at, form);
	skip_space(p);
	if (peek(p, 0) != ']' && peek(p, 0) != '}')
		return mistake(p, p->at, form);
	leaf->high.inclusive = peek(p, 0) == ']';
	p->at++;
	return finish_range(p, leaf, low, high, at);
}

/* > >= < <= and what is compared with */
static struct node *
parse_comparison(struct parser *p, const struct context *ctx)
{
	struct leaf *leaf = leaf_new(p, ctx);
	size_t at = p->at;
	bool greater = peek(p, 0) == '>';
	bool inclusive = peek(p, 1) == '=';
	struct bound *b = greater ? &leaf->low : &leaf->high;
	struct slice text, none = SLICE("");

	p->at += inclusive ? 2 : 1;
	b->inclusive = inclusive;
	if (!read_bound(p, b, &text) || !b->given)
		return mistake(p, p->at,
		    "a value to compare with is missing here");
	return finish_range(p, leaf, greater ? text : none,
	    greater ? none : text, at);
}

static struct node *
parse_group(struct parser *p, const struct context *ctx)
{
	size_t open = p->at;
	struct node *n;

	if (p->depth == SEARCH_DEPTH_MAX)
		return too_much(p, open, "levels of parentheses and NOT",
		    SEARCH_DEPTH_MAX);
	p->at++;
	skip_space(p);
	if (peek(p, 0) == ')')
		return mistake(p, p->at, "these parentheses are empty");
	p->depth++;
	n = parse_or(p, ctx);
	p->depth--;
	if (n == NULL)
		return NULL;
	skip_space(p);
	if (peek(p, 0) != ')')
		return mistake(p, open, "this parenthesis is never closed");
	p->at++;
	return n;
}

static struct node *
parse_phrase(struct parser *p, const struct context *ctx)
{
	size_t at = p->at++;
	struct word w;

	if (!read_quoted(p, &w))
		return mistake(p, at, "this quotation mark is never closed");
	return make_term(p, ctx, &w, at);
}

static struct node *
parse_value(struct parser *p, const struct context *ctx)
{
	char c = peek(p, 0);
	size_t at = p->at, len;
	struct word w;

	if (c == '(')
		return parse_group(p, ctx);
	if (c == '"')
		return parse_phrase(p, ctx);
	if (ctx->named && (c == '[' || c == '{'))
		return parse_range(p, ctx);
	if (ctx->named && (c == '<' || c == '>'))
		return parse_comparison(p, ctx);
	if (c == '/' && (len = expression_length(p)) > 0)
		return parse_expression(p, ctx, len);
	w = read_word(p, NULL);
	if (p->at == at)
		return mistake(p, at,
		    at_end(p) ? "something to search for is missing here"
			      : "this parenthesis closes nothing");
	return make_term(p, ctx, &w, at);
}

/* ---- clauses ---------------------------------------------------------------- */

static bool
in_name(char c)
{
	return is_word_char_ascii(c) || (unsigned char)c >= 0x80 || c == '.' ||
	    c == '_' || c == '-' || c == '@' || c == '*' || c == '\\';
}

/* Whether "name:" or "name >= " stands here; *colon is where its sign is. */
static bool
at_field(const struct parser *p, size_t *colon)
{
	size_t i = p->at, end;

	while (i < p->text.len && in_name(p->text.ptr[i]))
		i += p->text.ptr[i] == '\\' ? 2 : 1;
	end = i;
	while (i < p->text.len && is_space(p->text.ptr[i]))
		i++;
	if (i >= p->text.len || end == p->at)
		return false;
	*colon = i;
	return p->text.ptr[i] == ':' || p->text.ptr[i] == '<' ||
	    p->text.ptr[i] == '>';
}

static struct node *
set_field(struct parser *p, struct context *ctx, const struct word *name,
    size_t at)
{
	ctx->named = true;
	if (all_stars(name)) {
		ctx->where.target = TARGET_FREE;
	} else if (name->wild != NULL) {
		ctx->where.target = TARGET_NAMES;
		pattern_make(&ctx->where.names, name, p->arena);
	} else {
		ctx->where.target = TARGET_FIELD;
		/* interned: an old day may hold a name that is new to us */
		ctx->where.field = field_intern(name->text);
		if (ctx->where.field == FIELD_NONE)
			return mistake(p, at, "no field can have this name");
	}
	ctx->where.words = ctx->where.target == TARGET_FREE ||
	    (ctx->where.target == TARGET_FIELD &&
		field_is_text(ctx->where.field));
	return p->query->root;
}

/* _exists_:name */
static struct node *
parse_exists(struct parser *p)
{
	struct context ctx = { .named = false };
	struct leaf *leaf;
	struct word name;
	size_t at;

	skip_space(p);
	at = p->at;
	if (peek(p, 0) == '"') {
		p->at++;
		(void)read_quoted(p, &name);
	} else {
		name = read_word(p, NULL);
	}
	if (name.text.len == 0)
		return mistake(p, at, "the name of a field is missing here");
	if (all_stars(&name))
		return count_term(p, at, node_new(p, NODE_ALL));
	if (set_field(p, &ctx, &name, at) == NULL)
		return NULL;
	leaf = leaf_new(p, &ctx);
	leaf->kind = LEAF_EXISTS;
	return count_term(p, at, leaf_node(p, leaf));
}

static struct node *
parse_field(struct parser *p, size_t colon)
{
	struct context ctx = { .named = false };
	size_t at = p->at;
	struct word name = read_word(p, ":<>");

	p->at = colon;
	if (peek(p, 0) != ':') {
		if (set_field(p, &ctx, &name, at) == NULL)
			return NULL;
		return parse_comparison(p, &ctx);
	}
	p->at++;
	if (slice_eq(name.text, SLICE("_exists_")))
		return parse_exists(p);
	if (set_field(p, &ctx, &name, at) == NULL)
		return NULL;
	skip_space(p);
	if (at_end(p) || peek(p, 0) == ')')
		return mistake(p, p->at,
		    "a value for this field is missing here");
	/* "*:*", and "*:word" as free text */
	if (ctx.where.target == TARGET_FREE) {
		ctx.named = false;
		return parse_value(p, &ctx);
	}
	return parse_value(p, &ctx);
}

static struct node *parse_not(struct parser *p, const struct context *ctx);

static struct node *
parse_unary(struct parser *p, const struct context *ctx)
{
	size_t colon;

	skip_space(p);
	if (take(p, "NOT", "not", NULL))
		return parse_not(p, ctx);
	if ((peek(p, 0) == '!' || peek(p, 0) == '-') &&
	    p->at + 1 < p->text.len && !is_space(peek(p, 1))) {
		p->at++;
		return parse_not(p, ctx);
	}
	if (peek(p, 0) == '+' && p->at + 1 < p->text.len &&
	    !is_space(peek(p, 1)))
		p->at++;
	if (at_keyword(p, "AND", "and") || at_keyword(p, "OR", "or"))
		return mistake(p, p->at,
		    "something to search for is missing before this word; "
		    "quote it to search for itself");
	if (!ctx->named && at_field(p, &colon))
		return parse_field(p, colon);
	return parse_value(p, ctx);
}

static struct node *
parse_not(struct parser *p, const struct context *ctx)
{
	struct node *n = node_new(p, NODE_NOT), *child;

	if (p->depth == SEARCH_DEPTH_MAX)
		return too_much(p, p->at, "levels of parentheses and NOT",
		    SEARCH_DEPTH_MAX);
	p->depth++;
	child = parse_unary(p, ctx);
	p->depth--;
	if (child == NULL)
		return NULL;
	node_add(p, n, child);
	return n;
}

/* ---- operators -------------------------------------------------------------- */

static struct node *
parse_and(struct parser *p, const struct context *ctx)
{
	struct node *n = node_new(p, NODE_AND);

	for (;;) {
		struct node *child = parse_unary(p, ctx);

		if (child == NULL)
			return NULL;
		node_add(p, n, child);
		if (take(p, "AND", "and", "&&"))
			continue;
		if (at_end(p) || peek(p, 0) == ')' ||
		    at_keyword(p, "OR", "or") ||
		    (peek(p, 0) == '|' && peek(p, 1) == '|'))
			return n->n == 1 ? n->children[0] : n;
	}
}

static struct node *
parse_or(struct parser *p, const struct context *ctx)
{
	struct node *n = node_new(p, NODE_OR);

	do {
		struct node *child = parse_and(p, ctx);

		if (child == NULL)
			return NULL;
		node_add(p, n, child);
	} while (take(p, "OR", "or", "||"));
	return n->n == 1 ? n->children[0] : n;
}

/* ---- public ----------------------------------------------------------------- */

/* Characters before the byte, and one. */
static size_t
column_of(struct slice text, size_t at)
{
	size_t column = 1;

	for (size_t i = 0; i < at && i < text.len; i++)
		column += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return column;
}

/* The first byte that belongs to no character. */
static size_t
invalid_at(struct slice s)
{
	size_t at = 0, n = 1;

	while (at < s.len && n <= 4) {
		for (n = 1; n <= 4 && n <= s.len - at; n++)
			if (utf8_valid((struct slice){ s.ptr + at, n }))
				break;
		if (n > 4 || n > s.len - at)
			break;
		at += n;
	}
	return at;
}

static struct node *
parse_all(struct parser *p)
{
	struct context free_text = { .where = { .target = TARGET_FREE,
					 .words = true } };
	struct node *n;

	if (p->text.len > SEARCH_TEXT_MAX)
		return too_much(p, SEARCH_TEXT_MAX, "bytes of a query",
		    SEARCH_TEXT_MAX);
	if (!utf8_valid(p->text))
		return mistake(p, invalid_at(p->text),
		    "the query is not valid UTF-8");
	skip_space(p);
	if (at_end(p))
		return node_new(p, NODE_ALL);
	n = parse_or(p, &free_text);
	if (n != NULL && !at_end(p))
		return mistake(p, p->at, "this parenthesis closes nothing");
	return n;
}

static struct search_query *
query_new(void)
{
	struct search_query *q = xzalloc(sizeof(*q));

	q->arena = arena_new(ARENA_BLOCK);
	q->root = arena_alloc(q->arena, sizeof(*q->root));
	*q->root = (struct node){ .kind = NODE_ALL };
	return q;
}

enum rc
search_parse(struct slice text, int64_t now_ns, struct search_query **out,
    size_t *column, struct error *err)
{
	struct search_query *q = query_new();
	struct parser p = { .text = arena_copy(q->arena, text),
		.now_ns = now_ns,
		.query = q,
		.arena = q->arena,
		.err = err };
	struct node *root = parse_all(&p);

	*column = 0;
	*out = NULL;
	if (root == NULL) {
		*column = column_of(p.text, p.wrong);
		search_free(q);
		return err->code;
	}
	q->root = root;
	node_plan(root, q->arena);
	*out = q;
	return RC_OK;
}

struct search_query *
search_equals(const struct search_equal *list, size_t n)
{
	struct search_query *q = query_new();
	struct parser p = { .query = q, .arena = q->arena };
	struct node *all = node_new(&p, NODE_AND);

	for (size_t i = 0; i < n; i++) {
		struct context ctx = { .where = { .target = TARGET_FIELD,
					   .field = list[i].field } };
		struct leaf *leaf = leaf_new(&p, &ctx);

		leaf->kind = LEAF_EXACT;
		leaf->exact = arena_copy(q->arena, list[i].value);
		leaf->is_id = event_id_parse(leaf->exact, &leaf->id);
		node_add(&p, all, leaf_node(&p, leaf));
	}
	if (n > 0)
		q->root = all;
	node_plan(q->root, q->arena);
	return q;
}

void
search_free(struct search_query *q)
{
	if (q == NULL)
		return;
	for (uint32_t i = 0; i < q->n_expressions; i++)
		expression_free(q->expressions[i]);
	free(q->expressions);
	arena_free(q->arena);
	free(q);
}

void
search_explain(struct buf *out, struct slice text, size_t column,
    const char *message)
{
	size_t shown = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if ((unsigned char)c < 0x20 || c == 0x7f)
			c = ' ';
		(void)buf_add_char(out, c);
	}
	(void)buf_add_char(out, '\n');
	for (; shown + 1 < column; shown++)
		(void)buf_add_char(out, ' ');
	(void)buf_printf(out, "^ column %zu: %s", column, message);
}
