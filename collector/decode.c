/* SPDX-License-Identifier: Apache-2.0 */
#include "decode.h"

#include <assert.h>
#include <stdlib.h>

#include "conf.h"
#include "digest.h"
#include "json.h"
#include "utf8.h"
#include "xalloc.h"

enum { LENGTH_BYTES = 4, IDENTITY_BYTES = 16, INFLATED_BLOCK = 64 * 1024 };

struct decoder {
	struct decoder_options options;
	struct lumberjack_inflate *inflate;
	struct arena *inflated; /* one frame at a time */
	struct json_paths *paths;
	struct sha256 *sha;
	struct event_id own; /* for events that have no identity of theirs */

	/* the piece being worked on */
	const struct piece *piece;
	struct batch *batch; /* being filled */
	uint32_t part;
	uint32_t window; /* not yet said to the writer */
};

struct decoder *
decoder_new(const struct decoder_options *options)
{
	struct decoder *d = xzalloc(sizeof(*d));

	d->options = *options;
	d->inflate = lumberjack_inflate_new(options->limits);
	d->inflated = arena_new(INFLATED_BLOCK);
	d->paths = json_paths_new();
	d->sha = sha256_new();
	uuid_new(d->own.stream);
	return d;
}

void
decoder_free(struct decoder *d)
{
	if (d == NULL)
		return;
	lumberjack_inflate_free(d->inflate);
	arena_free(d->inflated);
	json_paths_free(d->paths);
	sha256_free(d->sha);
	free(d);
}

static struct slice
from_text(struct arena *arena, const char *text)
{
	return arena_copy(arena, (struct slice){ text, strlen(text) });
}

static const char *
owner_of(const struct decoder *d, const char *agent)
{
	const struct conf_map *owners = d->options.owners;

	const char *owner = NULL;

	for (size_t i = 0; owners != NULL && i < owners->n; i++)
		if (strcmp(owners->names[i], agent) == 0)
			return owners->values[i];
	if (d->options.owner_of != NULL)
		owner = d->options.owner_of(d->options.ctx, agent);
	return owner != NULL ? owner : d->options.owner;
}

static struct batch *
begin_batch(struct decoder *d)
{
	const struct piece *p = d->piece;
	struct batch *b = batch_new();

	b->source = (struct source){
		.kind =
		    p->kind == PIECE_SYSLOG ? SOURCE_SYSLOG : SOURCE_FOREIGN,
		.owner = from_text(b->arena,
		    p->owner != NULL ? p->owner : owner_of(d, p->agent)),
		.own = p->owner != NULL,
		.agent = from_text(b->arena, p->agent),
		.peer = from_text(b->arena, p->peer),
	};
	b->connection = p->connection;
	b->piece = p->number;
	b->part = d->part++;
	b->window = d->window;
	b->acked = p->kind != PIECE_SYSLOG;
	b->budget = d->options.budget;
	d->window = 0;
	return b;
}

static void
end_batch(struct decoder *d, bool last)
{
	struct batch *b = d->batch;

	d->batch = NULL;
	b->last_part = last;
	budget_charge(b->budget, b->bytes);
	d->options.on_batch(d->options.ctx, b);
}

/* The batch that has room for one more event of so many bytes. */
static struct batch *
batch_for(struct decoder *d, size_t bytes)
{
	struct batch *b = d->batch;

	if (b->n + b->n_controls >= BATCH_EVENTS ||
	    (b->bytes > 0 && b->bytes + bytes > BATCH_BYTES)) {
		end_batch(d, false);
		d->batch = begin_batch(d);
	}
	return d->batch;
}

static void
fail(struct decoder *d, const char *why)
{
	char *copy = arena_alloc(d->batch->arena, strlen(why) + 1);

	memcpy(copy, why, strlen(why) + 1);
	d->batch->failure = copy;
}

static void
keep_undecodable(struct event *ev, struct slice text, const char *why)
{
	struct slice repaired;

	event_begin(ev, ev->arena);
	if (text.len > json_limits_default.text_bytes) {
		text.len = json_limits_default.text_bytes;
		event_add_string(ev, FIELD_LOG_FLAGS, SLICE("truncated"));
	}
	repaired = utf8_repair(ev->arena, text);
	event_set_string(ev, FIELD_EVENT_KIND, SLICE("pipeline_error"));
	event_set_string(ev, FIELD_EVENT_ORIGINAL, repaired);
	event_set_string(ev, FIELD_MESSAGE, repaired);
	event_set_string(ev, FIELD_ERROR_MESSAGE, from_text(ev->arena, why));
}

