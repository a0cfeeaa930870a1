/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include <stdio.h>
#include <stdlib.h>

#include "address.h"
#include "collector/enrich/object_file.h"
#include "collector/enrich/object_index.h"
#include "timestamp.h"
#include "xalloc.h"

#define HEARD_STEP_NS (100 * NS_PER_MS)
#define DAY_NS        (86400 * NS_PER_SEC)

/* The scope of everybody; owners' are their number. */
enum { SCOPE_ALL = UINT32_MAX };

/* How an object is doing. */
struct pulse {
	int64_t heard_ns;   /* __atomic */
	int64_t excused_ns; /* last known moment of a maintenance */
	int64_t told_ns;    /* heard_ns of the silence that was told */
	bool told;
	unsigned attestation_told; /* the stage, attestation_stage() */
};

struct objects {
	char *path;
	unsigned references; /* __atomic */
	struct object_file file;
	struct name_index ids, owners, agents, senders, hosts;
	/* one for each organization, the last is everybody's */
	struct network_index *networks, *own;
	struct pulse *pulses; /* of each object */
};

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

uint32_t
objects_organizations(const struct objects *o)
{
	return (uint32_t)o->file.organizations.n;
}

uint32_t
objects_count(const struct objects *o)
{
	return (uint32_t)o->file.objects.n;
}

const struct organization *
objects_organization_at(const struct objects *o, uint32_t index)
{
	return (const struct organization *)o->file.organizations.items + index;
}

const struct object *
objects_at(const struct objects *o, uint32_t index)
{
	return (const struct object *)o->file.objects.items + index;
}

/* ---- building ---------------------------------------------------------------- */

/* A register in the making, and the object at hand. */
struct builder {
	struct objects *o;
	uint32_t index, owner;
	const struct object *object;
	struct error *err;
};

static enum rc
refuse(const struct builder *b, unsigned line, const char *key,
    const char *value, const char *why)
{
	return error_set(b->err, RC_INVALID, "%s:%u: %s: %s: \"%s\" %s",
	    b->o->path, line, b->object->id, key, value, why);
}

static enum rc
claimed(const struct builder *b, unsigned line, const char *key,
    const char *value, uint32_t by)
{
	char why[160];

	if (by >= objects_count(b->o))
		by = b->index;
	(void)snprintf(why, sizeof(why),
	    "is claimed by \"%.64s\" too: give it to one of them",
	    objects_at(b->o, by)->id);
	return refuse(b, line, key, value, why);
}

static enum rc
add_organizations(struct builder *b)
{
	for (uint32_t i = 0; i < objects_organizations(b->o); i++) {
		const struct organization *g = objects_organization_at(b->o, i);
		struct ip_network net;

		if (name_index_add(&b->o->owners, 0, text_of(g->id), i) !=
		    INDEX_NONE)
			return error_set(b->err, RC_INVALID,
			    "%s:%u: organizations: \"%s\" stands twice: give "
			    "each its own id",
			    b->o->path, b->o->file.organizations.lines[i],
			    g->id);
		for (size_t k = 0; k < g->networks.n; k++) {
			if (ip_network_parse(text_of(g->networks.items[k]),
				&net, b->err) != RC_OK)
				return b->err->code;
			network_index_add(&b->o->own[i], &net, i);
			network_index_add(
			    &b->o->own[objects_organizations(b->o)], &net, i);
		}
	}
	return RC_OK;
}

static enum rc
check_party(const struct builder *b, const char *key, const char *id)
{
	if (id == NULL ||
	    name_index_find(&b->o->owners, 0, text_of(id)) != INDEX_NONE)
		return RC_OK;
	return refuse(b, b->object->line, key, id,
	    "is no organization of this file: add it below organizations");
}

static enum rc
check_parties(struct builder *b)
{
	const struct object *object = b->object;
	enum rc rc = check_party(b, "owner", object->owner);

	if (rc == RC_OK)
		rc = check_party(b, "holder", object->holder);
	if (rc == RC_OK)
		rc = check_party(b, "hosting", object->hosting);
	if (rc == RC_OK)
		b->owner =
		    name_index_find(&b->o->owners, 0, text_of(object->owner));
	return rc;
}

static enum rc
add_network(struct builder *b, struct slice text)
{
	struct ip_network net;

	if (ip_network_parse(text, &net, b->err) != RC_OK)
		return b->err->code;
	network_index_add(&b->o->networks[b->owner], &net, b->index);
	network_index_add(&b->o->networks[objects_organizations(b->o)], &net,
	    b->index);
	return RC_OK;
}

