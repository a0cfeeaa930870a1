/* SPDX-License-Identifier: Apache-2.0 */
/* The register of objects with how each is doing, and who has agents. */
#include "objects.h"
#include "api_private.h"
#include "timestamp.h"

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- the register ------------------------------------------------------------ */

static void
write_monitoring(struct json_writer *w, struct objects *objects, uint32_t index,
    int64_t since_ns)
{
	const struct object *object = objects_at(objects, index);
	int64_t now_ns = timestamp_now();
	int64_t heard_ns = objects_last_heard(objects, index);
	int64_t from_ns = heard_ns > since_ns ? heard_ns : since_ns;
	const char *state = heard_ns != 0 ? "monitored" : "unknown";

	if (object_in_maintenance(object, now_ns))
		state = "maintenance";
	else if (object->silent_after_ns > 0 &&
	    now_ns - from_ns > object->silent_after_ns)
		state = "unmonitored";
	json_key(w, "monitoring");
	json_str(w, state);
	if (heard_ns != 0) {
		json_key(w, "last_heard");
		json_time(w, heard_ns);
	}
}

/* False: nobody reads any more. */
static bool
register_line(struct ask *a, struct objects *objects, uint32_t index)
{
	const struct object *object = objects_at(objects, index);
	struct json_writer w = { .out = &a->line, .comma = true };

	object_write(&a->line, objects, object);
	a->line.len--; /* its brace: more follows */
	json_key(&w, "organization");
	json_str(&w, object->owner);
	write_monitoring(&w, objects, index, a->api->started_ns);
	json_close(&w, '}');
	return ask_line(a);
}

static bool
may_see(const struct ask *a, const struct object *object)
{
	struct slice owner = ask_owner(a);

	return owner.ptr == NULL || slice_eq(owner, text_of(object->owner));
}

void
get_object(struct ask *a)
{
	struct objects *objects = api_objects(a->api);
	uint32_t index = OBJECT_NONE;
	struct error err;

	if (objects != NULL)
		index = objects_find(objects, a->path[0]);
	if (index != OBJECT_NONE && may_see(a, objects_at(objects, index)))
		(void)register_line(a, objects, index);
	else
		ask_fail(a,
		    error_set(&err, RC_EOF, "there is no object \"%.*s\"",
			(int)(a->path[0].len < 128 ? a->path[0].len : 128),
			a->path[0].ptr),
		    &err);
	objects_unref(objects);
}

/* False: nobody reads any more. */
static bool
list_register(struct ask *a)
{
	struct objects *objects = api_objects(a->api);
	bool read = true;

	for (uint32_t i = 0;
	     objects != NULL && i < objects_count(objects) && read; i++)
		if (may_see(a, objects_at(objects, i)))
			read = register_line(a, objects, i);
	objects_unref(objects);
	return read;
}

/* ---- organizations ------------------------------------------------------------ */

/* What an organization has watched: its agents, which come sorted by it. */
struct watched {
	struct ask *ask;
	char owner[ACCOUNT_ORGANIZATION];
	uint64_t agents, events;
	int64_t last_seen_ns;
};

static bool
watched_line(struct watched *o)
{
	struct json_writer w;

	if (o->agents == 0)
		return true;
	json_begin(&w, &o->ask->line);
	json_open(&w, '{');
	json_key(&w, "organization");
	json_str(&w, o->owner);
	json_key(&w, "agents");
	json_uint(&w, o->agents);
	json_key(&w, "last_seen");
	json_time(&w, o->last_seen_ns);
	json_key(&w, "events");
	json_uint(&w, o->events);
	json_close(&w, '}');
	return ask_line(o->ask);
}

static bool
count_agent(void *ctx, const struct store_agent *agent)
{
	struct watched *o = ctx;
	size_t len = agent->owner.len < sizeof(o->owner) ? agent->owner.len
							 : sizeof(o->owner) - 1;

	if (strlen(o->owner) != len ||
	    memcmp(o->owner, agent->owner.ptr, len) != 0) {
		if (!watched_line(o))
			return false;
		memcpy(o->owner, agent->owner.ptr, len);
		o->owner[len] = '\0';
		o->agents = o->events = 0;
		o->last_seen_ns = 0;
	}
	o->agents++;
	o->events += agent->events;
	if (agent->last_seen_ns > o->last_seen_ns)
		o->last_seen_ns = agent->last_seen_ns;
	return true;
}

void
get_objects(struct ask *a)
{
	struct watched o = { .ask = a };
	struct error err;
	enum rc rc;

	if (!list_register(a))
		return;
	rc = store_agents(a->api->options.store, ask_owner(a), count_agent, &o,
	    &err);
	if (rc == RC_OK)
		(void)watched_line(&o);
	ask_fail(a, rc, &err);
}
