/* SPDX-License-Identifier: Apache-2.0 */
/* An incident's row, as soc.c and outbox.c read it; what rows share. */
#pragma once

#include "soc.h"
#include "sql.h"

/* A person's word on status and reason goes before the machine's. */
#define INCIDENT_COLUMNS                                                       \
 "i.id, i.owner, i.rule, i.title, i.author, i.tags, i.digest,"                 \
 " i.level, coalesce(i.edited_status, i.status),"                              \
 " coalesce(i.edited_reason, i.reason), i.first_seen,"                         \
 " i.last_seen, i.fired, i.grp, i.events, i.agents, i.revision, i.assignee,"   \
 " i.owner_about, i.objects"
enum { N_INCIDENT_COLUMNS = 20 };

/* Its texts belong to the statement: valid until the next step. */
void incident_of_row(sqlite3_stmt *q, struct incident *out);

/*
 * Whether the row that `q` selects the revision of (its first column) is still
 * at `revision`.  RC_EOF: there is no such row; RC_DENIED: it is not; `what` is
 * its name for people.
 */
#define SOC_REVISION_ANY UINT64_MAX
enum rc soc_check_revision(struct sql *db, sqlite3_stmt *q, const char *what,
    uint64_t revision, struct error *err);
