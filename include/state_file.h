/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of the state folder, replaced as a whole: a temporary file,
 * fsync, rename, fsync of the folder, so that after any crash the old or the
 * new one is there.
 */
#pragma once

#include "buf.h"
#include "error.h"

enum rc state_file_replace(const char *dir, const char *name, struct slice text,
    struct error *err);
/* Adds all of it, up to the buffer's bound.  RC_EOF: there is no such file. */
enum rc state_file_read(const char *path, struct buf *b, struct error *err);
