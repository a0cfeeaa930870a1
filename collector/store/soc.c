/* SPDX-License-Identifier: Apache-2.0 */
#include "soc.h"

#include "collector/store/internal.h"
#include "collector/store/soc_rows.h"

#define PUBLISH_EVERY_NS (INT64_C(60) * 1000000000)

enum { UNCHANGED, CHANGED, URGENT };

struct soc {
	struct sql *db;
};

enum rc
soc_open(struct store *s, struct soc **out, struct error *err)
{
	struct soc *soc = xzalloc(sizeof(*soc));

	if (soc_connect(s->dir, SQL_WRITE, &soc->db, err) != RC_OK) {
		free(soc);
		*out = NULL;
		return err->code;
	}
	*out = soc;
	return RC_OK;
}

void
soc_close(struct soc *soc)
{
	if (soc == NULL)
		return;
	sql_close(soc->db);
	free(soc);
}

enum rc
soc_cursor_get(struct soc *soc, struct soc_cursor *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(soc->db,
	    "SELECT commit_number, rebuild_from FROM cursor", err);
	enum rc rc;

	*out = (struct soc_cursor){ 0 };
	if (q == NULL)
		return err->code;
	rc = sql_step(soc->db, q, err);
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	out->commit = (uint64_t)sqlite3_column_int64(q, 0);
	out->rebuild_from = (uint64_t)sqlite3_column_int64(q, 1);
	(void)sqlite3_reset(q);
	return RC_OK;
}

void
incident_of_row(sqlite3_stmt *q, struct incident *out)
{
	struct slice digest = sql_blob(q, 6);

	*out = (struct incident){
		.id = sql_text(q, 0),
		.owner = sql_text(q, 1),
		.rule_id = sql_text(q, 2),
		.rule_title = sql_text(q, 3),
		.rule_author = sql_text(q, 4),
		.rule_tags = sql_text(q, 5),
		.level = sql_text(q, 7),
		.status = sql_text(q, 8),
		.reason = sql_text(q, 9),
		.first_seen_ns = sqlite3_column_int64(q, 10),
		.last_seen_ns = sqlite3_column_int64(q, 11),
		.fired_ns = sqlite3_column_int64(q, 12),
		.group = sql_text(q, 13),
		.events = (uint64_t)sqlite3_column_int64(q, 14),
		.agents = sql_text(q, 15),
		.revision = (uint64_t)sqlite3_column_int64(q, 16),
		.assignee = sql_text(q, 17),
		.owner_about = sql_text(q, 18),
		.objects = sql_text(q, 19),
	};
	if (digest.len == sizeof(out->rule_digest))
		memcpy(out->rule_digest, digest.ptr, digest.len);
}

/* ---- applying ----------------------------------------------------------- */

static bool
same_state(const struct incident *a, const struct incident *b)
{
	return slice_eq(a->rule_id, b->rule_id) &&
	    slice_eq(a->rule_title, b->rule_title) &&
	    slice_eq(a->rule_author, b->rule_author) &&
	    slice_eq(a->rule_tags, b->rule_tags) &&
	    slice_eq(a->group, b->group) && slice_eq(a->agents, b->agents) &&
	    slice_eq(a->level, b->level) && slice_eq(a->status, b->status) &&
	    slice_eq(a->reason, b->reason) &&
	    memcmp(a->rule_digest, b->rule_digest, SHA256_BYTES) == 0 &&
	    a->first_seen_ns == b->first_seen_ns &&
	    a->last_seen_ns == b->last_seen_ns && a->fired_ns == b->fired_ns &&
	    a->events == b->events;
}

