/* SPDX-License-Identifier: Apache-2.0 */
/* Days are archived, removed and restored, and nothing is lost on the way. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/store/keeper.h"
#include "collector/store/merge.h"
#include "json.h"
#include "soc.h"
#include "store_fixture.h"
#include "store_keep.h"
#include "store_verify.h"
#include "tap.h"
#include "xalloc.h"

enum { DAYS = 4, COMMITS = 6, EACH = 30 };

static struct error err;

/* Four days of six commits, two owners. */
static void
fill(struct store *s)
{
	for (unsigned i = 0; i < DAYS * COMMITS; i++) {
		struct fixture_batch f = { .owner =
					       i % 2 == 0 ? "default" : "north",
			.stream = (uint8_t)(1 + i % 2),
			.offset = UINT64_C(5000) * i,
			.n = EACH,
			.hits_every = 7,
			.kind = i % 3 == 2 ? SOURCE_FOREIGN : SOURCE_AGENT,
			.time_ns =
			    T0 + (i / COMMITS) * DAY + (int64_t)i * SECOND };
		struct log_record r;

		if (f.kind == SOURCE_FOREIGN)
			f.stream = 0;
		if (fixture_append(s, &f, &r, &err) != RC_OK)
			abort();
		log_record_fini(&r);
	}
}

/* As correlation would have left it: it needs nothing of these days. */
static void
move_cursor(const char *dir, struct store *s)
{
	struct store_counters c;
	struct soc_cursor cursor;
	struct soc *soc;

	(void)dir;
	store_counters(s, &c);
	cursor = (struct soc_cursor){ c.commits, c.commits + 1 };
	if (soc_open(s, &soc, &err) != RC_OK ||
	    soc_apply(soc, NULL, 0, &cursor, false, 0, &err) != RC_OK)
		abort();
	soc_close(soc);
}

static char *
below(const char *dir, const char *name)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return xstrdup(path);
}

static void
remove_all(char *dir)
{
	static const char *const inside[] = { "archive", "restored" };

	for (size_t i = 0; i < 2; i++)
		fixture_remove(below(dir, inside[i]));
	fixture_remove(dir);
}

