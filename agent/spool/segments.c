/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "agent/spool/reader.h"
#include "digest.h"
#include "xalloc.h"

enum { NAME_DIGITS = 20, NAME_MAX_BYTES = 32, POSITION_BYTES = 160 };

static const char position_format[] = "kuzet-spool 1 %s %" PRIu64 " %" PRIu64;

enum rc
segments_fail(const struct segments *s, int why, struct error *err)
{
	(void)error_set_errno(err, why, "%s", s->dir);
	if (why == ENOSPC || why == EDQUOT)
		err->code = RC_LIMIT;
	return err->code;
}

static void
name_of(uint64_t number, char out[NAME_MAX_BYTES])
{
	(void)snprintf(out, NAME_MAX_BYTES, "%0*" PRIu64 ".seg", NAME_DIGITS,
	    number);
}

static bool
number_of(const char *name, uint64_t *number)
{
	char again[NAME_MAX_BYTES];

	if (strlen(name) != NAME_DIGITS + 4)
		return false;
	*number = strtoull(name, NULL, 10);
	name_of(*number, again);
	return strcmp(name, again) == 0;
}

static void
insert(struct segments *s, struct segment *g)
{
	struct segment *at = TAILQ_LAST(&s->list, segment_list);

	while (at != NULL && at->number > g->number)
		at = TAILQ_PREV(at, segment_list, link);
	if (at == NULL)
		TAILQ_INSERT_HEAD(&s->list, g, link);
	else
		TAILQ_INSERT_AFTER(&s->list, at, g, link);
}

