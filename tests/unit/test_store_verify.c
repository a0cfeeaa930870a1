/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a store behind its back is found, and named. */
#include <dirent.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "store_fixture.h"
#include "store_verify.h"
#include "tap.h"
#include "xalloc.h"

static struct error err;

/* Day 1: commits 1..6, one block each, the third of two owners; day 2: two. */
static void
append(struct store *s, const struct fixture_batch *f)
{
	struct log_record r;

	if (fixture_append(s, f, &r, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	log_record_fini(&r);
}

static void
append_two_owners(struct store *s)
{
	struct fixture_batch north = { .owner = "north",
		.stream = 2,
		.n = 10,
		.hits_every = 3,
		.time_ns = T0 + 20 * SECOND };
	struct fixture_batch south = { .owner = "default",
		.stream = 3,
		.n = 5,
		.hits_every = 2,
		.time_ns = T0 + 20 * SECOND };
	struct batch *b[] = { fixture_batch(&north), fixture_batch(&south) };
	struct log_record r;

	if (store_append(s, b, 2, &r, &err) != RC_OK)
		abort();
	log_record_fini(&r);
	fixture_batch_free(b[0]);
	fixture_batch_free(b[1]);
}

static char *
make_store(void)
{
	char *dir = fixture_folder();
	struct store *s;

	if (store_open(dir, &s, &err) != RC_OK)
		abort();
	for (uint64_t i = 0; i < 6; i++) {
		if (i == 2)
			append_two_owners(s);
		else
			append(s,
			    &(struct fixture_batch){ .stream = 1,
				.offset = i * 5000,
				.n = 20,
				.hits_every = 4,
				.time_ns = T0 + (int64_t)i * 30 * SECOND });
		if (i == 3 && store_seal(s, &err) != RC_OK)
			abort();
	}
	for (uint64_t i = 6; i < 8; i++)
		append(s,
		    &(struct fixture_batch){ .stream = 1,
			.offset = i * 5000,
			.n = 20,
			.time_ns = T0 + DAY + (int64_t)i * 30 * SECOND });
	if (store_seal(s, &err) != RC_OK)
		abort();
	store_close(s);
	return dir;
}

struct found {
	unsigned n;
	char problem[64];
	char file[64];
	uint64_t block;
	char message[256];
};

static bool
keep_first(void *ctx, const struct store_finding *f)
{
	struct found *found = ctx;
	const char *slash = strrchr(f->file, '/');

	if (found->n++ > 0)
		return true;
	(void)snprintf(found->problem, sizeof(found->problem), "%s",
	    f->problem);
	(void)snprintf(found->file, sizeof(found->file), "%s",
	    slash != NULL ? slash + 1 : f->file);
	(void)snprintf(found->message, sizeof(found->message), "%s",
	    f->message);
	found->block = f->block;
	return true;
}

static bool
verify(const char *dir, struct store_verified *v, struct found *found)
{
	struct store_verify what = { .dir = dir,
		.on_finding = keep_first,
		.ctx = found };

	*found = (struct found){ 0 };
	if (store_verify(&what, v, &err) == RC_OK)
		return true;
	(void)printf("# %s\n", err.text);
	return false;
}

static void
run_sql(const char *dir, const char *file, const char *sql)
{
	char path[4096];
	char *why = NULL;
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
		(void)printf("# %s: %s\n", sql, why);
		abort();
	}
	(void)sqlite3_close(db);
}

/* Writes over the middle of the file. */
static void
scratch(const char *dir, const char *file)
{
	char path[4096], junk[32768];
	FILE *f;

	memset(junk, 0x5a, sizeof(junk));
	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r+e");
	if (f == NULL || fseek(f, 8192, SEEK_SET) != 0 ||
	    fwrite(junk, 1, sizeof(junk), f) != sizeof(junk) || fclose(f) != 0)
		abort();
}

#define DAY1 "2025-11-22.db"
#define DAY2 "2025-11-23.db"

struct damage {
	const char *name;
	const char *file, *sql;
	const char *problem;
	uint64_t block;
};

static const struct damage damages[] = {
	{ "a block whose bytes are other ones is found", DAY1,
	    "UPDATE block_data SET data = zeroblob(length(data)) WHERE id = 2",
	    "changed", 2 },
	{ "one byte of a block is found", DAY1,
	    "UPDATE block_data SET data = substr(data, 1, length(data) - 3) ||"
	    " x'00' || substr(data, length(data) - 1) WHERE id = 5",
	    "changed", 5 },
	{ "a block that is gone is found", DAY1,
	    "DELETE FROM blocks WHERE id = 2", "missing", 2 },
	{ "a block whose data is gone is found", DAY1,
	    "DELETE FROM block_data WHERE id = 6", "missing", 6 },
	{ "a commit that is gone with its block is found", DAY1,
	    "DELETE FROM blocks WHERE id = 2;"
	    "DELETE FROM block_data WHERE id = 2;"
	    "DELETE FROM commits WHERE number = 2",
	    "missing", 2 },
	{ "a row of the chain that is gone is found", DAY1,
	    "DELETE FROM commits WHERE number = 5", "missing", 6 },
	{ "two blocks that changed places are found", DAY1,
	    "UPDATE block_data SET id = -id WHERE id IN (1, 6);"
	    "UPDATE block_data SET id = 7 + id WHERE id IN (-1, -6)",
	    "reordered", 1 },
	{ "two commits that changed numbers are found", DAY1,
	    "UPDATE blocks SET commit_number = 100 WHERE commit_number = 1;"
	    "UPDATE blocks SET commit_number = 1 WHERE commit_number = 2;"
	    "UPDATE blocks SET commit_number = 2 WHERE commit_number = 100;"
	    "UPDATE commits SET number = 100 WHERE number = 1;"
	    "UPDATE commits SET number = 1 WHERE number = 2;"
	    "UPDATE commits SET number = 2 WHERE number = 100",
	    "reordered", 2 },
	{ "a block in place of another is found", DAY1,
	    "UPDATE block_data SET data = (SELECT data FROM block_data"
	    " WHERE id = 1) WHERE id = 2",
	    "changed", 2 },
	{ "a block of its own that was added is found", DAY1,
	    "INSERT INTO blocks SELECT 50, 2, owner, first_time, last_time, n,"
	    " hits, bloom, NULL, NULL, 0, 0 FROM blocks WHERE id = 1;"
	    "INSERT INTO block_data SELECT 50, data FROM block_data"
	    " WHERE id = 1",
	    "added", 2 },
	{ "a commit that was added is found", DAY2,
	    "INSERT INTO blocks SELECT 50, 9, owner, first_time, last_time, n,"
	    " hits, bloom, NULL, NULL, 0, 0 FROM blocks WHERE id = 1;"
	    "INSERT INTO block_data SELECT 50, data FROM block_data"
	    " WHERE id = 1; INSERT INTO commits(number, arrival, stored,"
	    " duplicates, detections, total_events, total_detections,"
	    " day_first, day_last, watermarks, first, last, digest,"
	    " hits_digest, chain) SELECT 9, arrival, stored, duplicates,"
	    " detections, total_events + 20, total_detections, day_first,"
	    " day_last, watermarks, last + 1, last + 20, digest, hits_digest,"
	    " chain FROM commits WHERE number = 8",
	    "added", 50 },
	{ "a block without a commit is found", DAY2,
	    "INSERT INTO blocks SELECT 50, 9, owner, first_time, last_time, n,"
	    " hits, bloom, NULL, NULL, 0, 0 FROM blocks WHERE id = 1;"
	    "INSERT INTO block_data SELECT 50, data FROM block_data"
	    " WHERE id = 1",
	    "added", 50 },
	{ "a digest that is another is found", DAY1,
	    "UPDATE commits SET digest = zeroblob(32) WHERE number = 4",
	    "changed", 5 },
	{ "hits that are gone are found", DAY1,
	    "UPDATE blocks SET hits = NULL WHERE id = 5", "changed", 5 },
	{ "an owner that is another is found", DAY1,
	    "UPDATE blocks SET owner = 'enemy' WHERE id = 4", "changed", 3 },
	{ "a filter without words is found", DAY1,
	    "UPDATE blocks SET bloom = x'0106' || zeroblob(64) WHERE id = 1",
	    "changed", 1 },
	{ "times that hide a block are found", DAY1,
	    "UPDATE blocks SET first_time = 5, last_time = 6 WHERE id = 1",
	    "changed", 1 },
	{ "a block that plays dead is found", DAY1,
	    "UPDATE blocks SET died = 1 WHERE id = 1;"
	    "INSERT INTO meta VALUES('generation', 1)",
	    "missing", 1 },
	{ "the last commits, gone, are found by the head", DAY2,
	    "DELETE FROM blocks WHERE commit_number = 8;"
	    "DELETE FROM commits WHERE number = 8",
	    "missing", 2 },
	{ "a head that is gone is found at a day's end", DAY1,
	    "DELETE FROM heads WHERE commit_number = 6", "missing", 6 },
	{ "a head that says something else is found", DAY1,
	    "UPDATE heads SET head = replace(head, 'events: ', 'events: 1')",
	    "changed", 1 },
	{ "a signature that is another is found", DAY1,
	    "UPDATE heads SET signature = zeroblob(64)"
	    " WHERE commit_number = 4",
	    "changed", 1 },
	{ "heads of another key are found", DAY2,
	    "UPDATE heads SET head = replace(head, 'key: ', 'key: 0')",
	    "changed", 1 },
	{ "the chain of the day before is compared", DAY2,
	    "UPDATE meta SET value = zeroblob(32) WHERE name = 'chain_before'",
	    "changed", 0 },
	{ "a table that is gone is unreadable", DAY1, "DROP TABLE block_data",
	    "unreadable", 1 },
	{ "a newer format is unreadable", DAY1, "PRAGMA user_version = 99",
	    "unreadable", 0 },
};

static void
every_damage_is_found(void)
{
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *d = &damages[i];
		char *dir = make_store();
		struct store_verified v;
		struct found found;
		bool good;

		run_sql(dir, d->file, d->sql);
		good = verify(dir, &v, &found) && found.n > 0 &&
		    v.damaged == found.n && strcmp(found.file, d->file) == 0;
		good = good && found.block == d->block &&
		    strcmp(found.problem, d->problem) == 0;
		CHECK(good, "%s", d->name);
		(void)printf("# %u: %s: block %llu %s: %s\n", found.n,
		    found.file, (unsigned long long)found.block, found.problem,
		    found.message);
		fixture_remove(dir);
	}
}

