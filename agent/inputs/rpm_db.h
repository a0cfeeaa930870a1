/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packages that rpm installed, from its SQLite database (rpm 4.16 and
 * later), read without librpm through the opener's descriptors.
 */
#pragma once

#include "agent/inputs/rpm_header.h"
#include "agent/roles/opener.h"

enum {
	RPM_DB_PACKAGES_MAX = 65536,
	RPM_DB_HEADER_MAX = 32 * 1024 * 1024 /* bytes of one package's */
};
#define RPM_DB_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)

/* Where the machine has one, of whatever format: a literal; NULL: nowhere. */
const char *rpm_db_dir(struct opener *o);
/* Changes whenever the database does; 0: there is none that is read. */
uint64_t rpm_db_state(struct opener *o, const char *dir);
/* Whether rpm is changing it. */
bool rpm_db_busy(struct opener *o, const char *dir);

typedef void rpm_db_cb(void *ctx, const struct rpm_header *h);
/*
 * Each package; the header is valid during the call.
 * RC_INVALID: it is of rpm's other formats, ndb or Berkeley DB, which are not
 * read; RC_SYSTEM: it cannot be opened; RC_AGAIN: it changed meanwhile, and what was
 * told may be half of it; RC_LIMIT, RC_LIBRARY: it is too large or damaged.
 */
enum rc rpm_db_each(struct opener *o, const char *dir, rpm_db_cb *cb, void *ctx,
    struct error *err);

/* The packages' names, a line each, behind an empty one; tried again where it
 * changes meanwhile. */
enum rc rpm_db_names(struct opener *o, const char *dir, struct buf *out,
    struct error *err);
