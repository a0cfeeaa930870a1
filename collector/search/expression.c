/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/expression.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "collector/search/match.h"
#include "xalloc.h"

enum {
	MATCH_LIMIT = 100000,
	HEAP_LIMIT_KIB = 1024,
	JIT_STACK_MIN = 32 * 1024,
	JIT_STACK_MAX = 512 * 1024,
	WHY_MAX = 160,
	ANCHOR_MIN = 2,
};

struct expression {
	pcre2_code *code;
	bool jit;
};

struct expression_scratch {
	pcre2_match_context *context;
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
};

enum rc
expression_new(struct slice text, bool caseless, struct expression **out,
    size_t *offset, struct error *err)
{
	uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOTALL;
	PCRE2_UCHAR why[WHY_MAX] = "";
	struct expression *x;
	pcre2_code *code;
	int number = 0;

	if (caseless)
		options |= PCRE2_CASELESS;
	code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &number,
	    offset, NULL);
	if (code == NULL) {
		(void)pcre2_get_error_message(number, why, sizeof(why));
		return error_set(err, RC_INVALID, "regular expression: %s",
		    (const char *)why);
	}
	x = xzalloc(sizeof(*x));
	x->code = code;
	x->jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
	*out = x;
	return RC_OK;
}

void
expression_free(struct expression *x)
{
	if (x == NULL)
		return;
	pcre2_code_free(x->code);
	free(x);
}

struct expression_scratch *
expression_scratch_new(void)
{
	struct expression_scratch *s = xzalloc(sizeof(*s));

	s->context = pcre2_match_context_create(NULL);
	s->data = pcre2_match_data_create(1, NULL);
	s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	(void)pcre2_set_match_limit(s->context, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
	pcre2_jit_stack_assign(s->context, NULL, s->stack);
	return s;
}

void
expression_scratch_free(struct expression_scratch *s)
{
	if (s == NULL)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	free(s);
}

bool
expression_matches(struct expression_scratch *s, const struct expression *x,
    struct slice subject)
{
	PCRE2_SPTR p = (PCRE2_SPTR)(subject.len > 0 ? subject.ptr : "");

	if (x->jit)
		return pcre2_jit_match(x->code, p, subject.len, 0, 0, s->data,
			   s->context) >= 0;
	return pcre2_match(x->code, p, subject.len, 0, PCRE2_NO_UTF_CHECK,
		   s->data, s->context) >= 0;
}

/* ---- what an expression says about the text around it -------------------- */

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

/* Behind a class that begins at `at`; past the end if it has none. */
static size_t
skip_class(struct slice s, size_t at)
{
	at++;
	if (at < s.len && s.ptr[at] == '^')
		at++;
	if (at < s.len && s.ptr[at] == ']')
		at++;
	while (at < s.len && s.ptr[at] != ']')
		at += s.ptr[at] == '\\' ? 2 : 1;
	return at + 1;
}

/* Behind "{3}", "{2,}", "{,4}"; `at` itself where the brace is none such. */
static size_t
skip_count(struct slice s, size_t at)
{
	size_t end = at + 1;

	while (end < s.len && strchr("0123456789, \t", s.ptr[end]) != NULL &&
	    s.ptr[end] != '\0')
		end++;
	return end < s.len && s.ptr[end] == '}' ? end + 1 : at;
}

/* A run of literal text, and the longest one so far. */
struct runs {
	char *now, *best;
	size_t n, n_best;
	bool caseless;
};

static void
end_run(struct runs *r)
{
	if (r->n > r->n_best) {
		memcpy(r->best, r->now, r->n);
		r->n_best = r->n;
	}
	r->n = 0;
}

/* The long s and the Kelvin sign are ASCII letters in another case. */
static bool
has_foreign_case(char c)
{
	return strchr("sSkK", c) != NULL && c != '\0';
}

static void
add_char(struct runs *r, char c)
{
	if (r->caseless && has_foreign_case(c)) {
		end_run(r);
		return;
	}
	lower_to(r->now + r->n++, (struct slice){ &c, 1 });
}

/*
 * One step outside of classes; where the next begins.  What can stand for
 * nothing ends the run without its last character.
 */
static size_t
step(struct runs *r, struct slice s, size_t at, unsigned *depth)
{
	char c = s.ptr[at];

	if (c == '(')
		++*depth;
	if (c == ')' && *depth > 0)
		--*depth;
	if (*depth > 0 || c == '(' || c == ')' || (unsigned char)c >= 0x80) {
		end_run(r);
		return at + (c == '\\' ? 2 : 1);
	}
	if (c == '\\') {
		if (at + 1 < s.len && !is_letter(s.ptr[at + 1]) &&
		    (unsigned char)s.ptr[at + 1] < 0x80)
			add_char(r, s.ptr[at + 1]);
		else
			end_run(r);
		return at + 2;
	}
	if (strchr("*?{", c) != NULL) {
		if (r->n > 0)
			r->n--;
		end_run(r);
		if (c == '{' && skip_count(s, at) > at)
			return skip_count(s, at);
	} else if (strchr("+.^$|", c) != NULL) {
		end_run(r);
	} else {
		add_char(r, c);
	}
	return at + 1;
}

/* In which literal text may be no text: comments, other syntax, choices. */
static bool
is_simple(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' && i + 1 < s.len) {
			/* beyond a letter or a class: \Q, \x41, \N{...}, \1 */
			if (strchr("dDwWsSbBAzZhHvVR", s.ptr[i + 1]) == NULL &&
			    is_letter(s.ptr[i + 1]))
				return false;
			i++;
		} else if (s.ptr[i] == '|') {
			return false;
		} else if (s.ptr[i] == '(' && i + 1 < s.len &&
		    (s.ptr[i + 1] == '?' || s.ptr[i + 1] == '*')) {
			if (i + 2 >= s.len || s.ptr[i + 1] != '?' ||
			    s.ptr[i + 2] != ':')
				return false;
		}
	}
	return true;
}

