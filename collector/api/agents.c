/* SPDX-License-Identifier: Apache-2.0 */
/* Agents. */
#include <stdlib.h>

#include "api_private.h"
#include "timestamp.h"
#include "xalloc.h"

/* Those that have sent something, by name. */
struct senders {
	char **names; /* owned */
	size_t n;
};

struct agents_answer {
	struct ask *ask;
	struct senders senders;
	struct slice only; /* this one, with its positions; ptr NULL: all */
	const struct store_agent *row;
	bool found;
};

/* ---- identities -------------------------------------------------------------- */

static bool
write_certificate(void *ctx, const struct identity_certificate *c)
{
	struct json_writer *w = ctx;

	json_open(w, '{');
	json_key(w, "serial");
	json_str(w, c->certificate.serial);
	json_key(w, "sha256");
	json_str(w, c->certificate.sha256);
	json_key(w, "issued");
	json_time(w, c->issued_ns);
	json_key(w, "expires");
	json_time(w, c->certificate.not_after_ns);
	if (c->revoked_ns != 0) {
		json_key(w, "revoked");
		json_time(w, c->revoked_ns);
	}
	json_close(w, '}');
	return true;
}

static void
put_time(struct json_writer *w, const char *key, int64_t time_ns)
{
	if (time_ns == 0)
		return;
	json_key(w, key);
	json_time(w, time_ns);
}

static void
write_revocation(struct json_writer *w, const struct agent_identity *id)
{
	if (id->revoked_ns == 0)
		return;
	json_key(w, "revoked");
	json_time(w, id->revoked_ns);
	json_optional_str(w, "revoked_by", id->revoked_by);
	json_optional_str(w, "reason", id->reason);
}

/* Its certificates where `all`. */
static void
identity_write(struct ask *a, struct json_writer *w, struct slice agent,
    bool all)
{
	struct identities *ids = a->api->options.identities;
	struct agent_identity id;
	struct error err;

	if (identities_get(ids, agent, timestamp_now(), &id, &err) != RC_OK)
		return;
	json_key(w, "identity");
	json_open(w, '{');
	json_key(w, "state");
	json_str(w,
	    id.revoked_ns != 0 ? "revoked"
		: id.live > 0  ? "enrolled"
			       : "expired");
	json_optional_str(w, "group", id.group);
	put_time(w, "enrolled", id.enrolled_ns);
	put_time(w, "expires", id.last.not_after_ns);
	json_optional_str(w, "serial", id.last.serial);
	write_revocation(w, &id);
	if (all) {
		json_key(w, "certificates");
		json_open(w, '[');
		(void)identities_certificates(ids, agent, write_certificate, w,
		    &err);
		json_close(w, ']');
	}
	json_close(w, '}');
}

/* ---- agents ------------------------------------------------------------------- */

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
	put_time(&w, "last_seen", a->row->last_seen_ns);
	json_key(&w, "events");
	json_uint(&w, a->row->events);
	json_optional(&w, "version", says->version);
	json_optional(&w, "peer", says->peer);
	json_optional(&w, "started", says->started);
	json_optional(&w, "instance", says->instance);
	if (says->heard_ns != 0) {
		json_key(&w, "heard");
		json_time(&w, says->heard_ns);
	}
	identity_write(a->ask, &w, a->row->agent, a->only.ptr != NULL);
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

static bool
sender_line(void *ctx, const struct store_agent *row)
{
	struct agents_answer *a = ctx;
	struct senders *s = &a->senders;

	if ((s->n & (s->n - 1)) == 0)
		s->names = xreallocarray(s->names, s->n == 0 ? 1 : 2 * s->n,
		    sizeof(*s->names));
	s->names[s->n++] = xmemdupz(row->agent.ptr, row->agent.len);
	return agent_line(ctx, row);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One that enrolled, or was revoked, and never sent anything. */
static bool
identity_line(void *ctx, const struct agent_identity *id)
{
	struct agents_answer *a = ctx;
	const char *name = id->agent;
	const struct store_agent row = { .agent = { name, strlen(name) } };

	if (a->senders.n > 0 &&
	    bsearch(&name, a->senders.names, a->senders.n, sizeof(name),
		compare_names) != NULL)
		return true;
	return agent_line(a, &row);
}

void
get_agents(struct ask *ask)
{
	struct agents_answer a = { .ask = ask,
		.only = http_param(ask->request, "agent") };
	struct error err;
	enum rc rc = store_agents(ask->api->options.store, ask_owner(ask),
	    sender_line, &a, &err);

	/* whose they will be is known with their first event */
	if (rc == RC_OK && ask_owner(ask).ptr == NULL) {
		if (a.senders.n > 0)
			qsort(a.senders.names, a.senders.n,
			    sizeof(*a.senders.names), compare_names);
		rc = identities_list(ask->api->options.identities,
		    timestamp_now(), identity_line, &a, &err);
	}
	if (rc == RC_OK && a.only.ptr != NULL && !a.found)
		rc = error_set(&err, RC_EOF, "there is no agent \"%.*s\"",
		    (int)(a.only.len < 128 ? a.only.len : 128), a.only.ptr);
	for (size_t i = 0; i < a.senders.n; i++)
		free(a.senders.names[i]);
	free(a.senders.names);
	ask_fail(ask, rc, &err);
}
