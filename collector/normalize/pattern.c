/* SPDX-License-Identifier: Apache-2.0 */
/* PCRE2 with JIT: compiling with defines and bounds, matching. */
#include <stdlib.h>

#include "format.h"
#include "utf8.h"
#include "xalloc.h"

enum {
	DEFINE_DEPTH_MAX = 8,
	JIT_STACK_MIN = 32 * 1024,
	JIT_STACK_MAX = 512 * 1024,
	MATCH_LIMIT = 200000,
	HEAP_LIMIT_KIB = 1024,
	ERROR_TEXT = 128,
	SKIP_ROUNDS = 4,
	/* before it the pairs of a line cost more than they save */
	FAILED_MIN = 1
};

static const struct define *
find_define(struct slice name, const struct define *defines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(defines[i].name, name))
			return &defines[i];
	return NULL;
}

/* %{NAME} -> (?:text of NAME); a definition may use others. */
static enum rc
expand(struct slice text, const struct define *defines, size_t n_defines,
    unsigned depth, struct buf *out, struct error *err)
{
	const char *p = text.ptr, *end = text.ptr + text.len;

	if (depth > DEFINE_DEPTH_MAX)
		return error_set(err, RC_INVALID,
		    "definitions refer to each other more than %d deep",
		    DEFINE_DEPTH_MAX);
	while (p < end) {
		const char *open =
		    memmem(p, (size_t)(end - p), "%{", strlen("%{"));
		const struct define *d;
		const char *close;
		struct slice name;

		if (open == NULL)
			open = end;
		(void)buf_add(out, p, (size_t)(open - p));
		if (open == end)
			break;
		name.ptr = open + strlen("%{");
		close = memchr(name.ptr, '}', (size_t)(end - name.ptr));
		if (close == NULL)
			return error_set(err, RC_INVALID, "%%{ without }");
		name.len = (size_t)(close - name.ptr);
		d = find_define(name, defines, n_defines);
		if (d == NULL)
			return error_set(err, RC_INVALID,
			    "%%{%.*s} is not defined", SLICE_ARG(name));
		(void)buf_add_str(out, "(?:");
		if (expand(d->text, defines, n_defines, depth + 1, out, err) !=
		    RC_OK)
			return err->code;
		(void)buf_add_char(out, ')');
		p = close + 1;
	}
	if (out->overflowed)
		return error_set(err, RC_LIMIT,
		    "the pattern is longer than %d bytes", PATTERN_TEXT_MAX);
	return RC_OK;
}

/* A '|' outside every group: then no text begins all matches. */
static bool
has_top_alternative(struct slice text)
{
	unsigned depth = 0;
	bool in_class = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\\')
			i++;
		else if (in_class)
			in_class = c != ']';
		else if (c == '[')
			in_class = true;
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
		else if (c == '|' && depth == 0)
			return true;
	}
	return false;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

/* The literal text that every match must begin with; may be empty. */
static void
read_prefix(struct slice text, struct pattern *out)
{
	uint32_t n = 0;

	out->prefix_len = 0;
	if (has_top_alternative(text))
		return;
	for (size_t i = 0; i < text.len && n < PREFIX_MAX; i++) {
		char c = text.ptr[i];

		/* a quantifier would be one of several bytes */
		if ((unsigned char)c >= 0x80)
			break;
		if (c == '\\' && i + 1 < text.len &&
		    !is_alnum(text.ptr[i + 1])) {
			c = text.ptr[++i];
		} else if (strchr("*?{", c) != NULL) {
			n -= n > 0;
			break;
		} else if (strchr(".[(\\^$|+)", c) != NULL) {
			break;
		}
		out->prefix[n++] = c;
	}
	/* a quantifier right behind a prefix that is full */
	out->prefix_len = n == PREFIX_MAX ? n - 1 : n;
}

