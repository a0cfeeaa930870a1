/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody may have meant who wrote a name that is not known. */
#pragma once

#include "slice.h"

/*
 * How many letters to insert, drop, change, or swap with the one beside them,
 * to make one of the other; more than 32 bytes are far: UINT_MAX.
 */
unsigned near_distance(struct slice a, struct slice b);

/*
 * The one of `names` that is spelt most like `word`; empty: none is, or it is
 * too short to say.
 */
struct slice near_of(struct slice word, const struct slice *names, size_t n);
