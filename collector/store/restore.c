/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restored day is a store of its own while it is made; then its day file
 * moves to where searches look.  Its hits come back for those who ask for
 * detections; correlation, which saw them when the events came, does not read
 * restored days.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/store/archive.h"
#include "collector/store/internal.h"
#include "collector/store/restore_hits.h"
#include "json.h"
#include "line_splitter.h"
#include "timestamp.h"

enum {
	READ_BYTES = 256 * 1024,
	OWNER_MAX = 4096,
	HITS_LINE = 16 * 1024,
	BATCHES_MAX = 4, /* of a commit of the new file */
};

static const int64_t day_ns = INT64_C(86400) * NS_PER_SEC;

struct restoring {
	int32_t day;
	struct store *store;
	gzFile owners; /* of hits.gz */
	struct restored_hits *hits;
	bool has_detections;
	char owner[OWNER_MAX];
	uint64_t left; /* events of that owner still to come */
	struct batch *batches[BATCHES_MAX];
	size_t n_batches;
	uint64_t events, told;
	store_keep_progress *progress;
	void *ctx;
	enum rc rc;
	struct error *err;
};

/* ---- checking ----------------------------------------------------------- */

/* Each line "HASH  YYYY-MM-DD.PART" of the manifest. */
static enum rc
check_part(const char *from, int32_t day, const char *manifest,
    const char *part, struct error *err)
{
	char path[ARCHIVE_PATH], hex[SHA256_TEXT], line[SHA256_TEXT + 64];
	char name[STORE_DAY_NAME];

	store_day_name(day, name);
	if (archive_path(from, day, part, path, err) != RC_OK ||
	    digest_file(path, hex, err) != RC_OK)
		return err->code;
	(void)snprintf(line, sizeof(line), "%s  %s.%s\n", hex, name, part);
	if (strstr(manifest, line) == NULL)
		return error_set(err, RC_DENIED,
		    "%s is not what the manifest says: sha256sum -c tells more",
		    path);
	return RC_OK;
}

/* *detections: whether it has that part. */
static enum rc
check_archive(const char *from, int32_t day, bool *detections,
    struct error *err)
{
	char path[ARCHIVE_PATH], text[16 * 1024];
	enum rc rc = archive_path(from, day, "manifest", path, err);
	FILE *f = rc == RC_OK ? fopen(path, "re") : NULL;
	size_t n;

	if (rc != RC_OK)
		return rc;
	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	*detections = strstr(text, "." ARCHIVE_DETECTIONS "\n") != NULL;
	for (size_t i = 0; rc == RC_OK && i < ARCHIVE_PARTS; i++)
		if (*detections ||
		    strcmp(archive_parts[i], ARCHIVE_DETECTIONS) != 0)
			rc = check_part(from, day, text, archive_parts[i], err);
	return rc;
}

/* ---- events ------------------------------------------------------------- */

static bool
failed(struct restoring *r, enum rc rc)
{
	r->rc = rc;
	return false;
}

static bool
flush(struct restoring *r)
{
	struct log_record record;
	enum rc rc = RC_OK;

	if (r->n_batches > 0) {
		rc = store_append(r->store, r->batches, r->n_batches, &record,
		    r->err);
		if (rc == RC_OK) {
			rc = restored_hits_write(r->hits, r->store, r->batches,
			    r->n_batches, record.commit, r->err);
			log_record_fini(&record);
		}
	}
	for (size_t i = 0; i < r->n_batches; i++)
		batch_free(r->batches[i]);
	r->n_batches = 0;
	return rc == RC_OK || failed(r, rc);
}

/* The next owner, from the lines "owner EVENTS OWNER"; hits are passed over. */
static bool
next_owner(struct restoring *r)
{
	char line[HITS_LINE];
	char *end;
	size_t n;

	do {
		if (gzgets(r->owners, line, sizeof(line)) == NULL)
			return failed(r,
			    error_set(r->err, RC_INVALID,
				"its owners end before its events"));
	} while (strncmp(line, "owner ", 6) != 0);
	r->left = strtoull(line + 6, &end, 10);
	n = strcspn(end, "\n");
	if (r->left == 0 || *end != ' ' || n - 1 >= sizeof(r->owner))
		return failed(r,
		    error_set(r->err, RC_INVALID, "its owners are damaged"));
	memcpy(r->owner, end + 1, n - 1);
	r->owner[n - 1] = '\0';
	return true;
}

