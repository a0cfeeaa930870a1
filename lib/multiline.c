/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "multiline.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "timestamp.h"
#include "xalloc.h"

/*
 * No JIT: the agent's address space has no memory that is both written to and
 * run.
 */
enum {
	STEPS_MAX = 100000,
	HEAP_MAX_KIB = 1024,
	LOOK_BYTES = 4096, /* of a line: what comes later does not decide */
	ERROR_TEXT = 128,
};

struct multiline {
	struct multiline_options options; /* its texts are not used */
	bool negate;                      /* the pattern is of what goes on */
	pcre2_code *code;                 /* NULL: no pattern */
	pcre2_match_data *data;
	pcre2_match_context *context;
};

int
multiline_ways(const struct multiline_options *o)
{
	return (o->first != NULL) + (o->next != NULL) + o->indent +
	    o->timestamp + o->audit;
}

static enum rc
compile(struct multiline *m, const char *pattern, struct error *err)
{
	unsigned char text[ERROR_TEXT];
	PCRE2_SIZE at;
	int code;

	m->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
	    PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
		PCRE2_DOLLAR_ENDONLY,
	    &code, &at, NULL);
	if (m->code == NULL) {
		(void)pcre2_get_error_message(code, text, sizeof(text));
		return error_set(err, RC_INVALID, "at character %zu: %s",
		    (size_t)at + 1, (const char *)text);
	}
	m->data = pcre2_match_data_create(1, NULL);
	m->context = pcre2_match_context_create(NULL);
	if (m->data == NULL || m->context == NULL)
		abort();
	(void)pcre2_set_match_limit(m->context, STEPS_MAX);
	(void)pcre2_set_heap_limit(m->context, HEAP_MAX_KIB);
	return RC_OK;
}

enum rc
multiline_new(const struct multiline_options *o, struct multiline **out,
    struct error *err)
{
	struct multiline *m;
	const char *pattern = o->first != NULL ? o->first : o->next;

	if (multiline_ways(o) != 1)
		return error_set(err, RC_INVALID,
		    "one of first, next, indent and timestamp is needed");
	m = xzalloc(sizeof(*m));
	m->options = *o;
	m->negate = o->next != NULL;
	if (pattern != NULL && compile(m, pattern, err) != RC_OK) {
		multiline_free(m);
		return err->code;
	}
	*out = m;
	return RC_OK;
}

void
multiline_free(struct multiline *m)
{
	if (m == NULL)
		return;
	pcre2_match_context_free(m->context);
	pcre2_match_data_free(m->data);
	pcre2_code_free(m->code);
	free(m);
}

static bool
begins_with_time(struct slice line)
{
	static size_t (*const formats[])(struct slice,
	    const struct timestamp_hints *, int64_t *) = {
		timestamp_parse_rfc3339,
		timestamp_parse_rfc3164,
		timestamp_parse_slashed,
		timestamp_parse_clf,
		timestamp_parse_ctime,
		timestamp_parse_unix,
	};
	const struct timestamp_hints hints = { .year = 2000 };
	const char *close;
	int64_t time_ns;

	/* <34>Nov 22 ..., [22/Nov/2026:..., [Sun Nov 22 ... */
	if (line.len > 0 && line.ptr[0] == '<') {
		close = memchr(line.ptr, '>', line.len < 5 ? line.len : 5);
		if (close == NULL)
			return false;
		line.len -= (size_t)(close + 1 - line.ptr);
		line.ptr = close + 1;
	}
	if (line.len > 0 && (line.ptr[0] == '[' || line.ptr[0] == '(')) {
		line.ptr++;
		line.len--;
	}
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i](line, &hints, &time_ns) > 0)
			return true;
	}
	return false;
}

static bool
same_audit_event(struct slice first, struct slice line)
{
	struct audit_head a, b;

	return audit_head(first, &a) && audit_head(line, &b) &&
	    audit_same_event(&a, &b);
}

bool
multiline_begins(const struct multiline *m, struct slice first,
    struct slice line)
{
	int found;

	if (m->options.audit)
		return !same_audit_event(first, line);
	if (m->options.indent)
		return line.len == 0 ||
		    (line.ptr[0] != ' ' && line.ptr[0] != '\t');
	if (m->options.timestamp)
		return begins_with_time(line);
	if (line.len > LOOK_BYTES)
		line.len = LOOK_BYTES;
	found = pcre2_match(m->code, (PCRE2_SPTR)line.ptr, line.len, 0, 0,
	    m->data, m->context);
	if (found == PCRE2_ERROR_NOMATCH)
		return m->negate;
	return found < 0 || !m->negate;
}

bool
multiline_ends(const struct multiline *m, struct slice line)
{
	struct audit_head head;

	return m->options.audit && audit_head(line, &head) &&
	    slice_eq(head.type, SLICE("EOE"));
}