/* kuzet-agent's identity: a stream and the offset in it. */
static bool
take_stream(struct event *ev)
{
	const struct value *offset = event_get(ev, FIELD_LOG_OFFSET);
	struct slice stream = event_get_string(ev, FIELD_KUZET_STREAM);

	if (stream.ptr == NULL || offset == NULL || offset->kind != VALUE_INT ||
	    offset->i < 0 || !uuid_parse(stream, ev->id.stream))
		return false;
	ev->id.offset = (uint64_t)offset->i;
	event_unset(ev, FIELD_KUZET_STREAM);
	return true;
}

static void
hash_value(struct decoder *d, const struct event *ev, uint32_t id)
{
	static const char separator;
	const struct value *v = event_get(ev, id);

	if (v != NULL && (v->kind == VALUE_STRING || v->kind == VALUE_JSON))
		sha256_add(d->sha, v->s.ptr, v->s.len);
	else if (v != NULL && v->kind == VALUE_INT)
		sha256_add(d->sha, &v->i, sizeof(v->i));
	sha256_add(d->sha, &separator, 1);
}

static struct slice
hash_fields(struct decoder *d, const struct event *ev, const uint32_t *ids,
    size_t n)
{
	char text[2 * SHA256_BYTES + 1];
	uint8_t hash[SHA256_BYTES];

	for (size_t i = 0; i < n; i++)
		hash_value(d, ev, ids[i]);
	sha256_done(d->sha, hash);
	hex_text(hash, IDENTITY_BYTES, text);
	return from_text(ev->arena, text);
}

/*
 * What tells the events of a foreign client apart, the strongest first; see
 * doc/protocol.md.  Empty: nothing does.
 */
static struct slice
foreign_identity(struct decoder *d, const struct event *ev)
{
	const uint32_t windows[] = { FIELD_WINLOG_COMPUTER_NAME,
		FIELD_WINLOG_CHANNEL, FIELD_WINLOG_RECORD_ID, FIELD_MESSAGE };
	const uint32_t file[] = { FIELD_AGENT_ID,
		field_intern(SLICE("log.file.device_id")),
		field_intern(SLICE("log.file.inode")), FIELD_LOG_OFFSET,
		FIELD_MESSAGE };
	struct slice id = event_get_string(ev, FIELD_EVENT_ID);

	if (id.len == 0)
		id = event_get_string(ev, FIELD_METADATA_ID);
	if (id.len > 0)
		return id;
	if (event_get(ev, FIELD_LOG_OFFSET) != NULL &&
	    event_get(ev, file[2]) != NULL)
		return hash_fields(d, ev, file, 5);
	if (event_get(ev, FIELD_WINLOG_RECORD_ID) != NULL &&
	    event_get(ev, FIELD_WINLOG_CHANNEL) != NULL)
		return hash_fields(d, ev, windows, 4);
	return (struct slice){ NULL, 0 };
}

static void
identify(struct decoder *d, struct event *ev)
{
	struct slice foreign = foreign_identity(d, ev);

	if (foreign.len > 0) {
		ev->foreign = foreign;
		event_unset(ev, FIELD_EVENT_ID);
		return;
	}
	ev->id = d->own;
	ev->own_id = true;
	d->own.offset++;
	event_set_string(ev, FIELD_KUZET_DELIVERY, SLICE("at_least_once"));
}

static void
stamp(struct decoder *d, struct event *ev, size_t bytes)
{
	ev->arrival_ns = d->piece->arrival_ns;
	ev->size = (uint32_t)bytes;
	if (ev->time_ns == 0)
		ev->time_ns = ev->arrival_ns;
	event_set_string(ev, FIELD_ORGANIZATION_ID, d->batch->source.owner);
}

struct event *
decoder_add_own(struct decoder *d, struct batch *b)
{
	struct event *ev = batch_add_event(b);

	if (ev == NULL)
		return NULL;
	ev->id = d->own;
	ev->own_id = true;
	d->own.offset++;
	ev->arrival_ns = ev->time_ns = d->piece->arrival_ns;
	event_set_string(ev, FIELD_ORGANIZATION_ID, b->source.owner);
	event_set_string(ev, FIELD_AGENT_ID, b->source.agent);
	return ev;
}

