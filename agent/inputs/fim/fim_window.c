/* SPDX-License-Identifier: Apache-2.0 */
/* Change windows: fim_store.h. */
#include <stdio.h>
#include <string.h>

#include "agent/inputs/fim/fim_store.h"

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

enum rc
fim_window_open(struct fim_store *s, const struct fim_window *w,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql,
	    "INSERT INTO window (opened_ns, until_ns, closed_ns, by, reason,"
	    " closed_by) VALUES (?, ?, 0, ?, ?, '')",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, w->opened_ns);
	sql_bind_int(q, 2, w->until_ns);
	sql_bind_text(q, 3, text_of(w->by));
	sql_bind_text(q, 4, text_of(w->reason));
	return sql_run(s->db.sql, q, err);
}

enum rc
fim_window_close(struct fim_store *s, const char *by, int64_t now_ns,
    uint64_t *n, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql,
	    "UPDATE window SET closed_ns = ?1, closed_by = ?2"
	    " WHERE closed_ns = 0 AND (until_ns = 0 OR until_ns > ?1)",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, now_ns);
	sql_bind_text(q, 2, text_of(by));
	rc = sql_run(s->db.sql, q, err);
	if (rc == RC_OK)
		*n = (uint64_t)sqlite3_changes(s->db.sql->db);
	return rc;
}

static void
window_of_row(sqlite3_stmt *q, struct fim_window *w)
{
	*w = (struct fim_window){ .id = sqlite3_column_int64(q, 0),
		.opened_ns = sqlite3_column_int64(q, 1),
		.until_ns = sqlite3_column_int64(q, 2),
		.closed_ns = sqlite3_column_int64(q, 3) };
	(void)snprintf(w->by, sizeof(w->by), "%.*s", SLICE_ARG(sql_text(q, 4)));
	(void)snprintf(w->reason, sizeof(w->reason), "%.*s",
	    SLICE_ARG(sql_text(q, 5)));
	(void)snprintf(w->closed_by, sizeof(w->closed_by), "%.*s",
	    SLICE_ARG(sql_text(q, 6)));
}

#define COLUMNS "id, opened_ns, until_ns, closed_ns, by, reason, closed_by"

enum rc
fim_window_current(struct fim_store *s, int64_t now_ns, struct fim_window *out,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql,
	    "SELECT " COLUMNS " FROM window WHERE opened_ns <= ?1"
	    " AND closed_ns = 0 AND (until_ns = 0 OR until_ns > ?1)"
	    " ORDER BY id DESC LIMIT 1",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, now_ns);
	rc = sql_step(s->db.sql, q, err);
	if (rc != RC_OK)
		return rc;
	window_of_row(q, out);
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
fim_window_list(struct fim_store *s, fim_window_cb *cb, void *ctx,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s->db.sql,
	    "SELECT " COLUMNS " FROM window ORDER BY id", err);
	struct fim_window w;
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(s->db.sql, q, err)) == RC_OK) {
		window_of_row(q, &w);
		cb(ctx, &w);
	}
	return rc == RC_EOF ? RC_OK : rc;
}