struct slice
expression_anchor(struct slice text, bool caseless, struct arena *arena)
{
	struct runs r = { .caseless = caseless,
		.now = arena_alloc(arena, text.len + 1),
		.best = arena_alloc(arena, text.len + 1) };
	unsigned depth = 0;
	size_t at = 0;

	/* "(?i)abc" is what people write */
	if (text.len >= 4 && memcmp(text.ptr, "(?i)", 4) == 0) {
		text.ptr += 4;
		text.len -= 4;
		r.caseless = true;
	}
	if (!is_simple(text))
		return SLICE("");
	while (at < text.len) {
		if (text.ptr[at] == '[') {
			end_run(&r);
			at = skip_class(text, at);
		} else {
			at = step(&r, text, at, &depth);
		}
	}
	end_run(&r);
	if (r.n_best < ANCHOR_MIN)
		return SLICE("");
	return (struct slice){ r.best, r.n_best };
}

/* "(?=", "(*" and the like; "(?:" is none. */
static bool
looks_around(struct slice s, size_t at)
{
	if (s.ptr[at] != '(' || at + 1 >= s.len ||
	    (s.ptr[at + 1] != '?' && s.ptr[at + 1] != '*'))
		return false;
	return at + 2 >= s.len || s.ptr[at + 2] != ':';
}

/* A '+' behind a quantifier. */
static bool
is_possessive(struct slice s, size_t at)
{
	return s.ptr[at] == '+' && at > 0 &&
	    strchr("+*?}", s.ptr[at - 1]) != NULL;
}

bool
expression_is_local(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\\' && i + 1 < text.len) {
			if (strchr("dDwWsS", text.ptr[i + 1]) == NULL &&
			    is_letter(text.ptr[i + 1]))
				return false;
			i++;
		} else if (c == '[') {
			i = skip_class(text, i) - 1;
		} else if (c == '^' || c == '$' || looks_around(text, i) ||
		    is_possessive(text, i)) {
			return false;
		}
	}
	return true;
}
