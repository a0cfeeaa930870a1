/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of a log whose header names its columns (log_header.h) is read as if
 * it were the JSON object of these names: so the formats that know the product's
 * JSON know it too, in whatever order its columns are.
 *
 *   Zeek: members as Zeek's own JSON has them, of the types that #types says;
 *         "_path" is #path.  Unset and empty ones are null.
 *   W3C:  texts; "_w3c" is #Software, else "-".  Unset ones ("-") are null.
 */
#pragma once

#include "arena.h"
#include "buf.h"

struct header_columns;

/* A thread's: the last few headers, taken apart. */
enum { HEADERS_KEPT = 4 };
struct header_rows {
	struct header_columns *kept[HEADERS_KEPT];
	unsigned next;
	struct buf text; /* of the object that is being made */
};

void header_rows_init(struct header_rows *h);
void header_rows_fini(struct header_rows *h);

/*
 * The object of `line`, in `arena`; ptr NULL: the header names no columns, or
 * the line has another number of them.  `line` is valid UTF-8.
 */
struct slice header_row(struct header_rows *h, struct slice header,
    struct slice line, struct arena *arena);
