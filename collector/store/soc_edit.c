/* SPDX-License-Identifier: Apache-2.0 */
/* What people change of incidents. */
#include "collector/store/internal.h"
#include "collector/store/soc_rows.h"
#include "utf8.h"

enum {
	REASON_MAX = 256,
	ASSIGNEE_MAX = 128,
	NOTE_MAX = 16 * 1024,
	NOTES_MAX = 1000,
};

static bool
good_text(struct slice s, size_t max)
{
	if (s.ptr == NULL)
		return true;
	return s.len <= max && utf8_valid(s) &&
	    memchr(s.ptr, '\0', s.len) == NULL;
}

static enum rc
check_edit(const struct incident_edit *e, struct error *err)
{
	if (e->status.ptr != NULL && !slice_eq(e->status, SLICE("new")) &&
	    !slice_eq(e->status, SLICE("open")) &&
	    !slice_eq(e->status, SLICE("closed")))
		return error_set(err, RC_INVALID,
		    "status: new, open or closed");
	if (!good_text(e->reason, REASON_MAX))
		return error_set(err, RC_INVALID,
		    "reason: at most %d bytes of text", (int)REASON_MAX);
	if (!good_text(e->assignee, ASSIGNEE_MAX))
		return error_set(err, RC_INVALID,
		    "assignee: at most %d bytes of text", (int)ASSIGNEE_MAX);
	if (!good_text(e->note, NOTE_MAX) ||
	    (e->note.ptr != NULL && e->note.len == 0))
		return error_set(err, RC_INVALID, "note: 1 to %d bytes of text",
		    (int)NOTE_MAX);
	if (e->status.ptr == NULL && e->reason.ptr == NULL &&
	    e->assignee.ptr == NULL && e->note.ptr == NULL)
		return error_set(err, RC_INVALID,
		    "nothing to change: give status, reason, assignee or note");
	return RC_OK;
}

enum rc
soc_check_revision(struct sql *db, sqlite3_stmt *q, const char *what,
    uint64_t revision, struct error *err)
{
	enum rc rc = sql_step(db, q, err);
	uint64_t found;

	if (rc == RC_EOF)
		return error_set(err, RC_EOF, "there is no such %s", what);
	if (rc != RC_OK)
		return rc;
	found = (uint64_t)sqlite3_column_int64(q, 0);
	(void)sqlite3_reset(q);
	if (revision == SOC_REVISION_ANY || revision == found)
		return RC_OK;
	return error_set(err, RC_DENIED,
	    "the %s has changed meanwhile: it is at revision %llu; look at it "
	    "again",
	    what, (unsigned long long)found);
}

static enum rc
check_revision(struct sql *db, const struct incident_edit *e, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db,
	    "SELECT revision FROM incidents WHERE id = ?1"
	    " AND (?2 IS NULL OR owner = ?2)",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, e->id);
	if (e->owner.ptr != NULL)
		sql_bind_text(q, 2, e->owner);
	return soc_check_revision(db, q, "incident", e->revision, err);
}

static enum rc
update_incident(struct sql *db, const struct incident_edit *e,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db,
	    "UPDATE incidents SET edited_status = coalesce(?2, edited_status),"
	    " edited_reason = coalesce(?3, edited_reason),"
	    " assignee = coalesce(?4, assignee), revision = revision + 1"
	    " WHERE id = ?1",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, e->id);
	if (e->status.ptr != NULL)
		sql_bind_text(q, 2, e->status);
	if (e->reason.ptr != NULL)
		sql_bind_text(q, 3, e->reason);
	if (e->assignee.ptr != NULL)
		sql_bind_text(q, 4, e->assignee);
	return sql_run(db, q, err);
}

static enum rc
add_note(struct sql *db, const struct incident_edit *e, int64_t now_ns,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db,
	    "INSERT INTO incident_notes(incident, time, author, text)"
	    " SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*)"
	    "  FROM incident_notes WHERE incident = ?1) < ?5",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, e->id);
	sql_bind_int(q, 2, now_ns);
	sql_bind_text(q, 3, e->author);
	sql_bind_text(q, 4, e->note);
	sql_bind_int(q, 5, NOTES_MAX);
	if (sql_run(db, q, err) != RC_OK)
		return err->code;
	return sqlite3_changes(db->db) == 1
	    ? RC_OK
	    : error_set(err, RC_LIMIT, "it has %d notes already",
		  (int)NOTES_MAX);
}

/* A change that others see is due at once. */
static enum rc
queue_edit(struct sql *db, const struct incident_edit *e, int64_t now_ns,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db,
	    "INSERT INTO outbox(incident, due, urgent, sent, sent_digest)"
	    " VALUES(?1, ?2, ?3, 0, x'') ON CONFLICT(incident) DO UPDATE SET"
	    " due = min(coalesce(due, ?2), ?2), urgent = ?3",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, e->id);
	sql_bind_int(q, 2, now_ns);
	sql_bind_int(q, 3, (int64_t)e->revision + 1);
	return sql_run(db, q, err);
}

enum rc
soc_edit(struct store *s, const struct incident_edit *e, bool outbox,
    int64_t now_ns, struct error *err)
{
	bool seen = e->status.ptr != NULL || e->reason.ptr != NULL ||
	    e->assignee.ptr != NULL;
	struct sql *db = NULL;
	enum rc rc = check_edit(e, err);

	if (rc == RC_OK)
		rc = soc_connect(s->dir, SQL_WRITE, &db, err);
	if (rc != RC_OK)
		return rc;
	rc = sql_begin(db, err);
	if (rc == RC_OK)
		rc = check_revision(db, e, err);
	if (rc == RC_OK)
		rc = update_incident(db, e, err);
	if (rc == RC_OK && e->note.ptr != NULL)
		rc = add_note(db, e, now_ns, err);
	if (rc == RC_OK && outbox && seen)
		rc = queue_edit(db, e, now_ns, err);
	if (rc == RC_OK)
		rc = sql_commit(db, err);
	if (rc != RC_OK)
		sql_rollback(db);
	sql_close(db);
	return rc;
}

enum rc
soc_notes(struct store *s, struct slice incident, soc_note_cb *cb, void *ctx,
    struct error *err)
{
	struct sql *db;
	sqlite3_stmt *q;
	enum rc rc = soc_connect(s->dir, SQL_READ, &db, err);

	if (rc != RC_OK)
		return rc;
	q = sql_prepare(db,
	    "SELECT id, time, author, text FROM incident_notes"
	    " WHERE incident = ?1 ORDER BY id",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK)
		sql_bind_text(q, 1, incident);
	while (rc == RC_OK && (rc = sql_step(db, q, err)) == RC_OK) {
		struct incident_note n = { sqlite3_column_int64(q, 0),
			sqlite3_column_int64(q, 1), sql_text(q, 2),
			sql_text(q, 3) };

		if (!cb(ctx, &n))
			break;
	}
	sql_close(db);
	return rc == RC_EOF ? RC_OK : rc;
}
