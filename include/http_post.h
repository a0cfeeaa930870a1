/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP(S) request to somebody else's server, by libcurl; it blocks. */
#pragma once

#include "buf.h"
#include "error.h"
#include "slice.h"

/*
 * POSTs `body` and appends the answer's body to `answer`, whose bound counts.
 * RC_SYSTEM: nobody answered within `seconds`.  RC_DENIED: another status than
 * 200.  RC_LIMIT: the answer is longer than the bound.
 */
enum rc http_post(const char *url, const char *content_type, struct slice body,
    unsigned seconds, struct buf *answer, struct error *err);
