/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the numbers of audit records are: only the machine itself knows
 * (account_names.h), and auditd where it is told to resolve them itself
 * (log_format = ENRICHED).
 */
#pragma once

#include "agent/roles/opener.h"
#include "slice.h"

struct audit_users;

struct audit_users *audit_users_new(struct opener *o); /* borrowed */
void audit_users_free(struct audit_users *u);          /* NULL is fine */

/*
 * Members of the event's JSON, `,"user.audit.name":"bob"`, for the records of
 * one event; user.name and user.effective.name where no program reports an
 * account itself.  Valid until the next call; may be empty.
 */
struct slice audit_users(struct audit_users *u, struct slice records);
