/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_store.h"

#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 64 * 1024, HURRY_ROWS = 1000 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS input (id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE, sealed INTEGER NOT NULL DEFAULT 0,"
    " sha256 BLOB, files INTEGER NOT NULL DEFAULT 0,"
    " sealed_ns INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE IF NOT EXISTS root (input INTEGER, pattern TEXT,"
    " PRIMARY KEY (input, pattern)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS entry (input INTEGER, key BLOB,"
    " mode INTEGER, uid INTEGER, gid INTEGER, size INTEGER, ino INTEGER,"
    " links INTEGER, mtime INTEGER, ctime INTEGER, mount INTEGER,"
    " content INTEGER, sha256 BLOB, target BLOB, xattrs BLOB,"
    " PRIMARY KEY (input, key)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS text (input INTEGER, key BLOB, text BLOB,"
    " PRIMARY KEY (input, key)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS window (id INTEGER PRIMARY KEY,"
    " opened_ns INTEGER, until_ns INTEGER, closed_ns INTEGER, by TEXT,"
    " reason TEXT, closed_by TEXT);";

#define COLUMNS                                                                \
 "key, mode, uid, gid, size, ino, links, mtime, ctime, mount, "                \
 "content, sha256, target, xattrs"

enum rc
fim_store_open(const char *state_dir, struct fim_store *s, struct error *err)
{
	buf_init(&s->key, KEY_MAX);
	buf_init(&s->key2, KEY_MAX);
	return state_db_open(state_dir, FIM_STORE_NAME, schema, &s->db, err);
}

void
fim_store_close(struct fim_store *s)
{
	state_db_close(&s->db);
	buf_fini(&s->key);
	buf_fini(&s->key2);
}

enum rc
fim_store_renew(const char *state_dir, struct fim_store *s, struct error *err)
{
	state_db_aside(&s->db, state_dir, FIM_STORE_NAME);
	return state_db_open(state_dir, FIM_STORE_NAME, schema, &s->db, err);
}

static struct slice
key_of(struct buf *b, struct slice path)
{
	char *room;

	buf_clear(b);
	room = buf_reserve(b, path.len);
	if (room == NULL)
		return (struct slice){ "", 0 };
	for (size_t i = 0; i < path.len; i++)
		room[i] = path.ptr[i];
	for (size_t i = 0; i < path.len; i++) {
		if (room[i] == '/')
			room[i] = '\0';
	}
	b->len = path.len;
	return buf_slice(b);
}

/* Prepares, and binds the input and the path's key. */
static sqlite3_stmt *
prepare(struct fim_store *s, const char *text, int64_t input, struct slice path,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql, text, err);

	if (q == NULL)
		return NULL;
	sql_bind_int(q, 1, input);
	if (sqlite3_bind_parameter_count(q) > 1)
		sql_bind_blob(q, 2, key_of(&s->key, path));
	return q;
}

static enum rc
run(struct fim_store *s, const char *text, int64_t input, struct slice path,
    struct error *err)
{
	sqlite3_stmt *q = prepare(s, text, input, path, err);

	return q == NULL ? err->code : sql_run(s->db.sql, q, err);
}

static enum rc
read_baseline(struct fim_store *s, const char *input, struct fim_baseline *out,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql,
	    "SELECT id, sealed, sha256, files, sealed_ns FROM input"
	    " WHERE name = ?",
	    err);
	struct slice digest;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, (struct slice){ input, strlen(input) });
	rc = sql_step(s->db.sql, q, err);
	if (rc != RC_OK)
		return rc;
	*out = (struct fim_baseline){ .input = sqlite3_column_int64(q, 0),
		.sealed = sqlite3_column_int(q, 1) != 0,
		.files = (uint64_t)sqlite3_column_int64(q, 3),
		.sealed_ns = sqlite3_column_int64(q, 4) };
	digest = sql_blob(q, 2);
	if (digest.len == SHA256_BYTES)
		memcpy(out->sha256, digest.ptr, SHA256_BYTES);
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
fim_store_baseline(struct fim_store *s, const char *input,
    struct fim_baseline *out, struct error *err)
{
	enum rc rc = read_baseline(s, input, out, err);
	sqlite3_stmt *q;

	if (rc != RC_EOF)
		return rc;
	q = sql_prepare(s->db.sql, "INSERT INTO input (name) VALUES (?)", err);
	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, (struct slice){ input, strlen(input) });
	rc = sql_run(s->db.sql, q, err);
	return rc == RC_OK ? read_baseline(s, input, out, err) : rc;
}

