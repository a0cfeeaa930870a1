/* SPDX-License-Identifier: Apache-2.0 */
/* Agents, and the objects that they watch. */
#include "api_private.h"

struct agents_answer {
	struct ask *ask;
	struct slice only; /* this one, with its positions; ptr NULL: all */
	const struct store_agent *row;
	bool found;
};

static void
put_text(struct json_writer *w, const char *key, struct slice text)
{
	if (text.len == 0)
		return;
	json_key(w, key);
	json_string(w, text);
}

static void
write_agent(void *ctx, const struct api_agent *says)
{
	struct agents_answer *a = ctx;
	struct json_writer w;

	json_begin(&w, &a->ask->line);
	json_open(&w, '{');
	json_key(&w, "agent");
	json_string(&w, a->row->agent);
	json_key(&w, "organization");
	json_string(&w, a->row->owner);
	json_key(&w, "connected");
	json_bool(&w, says->connected);
	json_key(&w, "last_seen");
	json_time(&w, a->row->last_seen_ns);
	json_key(&w, "events");
	json_uint(&w, a->row->events);
	put_text(&w, "version", says->version);
	put_text(&w, "peer", says->peer);
	put_text(&w, "started", says->started);
	put_text(&w, "instance", says->instance);
	if (says->heard_ns != 0) {
		json_key(&w, "heard");
		json_time(&w, says->heard_ns);
	}
	if (says->status.len > 0) {
		json_key(&w, "status");
		json_raw(&w, says->status);
	}
	if (a->only.ptr != NULL && says->positions.len > 0) {
		json_key(&w, "positions");
		json_raw(&w, says->positions);
	}
	json_close(&w, '}');
}

static bool
agent_line(void *ctx, const struct store_agent *row)
{
	struct agents_answer *a = ctx;
	const struct api_options *o = &a->ask->api->options;

	if (a->only.ptr != NULL && !slice_eq(a->only, row->agent))
		return true;
	a->found = true;
	a->row = row;
	o->agent(o->ctx, row->owner, row->agent, write_agent, a);
	return ask_line(a->ask);
}

void
get_agents(struct ask *ask)
{
	struct agents_answer a = { .ask = ask,
		.only = http_param(ask->request, "agent") };
	struct error err;
	enum rc rc = store_agents(ask->api->options.store, ask_owner(ask),
	    agent_line, &a, &err);

	if (rc == RC_OK && a.only.ptr != NULL && !a.found)
		rc = error_set(&err, RC_EOF, "there is no agent \"%.*s\"",
		    (int)(a.only.len < 128 ? a.only.len : 128), a.only.ptr);
	ask_fail(ask, rc, &err);
}

/* An organization's objects: its agents, which come sorted by it. */
struct objects {
	struct ask *ask;
	char owner[ACCOUNT_ORGANIZATION];
	uint64_t agents, events;
	int64_t last_seen_ns;
};

static bool
object_line(struct objects *o)
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
count_object(void *ctx, const struct store_agent *agent)
{
	struct objects *o = ctx;
	size_t len = agent->owner.len < sizeof(o->owner) ? agent->owner.len
							 : sizeof(o->owner) - 1;

	if (strlen(o->owner) != len ||
	    memcmp(o->owner, agent->owner.ptr, len) != 0) {
		if (!object_line(o))
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
	struct objects o = { .ask = a };
	struct error err;
	enum rc rc = store_agents(a->api->options.store, ask_owner(a),
	    count_object, &o, &err);

	if (rc == RC_OK)
		(void)object_line(&o);
	ask_fail(a, rc, &err);
}
