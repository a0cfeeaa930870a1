/* SPDX-License-Identifier: Apache-2.0 */
#include "regex.h"

#include <stdio.h>

#include "rule.h"

enum {
	MATCH_LIMIT = 100000,
	HEAP_LIMIT_KIB = 1024,
	JIT_STACK_MIN = 32768,
	JIT_STACK_MAX = 524288,
	FAR_COUNT = 32, /* of one repeat */
	HEAVY_TOTAL = 100,
	GROUPS_MAX = 256 /* PCRE2 takes fewer */
};

static uint32_t
options_of(uint8_t flags)
{
	uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;

	if ((flags & REGEX_CASELESS) != 0)
		options |= PCRE2_CASELESS;
	if ((flags & REGEX_MULTILINE) != 0)
		options |= PCRE2_MULTILINE;
	if ((flags & REGEX_DOTALL) != 0)
		options |= PCRE2_DOTALL;
	return options;
}

static pcre2_code *
compile(struct slice text, uint8_t flags, int *error, size_t *offset)
{
	return pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options_of(flags),
	    error, offset, NULL);
}

bool
regex_check(struct slice text, uint8_t flags, char *why, size_t room)
{
	PCRE2_UCHAR message[120] = "";
	size_t offset = 0;
	int error = 0;
	pcre2_code *code = compile(text, flags, &error, &offset);

	if (code != NULL) {
		pcre2_code_free(code);
		return true;
	}
	(void)pcre2_get_error_message(error, message, sizeof(message));
	(void)snprintf(why, room, "%s, at byte %zu", (const char *)message,
	    offset);
	return false;
}

pcre2_code *
regex_compile(struct slice text, uint8_t flags)
{
	size_t offset;
	int error;
	pcre2_code *code = compile(text, flags, &error, &offset);

	if (code != NULL)
		(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

struct repeat {
	size_t len; /* of "{n,m}"; 0: none */
	unsigned least, most;
};

static struct repeat
repeat_at(struct slice s)
{
	struct repeat r = { .len = 0 };
	unsigned n = 0;
	bool comma = false;

	for (size_t i = 1; i < s.len; i++) {
		char c = s.ptr[i];

		if (c >= '0' && c <= '9') {
			n = n < 100000 ? n * 10 + (unsigned)(c - '0') : n;
		} else if (c == ',' && !comma && i > 1) {
			comma = true;
			r.least = n;
			n = 0;
		} else if (c == '}' && i > 1) {
			r.least = comma ? r.least : n;
			r.most = n > r.least ? n : r.least;
			r.len = i + 1;
			break;
		} else {
			break;
		}
	}
	return r;
}

/* Walks over a regular expression; sees escapes and classes. */
struct regex_walk {
	struct slice text;
	size_t at;
	bool in_class;
};

/* A class begins; how many of its first characters are no end of it. */
static size_t
enter_class(struct regex_walk *w)
{
	const char *p = w->text.ptr + w->at;
	size_t left = w->text.len - w->at, n = 0;

	w->in_class = true;
	if (left > 1 && p[1] == '^')
		n++;
	return left > n + 1 && p[n + 1] == ']' ? n + 1 : n;
}

/* The repeat at the walk's place; steps over it, or over one character. */
static struct repeat
walk_step(struct regex_walk *w, size_t *from)
{
	struct repeat r = { .len = 0 };
	char c = w->text.ptr[w->at];

	*from = w->at;
	if (c == '\\' && w->at + 1 < w->text.len)
		w->at++;
	else if (c == '[' && !w->in_class)
		w->at += enter_class(w);
	else if (c == ']')
		w->in_class = false;
	else if (c == '{' && !w->in_class)
		r = repeat_at(
		    (struct slice){ w->text.ptr + w->at, w->text.len - w->at });
	w->at += r.len > 0 ? r.len : 1;
	return r;
}

bool
regex_is_heavy(struct slice text)
{
	struct regex_walk w = { .text = text };
	unsigned total = 0;
	size_t from;

	while (w.at < text.len && total < HEAVY_TOTAL)
		total += walk_step(&w, &from).most;
	return total >= HEAVY_TOTAL;
}

/* Groups that are open, by what there was before them. */
struct regex_groups {
	unsigned before[GROUPS_MAX];
	unsigned n;
};

static unsigned
saturate(uint64_t places)
{
	return places < REGEX_PLACES_MAX ? (unsigned)places : REGEX_PLACES_MAX;
}

unsigned
regex_places(struct slice text)
{
	struct regex_walk w = { .text = text };
	struct regex_groups open = { .n = 0 };
	uint64_t total = 0, last = 0; /* of what a repeat would repeat */
	size_t from;

	while (w.at < text.len) {
		bool in_class = w.in_class;
		char c = text.ptr[w.at];
		struct repeat r = walk_step(&w, &from);

		if (r.len > 0) {
			total += r.most > 0 ? last * (r.most - 1) : 0;
		} else if (in_class || strchr("*+?|^$", c) != NULL) {
			continue; /* in a class: it was counted */
		} else if (c == '(') {
			if (open.n == GROUPS_MAX)
				return REGEX_PLACES_MAX;
			open.before[open.n++] = saturate(total);
		} else if (c == ')' && open.n > 0) {
			last = total - open.before[--open.n];
		} else {
			total++;
			last = 1;
		}
		total = saturate(total);
	}
	return (unsigned)total;
}

void
regex_relax(struct slice text, char *out)
{
	struct regex_walk w = { .text = text };
	size_t from, n = 0;

	while (w.at < text.len) {
		struct repeat r = walk_step(&w, &from);

		if (r.most >= FAR_COUNT) {
			out[n++] = r.least == 0 ? '*' : '+';
			continue;
		}
		memcpy(out + n, text.ptr + from, w.at - from);
		n += w.at - from;
	}
	out[n] = '\0';
}

void
regex_scratch_init(struct regex_scratch *s)
{
	*s = (struct regex_scratch){ 0 };
	s->context = pcre2_match_context_create(NULL);
	s->data = pcre2_match_data_create(1, NULL);
	s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	(void)pcre2_set_match_limit(s->context, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
	pcre2_jit_stack_assign(s->context, NULL, s->stack);
}

void
regex_scratch_fini(struct regex_scratch *s)
{
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
}

bool
regex_match(struct regex_scratch *s, const pcre2_code *code,
    struct slice subject)
{
	int n = pcre2_match(code, (PCRE2_SPTR)subject.ptr, subject.len, 0,
	    PCRE2_NO_UTF_CHECK, s->data, s->context);

	if (n < 0 && n != PCRE2_ERROR_NOMATCH)
		s->gave_up++;
	return n >= 0;
}
