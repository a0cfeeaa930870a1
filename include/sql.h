/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite, thinly: connections as kuzet wants them, statements prepared
 * once, codes that callers branch on.  One connection belongs to one thread.
 *
 * RC_SYSTEM: the disk (full, failing, no descriptors): try again later.
 * RC_AGAIN: somebody else holds the lock for longer than the time-out.
 * RC_LIBRARY: everything else; damaged files too.
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "error.h"
#include "slice.h"

enum sql_mode {
	SQL_READ,   /* no writes; the file must exist */
	SQL_WRITE,  /* the file must exist; WAL, synchronous=FULL */
	SQL_CREATE, /* the same, but made if it is missing */
};

enum { SQL_STATEMENTS = 48 };

struct sql {
	sqlite3 *db;
	char *path;          /* for messages */
	struct sql_fds *fds; /* where SQLite opens nothing itself */
	/* prepared once: by the address of their text, which is a literal */
	struct {
		const char *text;
		sqlite3_stmt *stmt;
	} cache[SQL_STATEMENTS];
	unsigned n_cache;
};

/* Before the first connection: pages are allocated as they are needed. */
void sql_keep_small(void);

enum rc sql_open(const char *path, enum sql_mode mode, struct sql **out,
    struct error *err);
/*
 * Somebody else's database, to read only, of descriptors: {the file, its
 * write-ahead log or -1}, borrowed until sql_close().  It takes no locks: who
 * sees afterwards that the files changed cannot trust what he read.  A value or
 * row longer than `bytes_max` is an error.
 */
enum rc sql_open_fds(const int files[2], int bytes_max, struct sql **out,
    struct error *err);
void sql_close(struct sql *s); /* NULL is fine */

/* Outside of transactions: what it keeps of the file in memory goes. */
void sql_rest(struct sql *s);

/* What SQLite said last, as rc, with the file's name. */
enum rc sql_fail(struct sql *s, const char *what, struct error *err);

/* Statements without parameters and results, one or several. */
enum rc sql_exec(struct sql *s, const char *text, struct error *err);

/*
 * A statement, reset and without bindings; it belongs to the connection.
 * `text` must be a literal.  NULL: err is filled.
 */
sqlite3_stmt *sql_prepare(struct sql *s, const char *text, struct error *err);

/* One row: RC_OK.  No more: RC_EOF, and the statement is reset. */
enum rc sql_step(struct sql *s, sqlite3_stmt *stmt, struct error *err);
/* For statements that give no row. */
enum rc sql_run(struct sql *s, sqlite3_stmt *stmt, struct error *err);

/* An argument of SQL_PUT(); borrowed during the call. */
struct sql_value {
	enum { SQL_NULL, SQL_INT, SQL_TEXT, SQL_BLOB } kind;
	int64_t i;
	struct slice s;
};
#define BIND_NULL    ((struct sql_value){ .kind = SQL_NULL })
#define BIND_INT(v)  ((struct sql_value){ .kind = SQL_INT, .i = (int64_t)(v) })
#define BIND_TEXT(v) ((struct sql_value){ .kind = SQL_TEXT, .s = (v) })
#define BIND_BLOB(v) ((struct sql_value){ .kind = SQL_BLOB, .s = (v) })
/* Bytes of an array. */
#define BIND_BYTES(v)                                                          \
 BIND_BLOB(((struct slice){ (const char *)(v), sizeof(v) }))

/* Runs a statement that gives no row, with these arguments for ?1, ?2, ... */
#define SQL_PUT(sql, err, text, ...)                                           \
 sql_put_values(sql, text, (const struct sql_value[]){ __VA_ARGS__ },          \
     sizeof((const struct sql_value[]){ __VA_ARGS__ }) /                       \
	 sizeof(struct sql_value),                                             \
     err)
enum rc sql_put_values(struct sql *s, const char *text,
    const struct sql_value *values, size_t n, struct error *err);

/* Calls `row` for each row; what it returns but RC_OK ends it. */
typedef enum rc sql_row_cb(void *ctx, sqlite3_stmt *row, struct error *err);
enum rc sql_each(struct sql *s, const char *text, sql_row_cb *row, void *ctx,
    struct error *err);

/* The same with arguments, as many as the statement has. */
enum rc sql_each_of(struct sql *s, const char *text,
    const struct sql_value *values, sql_row_cb *row, void *ctx,
    struct error *err);

/* The first column of the first row; RC_EOF: there is no row. */
enum rc sql_number(struct sql *s, const char *text, int64_t *out,
    struct error *err);

/* Borrowed until the statement runs or is reset. */
void sql_bind_text(sqlite3_stmt *stmt, int at, struct slice s);
void sql_bind_blob(sqlite3_stmt *stmt, int at, struct slice s);
void sql_bind_int(sqlite3_stmt *stmt, int at, int64_t v);
/* Valid until the next step. */
struct slice sql_text(sqlite3_stmt *stmt, int column);
struct slice sql_blob(sqlite3_stmt *stmt, int column);

enum rc sql_begin(struct sql *s, struct error *err); /* IMMEDIATE */
enum rc sql_commit(struct sql *s, struct error *err);
void sql_rollback(struct sql *s);

/* PRAGMA user_version: 0 for a file without a schema. */
enum rc sql_version(struct sql *s, int *version, struct error *err);
