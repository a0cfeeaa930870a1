/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of classes of ASCII characters that occurs in whatever a regular
 * expression matches: digit, digit, space of `[0-9]{2}\s+x?`.  Where it stands
 * in a text is found sixty-four places at once.
 */
#pragma once

#include <stdint.h>

#include "slice.h"

struct class_run;

/*
 * NULL: none that would be worth to look for.  The expression is one that PCRE2
 * compiled with PCRE2_UTF.
 */
struct class_run *class_run_new(struct slice expression, bool caseless);
void class_run_free(struct class_run *r); /* NULL is fine */

/* The expression is nothing but the run: where it stands, that matches. */
bool class_run_is_all(const struct class_run *r);

/*
 * The values k of `text` (from offsets[k] to offsets[k + 1]) within which the
 * run stands have found[k] set to 1, the others to 0; how many there are.
 */
uint32_t class_run_find(const struct class_run *r, const char *text,
    const uint32_t *offsets, uint32_t n, uint8_t *found);