static struct batch *
new_batch(struct restoring *r)
{
	struct batch *b;

	if (r->n_batches == BATCHES_MAX && !flush(r))
		return NULL;
	b = batch_new();
	b->source.kind = SOURCE_FOREIGN;
	b->source.owner =
	    arena_copy(b->arena, (struct slice){ r->owner, strlen(r->owner) });
	b->source.agent = SLICE("restored");
	r->batches[r->n_batches++] = b;
	return b;
}

static struct batch *
batch_for(struct restoring *r)
{
	struct batch *b =
	    r->n_batches > 0 ? r->batches[r->n_batches - 1] : NULL;

	if (b == NULL || b->n == BATCH_EVENTS || b->bytes >= BATCH_BYTES ||
	    !slice_eq(b->source.owner,
		(struct slice){ r->owner, strlen(r->owner) }))
		b = new_batch(r);
	return b;
}

/* event.id, read as a field, becomes the identity that it was. */
static void
give_identity(struct event *ev)
{
	struct slice id = event_get_string(ev, FIELD_EVENT_ID);

	ev->own_id = true; /* nothing to compare it with here */
	if (id.ptr != NULL && event_id_parse(id, &ev->id))
		event_unset(ev, FIELD_EVENT_ID);
}

static bool
add_event(struct restoring *r, struct slice line)
{
	const struct json_limits limits = { json_limits_default.depth,
		CHAIN_LINE_MAX };
	struct event *ev = NULL;
	struct batch *b;

	if (r->left == 0 && !next_owner(r))
		return false;
	b = batch_for(r);
	if (b == NULL)
		return false;
	ev = batch_add_event(b);
	if (ev == NULL) {
		b = new_batch(r);
		ev = b != NULL ? batch_add_event(b) : NULL;
	}
	if (ev == NULL)
		return false;
	b->bytes += line.len;
	if (json_read_event(arena_copy(b->arena, line), &limits, ev, r->err) !=
	    RC_OK)
		return failed(r,
		    error_prefix(r->err, "event %" PRIu64, r->events + 1));
	give_identity(ev);
	event_set_bool(ev, field_intern(SLICE("kuzet.restored")), true);
	ev->arrival_ns =
	    (r->day + INT64_C(1)) * day_ns - 1; /* no time is clamped */
	r->left--;
	r->events++;
	if (restored_hits_take(r->hits, r->events, r->n_batches - 1, b->n - 1,
		r->err) != RC_OK)
		return failed(r, r->err->code);
	if (r->progress != NULL && r->events >= r->told + 10000) {
		r->told = r->events;
		if (!r->progress(r->ctx, r->events, 0))
			return failed(r,
			    error_set(r->err, RC_AGAIN, "stopped"));
	}
	return true;
}

static void
on_line(void *ctx, struct slice line, bool truncated)
{
	struct restoring *r = ctx;

	if (r->rc != RC_OK)
		return;
	if (truncated)
		(void)failed(r,
		    error_set(r->err, RC_LIMIT, "a line is too long"));
	else
		(void)add_event(r, line);
}

static enum rc
read_lines(struct restoring *r, gzFile lines)
{
	struct line_splitter *ls =
	    line_splitter_new(CHAIN_LINE_MAX, on_line, r);
	char *bytes = xcalloc(READ_BYTES, 1);
	int n = 0;

	while (r->rc == RC_OK && (n = gzread(lines, bytes, READ_BYTES)) > 0)
		line_splitter_feed(ls, (struct slice){ bytes, (size_t)n });
	if (r->rc == RC_OK && n < 0)
		(void)failed(r,
		    error_set(r->err, RC_INVALID, "its lines are damaged"));
	if (r->rc == RC_OK)
		(void)flush(r);
	free(bytes);
	line_splitter_free(ls);
	return r->rc;
}

