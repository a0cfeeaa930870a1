/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual file system of SQLite's for one database of somebody else's, whose
 * files are open already: for processes that open nothing by name.  It writes
 * nothing and takes no locks; SQLite itself reads the write-ahead log.
 */
#pragma once

#include "sql.h"

struct sql_fds;

/* {database, write-ahead log or -1}, which are borrowed. */
struct sql_fds *sql_fds_new(const int files[2]);
/* After the connection is closed; NULL is fine. */
void sql_fds_free(struct sql_fds *f);
/* For sqlite3_open_v2(). */
const char *sql_fds_name(const struct sql_fds *f);
