/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/internal.h"

enum { RECORD_VERSION = 1 };

/*
 * hits       = version(1) n (row difference, rule)*n
 * watermarks = version(1) n (source, time, arrival difference to it, live)*n
 */
void
hits_write(struct bytes *out, const struct stored_hit *hits, size_t n)
{
	uint32_t before = 0;

	out->n = 0;
	bytes_u8(out, RECORD_VERSION);
	bytes_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		bytes_varint(out, hits[i].row - before);
		bytes_varint(out, hits[i].rule);
		before = hits[i].row;
	}
}

enum rc
hits_read(struct slice stored, struct arena *arena,
    const struct stored_hit **hits, size_t *n, struct error *err)
{
	struct reader r = reader_of(stored);
	struct stored_hit *list;
	uint64_t count, row = 0;

	*n = 0;
	*hits = NULL;
	if (reader_u8(&r) != RECORD_VERSION)
		return error_set(err, RC_INVALID, "hits of an unknown version");
	count = reader_varint(&r);
	if (r.bad || count > reader_left(&r) / 2)
		return error_set(err, RC_INVALID, "damaged hits");
	list = arena_alloc(arena, (count + 1) * sizeof(list[0]));
	for (uint64_t i = 0; i < count; i++) {
		row += reader_varint(&r);
		list[i].row = (uint32_t)row;
		list[i].rule = (uint32_t)reader_varint(&r);
		if (row > BLOCK_EVENTS_MAX)
			r.bad = true;
	}
	if (r.bad)
		return error_set(err, RC_INVALID, "damaged hits");
	*hits = list;
	*n = (size_t)count;
	return RC_OK;
}

void
watermarks_write(struct bytes *out, const struct log_watermark *list, size_t n)
{
	out->n = 0;
	bytes_u8(out, RECORD_VERSION);
	bytes_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		bytes_varint(out, list[i].source);
		bytes_varint(out, zigzag(list[i].time_ns));
		bytes_varint(out, delta(list[i].arrival_ns, list[i].time_ns));
		bytes_u8(out, list[i].live);
	}
}

enum rc
watermarks_read(struct slice stored, struct arena *arena,
    struct log_watermark **list, size_t *n, struct error *err)
{
	struct reader r = reader_of(stored);
	uint64_t count;

	*n = 0;
	*list = NULL;
	if (reader_u8(&r) != RECORD_VERSION)
		return error_set(err, RC_INVALID,
		    "watermarks of an unknown version");
	count = reader_varint(&r);
	if (r.bad || count > reader_left(&r) / 4)
		return error_set(err, RC_INVALID, "damaged watermarks");
	*list = arena_alloc(arena, (count + 1) * sizeof(**list));
	for (uint64_t i = 0; i < count; i++) {
		struct log_watermark *w = &(*list)[i];

		w->source = (uint32_t)reader_varint(&r);
		w->time_ns = unzigzag(reader_varint(&r));
		w->arrival_ns = undelta(reader_varint(&r), w->time_ns);
		w->live = reader_u8(&r) != 0;
	}
	if (r.bad)
		return error_set(err, RC_INVALID, "damaged watermarks");
	*n = (size_t)count;
	return RC_OK;
}

/* VALUE_NULL where the event does not have the field. */
struct value
column_value_copy(struct arena *arena, const struct value *v)
{
	if (v == NULL || v->kind == (enum value_kind)BLOCK_ABSENT)
		return (struct value){ .kind = VALUE_NULL };
	return value_copy(arena, v);
}

struct slice
id_text_copy(struct arena *arena, const struct event_id *id,
    struct slice foreign, const struct value *event_id)
{
	static const uint8_t none[16];

	if (memcmp(id->stream, none, sizeof(none)) != 0)
		return SLICE("");
	if (foreign.len == 0 && event_id != NULL &&
	    event_id->kind == VALUE_STRING)
		foreign = event_id->s;
	return arena_copy(arena, foreign);
}

void
log_record_fini(struct log_record *r)
{
	arena_free(r->arena);
	*r = (struct log_record){ 0 };
}
