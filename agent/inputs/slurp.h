/* SPDX-License-Identifier: Apache-2.0 */
/* A whole small file, through the opener. */
#pragma once

#include "agent/roles/opener.h"
#include "buf.h"

/* Replaces what `out` holds; false: it cannot be read, or exceeds out->max. */
bool slurp(struct opener *o, const char *path, struct buf *out);

/* Takes the next line, without LF; false: there is none. */
bool slurp_line(struct slice *rest, struct slice *line);
/* Takes the next word of a line, by spaces and tabs. */
bool slurp_word(struct slice *rest, struct slice *word);
/* Takes up to the next `by`, or all there is; false: nothing is left. */
bool slurp_field(struct slice *rest, char by, struct slice *field);
