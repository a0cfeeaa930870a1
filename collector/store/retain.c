/* SPDX-License-Identifier: Apache-2.0 */
/* Which days there are, and which may go. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "collector/store/internal.h"
#include "store_keep.h"
#include "timestamp.h"

static const char *const ends[] = { "", "-wal", "-shm" };
enum { N_ENDS = sizeof(ends) / sizeof(ends[0]), PATH_BYTES = 4096 };

static const int64_t day_ns = INT64_C(86400) * NS_PER_SEC;

enum rc
store_day_parse(const char *text, int32_t *day, struct error *err)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s.db", text);
	if (strlen(text) + 1 != STORE_DAY_NAME || !day_parse(name, day))
		return error_set(err, RC_INVALID,
		    "%s is no day: write YYYY-MM-DD", text);
	return RC_OK;
}

void
store_day_name(int32_t day, char out[STORE_DAY_NAME])
{
	struct civil_time c;

	timestamp_to_civil(day * day_ns, NULL, &c);
	(void)snprintf(out, STORE_DAY_NAME, "%04u-%02u-%02u",
	    (unsigned)c.year % 10000, (unsigned)c.month % 100,
	    (unsigned)c.day % 100);
}

/* ---- what there is ------------------------------------------------------ */

static uint64_t
bytes_of(const char *path)
{
	char with_end[PATH_BYTES + 8];
	uint64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < N_ENDS; i++) {
		(void)snprintf(with_end, sizeof(with_end), "%s%s", path,
		    ends[i]);
		if (stat(with_end, &st) == 0)
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

static enum rc
count_rows(struct sql *file, struct store_day *d, struct error *err)
{
	int64_t commits = 0, blocks = 0, events = 0;
	enum rc rc = sql_version(file, &d->format, err);

	if (rc == RC_OK)
		rc = sql_number(file, "SELECT count(*) FROM commits", &commits,
		    err);
	if (rc == RC_OK)
		rc =
		    sql_number(file, "SELECT count(*) FROM live", &blocks, err);
	if (rc == RC_OK)
		rc = sql_number(file,
		    "SELECT coalesce(sum(stored), 0) FROM commits", &events,
		    err);
	d->commits = (uint64_t)commits;
	d->blocks = (uint64_t)blocks;
	d->events = (uint64_t)events;
	return rc;
}

/* RC_EOF: nothing was ever committed to it. */
static enum rc
describe(const char *dir, const char *archive, struct store_day *d,
    struct error *err)
{
	char path[PATH_BYTES];
	struct sql *file = NULL;
	enum rc rc = day_file(dir, d->day, path, sizeof(path), err);

	if (rc != RC_OK)
		return rc;
	d->bytes = bytes_of(path);
	d->archived = store_is_archived(archive, d->day);
	rc = day_open(dir, d->day, SQL_READ, &file, err);
	if (rc == RC_OK)
		rc = count_rows(file, d, err);
	sql_close(file);
	if (rc == RC_EOF)
		return rc;
	d->damaged = rc == RC_OK ? NULL : err->text;
	return RC_OK;
}

static bool
tell_days(const char *dir, const char *archive, bool restored, store_day_cb *cb,
    void *ctx)
{
	struct error err;
	int32_t *days;
	size_t n;
	bool more = true;

	if (day_list(dir, &days, &n, &err) != RC_OK)
		return true;
	for (size_t i = 0; more && i < n; i++) {
		struct store_day d = { .day = days[i],
			.newest = !restored && i + 1 == n,
			.restored = restored };

		if (describe(dir, archive, &d, &err) != RC_EOF)
			more = cb(ctx, &d);
	}
	free(days);
	return more;
}

enum rc
store_days(const char *dir, const char *archive, store_day_cb *cb, void *ctx,
    struct error *err)
{
	char restored[PATH_BYTES];

	if (access(dir, R_OK | X_OK) != 0)
		return error_set_errno(err, errno, "%s", dir);
	(void)snprintf(restored, sizeof(restored), "%s/%s", dir,
	    STORE_RESTORED);
	if (tell_days(dir, archive, false, cb, ctx))
		(void)tell_days(restored, NULL, true, cb, ctx);
	return RC_OK;
}

/* ---- what may go -------------------------------------------------------- */

struct pruning {
	const char *dir;
	const struct store_retention *r;
	store_prune_cb *cb;
	void *ctx;
	struct store_day *days; /* owned */
	size_t n, cap;
	uint64_t bytes;
	uint64_t needed; /* commits from here on are needed at a restart */
};

static bool
add_day(void *ctx, const struct store_day *d)
{
	struct pruning *p = ctx;

	if (d->restored)
		return true;
	if (p->n == p->cap) {
		p->cap = p->cap > 0 ? 2 * p->cap : 64;
		p->days = xreallocarray(p->days, p->cap, sizeof(p->days[0]));
	}
	p->days[p->n] = *d;
	p->days[p->n].damaged = d->damaged != NULL ? "cannot be read" : NULL;
	p->n++;
	p->bytes += d->bytes;
	return true;
}

static enum rc
read_needed(struct pruning *p, struct error *err)
{
	struct sql *soc = NULL;
	int64_t from = INT64_MAX;
	enum rc rc = soc_connect(p->dir, SQL_READ, &soc, err);

	if (rc == RC_OK)
		rc = sql_number(soc, "SELECT min(rebuild_from) FROM cursor",
		    &from, err);
	sql_close(soc);
	p->needed = from > 0 ? (uint64_t)from : 0;
	return rc;
}

static enum rc
last_commit(const char *dir, int32_t day, uint64_t *out, struct error *err)
{
	struct sql *file = NULL;
	int64_t n = 0;
	enum rc rc = day_open(dir, day, SQL_READ, &file, err);

	if (rc == RC_OK)
		rc = sql_number(file,
		    "SELECT coalesce(max(number), 0) FROM commits", &n, err);
	sql_close(file);
	*out = (uint64_t)n;
	return rc;
}

/* NULL: it may go. */
static const char *
why_kept(const struct pruning *p, const struct store_day *d)
{
	struct error err;
	uint64_t last = 0;

	if (p->r->archive_first && !d->archived)
		return "it is not archived";
	if (d->damaged != NULL)
		return "it cannot be read: what hangs on it is not known";
	if (last_commit(p->dir, d->day, &last, &err) != RC_OK)
		return "it cannot be read";
	if (last >= p->needed)
		return "correlation would need it after a restart";
	return NULL;
}

static enum rc
remove_day(const char *dir, int32_t day, struct error *err)
{
	char path[PATH_BYTES], with_end[PATH_BYTES + 8];

	if (day_file(dir, day, path, sizeof(path), err) != RC_OK)
		return err->code;
	for (size_t i = 0; i < N_ENDS; i++) {
		(void)snprintf(with_end, sizeof(with_end), "%s%s", path,
		    ends[i]);
		if (unlink(with_end) != 0 && errno != ENOENT)
			return error_set_errno(err, errno, "cannot remove %s",
			    with_end);
	}
	return RC_OK;
}

static bool
should_go(const struct pruning *p, const struct store_day *d)
{
	int64_t ended_ns = (d->day + INT64_C(1)) * day_ns;

	return (p->r->keep_ns > 0 && p->r->now_ns - ended_ns > p->r->keep_ns) ||
	    (p->r->disk_bytes > 0 && p->bytes > p->r->disk_bytes);
}

static enum rc
prune(struct pruning *p, struct error *err)
{
	for (size_t i = 0; i + 1 < p->n; i++) {
		const struct store_day *d = &p->days[i];
		const char *kept;

		if (!should_go(p, d))
			continue;
		kept = why_kept(p, d);
		if (kept == NULL && !p->r->dry_run &&
		    remove_day(p->dir, d->day, err) != RC_OK)
			return err->code;
		if (!p->cb(p->ctx, d, kept) || kept != NULL)
			return RC_OK; /* days go in order, or the chain breaks */
		p->bytes -= d->bytes;
	}
	return RC_OK;
}

enum rc
store_prune(const char *dir, const struct store_retention *r,
    store_prune_cb *cb, void *ctx, struct error *err)
{
	struct pruning p = { .dir = dir, .r = r, .cb = cb, .ctx = ctx };
	enum rc rc = store_days(dir, r->archive, add_day, &p, err);

	if (rc == RC_OK && p.n > 1)
		rc = read_needed(&p, err);
	if (rc == RC_OK)
		rc = prune(&p, err);
	free(p.days);
	return rc;
}
