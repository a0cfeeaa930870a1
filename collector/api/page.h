/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of rows that are sorted by a time and an id: `after` is where an
 * earlier page ended, `next` asks for a last line that says it of this one.
 */
#pragma once

#include "ask.h"

struct page {
	bool next;
	int64_t after_ns;      /* INT64_MIN: from the first on */
	struct slice after_id; /* ptr NULL: from the first on */
};

/* RC_INVALID: `after` is no cursor. */
enum rc param_page(const struct ask *a, struct page *out, struct error *err);
/* Whether a row is none of an earlier page. */
bool page_is_behind(const struct page *p, int64_t time_ns, struct slice id);

/* The last line: {"next":CURSOR}, or {"next":null} where nothing follows. */
void page_line(struct ask *a, const char *cursor); /* NULL: nothing follows */
void page_next(struct ask *a, int64_t time_ns, struct slice id);
