/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: rows that are only ever added. */
#include "collector/store/account_rows.h"
#include "collector/store/internal.h"

enum { READ_AT_ONCE = 200, READ_ARENA = 64 << 10, PRUNE_EVERY = 1000 };

static enum rc
insert_entry(struct accounts *a, const struct audit_entry *e, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "INSERT INTO audit(time, account, role, address, action, method,"
	    " target, status, detail) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
	    " ?9)",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, e->time_ns);
	sql_bind_text(q, 2, e->account);
	sql_bind_text(q, 3, e->role);
	sql_bind_text(q, 4, e->address);
	sql_bind_text(q, 5, e->action);
	sql_bind_text(q, 6, e->method);
	sql_bind_text(q, 7, e->target);
	sql_bind_int(q, 8, e->status);
	sql_bind_text(q, 9, e->detail);
	return sql_run(a->db, q, err);
}

/* What the trigger lets go: far behind, and in the log of events. */
static enum rc
prune(struct accounts *a, struct error *err)
{
	return sql_exec(a->db,
	    "DELETE FROM audit WHERE id <= (SELECT shipped FROM audit_cursor)"
	    " AND id <= (SELECT max(id) FROM audit) - 1000000",
	    err);
}

enum rc
accounts_audit(struct accounts *a, const struct audit_entry *list, size_t n,
    struct error *err)
{
	enum rc rc;
	int64_t before, after;

	(void)pthread_mutex_lock(&a->lock);
	before = sqlite3_last_insert_rowid(a->db->db);
	rc = sql_begin(a->db, err);
	for (size_t i = 0; rc == RC_OK && i < n; i++)
		rc = insert_entry(a, &list[i], err);
	after = sqlite3_last_insert_rowid(a->db->db);
	if (rc == RC_OK && before / PRUNE_EVERY != after / PRUNE_EVERY)
		rc = prune(a, err);
	rc = accounts_end(a, rc, err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

static void
entry_of_row(sqlite3_stmt *q, struct arena *arena, struct audit_entry *out)
{
	*out = (struct audit_entry){
		.id = sqlite3_column_int64(q, 0),
		.time_ns = sqlite3_column_int64(q, 1),
		.account = arena_copy(arena, sql_text(q, 2)),
		.role = arena_copy(arena, sql_text(q, 3)),
		.address = arena_copy(arena, sql_text(q, 4)),
		.action = arena_copy(arena, sql_text(q, 5)),
		.method = arena_copy(arena, sql_text(q, 6)),
		.target = arena_copy(arena, sql_text(q, 7)),
		.status = sqlite3_column_int(q, 8),
		.detail = arena_copy(arena, sql_text(q, 9)),
	};
}

struct some {
	struct audit_entry list[READ_AT_ONCE]; /* in the arena */
	size_t n;
	struct arena *arena;
};

static enum rc
read_some(struct accounts *a, const struct audit_query *query, int64_t after,
    struct some *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "SELECT id, time, account, role, address, action, method, target,"
	    " status, detail FROM audit WHERE id > ?1 AND time >= ?2"
	    " AND time < ?3 AND (?4 IS NULL OR account = ?4)"
	    " ORDER BY id LIMIT ?5",
	    err);
	enum rc rc;

	out->n = 0;
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, after);
	sql_bind_int(q, 2, query->since_ns);
	sql_bind_int(q, 3, query->until_ns);
	if (query->account.ptr != NULL)
		sql_bind_text(q, 4, query->account);
	sql_bind_int(q, 5, READ_AT_ONCE);
	while ((rc = sql_step(a->db, q, err)) == RC_OK)
		entry_of_row(q, out->arena, &out->list[out->n++]);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
accounts_audit_read(struct accounts *a, const struct audit_query *q,
    audit_cb *cb, void *ctx, struct error *err)
{
	struct some some = { .arena = arena_new(READ_ARENA) };
	int64_t after = q->after;
	uint64_t given = 0;
	enum rc rc;

	do {
		arena_reset(some.arena);
		(void)pthread_mutex_lock(&a->lock);
		rc = read_some(a, q, after, &some, err);
		(void)pthread_mutex_unlock(&a->lock);
		for (size_t i = 0; rc == RC_OK && i < some.n; i++) {
			after = some.list[i].id;
			if (!cb(ctx, &some.list[i]) || ++given == q->limit)
				goto out;
		}
	} while (rc == RC_OK && some.n == READ_AT_ONCE);
out:
	arena_free(some.arena);
	return rc;
}

enum rc
accounts_audit_cursor(struct accounts *a, struct audit_cursor *out,
    struct error *err)
{
	char stream[UUID_TEXT];
	uint8_t uuid[16];
	sqlite3_stmt *q;
	enum rc rc;

	uuid_new(uuid);
	uuid_text(uuid, stream);
	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db,
	    "INSERT INTO audit_cursor(one, stream, shipped) VALUES(1, ?1, 0)"
	    " ON CONFLICT(one) DO NOTHING",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_text(q, 1, (struct slice){ stream, UUID_TEXT - 1 });
		rc = sql_run(a->db, q, err);
	}
	q = rc == RC_OK ? sql_prepare(a->db,
			      "SELECT stream, shipped FROM audit_cursor", err)
			: NULL;
	rc = q != NULL ? sql_step(a->db, q, err) : err->code;
	if (rc == RC_OK) {
		text_copy(out->stream, sizeof(out->stream), sql_text(q, 0));
		out->shipped = sqlite3_column_int64(q, 1);
		(void)sqlite3_reset(q);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

enum rc
accounts_audit_shipped(struct accounts *a, int64_t id, struct error *err)
{
	sqlite3_stmt *q;
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db, "UPDATE audit_cursor SET shipped = ?1", err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_int(q, 1, id);
		rc = sql_run(a->db, q, err);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}
