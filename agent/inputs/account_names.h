/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups by number and by name, as passwd(5) and group(5) of this
 * machine have them.  Never from the network: a name service that hangs must
 * not stop the agent, and the worker has no way to one.
 *
 * Each thread has its own.  The files are looked at again when they changed,
 * at most every ten seconds; of each the first 65,536 entries are known.
 */
#pragma once

#include <stdint.h>

#include "agent/roles/opener.h"

struct account_names;

/* `o` is borrowed. */
struct account_names *account_names_new(struct opener *o);
void account_names_free(struct account_names *a); /* NULL is fine */

/* NULL: there is none.  Valid until the next call. */
const char *account_user(struct account_names *a, uint32_t uid);
const char *account_group(struct account_names *a, uint32_t gid);
/* False: there is none of this name. */
bool account_user_id(struct account_names *a, const char *name, uint32_t *uid);
bool account_group_id(struct account_names *a, const char *name, uint32_t *gid);
