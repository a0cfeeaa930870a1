/* SPDX-License-Identifier: Apache-2.0 */
#include "sql.h"

#include <stdlib.h>
#include <string.h>

#include "sql_fds.h"
#include "xalloc.h"

enum { BUSY_MS = 10000 };

static enum rc
code_of(int sqlite)
{
	switch (sqlite & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_NOMEM:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return RC_SYSTEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return RC_AGAIN;
	default:
		return RC_LIBRARY;
	}
}

enum rc
sql_fail(struct sql *s, const char *what, struct error *err)
{
	int code = sqlite3_extended_errcode(s->db);
	int errnum = sqlite3_system_errno(s->db);
	char why[128] = "";

	if (errnum != 0 && code_of(code) == RC_SYSTEM)
		return error_set(err, RC_SYSTEM, "%s: %s: %s: %s", s->path,
		    what, sqlite3_errmsg(s->db),
		    strerror_r(errnum, why, sizeof(why)));
	return error_set(err, code_of(code), "%s: %s: %s", s->path, what,
	    sqlite3_errmsg(s->db));
}

enum rc
sql_exec(struct sql *s, const char *text, struct error *err)
{
	if (sqlite3_exec(s->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return sql_fail(s, "cannot run SQL", err);
	return RC_OK;
}

void
sql_keep_small(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

enum rc
sql_open(const char *path, enum sql_mode mode, struct sql **out,
    struct error *err)
{
	struct sql *s = xzalloc(sizeof(*s));
	int flags = SQLITE_OPEN_NOMUTEX;
	enum rc rc;

	s->path = xstrdup(path);
	flags |=
	    mode == SQL_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	if (mode == SQL_CREATE)
		flags |= SQLITE_OPEN_CREATE;
	if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK) {
		rc = sql_fail(s, "cannot open", err);
		goto out;
	}
	(void)sqlite3_extended_result_codes(s->db, 1);
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
	if (mode != SQL_READ)
		rc = sql_exec(s,
		    "PRAGMA page_size=8192; PRAGMA journal_mode=WAL;"
		    "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
		    "PRAGMA journal_size_limit=67108864;"
		    "PRAGMA trusted_schema=OFF;",
		    err);
	else
		rc = sql_exec(s,
		    "PRAGMA temp_store=MEMORY; PRAGMA query_only=ON;"
		    " PRAGMA trusted_schema=OFF;",
		    err);
out:
	if (rc != RC_OK) {
		sql_close(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

enum rc
sql_open_fds(const int files[2], int bytes_max, struct sql **out,
    struct error *err)
{
	struct sql *s = xzalloc(sizeof(*s));
	enum rc rc;

	s->path = xstrdup("database");
	s->fds = sql_fds_new(files);
	if (sqlite3_open_v2(s->path, &s->db,
		SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY,
		sql_fds_name(s->fds)) != SQLITE_OK) {
		rc = sql_fail(s, "cannot open", err);
		goto out;
	}
	(void)sqlite3_extended_result_codes(s->db, 1);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, bytes_max);
	/* exclusive: the index of the log is made in memory */
	rc = sql_exec(s,
	    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY;"
	    "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF;"
	    "PRAGMA cell_size_check=ON; PRAGMA cache_size=-1024;",
	    err);
out:
	if (rc != RC_OK) {
		sql_close(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

void
sql_close(struct sql *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->n_cache; i++)
		(void)sqlite3_finalize(s->cache[i].stmt);
	(void)sqlite3_close(s->db);
	sql_fds_free(s->fds);
	free(s->path);
	free(s);
}

void
sql_rest(struct sql *s)
{
	(void)sqlite3_db_release_memory(s->db);
}

sqlite3_stmt *
sql_prepare(struct sql *s, const char *text, struct error *err)
{
	sqlite3_stmt *stmt = NULL;

	for (unsigned i = 0; i < s->n_cache; i++) {
		if (s->cache[i].text != text)
			continue;
		stmt = s->cache[i].stmt;
		(void)sqlite3_reset(stmt);
		(void)sqlite3_clear_bindings(stmt);
		return stmt;
	}
	if (sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT,
		&stmt, NULL) != SQLITE_OK) {
		(void)sql_fail(s, "cannot prepare SQL", err);
		return NULL;
	}
	if (s->n_cache == SQL_STATEMENTS) {
		/* never on our own texts: their number is known */
		(void)sqlite3_finalize(s->cache[--s->n_cache].stmt);
	}
	s->cache[s->n_cache].text = text;
	s->cache[s->n_cache++].stmt = stmt;
	return stmt;
}

enum rc
sql_step(struct sql *s, sqlite3_stmt *stmt, struct error *err)
{
	int step = sqlite3_step(stmt);
	enum rc rc;

	if (step == SQLITE_ROW)
		return RC_OK;
	rc = step == SQLITE_DONE ? RC_EOF : sql_fail(s, "SQL failed", err);
	(void)sqlite3_reset(stmt);
	return rc;
}

enum rc
sql_run(struct sql *s, sqlite3_stmt *stmt, struct error *err)
{
	enum rc rc;

	do
		rc = sql_step(s, stmt, err);
	while (rc == RC_OK);
	return rc == RC_EOF ? RC_OK : rc;
}

static void
bind_values(sqlite3_stmt *q, const struct sql_value *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sql_value *v = &values[i];

		if (v->kind == SQL_INT)
			sql_bind_int(q, (int)i + 1, v->i);
		else if (v->kind == SQL_TEXT)
			sql_bind_text(q, (int)i + 1, v->s);
		else if (v->kind == SQL_BLOB)
			sql_bind_blob(q, (int)i + 1, v->s);
	}
}

enum rc
sql_put_values(struct sql *s, const char *text, const struct sql_value *values,
    size_t n, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s, text, err);

	if (q == NULL)
		return err->code;
	bind_values(q, values, n);
	return sql_run(s, q, err);
}

enum rc
sql_each_of(struct sql *s, const char *text, const struct sql_value *values,
    sql_row_cb *row, void *ctx, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s, text, err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	if (values != NULL)
		bind_values(q, values, (size_t)sqlite3_bind_parameter_count(q));
	while ((rc = sql_step(s, q, err)) == RC_OK) {
		rc = row(ctx, q, err);
		if (rc != RC_OK) {
			(void)sqlite3_reset(q);
			return rc;
		}
	}
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
sql_each(struct sql *s, const char *text, sql_row_cb *row, void *ctx,
    struct error *err)
{
	return sql_each_of(s, text, NULL, row, ctx, err);
}

enum rc
sql_number(struct sql *s, const char *text, int64_t *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s, text, err);
	enum rc rc = q != NULL ? sql_step(s, q, err) : err->code;

	if (rc != RC_OK)
		return rc;
	*out = sqlite3_column_int64(q, 0);
	(void)sqlite3_reset(q);
	return RC_OK;
}

void
sql_bind_text(sqlite3_stmt *stmt, int at, struct slice s)
{
	(void)sqlite3_bind_text(stmt, at, s.ptr != NULL ? s.ptr : "",
	    (int)s.len, SQLITE_STATIC);
}

void
sql_bind_blob(sqlite3_stmt *stmt, int at, struct slice s)
{
	(void)sqlite3_bind_blob(stmt, at, s.ptr != NULL ? s.ptr : "",
	    (int)s.len, SQLITE_STATIC);
}

void
sql_bind_int(sqlite3_stmt *stmt, int at, int64_t v)
{
	(void)sqlite3_bind_int64(stmt, at, v);
}

struct slice
sql_text(sqlite3_stmt *stmt, int column)
{
	const char *p = (const char *)sqlite3_column_text(stmt, column);

	if (p == NULL)
		return SLICE("");
	return (struct slice){ p, (size_t)sqlite3_column_bytes(stmt, column) };
}

struct slice
sql_blob(sqlite3_stmt *stmt, int column)
{
	const char *p = sqlite3_column_blob(stmt, column);

	if (p == NULL)
		return SLICE("");
	return (struct slice){ p, (size_t)sqlite3_column_bytes(stmt, column) };
}

enum rc
sql_begin(struct sql *s, struct error *err)
{
	return sql_exec(s, "BEGIN IMMEDIATE", err);
}

enum rc
sql_commit(struct sql *s, struct error *err)
{
	return sql_exec(s, "COMMIT", err);
}

void
sql_rollback(struct sql *s)
{
	if (s != NULL && sqlite3_get_autocommit(s->db) == 0)
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

enum rc
sql_version(struct sql *s, int *version, struct error *err)
{
	int64_t v = 0;
	enum rc rc = sql_number(s, "PRAGMA user_version", &v, err);

	*version = (int)v;
	return rc == RC_EOF
	    ? error_set(err, RC_LIBRARY, "%s: no user_version", s->path)
	    : rc;
}
