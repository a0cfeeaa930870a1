/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "certificate.h"
#include "digest.h"
#include "enrich/sightings.h"
#include "json.h"
#include "log.h"
#include "timestamp.h"
#include "xalloc.h"

enum { AT_ONCE = 500, LINE_BYTES = 16 * 1024, TEXT_BYTES = 1024 };

/* Above what listeners count up to, below the audit feed's. */
#define CONNECTION_FIRST (UINT64_MAX / 4)
#define CONNECTION_LAST  (UINT64_MAX / 2)

/* One that waits. */
struct pending {
	struct pending *next;
	struct slice line; /* JSON; behind the owner, in one allocation */
	size_t owner_len;
	char owner[]; /* NUL-terminated */
};

struct findings {
	struct sightings *seen;
	char stream[UUID_TEXT]; /* of this run */

	pthread_mutex_t lock; /* of the rest */
	struct pending *first, **last;
	size_t n;
	uint64_t offset; /* of the next one in the stream */
	uint64_t connection, piece;
	bool waits; /* for the writer's word */
	struct piece *kept;
	struct findings_counters counters;
};

struct findings *
findings_new(void)
{
	struct findings *f = xzalloc(sizeof(*f));
	uint8_t uuid[16];

	f->seen = sightings_new();
	uuid_new(uuid);
	uuid_text(uuid, f->stream);
	f->last = &f->first;
	f->connection = CONNECTION_FIRST;
	(void)pthread_mutex_init(&f->lock, NULL);
	return f;
}

