/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts what was done into the audit log, many entries with one transaction.
 * What cannot be written waits, up to a bound; what that forces out is counted.
 */
#pragma once

#include "accounts.h"

struct auditor;

/* `written` runs in the auditor's thread when there are new entries. */
struct auditor *auditor_new(struct accounts *accounts,
    void (*written)(void *ctx), void *ctx);
/* Writes what it has, then ends; NULL is fine. */
void auditor_free(struct auditor *a);

/*
 * Copies the entry.  `wait`: until it is on the disk; false: it is not, and
 * will be later.
 */
bool auditor_add(struct auditor *a, const struct audit_entry *e, bool wait);

/* False: entries cannot be written now, so nothing should be changed. */
bool auditor_works(struct auditor *a);
uint64_t auditor_lost(struct auditor *a);
