/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical bytes of what a rule means: equal bytes, equal meaning.  What
 * digests are made of and by which equal comparisons are shared.  Field names
 * and uncased texts are folded; names of selections, order of keys in the
 * file, comments and metadata are not in it.
 */
#pragma once

#include "rule.h"

void serial_match(struct buf *out, const struct sigma_match *m);
void serial_values(struct buf *out, const struct sigma_value *values,
    uint32_t n);

/* Lower case without spaces, as field.h's field_folded(). */
void serial_field(struct buf *out, struct slice name);

/* A detection: logsource, condition, selections. */
void serial_detection(struct buf *out, const struct sigma_rule *rule);

/* `digests`: of the rules it refers to, parallel to its `rules`. */
void serial_correlation(struct buf *out, const struct sigma_correlation *c,
    const uint8_t (*digests)[SHA256_BYTES]);
