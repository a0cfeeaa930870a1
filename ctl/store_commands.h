/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `kuzetctl store`; each returns the exit status. */
#pragma once

#include <stddef.h>

#include "command.h"
#include "error.h"

int store_cmd_verify(const struct global_options *global, int argc,
    char *argv[]);

/* stats, archive, restore, prune: argv[0] says which. */
int store_cmd_keep(const struct global_options *global, int argc, char *argv[]);

/* ---- a proof's file: a tar archive (POSIX ustar) (tar.c) ------------------ */
struct tar;
enum rc tar_create(const char *path, struct tar **out, struct error *err);
/* Adds to the file of that name, begins it if it is another than the last. */
enum rc tar_add(struct tar *t, const char *name, const void *bytes, size_t n,
    struct error *err);
/* Ends it: durable.  NULL is fine. */
enum rc tar_finish(struct tar *t, struct error *err);
/* Closes and removes it.  NULL is fine. */
void tar_abandon(struct tar *t);
