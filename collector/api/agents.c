/* SPDX-License-Identifier: Apache-2.0 */
/* Agents. */
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