enum rc
fim_store_seal(struct fim_store *s, const struct fim_baseline *b,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql,
	    "UPDATE input SET sealed = 1, sha256 = ?2, files = ?3,"
	    " sealed_ns = ?4 WHERE id = ?1",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, b->input);
	sql_bind_blob(q, 2,
	    (struct slice){ (const char *)b->sha256, SHA256_BYTES });
	sql_bind_int(q, 3, (int64_t)b->files);
	sql_bind_int(q, 4, b->sealed_ns);
	return sql_run(s->db.sql, q, err);
}

enum rc
fim_store_unseal(struct fim_store *s, int64_t input, struct error *err)
{
	return run(s, "UPDATE input SET sealed = 0 WHERE id = ?", input,
	    SLICE(""), err);
}

/* The columns of COLUMNS; slices are the statement's, `path` in `key`. */
static void
entry_of_row(sqlite3_stmt *q, struct fim_entry *e)
{
	struct slice digest = sql_blob(q, 11);

	*e = (struct fim_entry){
		.path = sql_blob(q, 0),
		.st = { .mode = (uint32_t)sqlite3_column_int64(q, 1),
		    .uid = (uint32_t)sqlite3_column_int64(q, 2),
		    .gid = (uint32_t)sqlite3_column_int64(q, 3),
		    .size = (uint64_t)sqlite3_column_int64(q, 4),
		    .ino = (uint64_t)sqlite3_column_int64(q, 5),
		    .links = (uint64_t)sqlite3_column_int64(q, 6),
		    .mtime_ns = sqlite3_column_int64(q, 7),
		    .ctime_ns = sqlite3_column_int64(q, 8),
		    .mount_root = sqlite3_column_int(q, 9) != 0 },
		.content = (enum fim_content)sqlite3_column_int(q, 10),
		.target = sql_blob(q, 12),
		.xattrs = sql_blob(q, 13),
	};
	if (digest.len == SHA256_BYTES)
		memcpy(e->sha256, digest.ptr, SHA256_BYTES);
}

/* Into the arena, and the key into a path. */
static void
settle(struct arena *arena, struct fim_entry *e)
{
	*e = fim_copy(arena, e);
	for (size_t i = 0; i < e->path.len; i++) {
		if (e->path.ptr[i] == '\0')
			((char *)e->path.ptr)[i] = '/';
	}
}

