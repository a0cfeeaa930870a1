/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/enrich/enrich_object.h"

#include <stdlib.h>

#include "address.h"
#include "xalloc.h"

enum {
	STAMPS = 16, /* objects whose texts a batch's arena has at once */
	FIELDS = 10,
};

/* What an event of an object gets, in the arena of the batch. */
struct stamp {
	uint32_t object; /* OBJECT_NONE: free */
	uint32_t n;
	struct field fields[FIELDS];
};

struct object_enricher {
	struct objects *objects; /* counted */
	struct slice own;        /* borrowed */

	/* of the batch */
	struct arena *arena;
	struct object_scope scope;
	struct slice organization; /* its name, in the arena */
	uint32_t agent;            /* object of its source */
	uint32_t host;             /* the same, its id taken as a host's name */
	bool trusted;
	struct stamp stamps[STAMPS];
};

struct object_enricher *
object_enricher_new(struct objects *objects, const char *own)
{
	struct object_enricher *e = xzalloc(sizeof(*e));

	e->objects = objects_ref(objects);
	e->own = (struct slice){ own, own != NULL ? strlen(own) : 0 };
	return e;
}

void
object_enricher_free(struct object_enricher *e)
{
	if (e == NULL)
		return;
	objects_unref(e->objects);
	free(e);
}

static struct slice
copy(struct arena *arena, const char *text)
{
	return arena_copy(arena, (struct slice){ text, strlen(text) });
}

void
object_enricher_begin(struct object_enricher *e, const struct batch *b,
    bool trusted)
{
	const struct organization *g =
	    objects_organization(e->objects, b->source.owner);

	e->arena = b->arena;
	e->trusted = trusted;
	e->scope = objects_scope(e->objects, b->source.owner,
	    trusted || slice_eq(b->source.owner, e->own));
	e->agent = objects_by_agent(e->objects, b->source.agent);
	e->host = objects_by_host(e->objects, e->scope, b->source.agent);
	e->organization = (struct slice){ NULL, 0 };
	if (g != NULL && (g->name_ru != NULL || g->name_kk != NULL))
		e->organization = copy(e->arena,
		    g->name_ru != NULL ? g->name_ru : g->name_kk);
	for (size_t i = 0; i < STAMPS; i++)
		e->stamps[i].object = OBJECT_NONE;
}

/* ---- finding the object ----------------------------------------------------------- */

/* The first text of a field that may be a list. */
static struct slice
first_text(const struct event *ev, uint32_t field)
{
	const struct value *v = event_get(ev, field);

	if (v != NULL && v->kind == VALUE_LIST && v->n > 0)
		v = &v->list[0];
	return v != NULL && v->kind == VALUE_STRING ? v->s
						    : (struct slice){ NULL, 0 };
}

static uint32_t
by_host(const struct object_enricher *e, const struct event *ev)
{
	static const uint32_t fields[] = { FIELD_HOST_NAME, FIELD_HOST_HOSTNAME,
		FIELD_LOG_SYSLOG_HOSTNAME, FIELD_WINLOG_COMPUTER_NAME };
	uint32_t found = OBJECT_NONE;

	for (size_t i = 0;
	     i < sizeof(fields) / sizeof(fields[0]) && found == OBJECT_NONE;
	     i++) {
		struct slice host = first_text(ev, fields[i]);
		struct ip ip;

		found = objects_by_host(e->objects, e->scope, host);
		if (found == OBJECT_NONE && ip_parse(host, &ip))
			found = objects_by_address(e->objects, e->scope, &ip);
	}
	return found;
}

static const uint32_t address_fields[] = { FIELD_HOST_IP, FIELD_DESTINATION_IP,
	FIELD_SOURCE_IP };
enum { ADDRESS_FIELDS = sizeof(address_fields) / sizeof(address_fields[0]) };

static uint32_t
by_address(const struct object_enricher *e, const struct event *ev)
{
	uint32_t found = OBJECT_NONE;
	struct ip ip;

	for (size_t i = 0; i < ADDRESS_FIELDS && found == OBJECT_NONE; i++)
		if (ip_parse(first_text(ev, address_fields[i]), &ip))
			found = objects_by_address(e->objects, e->scope, &ip);
	return found;
}

static uint32_t
find_object(const struct object_enricher *e, const struct event *ev)
{
	uint32_t found;

	if (e->trusted)
		return objects_find(e->objects,
		    event_get_string(ev, FIELD_KUZET_OBJECT_ID));
	if (e->agent != OBJECT_NONE)
		return e->agent;
	found = by_host(e, ev);
	if (found == OBJECT_NONE)
		found = e->host;
	return found != OBJECT_NONE ? found : by_address(e, ev);
}

