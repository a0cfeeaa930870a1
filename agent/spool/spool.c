/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/spool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/spool/reader.h"
#include "agent/spool/segments.h"
#include "digest.h"
#include "xalloc.h"

enum {
	SEGMENT_MIN = 64 * 1024,
	SEGMENT_MAX = 4 * 1024 * 1024,
	SEGMENTS_OF_BOUND = 8,   /* so many make up max_bytes, or more */
	REPORT_ROOM = 64 * 1024, /* beyond max_bytes */
};

struct spool {
	struct spool_options options;
	struct segments segments;
	struct spool_counts counts;

	/* Writing. */
	uint8_t stream[16];     /* of this run */
	uint64_t sequence;      /* the last one given */
	struct segment *newest; /* being written; NULL: none yet */
	int fd;                 /* of `newest` */
	uint64_t synced;        /* bytes of it on the disk */

	/* Reading. */
	struct reader reader;
	struct segment *reading; /* NULL: the next one is segments' first */
	bool position_dirty;
};

static uint64_t
segment_limit(const struct spool *s)
{
	uint64_t limit = s->options.max_bytes / SEGMENTS_OF_BOUND;

	if (limit < SEGMENT_MIN)
		return SEGMENT_MIN;
	return limit < SEGMENT_MAX ? limit : SEGMENT_MAX;
}

enum rc
spool_sync(struct spool *s, struct error *err)
{
	if (s->newest == NULL || s->synced == s->newest->bytes)
		return RC_OK;
	s->synced = s->newest->bytes;
	if (s->options.disk->sync(s->fd) == 0)
		return RC_OK;
	/* What the kernel could not write it forgets: never trust this file
	 * with more, and let go out what it still has. */
	s->counts.sync_failures++;
	(void)error_set_errno(err, errno, "%s: fsync", s->options.dir);
	s->newest->sealed = true;
	return RC_SYSTEM;
}

static void
seal_newest(struct spool *s)
{
	struct error err;

	if (s->newest == NULL)
		return;
	(void)spool_sync(s, &err);
	s->newest->sealed = true;
	s->newest = NULL;
	(void)close(s->fd);
	s->fd = -1;
}

static void
remove_segment(struct spool *s, struct segment *g)
{
	if (g == s->newest) {
		s->newest = NULL;
		(void)close(s->fd);
		s->fd = -1;
	}
	if (g == s->reading) {
		reader_end(&s->reader);
		s->reading = NULL;
	}
	s->counts.events -= g->n - g->n_acked;
	s->counts.bytes -= g->bytes;
	s->position_dirty = true;
	segments_remove(&s->segments, g);
}

/* Everything of it was given out and acknowledged. */
static bool
segment_done(const struct segment *g)
{
	return g->read_to == g->bytes && g->given == g->acked;
}

/* The last one of an earlier run stays until its stream is forgotten. */
static bool
segment_needed(const struct spool *s, const struct segment *g)
{
	const struct segment *next = TAILQ_NEXT(g, link);

	if (memcmp(g->stream, s->stream, sizeof(s->stream)) == 0)
		return g == s->newest;
	return next == NULL ||
	    memcmp(g->stream, next->stream, sizeof(g->stream)) != 0;
}

static void
remove_done(struct spool *s)
{
	struct segment *g, *next;

	for (g = TAILQ_FIRST(&s->segments.list); g != NULL; g = next) {
		next = TAILQ_NEXT(g, link);
		if (!segment_done(g))
			return;
		if (!segment_needed(s, g))
			remove_segment(s, g);
	}
}

static bool
drop_oldest(struct spool *s)
{
	struct segment *g = TAILQ_FIRST(&s->segments.list);

	if (g == NULL || TAILQ_NEXT(g, link) == NULL)
		return false;
	s->counts.dropped += g->n - g->n_given;
	remove_segment(s, g);
	return true;
}

/* Room for so many bytes more, or not. */
static bool
make_room(struct spool *s, uint64_t bytes, uint64_t limit)
{
	struct segment *g = s->newest;

	if (s->counts.bytes + bytes <= limit)
		return true;
	if (g != NULL && g->n > 0 && segment_done(g)) {
		seal_newest(s);
		remove_done(s);
	}
	while (s->counts.bytes + bytes > limit) {
		if (s->options.when_full != SPOOL_DROP_OLDEST ||
		    !drop_oldest(s))
			return false;
	}
	return true;
}