void
findings_free(struct findings *f)
{
	if (f == NULL)
		return;
	while (f->first != NULL) {
		struct pending *p = f->first;

		f->first = p->next;
		free(p);
	}
	if (f->kept != NULL)
		piece_free(f->kept);
	sightings_free(f->seen);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- a finding as an event ---------------------------------------------------- */

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static void
open_part(struct json_writer *w, const char *key)
{
	json_key(w, key);
	json_open(w, '{');
}

static void
put(struct json_writer *w, const char *key, struct slice value)
{
	json_key(w, key);
	json_string(w, value);
}

static void
put_list(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_open(w, '[');
	json_str(w, value);
	json_close(w, ']');
}

/* What all have but their place in the stream; the object stays open. */
static void
begin_line(struct json_writer *w, struct buf *out, const char *action,
    const char *message, int64_t now_ns)
{
	json_begin(w, out);
	json_open(w, '{');
	json_key(w, "@timestamp");
	json_time(w, now_ns);
	open_part(w, "event");
	put(w, "kind", SLICE("alert"));
	put_list(w, "category", "configuration");
	put_list(w, "type", "info");
	put(w, "module", SLICE("kuzet"));
	put(w, "dataset", SLICE("kuzet.collector"));
	put(w, "action", text_of(action));
	json_close(w, '}');
	put(w, "message", text_of(message));
}

/* Ends it and lets it wait. */
static void
end_line(struct findings *f, struct json_writer *w, struct slice owner)
{
	struct pending *p;
	size_t room;

	(void)pthread_mutex_lock(&f->lock);
	open_part(w, "log");
	json_key(w, "offset");
	json_uint(w, f->offset);
	json_close(w, '}');
	json_close(w, '}');
	if (f->n == FINDINGS_PENDING || w->out->overflowed) {
		f->counters.left_out++;
	} else {
		room = owner.len + 1;
		p = xzalloc(sizeof(*p) + room + w->out->len);
		p->owner_len = owner.len;
		memcpy(p->owner, owner.ptr, owner.len);
		memcpy(p->owner + room, w->out->ptr, w->out->len);
		p->line = (struct slice){ p->owner + room, w->out->len };
		*f->last = p;
		f->last = &p->next;
		f->n++;
		f->offset++;
		f->counters.told++;
	}
	(void)pthread_mutex_unlock(&f->lock);
}

/* Where it comes from and, if any, whom it is about; `kuzet` stays open. */
static void
open_about(struct findings *f, struct json_writer *w, struct slice object)
{
	open_part(w, "kuzet");
	put(w, "input", SLICE("collector"));
	put(w, "stream", text_of(f->stream));
	if (object.len == 0)
		return;
	open_part(w, "object");
	put(w, "id", object);
	json_close(w, '}');
}

/* ECS has no field for who is not known. */
static void
put_unregistered(struct findings *f, struct json_writer *w, const char *what,
    struct slice value, const struct source *from)
{
	open_about(f, w, (struct slice){ NULL, 0 });
	open_part(w, "unregistered");
	put(w, what, value);
	put(w, "seen_by", from->agent);
	json_close(w, '}');
	json_close(w, '}');
}

/* address:port without the port. */
static struct slice
host_of(struct slice peer)
{
	while (peer.len > 0 && peer.ptr[peer.len - 1] != ':')
		peer.len--;
	peer.len -= peer.len > 0;
	if (peer.len > 2 && peer.ptr[0] == '[') {
		peer.ptr++;
		peer.len -= 2;
	}
	return peer;
}

static void
put_source(struct json_writer *w, struct slice ip)
{
	if (ip.len == 0)
		return;
	open_part(w, "source");
	put(w, "ip", ip);
	json_close(w, '}');
}

void
findings_agent(struct findings *f, const struct source *from, int64_t now_ns)
{
	char text[TEXT_BYTES];
	struct json_writer w;
	struct buf line;

	if (!sightings_first(f->seen, 'a', from->owner, from->agent, now_ns))
		return;
	(void)snprintf(text, sizeof(text),
	    "unregistered object: the agent \"%.*s\" sends, and no object of "
	    "the register claims it: add it to the agents of its object",
	    SLICE_ARG(from->agent));
	buf_init(&line, LINE_BYTES);
	begin_line(&w, &line, "object-unregistered", text, now_ns);
	put_unregistered(f, &w, "agent", from->agent, from);
	put_source(&w, host_of(from->peer));
	end_line(f, &w, from->owner);
	buf_fini(&line);
}

void
findings_address(struct findings *f, const struct source *from,
    struct slice address, int64_t now_ns)
{
	char text[TEXT_BYTES];
	struct json_writer w;
	struct buf line;

	if (!sightings_first(f->seen, 'n', from->owner, address, now_ns))
		return;
	(void)snprintf(text, sizeof(text),
	    "unregistered object: %.*s is in the networks of its organization, "
	    "and no object of the register claims it: add it to its object",
	    SLICE_ARG(address));
	buf_init(&line, LINE_BYTES);
	begin_line(&w, &line, "object-unregistered", text, now_ns);
	put_unregistered(f, &w, "address", address, from);
	put_source(&w, address);
	end_line(f, &w, from->owner);
	buf_fini(&line);
}

void
findings_silent(struct findings *f, const struct object *object,
    int64_t since_ns, int64_t now_ns)
{
	char text[TEXT_BYTES];
	struct json_writer w;
	struct buf line;

	(void)snprintf(text, sizeof(text),
	    "unmonitored object: nothing was heard of \"%s\" for %lld seconds, "
	    "longer than its silent_after of %lld",
	    object->id, (long long)((now_ns - since_ns) / NS_PER_SEC),
	    (long long)(object->silent_after_ns / NS_PER_SEC));
	buf_init(&line, LINE_BYTES);
	begin_line(&w, &line, "object-unmonitored", text, now_ns);
	open_about(f, &w, text_of(object->id));
	json_close(&w, '}');
	end_line(f, &w, text_of(object->owner));
	buf_fini(&line);
}

void
findings_attestation(struct findings *f, const struct object *object,
    int64_t now_ns)
{
	const struct object_attestation *a = &object->attestation;
	int64_t days = object_attestation_days(object, now_ns);
	char text[TEXT_BYTES];
	struct json_writer w;
	struct buf line;

	(void)snprintf(text, sizeof(text),
	    "attestation %s of \"%s\" %s %s%s: %s", a->certificate, object->id,
	    days < 0 ? "ended with" : "ends with", a->expires,
	    days == 0 ? ", today" : "",
	    days < 0 ? "attest the object anew"
		     : "have the object attested again in time");
	buf_init(&line, LINE_BYTES);
	begin_line(&w, &line,
	    days < 0 ? "attestation-ended" : "attestation-ending", text,
	    now_ns);
	open_about(f, &w, text_of(object->id));
	open_part(&w, "attestation");
	put(&w, "certificate", text_of(a->certificate));
	put(&w, "expires", text_of(a->expires));
	json_key(&w, "days_left");
	json_int(&w, days);
	json_close(&w, '}');
	json_close(&w, '}');
	end_line(f, &w, text_of(object->owner));
	buf_fini(&line);
}

void
findings_certificate(struct findings *f, const struct certificate_finding *c,
    int64_t now_ns)
{
	const char *what =
	    c->ended ? "certificate-ended" : "certificate-ending";
	char text[TEXT_BYTES], key[TEXT_BYTES], until[TIMESTAMP_TEXT_MAX];
	struct slice expires = timestamp_format(c->expires_ns, until);
	struct json_writer w;
	struct buf line;

	(void)snprintf(key, sizeof(key), "%s %s %.*s", what, c->use,
	    SLICE_ARG(c->subject));
	if (!sightings_first(f->seen, 'c', c->owner, text_of(key), now_ns))
		return;
	(void)snprintf(text, sizeof(text),
	    "the certificate of %s \"%.*s\" %s %.*s%s%.*s: %s",
	    c->file != NULL ? c->file : "the agent", SLICE_ARG(c->subject),
	    c->ended ? "ended" : "ends", SLICE_ARG(expires),
	    c->why.len > 0 ? " and is not renewed, " : "",
	    (int)(c->why.len < 400 ? c->why.len : 400), c->why.ptr,
	    c->file != NULL ? "replace it and reload"
			    : "kuzet-agent status says why; kuzet-agent enroll "
			      "--force gets another one");
	log_warn("%s", text);
	buf_init(&line, LINE_BYTES);
	begin_line(&w, &line, what, text, now_ns);
	open_about(f, &w, (struct slice){ NULL, 0 });
	open_part(&w, "certificate");
	put(&w, "use", text_of(c->use));
	put(&w, "subject", c->subject);
	put(&w, "expires", expires);
	if (c->why.len > 0)
		put(&w, "error", c->why);
	json_close(&w, '}');
	json_close(&w, '}');
	if (c->file != NULL) {
		open_part(&w, "file");
		put(&w, "path", text_of(c->file));
		json_close(&w, '}');
	}
	end_line(f, &w, c->owner);
	buf_fini(&line);
}

static int64_t
time_field(const struct event *status, const char *name)
{
	const struct timestamp_hints hints = { .tz = NULL };
	struct slice text = event_get_string(status, field_find(text_of(name)));
	int64_t time_ns;

	return text.len > 0 &&
		timestamp_parse_rfc3339(text, &hints, &time_ns) == text.len
	    ? time_ns
	    : 0;
}

void
findings_agent_certificate(struct findings *f, const struct source *from,
    const struct event *status)
{
	int64_t now_ns = status->arrival_ns;
	struct slice why = event_get_string(status,
	    field_find(SLICE("kuzet.status.identity.error")));
	const struct certificate_life life = {
		.begin_ns =
		    time_field(status, "kuzet.status.identity.not_before"),
		.end_ns = time_field(status, "kuzet.status.identity.not_after"),
		.renew_ns =
		    time_field(status, "kuzet.status.identity.renew_at"),
		.failing = why.len > 0,
	};
	enum certificate_state state = certificate_state(&life, now_ns);

	if (life.begin_ns == 0 || life.end_ns == 0 || state == CERTIFICATE_GOOD)
		return;
	findings_certificate(f,
	    &(struct certificate_finding){ .owner = from->owner,
		.use = "agent",
		.subject = from->agent,
		.expires_ns = life.end_ns,
		.ended = state == CERTIFICATE_ENDED,
		.why = why },
	    now_ns);
}

void
findings_volume(struct findings *f, const struct volume *v, int64_t now_ns)
{
	char text[TEXT_BYTES];
	struct json_writer w;
	struct buf line;

	(void)snprintf(text, sizeof(text),
	    "%.*s took %.0f bytes within an hour; in the %u hours of its "
	    "history it took %.0f at most",
	    SLICE_ARG(v->source), v->bytes, v->hours, v->busiest);
	buf_init(&line, LINE_BYTES);
	begin_line(&w, &line, "volume-unusual", text, now_ns);
	open_about(f, &w, (struct slice){ NULL, 0 });
	open_part(&w, "volume");
	json_key(&w, "hour");
	json_time(&w, v->hour_ns);
	json_key(&w, "bytes");
	json_uint(&w, (uint64_t)v->bytes);
	json_key(&w, "busiest");
	json_uint(&w, (uint64_t)v->busiest);
	json_key(&w, "hours");
	json_uint(&w, v->hours);
	json_close(&w, '}');
	json_close(&w, '}');
	put_source(&w, v->source);
	end_line(f, &w, v->owner);
	buf_fini(&line);
}

/* ---- to the workers -------------------------------------------------------------- */

/* Under the lock: the first ones of one owner, as frames. */
static struct piece *
make_piece(struct findings *f, int64_t now_ns)
{
	struct piece *p = xzalloc(sizeof(*p));
	struct buf frames;

	p->kind = PIECE_JSON;
	p->connection = f->connection;
	p->number = f->piece++;
	p->agent = xstrdup(FINDINGS_AGENT);
	p->owner = xstrdup(f->first->owner);
	p->peer = xstrdup("unix");
	p->arrival_ns = now_ns;
	buf_init(&frames, (size_t)AT_ONCE * (LINE_BYTES + 16));
	while (f->first != NULL && p->window < AT_ONCE &&
	    strcmp(f->first->owner, p->owner) == 0) {
		struct pending *next = f->first;

		(void)buf_add_str(&frames, "2J");
		(void)buf_add_u32be(&frames, ++p->window);
		(void)buf_add_u32be(&frames, (uint32_t)next->line.len);
		(void)buf_add_slice(&frames, next->line);
		f->first = next->next;
		f->n--;
		free(next);
	}
	if (f->first == NULL)
		f->last = &f->first;
	p->bytes = frames.ptr;
	p->len = frames.len;
	return p;
}

struct piece *
findings_piece(struct findings *f, int64_t now_ns)
{
	struct piece *p = NULL;

	(void)pthread_mutex_lock(&f->lock);
	if (f->kept != NULL) {
		p = f->kept;
		f->kept = NULL;
	} else if (!f->waits && f->first != NULL) {
		p = make_piece(f, now_ns);
		f->waits = true;
	}
	(void)pthread_mutex_unlock(&f->lock);
	return p;
}

void
findings_back(struct findings *f, struct piece *p)
{
	(void)pthread_mutex_lock(&f->lock);
	f->kept = p;
	(void)pthread_mutex_unlock(&f->lock);
}

void
findings_send(struct findings *f,
    bool (*submit)(void *ctx, struct piece *piece), void *ctx)
{
	struct piece *p = findings_piece(f, timestamp_now());

	if (p != NULL && !submit(ctx, p))
		findings_back(f, p);
}

bool
findings_reply(struct findings *f, uint64_t connection, uint32_t count)
{
	bool mine;

	if (connection < CONNECTION_FIRST || connection >= CONNECTION_LAST)
		return false; /* a listener's: without the lock */
	(void)pthread_mutex_lock(&f->lock);
	mine = connection == f->connection;
	if (mine)
		f->waits = false;
	if (mine && count == 0) { /* nothing more is stored of it */
		f->connection++;
		f->piece = 0;
	}
	(void)pthread_mutex_unlock(&f->lock);
	return true;
}

void
findings_counters(struct findings *f, struct findings_counters *out)
{
	struct sightings_counters seen;

	sightings_counters(f->seen, &seen);
	(void)pthread_mutex_lock(&f->lock);
	*out = f->counters;
	(void)pthread_mutex_unlock(&f->lock);
	out->left_out += seen.left_out;
}