/* A host is a name, or an address. */
static enum rc
add_hosts(struct builder *b)
{
	const struct conf_strings *hosts = &b->object->hosts;

	for (size_t i = 0; i < hosts->n; i++) {
		struct slice host = text_of(hosts->items[i]);
		struct ip ip;
		uint32_t was;

		if (ip_parse(host, &ip)) {
			(void)add_network(b, host);
			continue;
		}
		was = name_index_add(&b->o->hosts, b->owner, host, b->index);
		if (was != INDEX_NONE && was != b->index)
			return claimed(b, hosts->line, "hosts", hosts->items[i],
			    was);
		(void)name_index_add(&b->o->hosts, SCOPE_ALL, host, b->index);
	}
	return RC_OK;
}

static enum rc
add_senders(struct builder *b, const struct conf_strings *list, const char *key,
    bool agents)
{
	for (size_t i = 0; i < list->n; i++) {
		struct slice name = text_of(list->items[i]);
		uint32_t was =
		    name_index_add(&b->o->senders, 0, name, b->index);

		if (was != INDEX_NONE)
			return claimed(b, list->line, key, list->items[i], was);
		if (agents)
			(void)name_index_add(&b->o->agents, 0, name, b->index);
	}
	return RC_OK;
}

static enum rc
add_object(struct builder *b)
{
	const struct conf_strings *networks = &b->object->networks;
	enum rc rc;

	if (name_index_add(&b->o->ids, 0, text_of(b->object->id), b->index) !=
	    INDEX_NONE)
		return refuse(b, b->object->line, "id", b->object->id,
		    "stands twice: give each object its own");
	rc = check_parties(b);
	for (size_t i = 0; i < networks->n && rc == RC_OK; i++)
		rc = add_network(b, text_of(networks->items[i]));
	if (rc == RC_OK)
		rc = add_hosts(b);
	if (rc == RC_OK)
		rc = add_senders(b, &b->object->agents, "agents", true);
	if (rc == RC_OK)
		rc = add_senders(b, &b->object->relays, "relays", false);
	return rc;
}

/* The same network in two objects of one owner says nothing. */
static enum rc
check_networks(struct builder *b)
{
	const struct conf_strings *networks = &b->object->networks;

	for (size_t i = 0; i < networks->n; i++) {
		struct ip_network net;
		uint32_t found;

		if (ip_network_parse(text_of(networks->items[i]), &net,
			b->err) != RC_OK)
			return b->err->code;
		found =
		    network_index_find(&b->o->networks[b->owner], &net.first);
		if (found == INDEX_MANY)
			return refuse(b, networks->line, "networks",
			    networks->items[i],
			    "is claimed by another object of the owner too: "
			    "give it to one of them");
	}
	return RC_OK;
}

static enum rc
check_links(struct builder *b)
{
	const struct object_link *links = b->object->links.items;

	for (size_t i = 0; i < b->object->links.n; i++) {
		uint32_t to =
		    name_index_find(&b->o->ids, 0, text_of(links[i].to));
		const char *owner;

		if (to == INDEX_NONE || links[i].agreement != NULL)
			continue;
		owner = objects_at(b->o, to)->owner;
		if (strcmp(owner, b->object->owner) != 0)
			return refuse(b, b->object->links.lines[i], "links",
			    links[i].to,
			    "is another owner's: name the agreement between "
			    "the two as agreement");
	}
	return RC_OK;
}

static enum rc
each_object(struct builder *b, enum rc (*visit)(struct builder *b))
{
	enum rc rc = RC_OK;

	for (b->index = 0; b->index < objects_count(b->o) && rc == RC_OK;
	     b->index++) {
		b->object = objects_at(b->o, b->index);
		b->owner = b->object->owner != NULL
		    ? name_index_find(&b->o->owners, 0,
			  text_of(b->object->owner))
		    : INDEX_NONE;
		rc = visit(b);
	}
	return rc;
}

static enum rc
build(struct objects *o, struct objects **out, struct error *err)
{
	struct builder b = { .o = o, .err = err };
	uint32_t n = objects_organizations(o);
	enum rc rc;

	o->networks = xcalloc(n + 1, sizeof(*o->networks));
	o->own = xcalloc(n + 1, sizeof(*o->own));
	o->pulses = xcalloc(objects_count(o) + 1, sizeof(*o->pulses));
	rc = add_organizations(&b);
	if (rc == RC_OK)
		rc = each_object(&b, add_object);
	for (uint32_t i = 0; i <= n; i++) {
		network_index_build(&o->networks[i]);
		network_index_build(&o->own[i]);
	}
	if (rc == RC_OK)
		rc = each_object(&b, check_networks);
	if (rc == RC_OK)
		rc = each_object(&b, check_links);
	if (rc != RC_OK) {
		objects_unref(o);
		return rc;
	}
	*out = o;
	return RC_OK;
}

