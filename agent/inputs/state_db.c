/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/state_db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "footprint.h"

static const char outbox_schema[] =
    "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " stream INTEGER NOT NULL, json BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS stream (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " uuid TEXT NOT NULL);";

/* Little memory: these files are read from end to end or at a few places. */
static const char small[] =
    "PRAGMA cache_size=-1024; PRAGMA wal_autocheckpoint=256;"
    "PRAGMA journal_size_limit=4194304;";

/* The file with its rights and owner, before SQLite sees it. */
static enum rc
make_file(const char *dir, const char *path, struct error *err)
{
	struct stat st, file;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum rc rc = RC_OK;

	if (fd == -1)
		return error_set_errno(err, errno, "%s", path);
	if (stat(dir, &st) == 0 && fstat(fd, &file) == 0 &&
	    st.st_uid != file.st_uid && geteuid() == 0 &&
	    fchown(fd, st.st_uid, st.st_gid) != 0)
		rc = error_set_errno(err, errno, "%s", path);
	(void)close(fd);
	return rc;
}

static enum rc
read_next_id(struct state_db *db, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db->sql,
	    "SELECT seq FROM sqlite_sequence WHERE name='outbox'", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	rc = sql_step(db->sql, q, err);
	if (rc == RC_OK)
		db->next_id = sqlite3_column_int64(q, 0) + 1;
	else if (rc == RC_EOF)
		db->next_id = 1;
	(void)sqlite3_reset(q);
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
try_open(const char *path, const char *schema, struct state_db *db,
    struct error *err)
{
	enum rc rc = sql_open(path, SQL_CREATE, &db->sql, err);

	if (rc == RC_OK)
		rc = sql_exec(db->sql, small, err);
	if (rc == RC_OK)
		rc = sql_exec(db->sql, outbox_schema, err);
	if (rc == RC_OK)
		rc = sql_exec(db->sql, schema, err);
	if (rc == RC_OK)
		rc = read_next_id(db, err);
	if (rc != RC_OK)
		state_db_close(db);
	return rc;
}

enum rc
state_db_open(const char *dir, const char *name, const char *schema,
    struct state_db *db, struct error *err)
{
	char path[PATH_MAX];
	enum rc rc;

	*db = (struct state_db){ 0 };
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = make_file(dir, path, err);
	if (rc != RC_OK)
		return rc;
	rc = try_open(path, schema, db, err);
	if (rc != RC_LIBRARY)
		return rc;
	state_db_aside(db, dir, name);
	rc = make_file(dir, path, err);
	if (rc == RC_OK)
		rc = try_open(path, schema, db, err);
	db->damaged = true;
	return rc;
}

enum rc
state_db_open_reader(const char *dir, const char *name, struct state_db *db,
    struct error *err)
{
	char path[PATH_MAX];
	enum rc rc;

	*db = (struct state_db){ 0 };
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = sql_open(path, SQL_READ, &db->sql, err);
	if (rc == RC_OK)
		rc = sql_exec(db->sql, "PRAGMA cache_size=-256;", err);
	return rc;
}

void
state_db_close(struct state_db *db)
{
	/* SQLite does it itself only where nobody else has the file open */
	if (db->sql != NULL && sqlite3_db_readonly(db->sql->db, NULL) == 0)
		(void)sqlite3_wal_checkpoint_v2(db->sql->db, NULL,
		    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sql_close(db->sql);
	db->sql = NULL;
	db->stream = 0;
}

void
state_db_keep_small(void)
{
	sql_keep_small();
}

void
state_db_rest(struct state_db *db)
{
	if (db->sql != NULL)
		sql_rest(db->sql);
	footprint_rest();
}

void
state_db_aside(struct state_db *db, const char *dir, const char *name)
{
	static const char *const with[] = { "", "-wal", "-shm" };
	char from[PATH_MAX], to[PATH_MAX];

	state_db_close(db);
	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
		(void)snprintf(from, sizeof(from), "%s/%s%s", dir, name,
		    with[i]);
		(void)snprintf(to, sizeof(to), "%s/%s.damaged%s", dir, name,
		    with[i]);
		if (rename(from, to) != 0)
			(void)unlink(to);
	}
}

/* This run's stream, with its first event. */
static enum rc
begin_stream(struct state_db *db, struct error *err)
{
	sqlite3_stmt *q =
	    sql_prepare(db->sql, "INSERT INTO stream (uuid) VALUES (?)", err);
	char text[UUID_TEXT];
	uint8_t uuid[16];
	enum rc rc;

	if (q == NULL)
		return err->code;
	uuid_new(uuid);
	uuid_text(uuid, text);
	sql_bind_text(q, 1, (struct slice){ text, UUID_TEXT - 1 });
	rc = sql_run(db->sql, q, err);
	if (rc == RC_OK)
		db->stream = sqlite3_last_insert_rowid(db->sql->db);
	return rc;
}

enum rc
outbox_add(struct state_db *db, struct slice json, struct error *err)
{
	enum rc rc = db->stream == 0 ? begin_stream(db, err) : RC_OK;
	sqlite3_stmt *q;

	if (rc != RC_OK)
		return rc;
	q = sql_prepare(db->sql,
	    "INSERT INTO outbox (stream, json) VALUES (?, ?)", err);
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, db->stream);
	sql_bind_blob(q, 2, json);
	rc = sql_run(db->sql, q, err);
	if (rc == RC_OK)
		db->next_id = sqlite3_last_insert_rowid(db->sql->db) + 1;
	return rc;
}

enum rc
outbox_length(struct state_db *db, uint64_t *n, struct error *err)
{
	sqlite3_stmt *q =
	    sql_prepare(db->sql, "SELECT min(id) FROM outbox", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	rc = sql_step(db->sql, q, err);
	if (rc != RC_OK)
		return rc == RC_EOF ? error_set(err, RC_LIBRARY, "outbox") : rc;
	*n = sqlite3_column_type(q, 0) == SQLITE_NULL
	    ? 0
	    : (uint64_t)(db->next_id - sqlite3_column_int64(q, 0));
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
outbox_next(struct state_db *reader, int64_t id, struct outbox_event *out,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(reader->sql,
	    "SELECT o.id, uuid, json FROM outbox o, stream s"
	    " WHERE o.id > ? AND s.id = o.stream ORDER BY o.id LIMIT 1",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, id);
	rc = sql_step(reader->sql, q, err);
	if (rc != RC_OK)
		return rc;
	out->id = sqlite3_column_int64(q, 0);
	out->stream = sql_text(q, 1).ptr;
	out->json = sql_blob(q, 2);
	return RC_OK;
}

static enum rc
run_with(struct state_db *db, const char *text, int64_t value,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db->sql, text, err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, value);
	return sql_run(db->sql, q, err);
}

enum rc
outbox_acked(struct state_db *db, int64_t id, struct error *err)
{
	return run_with(db, "DELETE FROM outbox WHERE id <= ?", id, err);
}

enum rc
outbox_ended_stream(struct state_db *reader, int64_t *row, char uuid[UUID_TEXT],
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(reader->sql,
	    "SELECT id, uuid FROM stream s WHERE id > ?"
	    " AND id < (SELECT max(id) FROM stream)"
	    " AND NOT EXISTS (SELECT 1 FROM outbox WHERE stream = s.id)"
	    " ORDER BY id LIMIT 1",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, *row);
	rc = sql_step(reader->sql, q, err);
	if (rc != RC_OK)
		return rc;
	*row = sqlite3_column_int64(q, 0);
	(void)snprintf(uuid, UUID_TEXT, "%.*s", SLICE_ARG(sql_text(q, 1)));
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
outbox_forget_stream(struct state_db *db, int64_t row, struct error *err)
{
	return run_with(db, "DELETE FROM stream WHERE id = ?", row, err);
}
