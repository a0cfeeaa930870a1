/* SPDX-License-Identifier: Apache-2.0 */
/* How the collector is: for people, and for a load balancer. */
#include "field.h"
#include "figures.h"
#include "store_answers.h"
#include "timestamp.h"

static bool
count_agent(void *ctx, const struct store_agent *agent)
{
	uint64_t *n = ctx;

	(void)agent;
	++*n;
	return true;
}

enum rc
figures_read(struct api *api, struct figures *f, struct error *err)
{
	enum rc rc;

	*f = (struct figures){ .incidents = 0 };
	api->options.status(api->options.ctx, &f->status);
	store_counters(api->options.store, &f->store);
	http_counters(api->http, &f->http);
	f->listeners = live_listeners(api->live);
	f->audit_lost = auditor_lost(api->auditor);
	rc = soc_incident_count(api->options.store, &f->incidents, err);
	if (rc == RC_OK)
		rc = store_agents(api->options.store, (struct slice){ NULL, 0 },
		    count_agent, &f->agents, err);
	return rc;
}

static void
put_number(struct json_writer *w, const char *key, uint64_t n)
{
	json_key(w, key);
	json_uint(w, n);
}

static void
open_part(struct json_writer *w, const char *key)
{
	json_key(w, key);
	json_open(w, '{');
}

const char *
figures_program(const struct program_count *p)
{
	return p->name[0] != '\0' ? p->name : "other";
}

/* What formats, names of fields and the register lack. */
static void
write_found(struct json_writer *w, const struct api_status *s)
{
	open_part(w, "fields");
	put_number(w, "known", field_count());
	put_number(w, "refused", field_refused());
	json_close(w, '}');
	open_part(w, "unparsed_by_program");
	for (size_t i = 0; i < s->n_programs; i++)
		put_number(w, figures_program(&s->programs[i]),
		    s->programs[i].n);
	json_close(w, '}');
	open_part(w, "objects");
	put_number(w, "registered", s->objects);
	put_number(w, "unmonitored", s->objects_unmonitored);
	put_number(w, "findings", s->findings);
	put_number(w, "findings_left_out", s->findings_left_out);
	json_close(w, '}');
}

static void
write_reload(struct json_writer *w, const struct api_reload *r)
{
	open_part(w, "reload");
	put_number(w, "number", r->number);
	json_key(w, "state");
	json_str(w, r->state != NULL ? r->state : "none");
	json_key(w, "message");
	json_str(w, r->message);
	json_close(w, '}');
}

