/* SPDX-License-Identifier: Apache-2.0 */
/* Merged blocks say what the small ones said, to everybody, at any moment. */
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/store/merge.h"
#include "collector/store/region.h"
#include "faulty_vfs.h"
#include "json.h"
#include "store_fixture.h"
#include "store_verify.h"
#include "tap.h"

enum { SMALL = 60, EACH = 12 };

static struct error err;
static int32_t the_day;

/* One or two owners a commit, hits in some, a heartbeat alone now and then. */
static void
append_small(struct store *s, unsigned i)
{
	struct fixture_batch one = { .stream = 1,
		.offset = UINT64_C(2000) * i,
		.n = EACH,
		.hits_every = i % 3 == 0 ? 4 : 0,
		.time_ns = T0 + (int64_t)i * SECOND };
	struct fixture_batch two = { .owner = "north",
		.stream = 2,
		.offset = UINT64_C(2000) * i,
		.n = EACH / 2,
		.hits_every = i % 4 == 0 ? 3 : 0,
		.time_ns = T0 + (int64_t)i * SECOND };
	struct batch *b[] = { fixture_batch(&one), fixture_batch(&two) };
	struct log_record r;

	if (i % 5 == 4)
		(void)fixture_control(b[0], "heartbeat", 0,
		    T0 + (int64_t)i * SECOND);
	if (store_append(s, b, i % 2 == 0 ? 2 : 1, &r, &err) != RC_OK)
		abort();
	log_record_fini(&r);
	fixture_batch_free(b[0]);
	fixture_batch_free(b[1]);
}

static void
fill(struct store *s)
{
	for (unsigned i = 0; i < SMALL; i++)
		append_small(s, i);
	the_day = day_of(T0);
}

/* ---- what everybody sees, as one digest --------------------------------- */

struct looked {
	struct sha256 *sha;
	struct buf line;
	uint64_t n;
};

static bool
see_event(void *ctx, const struct event *ev)
{
	struct looked *seen = ctx;

	buf_clear(&seen->line);
	json_write_event(&seen->line, ev, JSON_NESTED);
	sha256_add(seen->sha, seen->line.ptr, seen->line.len);
	seen->n++;
	return true;
}

static bool
see_record(void *ctx, const struct log_record *r)
{
	struct looked *seen = ctx;

	sha256_add(seen->sha, &r->commit, sizeof(r->commit));
	for (size_t i = 0; i < r->n_hits; i++) {
		const struct log_hit *h = &r->hits[i];

		sha256_add(seen->sha, h->rule_digest, SHA256_BYTES);
		sha256_add(seen->sha, h->owner.ptr, h->owner.len);
		sha256_add(seen->sha, &h->id.offset, sizeof(h->id.offset));
		sha256_add(seen->sha, &h->time_ns, sizeof(h->time_ns));
		sha256_add(seen->sha, &h->source, sizeof(h->source));
	}
	seen->n += r->n_hits;
	return true;
}

static bool
see_detection(void *ctx, const struct store_detection *d)
{
	return see_event(ctx, d->event);
}

static const uint32_t *
no_fields(void *ctx, const uint8_t digest[SHA256_BYTES], uint32_t *n)
{
	(void)ctx;
	(void)digest;
	*n = 0;
	return NULL;
}

struct view {
	uint8_t events[2][SHA256_BYTES], log[SHA256_BYTES], late[SHA256_BYTES],
	    detections[SHA256_BYTES];
	uint64_t n_events, n_hits, counted;
};

/* Of each owner: across owners the order is that of blocks. */
static struct view
view_of(struct store *s)
{
	static const struct slice owners[] = { SLICE_INIT("default"),
		SLICE_INIT("north") };
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct slice any = { NULL, 0 };
	struct looked seen = { .sha = sha256_new() };
	struct view v = { 0 };
	bool good = true;

	buf_init(&seen.line, 1 << 20);
	for (size_t i = 0; i < 2; i++) {
		q.owner = owners[i];
		good = good &&
		    fixture_events(s, &q, see_event, &seen, &err) == RC_OK;
		sha256_done(seen.sha, v.events[i]);
	}
	v.n_events = seen.n;
	seen.n = 0;
	good = good &&
	    store_read_log(s, 1, no_fields, see_record, &seen, &err) == RC_OK;
	sha256_done(seen.sha, v.log);
	v.n_hits = seen.n;
	good = good &&
	    store_read_log(s, 31, no_fields, see_record, &seen, &err) == RC_OK;
	sha256_done(seen.sha, v.late);
	q.owner = owners[0];
	good = good &&
	    store_detections(s, &q, any, see_detection, &seen, &err) == RC_OK;
	sha256_done(seen.sha, v.detections);
	v.counted = fixture_count(s);
	if (!good) {
		(void)printf("# %s\n", err.text);
		v.counted = UINT64_MAX;
	}
	sha256_free(seen.sha);
	buf_fini(&seen.line);
	return v;
}

