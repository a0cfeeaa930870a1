/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/store/archive.h"
#include "collector/store/walk.h"
#include "json.h"

enum {
	GZ_BUFFER = 256 * 1024,
	HEAD_LINE = 64 * 1024,
	MANIFEST_BYTES = 16 * 1024,
	PROGRESS_EVENTS = 10000,
};

const char *const archive_parts[ARCHIVE_PARTS] = { "jsonl.gz", "commits.gz",
	"hits.gz", ARCHIVE_DETECTIONS, "heads" };

enum { LINES, COMMITS, HITS, DETECTIONS, HEADS };

struct archiving {
	char folder[ARCHIVE_PATH]; /* where it is made */
	char day_text[STORE_DAY_NAME];
	gzFile out[HEADS];
	uint64_t
	    first; /* event of the day, counted from the store's; 0: none */
	FILE *heads;
	struct chain_digest digest;
	struct buf line;
	uint64_t events, of, told;
	store_keep_progress *progress;
	void *ctx;
};

enum rc
archive_path(const char *folder, int32_t day, const char *part,
    char out[ARCHIVE_PATH], struct error *err)
{
	char name[STORE_DAY_NAME];

	store_day_name(day, name);
	if ((size_t)snprintf(out, ARCHIVE_PATH, "%s/%s.%s", folder, name,
		part) >= ARCHIVE_PATH)
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    folder);
	return RC_OK;
}

bool
store_is_archived(const char *archive, int32_t day)
{
	char path[ARCHIVE_PATH];
	struct error err;

	return archive != NULL &&
	    archive_path(archive, day, "manifest", path, &err) == RC_OK &&
	    access(path, R_OK) == 0;
}

/* ---- writing ------------------------------------------------------------ */

static enum rc
cannot_write(const char *path, struct error *err)
{
	int errnum = errno != 0 ? errno : EIO;

	return error_set_errno(err, errnum, "cannot write %s", path);
}

static enum rc
put(struct archiving *a, int part, struct slice s, struct error *err)
{
	if (s.len == 0 || gzwrite(a->out[part], s.ptr, (unsigned)s.len) > 0)
		return RC_OK;
	return cannot_write(a->folder, err);
}

static enum rc
on_owner(void *ctx, struct slice owner, uint32_t n, struct error *err)
{
	struct archiving *a = ctx;

	chain_digest_owner(&a->digest, owner, n);
	/* its line is what was added to the digest */
	return put(a, HITS, buf_slice(&a->digest.line), err);
}

static enum rc
on_commit(void *ctx, const struct chain_link *link, struct error *err)
{
	struct archiving *a = ctx;

	(void)err;
	if (a->first == 0)
		a->first = link->first;
	return RC_OK;
}

/* The match for people and for restoring: `line` of the day's events. */
static enum rc
put_detection(struct archiving *a, uint64_t event, const struct day_rule *rule,
    struct error *err)
{
	char hex[SHA256_TEXT];
	struct json_writer w;

	hex_text(rule->digest, SHA256_BYTES, hex);
	buf_clear(&a->line);
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "line");
	json_uint(&w, event - a->first + 1);
	json_key(&w, "rule_id");
	json_string(&w, rule->id);
	json_key(&w, "level");
	json_string(&w, rule->level);
	json_key(&w, "visible");
	json_bool(&w, rule->visible);
	json_key(&w, "digest");
	json_str(&w, hex);
	json_key(&w, "rule"); /* the last: restore_hits.c */
	json_raw(&w, rule->about);
	json_close(&w, '}');
	(void)buf_add_char(&a->line, '\n');
	return put(a, DETECTIONS, buf_slice(&a->line), err);
}

static enum rc
on_hit(void *ctx, uint64_t event, const struct day_rule *rule,
    struct error *err)
{
	struct archiving *a = ctx;

	chain_digest_hit(&a->digest, event, rule->digest, rule->id);
	if (put(a, HITS, buf_slice(&a->digest.line), err) != RC_OK)
		return err->code;
	return put_detection(a, event, rule, err);
}

static enum rc
on_event(void *ctx, const struct event *ev, struct error *err)
{
	struct archiving *a = ctx;

	buf_clear(&a->line);
	chain_line(&a->line, ev, a->digest.memo);
	sha256_add(a->digest.lines, a->line.ptr, a->line.len);
	a->events++;
	if (a->progress != NULL && a->events >= a->told + PROGRESS_EVENTS) {
		a->told = a->events;
		if (!a->progress(a->ctx, a->events, a->of))
			return error_set(err, RC_AGAIN, "stopped");
	}
	return put(a, LINES, buf_slice(&a->line), err);
}

