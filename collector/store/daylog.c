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
static const char format1[] =
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

/*
 * Format 2: the chain (chain.h; NULL in commits that are older), merged blocks
 * (a merge makes the generation in which its block is born and the merged ones
 * die), a filter for each long run of commits (region.h).
 */
static const char format2[] =
    "ALTER TABLE commits ADD COLUMN first INTEGER;"
    "ALTER TABLE commits ADD COLUMN last INTEGER;"
    "ALTER TABLE commits ADD COLUMN digest BLOB;"
    "ALTER TABLE commits ADD COLUMN hits_digest BLOB;"
    "ALTER TABLE commits ADD COLUMN chain BLOB;"
    "ALTER TABLE blocks ADD COLUMN last_commit INTEGER;"
    "ALTER TABLE blocks ADD COLUMN segments BLOB;"
    "ALTER TABLE blocks ADD COLUMN born INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE blocks ADD COLUMN died INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE heads(commit_number INTEGER PRIMARY KEY,"
    " time INTEGER NOT NULL, head TEXT NOT NULL,"
    " signature BLOB NOT NULL, timestamp BLOB);"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE regions(id INTEGER PRIMARY KEY,"
    " first_commit INTEGER NOT NULL, last_commit INTEGER NOT NULL,"
    " events INTEGER NOT NULL, parts INTEGER NOT NULL);"
    "CREATE TABLE region_parts(id INTEGER PRIMARY KEY,"
    " bits BLOB NOT NULL);";

static const char *const formats[DAY_FORMAT] = { format1, format2 };

/*
 * What readers ask instead of the table: the live ones, in every format.  The
 * name `blocks` means them too, so that no reader sees the others.
 */
static const char live1[] =
    "CREATE TEMP VIEW live AS SELECT id, commit_number,"
    " commit_number AS last_commit, owner, first_time, last_time, n, hits,"
    " bloom, NULL AS segments FROM main.blocks";
static const char live2[] =
    "CREATE TEMP VIEW live AS SELECT id, commit_number,"
    " coalesce(last_commit, commit_number) AS last_commit, owner,"
    " first_time, last_time, n, hits, bloom, segments FROM main.blocks"
    " WHERE born <= %lld AND (died = 0 OR died > %lld)";

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

bool
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
day_file(const char *dir, int32_t day, char *out, size_t size,
    struct error *err)
{
	char name[64];

	if (!day_name(day, name, sizeof(name)) ||
	    (size_t)snprintf(out, size, "%s/%s", dir, name) >= size)
		return error_set(err, RC_INVALID, "%s: no such day", dir);
	return RC_OK;
}

enum rc
day_generation(struct sql *s, int64_t *out, struct error *err)
{
	*out = 0;
	return sql_number(s,
	    "SELECT coalesce(max(value), 0) FROM meta"
	    " WHERE name = 'generation'",
	    out, err);
}

static enum rc
make_view(struct sql *s, int version, struct error *err)
{
	char text[512];
	int64_t now = 0;

	if (version >= 2 && day_generation(s, &now, err) != RC_OK)
		return err->code;
	(void)snprintf(text, sizeof(text), version >= 2 ? live2 : live1,
	    (long long)now, (long long)now);
	/* it is of the connection, not of the file */
	if (sql_exec(s, "PRAGMA query_only=OFF", err) != RC_OK ||
	    sql_exec(s, text, err) != RC_OK ||
	    sql_exec(s, "CREATE TEMP VIEW blocks AS SELECT * FROM live", err) !=
		RC_OK)
		return err->code;
	return sql_exec(s, "PRAGMA query_only=ON", err);
}

static enum rc
check_version(struct sql *s, int version, enum sql_mode mode, struct error *err)
{
	if (version > DAY_FORMAT)
		return error_set(err, RC_INVALID,
		    "%s: written by a newer version of kuzet (format %d, this "
		    "one knows %d): use that version",
		    s->path, version, DAY_FORMAT);
	if (version == 0 && mode != SQL_CREATE)
		return RC_EOF;
	return RC_OK;
}

enum rc
day_open(const char *dir, int32_t day, enum sql_mode mode, struct sql **out,
    struct error *err)
{
	char path[4096];
	struct sql *s = NULL;
	int version = 0;
	enum rc rc;

	*out = NULL;
	if (day_file(dir, day, path, sizeof(path), err) != RC_OK)
		return err->code;
	if (mode != SQL_CREATE && access(path, F_OK) != 0 && errno == ENOENT)
		return RC_EOF;
	rc = sql_open(path, mode, &s, err);
	if (rc == RC_OK)
		rc = sql_version(s, &version, err);
	/* removed this moment */
	if (rc == RC_SYSTEM && mode != SQL_CREATE && access(path, F_OK) != 0 &&
	    errno == ENOENT)
		rc = RC_EOF;
	/* a journal is used once: to make the empty file a WAL file */
	if (rc == RC_SYSTEM && mode == SQL_READ && s != NULL &&
	    sqlite3_extended_errcode(s->db) == SQLITE_READONLY_ROLLBACK)
		rc = RC_EOF;
	if (rc == RC_OK)
		rc = check_version(s, version, mode, err);
	if (rc == RC_OK && mode == SQL_READ)
		rc = make_view(s, version, err);
	if (rc != RC_OK) {
		sql_close(s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

/* In a transaction: from format `version` to the newest. */
static enum rc
bring_up(struct sql *s, int version, struct error *err)
{
	char text[128];

	for (int v = version; v < DAY_FORMAT; v++)
		if (sql_exec(s, formats[v], err) != RC_OK)
			return err->code;
	(void)snprintf(text, sizeof(text),
	    "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
	    DAY_FORMAT);
	return sql_exec(s, text, err);
}

enum rc
day_create(struct sql *s, struct error *err)
{
	return bring_up(s, 0, err);
}

enum rc
day_migrate(struct sql *s, struct error *err)
{
	int version = 0;
	enum rc rc = sql_version(s, &version, err);

	if (rc != RC_OK || version == DAY_FORMAT)
		return rc;
	rc = sql_begin(s, err);
	if (rc == RC_OK)
		rc = bring_up(s, version, err);
	if (rc == RC_OK)
		rc = sql_commit(s, err);
	if (rc != RC_OK) {
		sql_rollback(s);
		return error_prefix(err, "cannot bring %s to format %d",
		    s->path, DAY_FORMAT);
	}
	return RC_OK;
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
