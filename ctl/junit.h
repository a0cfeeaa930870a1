/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results of tests as the XML that JUnit began with, which every system of
 * continuous integration reads: one suite, a case each, its failure's text.
 */
#pragma once

#include "error.h"
#include "slice.h"

struct junit;

struct junit *junit_new(const char *suite); /* borrowed */
void junit_free(struct junit *j);           /* NULL is fine */

/* `path`: its last part is the case's name, what is before that its class. */
void junit_pass(struct junit *j, const char *path, double seconds);
/* `message` in a line, `text` all.  What XML cannot carry becomes '?'. */
void junit_fail(struct junit *j, const char *path, double seconds,
    struct slice message, struct slice text);

/* RC_LIMIT: the report is too large; RC_SYSTEM: it cannot be written. */
enum rc junit_save(const struct junit *j, const char *path, struct error *err);
