/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/daylog.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x6b757a64, SECONDS_A_DAY = 86400 };

/*
 * What is read to find blocks stands apart from the blocks themselves: a scan
 * touches small rows only.
 */
static const char schema[] =
    "CREATE TABLE commits(number INTEGER PRIMARY KEY,"
    " arrival INTEGER NOT NULL, stored INTEGER NOT NULL,"
    " duplicates INTEGER NOT NULL, detections INTEGER NOT NULL,"
    " total_events INTEGER NOT NULL, total_detections INTEGER NOT NULL,"
    " day_first INTEGER NOT NULL, day_last INTEGER NOT NULL,"
    " watermarks BLOB NOT NULL);"
    "CREATE TABLE blocks(id INTEGER PRIMARY KEY,"
    " commit_number INTEGER NOT NULL, owner TEXT NOT NULL,"
    " first_time INTEGER NOT NULL, last_time INTEGER NOT NULL,"
    " n INTEGER NOT NULL, hits BLOB, bloom BLOB NOT NULL);"
    "CREATE INDEX blocks_by_commit ON blocks(commit_number);"
    "CREATE TABLE block_data(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE rules(id INTEGER PRIMARY KEY, digest BLOB NOT NULL,"
    " rule TEXT NOT NULL, about TEXT NOT NULL,"
    " level TEXT NOT NULL, visible INTEGER NOT NULL);"
    "CREATE TABLE agents(id INTEGER PRIMARY KEY, owner TEXT NOT NULL,"
    " agent TEXT NOT NULL, last_seen INTEGER NOT NULL,"
    " events INTEGER NOT NULL);"
    "CREATE TABLE sources(id INTEGER PRIMARY KEY, agent INTEGER NOT NULL,"
    " input TEXT NOT NULL, time INTEGER NOT NULL,"
    " arrival INTEGER NOT NULL, live INTEGER NOT NULL);"
    "CREATE TABLE marks(agent INTEGER NOT NULL, stream BLOB NOT NULL,"
    " offset INTEGER NOT NULL, ended INTEGER NOT NULL,"
    " PRIMARY KEY(agent, stream)) WITHOUT ROWID;"
    "CREATE TABLE seen(agent INTEGER NOT NULL, first INTEGER NOT NULL,"
    " hashes BLOB NOT NULL, PRIMARY KEY(agent, first)) WITHOUT ROWID;";

int32_t
day_of(int64_t time_ns)
{
	int64_t s = time_ns / 1000000000 - (time_ns % 1000000000 < 0);

	return (int32_t)(s / SECONDS_A_DAY - (s % SECONDS_A_DAY < 0));
}

static bool
day_name(int32_t day, char *out, size_t size)
{
	time_t t = (time_t)day * SECONDS_A_DAY;
	struct tm tm;

	return gmtime_r(&t, &tm) != NULL &&
	    strftime(out, size, "%Y-%m-%d.db", &tm) == DAY_NAME_LEN;
}

static bool
day_parse(const char *name, int32_t *day)
{
	struct tm tm = { 0 };
	char again[64];
	const char *end = strptime(name, "%Y-%m-%d.db", &tm);

	if (end == NULL || *end != '\0')
		return false;
	*day = (int32_t)(timegm(&tm) / SECONDS_A_DAY);
	return day_name(*day, again, sizeof(again)) && strcmp(again, name) == 0;
}

static int
compare_days(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

enum rc
day_list(const char *dir, int32_t **days, size_t *n, struct error *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int32_t day;

	*days = NULL;
	*n = 0;
	if (d == NULL)
		return error_set_errno(err, errno, "%s", dir);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		if (!day_parse(e->d_name, &day))
			continue;
		*days = xreallocarray(*days, *n + 1, sizeof(**days));
		(*days)[(*n)++] = day;
	}
	(void)closedir(d);
	if (*n > 1)
		qsort(*days, *n, sizeof(**days), compare_days);
	return RC_OK;
}

enum rc
day_open(const char *dir, int32_t day, enum sql_mode mode, struct sql **out,
    struct error *err)
{
	char path[4096];
	char name[64];
	struct sql *s = NULL;
	int version = 0;
	enum rc rc;

