/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encodings of text files.  Lines are found in the file's own bytes, so
 * that offsets are the file's, and become UTF-8 one by one.
 *
 * UTF-16 is decoded here; an encoding of one byte for each character becomes a
 * table when it is opened, by iconv(3), which is not asked again.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "error.h"
#include "slice.h"

enum { ENCODING_BOM = 4 }; /* bytes that tell */

struct encoding;

/*
 * "utf-8", "utf-16le", "utf-16be", or any name of iconv(3) whose characters
 * have one byte and whose ASCII is ASCII ("latin1", "cp1251", "koi8-r").
 */
enum rc encoding_open(const char *name, struct encoding **out,
    struct error *err);
void encoding_free(struct encoding *e); /* NULL is fine */

/*
 * What the first bytes of a file say: UTF-16 by its byte order mark, else
 * UTF-8.  NULL: more bytes would tell (there are fewer than ENCODING_BOM).
 */
const struct encoding *encoding_of_bom(struct slice head);

/* Bytes of a line end's LF, 1 or 2. */
size_t encoding_unit(const struct encoding *e);
/* The first LF, whole, or NULL; `s` begins with a character. */
const char *encoding_find_lf(const struct encoding *e, struct slice s);

/* Whether text can be taken as it is, but for what is no UTF-8. */
bool encoding_is_utf8(const struct encoding *e);

/* Adds the text of `s`; what is no character becomes U+FFFD. */
void encoding_decode(const struct encoding *e, struct slice s, struct buf *out);