static enum rc
read_archive(struct restoring *r, const char *from)
{
	char path[ARCHIVE_PATH];
	gzFile lines = NULL;
	enum rc rc =
	    archive_path(from, r->day, ARCHIVE_DETECTIONS, path, r->err);

	if (rc == RC_OK)
		rc = restored_hits_open(r->has_detections ? path : NULL,
		    &r->hits, r->err);
	if (rc == RC_OK)
		rc = archive_path(from, r->day, "hits.gz", path, r->err);
	if (rc == RC_OK)
		r->owners = gzopen(path, "rbe");
	if (rc == RC_OK)
		rc = archive_path(from, r->day, "jsonl.gz", path, r->err);
	if (rc == RC_OK)
		lines = gzopen(path, "rbe");
	if (rc == RC_OK && (r->owners == NULL || lines == NULL))
		rc = error_set_errno(r->err, errno, "%s", path);
	if (rc == RC_OK)
		rc = read_lines(r, lines);
	if (r->owners != NULL)
		(void)gzclose(r->owners);
	restored_hits_free(r->hits);
	if (lines != NULL)
		(void)gzclose(lines);
	for (size_t i = 0; i < r->n_batches; i++)
		batch_free(r->batches[i]);
	return rc;
}

/* ---- files -------------------------------------------------------------- */

static void
remove_folder(const char *path)
{
	char inside[ARCHIVE_PATH + 256];
	DIR *d = opendir(path);
	struct dirent *e;

	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		int n =
		    snprintf(inside, sizeof(inside), "%s/%s", path, e->d_name);

		if (n > 0 && (size_t)n < sizeof(inside))
			(void)unlink(inside);
	}
	(void)closedir(d);
	(void)rmdir(path);
}

static enum rc
move_day(const char *made, const char *to, int32_t day, struct error *err)
{
	char from[ARCHIVE_PATH], target[ARCHIVE_PATH];

	if (day_file(made, day, from, sizeof(from), err) != RC_OK ||
	    day_file(to, day, target, sizeof(target), err) != RC_OK)
		return err->code;
	if (access(from, F_OK) != 0)
		return error_set(err, RC_INVALID, "it holds no event");
	if (rename(from, target) != 0)
		return error_set_errno(err, errno, "cannot make %s", target);
	return sync_path(to, err);
}

static enum rc
restore_into(struct restoring *r, const char *dir, const char *from,
    struct error *err)
{
	char to[ARCHIVE_PATH], made[ARCHIVE_PATH + 32], file[ARCHIVE_PATH];
	char name[STORE_DAY_NAME];
	enum rc rc;

	store_day_name(r->day, name);
	if ((size_t)snprintf(to, sizeof(to), "%s/%s", dir, STORE_RESTORED) >=
		sizeof(to) ||
	    day_file(to, r->day, file, sizeof(file), err) != RC_OK)
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    dir);
	if (access(file, F_OK) == 0)
		return error_set(err, RC_INVALID, "%s is there already", file);
	(void)snprintf(made, sizeof(made), "%s/.%s.new", to, name);
	rc = make_folder(to, err);
	if (rc == RC_OK) {
		remove_folder(made); /* what was broken off */
		rc = store_open(made, &r->store, err);
	}
	if (rc == RC_OK)
		rc = read_archive(r, from);
	store_close(r->store);
	if (rc == RC_OK)
		rc = move_day(made, to, r->day, err);
	remove_folder(made);
	return rc;
}

enum rc
store_restore(const char *dir, int32_t day, const char *from,
    store_keep_progress *progress, void *ctx, struct error *err)
{
	struct restoring r = { .day = day,
		.progress = progress,
		.ctx = ctx,
		.err = err };
	char name[STORE_DAY_NAME];
	enum rc rc = check_archive(from, day, &r.has_detections, err);

	store_day_name(day, name);
	if (rc == RC_OK)
		rc = restore_into(&r, dir, from, err);
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "cannot restore %s", name);
}