static void
an_untouched_store_is_good(void)
{
	char *dir = make_store();
	struct store_verified v;
	struct found found;

	CHECK(verify(dir, &v, &found) && found.n == 0 && v.damaged == 0 &&
		v.blocks == 9 && v.events == 155 && v.commits == 8 &&
		v.heads == 3 && v.unsealed == 0 && v.unchained == 0,
	    "an untouched store is good: %llu blocks, %llu events, %llu heads%s",
	    (unsigned long long)v.blocks, (unsigned long long)v.events,
	    (unsigned long long)v.heads, found.message);
	fixture_remove(dir);
}

static void
old_days_may_go(void)
{
	char *dir = make_store();
	char path[4096];
	struct store_verified v;
	struct found found;

	(void)snprintf(path, sizeof(path), "%s/" DAY1, dir);
	(void)unlink(path);
	CHECK(verify(dir, &v, &found) && found.n == 0 && v.events == 40,
	    "the oldest day may be gone: %s", found.message);
	fixture_remove(dir);
}

static void
a_day_in_between_may_not_go(void)
{
	char *dir = make_store();
	char path[4096];
	struct store_verified v;
	struct found found;
	struct store *s;

	if (store_open(dir, &s, &err) != RC_OK)
		abort();
	append(s,
	    &(struct fixture_batch){ .stream = 1,
		.offset = 90000,
		.n = 20,
		.time_ns = T0 + 2 * DAY });
	store_close(s);
	(void)snprintf(path, sizeof(path), "%s/" DAY2, dir);
	(void)unlink(path);
	CHECK(verify(dir, &v, &found) && found.n == 1 &&
		strcmp(found.problem, "missing") == 0 &&
		strcmp(found.file, "2025-11-24.db") == 0,
	    "a day in between may not be gone: %s", found.message);
	CHECK(v.unsealed == 1, "what no head covers is counted");
	fixture_remove(dir);
}

