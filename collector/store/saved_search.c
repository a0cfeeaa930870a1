/* SPDX-License-Identifier: Apache-2.0 */
#include "saved_search.h"

#include "collector/store/internal.h"
#include "collector/store/soc_rows.h"
#include "sql.h"
#include "utf8.h"

#define COLUMNS                                                                \
 "id, name, account, organization, shared, definition, created, updated,"      \
 " revision"

static enum rc
check_name(struct slice name, struct error *err)
{
	bool good =
	    name.len > 0 && name.len <= SAVED_NAME_MAX && utf8_valid(name);

	for (size_t i = 0; good && i < name.len; i++)
		good = (unsigned char)name.ptr[i] >= 0x20 &&
		    name.ptr[i] != 0x7f && name.ptr[i] != '/';
	return good ? RC_OK
		    : error_set(err, RC_INVALID,
			  "name: 1 to %d bytes of text without \"/\"",
			  (int)SAVED_NAME_MAX);
}

static void
saved_of_row(sqlite3_stmt *q, struct saved_search *out)
{
	*out = (struct saved_search){
		.id = sqlite3_column_int64(q, 0),
		.name = sql_text(q, 1),
		.account = sql_text(q, 2),
		.organization = sql_text(q, 3),
		.shared = sqlite3_column_int(q, 4) != 0,
		.definition = sql_text(q, 5),
		.created_ns = sqlite3_column_int64(q, 6),
		.updated_ns = sqlite3_column_int64(q, 7),
		.revision = (uint64_t)sqlite3_column_int64(q, 8),
	};
}

enum rc
saved_search_list(struct store *s, const struct saved_query *q,
    saved_search_cb *cb, void *ctx, struct error *err)
{
	struct saved_search found;
	sqlite3_stmt *stmt;
	struct sql *db;
	enum rc rc = soc_connect(s->dir, SQL_READ, &db, err);

	if (rc != RC_OK)
		return rc;
	stmt = sql_prepare(db,
	    "SELECT " COLUMNS " FROM saved_searches WHERE"
	    " (account = ?1 OR ?2 OR shared AND"
	    "  (?3 IS NULL OR organization = ?3))"
	    " AND (?4 = 0 OR id = ?4) AND (?5 IS NULL OR name = ?5)"
	    " ORDER BY name, account",
	    err);
	rc = stmt != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_text(stmt, 1, q->account);
		sql_bind_int(stmt, 2, q->everybodys);
		if (q->organization.ptr != NULL)
			sql_bind_text(stmt, 3, q->organization);
		sql_bind_int(stmt, 4, q->id);
		if (q->name.ptr != NULL)
			sql_bind_text(stmt, 5, q->name);
	}
	while (rc == RC_OK && (rc = sql_step(db, stmt, err)) == RC_OK) {
		saved_of_row(stmt, &found);
		if (!cb(ctx, &found))
			break;
	}
	sql_close(db);
	return rc == RC_EOF ? RC_OK : rc;
}

/* Whether the account has another one of that name. */
static enum rc
check_taken(struct sql *db, const struct saved_search *s, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db,
	    "SELECT 1 FROM saved_searches WHERE account = ?1 AND name = ?2"
	    " AND id <> ?3",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, s->account);
	sql_bind_text(q, 2, s->name);
	sql_bind_int(q, 3, s->id);
	rc = sql_step(db, q, err);
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	(void)sqlite3_reset(q);
	return error_set(err, RC_DENIED,
	    "you have a saved search \"%.*s\" already", SLICE_ARG(s->name));
}