int
segments_open(const struct segments *s, const struct segment *g)
{
	char name[NAME_MAX_BYTES];

	name_of(g->number, name);
	return openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void
segments_remove(struct segments *s, struct segment *g)
{
	char name[NAME_MAX_BYTES];

	name_of(g->number, name);
	(void)s->disk->unlink(s->dir_fd, name);
	TAILQ_REMOVE(&s->list, g, link);
	free(g);
}

static enum rc
write_new(struct segments *s, const char *name, const char *bytes, size_t len,
    int *out)
{
	int fd = s->disk->create(s->dir_fd, name);
	ssize_t n;

	if (fd == -1)
		return RC_SYSTEM;
	n = s->disk->pwrite(fd, bytes, len, 0);
	if (n != (ssize_t)len) {
		if (n >= 0)
			errno = ENOSPC; /* that is what short writes mean */
		(void)close(fd);
		return RC_SYSTEM;
	}
	*out = fd;
	return RC_OK;
}

enum rc
segments_begin(struct segments *s, const uint8_t stream[16], int *fd,
    struct segment **out, struct error *err)
{
	char header[SEGMENT_HEADER], name[NAME_MAX_BYTES];
	struct segment *g;
	int why;

	segment_header_encode(header, stream, s->last_number + 1);
	name_of(s->last_number + 1, name);
	if (write_new(s, name, header, sizeof(header), fd) != RC_OK)
		goto failed;
	if (s->disk->sync(s->dir_fd) != 0) {
		why = errno;
		(void)close(*fd);
		errno = why;
		goto failed;
	}
	g = xzalloc(sizeof(*g));
	g->number = ++s->last_number;
	memcpy(g->stream, stream, sizeof(g->stream));
	g->bytes = g->read_to = SEGMENT_HEADER;
	TAILQ_INSERT_TAIL(&s->list, g, link);
	*out = g;
	return RC_OK;
failed:
	why = errno;
	(void)s->disk->unlink(s->dir_fd, name);
	return segments_fail(s, why, err);
}

/* ---- the position -------------------------------------------------------- */

static size_t
position_text(const struct segment *g, char out[POSITION_BYTES])
{
	char stream[UUID_TEXT];
	int n;

	uuid_text(g->stream, stream);
	n = snprintf(out, POSITION_BYTES, position_format, stream, g->number,
	    g->acked);
	n += snprintf(out + n, POSITION_BYTES - (size_t)n, " %08lx\n",
	    crc32_z(0, (const Bytef *)out, (size_t)n));
	return (size_t)n;
}

enum rc
segments_save_position(struct segments *s, const struct segment *g)
{
	char text[POSITION_BYTES];
	size_t len = position_text(g, text);
	enum rc rc;
	int fd;

	if (write_new(s, "position.new", text, len, &fd) != RC_OK)
		return RC_SYSTEM;
	rc = s->disk->sync(fd) == 0 &&
		s->disk->rename(s->dir_fd, "position.new", "position") == 0 &&
		s->disk->sync(s->dir_fd) == 0
	    ? RC_OK
	    : RC_SYSTEM;
	(void)close(fd);
	return rc;
}

/* The acknowledged sequence of the oldest segment: only if it is its own. */
static uint64_t
load_position(const struct segments *s, const struct segment *g)
{
	char text[POSITION_BYTES] = "", again[POSITION_BYTES];
	struct segment told = *g;
	int fd = openat(s->dir_fd, "position", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at = text;

	if (fd != -1)
		(void)close(fd);
	/* "kuzet-spool 1 STREAM NUMBER ACKED CRC" */
	for (int i = 0; i < 4 && at != NULL; i++) {
		at = strchr(at, ' ');
		at = at == NULL ? NULL : at + 1;
	}
	if (n <= 0 || at == NULL)
		return 0;
	told.acked = strtoull(at, NULL, 10);
	if (position_text(&told, again) != (size_t)n ||
	    memcmp(text, again, (size_t)n) != 0)
		return 0;
	return told.acked;
}

/* ---- at the start -------------------------------------------------------- */

/* Counts what is there; what stands behind the last record is *torn. */
static void
scan(struct segment *g, int fd, uint64_t acked, uint64_t *torn)
{
	struct reader r;
	struct record record;
	uint64_t end = SEGMENT_HEADER, damaged = 0, last = 0;

	reader_begin(&r, fd);
	while (reader_next(&r, g->bytes, &record) == RC_OK) {
		end = r.at;
		damaged = r.skipped;
		g->n++;
		last = record.sequence;
		g->n_acked += last <= acked;
	}
	reader_end(&r);
	*torn = g->bytes - end;
	g->damaged = damaged + *torn;
	g->n_given = g->n_acked;
	if (g->n_acked > 0)
		g->given = g->acked = acked;
	if (g->n_acked == g->n)
		g->read_to = g->bytes;
}

/* What ends within its header was being made when the agent or power went. */
static void
put_aside(struct segments *s, const char *name, uint64_t bytes)
{
	if (bytes < SEGMENT_HEADER) {
		s->torn_bytes += bytes;
		(void)s->disk->unlink(s->dir_fd, name);
		return;
	}
	s->damaged_bytes += bytes;
	(void)s->disk->rename(s->dir_fd, name, "damaged");
}

/* A segment of what the header says, or false. */
static bool
read_header(struct segments *s, const char *name, uint64_t number,
    struct segment **out)
{
	char header[SEGMENT_HEADER];
	int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct segment *g = NULL;
	struct stat st = { 0 };
	uint64_t told;
	ssize_t n = -1;

	if (fd != -1 && fstat(fd, &st) == 0)
		n = read(fd, header, sizeof(header));
	if (fd != -1)
		(void)close(fd);
	g = xzalloc(sizeof(*g));
	g->number = number;
	g->sealed = true;
	g->bytes = (uint64_t)st.st_size;
	g->read_to = SEGMENT_HEADER;
	if (n == sizeof(header) &&
	    segment_header_decode((struct slice){ header, sizeof(header) },
		g->stream, &told) &&
	    told == number) {
		*out = g;
		return true;
	}
	put_aside(s, name, g->bytes);
	free(g);
	return false;
}

static enum rc
list_files(struct segments *s, struct error *err)
{
	int fd = dup(s->dir_fd);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct segment *g;
	uint64_t number;

	if (dir == NULL) {
		if (fd != -1)
			(void)close(fd);
		return error_set_errno(err, errno, "%s", s->dir);
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
	while ((entry = readdir(dir)) != NULL) {
		if (!number_of(entry->d_name, &number))
			continue;
		if (number > s->last_number)
			s->last_number = number;
		if (read_header(s, entry->d_name, number, &g))
			insert(s, g);
	}
	(void)closedir(dir);
	return RC_OK;
}

/* The newest may end within a record, or with what never became one. */
static void
cut_torn_end(struct segments *s, struct segment *g, uint64_t torn)
{
	char name[NAME_MAX_BYTES];
	int fd;

	if (torn == 0)
		return;
	name_of(g->number, name);
	fd = openat(s->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return;
	if (s->disk->truncate(fd, (off_t)(g->bytes - torn)) == 0) {
		g->bytes -= torn;
		g->damaged -= torn;
		s->torn_bytes += torn;
		if (g->n_acked == g->n)
			g->read_to = g->bytes;
	}
	(void)close(fd);
}

static void
scan_all(struct segments *s)
{
	struct segment *g, *next;

	for (g = TAILQ_FIRST(&s->list); g != NULL; g = next) {
		bool oldest = g == TAILQ_FIRST(&s->list);
		uint64_t torn;

		next = TAILQ_NEXT(g, link);
		scan(g, segments_open(s, g), oldest ? load_position(s, g) : 0,
		    &torn);
		if (next == NULL)
			cut_torn_end(s, g, torn);
		if (g->n == 0 && g->damaged == 0)
			segments_remove(s, g);
	}
}

enum rc
segments_load(struct segments *s, const char *dir,
    const struct spool_disk *disk, struct error *err)
{
	*s = (struct segments){ .disk = disk, .dir = dir, .dir_fd = -1 };
	TAILQ_INIT(&s->list);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return error_set_errno(err, errno, "%s", dir);
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd == -1)
		return error_set_errno(err, errno, "%s", dir);
	if (list_files(s, err) != RC_OK)
		return err->code;
	scan_all(s);
	return RC_OK;
}

void
segments_fini(struct segments *s)
{
	struct segment *g;

	if (s->disk == NULL)
		return; /* never loaded */
	while ((g = TAILQ_FIRST(&s->list)) != NULL) {
		TAILQ_REMOVE(&s->list, g, link);
		free(g);
	}
	if (s->dir_fd != -1)
		(void)close(s->dir_fd);
}
