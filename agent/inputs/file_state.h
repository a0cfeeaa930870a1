/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generations of files and their acknowledged positions, on disk:
 * STATE_DIR/files.state, replaced as a whole (a temporary file, fsync, rename,
 * fsync of the folder), so that after any crash the old or the new one is there.
 *
 * Text, one line each, and a digest of all lines at the end:
 *
 *   kuzet-agent files 1
 *   STREAM DEV INO BTIME SIZE MTIME POSITION FLAGS HEAD CHECK PATH ORIGIN
 *   sha256 HEX
 *
 * A digest is AT:LEN:HEX or "-".  FLAGS: "m" within a cut line, "r" rotated,
 * "g" gzip, "c" copy, "f" finished, "x" replaced, or "-".
 */
#pragma once

#include "agent/inputs/tail.h"

TAILQ_HEAD(tail_list, tail);

enum { STATE_TAILS_MAX = 20000 };

/*
 * Calls back with each generation, which is then the callee's.  RC_EOF: there
 * is no state.  RC_INVALID: it is damaged, and was put aside as
 * "files.state.damaged"; no call was made.
 */
typedef void file_state_cb(void *ctx, struct tail *t);
enum rc file_state_load(const char *dir, file_state_cb *cb, void *ctx,
    struct error *err);
enum rc file_state_save(const char *dir, const struct tail_list *tails,
    struct error *err);

/* The same from and to memory; parsing changes the text. */
enum rc file_state_parse(struct buf *text, file_state_cb *cb, void *ctx,
    struct error *err);
void file_state_write(struct buf *b, const struct tail_list *tails);