enum rc
fim_store_digest(struct fim_store *s, int64_t input, struct fim_hurry hurry,
    uint8_t sha256[SHA256_BYTES], uint64_t *files, struct error *err)
{
	sqlite3_stmt *q = prepare(s,
	    "SELECT " COLUMNS " FROM entry WHERE input = ? ORDER BY key", input,
	    SLICE(""), err);
	struct sha256 *h;
	struct fim_entry e;
	enum rc rc;

	if (q == NULL)
		return err->code;
	h = sha256_new();
	*files = 0;
	while ((rc = sql_step(s->db.sql, q, err)) == RC_OK) {
		entry_of_row(q, &e);
		fim_digest_add(h, &e);
		if (++*files % HURRY_ROWS == 0 && hurry.now != NULL &&
		    hurry.now(hurry.ctx)) {
			rc = error_set(err, RC_AGAIN, "something else waits");
			break;
		}
	}
	sha256_done(h, sha256);
	sha256_free(h);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
fim_store_roots(struct fim_store *s, int64_t input, fim_root_cb *cb, void *ctx,
    struct error *err)
{
	sqlite3_stmt *q = prepare(s, "SELECT pattern FROM root WHERE input = ?",
	    input, SLICE(""), err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(s->db.sql, q, err)) == RC_OK)
		cb(ctx, sql_text(q, 0).ptr);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
fim_store_set_roots(struct fim_store *s, int64_t input,
    const char *const *patterns, size_t n, struct error *err)
{
	enum rc rc =
	    run(s, "DELETE FROM root WHERE input = ?", input, SLICE(""), err);

	for (size_t i = 0; rc == RC_OK && i < n; i++) {
		sqlite3_stmt *q = sql_prepare(s->db.sql,
		    "INSERT OR IGNORE INTO root (input, pattern)"
		    " VALUES (?, ?)",
		    err);

		if (q == NULL)
			return err->code;
		sql_bind_int(q, 1, input);
		sql_bind_text(q, 2,
		    (struct slice){ patterns[i], strlen(patterns[i]) });
		rc = sql_run(s->db.sql, q, err);
	}
	return rc;
}

enum rc
fim_store_rows(struct fim_store *s, const struct fim_range *range,
    struct arena *arena, struct fim_entry *rows, size_t *n, struct error *err)
{
	sqlite3_stmt *q = prepare(s,
	    "SELECT " COLUMNS " FROM entry WHERE input = ?1 AND key > ?2"
	    " AND key >= ?3 AND key < ?5 ORDER BY key LIMIT ?4",
	    range->input, range->after, err);
	struct slice within = range->within, from;
	enum rc rc = RC_OK;

	*n = 0;
	if (q == NULL)
		return err->code;
	if (within.len == 1)
		within.len = 0; /* "/": everything */
	/* below a path is what begins with its key and '/', which is X'00' */
	from = key_of(&s->key2, within);
	(void)buf_add_char(&s->key2, '\1');
	sql_bind_blob(q, 3, (struct slice){ s->key2.ptr, from.len });
	sql_bind_blob(q, 5, buf_slice(&s->key2));
	sql_bind_int(q, 4, (int64_t)range->max);
	while (*n < range->max && (rc = sql_step(s->db.sql, q, err)) == RC_OK) {
		entry_of_row(q, &rows[*n]);
		settle(arena, &rows[(*n)++]);
	}
	(void)sqlite3_reset(q);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
fim_store_get(struct fim_store *s, int64_t input, struct slice path,
    struct arena *arena, struct fim_entry *out, struct error *err)
{
	sqlite3_stmt *q = prepare(s,
	    "SELECT " COLUMNS " FROM entry WHERE input = ? AND key = ?", input,
	    path, err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	rc = sql_step(s->db.sql, q, err);
	if (rc != RC_OK)
		return rc;
	entry_of_row(q, out);
	settle(arena, out);
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
fim_store_put(struct fim_store *s, int64_t input, const struct fim_entry *e,
    struct error *err)
{
	const struct opener_stat *st = &e->st;
	sqlite3_stmt *q = prepare(s,
	    "INSERT OR REPLACE INTO entry (input, " COLUMNS ")"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    input, e->path, err);
	const int64_t numbers[] = { st->mode, st->uid, st->gid,
		(int64_t)st->size, (int64_t)st->ino, (int64_t)st->links,
		st->mtime_ns, st->ctime_ns, st->mount_root, e->content };
	enum { FIRST = 3, N = sizeof(numbers) / sizeof(numbers[0]) };

	if (q == NULL)
		return err->code;
	for (int i = 0; i < N; i++)
		sql_bind_int(q, FIRST + i, numbers[i]);
	if (e->content == FIM_HASHED)
		sql_bind_blob(q, FIRST + N,
		    (struct slice){ (const char *)e->sha256, SHA256_BYTES });
	if (e->target.len > 0)
		sql_bind_blob(q, FIRST + N + 1, e->target);
	if (e->xattrs.len > 0)
		sql_bind_blob(q, FIRST + N + 2, e->xattrs);
	return sql_run(s->db.sql, q, err);
}

enum rc
fim_store_delete(struct fim_store *s, int64_t input, struct slice path,
    struct error *err)
{
	enum rc rc = run(s, "DELETE FROM text WHERE input = ? AND key = ?",
	    input, path, err);

	if (rc == RC_OK)
		rc = run(s, "DELETE FROM entry WHERE input = ? AND key = ?",
		    input, path, err);
	return rc;
}

enum rc
fim_store_text(struct fim_store *s, int64_t input, struct slice path,
    struct arena *arena, struct slice *text, struct error *err)
{
	sqlite3_stmt *q =
	    prepare(s, "SELECT text FROM text WHERE input = ? AND key = ?",
		input, path, err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	rc = sql_step(s->db.sql, q, err);
	if (rc != RC_OK)
		return rc;
	*text = arena_copy(arena, sql_blob(q, 0));
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
fim_store_put_text(struct fim_store *s, int64_t input, struct slice path,
    struct slice text, struct error *err)
{
	sqlite3_stmt *q = prepare(s,
	    "INSERT OR REPLACE INTO text (input, key, text) VALUES (?, ?, ?)",
	    input, path, err);

	if (q == NULL)
		return err->code;
	sql_bind_blob(q, 3, text);
	return sql_run(s->db.sql, q, err);
}
