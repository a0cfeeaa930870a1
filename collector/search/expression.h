/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of queries: PCRE2 with JIT, in UTF mode, bounded by a
 * match limit.  They match anywhere in a value and see letters as they are.
 */
#pragma once

#include "arena.h"
#include "error.h"
#include "slice.h"

struct expression;

/*
 * `flags` behind the closing slash: "i".  RC_INVALID: *offset is the byte of
 * `text` at which it is wrong.
 */
enum rc expression_new(struct slice text, bool caseless,
    struct expression **out, size_t *offset, struct error *err);
void expression_free(struct expression *x); /* NULL is fine */

/*
 * ASCII text, in lower case, that occurs in whatever matches, letter case
 * apart; empty if none is certain.
 */
struct slice expression_anchor(struct slice text, bool caseless,
    struct arena *arena);

/*
 * Whether a match within a piece of a text is one within the text: nothing in
 * the expression looks at what stands around.
 */
bool expression_is_local(struct slice text);

/* One thread's scratch. */
struct expression_scratch;
struct expression_scratch *expression_scratch_new(void);
void expression_scratch_free(struct expression_scratch *s); /* NULL is fine */

/* `subject` is valid UTF-8.  A match that a limit ends is none. */
bool expression_matches(struct expression_scratch *s,
    const struct expression *x, struct slice subject);
