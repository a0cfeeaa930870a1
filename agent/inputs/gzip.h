/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed file read as the file it was: positions are those of the
 * uncompressed bytes.  Memory: one line of the longest kind and some.
 */
#pragma once

#include <stdint.h>

#include "error.h"
#include "slice.h"

struct gzip;

/* Reads on from uncompressed byte `from`; `fd` is borrowed. */
struct gzip *gzip_new(int fd, uint64_t from, size_t max_line);
void gzip_free(struct gzip *g); /* NULL is fine */

/*
 * What can be read now, uncompressed, without consuming it: at least `want`
 * bytes if there are so many.  RC_OK: *data; RC_EOF: *data is all there will
 * be; RC_AGAIN: *data is all there is, the file is not whole yet; RC_INVALID:
 * damaged, *data is what came before.  Valid until the next call.
 */
enum rc gzip_peek(struct gzip *g, size_t want, struct slice *data,
    struct error *err);
void gzip_consume(struct gzip *g, size_t n);

/* The first up to `room` uncompressed bytes; how many, -1 if it is no gzip. */
long gzip_head(int fd, char *out, size_t room);
/* Up to `room` uncompressed bytes at `from`. */
long gzip_at(int fd, uint64_t from, char *out, size_t room);
