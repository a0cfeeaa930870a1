/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/internal.h"
#include "collector/store/soc_rows.h"
#include "soc.h"

#define PUBLISH_EVERY_NS (INT64_C(60) * 1000000000)

enum { MESSAGE_MAX = 1 << 20, DUE_ARENA = 64 << 10 };

struct outbox {
	struct sql *db;
};

enum rc
outbox_open(struct store *s, struct outbox **out, struct error *err)
{
	struct outbox *o = xzalloc(sizeof(*o));

	if (soc_connect(s->dir, SQL_WRITE, &o->db, err) != RC_OK) {
		free(o);
		*out = NULL;
		return err->code;
	}
	*out = o;
	return RC_OK;
}

void
outbox_close(struct outbox *o)
{
	if (o == NULL)
		return;
	sql_close(o->db);
	free(o);
}

/* A row that is due, copied: no statement runs while the callback does. */
struct due_row {
	struct slice id, json;
	uint64_t revision;
	bool sent; /* the very same text is out already */
};

static bool
was_sent(struct slice sent_digest, struct slice json)
{
	uint8_t digest[SHA256_BYTES];

	if (sent_digest.len != SHA256_BYTES)
		return false;
	sha256_of(json, digest);
	return memcmp(digest, sent_digest.ptr, SHA256_BYTES) == 0;
}

struct due_rows {
	struct due_row *list;
	size_t n, room;
	struct arena *arena;
};

static enum rc
read_due(struct outbox *o, int64_t now_ns, struct due_rows *rows,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "SELECT " INCIDENT_COLUMNS ", o.sent_digest FROM outbox o"
	    " JOIN incidents i ON i.id = o.incident"
	    " WHERE o.due <= ?1 ORDER BY o.due LIMIT ?2",
	    err);
	struct incident i;
	struct buf json;
	enum rc rc;

	if (q == NULL)
		return err->code;
	buf_init(&json, MESSAGE_MAX);
	sql_bind_int(q, 1, now_ns);
	sql_bind_int(q, 2, (int64_t)rows->room);
	while (
	    (rc = sql_step(o->db, q, err)) == RC_OK && rows->n < rows->room) {
		struct due_row *r = &rows->list[rows->n++];

		incident_of_row(q, &i);
		buf_clear(&json);
		incident_write(&json, &i);
		r->id = arena_copy(rows->arena, i.id);
		r->json = arena_copy(rows->arena, buf_slice(&json));
		r->revision = i.revision;
		r->sent = was_sent(sql_blob(q, N_INCIDENT_COLUMNS), r->json);
	}
	(void)sqlite3_reset(q);
	buf_fini(&json);
	return rc == RC_EOF ? RC_OK : rc;
}

/* Its newest state is out: nothing is due until it changes. */
static enum rc
settle(struct outbox *o, struct slice id, uint64_t revision, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "UPDATE outbox SET due = NULL WHERE incident = ?1 AND ?2 ="
	    " (SELECT revision FROM incidents WHERE id = ?1)",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, id);
	sql_bind_int(q, 2, (int64_t)revision);
	return sql_run(o->db, q, err);
}

enum rc
outbox_due(struct outbox *o, int64_t now_ns, size_t limit, outbox_row_cb *cb,
    void *ctx, struct error *err)
{
	struct due_rows rows = { .room = limit };
	enum rc rc;

	rows.arena = arena_new(DUE_ARENA);
	rows.list = xcalloc(limit + 1, sizeof(rows.list[0]));
	rc = read_due(o, now_ns, &rows, err);
	for (size_t i = 0; rc == RC_OK && i < rows.n; i++) {
		const struct due_row *r = &rows.list[i];

		if (r->sent)
			rc = settle(o, r->id, r->revision, err);
		else if (!cb(ctx, r->id, r->revision, r->json))
			break;
	}
	free(rows.list);
	arena_free(rows.arena);
	return rc;
}

static enum rc
note_sent(struct outbox *o, struct slice id, uint64_t revision,
    struct slice json, int64_t now_ns, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	sqlite3_stmt *q = sql_prepare(o->db,
	    "UPDATE outbox SET sent = ?3, sent_digest = ?4,"
	    " due = CASE WHEN ?2 = (SELECT revision FROM incidents"
	    "   WHERE id = ?1) THEN NULL"
	    "  WHEN urgent > ?2 THEN due ELSE ?3 + ?5 END"
	    " WHERE incident = ?1",
	    err);

	if (q == NULL)
		return err->code;
	sha256_of(json, digest);
	sql_bind_text(q, 1, id);
	sql_bind_int(q, 2, (int64_t)revision);
	sql_bind_int(q, 3, now_ns);
	sql_bind_blob(q, 4,
	    (struct slice){ (const char *)digest, sizeof(digest) });
	sql_bind_int(q, 5, PUBLISH_EVERY_NS);
	return sql_run(o->db, q, err);
}

static enum rc
count_sent(struct outbox *o, size_t n, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "INSERT INTO counters VALUES('delivered', ?1)"
	    " ON CONFLICT(name) DO UPDATE SET value = value + ?1",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)n);
	return sql_run(o->db, q, err);
}

enum rc
outbox_delivered(struct outbox *o, const struct outbox_sent *rows, size_t n,
    int64_t now_ns, struct error *err)
{
	enum rc rc = sql_begin(o->db, err);

	for (size_t i = 0; rc == RC_OK && i < n; i++)
		rc = note_sent(o, rows[i].id, rows[i].revision, rows[i].json,
		    now_ns, err);
	if (rc == RC_OK)
		rc = count_sent(o, n, err);
	if (rc == RC_OK)
		rc = sql_commit(o->db, err);
	if (rc != RC_OK)
		sql_rollback(o->db);
	return rc;
}

enum rc
outbox_flush(struct outbox *o, int64_t now_ns, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "UPDATE outbox SET due = ?1 WHERE due > ?1", err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, now_ns);
	return sql_run(o->db, q, err);
}

enum rc
outbox_counts(struct outbox *o, uint64_t *pending, uint64_t *delivered,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "SELECT (SELECT count(*) FROM outbox WHERE due IS NOT NULL),"
	    " coalesce((SELECT value FROM counters"
	    "  WHERE name = 'delivered'), 0)",
	    err);

	*pending = 0;
	*delivered = 0;
	if (q == NULL || sql_step(o->db, q, err) != RC_OK)
		return err->code;
	*pending = (uint64_t)sqlite3_column_int64(q, 0);
	*delivered = (uint64_t)sqlite3_column_int64(q, 1);
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
outbox_note_set(struct outbox *o, const char *name, struct slice text,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "INSERT INTO publisher_notes(name, text) VALUES(?1, ?2)"
	    " ON CONFLICT(name) DO UPDATE SET text = ?2",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, (struct slice){ name, strlen(name) });
	sql_bind_text(q, 2, text);
	return sql_run(o->db, q, err);
}

enum rc
outbox_note_get(struct outbox *o, const char *name, struct buf *text,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(o->db,
	    "SELECT text FROM publisher_notes WHERE name = ?1", err);
	enum rc rc;

	buf_clear(text);
	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, (struct slice){ name, strlen(name) });
	rc = sql_step(o->db, q, err);
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	(void)buf_add_slice(text, sql_text(q, 0));
	(void)sqlite3_reset(q);
	return RC_OK;
}
