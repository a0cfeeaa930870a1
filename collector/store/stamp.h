/* SPDX-License-Identifier: Apache-2.0 */
/* Time stamps of signed heads by an authority (RFC 3161). */
#pragma once

#include "collector/store/internal.h"

/*
 * Has the oldest head of the day without a stamp stamped: *done is false if
 * there is none.  Blocks for as long as the authority does, 8 s at most: SIGTERM waits for it.
 */
enum rc stamp_step(struct store *s, int32_t day, const char *url,
    const char *ca, bool *done, struct error *err);
