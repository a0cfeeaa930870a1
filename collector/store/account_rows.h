/* SPDX-License-Identifier: Apache-2.0 */
/* Between accounts.c (people), sessions.c (who asks) and audit.c. */
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "accounts.h"
#include "sql.h"

struct accounts {
	pthread_mutex_t lock; /* of `db` */
	struct sql *db;
	/* Few passwords are hashed at once: each takes 32 MiB. */
	sem_t hashing;
};
enum { HASHING_MAX = 2 };
void hashing_begin(struct accounts *a);
void hashing_end(struct accounts *a);

/* Its columns, and the account of such a row. */
#define ACCOUNT_COLUMNS                                                        \
 "a.name, a.role, a.organization, a.certificate, a.enabled,"                   \
 " a.password <> '', a.totp <> '', a.created, a.last_login, a.locked_until"
enum { N_ACCOUNT_COLUMNS = 10 };
void account_of_row(sqlite3_stmt *q, struct account *out);

/* As much of it as fits. */
void text_copy(char *out, size_t room, struct slice s);

/* Ends sessions of an account: db is locked. */
enum rc sessions_end(struct accounts *a, struct slice name, struct error *err);

/* Commits if rc is RC_OK, else rolls back; what to return. */
enum rc accounts_end(struct accounts *a, enum rc rc, struct error *err);