/* ---- what it gets ----------------------------------------------------------------- */

static void
put(struct stamp *s, uint32_t id, struct slice text)
{
	s->fields[s->n++] =
	    (struct field){ id, { .kind = VALUE_STRING, .s = text } };
}

/* Both languages; one text where they are the same. */
static void
put_name(struct object_enricher *e, struct stamp *s, const struct object *o)
{
	struct value *list;

	if (strcmp(o->name_kk, o->name_ru) == 0) {
		put(s, FIELD_KUZET_OBJECT_NAME, copy(e->arena, o->name_kk));
		return;
	}
	list = arena_alloc(e->arena, 2 * sizeof(*list));
	list[0] = (struct value){ .kind = VALUE_STRING,
		.s = copy(e->arena, o->name_kk) };
	list[1] = (struct value){ .kind = VALUE_STRING,
		.s = copy(e->arena, o->name_ru) };
	s->fields[s->n++] = (struct field){ FIELD_KUZET_OBJECT_NAME,
		{ .kind = VALUE_LIST, .n = 2, .list = list } };
}

static const struct stamp *
stamp_of(struct object_enricher *e, uint32_t index)
{
	struct stamp *s = &e->stamps[index % STAMPS];
	const struct object *o = objects_at(e->objects, index);

	if (s->object == index)
		return s;
	*s = (struct stamp){ .object = index };
	put(s, FIELD_KUZET_OBJECT_ID, copy(e->arena, o->id));
	put_name(e, s, o);
	put(s, FIELD_KUZET_OBJECT_KIND,
	    copy(e->arena, object_kind_name(o->kind)));
	put(s, FIELD_KUZET_OBJECT_CRITICALITY,
	    copy(e->arena, object_criticality_name(o->criticality)));
	s->fields[s->n++] = (struct field){ FIELD_KUZET_OBJECT_CLASS,
		{ .kind = VALUE_INT, .i = o->class } };
	put(s, FIELD_KUZET_OBJECT_OWNER, copy(e->arena, o->owner));
	if (o->attestation.certificate != NULL)
		put(s, FIELD_KUZET_OBJECT_ATTESTATION,
		    copy(e->arena, o->attestation.certificate));
	if (o->holder != NULL)
		put(s, FIELD_KUZET_OBJECT_HOLDER, copy(e->arena, o->holder));
	if (o->hosting != NULL)
		put(s, FIELD_KUZET_OBJECT_HOSTING, copy(e->arena, o->hosting));
	return s;
}

/* Nobody but the register says what an event's object is. */
static void
drop_foreign(struct event *ev)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < ev->n; i++) {
		uint32_t id = ev->fields[i].id;

		if (id < FIELD_KUZET_OBJECT_ATTESTATION ||
		    id > FIELD_KUZET_OBJECT_OWNER)
			ev->fields[kept++] = ev->fields[i];
	}
	ev->n = kept;
}

uint32_t
object_enrich(struct object_enricher *e, struct event *ev)
{
	uint32_t index = find_object(e, ev);
	const struct stamp *s;

	drop_foreign(ev);
	if (e->organization.len > 0)
		event_set_string(ev, FIELD_ORGANIZATION_NAME, e->organization);
	if (index == OBJECT_NONE)
		return index;
	s = stamp_of(e, index);
	for (uint32_t i = 0; i < s->n; i++)
		event_append(ev, s->fields[i].id, s->fields[i].value);
	if (!e->trusted)
		objects_heard(e->objects, index, ev->arrival_ns);
	return index;
}

bool
object_agent_is_claimed(const struct object_enricher *e, struct slice agent)
{
	return e->agent != OBJECT_NONE || e->host != OBJECT_NONE ||
	    objects_by_sender(e->objects, agent) != OBJECT_NONE;
}

struct slice
object_unclaimed(const struct object_enricher *e, const struct event *ev,
    unsigned *at)
{
	while (*at < ADDRESS_FIELDS) {
		struct slice text = first_text(ev, address_fields[(*at)++]);
		struct ip ip;

		if (ip_parse(text, &ip) &&
		    objects_own_address(e->objects, e->scope, &ip) &&
		    objects_by_address(e->objects, e->scope, &ip) ==
			OBJECT_NONE)
			return text;
	}
	return (struct slice){ NULL, 0 };
}