static enum rc
on_commit_end(void *ctx, const struct chain_link *link, struct error *err)
{
	static const uint8_t none[SHA256_BYTES];
	struct archiving *a = ctx;
	struct chain_link found;
	char text[CHAIN_ROW_TEXT];

	chain_digest_done(&a->digest, &found);
	if (memcmp(link->chain, none, sizeof(none)) != 0 &&
	    (memcmp(found.digest, link->digest, SHA256_BYTES) != 0 ||
		memcmp(found.hits, link->hits, SHA256_BYTES) != 0))
		return error_set(err, RC_DENIED,
		    "%s: commit %" PRIu64 " is not what was committed: "
		    "kuzetctl store verify tells more",
		    a->day_text, link->number);
	return put(a, COMMITS, chain_row(link, text), err);
}

static enum rc
add_head(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct archiving *a = ctx;
	struct slice blobs[] = { sql_blob(q, 1), sql_blob(q, 2) };
	static const char *const names[] = { "signature", "timestamp" };
	struct json_writer w;

	buf_clear(&a->line);
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "head");
	json_string(&w, sql_text(q, 0));
	for (size_t i = 0; i < 2; i++) {
		char *hex = xcalloc(2 * blobs[i].len + 1, 1);

		hex_text((const uint8_t *)blobs[i].ptr, blobs[i].len, hex);
		json_key(&w, names[i]);
		json_str(&w, hex);
		free(hex);
	}
	json_close(&w, '}');
	(void)buf_add_char(&a->line, '\n');
	if (fwrite(a->line.ptr, 1, a->line.len, a->heads) != a->line.len)
		return cannot_write(a->folder, err);
	return RC_OK;
}

static enum rc
write_day(struct archiving *a, struct sql *day, struct error *err)
{
	const struct walk_visitor visitor = {
		.on_commit = on_commit,
		.on_owner = on_owner,
		.on_hit = on_hit,
		.on_event = on_event,
		.on_commit_end = on_commit_end,
		.ctx = a,
	};
	int version = 0;
	enum rc rc = sql_version(day, &version, err);

	if (rc == RC_OK)
		rc = walk_day(day, &visitor, err);
	if (rc == RC_OK && version >= 2)
		rc = sql_each(day,
		    "SELECT head, signature, timestamp FROM heads"
		    " ORDER BY commit_number",
		    add_head, a, err);
	return rc;
}

/* ---- files -------------------------------------------------------------- */

