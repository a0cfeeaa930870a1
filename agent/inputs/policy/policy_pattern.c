/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/policy/policy_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "xalloc.h"

enum { STEPS_MAX = 10 * 1000 * 1000, HEAP_MAX_KIB = 8192 };

struct policy_pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

enum rc
policy_pattern_new(const char *text, struct policy_pattern **out,
    struct error *err)
{
	struct policy_pattern *p = xzalloc(sizeof(*p));
	PCRE2_UCHAR why[256];
	PCRE2_SIZE at;
	int code;

	*out = NULL;
	p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
	    PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (p->code == NULL) {
		(void)pcre2_get_error_message(code, why, sizeof(why));
		policy_pattern_free(p);
		return error_set(err, RC_INVALID, "at %zu: %s", (size_t)at,
		    (const char *)why);
	}
	p->data = pcre2_match_data_create(1, NULL);
	p->context = pcre2_match_context_create(NULL);
	if (p->data == NULL || p->context == NULL)
		abort(); /* as without memory */
	(void)pcre2_set_match_limit(p->context, STEPS_MAX);
	(void)pcre2_set_heap_limit(p->context, HEAP_MAX_KIB);
	*out = p;
	return RC_OK;
}

void
policy_pattern_free(struct policy_pattern *p)
{
	if (p == NULL)
		return;
	pcre2_match_context_free(p->context);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}

enum rc
policy_pattern_match(const struct policy_pattern *p, struct slice text)
{
	int found = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, 0, 0,
	    p->data, p->context);

	return found >= 0                  ? RC_OK
	    : found == PCRE2_ERROR_NOMATCH ? RC_EOF
					   : RC_LIMIT;
}
