/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incidents/changes.h"

#include <stdlib.h>

#include "json.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 65536, TAGS_BYTES = 65536 };

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

void
changes_add(struct changes *c, const struct ruleset *rules,
    const struct correlate_incident *inc)
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
}