static bool
exists(const char *dir, const char *name)
{
	char *path = below(dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* The exit status of a program, run in the folder, silent. */
static int
run_in(const char *dir, const char *program, const char *a, const char *b)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (chdir(dir) != 0 || dup2(null, STDOUT_FILENO) < 0 ||
		    dup2(null, STDERR_FILENO) < 0)
			_exit(126);
		(void)execlp(program, program, a, b, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- what is in the store and in an archive ----------------------------- */

static bool
add_line(void *ctx, const struct event *ev)
{
	json_write_event(ctx, ev, JSON_NESTED);
	return buf_add_char(ctx, '\n');
}

/* A day's lines in the store's order, of one owner (ptr NULL: all). */
static void
lines_of(struct store *s, int32_t day, struct slice owner, struct buf *out)
{
	struct store_query q = { .since_ns = day * DAY,
		.until_ns = (day + 1) * DAY,
		.owner = owner };

	buf_clear(out);
	if (fixture_events(s, &q, add_line, out, &err) != RC_OK)
		abort();
}

static void
unzip(const char *dir, const char *name, struct buf *out)
{
	char *path = below(dir, name);
	gzFile f = gzopen(path, "rb");
	char bytes[8192];
	int n;

	buf_clear(out);
	while (f != NULL && (n = gzread(f, bytes, sizeof(bytes))) > 0)
		(void)buf_add(out, bytes, (size_t)n);
	if (f != NULL)
		(void)gzclose(f);
	free(path);
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted: across owners the order is the chain's in one, blocks' in the other
 */
static void
sort_lines(struct buf *b)
{
	char **lines = xcalloc(b->len + 1, sizeof(char *));
	char *text = xmemdupz(b->ptr, b->len);
	size_t n = 0;

	for (char *p = text, *end; *p != '\0'; p = end + 1) {
		end = strchr(p, '\n');
		*end = '\0';
		lines[n++] = p;
	}
	qsort(lines, n, sizeof(lines[0]), compare_lines);
	buf_clear(b);
	for (size_t i = 0; i < n; i++) {
		(void)buf_add_str(b, lines[i]);
		(void)buf_add_char(b, '\n');
	}
	free(lines);
	free(text);
}

#define DAY0 "2025-11-22"

static void
a_day_is_archived(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	struct store *s = fixture_open(dir);
	struct slice all = { NULL, 0 };
	int32_t day = (int32_t)(T0 / DAY);
	struct merger *m = merger_new(s);
	struct buf want, got;
	bool done = true;

	buf_init(&want, 64 << 20);
	buf_init(&got, 64 << 20);
	fill(s);
	lines_of(s, day, all, &want);
	while (done && merge_step(m, day, true, &done, &err) == RC_OK)
		;
	CHECK(store_archive(dir, day, archive, NULL, NULL, &err) == RC_OK &&
		store_is_archived(archive, day),
	    "a closed and merged day is archived");
	unzip(archive, DAY0 ".jsonl.gz", &got);
	CHECK(slice_eq(buf_slice(&want), buf_slice(&got)) && want.len > 0,
	    "it is the lines in the order of the chain: %zu bytes", got.len);
	CHECK(run_in(archive, "sha256sum", "-c", DAY0 ".manifest") == 0,
	    "sha256sum -c checks it");
	CHECK(store_archive(dir, day + DAYS - 1, archive, NULL, NULL, &err) ==
		RC_INVALID,
	    "the newest day is refused: %s", err.text);
	CHECK(store_archive(dir, day - 5, archive, NULL, NULL, &err) ==
		RC_INVALID,
	    "a day that is not there is refused");
	CHECK(store_archive(dir, day, archive, NULL, NULL, &err) == RC_OK,
	    "again is fine");
	merger_free(m);
	store_close(s);
	buf_fini(&want);
	buf_fini(&got);
	free(archive);
	remove_all(dir);
}

static void
a_damaged_day_is_not_archived(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	char *path = below(dir, DAY0 ".db");
	struct store *s = fixture_open(dir);
	int32_t day = (int32_t)(T0 / DAY);
	sqlite3 *db;

	fill(s);
	store_close(s);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db,
		"UPDATE block_data SET data = (SELECT data FROM block_data"
		" WHERE id = 1) WHERE id = 3",
		NULL, NULL, NULL) != SQLITE_OK)
		abort();
	(void)sqlite3_close(db);
	CHECK(store_archive(dir, day, archive, NULL, NULL, &err) == RC_DENIED &&
		!store_is_archived(archive, day) &&
		!exists(archive, "." DAY0 ".new"),
	    "a damaged day is not archived: %s", err.text);
	free(path);
	free(archive);
	remove_all(dir);
}

/* No file may grow over a kilobyte: as a disk that is full. */
static int
archive_without_room(const char *dir, const char *archive)
{
	const struct rlimit small = { 1024, 1024 };
	int32_t day = (int32_t)(T0 / DAY);
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &small) != 0)
			_exit(99);
		_exit((int)store_archive(dir, day, archive, NULL, NULL, &err));
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
an_archive_without_room_is_none(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	struct store *s = fixture_open(dir);
	int32_t day = (int32_t)(T0 / DAY);

	fill(s);
	CHECK(archive_without_room(dir, archive) == RC_SYSTEM &&
		!store_is_archived(archive, day) &&
		!exists(archive, DAY0 ".jsonl.gz") &&
		!exists(archive, "." DAY0 ".new"),
	    "an archive without room is none, and leaves nothing");
	CHECK(store_archive(dir, day, archive, NULL, NULL, &err) == RC_OK,
	    "with room it is made");
	store_close(s);
	free(archive);
	remove_all(dir);
}

/* ---- removing ----------------------------------------------------------- */

struct pruned {
	unsigned removed, kept;
	char why[128];
};

static bool
on_pruned(void *ctx, const struct store_day *d, const char *kept)
{
	struct pruned *p = ctx;

	(void)d;
	if (kept == NULL) {
		p->removed++;
		return true;
	}
	p->kept++;
	(void)snprintf(p->why, sizeof(p->why), "%s", kept);
	return true;
}

static struct pruned
prune(const char *dir, const struct store_retention *r)
{
	struct pruned p = { 0 };

	if (store_prune(dir, r, on_pruned, &p, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return p;
}

struct slow_reader {
	const char *dir;
	uint64_t n;
	bool removed;
};

static bool
remove_while_read(void *ctx, const struct event *ev)
{
	struct slow_reader *r = ctx;
	struct store_retention all = { .keep_ns = 1, .now_ns = INT64_MAX };

	(void)ev;
	if (r->n++ == 10)
		r->removed = prune(r->dir, &all).removed == DAYS - 1;
	return true;
}

static void
days_go_by_age_and_size(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	struct store *s = fixture_open(dir);
	int32_t day = (int32_t)(T0 / DAY);
	struct store_retention age = { .keep_ns = DAY,
		.now_ns = (day + 3) * DAY };
	struct store_retention size = { .disk_bytes = 1 };
	struct store_retention first = { .keep_ns = 1,
		.now_ns = INT64_MAX,
		.archive = archive,
		.archive_first = true };
	struct slow_reader reader = { .dir = dir };
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct store_verify verify = { .store = s,
		.on_finding = fixture_told_damage };
	struct store_verified v;
	struct pruned p;

	fill(s);
	p = prune(dir, &age);
	CHECK(p.removed == 0 && p.kept == 1, "what correlation needs stays: %s",
	    p.why);
	move_cursor(dir, s);
	p = prune(dir, &first);
	CHECK(p.removed == 0 && p.kept == 1 && exists(dir, DAY0 ".db"),
	    "what is not archived stays: %s", p.why);
	age.dry_run = true;
	CHECK(prune(dir, &age).removed == 1 && exists(dir, DAY0 ".db"),
	    "a dry run removes nothing");
	(void)store_archive(dir, day, archive, NULL, NULL, &err);
	first.now_ns = (day + 1) * DAY + 2;
	CHECK(prune(dir, &first).removed == 1 && !exists(dir, DAY0 ".db") &&
		!exists(dir, DAY0 ".db-wal"),
	    "what is archived goes");
	age.dry_run = false;
	age.now_ns = (day + 4) * DAY;
	CHECK(prune(dir, &age).removed == 1 &&
		fixture_count(s) == UINT64_C(2) * COMMITS * EACH,
	    "a day goes by age");
	CHECK(store_verify(&verify, &v, &err) == RC_OK && v.damaged == 0,
	    "the chain of the others holds");
	CHECK(prune(dir, &size).removed == 1 &&
		fixture_count(s) == UINT64_C(1) * COMMITS * EACH,
	    "a day goes by size, the newest stays");
	store_close(s);
	free(archive);
	remove_all(dir);

	dir = fixture_folder();
	reader.dir = dir;
	s = fixture_open(dir);
	fill(s);
	move_cursor(dir, s);
	CHECK(fixture_events(s, &q, remove_while_read, &reader, &err) ==
		    RC_OK &&
		reader.removed && reader.n == UINT64_C(2) * COMMITS * EACH,
	    "a reader ends the day that is removed under it: %llu events",
	    (unsigned long long)reader.n);
	store_close(s);
	remove_all(dir);
}

/* ---- restoring ---------------------------------------------------------- */

/* Without the mark of restored events. */
static void
unmark(struct buf *b)
{
	static const char mark[] = ",\"kuzet\":{\"restored\":true}";
	size_t n = sizeof(mark) - 1;
	struct buf out;

	buf_init(&out, b->max);
	for (size_t i = 0; i < b->len;) {
		if (b->len - i >= n && memcmp(b->ptr + i, mark, n) == 0)
			i += n;
		else
			(void)buf_add_char(&out, b->ptr[i++]);
	}
	buf_fini(b);
	*b = out;
}

static bool
count_restored(void *ctx, const struct store_day *d)
{
	unsigned *n = ctx;

	*n += d->restored && d->events == UINT64_C(1) * COMMITS * EACH;
	return true;
}

static bool
add_detection(void *ctx, const struct store_detection *d)
{
	struct buf *out = ctx;

	(void)buf_printf(out, "%.*s %.*s %.*s %.*s %.*s\n",
	    SLICE_ARG(event_id_text(d->event)), SLICE_ARG(d->rule_id),
	    SLICE_ARG(d->rule), SLICE_ARG(d->level), SLICE_ARG(d->group));
	return true;
}

/* Those of a day, in the order of their text. */
static void
detections_of(struct store *s, int64_t day, struct buf *out)
{
	struct store_query q = { .since_ns = day * DAY,
		.until_ns = (day + 1) * DAY };
	struct slice any = { NULL, 0 };

	buf_clear(out);
	if (store_detections(s, &q, any, add_detection, out, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	sort_lines(out);
}

/* The day's archive as versions without detections wrote it; not restored. */
static void
make_older(const char *dir, const char *archive)
{
	char *manifest = below(archive, DAY0 ".manifest");
	char *part = below(archive, DAY0 ".detections.jsonl.gz");
	char *restored = below(dir, "restored/" DAY0 ".db");
	char lines[16][256];
	FILE *f = fopen(manifest, "re");
	unsigned n = 0;

	while (
	    f != NULL && n < 16 && fgets(lines[n], sizeof(lines[n]), f) != NULL)
		n += strstr(lines[n], "detections") == NULL;
	if (f != NULL)
		(void)fclose(f);
	f = fopen(manifest, "we");
	for (unsigned i = 0; f != NULL && i < n; i++)
		(void)fputs(lines[i], f);
	if (f != NULL)
		(void)fclose(f);
	(void)unlink(part);
	(void)unlink(restored);
	free(manifest);
	free(part);
	free(restored);
}

static void
an_archived_day_comes_back_with_its_detections(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	struct store *s = fixture_open(dir);
	int32_t day = (int32_t)(T0 / DAY);
	struct store_retention r = { .keep_ns = 1,
		.now_ns = (day + 1) * DAY + 2 };
	struct buf want, got;

	buf_init(&want, 64 << 20);
	buf_init(&got, 64 << 20);
	fill(s);
	move_cursor(dir, s);
	detections_of(s, day, &want);
	(void)store_archive(dir, day, archive, NULL, NULL, &err);
	(void)prune(dir, &r);
	detections_of(s, day, &got);
	CHECK(want.len > 0 && got.len == 0, "detections go with their day");
	CHECK(store_restore(dir, day, archive, NULL, NULL, &err) == RC_OK,
	    "they are restored: %s", err.text);
	detections_of(s, day, &got);
	CHECK(slice_eq(buf_slice(&want), buf_slice(&got)),
	    "each detection is as it was, of the event that it was of");
	make_older(dir, archive);
	detections_of(s, day, &got);
	CHECK(store_restore(dir, day, archive, NULL, NULL, &err) == RC_OK &&
		got.len == 0,
	    "an archive that has none comes back too: %s", err.text);
	buf_fini(&want);
	buf_fini(&got);
	store_close(s);
	free(archive);
	remove_all(dir);
}

static void
an_archived_day_comes_back(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	struct store *s = fixture_open(dir);
	int32_t day = (int32_t)(T0 / DAY);
	struct store_retention r = { .keep_ns = 1,
		.now_ns = (day + 1) * DAY + 2 };
	struct slice north = SLICE("north"), all = { NULL, 0 };
	struct store_filter id = { FIELD_EVENT_ID, SLICE("") };
	struct store_query q = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.filters = &id,
		.n_filters = 1 };
	struct buf want, got, north_want;
	unsigned restored = 0;
	char text[64];
	char *path;
	FILE *f;

	buf_init(&want, 64 << 20);
	buf_init(&got, 64 << 20);
	buf_init(&north_want, 64 << 20);
	fill(s);
	move_cursor(dir, s);
	lines_of(s, day, all, &want);
	lines_of(s, day, north, &north_want);
	(void)store_archive(dir, day, archive, NULL, NULL, &err);
	(void)prune(dir, &r);
	lines_of(s, day, all, &got);
	CHECK(got.len == 0 && !exists(dir, DAY0 ".db"), "a day is gone");
	CHECK(store_restore(dir, day, archive, NULL, NULL, &err) == RC_OK,
	    "and comes back: %s", err.text);
	lines_of(s, day, all, &got);
	CHECK(strstr(got.ptr, "\"restored\":true") != NULL, "it is marked");
	unmark(&got);
	sort_lines(&got);
	sort_lines(&want);
	CHECK(slice_eq(buf_slice(&want), buf_slice(&got)),
	    "each event is as it was");
	lines_of(s, day, north, &got);
	unmark(&got);
	CHECK(slice_eq(buf_slice(&north_want), buf_slice(&got)) && got.len > 0,
	    "with its owner, in its order");
	(void)snprintf(text, sizeof(text),
	    "01000000-0000-0000-0000-000000000000:%d", 100);
	id.value = (struct slice){ text, strlen(text) };
	CHECK(fixture_count_of(s, &q) == 1, "it is found by its id");
	CHECK(store_days(dir, archive, count_restored, &restored, &err) ==
		    RC_OK &&
		restored == 1,
	    "it is listed as restored");
	CHECK(store_restore(dir, day, archive, NULL, NULL, &err) == RC_INVALID,
	    "twice is refused: %s", err.text);
	path = below(archive, DAY0 ".hits.gz");
	f = fopen(path, "ae");
	(void)(f != NULL && fputs("x", f) >= 0 && fclose(f) == 0);
	free(path);
	path = below(dir, "restored/" DAY0 ".db");
	(void)unlink(path);
	CHECK(store_restore(dir, day, archive, NULL, NULL, &err) == RC_DENIED,
	    "an archive that was changed is refused: %s", err.text);
	free(path);
	buf_fini(&want);
	buf_fini(&got);
	buf_fini(&north_want);
	store_close(s);
	free(archive);
	remove_all(dir);
}

/* ---- the keeper --------------------------------------------------------- */

static void
on_trouble(void *ctx, const char *message)
{
	(void)ctx;
	(void)printf("# trouble: %s\n", message);
}

static void
on_day(void *ctx, const char *day, const char *what)
{
	(void)ctx;
	(void)printf("# %s %s\n", day, what);
}

static void
the_keeper_does_it_by_itself(void)
{
	char *dir = fixture_folder(), *archive = below(dir, "archive");
	struct store *s = fixture_open(dir);
	struct keeper_options o = { .store = s,
		.retention = { .keep_ns = 1,
		    .archive = archive,
		    .archive_first = true },
		.on_trouble = on_trouble,
		.on_day = on_day };
	struct keeper_counters c = { 0 };
	struct keeper *k;

	fill(s);
	move_cursor(dir, s);
	k = keeper_new(&o);
	for (int i = 0; i < 3000 && c.removed < DAYS - 1; i++) {
		(void)usleep(20000);
		keeper_counters(k, &c);
	}
	keeper_free(k);
	CHECK(c.archived == DAYS - 1 && c.removed == DAYS - 1 &&
		c.removed_events == UINT64_C(3) * COMMITS * EACH &&
		fixture_count(s) == UINT64_C(1) * COMMITS * EACH,
	    "the keeper archives and removes %llu days",
	    (unsigned long long)c.removed);
	CHECK(run_in(archive, "sh", "-c",
		  "cat *.manifest | sha256sum --quiet -c") == 0,
	    "every archive is good");
	store_close(s);
	free(archive);
	remove_all(dir);
}

int
main(void)
{
	a_day_is_archived();
	a_damaged_day_is_not_archived();
	an_archive_without_room_is_none();
	days_go_by_age_and_size();
	an_archived_day_comes_back();
	an_archived_day_comes_back_with_its_detections();
	the_keeper_does_it_by_itself();
	return tap_done();
}