static struct objects *
begin(const char *path)
{
	struct objects *o = xzalloc(sizeof(*o));

	o->path = xstrdup(path);
	o->references = 1;
	return o;
}

enum rc
objects_load(const char *path, struct objects **out, struct error *err)
{
	struct objects *o = begin(path);

	*out = NULL;
	if (object_file_load(path, &o->file, err) != RC_OK) {
		objects_unref(o);
		return err->code;
	}
	return build(o, out, err);
}

enum rc
objects_parse(const char *name, struct slice text, struct objects **out,
    struct error *err)
{
	struct objects *o = begin(name);

	*out = NULL;
	if (object_file_parse(name, text, &o->file, err) != RC_OK) {
		objects_unref(o);
		return err->code;
	}
	return build(o, out, err);
}

struct objects *
objects_ref(struct objects *o)
{
	(void)__atomic_add_fetch(&o->references, 1, __ATOMIC_RELAXED);
	return o;
}

void
objects_unref(struct objects *o)
{
	if (o == NULL ||
	    __atomic_sub_fetch(&o->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (uint32_t i = 0; i <= objects_organizations(o); i++) {
		if (o->networks != NULL)
			network_index_free(&o->networks[i]);
		if (o->own != NULL)
			network_index_free(&o->own[i]);
	}
	free(o->networks);
	free(o->own);
	free(o->pulses);
	name_index_free(&o->ids);
	name_index_free(&o->owners);
	name_index_free(&o->agents);
	name_index_free(&o->senders);
	name_index_free(&o->hosts);
	object_file_free(&o->file);
	free(o->path);
	free(o);
}

/* ---- look-ups ------------------------------------------------------------------ */

/* What stands for several is nobody's. */
static uint32_t
single(uint32_t found)
{
	return found == INDEX_MANY ? (uint32_t)OBJECT_NONE : found;
}

const struct organization *
objects_organization(const struct objects *o, struct slice id)
{
	uint32_t i = name_index_find(&o->owners, 0, id);

	return i == INDEX_NONE ? NULL : objects_organization_at(o, i);
}

uint32_t
objects_find(const struct objects *o, struct slice id)
{
	return single(name_index_find(&o->ids, 0, id));
}

uint32_t
objects_by_agent(const struct objects *o, struct slice agent)
{
	return single(name_index_find(&o->agents, 0, agent));
}

uint32_t
objects_by_sender(const struct objects *o, struct slice agent)
{
	return single(name_index_find(&o->senders, 0, agent));
}

struct object_scope
objects_scope(const struct objects *o, struct slice owner, bool all)
{
	return (struct object_scope){
		.owner = single(name_index_find(&o->owners, 0, owner)),
		.all = all,
	};
}

uint32_t
objects_by_host(const struct objects *o, struct object_scope scope,
    struct slice host)
{
	uint32_t found = INDEX_NONE;

	if (scope.owner != OBJECT_NONE)
		found = name_index_find(&o->hosts, scope.owner, host);
	if (found == INDEX_NONE && scope.all)
		found = name_index_find(&o->hosts, SCOPE_ALL, host);
	return single(found);
}

/* In the owner's table, else in everybody's. */
static uint32_t
find_address(const struct objects *o, const struct network_index *tables,
    struct object_scope scope, const struct ip *ip)
{
	uint32_t found = INDEX_NONE;

	if (scope.owner != OBJECT_NONE)
		found = network_index_find(&tables[scope.owner], ip);
	if (found == INDEX_NONE && scope.all)
		found =
		    network_index_find(&tables[objects_organizations(o)], ip);
	return found;
}

uint32_t
objects_by_address(const struct objects *o, struct object_scope scope,
    const struct ip *ip)
{
	return single(find_address(o, o->networks, scope, ip));
}

bool
objects_own_address(const struct objects *o, struct object_scope scope,
    const struct ip *ip)
{
	return find_address(o, o->own, scope, ip) != INDEX_NONE;
}

/* ---- maintenance ----------------------------------------------------------------- */

/* 0 is Monday (Sakamoto). */
static int
weekday_of(const struct civil_time *c)
{
	static const int shift[] = { 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4 };
	int y = c->month < 3 ? c->year - 1 : c->year;
	int sunday0 =
	    (y + y / 4 - y / 100 + y / 400 + shift[c->month - 1] + c->day) % 7;

	return (sunday0 + 6) % 7;
}

static bool
in_weekly(const struct object_window *w, int64_t time_ns)
{
	struct civil_time c;
	unsigned today, yesterday;
	int minute, day;

	timestamp_to_civil(time_ns, w->tz, &c);
	day = weekday_of(&c);
	minute = 60 * c.hour + c.minute;
	today = w->weekdays >> day & 1U;
	yesterday = w->weekdays >> (day + 6) % 7 & 1U;
	if (w->start_minute < w->end_minute)
		return today != 0 && minute >= w->start_minute &&
		    minute < w->end_minute;
	return (today != 0 && minute >= w->start_minute) ||
	    (yesterday != 0 && minute < w->end_minute);
}

bool
object_in_maintenance(const struct object *object, int64_t time_ns)
{
	const struct object_window *w = object->maintenance.items;

	for (size_t i = 0; i < object->maintenance.n; i++) {
		if (w[i].weekdays != 0
			? in_weekly(&w[i], time_ns)
			: time_ns >= w[i].from_ns && time_ns < w[i].until_ns)
			return true;
	}
	return false;
}

/* ---- silence ------------------------------------------------------------------------ */

void
objects_heard(const struct objects *o, uint32_t index, int64_t time_ns)
{
	int64_t *at = &o->pulses[index].heard_ns;

	/* one cache line is every worker's: write it seldom */
	if (time_ns - __atomic_load_n(at, __ATOMIC_RELAXED) > HEARD_STEP_NS)
		__atomic_store_n(at, time_ns, __ATOMIC_RELAXED);
}

int64_t
objects_last_heard(const struct objects *o, uint32_t index)
{
	return __atomic_load_n(&o->pulses[index].heard_ns, __ATOMIC_RELAXED);
}

void
objects_inherit(struct objects *o, const struct objects *old)
{
	for (uint32_t i = 0; i < objects_count(old); i++) {
		uint32_t now = objects_find(o, text_of(objects_at(old, i)->id));

		if (now == OBJECT_NONE)
			continue;
		o->pulses[now] = old->pulses[i];
		o->pulses[now].heard_ns = objects_last_heard(old, i);
	}
}

int64_t
objects_silent(struct objects *o, uint32_t index, int64_t since_ns,
    int64_t now_ns)
{
	const struct object *object = objects_at(o, index);
	struct pulse *p = &o->pulses[index];
	int64_t from_ns = objects_last_heard(o, index);

	if (object_in_maintenance(object, now_ns))
		p->excused_ns = now_ns;
	if (from_ns < since_ns)
		from_ns = since_ns;
	if (from_ns < p->excused_ns)
		from_ns = p->excused_ns;
	return object->silent_after_ns > 0 &&
		now_ns - from_ns > object->silent_after_ns
	    ? from_ns
	    : 0;
}

bool
objects_tell_silence(struct objects *o, uint32_t index)
{
	struct pulse *p = &o->pulses[index];
	int64_t heard_ns = objects_last_heard(o, index);

	if (p->told && p->told_ns == heard_ns)
		return false;
	p->told = true;
	p->told_ns = heard_ns;
	return true;
}

/* ---- attestation ---------------------------------------------------------------------- */

int64_t
object_attestation_days(const struct object *object, int64_t now_ns)
{
	int64_t left_ns = object->attestation.expires_ns - now_ns;

	if (object->attestation.expires_ns == 0)
		return INT64_MAX;
	return left_ns > 0 ? (left_ns - 1) / DAY_NS : left_ns / DAY_NS - 1;
}

/* 0: it holds for long. */
static unsigned
attestation_stage(int64_t days)
{
	static const int64_t told_at[] = { 30, 7, 0, -1 };
	unsigned stage = 0;

	while (stage < sizeof(told_at) / sizeof(told_at[0]) &&
	    days <= told_at[stage])
		stage++;
	return stage;
}

bool
objects_tell_attestation(struct objects *o, uint32_t index, int64_t now_ns)
{
	struct pulse *p = &o->pulses[index];
	unsigned stage = attestation_stage(
	    object_attestation_days(objects_at(o, index), now_ns));
	unsigned told = p->attestation_told;

	p->attestation_told = stage;
	return stage > told;
}