static void
write_certificates(struct json_writer *w, const struct api_status *s)
{
	json_key(w, "certificates");
	json_open(w, '[');
	for (size_t i = 0; i < s->n_certificates; i++) {
		const struct api_certificate *c = &s->certificates[i];

		json_open(w, '{');
		json_key(w, "use");
		json_str(w, c->use);
		json_key(w, "file");
		json_str(w, c->path);
		json_key(w, "state");
		json_str(w, certificate_state_name(c->state));
		if (c->subject[0] != '\0') {
			json_key(w, "subject");
			json_str(w, c->subject);
		}
		if (c->expires_ns != 0) {
			json_key(w, "expires");
			json_time(w, c->expires_ns);
		}
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void
write_status(struct buf *out, const struct figures *f)
{
	const struct api_status *s = &f->status;
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "version");
	json_str(&w, PACKAGE_VERSION);
	json_key(&w, "ready");
	json_bool(&w, s->ready);
	put_number(&w, "uptime_seconds", (uint64_t)(s->uptime_ns / NS_PER_SEC));
	open_part(&w, "events");
	put_number(&w, "received", s->received);
	put_number(&w, "stored", f->store.events);
	put_number(&w, "duplicates_dropped", f->store.duplicates);
	put_number(&w, "unparsed", s->unparsed);
	json_close(&w, '}');
	write_found(&w, s);
	put_number(&w, "detections", f->store.detections);
	put_number(&w, "incidents", f->incidents);
	open_part(&w, "agents");
	put_number(&w, "known", f->agents);
	put_number(&w, "connected", s->agents_connected);
	json_close(&w, '}');
	open_part(&w, "outbox");
	put_number(&w, "pending", s->outbox_pending);
	put_number(&w, "delivered", s->outbox_delivered);
	json_close(&w, '}');
	open_part(&w, "rules");
	put_number(&w, "loaded", s->rules_loaded);
	put_number(&w, "refused", s->rules_refused);
	put_number(&w, "given_up", s->rules_given_up);
	json_close(&w, '}');
	open_part(&w, "handshakes");
	put_number(&w, "limited", s->handshakes_limited);
	put_number(&w, "api_limited", f->http.handshakes_limited);
	json_close(&w, '}');
	write_reload(&w, &s->reload);
	write_certificates(&w, s);
	open_part(&w, "correlation");
	put_number(&w, "hits", s->hits);
	put_number(&w, "groups", s->groups);
	put_number(&w, "late_hits", s->late_hits);
	put_number(&w, "evicted_hits", s->evicted_hits);
	put_number(&w, "evicted_groups", s->evicted_groups);
	put_number(&w, "shortened_hits", s->shortened_hits);
	put_number(&w, "unknown_hits", s->unknown_hits);
	put_number(&w, "unjudged_hits", s->unjudged_hits);
	json_close(&w, '}');
	open_part(&w, "store");
	put_number(&w, "merged_blocks", s->merged_blocks);
	put_number(&w, "archived_days", s->archived_days);
	put_number(&w, "removed_days", s->removed_days);
	put_number(&w, "removed_events", s->removed_events);
	json_close(&w, '}');
	open_part(&w, "log");
	put_number(&w, "commits", f->store.commits);
	put_number(&w, "correlated", s->correlated);
	json_close(&w, '}');
	json_close(&w, '}');
}

void
get_status(struct ask *a)
{
	struct figures f;
	struct error err;
	enum rc rc = figures_read(a->api, &f, &err);

	if (rc == RC_OK) {
		http_type(a->reply, 200, "application/json");
		write_status(&a->line, &f);
		(void)ask_line(a);
	}
	ask_fail(a, rc, &err);
}

void
get_store(struct ask *a)
{
	struct store_counters c;
	struct json_writer w;

	store_counters(a->api->options.store, &c);
	http_type(a->reply, 200, "application/json");
	json_begin(&w, &a->line);
	json_open(&w, '{');
	put_number(&w, "events", c.events);
	put_number(&w, "detections", c.detections);
	put_number(&w, "commits", c.commits);
	put_number(&w, "duplicates_dropped", c.duplicates);
	put_number(&w, "forgotten_marks", c.forgotten_marks);
	json_close(&w, '}');
	(void)ask_line(a);
}

void
get_store_verify(struct ask *a)
{
	answer_store_verify(a->api->options.store, a->api->options.tsa_ca,
	    a->reply);
}

void
get_store_proof(struct ask *a)
{
	answer_store_proof(a->api->options.store, a->request, a->reply);
}

/* Says nothing else: whoever asks has not logged in. */
void
get_healthz(struct ask *a)
{
	struct api_status status = { .ready = false };

	a->api->options.status(a->api->options.ctx, &status);
	http_type(a->reply, status.ready ? 200 : 503, "application/json");
	(void)buf_add_str(&a->line,
	    status.ready ? "{\"status\":\"ok\"}"
			 : "{\"error\":\"not ready yet\"}");
	(void)ask_line(a);
}

/* The text of doc/openapi.yaml, made by the build. */
extern const char openapi_text[];

void
get_openapi(struct ask *a)
{
	http_type(a->reply, 200, "application/yaml");
	(void)http_write(a->reply,
	    (struct slice){ openapi_text, strlen(openapi_text) });
}