	*out = NULL;
	if (!day_name(day, name, sizeof(name)) ||
	    (size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >=
		sizeof(path))
		return error_set(err, RC_INVALID, "%s: no such day", dir);
	if (mode != SQL_CREATE && access(path, F_OK) != 0 && errno == ENOENT)
		return RC_EOF;
	rc = sql_open(path, mode, &s, err);
	if (rc == RC_OK)
		rc = sql_version(s, &version, err);
	/* a journal is used once: to make the empty file a WAL file */
	if (rc == RC_SYSTEM && mode == SQL_READ && s != NULL &&
	    sqlite3_extended_errcode(s->db) == SQLITE_READONLY_ROLLBACK)
		rc = RC_EOF;
	if (rc == RC_OK && version > DAY_FORMAT)
		rc = error_set(err, RC_INVALID,
		    "%s: written by a newer version of kuzet (format %d, this "
		    "one knows %d): use that version",
		    path, version, DAY_FORMAT);
	if (rc == RC_OK && version == 0 && mode != SQL_CREATE)
		rc = RC_EOF;
	if (rc != RC_OK) {
		sql_close(s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

enum rc
day_create(struct sql *s, struct error *err)
{
	char text[128];

	if (sql_exec(s, schema, err) != RC_OK)
		return err->code;
	(void)snprintf(text, sizeof(text),
	    "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
	    DAY_FORMAT);
	return sql_exec(s, text, err);
}

void
day_abandon(struct sql *s)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char path[4096 + 8];

	/* before it is closed: closing would copy the WAL into it */
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", s->path, ends[i]);
		(void)unlink(path);
	}
	sql_close(s);
}

enum rc
day_totals(struct sql *s, struct day_totals *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s,
	    "SELECT number, total_events, total_detections, day_first,"
	    " day_last FROM commits"
	    " ORDER BY number DESC LIMIT 1",
	    err);
	enum rc rc;

	*out =
	    (struct day_totals){ .first_ns = INT64_MAX, .last_ns = INT64_MIN };
	if (q == NULL)
		return err->code;
	rc = sql_step(s, q, err);
	if (rc == RC_EOF)
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	out->commit = (uint64_t)sqlite3_column_int64(q, 0);
	out->events = (uint64_t)sqlite3_column_int64(q, 1);
	out->detections = (uint64_t)sqlite3_column_int64(q, 2);
	out->first_ns = sqlite3_column_int64(q, 3);
	out->last_ns = sqlite3_column_int64(q, 4);
	(void)sqlite3_reset(q);
	return RC_OK;
}

/* ---- loading ------------------------------------------------------------ */

static enum rc
inconsistent(struct sql *s, const char *table, struct error *err)
{
	return error_set(err, RC_LIBRARY, "%s: damaged: its %s do not agree",
	    s->path, table);
}

static enum rc
load_agents(struct sql *s, struct state *st, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s,
	    "SELECT id, owner, agent, last_seen, events FROM agents"
	    " ORDER BY id",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(s, q, err)) == RC_OK) {
		uint32_t i = state_agent(st, sql_text(q, 1), sql_text(q, 2));

		if (sqlite3_column_int64(q, 0) != (int64_t)i + 1)
			return inconsistent(s, "agents", err);
		st->agents[i].now =
		    (struct agent_values){ sqlite3_column_int64(q, 3),
			    (uint64_t)sqlite3_column_int64(q, 4) };
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
load_sources(struct sql *s, struct state *st, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s,
	    "SELECT id, agent, input, time, arrival, live FROM sources"
	    " ORDER BY id",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(s, q, err)) == RC_OK) {
		int64_t agent = sqlite3_column_int64(q, 1);
		uint32_t i;

		if (agent < 1 || agent > st->n_agents)
			return inconsistent(s, "sources", err);
		i = state_source(st, (uint32_t)(agent - 1), sql_text(q, 2));
		if (sqlite3_column_int64(q, 0) != (int64_t)i + 1)
			return inconsistent(s, "sources", err);
		st->sources[i].now =
		    (struct source_values){ sqlite3_column_int64(q, 3),
			    sqlite3_column_int64(q, 4),
			    sqlite3_column_int(q, 5) != 0 };
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
load_marks(struct sql *s, struct state *st, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s,
	    "SELECT agent, stream, offset, ended FROM marks", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(s, q, err)) == RC_OK) {
		int64_t agent = sqlite3_column_int64(q, 0);
		struct slice stream = sql_blob(q, 1);
		uint32_t i;

		if (agent < 1 || agent > st->n_agents || stream.len != 16)
			return inconsistent(s, "marks", err);
		i = state_mark(st, (uint32_t)(agent - 1),
		    (const uint8_t *)stream.ptr);
		st->marks[i].now =
		    (struct mark_values){ (uint64_t)sqlite3_column_int64(q, 2),
			    sqlite3_column_int64(q, 3), true };
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
load_seen(struct sql *s, struct state *st, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(s,
	    "SELECT agent, first, hashes FROM seen ORDER BY agent, first", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(s, q, err)) == RC_OK) {
		int64_t agent = sqlite3_column_int64(q, 0);

		if (agent < 1 || agent > st->n_agents)
			return inconsistent(s, "identities", err);
		state_load_identities(st, (uint32_t)(agent - 1),
		    (uint64_t)sqlite3_column_int64(q, 1), sql_blob(q, 2));
	}
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
day_load_state(struct sql *s, struct state *st, struct error *err)
{
	if (load_agents(s, st, err) != RC_OK ||
	    load_sources(s, st, err) != RC_OK ||
	    load_marks(s, st, err) != RC_OK || load_seen(s, st, err) != RC_OK)
		return err->code;
	state_commit(st);
	return RC_OK;
}

/* ---- saving ------------------------------------------------------------- */

static enum rc
save_agent(struct sql *s, const struct state *st, uint32_t i, struct error *err)
{
	const struct agent_state *a = &st->agents[i];
	sqlite3_stmt *q = sql_prepare(s,
	    "INSERT INTO agents(id, owner, agent, last_seen, events)"
	    " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE SET"
	    " last_seen = ?4, events = ?5",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)i + 1);
	sql_bind_text(q, 2, a->owner);
	sql_bind_text(q, 3, a->agent);
	sql_bind_int(q, 4, a->now.last_seen_ns);
	sql_bind_int(q, 5, (int64_t)a->now.events);
	return sql_run(s, q, err);
}