/* What the new state changes, and the revision that it gets. */
static enum rc
compare_stored(struct soc *soc, const struct incident *i, int *change,
    uint64_t *revision, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(soc->db,
	    "SELECT " INCIDENT_COLUMNS ", i.status, i.reason,"
	    " i.edited_status IS NOT NULL FROM incidents i WHERE id = ?1",
	    err);
	struct incident old;
	bool edited;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, i->id);
	rc = sql_step(soc->db, q, err);
	*change = URGENT;
	*revision = 1;
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	incident_of_row(q, &old);
	old.status = sql_text(q, N_INCIDENT_COLUMNS);
	old.reason = sql_text(q, N_INCIDENT_COLUMNS + 1);
	edited = sqlite3_column_int(q, N_INCIDENT_COLUMNS + 2) != 0;
	*revision = old.revision + 1;
	if (same_state(&old, i))
		*change = UNCHANGED;
	else if (slice_eq(old.level, i->level) &&
	    (edited || slice_eq(old.status, i->status)))
		*change = CHANGED;
	(void)sqlite3_reset(q);
	return RC_OK;
}

static enum rc
upsert_incident(struct soc *soc, const struct incident *i, uint64_t revision,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(soc->db,
	    "INSERT INTO incidents(id, owner, rule, title, author, tags,"
	    " digest, level, status, reason, first_seen, last_seen, fired,"
	    " grp, events, agents, revision, owner_about, objects)"
	    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	    " ?14, ?15, ?16, ?17, ?18, ?19)"
	    " ON CONFLICT(id) DO UPDATE SET owner = ?2, rule = ?3,"
	    " title = ?4, author = ?5, tags = ?6, digest = ?7, level = ?8,"
	    " status = ?9, reason = ?10, first_seen = ?11, last_seen = ?12,"
	    " fired = ?13, grp = ?14, events = ?15, agents = ?16,"
	    " revision = ?17, owner_about = ?18, objects = ?19",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, i->id);
	sql_bind_text(q, 2, i->owner);
	sql_bind_text(q, 3, i->rule_id);
	sql_bind_text(q, 4, i->rule_title);
	sql_bind_text(q, 5, i->rule_author);
	sql_bind_text(q, 6, i->rule_tags);
	sql_bind_blob(q, 7,
	    (struct slice){ (const char *)i->rule_digest, SHA256_BYTES });
	sql_bind_text(q, 8, i->level);
	sql_bind_text(q, 9, i->status);
	sql_bind_text(q, 10, i->reason);
	sql_bind_int(q, 11, i->first_seen_ns);
	sql_bind_int(q, 12, i->last_seen_ns);
	sql_bind_int(q, 13, i->fired_ns);
	sql_bind_text(q, 14, i->group);
	sql_bind_int(q, 15, (int64_t)i->events);
	sql_bind_text(q, 16, i->agents);
	sql_bind_int(q, 17, (int64_t)revision);
	sql_bind_text(q, 18, i->owner_about);
	sql_bind_text(q, 19, i->objects);
	return sql_run(soc->db, q, err);
}

/*
 * Due at once, or a minute after it was last sent; what is due already stays
 * due.  `urgent` is the last revision that could not wait.
 */
static enum rc
queue_incident(struct soc *soc, const struct incident *i, uint64_t urgent,
    int64_t now_ns, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(soc->db,
	    "INSERT INTO outbox(incident, due, urgent, sent, sent_digest)"
	    " VALUES(?1, ?2, ?3, 0, x'') ON CONFLICT(incident) DO UPDATE SET"
	    " due = CASE WHEN ?3 > 0 THEN min(coalesce(due, ?2), ?2)"
	    "  ELSE coalesce(due, max(?2, sent + ?4)) END,"
	    " urgent = max(urgent, ?3)",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, i->id);
	sql_bind_int(q, 2, now_ns);
	sql_bind_int(q, 3, (int64_t)urgent);
	sql_bind_int(q, 4, PUBLISH_EVERY_NS);
	return sql_run(soc->db, q, err);
}

static enum rc
apply_one(struct soc *soc, const struct incident *i, bool outbox,
    int64_t now_ns, struct error *err)
{
	uint64_t revision = 0;
	int change = UNCHANGED;

	if (compare_stored(soc, i, &change, &revision, err) != RC_OK)
		return err->code;
	if (change == UNCHANGED)
		return RC_OK;
	if (upsert_incident(soc, i, revision, err) != RC_OK)
		return err->code;
	if (!outbox)
		return RC_OK;
	return queue_incident(soc, i, change == URGENT ? revision : 0, now_ns,
	    err);
}

