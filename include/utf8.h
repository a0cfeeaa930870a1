/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629): validation, repair, and simple case folding. */
#pragma once

#include "arena.h"
#include "buf.h"
#include "slice.h"

/* Fast path for ASCII. */
bool utf8_valid(struct slice s);
bool utf8_is_ascii(struct slice s);

/* `s` itself if it is valid, else a copy with U+FFFD for each bad sequence. */
struct slice utf8_repair(struct arena *arena, struct slice s);

/* Length of the longest prefix of at most `max` bytes that cuts no character */
size_t utf8_cut(struct slice s, size_t max);

/*
 * Unicode simple case folding (CaseFolding.txt, status C and S), generated
 * table.  Input must be valid UTF-8; the result can be longer or shorter.
 */
struct slice utf8_fold(struct arena *arena, struct slice s);
void utf8_fold_to(struct buf *out, struct slice s);
uint32_t utf8_fold_char(uint32_t c);

/* Decodes one character at `s` (valid UTF-8, not empty); its byte length. */
size_t utf8_decode(struct slice s, uint32_t *c);
/* Encodes into out[4]; how many bytes. */
size_t utf8_encode(uint32_t c, char out[4]);