static enum rc
save_source(struct sql *s, const struct state *st, uint32_t i,
    struct error *err)
{
	const struct source_state *x = &st->sources[i];
	sqlite3_stmt *q = sql_prepare(s,
	    "INSERT INTO sources(id, agent, input, time, arrival, live)"
	    " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO UPDATE SET"
	    " time = ?4, arrival = ?5, live = ?6",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)i + 1);
	sql_bind_int(q, 2, (int64_t)x->agent + 1);
	sql_bind_text(q, 3, x->input);
	sql_bind_int(q, 4, x->now.time_ns);
	sql_bind_int(q, 5, x->now.arrival_ns);
	sql_bind_int(q, 6, x->now.live);
	return sql_run(s, q, err);
}

static enum rc
save_mark(struct sql *s, const struct state *st, uint32_t i, struct error *err)
{
	const struct mark *m = &st->marks[i];
	sqlite3_stmt *q;

	if (!m->now.set)
		return RC_OK;
	q = sql_prepare(s,
	    "INSERT INTO marks(agent, stream, offset, ended)"
	    " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(agent, stream) DO UPDATE SET"
	    " offset = ?3, ended = ?4",
	    err);
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)m->agent + 1);
	sql_bind_blob(q, 2, (struct slice){ (const char *)m->stream, 16 });
	sql_bind_int(q, 3, (int64_t)m->now.offset);
	sql_bind_int(q, 4, m->now.ended_ns);
	return sql_run(s, q, err);
}

