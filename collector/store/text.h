/* SPDX-License-Identifier: Apache-2.0 */
/* A scalar's text: what --where compares and what the Bloom filter holds. */
#pragma once

#include "event.h"

enum { VALUE_TEXT_MAX = 40 };

struct slice int_text(int64_t i, char out[VALUE_TEXT_MAX]);
struct slice double_text(double d, char out[VALUE_TEXT_MAX]);

/* A list equals what one of its items equals. */
bool value_equals_text(const struct value *v, struct slice text);