static enum rc
insert(struct sql *db, struct saved_search *s, struct error *err)
{
	enum rc rc = SQL_PUT(db, err,
	    "INSERT INTO saved_searches(name, account, organization, shared,"
	    " definition, created, updated, revision)"
	    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, 1"
	    " WHERE (SELECT count(*) FROM saved_searches) < ?7"
	    " AND (SELECT count(*) FROM saved_searches WHERE account = ?2) < ?8",
	    BIND_TEXT(s->name), BIND_TEXT(s->account),
	    BIND_TEXT(s->organization), BIND_INT(s->shared),
	    BIND_TEXT(s->definition), BIND_INT(s->created_ns),
	    BIND_INT(SAVED_MAX), BIND_INT(SAVED_OF_ACCOUNT));

	if (rc != RC_OK)
		return rc;
	if (sqlite3_changes(db->db) == 0)
		return error_set(err, RC_LIMIT,
		    "you have %d saved searches already, or all have %d: "
		    "remove some",
		    (int)SAVED_OF_ACCOUNT, (int)SAVED_MAX);
	s->id = sqlite3_last_insert_rowid(db->db);
	return RC_OK;
}

/* Commits if rc is RC_OK, else rolls back; closes. */
static enum rc
end(struct sql *db, enum rc rc, struct error *err)
{
	if (rc == RC_OK)
		rc = sql_commit(db, err);
	if (rc != RC_OK)
		sql_rollback(db);
	sql_close(db);
	return rc;
}

enum rc
saved_search_add(struct store *s, struct saved_search *new, int64_t now_ns,
    struct error *err)
{
	struct sql *db = NULL;
	enum rc rc = check_name(new->name, err);

	new->id = 0;
	new->revision = 1;
	new->created_ns = new->updated_ns = now_ns;
	if (rc == RC_OK)
		rc = soc_connect(s->dir, SQL_WRITE, &db, err);
	if (rc != RC_OK)
		return rc;
	rc = sql_begin(db, err);
	if (rc == RC_OK)
		rc = check_taken(db, new, err);
	if (rc == RC_OK)
		rc = insert(db, new, err);
	return end(db, rc, err);
}

static enum rc
check_revision(struct sql *db, const struct saved_search *s, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(db,
	    "SELECT revision FROM saved_searches WHERE id = ?1"
	    " AND account = ?2",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, s->id);
	sql_bind_text(q, 2, s->account);
	return soc_check_revision(db, q, "saved search",
	    s->revision > 0 ? s->revision : SOC_REVISION_ANY, err);
}

enum rc
saved_search_replace(struct store *s, const struct saved_search *changed,
    int64_t now_ns, struct error *err)
{
	struct sql *db = NULL;
	enum rc rc = check_name(changed->name, err);

	if (rc == RC_OK)
		rc = soc_connect(s->dir, SQL_WRITE, &db, err);
	if (rc != RC_OK)
		return rc;
	rc = sql_begin(db, err);
	if (rc == RC_OK)
		rc = check_revision(db, changed, err);
	if (rc == RC_OK)
		rc = check_taken(db, changed, err);
	if (rc == RC_OK)
		rc = SQL_PUT(db, err,
		    "UPDATE saved_searches SET name = ?2, organization = ?3,"
		    " shared = ?4, definition = ?5, updated = ?6,"
		    " revision = revision + 1 WHERE id = ?1",
		    BIND_INT(changed->id), BIND_TEXT(changed->name),
		    BIND_TEXT(changed->organization), BIND_INT(changed->shared),
		    BIND_TEXT(changed->definition), BIND_INT(now_ns));
	return end(db, rc, err);
}

enum rc
saved_search_remove(struct store *s, struct slice account, int64_t id,
    struct error *err)
{
	struct sql *db;
	enum rc rc = soc_connect(s->dir, SQL_WRITE, &db, err);

	if (rc != RC_OK)
		return rc;
	rc = sql_begin(db, err);
	if (rc == RC_OK)
		rc = SQL_PUT(db, err,
		    "DELETE FROM saved_searches WHERE id = ?1"
		    " AND (?2 IS NULL OR account = ?2)",
		    BIND_INT(id),
		    account.ptr != NULL ? BIND_TEXT(account) : BIND_NULL);
	if (rc == RC_OK && sqlite3_changes(db->db) == 0)
		rc = error_set(err, RC_EOF, "there is no such saved search");
	return end(db, rc, err);
}
