/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of rules on PCRE2: for what Hyperscan does not look for.
 * Bounded: match limit, heap limit, no back-tracking verbs from outside.
 */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "slice.h"

#include <stdint.h>

/* False, and why, if it is no regular expression. */
bool regex_check(struct slice text, uint8_t flags, char *why, size_t room);

/* With JIT; NULL only if regex_check() says no. */
pcre2_code *regex_compile(struct slice text, uint8_t flags);

/* Whether it counts so far that Hyperscan would make a giant of it. */
bool regex_is_heavy(struct slice text);

/*
 * How many characters it has with its counts written out, as a matcher of all
 * places at once needs them; saturated at REGEX_PLACES_MAX.
 */
enum {
	REGEX_PLACES_MAX = 1 << 20,
	/* more than that Hyperscan is not asked for: seconds of compiling */
	REGEX_DATABASE_PLACES = 512
};
unsigned regex_places(struct slice text);

/*
 * The same with every far count replaced by "any number": it matches at least
 * what `text` matches.  `out` has room for text.len + 1 bytes, NUL follows.
 */
void regex_relax(struct slice text, char *out);

/* One thread's scratch. */
struct regex_scratch {
	pcre2_match_context *context;
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
	uint64_t gave_up; /* matches that a limit ended: taken as none */
};
void regex_scratch_init(struct regex_scratch *s);
void regex_scratch_fini(struct regex_scratch *s);

/* `subject` is valid UTF-8. */
bool regex_match(struct regex_scratch *s, const pcre2_code *code,
    struct slice subject);