/* `json` is copied: the piece goes, the batch stays. */
static void
add_json(struct decoder *d, struct slice json)
{
	struct batch *b = batch_for(d, json.len);
	struct event *ev = batch_add_event(b);
	struct error err;
	enum rc rc;

	json = arena_copy(b->arena, json);
	b->frames++;
	b->bytes += json.len;
	rc = json_read_event_again(json, &json_limits_default, ev, d->paths,
	    &err);
	if (rc != RC_OK || ev->n == 0) {
		keep_undecodable(ev, json,
		    rc != RC_OK ? err.text : "an empty object");
	} else if (event_get(ev, FIELD_KUZET_CONTROL) != NULL) {
		struct event *control = batch_add_control(b);

		ev->arrival_ns = d->piece->arrival_ns;
		*control = *ev;
		b->n--;
		b->source.kind = SOURCE_AGENT;
		return;
	} else if (take_stream(ev)) {
		b->source.kind = SOURCE_AGENT;
		event_set_string(ev, FIELD_AGENT_ID, b->source.agent);
		stamp(d, ev, json.len);
		return;
	}
	identify(d, ev);
	stamp(d, ev, json.len);
}

static void
run_frames(struct decoder *d)
{
	struct slice rest = { d->piece->bytes, d->piece->len };
	struct lumberjack_frame frame;
	struct error err;
	size_t used;

	while (rest.len > 0) {
		enum rc rc = lumberjack_decode(rest, d->options.limits, &frame,
		    &used, &err);

		if (rc != RC_OK || frame.type != LUMBERJACK_JSON) {
			fail(d,
			    rc == RC_INVALID || rc == RC_LIMIT
				? err.text
				: "a frame that is no event");
			return;
		}
		add_json(d, frame.payload);
		rest.ptr += used;
		rest.len -= used;
	}
}

static void
run_compressed(struct decoder *d)
{
	struct lumberjack_frame frame;
	struct error err;
	enum rc rc;

	lumberjack_inflate_begin(d->inflate,
	    (struct slice){ d->piece->bytes, d->piece->len });
	while ((rc = lumberjack_inflate_next(d->inflate, d->inflated, &frame,
		    &err)) == RC_OK) {
		add_json(d, frame.payload);
		arena_reset(d->inflated);
	}
	if (rc != RC_EOF)
		fail(d, err.text);
}

static uint32_t
read_u32be(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

/* The frame stays text: the normalizer reads it from `message`. */
static void
add_syslog(struct decoder *d, struct slice frame, bool cut)
{
	struct batch *b = batch_for(d, frame.len);
	struct event *ev = batch_add_event(b);

	b->bytes += frame.len;
	if (cut)
		event_add_string(ev, FIELD_LOG_FLAGS, SLICE("truncated"));
	event_set_string(ev, FIELD_MESSAGE, arena_copy(b->arena, frame));
	identify(d, ev);
	stamp(d, ev, frame.len);
}

static void
run_syslog(struct decoder *d)
{
	struct slice rest = { d->piece->bytes, d->piece->len };

	while (rest.len >= LENGTH_BYTES) {
		uint32_t word = read_u32be(rest.ptr);
		size_t len = word & ~PIECE_SYSLOG_CUT;

		assert(len <= rest.len - LENGTH_BYTES);
		add_syslog(d, (struct slice){ rest.ptr + LENGTH_BYTES, len },
		    (word & PIECE_SYSLOG_CUT) != 0);
		rest.ptr += LENGTH_BYTES + len;
		rest.len -= LENGTH_BYTES + len;
	}
}

void
decoder_run(struct decoder *d, struct piece *p)
{
	d->piece = p;
	d->part = 0;
	d->window = p->window;
	d->batch = begin_batch(d);
	switch (p->kind) {
	case PIECE_JSON:
		run_frames(d);
		break;
	case PIECE_COMPRESSED:
		run_compressed(d);
		break;
	case PIECE_SYSLOG:
		run_syslog(d);
		break;
	case PIECE_FAILURE:
		fail(d, p->failure);
		break;
	}
	end_batch(d, true);
	budget_release(d->options.budget, p->charged);
	d->piece = NULL;
	piece_free(p);
}
