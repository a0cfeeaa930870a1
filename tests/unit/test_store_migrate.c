/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of the first format (made by tests/lib/make-old-store) opens, goes on
 * and can be verified; one of a newer version is refused, whole.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "soc.h"
#include "store_fixture.h"
#include "store_keep.h"
#include "store_verify.h"
#include "tap.h"
#include "xalloc.h"

enum { OLD_EVENTS = 40 };

#define DAY_FILE "2025-11-22.db" /* that of T0 */

static struct error err;

static void
load(const char *dir, const char *file, const char *text)
{
	char path[4096], from[4096];
	char *sql, *why = NULL;
	sqlite3 *db;
	FILE *f;
	long n;

	(void)snprintf(from, sizeof(from), "%s/tests/store-v1/%s", KUZET_SRCDIR,
	    text);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(from, "re");
	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0 ||
	    fseek(f, 0, SEEK_SET) != 0)
		abort();
	sql = xcalloc((size_t)n + 1, 1);
	if (fread(sql, 1, (size_t)n, f) != (size_t)n)
		abort();
	(void)fclose(f);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
		(void)printf("# %s: %s\n", text, why != NULL ? why : "");
		abort();
	}
	(void)sqlite3_close(db);
	free(sql);
}

static char *
old_store(void)
{
	char *dir = fixture_folder();

	load(dir, DAY_FILE, "day.sql");
	load(dir, "soc.db", "soc.sql");
	return dir;
}

static void
set_format(const char *dir, const char *file, int format)
{
	char path[4096], sql[64];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", format);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		abort();
	(void)sqlite3_close(db);
}

static bool
count_incident(void *ctx, const struct incident *i)
{
	unsigned *n = ctx;

	*n += i->events > 0;
	return true;
}

static bool
count_hits(void *ctx, const struct log_record *r)
{
	unsigned *n = ctx;

	*n += (unsigned)r->n_hits;
	return true;
}

static const uint32_t *
no_fields(void *ctx, const uint8_t digest[SHA256_BYTES], uint32_t *n)
{
	(void)ctx;
	(void)digest;
	*n = 0;
	return NULL;
}

static struct store_verified
verified(const char *dir)
{
	struct store_verify what = { .dir = dir,
		.on_finding = fixture_told_damage };
	struct store_verified v = { .damaged = 999 };

	if (store_verify(&what, &v, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return v;
}

static void
an_old_store_opens_and_goes_on(void)
{
	char *dir = old_store();
	struct soc_query all = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct store_verified v = verified(dir);
	unsigned incidents = 0, hits = 0;
	struct log_record r;
	struct store *s;

	CHECK(v.damaged == 0 && v.events == OLD_EVENTS &&
		v.unchained == v.commits && v.commits > 0,
	    "an old store is read as it is: %llu commits without a chain",
	    (unsigned long long)v.unchained);
	if (store_open(dir, &s, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	CHECK(fixture_count(s) == OLD_EVENTS, "its events are there");
	CHECK(soc_incidents(s, &all, count_incident, &incidents, &err) ==
		    RC_OK &&
		incidents > 0,
	    "its incidents are there");
	CHECK(store_read_log(s, 1, no_fields, count_hits, &hits, &err) ==
		    RC_OK &&
		hits > 0,
	    "its hits are read");
	CHECK(
	    fixture_append(s,
		&(struct fixture_batch){ .stream = 9, .n = 20, .time_ns = T0 },
		&r, &err) == RC_OK &&
		r.stored == 20,
	    "the open day goes on in the newest format");
	log_record_fini(&r);
	CHECK(fixture_append(s,
		  &(struct fixture_batch){ .stream = 9,
		      .offset = 9000,
		      .n = 20,
		      .time_ns = T0 + DAY },
		  &r, &err) == RC_OK,
	    "and so does the next");
	log_record_fini(&r);
	(void)store_seal(s, &err);
	store_close(s);
	v = verified(dir);
	CHECK(v.damaged == 0 && v.events == OLD_EVENTS + 40 && v.heads == 2 &&
		v.commits == v.unchained + 2 && v.unsealed == 0,
	    "what came since is chained and signed");
	fixture_remove(dir);
}

static void
a_closed_old_day_is_archived(void)
{
	char *dir = old_store();
	char archive[4096], file[4096];
	struct store_verified v;
	struct log_record r;
	struct store *s;
	int32_t day = (int32_t)(T0 / DAY);

	(void)snprintf(archive, sizeof(archive), "%s/archive", dir);
	if (store_open(dir, &s, &err) != RC_OK ||
	    fixture_append(s,
		&(struct fixture_batch){ .stream = 9,
		    .n = 20,
		    .time_ns = T0 + DAY },
		&r, &err) != RC_OK)
		abort();
	log_record_fini(&r);
	store_close(s);
	/* as it would be had the new version begun a day later */
	(void)snprintf(file, sizeof(file), "%s/" DAY_FILE, dir);
	(void)remove(file);
	load(dir, DAY_FILE, "day.sql");
	v = verified(dir);
	CHECK(v.damaged == 0 && v.events == OLD_EVENTS + 20,
	    "a closed day of the old format stays as it is");
	CHECK(store_archive(dir, day, archive, NULL, NULL, &err) == RC_OK,
	    "and is archived");
	fixture_remove(xstrdup(archive));
	fixture_remove(dir);
}

static void
a_newer_file_is_refused(const char *file, const char *name)
{
	char *dir = old_store();
	struct store *s = NULL;
	enum rc rc;

	set_format(dir, file, 77);
	rc = store_open(dir, &s, &err);
	CHECK(rc == RC_INVALID && s == NULL && strstr(err.text, file) != NULL &&
		strstr(err.text, "newer version") != NULL &&
		strstr(err.text, "format 77") != NULL &&
		strstr(err.text, "this one knows") != NULL &&
		strstr(err.text, "use that version") != NULL,
	    "%s: %s", name, err.text);
	fixture_remove(dir);
}

int
main(void)
{
	an_old_store_opens_and_goes_on();
	a_closed_old_day_is_archived();
	a_newer_file_is_refused(DAY_FILE, "a newer day is refused");
	a_newer_file_is_refused("soc.db", "a newer soc.db is refused");
	return tap_done();
}
