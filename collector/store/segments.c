/* SPDX-License-Identifier: Apache-2.0 */
/* Which events of a block came with which commit. */
#include "collector/store/internal.h"

/*
 * segments = version(1) n (commit difference, events)*n; a block of one commit
 * has none
 */
enum { SEGMENTS_VERSION = 1 };

void
segments_write(struct bytes *out, const struct segment *list, size_t n)
{
	uint64_t before = 0;

	out->n = 0;
	bytes_u8(out, SEGMENTS_VERSION);
	bytes_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		bytes_varint(out, list[i].commit - before);
		bytes_varint(out, list[i].n);
		before = list[i].commit;
	}
}

enum rc
segments_read(struct slice stored, uint64_t commit, uint32_t events,
    struct segments *out, struct error *err)
{
	struct reader r = reader_of(stored);
	uint64_t n, at = 0, sum = 0;

	out->n = 0;
	if (stored.len == 0) {
		segments_add(out, commit, events);
		return RC_OK;
	}
	if (reader_u8(&r) != SEGMENTS_VERSION)
		return error_set(err, RC_INVALID,
		    "segments of an unknown version");
	n = reader_varint(&r);
	for (uint64_t i = 0; i < n && !r.bad; i++) {
		uint64_t step = reader_varint(&r);
		uint64_t count = reader_varint(&r);

		/* ascending, each with an event */
		if (step == 0 || count == 0 || count > events - sum)
			r.bad = true;
		at += step;
		sum += count;
		if (!r.bad)
			segments_add(out, at, (uint32_t)count);
	}
	if (r.bad || sum != events || out->n == 0 ||
	    out->list[0].commit != commit)
		return error_set(err, RC_INVALID, "damaged segments");
	return RC_OK;
}

void
segments_add(struct segments *s, uint64_t commit, uint32_t events)
{
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 16;
		s->list = xreallocarray(s->list, s->cap, sizeof(s->list[0]));
	}
	s->list[s->n++] = (struct segment){ commit, events };
}

void
segments_fini(struct segments *s)
{
	free(s->list);
	*s = (struct segments){ 0 };
}