static enum rc
set_cursor(struct soc *soc, const struct soc_cursor *cursor, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(soc->db,
	    "INSERT INTO cursor(one, commit_number, rebuild_from)"
	    " VALUES(1, ?1, ?2) ON CONFLICT(one) DO UPDATE SET"
	    " commit_number = ?1, rebuild_from = ?2",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)cursor->commit);
	sql_bind_int(q, 2, (int64_t)cursor->rebuild_from);
	return sql_run(soc->db, q, err);
}

enum rc
/* NOLINTNEXTLINE(readability-function-size): its parameters, see soc.h */
soc_apply(struct soc *soc, const struct incident *incidents, size_t n,
    const struct soc_cursor *cursor, bool outbox, int64_t now_ns,
    struct error *err)
{
	enum rc rc = sql_begin(soc->db, err);

	for (size_t i = 0; rc == RC_OK && i < n; i++)
		rc = apply_one(soc, &incidents[i], outbox, now_ns, err);
	if (rc == RC_OK)
		rc = set_cursor(soc, cursor, err);
	if (rc == RC_OK)
		rc = sql_commit(soc->db, err);
	if (rc != RC_OK)
		sql_rollback(soc->db);
	return rc;
}

/* ---- reading ------------------------------------------------------------ */

enum rc
soc_incidents(struct store *s, const struct soc_query *query,
    soc_incident_cb *cb, void *ctx, struct error *err)
{
	struct incident i;
	struct sql *db;
	sqlite3_stmt *q;
	enum rc rc;

	if (soc_connect(s->dir, SQL_READ, &db, err) != RC_OK)
		return err->code;
	q = sql_prepare(db,
	    "SELECT " INCIDENT_COLUMNS " FROM incidents i"
	    " WHERE (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR rule = ?2)"
	    " AND (?3 IS NULL OR grp = ?3) AND last_seen >= ?4"
	    " AND first_seen < ?5 AND (?7 IS NULL OR id = ?7)"
	    " AND (?8 IS NULL OR coalesce(edited_status, status) = ?8)"
	    " AND (?10 IS NULL OR (first_seen, id) > (?9, ?10))"
	    " ORDER BY first_seen, id LIMIT ?6",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		if (query->owner.ptr != NULL)
			sql_bind_text(q, 1, query->owner);
		if (query->rule.ptr != NULL)
			sql_bind_text(q, 2, query->rule);
		if (query->group.ptr != NULL)
			sql_bind_text(q, 3, query->group);
		if (query->id.ptr != NULL)
			sql_bind_text(q, 7, query->id);
		if (query->status.ptr != NULL)
			sql_bind_text(q, 8, query->status);
		if (query->after_id.ptr != NULL)
			sql_bind_text(q, 10, query->after_id);
		sql_bind_int(q, 9, query->after_ns);
		sql_bind_int(q, 4, query->since_ns);
		sql_bind_int(q, 5, query->until_ns);
		sql_bind_int(q, 6,
		    query->limit > 0 ? (int64_t)query->limit : -1);
	}
	while (rc == RC_OK && (rc = sql_step(db, q, err)) == RC_OK) {
		incident_of_row(q, &i);
		if (!cb(ctx, &i))
			break;
	}
	sql_close(db);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
soc_incident_count(struct store *s, uint64_t *n, struct error *err)
{
	struct sql *db;
	sqlite3_stmt *q;
	enum rc rc;

	*n = 0;
	if (soc_connect(s->dir, SQL_READ, &db, err) != RC_OK)
		return err->code;
	q = sql_prepare(db, "SELECT count(*) FROM incidents", err);
	rc = q != NULL ? sql_step(db, q, err) : err->code;
	if (rc == RC_OK)
		*n = (uint64_t)sqlite3_column_int64(q, 0);
	sql_close(db);
	return rc;
}
