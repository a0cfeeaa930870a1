/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incidents/changes.h"

#include <stdlib.h>

#include "json.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 65536,
	TAGS_BYTES = 65536,
	OBJECTS_BYTES = 256 * 1024,
	INVOLVED_MAX = 16, /* objects of an incident */
};

void
changes_init(struct changes *c)
{
	*c = (struct changes){ .arena = arena_new(ARENA_BLOCK) };
}

void
changes_fini(struct changes *c)
{
	arena_free(c->arena);
	free(c->list);
}

void
changes_clear(struct changes *c)
{
	c->n = 0;
	arena_reset(c->arena);
}

static struct slice
tags_json(struct arena *arena, const struct rule_info *info)
{
	struct buf b;
	struct json_writer w;
	struct slice copy;

	buf_init(&b, TAGS_BYTES);
	json_begin(&w, &b);
	json_open(&w, '[');
	for (uint32_t i = 0; i < info->n_tags; i++)
		json_string(&w, info->tags[i]);
	json_close(&w, ']');
	copy = b.overflowed ? SLICE("[]") : arena_copy(arena, buf_slice(&b));
	buf_fini(&b);
	return copy;
}

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- who is accountable ------------------------------------------------------ */

/* The objects of an incident, each once. */
struct involved {
	const struct objects *register_of;
	struct slice owner;
	uint32_t list[INVOLVED_MAX];
	size_t n;
};

static void
involve(struct involved *v, uint32_t index)
{
	size_t i = 0;

	while (i < v->n && v->list[i] != index)
		i++;
	if (index != OBJECT_NONE && i == v->n && v->n < INVOLVED_MAX)
		v->list[v->n++] = index;
}

static void
involve_host(struct involved *v, struct slice host)
{
	involve(v,
	    objects_by_host(v->register_of,
		objects_scope(v->register_of, v->owner, false), host));
}

static void
involve_agents(struct involved *v, struct slice agents, struct arena *arena)
{
	struct json_reader r;

	json_reader_init(&r, agents, arena, JSON_DEPTH_MAX);
	if (json_next(&r) != JSON_ARRAY_BEGIN)
		return;
	while (json_next(&r) == JSON_STRING) {
		uint32_t found = objects_by_agent(v->register_of, r.text);

		if (found != OBJECT_NONE)
			involve(v, found);
		else
			involve_host(v, r.text);
	}
}

static void
involve_group(struct involved *v, struct slice group, struct arena *arena)
{
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (group.len == 0 ||
	    json_read_event(group, &json_limits_default, &ev, &err) != RC_OK)
		return;
	involve(v,
	    objects_find(v->register_of,
		event_get_string(&ev, FIELD_KUZET_OBJECT_ID)));
	involve_host(v, event_get_string(&ev, FIELD_HOST_NAME));
	involve_host(v, event_get_string(&ev, FIELD_HOST_HOSTNAME));
}

static struct slice
organization_json(struct arena *arena, const struct objects *objects,
    struct slice owner)
{
	struct buf b;
	struct slice copy;

	if (objects_organization(objects, owner) == NULL)
		return (struct slice){ NULL, 0 };
	buf_init(&b, OBJECTS_BYTES);
	organization_write(&b, objects, owner);
	copy = arena_copy(arena, buf_slice(&b));
	buf_fini(&b);
	return copy;
}

static struct slice
objects_json(struct arena *arena, const struct objects *objects,
    const struct correlate_incident *inc)
{
	struct involved v = { .register_of = objects, .owner = inc->owner };
	struct buf b;
	struct slice copy = { NULL, 0 };

	involve_agents(&v, inc->agents, arena);
	involve_group(&v, inc->group, arena);
	buf_init(&b, OBJECTS_BYTES);
	for (size_t i = 0; i < v.n; i++) {
		(void)buf_add_char(&b, i == 0 ? '[' : ',');
		object_write_about(&b, objects, objects_at(objects, v.list[i]));
	}
	(void)buf_add_char(&b, ']');
	if (v.n > 0 && !b.overflowed)
		copy = arena_copy(arena, buf_slice(&b));
	buf_fini(&b);
	return copy;
}

void
changes_add(struct changes *c, const struct ruleset *rules,
    const struct objects *objects, const struct correlate_incident *inc)
{
	const struct rule_info *info = ruleset_rule(rules, inc->rule);
	struct incident *i;

	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->list = xreallocarray(c->list, c->cap, sizeof(*c->list));
	}
	i = &c->list[c->n++];
	*i = (struct incident){
		.id = arena_copy(c->arena, text(inc->id)),
		.owner = arena_copy(c->arena, inc->owner),
		.rule_id = info->id,
		.rule_title = info->title,
		.rule_author = info->author,
		.rule_tags = tags_json(c->arena, info),
		.level = text(rule_level_name(info->level)),
		.status = inc->disproved ? SLICE("closed") : SLICE("new"),
		.reason = inc->disproved ? SLICE("disproved") : SLICE(""),
		.first_seen_ns = inc->first_seen_ns,
		.last_seen_ns = inc->last_seen_ns,
		.fired_ns = inc->fired_ns,
		.group = arena_copy(c->arena, inc->group),
		.events = inc->events,
		.opened = inc->opened,
		.agents = arena_copy(c->arena, inc->agents),
	};
	memcpy(i->rule_digest, info->digest, sizeof(i->rule_digest));
	if (objects == NULL)
		return;
	i->owner_about = organization_json(c->arena, objects, inc->owner);
	i->objects = objects_json(c->arena, objects, inc);
}
