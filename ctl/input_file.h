/* SPDX-License-Identifier: Apache-2.0 */
/* A file of events or lines, as it is or compressed with gzip. */
#pragma once

#include <stdio.h>

#include "error.h"

struct input_file {
	FILE *f; /* of the uncompressed bytes */
	const char *path;
	struct gunzip *z; /* NULL: it is not compressed */
};

/* "-" is standard input.  Borrows `path`. */
enum rc input_file_open(struct input_file *in, const char *path,
    struct error *err);
/* Whether all of it was read well, once `f` is at its end. */
enum rc input_file_check(const struct input_file *in, struct error *err);
void input_file_close(struct input_file *in);
