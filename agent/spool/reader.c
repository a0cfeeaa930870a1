/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/reader.h"

#include <stdlib.h>
#include <unistd.h>

#include "xalloc.h"

enum { CHUNK = 64 * 1024 };

void
reader_begin(struct reader *r, int fd)
{
	*r = (struct reader){ .fd = fd,
		.at = SEGMENT_HEADER,
		.base = SEGMENT_HEADER };
}

void
reader_end(struct reader *r)
{
	if (r->fd != -1)
		(void)close(r->fd);
	free(r->bytes);
	*r = (struct reader){ .fd = -1 };
}

static struct slice
there(const struct reader *r)
{
	size_t from = (size_t)(r->at - r->base);

	if (r->bytes == NULL)
		return (struct slice){ NULL, 0 };
	return (struct slice){ r->bytes + from, r->len - from };
}

/* At least `want` bytes from `at` on, if there are so many before `end`. */
static void
load(struct reader *r, size_t want, uint64_t end)
{
	struct slice rest = there(r);
	ssize_t n;

	if (want < CHUNK)
		want = CHUNK;
	if (want > end - r->at)
		want = (size_t)(end - r->at);
	if (r->cap < want) {
		char *more = xzalloc(want);

		if (rest.len > 0)
			memcpy(more, rest.ptr, rest.len);
		free(r->bytes);
		r->bytes = more;
		r->cap = want;
	} else if (rest.len > 0) {
		memmove(r->bytes, rest.ptr, rest.len);
	}
	r->base = r->at;
	r->len = rest.len;
	while (r->len < want) {
		n = pread(r->fd, r->bytes + r->len, want - r->len,
		    (off_t)(r->base + r->len));
		if (n <= 0)
			return;
		r->len += (size_t)n;
	}
}

static void
skip(struct reader *r, uint64_t n)
{
	r->at += n;
	r->skipped += n;
}

/* What is at `at`, with as much loaded as it takes: of a long record first its
 * head, then the rest.  RECORD_SHORT: there is no more before `end`. */
static enum record_found
find(struct reader *r, uint64_t end, struct record *out, size_t *used)
{
	enum record_found found = RECORD_SHORT;
	struct slice s = there(r);
	size_t before;

	*used = RECORD_HEADER;
	do {
		if (s.len > end - r->at)
			s.len = (size_t)(end - r->at);
		if (s.len > 0)
			found = record_decode(s, out, used);
		if (found != RECORD_SHORT)
			return found;
		before = s.len;
		load(r, *used, end);
		s = there(r);
	} while (s.len > before);
	*used = s.len == 0 ? (size_t)(end - r->at) /* cannot be read */
			   : record_skip(s);       /* ends before */
	return RECORD_SHORT;
}

enum rc
reader_next(struct reader *r, uint64_t end, struct record *out)
{
	size_t used;

	while (r->at < end) {
		if (find(r, end, out, &used) == RECORD_WHOLE) {
			r->at += used;
			return RC_OK;
		}
		skip(r, used);
	}
	return RC_EOF;
}
