/* SPDX-License-Identifier: Apache-2.0 */
#include "regex.h"

#include <stdio.h>

#include "rule.h"

enum {
	MATCH_LIMIT = 100000,
	HEAP_LIMIT_KIB = 1024,
	JIT_STACK_MIN = 32768,
	JIT_STACK_MAX = 524288,
	HEAVY_REPEAT = 256,
	HEAVY_TOTAL = 2000
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

/* The larger number of "{n,m}" at `s`; 0 if it is no repeat. */
static unsigned
repeat_at(struct slice s)
{
	unsigned n = 0, most = 0;

	for (size_t i = 1; i < s.len; i++) {
		char c = s.ptr[i];

		if (c >= '0' && c <= '9' && n < 100000)
			n = n * 10 + (unsigned)(c - '0');
		else if (c != ',' && c != '}')
			return 0;
		most = n > most ? n : most;
		if (c == '}')
			return most;
		if (c == ',')
			n = 0;
	}
	return 0;
}

bool
regex_is_heavy(struct slice text)
{
	unsigned total = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned n = text.ptr[i] != '{'
		    ? 0
		    : repeat_at((struct slice){ text.ptr + i, text.len - i });

		total += n;
		if (n >= HEAVY_REPEAT || total >= HEAVY_TOTAL)
			return true;
	}
	return false;
}

void
regex_scratch_init(struct regex_scratch *s)
{
	*s = (struct regex_scratch){ NULL };
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