static bool
same_view(const struct view *a, const struct view *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool
verifies(const char *dir, uint64_t events)
{
	struct store_verify what = { .dir = dir,
		.on_finding = fixture_told_damage };
	struct store_verified v;

	return store_verify(&what, &v, &err) == RC_OK && v.damaged == 0 &&
	    v.events == events;
}

static int
number_in(const char *dir, const char *sql)
{
	char path[4096];
	sqlite3_stmt *q = NULL;
	sqlite3 *db;
	int n = -1;

	(void)day_file(dir, the_day, path, sizeof(path), &err);
	if (sqlite3_open(path, &db) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK &&
	    sqlite3_step(q) == SQLITE_ROW)
		n = sqlite3_column_int(q, 0);
	(void)sqlite3_finalize(q);
	(void)sqlite3_close(db);
	return n;
}

static bool
merge_all(struct merger *m, bool all)
{
	bool done = true;
	unsigned steps = 0;

	while (done && steps++ < 1000)
		if (merge_step(m, the_day, all, &done, &err) != RC_OK) {
			(void)printf("# %s\n", err.text);
			return false;
		}
	return true;
}

/* ---- tests -------------------------------------------------------------- */

static void
merging_changes_nothing_that_is_seen(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct merger *m = merger_new(s);
	struct merge_counters counters;
	struct view before, after;

	fill(s);
	before = view_of(s);
	CHECK(before.n_events == 900 && before.counted == 900 &&
		before.n_hits > 0,
	    "%llu events, %llu hits in small blocks",
	    (unsigned long long)before.n_events,
	    (unsigned long long)before.n_hits);
	CHECK(merge_all(m, false) &&
		number_in(dir, "SELECT count(*) FROM blocks") == 90,
	    "a short run of the open day waits");
	CHECK(merge_all(m, true), "an ended day is merged");
	merger_counters(m, &counters);
	CHECK(counters.blocks_before == 90 && counters.blocks_after == 2,
	    "%llu blocks became %llu",
	    (unsigned long long)counters.blocks_before,
	    (unsigned long long)counters.blocks_after);
	after = view_of(s);
	CHECK(same_view(&before, &after), "everybody sees the same");
	CHECK(verifies(dir, 900), "the chain holds");
	CHECK(merge_purge(m, the_day, &err) == RC_OK &&
		number_in(dir, "SELECT count(*) FROM blocks") == 2 &&
		number_in(dir, "SELECT count(*) FROM block_data") == 2,
	    "the small blocks go");
	append_small(s, SMALL);
	append_small(s, SMALL + 1);
	CHECK(merge_all(m, true) && merge_purge(m, the_day, &err) == RC_OK &&
		verifies(dir, 930) && fixture_count(s) == 930,
	    "and it goes on");
	merger_free(m);
	store_close(s);
	s = fixture_open(dir);
	CHECK(fixture_count(s) == 930, "also after a start");
	store_close(s);
	fixture_remove(dir);
}

struct beside {
	struct looked seen;
	struct merger *merger;
	const char *dir;
	bool good;
	int while_read;
};

static bool
merge_beside(void *ctx, const struct event *ev)
{
	struct beside *b = ctx;

	if (b->seen.n == 100) {
		b->good = merge_all(b->merger, true) &&
		    merge_purge(b->merger, the_day, &err) == RC_OK;
		b->while_read =
		    number_in(b->dir, "SELECT count(*) FROM block_data");
	}
	return see_event(&b->seen, ev);
}

static void
a_reader_under_way_is_not_disturbed(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct beside b = { .dir = dir };
	uint8_t before[SHA256_BYTES], beside[SHA256_BYTES];

	fill(s);
	b.merger = merger_new(s);
	b.seen.sha = sha256_new();
	buf_init(&b.seen.line, 1 << 20);
	(void)fixture_events(s, &q, see_event, &b.seen, &err);
	sha256_done(b.seen.sha, before);
	b.seen.n = 0;
	CHECK(fixture_events(s, &q, merge_beside, &b, &err) == RC_OK &&
		b.good && b.seen.n == 900,
	    "a reader sees every event once while blocks are merged");
	sha256_done(b.seen.sha, beside);
	CHECK(memcmp(before, beside, sizeof(before)) == 0, "in their order");
	CHECK(b.while_read == 92, "what it reads is kept: %d blocks",
	    b.while_read);
	CHECK(merge_purge(b.merger, the_day, &err) == RC_OK &&
		number_in(dir, "SELECT count(*) FROM block_data") == 2,
	    "until it has ended");
	sha256_free(b.seen.sha);
	buf_fini(&b.seen.line);
	merger_free(b.merger);
	store_close(s);
	fixture_remove(dir);
}

static void
big_blocks_stay(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct merger *m = merger_new(s);

	for (unsigned i = 0; i < 30; i++) {
		struct fixture_batch f = { .stream = 1,
			.offset = UINT64_C(1000000) * i,
			.n = i % 10 == 5 ? 2000 : EACH,
			.time_ns = T0 + (int64_t)i * SECOND };
		struct batch *b[4] = { fixture_batch(&f) };
		struct log_record r;

		for (unsigned k = 1; k < 4; k++) {
			f.offset += 250000;
			b[k] = fixture_batch(&f);
		}
		if (store_append(s, b, 4, &r, &err) != RC_OK)
			abort();
		log_record_fini(&r);
		for (unsigned k = 0; k < 4; k++)
			fixture_batch_free(b[k]);
	}
	the_day = day_of(T0 + DAY / 24);
	CHECK(merge_all(m, true) && merge_purge(m, the_day, &err) == RC_OK &&
		number_in(dir, "SELECT count(*) FROM blocks") == 7 &&
		number_in(dir, "SELECT count(*) FROM blocks WHERE n = 8000") ==
		    3 &&
		verifies(dir, UINT64_C(27) * 4 * EACH + UINT64_C(3) * 8000),
	    "big blocks stay, and bound the runs");
	merger_free(m);
	store_close(s);
	fixture_remove(dir);
}

/* Every operation takes a minute: KUZET_EXHAUSTIVE=1; else each ninth. */
static unsigned
stride(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it */
	return getenv("KUZET_EXHAUSTIVE") != NULL ? 1 : 9;
}

static void
merge_and_purge(const char *dir, enum faulty_mode mode, unsigned at)
{
	struct store *s = fixture_open(dir);
	struct merger *m = merger_new(s);

	faulty_vfs_set(mode, at);
	(void)(merge_all(m, true) && merge_purge(m, the_day, &err) == RC_OK);
}

/* Whether what a death at that operation left is whole, and is merged. */
static bool
dies_well(enum faulty_mode mode, unsigned at, bool *died)
{
	char *dir = fixture_folder();
	struct view before, after;
	struct merger *m;
	struct store *s;
	int status = 0;
	bool good;
	pid_t pid;

	faulty_vfs_set(FAULTY_NEVER, 0);
	s = fixture_open(dir);
	fill(s);
	before = view_of(s);
	store_close(s);
	pid = fork();
	if (pid == 0) {
		merge_and_purge(dir, mode, at);
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	*died = WIFEXITED(status) && WEXITSTATUS(status) == FAULTY_EXIT;
	s = fixture_open(dir);
	after = view_of(s);
	good = same_view(&before, &after);
	m = merger_new(s);
	good = merge_all(m, true) && merge_purge(m, the_day, &err) == RC_OK &&
	    number_in(dir, "SELECT count(*) FROM block_data") == 2 && good;
	merger_free(m);
	store_close(s);
	good = verifies(dir, 900) && good;
	fixture_remove(dir);
	return good;
}

static unsigned
operations_of_a_merge(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct merger *m;
	unsigned n;

	fill(s);
	m = merger_new(s);
	faulty_vfs_set(FAULTY_NEVER, 0);
	(void)(merge_all(m, true) && merge_purge(m, the_day, &err) == RC_OK);
	n = faulty_vfs_count();
	merger_free(m);
	store_close(s);
	fixture_remove(dir);
	return n;
}

/* Death before each write of the merge, and in its middle. */
static void
every_death_is_survived(enum faulty_mode mode, const char *name)
{
	unsigned operations = operations_of_a_merge(), bad = 0, deaths = 0;

	for (unsigned at = mode; at < operations; at += stride()) {
		bool died;

		if (!dies_well(mode, at, &died)) {
			(void)printf("# at operation %u: %s\n", at, err.text);
			bad++;
		}
		deaths += died;
	}
	CHECK(bad == 0 && deaths > 0, "%s: %u operations, %u deaths", name,
	    operations, deaths);
}

/* A full disk: nothing changes, later it is done. */
static void
a_full_disk_is_waited_out(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct view before, after;
	struct merger *m = merger_new(s);
	bool done, failed;

	fill(s);
	before = view_of(s);
	faulty_vfs_set(FAULTY_FULL, 0);
	failed = merge_step(m, the_day, true, &done, &err) == RC_SYSTEM;
	faulty_vfs_set(FAULTY_NEVER, 0);
	after = view_of(s);
	CHECK(failed && same_view(&before, &after),
	    "a full disk leaves the small blocks: %s", err.text);
	CHECK(merge_all(m, true) && verifies(dir, 900), "with room it is done");
	merger_free(m);
	store_close(s);
	fixture_remove(dir);
}

/* ---- the second level of filters ----------------------------------------- */

struct visits {
	struct slice text;
	unsigned blocks;
	uint64_t events;
};

static bool
may_have(void *ctx, const struct store_words *w)
{
	const struct visits *v = ctx;

	return store_may_have(w, v->text);
}

static enum rc
visit_block(void *ctx, struct store_block *b, struct error *e)
{
	struct visits *v = ctx;

	(void)e;
	v->blocks++;
	v->events += store_block_info(b).n;
	return RC_OK;
}

static struct visits
visits_for(struct store *s, const char *text)
{
	struct visits v = { .text = { text, strlen(text) } };
	struct store_scan scan = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.may_match = may_have,
		.on_block = visit_block,
		.ctx = &v };

	if (store_scan(s, &scan, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return v;
}

static void
build_regions(struct store *s, uint64_t size)
{
	struct region_builder *b = region_builder_new(s);
	bool done = true;

	region_builder_size(b, size);
	while (done)
		if (region_step(b, the_day, true, &done, &err) != RC_OK) {
			(void)printf("# %s\n", err.text);
			break;
		}
	region_builder_free(b);
}

/* What is in a block is in its region: each port, and each stream. */
static bool
nothing_is_hidden(struct store *s)
{
	char text[32];

	for (unsigned i = 0; i < SMALL; i += 7) {
		(void)snprintf(text, sizeof(text), "%u", 2000 * i + 3);
		if (visits_for(s, text).events == 0) {
			(void)printf("# %s is hidden\n", text);
			return false;
		}
	}
	return visits_for(s, "root").events == 900 &&
	    visits_for(s, "FAILED password").events == 900;
}

static void
regions_pass_over_long_ranges(void)
{
	char *dir = fixture_folder();
	struct store *s = fixture_open(dir);
	struct merger *m = merger_new(s);

	fill(s);
	build_regions(s, 250);
	CHECK(number_in(dir, "SELECT count(*) FROM regions") == 4,
	    "regions cover the day");
	CHECK(nothing_is_hidden(s), "what is there is not passed over");
	CHECK(number_in(dir, "UPDATE blocks SET bloom = x'00' RETURNING 1") ==
		    1 &&
		visits_for(s, "root").blocks == 90 &&
		visits_for(s, "nowhere-to-be-found").blocks == 0,
	    "what is not there is, without the blocks' own filters");
	CHECK(merge_all(m, true) && nothing_is_hidden(s) && verifies(dir, 900),
	    "blocks that are merged over their bounds are looked at");
	merger_free(m);
	store_close(s);
	fixture_remove(dir);
}

int
main(void)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	faulty_vfs_install();
	faulty_vfs_set(FAULTY_NEVER, 0);
	merging_changes_nothing_that_is_seen();
	a_reader_under_way_is_not_disturbed();
	big_blocks_stay();
	every_death_is_survived(FAULTY_KILL, "death is survived");
	every_death_is_survived(FAULTY_TORN,
	    "death in the middle of a write is survived");
	a_full_disk_is_waited_out();
	regions_pass_over_long_ranges();
	return tap_done();
}