static enum rc
begin_segment(struct spool *s, struct error *err)
{
	struct segment *g;
	enum rc rc;

	seal_newest(s);
	remove_done(s);
	rc = segments_begin(&s->segments, s->stream, &s->fd, &g, err);
	if (rc != RC_OK)
		return rc;
	s->newest = g;
	s->synced = g->bytes;
	s->counts.bytes += g->bytes;
	return RC_OK;
}

/* Whole, or not at all. */
static enum rc
write_record(struct spool *s, struct slice json, struct error *err)
{
	struct segment *g = s->newest;
	size_t len = RECORD_HEADER + json.len, done = 0;
	char *bytes = xzalloc(len);
	enum rc rc = RC_OK;
	ssize_t n;

	record_header_encode(bytes, s->sequence + 1, json);
	memcpy(bytes + RECORD_HEADER, json.ptr, json.len);
	while (done < len) {
		n = s->options.disk->pwrite(s->fd, bytes + done, len - done,
		    (off_t)(g->bytes + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = segments_fail(&s->segments, n < 0 ? errno : EIO,
			    err);
			break;
		}
		done += (size_t)n;
	}
	free(bytes);
	if (rc == RC_OK) {
		s->sequence++;
		g->bytes += len;
		g->n++;
		s->counts.bytes += len;
		s->counts.events++;
	} else if (s->options.disk->truncate(s->fd, (off_t)g->bytes) != 0) {
		g->sealed = true; /* half a record stands behind its end */
	}
	return rc;
}

static enum rc
put_once(struct spool *s, struct slice json, struct error *err)
{
	size_t len = RECORD_HEADER + json.len;
	enum rc rc = RC_OK;

	if (s->newest == NULL || s->newest->sealed ||
	    (s->newest->n > 0 && s->newest->bytes + len > segment_limit(s)))
		rc = begin_segment(s, err);
	return rc == RC_OK ? write_record(s, json, err) : rc;
}

static enum rc
put(struct spool *s, struct slice json, uint64_t limit, struct error *err)
{
	uint64_t most = RECORD_HEADER + json.len + SEGMENT_HEADER;
	enum rc rc;

	if (json.len <= 2 || json.len > SPOOL_EVENT_MAX || json.ptr[0] != '{' ||
	    json.ptr[json.len - 1] != '}')
		return error_set(err, RC_INVALID,
		    "an event of %zu bytes: an object of at most %d can be "
		    "kept",
		    json.len, SPOOL_EVENT_MAX);
	if (!make_room(s, most, limit))
		return error_set(err, RC_LIMIT, "%s: %llu bytes are kept: full",
		    s->options.dir, (unsigned long long)s->counts.bytes);
	do
		rc = put_once(s, json, err);
	while (rc == RC_LIMIT && s->options.when_full == SPOOL_DROP_OLDEST &&
	    drop_oldest(s));
	if (rc != RC_OK)
		return rc;
	s->counts.put++;
	if (s->options.ready != NULL)
		s->options.ready(s->options.ctx);
	return RC_OK;
}

enum rc
spool_put(struct spool *s, struct slice json, struct error *err)
{
	enum rc rc = put(s, json, s->options.max_bytes, err);

	s->counts.refused += rc != RC_OK;
	return rc;
}

enum rc
spool_put_report(struct spool *s, struct slice json, struct error *err)
{
	return put(s, json, s->options.max_bytes + REPORT_ROOM, err);
}

/* Its end was reached: what the reader passed by and the start did not. */
static void
end_of_segment(struct spool *s, struct segment *g)
{
	if (s->reader.skipped > g->damaged) {
		s->counts.damaged_bytes += s->reader.skipped - g->damaged;
		g->damaged = s->reader.skipped;
	}
	g->read_to = g->bytes;
}

static bool
open_next(struct spool *s)
{
	struct segment *g = s->reading == NULL ? TAILQ_FIRST(&s->segments.list)
					       : TAILQ_NEXT(s->reading, link);
	int fd;

	while (g != NULL && g->read_to == g->bytes && g != s->newest)
		g = TAILQ_NEXT(g, link);
	if (g == NULL)
		return false;
	reader_end(&s->reader);
	fd = segments_open(&s->segments, g);
	reader_begin(&s->reader, fd);
	s->reading = g;
	return true;
}

static bool
read_record(struct spool *s, struct record *r)
{
	struct segment *g = s->reading;
	struct error err;

	if (g == s->newest)
		(void)spool_sync(s, &err); /* a failure is counted */
	while (reader_next(&s->reader, g->bytes, r) == RC_OK) {
		if (r->sequence > g->given)
			return true;
	}
	end_of_segment(s, g);
	return false;
}

bool
spool_next(struct spool *s, struct spool_event *out)
{
	struct record r;

	for (;;) {
		struct segment *g = s->reading;

		if (g != NULL && read_record(s, &r)) {
			g->given = r.sequence;
			g->n_given++;
			g->read_to = s->reader.at;
			*out = (struct spool_event){ .sequence = r.sequence,
				.segment = g->number,
				.json = r.json };
			memcpy(out->stream, g->stream, sizeof(out->stream));
			return true;
		}
		if (!open_next(s))
			break;
	}
	remove_done(s);
	return false;
}

bool
spool_has_next(const struct spool *s)
{
	const struct segment *g =
	    s->reading == NULL ? TAILQ_FIRST(&s->segments.list) : s->reading;

	for (; g != NULL; g = TAILQ_NEXT(g, link)) {
		if (g->read_to < g->bytes)
			return true;
	}
	return false;
}

void
spool_acked(struct spool *s, uint64_t segment, uint64_t sequence)
{
	struct segment *g;

	TAILQ_FOREACH (g, &s->segments.list, link) {
		if (g->number == segment)
			break;
	}
	if (g == NULL)
		return; /* dropped meanwhile */
	assert(sequence <= g->given && sequence > g->acked);
	g->acked = sequence;
	g->n_acked++;
	s->counts.acked++;
	s->counts.events--;
	s->position_dirty = true;
	remove_done(s);
}

bool
spool_ended(struct spool *s, uint8_t stream[16])
{
	struct segment *g = TAILQ_FIRST(&s->segments.list);

	if (g == NULL || memcmp(g->stream, s->stream, sizeof(g->stream)) == 0 ||
	    !segment_done(g))
		return false;
	spool_save(s);
	if (s->position_dirty)
		return false; /* a crash must not send it again */
	memcpy(stream, g->stream, sizeof(g->stream));
	return true;
}

void
spool_forget(struct spool *s, const uint8_t stream[16])
{
	struct segment *g = TAILQ_FIRST(&s->segments.list);

	if (g != NULL && memcmp(g->stream, stream, sizeof(g->stream)) == 0 &&
	    g != s->newest)
		remove_segment(s, g);
}

void
spool_save(struct spool *s)
{
	struct segment *g = TAILQ_FIRST(&s->segments.list);

	if (!s->position_dirty)
		return;
	if (g == NULL || segments_save_position(&s->segments, g) == RC_OK)
		s->position_dirty = false;
}

void
spool_limit(struct spool *s, uint64_t max_bytes, enum spool_full full)
{
	s->options.max_bytes = max_bytes;
	s->options.when_full = full;
}

/* What a start found, one by one. */
static void
count_segments(struct spool *s)
{
	const struct segment *g;

	TAILQ_FOREACH (g, &s->segments.list, link) {
		s->counts.events += g->n - g->n_acked;
		s->counts.bytes += g->bytes;
		s->counts.damaged_bytes += g->damaged;
	}
	s->counts.damaged_bytes += s->segments.damaged_bytes;
	s->counts.torn_bytes = s->segments.torn_bytes;
}

enum rc
spool_open(const struct spool_options *options, struct spool **out,
    struct error *err)
{
	struct spool *s = xzalloc(sizeof(*s));
	enum rc rc;

	s->options = *options;
	if (s->options.disk == NULL)
		s->options.disk = &spool_disk_real;
	s->options.dir = xstrdup(options->dir);
	s->fd = -1;
	s->reader.fd = -1;
	uuid_new(s->stream);
	rc = segments_load(&s->segments, s->options.dir, s->options.disk, err);
	if (rc != RC_OK) {
		spool_close(s);
		return rc;
	}
	count_segments(s);
	*out = s;
	return RC_OK;
}

void
spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	seal_newest(s);
	spool_save(s);
	reader_end(&s->reader);
	segments_fini(&s->segments);
	free((char *)s->options.dir);
	free(s);
}

void
spool_counts(const struct spool *s, struct spool_counts *out)
{
	const struct segment *g;

	*out = s->counts;
	out->max_bytes = s->options.max_bytes;
	out->segments = 0;
	TAILQ_FOREACH (g, &s->segments.list, link)
		out->segments++;
}
