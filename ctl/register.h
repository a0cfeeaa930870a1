/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of `kuzetctl objects` share: the register's other forms. */
#pragma once

#include "buf.h"
#include "error.h"
#include "objects.h"

/*
 * A table of objects, RFC 4180 with a header: id, name_kk, name_ru, kind,
 * criticality, class, owner, holder, hosting, networks, hosts, agents, relays,
 * silent_after, attestation, issued, expires.  Commas or semicolons separate the columns, as the header does;
 * blanks, ';' and '|' what is in a list.
 */
void objects_write_csv(struct buf *out, const struct objects *o);

/*
 * The register with the table's objects in the place of those of the same id:
 * YAML text.  What a table cannot hold (links, maintenance) stays, columns that
 * it lacks too; an organization that nobody knows is added by its id.  `old` may
 * be NULL.  Messages: "FILE:LINE: what is wrong".
 */
struct objects_import {
	size_t added, changed, organizations;
};
enum rc objects_import_csv(const char *name, struct slice text,
    const struct objects *old, struct buf *out, struct objects_import *counts,
    struct error *err);

/* One object, its organizations: as YAML. */
void objects_write_yaml(struct buf *out, const struct object *object);
void organizations_write_yaml(struct buf *out, const struct objects *o);
