/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/rpm_db.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "sql.h"

enum { TRIES = 3 };

static const char database[] = "rpmdb.sqlite", wal[] = "rpmdb.sqlite-wal";

/* What other rpms keep it in. */
static const struct foreign {
	const char *name, *format;
} foreign[] = { { "Packages.db", "ndb" }, { "Packages", "Berkeley DB" } };

struct packages {
	rpm_db_cb *cb;
	void *ctx;
	uint32_t n;
};

static bool
stat_of(struct opener *o, const char *dir, const char *name,
    struct opener_stat *st)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return opener_lstat(o, path, st) && st->regular;
}

static int
open_at(struct opener *o, const char *dir, const char *name,
    struct opener_stat *st)
{
	char path[PATH_MAX];
	struct error err;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return opener_open_itself(o, path, &fd, st, &err) == RC_OK ? fd : -1;
}

static const struct foreign *
foreign_in(struct opener *o, const char *dir)
{
	struct opener_stat st;

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (stat_of(o, dir, foreign[i].name, &st))
			return &foreign[i];
	}
	return NULL;
}

const char *
rpm_db_dir(struct opener *o)
{
	/* where the second exists, the first is mostly a link to it */
	static const char *const dirs[] = { "/usr/lib/sysimage/rpm",
		"/var/lib/rpm" };
	static const size_t n = sizeof(dirs) / sizeof(dirs[0]);
	struct opener_stat st;

	for (size_t i = 0; i < n; i++) {
		if (stat_of(o, dirs[i], database, &st))
			return dirs[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (foreign_in(o, dirs[i]) != NULL)
			return dirs[i];
	}
	return NULL;
}

static uint64_t
mix(uint64_t state, const struct opener_stat *st)
{
	const uint64_t parts[] = { st->ino, st->size, (uint64_t)st->ctime_ns };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		state = (state ^ parts[i]) * 1099511628211u; /* FNV-1a */
	return state;
}

uint64_t
rpm_db_state(struct opener *o, const char *dir)
{
	struct opener_stat st;
	uint64_t state;

	if (!stat_of(o, dir, database, &st))
		return 0;
	state = mix(14695981039346656037u, &st);
	/* an empty one comes and goes with each reader */
	if (stat_of(o, dir, wal, &st) && st.size > 0)
		state = mix(state, &st);
	return state;
}

bool
rpm_db_busy(struct opener *o, const char *dir)
{
	/* not those who only ask */
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct opener_stat st;
	int fd = open_at(o, dir, ".rpm.lock", &st);
	bool busy;

	if (fd == -1)
		return false;
	busy = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	(void)close(fd);
	return busy;
}

static enum rc
each_row(void *ctx, sqlite3_stmt *row, struct error *err)
{
	struct packages *p = ctx;
	struct rpm_header h;

	if (++p->n > RPM_DB_PACKAGES_MAX)
		return error_set(err, RC_LIMIT, "more than %d packages",
		    RPM_DB_PACKAGES_MAX);
	if (rpm_header_parse(sql_blob(row, 0), &h) == RC_OK)
		p->cb(p->ctx, &h);
	return RC_OK;
}

/* Of a table only: a view could be anything. */
static enum rc
read_packages(struct sql *s, struct packages *p, struct error *err)
{
	int64_t one;
	enum rc rc = sql_number(s,
	    "SELECT 1 FROM sqlite_schema"
	    " WHERE type = 'table' AND name = 'Packages'",
	    &one, err);

	if (rc == RC_EOF)
		return error_set(err, RC_LIBRARY,
		    "rpm's database has no table Packages");
	if (rc != RC_OK)
		return rc;
	return sql_each(s, "SELECT blob FROM Packages", each_row, p, err);
}

static enum rc
refuse(struct opener *o, const char *dir, struct error *err)
{
	const struct foreign *f = foreign_in(o, dir);

	if (f == NULL)
		return error_set(err, RC_SYSTEM, "%s/%s cannot be read", dir,
		    database);
	return error_set(err, RC_INVALID,
	    "%s/%s is of the format %s, which is not read; rpm 4.16 and later "
	    "make it SQLite: rpmdb --rebuilddb --define '_db_backend sqlite'",
	    dir, f->name, f->format);
}

enum rc
rpm_db_each(struct opener *o, const char *dir, rpm_db_cb *cb, void *ctx,
    struct error *err)
{
	struct packages p = { cb, ctx, 0 };
	uint64_t before = rpm_db_state(o, dir);
	struct opener_stat st = { 0 }, log = { 0 };
	struct sql *s = NULL;
	int files[2] = { open_at(o, dir, database, &st),
		open_at(o, dir, wal, &log) };
	enum rc rc;

	if (files[0] == -1)
		rc = refuse(o, dir, err);
	else if (st.size + log.size > RPM_DB_BYTES_MAX)
		rc = error_set(err, RC_LIMIT, "%s/%s is too large", dir,
		    database);
	else
		rc = sql_open_fds(files, RPM_DB_HEADER_MAX, &s, err);
	if (rc == RC_OK)
		rc = read_packages(s, &p, err);
	sql_close(s);
	for (size_t i = 0; i < 2; i++) {
		if (files[i] != -1)
			(void)close(files[i]);
	}
	/* without its locks a reader sees pages of two states */
	if (rpm_db_state(o, dir) != before)
		rc = error_set(err, RC_AGAIN, "%s/%s changed while it was read",
		    dir, database);
	return rc;
}

static void
add_name(void *ctx, const struct rpm_header *h)
{
	struct slice name;

	if (!rpm_header_text(h, RPM_NAME, &name))
		return;
	(void)buf_add_slice(ctx, name);
	(void)buf_add_char(ctx, '\n');
}

enum rc
rpm_db_names(struct opener *o, const char *dir, struct buf *out,
    struct error *err)
{
	enum rc rc = RC_AGAIN;

	for (int i = 0; i < TRIES && rc == RC_AGAIN; i++) {
		buf_clear(out);
		(void)buf_add_char(out, '\n');
		rc = rpm_db_each(o, dir, add_name, out, err);
	}
	return rc;
}
