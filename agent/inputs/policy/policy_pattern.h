/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions of policy files: PCRE2, line by line, with a bound on the work. */
#pragma once

#include "error.h"
#include "slice.h"

struct policy_pattern;

/* RC_INVALID: err says what is wrong with it. */
enum rc policy_pattern_new(const char *text, struct policy_pattern **out,
    struct error *err);
void policy_pattern_free(struct policy_pattern *p); /* NULL is fine */

/* RC_OK: it matches; RC_EOF: it does not; RC_LIMIT: it takes too long. */
enum rc policy_pattern_match(const struct policy_pattern *p, struct slice text);