enum rc
sync_path(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum rc rc = RC_OK;

	if (fd < 0 || fsync(fd) != 0)
		rc = cannot_write(path, err);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

enum rc
digest_file(const char *path, char hex[SHA256_TEXT], struct error *err)
{
	struct sha256 *sha = sha256_new();
	uint8_t digest[SHA256_BYTES];
	FILE *f = fopen(path, "re");
	char bytes[16384];
	enum rc rc = RC_OK;
	size_t n;

	while (f != NULL && (n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		sha256_add(sha, bytes, n);
	if (f == NULL || ferror(f) != 0)
		rc = error_set_errno(err, errno, "cannot read %s", path);
	if (f != NULL)
		(void)fclose(f);
	sha256_done(sha, digest);
	sha256_free(sha);
	hex_text(digest, sizeof(digest), hex);
	return rc;
}

static enum rc
open_parts(struct archiving *a, int32_t day, struct error *err)
{
	char path[ARCHIVE_PATH];

	for (int i = 0; i < ARCHIVE_PARTS; i++) {
		if (archive_path(a->folder, day, archive_parts[i], path, err) !=
		    RC_OK)
			return err->code;
		errno = 0;
		if (i == HEADS)
			a->heads = fopen(path, "we");
		else
			a->out[i] = gzopen(path, "wb6e");
		if (i == HEADS ? a->heads == NULL : a->out[i] == NULL)
			return cannot_write(path, err);
		if (i != HEADS)
			(void)gzbuffer(a->out[i], GZ_BUFFER);
	}
	return RC_OK;
}

/* Of the parts whose opening succeeded. */
static bool
close_parts(struct archiving *a)
{
	bool good = true;

	errno = 0;
	for (int i = 0; i < HEADS; i++)
		if (a->out[i] != NULL && gzclose(a->out[i]) != Z_OK)
			good = false;
	if (a->heads != NULL && fclose(a->heads) != 0)
		good = false;
	return good;
}

static enum rc
write_manifest(struct archiving *a, int32_t day, struct error *err)
{
	char path[ARCHIVE_PATH], hex[SHA256_TEXT];
	struct buf text;
	FILE *f;
	enum rc rc = RC_OK;

	buf_init(&text, MANIFEST_BYTES);
	(void)buf_printf(&text,
	    "# kuzet archive 1, check with sha256sum -c\n"
	    "# day: %s\n# events: %" PRIu64 "\n",
	    a->day_text, a->events);
	for (int i = 0; rc == RC_OK && i < ARCHIVE_PARTS; i++) {
		rc = archive_path(a->folder, day, archive_parts[i], path, err);
		if (rc == RC_OK)
			rc = sync_path(path, err);
		if (rc == RC_OK)
			rc = digest_file(path, hex, err);
		(void)buf_printf(&text, "%s  %s.%s\n", hex, a->day_text,
		    archive_parts[i]);
	}
	if (rc == RC_OK)
		rc = archive_path(a->folder, day, "manifest", path, err);
	if (rc == RC_OK) {
		f = fopen(path, "we");
		if (f == NULL || fwrite(text.ptr, 1, text.len, f) != text.len ||
		    fflush(f) != 0 || fsync(fileno(f)) != 0)
			rc = cannot_write(path, err);
		if (f != NULL)
			(void)fclose(f);
	}
	buf_fini(&text);
	return rc;
}

/* The manifest comes last: without it there is no archive. */
static enum rc
move_parts(const struct archiving *a, int32_t day, const char *to,
    struct error *err)
{
	char from[ARCHIVE_PATH], target[ARCHIVE_PATH];

	for (int i = 0; i <= ARCHIVE_PARTS; i++) {
		const char *part =
		    i < ARCHIVE_PARTS ? archive_parts[i] : "manifest";

		if (archive_path(a->folder, day, part, from, err) != RC_OK ||
		    archive_path(to, day, part, target, err) != RC_OK)
			return err->code;
		if (rename(from, target) != 0)
			return cannot_write(target, err);
	}
	return sync_path(to, err);
}

/* What is left of it where it was made. */
static void
remove_parts(const struct archiving *a, int32_t day)
{
	char path[ARCHIVE_PATH];
	struct error err;

	for (int i = 0; i <= ARCHIVE_PARTS; i++)
		if (archive_path(a->folder, day,
			i < ARCHIVE_PARTS ? archive_parts[i] : "manifest", path,
			&err) == RC_OK)
			(void)unlink(path);
	(void)rmdir(a->folder);
}

enum rc
make_folder(const char *path, struct error *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return RC_OK;
	return error_set_errno(err, errno, "cannot make %s", path);
}

static enum rc
open_closed_day(const char *dir, int32_t day, struct sql **out,
    struct error *err)
{
	int32_t *days;
	size_t n;
	bool newest;
	enum rc rc = day_list(dir, &days, &n, err);

	*out = NULL;
	if (rc != RC_OK)
		return rc;
	newest = n > 0 && days[n - 1] == day;
	free(days);
	if (newest)
		return error_set(err, RC_INVALID,
		    "the newest day may still be written to: archive it "
		    "tomorrow");
	rc = day_open(dir, day, SQL_READ, out, err);
	if (rc == RC_EOF)
		return error_set(err, RC_INVALID, "%s: no such day", dir);
	/* one state of it: merges beside do not matter */
	return rc == RC_OK ? sql_exec(*out, "BEGIN", err) : rc;
}

enum rc
store_archive(const char *dir, int32_t day, const char *to,
    store_keep_progress *progress, void *ctx, struct error *err)
{
	struct archiving a = { .progress = progress, .ctx = ctx };
	struct sql *file = NULL;
	int64_t total = 0;
	enum rc rc;

	store_day_name(day, a.day_text);
	if ((size_t)snprintf(a.folder, sizeof(a.folder), "%s/.%s.new", to,
		a.day_text) >= sizeof(a.folder))
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    to);
	rc = open_closed_day(dir, day, &file, err);
	if (rc == RC_OK)
		rc = sql_number(file, "SELECT total(n) FROM live", &total, err);
	a.of = (uint64_t)total;
	if (rc == RC_OK)
		rc = make_folder(to, err);
	if (rc == RC_OK)
		rc = make_folder(a.folder, err);
	if (rc == RC_OK) {
		chain_digest_init(&a.digest);
		buf_init(&a.line, CHAIN_LINE_MAX);
		rc = open_parts(&a, day, err);
		if (rc == RC_OK)
			rc = write_day(&a, file, err);
		if (!close_parts(&a) && rc == RC_OK)
			rc = cannot_write(a.folder, err);
		if (rc == RC_OK)
			rc = write_manifest(&a, day, err);
		if (rc == RC_OK)
			rc = move_parts(&a, day, to, err);
		remove_parts(&a, day);
		chain_digest_fini(&a.digest);
		buf_fini(&a.line);
	}
	sql_close(file);
	return rc == RC_OK ? RC_OK
			   : error_prefix(err, "cannot archive %s", a.day_text);
}