static enum rc
remove_lost(struct sql *s, const struct state *st, struct error *err)
{
	for (size_t i = 0; i < st->n_lost; i++) {
		const struct lost_mark *l = &st->lost[i];
		sqlite3_stmt *q = sql_prepare(s,
		    "DELETE FROM marks WHERE agent = ?1 AND stream = ?2", err);

		if (q == NULL)
			return err->code;
		sql_bind_int(q, 1, (int64_t)l->agent + 1);
		sql_bind_blob(q, 2,
		    (struct slice){ (const char *)l->stream,
			sizeof(l->stream) });
		if (sql_run(s, q, err) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

static enum rc
insert_seen(struct sql *s, uint32_t agent, uint64_t first,
    const struct identity *list, size_t n, struct error *err)
{
	sqlite3_stmt *q;

	if (n == 0)
		return RC_OK;
	q = sql_prepare(s,
	    "INSERT INTO seen(agent, first, hashes) VALUES(?1, ?2, ?3)", err);
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)agent + 1);
	sql_bind_int(q, 2, (int64_t)first);
	sql_bind_blob(q, 3,
	    (struct slice){ (const char *)list, n * sizeof(list[0]) });
	return sql_run(s, q, err);
}

/* Rows that hold nothing of the last FOREIGN_KEPT any more. */
static enum rc
prune_seen(struct sql *s, uint32_t agent, uint64_t total, struct error *err)
{
	sqlite3_stmt *q;

	if (total <= FOREIGN_KEPT)
		return RC_OK;
	q = sql_prepare(s,
	    "DELETE FROM seen WHERE agent = ?1"
	    " AND first + length(hashes) / 16 <= ?2",
	    err);
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)agent + 1);
	sql_bind_int(q, 2, (int64_t)(total - FOREIGN_KEPT));
	return sql_run(s, q, err);
}

static enum rc
save_seen(struct sql *s, const struct state *st, uint32_t i, bool all,
    struct error *err)
{
	const struct seen *x = st->agents[i].seen;
	size_t tail;

	if (x == NULL)
		return RC_OK;
	if (all) {
		/* the ring from its oldest on: in two runs */
		tail = x->n_ring - x->head;
		if (insert_seen(s, i, x->total - x->n_ring, x->ring + x->head,
			tail, err) != RC_OK ||
		    insert_seen(s, i, x->total - x->head, x->ring, x->head,
			err) != RC_OK)
			return err->code;
	}
	if (x->n_added == 0)
		return RC_OK;
	if (insert_seen(s, i, x->total, x->added, x->n_added, err) != RC_OK)
		return err->code;
	return prune_seen(s, i, x->total + x->n_added, err);
}

static enum rc
save_all(struct sql *s, const struct state *st, struct error *err)
{
	for (uint32_t i = 0; i < st->n_agents; i++)
		if (save_agent(s, st, i, err) != RC_OK ||
		    save_seen(s, st, i, true, err) != RC_OK)
			return err->code;
	for (uint32_t i = 0; i < st->n_sources; i++)
		if (save_source(s, st, i, err) != RC_OK)
			return err->code;
	for (uint32_t i = 0; i < st->n_marks; i++)
		if (save_mark(s, st, i, err) != RC_OK)
			return err->code;
	return RC_OK;
}

enum rc
day_save_state(struct sql *s, const struct state *st, bool all,
    struct error *err)
{
	if (all)
		return save_all(s, st, err);
	if (remove_lost(s, st, err) != RC_OK)
		return err->code;
	for (size_t i = 0; i < st->touched_agents.n; i++) {
		uint32_t a = st->touched_agents.list[i];

		if (save_agent(s, st, a, err) != RC_OK ||
		    save_seen(s, st, a, false, err) != RC_OK)
			return err->code;
	}
	for (size_t i = 0; i < st->touched_sources.n; i++)
		if (save_source(s, st, st->touched_sources.list[i], err) !=
		    RC_OK)
			return err->code;
	for (size_t i = 0; i < st->touched_marks.n; i++)
		if (save_mark(s, st, st->touched_marks.list[i], err) != RC_OK)
			return err->code;
	return RC_OK;
}