static bool
to_machine_code(pcre2_code *code)
{
	return code == NULL || pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

enum rc
pattern_compile(struct slice text, const struct define *defines,
    size_t n_defines, struct pattern *out, struct error *err)
{
	const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED |
	    PCRE2_DOTALL | PCRE2_DUPNAMES | PCRE2_NO_AUTO_CAPTURE |
	    PCRE2_NEVER_BACKSLASH_C;
	PCRE2_UCHAR reason[ERROR_TEXT];
	struct buf expanded;
	PCRE2_SIZE offset;
	int number;
	enum rc rc;

	buf_init(&expanded, PATTERN_TEXT_MAX);
	rc = expand(text, defines, n_defines, 0, &expanded, err);
	if (rc != RC_OK)
		goto out;
	out->code = pcre2_compile((PCRE2_SPTR)expanded.ptr, expanded.len,
	    options | PCRE2_UTF, &number, &offset, NULL);
	if (out->code == NULL) {
		(void)pcre2_get_error_message(number, reason, sizeof(reason));
		rc = error_set(err, RC_INVALID,
		    "the pattern does not compile: %s (at byte %zu of it)",
		    (const char *)reason, (size_t)offset);
		goto out;
	}
	/* one that names characters beyond ASCII may not compile: fine */
	if (utf8_is_ascii(buf_slice(&expanded)))
		out->ascii = pcre2_compile((PCRE2_SPTR)expanded.ptr,
		    expanded.len, options, &number, &offset, NULL);
	/* without JIT (a hardened kernel) the interpreter does it, slower */
	out->compiled =
	    to_machine_code(out->code) && to_machine_code(out->ascii);
	read_prefix(buf_slice(&expanded), out);
	pattern_filter_read(buf_slice(&expanded), &out->filter);
out:
	buf_fini(&expanded);
	return rc;
}

void
scratch_line(struct scratch *s, struct slice line, bool ascii)
{
	s->ascii = ascii ? line : (struct slice){ NULL, 0 };
	s->failed = 0;
	s->pairs.text = (struct slice){ NULL, 0 };
}

void
scratch_init(struct scratch *s)
{
	s->match = pcre2_match_data_create(GROUPS_MAX + 1, NULL);
	s->context = pcre2_match_context_create(NULL);
	s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	s->limits = 0;
	scratch_line(s, SLICE(""), true);
	if (s->match == NULL || s->context == NULL)
		abort();
	(void)pcre2_set_match_limit(s->context, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
	if (s->stack != NULL)
		pcre2_jit_stack_assign(s->context, NULL, s->stack);
}

void
scratch_fini(struct scratch *s)
{
	pcre2_match_data_free(s->match);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
}

bool
pattern_fits(const struct pattern *p, struct scratch *s, struct slice text)
{
	const pcre2_code *code = p->code;
	int n;

	if (text.len < p->prefix_len ||
	    memcmp(text.ptr, p->prefix, p->prefix_len) != 0 ||
	    !pattern_filter_lead(&p->filter, text))
		return false;
	if (slice_is_within(text, s->pairs.text) &&
	    !pattern_filter_pairs(&p->filter, &s->pairs))
		return false;
	if (p->ascii != NULL && slice_is_within(text, s->ascii))
		code = p->ascii;
	/* pcre2_match() would look at each of its arguments first */
	n = p->compiled ? pcre2_jit_match(code, (PCRE2_SPTR)text.ptr, text.len,
			      0, 0, s->match, s->context)
			: pcre2_match(code, (PCRE2_SPTR)text.ptr, text.len, 0,
			      PCRE2_NO_UTF_CHECK, s->match, s->context);
	if (n < 0 && n != PCRE2_ERROR_NOMATCH)
		s->limits++;
	s->failed += n <= 0;
	return n > 0;
}

const struct pattern *
format_match(const struct format *f, struct scratch *s, struct slice text,
    bool hinted)
{
	/* an empty text has no first byte: index 256 */
	unsigned first = text.len > 0 ? (unsigned char)text.ptr[0] : 256U;

	if (f->n_patterns == 0 || first == 256U)
		return NULL;
	for (unsigned i = f->first[first]; i < f->first[first + 1]; i++) {
		const struct pattern *p = &f->patterns[f->by_first[i]];

		if (p->hinted && !hinted)
			continue;
		if (pattern_fits(p, s, text))
			return p;
		if (s->failed >= FAILED_MIN && text.len <= PAIRS_TEXT_MAX &&
		    !slice_is_within(text, s->pairs.text))
			text_pairs_read(&s->pairs, text);
	}
	return NULL;
}

struct slice
format_skip(const struct format *f, struct slice text)
{
	for (unsigned round = 0; round < SKIP_ROUNDS; round++) {
		size_t before = text.len;

		while (text.len > 0 && text.ptr[0] == ' ') {
			text.ptr++;
			text.len--;
		}
		for (uint32_t i = 0; i < f->n_skip; i++) {
			struct slice s = f->skip[i];

			if (text.len > s.len &&
			    memcmp(text.ptr, s.ptr, s.len) == 0) {
				text.ptr += s.len;
				text.len -= s.len;
				break;
			}
		}
		if (text.len == before)
			break;
	}
	return text;
}