static void
a_scratched_file_is_unreadable(void)
{
	char *dir = make_store();
	struct store_verified v;
	struct found found;

	scratch(dir, DAY1);
	CHECK(verify(dir, &v, &found) && found.n > 0 &&
		strcmp(found.problem, "unreadable") == 0 && v.events == 40,
	    "a scratched file is unreadable, the others are read: %s",
	    found.message);
	fixture_remove(dir);
}

static void
no_store_is_an_error(void)
{
	char *dir = fixture_folder();
	struct store_verified v;
	struct found found;

	CHECK(!verify(dir, &v, &found), "a folder without a store is an error");
	fixture_remove(dir);
}

static void
an_empty_store_is_none(void)
{
	char *dir = fixture_folder();
	struct store_verified v;
	struct found found;

	store_close(fixture_open(dir));
	CHECK(verify(dir, &v, &found) && found.n == 0 && v.commits == 0,
	    "a store that nothing was committed to has no finding");
	run_sql(dir, "soc.db",
	    "INSERT OR REPLACE INTO cursor(one, commit_number, rebuild_from)"
	    " VALUES(1, 7, 1)");
	CHECK(verify(dir, &v, &found) && found.n == 1 &&
		strcmp(found.problem, "missing") == 0 &&
		strcmp(found.file, "soc.db") == 0,
	    "if every day is gone, incidents tell that there were some");
	fixture_remove(dir);
}

int
main(void)
{
	an_untouched_store_is_good();
	every_damage_is_found();
	old_days_may_go();
	a_day_in_between_may_not_go();
	a_scratched_file_is_unreadable();
	no_store_is_an_error();
	an_empty_store_is_none();
	return tap_done();
}
