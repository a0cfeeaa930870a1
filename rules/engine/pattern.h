/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sigma's strings with wildcards: `*` any length, `?` one character; `\`
 * escapes `*`, `?` and `\` and is itself before anything else.
 *
 * Patterns are made in an arena and borrow from it.
 */
#pragma once

#include "rule.h"

/* The text of a rule; `text` is valid UTF-8 and is copied. */
struct pattern pattern_parse(struct arena *arena, struct slice text);

/* Exactly these bytes, nothing is a wildcard. */
struct pattern pattern_plain(struct arena *arena, struct slice text);

/* True if there is no wildcard: `text` is then the whole of it. */
bool pattern_is_plain(const struct pattern *p, struct slice *text);

/* "*p", "p*" */
struct pattern pattern_open_start(struct arena *arena, struct pattern p);
struct pattern pattern_open_end(struct arena *arena, struct pattern p);

/* `a` and then `b`. */
struct pattern pattern_join(struct arena *arena, struct pattern a,
    struct pattern b);

/* Every text folded (utf8_fold). */
struct pattern pattern_fold(struct arena *arena, struct pattern p);

/* Whether all of `text` (valid UTF-8) is like `p`, byte for byte. */
bool pattern_match(const struct pattern *p, struct slice text);
