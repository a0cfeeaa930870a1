/* SPDX-License-Identifier: Apache-2.0 */
/* How the collector is: for people, for Prometheus, for a load balancer. */
#include "api_private.h"
#include "store_answers.h"
#include "timestamp.h"

/* Everything that is counted, from wherever it is. */
struct figures {
	struct api_status status;
	struct store_counters store;
	struct http_counters http;
	uint64_t incidents, agents, listeners, audit_lost;
};

static bool
count_agent(void *ctx, const struct store_agent *agent)
{
	uint64_t *n = ctx;

	(void)agent;
	++*n;
	return true;
}

static enum rc
read_figures(struct api *api, struct figures *f, struct error *err)
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

/* "": those without a name, and the rarest. */
static const char *
program_name(const struct program_count *p)
{
	return p->name[0] != '\0' ? p->name : "other";
}

/* What formats and the register lack. */
static void
write_found(struct json_writer *w, const struct api_status *s)
{
	open_part(w, "unparsed_by_program");
	for (size_t i = 0; i < s->n_programs; i++)
		put_number(w, program_name(&s->programs[i]), s->programs[i].n);
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
	enum rc rc = read_figures(a->api, &f, &err);

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

/* ---- metrics ----------------------------------------------------------------- */

struct metric {
	const char *name, *type, *help;
	uint64_t value;
};

/* Prometheus' text format 0.0.4. */
static void
write_metrics(struct buf *out, const struct metric *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(out,
		    "# HELP kuzet_%s %s\n# TYPE kuzet_%s %s\nkuzet_%s %llu\n",
		    list[i].name, list[i].help, list[i].name, list[i].type,
		    list[i].name, (unsigned long long)list[i].value);
}

/* clang-format off */
static void
write_store_metrics(struct buf *out, const struct api_status *s)
{
	const struct metric list[] = {
		{ "store_merged_blocks_total", "counter",
		  "Small blocks that were merged.", s->merged_blocks },
		{ "store_archived_days_total", "counter",
		  "Days that were archived.", s->archived_days },
		{ "store_removed_days_total", "counter",
		  "Days that were removed by age or disk budget.",
		  s->removed_days },
		{ "store_removed_events_total", "counter",
		  "Events that went with them.", s->removed_events },
	};

	write_metrics(out, list, sizeof(list) / sizeof(list[0]));
}

static void
write_correlation_metrics(struct buf *out, const struct api_status *s)
{
	const struct metric list[] = {
		{ "correlation_hits", "gauge",
		  "Hits that correlation holds.", s->hits },
		{ "correlation_groups", "gauge",
		  "Groups that correlation holds.", s->groups },
		{ "correlation_late_hits_total", "counter",
		  "Hits that came too late for correlation.", s->late_hits },
		{ "correlation_evicted_hits_total", "counter",
		  "Hits that a bound forced out of correlation.",
		  s->evicted_hits },
		{ "correlation_evicted_groups_total", "counter",
		  "Groups that a bound forced out of correlation.",
		  s->evicted_groups },
		{ "correlation_shortened_hits_total", "counter",
		  "Hits that were kept less long for late ones, for memory.",
		  s->shortened_hits },
		{ "correlation_unknown_hits_total", "counter",
		  "Hits of rules that correlation does not know.",
		  s->unknown_hits },
		{ "correlation_unjudged_hits_total", "counter",
		  "Hits whose windows waited too long for a source.",
		  s->unjudged_hits },
	};

	write_metrics(out, list, sizeof(list) / sizeof(list[0]));
}

static void
write_object_metrics(struct buf *out, const struct api_status *s)
{
	const struct metric list[] = {
		{ "objects_registered", "gauge", "Objects in the register.",
		  s->objects },
		{ "objects_unmonitored", "gauge",
		  "Of them, those silent beyond their time.",
		  s->objects_unmonitored },
		{ "findings_total", "counter",
		  "Findings about the register since the start.", s->findings },
		{ "findings_left_out_total", "counter",
		  "Findings that there was no room for.",
		  s->findings_left_out },
	};

	write_metrics(out, list, sizeof(list) / sizeof(list[0]));
}

/* A label's value: backslash, quote and line end are escaped. */
static void
write_label(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n') {
			(void)buf_add_str(out, "\\n");
			continue;
		}
		if (*text == '"' || *text == '\\')
			(void)buf_add_char(out, '\\');
		(void)buf_add_char(out, *text);
	}
}

static void
write_program_metrics(struct buf *out, const struct api_status *s)
{
	if (s->n_programs == 0)
		return;
	(void)buf_add_str(out,
	    "# HELP kuzet_events_unparsed_by_program_total Events that no log "
	    "format knows, by program.\n"
	    "# TYPE kuzet_events_unparsed_by_program_total counter\n");
	for (size_t i = 0; i < s->n_programs; i++) {
		(void)buf_add_str(out,
		    "kuzet_events_unparsed_by_program_total{program=\"");
		write_label(out, program_name(&s->programs[i]));
		(void)buf_printf(out, "\"} %llu\n",
		    (unsigned long long)s->programs[i].n);
	}
}

void
get_metrics(struct ask *a)
{
	struct figures f;
	struct error err;
	enum rc rc = read_figures(a->api, &f, &err);
	const struct api_status *s = &f.status;

	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	const struct metric list[] = {
		{ "ready", "gauge", "Whether everything is up.", s->ready },
		{ "uptime_seconds", "gauge", "Seconds since the start.",
		  (uint64_t)(s->uptime_ns / NS_PER_SEC) },
		{ "events_received_total", "counter",
		  "Events received since the start.", s->received },
		{ "events_unparsed_total", "counter",
		  "Of them, those that no log format knows.", s->unparsed },
		{ "events_stored", "gauge", "Events in the store.",
		  f.store.events },
		{ "events_duplicates_total", "counter",
		  "Events dropped because they were stored already.",
		  f.store.duplicates },
		{ "store_commits", "gauge", "Number of the last commit.",
		  f.store.commits },
		{ "store_forgotten_marks_total", "counter",
		  "Streams whose position a bound forced out.",
		  f.store.forgotten_marks },
		{ "detections", "gauge", "Detections in the store.",
		  f.store.detections },
		{ "incidents", "gauge", "Incidents in the store.",
		  f.incidents },
		{ "agents_known", "gauge", "Agents that ever sent something.",
		  f.agents },
		{ "agents_connected", "gauge", "Agents connected now.",
		  s->agents_connected },
		{ "outbox_pending", "gauge", "Incidents to publish.",
		  s->outbox_pending },
		{ "outbox_delivered_total", "counter", "Incidents published.",
		  s->outbox_delivered },
		{ "rules_loaded", "gauge", "Rules that run.",
		  s->rules_loaded },
		{ "rules_refused", "gauge", "Rules that were refused.",
		  s->rules_refused },
		{ "api_connections", "gauge", "HTTPS connections now.",
		  f.http.connections },
		{ "api_requests_total", "counter",
		  "Requests since the start.", f.http.requests },
		{ "api_limited_total", "counter",
		  "Requests refused as too many.", f.http.limited },
		{ "api_refused_total", "counter",
		  "Requests and connections refused otherwise.",
		  f.http.refused },
		{ "api_handshakes_limited_total", "counter",
		  "HTTPS connections of too busy addresses that were closed "
		  "before the handshake.", f.http.handshakes_limited },
		{ "handshakes_limited_total", "counter",
		  "The same of the listeners.", s->handshakes_limited },
		{ "api_live_listeners", "gauge",
		  "Listeners of the live stream.", f.listeners },
		{ "audit_lost_total", "counter",
		  "Accesses that the audit log had no room for.",
		  f.audit_lost },
	};

	http_type(a->reply, 200, "text/plain; version=0.0.4");
	write_metrics(&a->line, list, sizeof(list) / sizeof(list[0]));
	write_correlation_metrics(&a->line, s);
	write_store_metrics(&a->line, s);
	write_object_metrics(&a->line, s);
	write_program_metrics(&a->line, s);
	(void)buf_printf(&a->line,
	    "# HELP kuzet_build_info What runs.\n"
	    "# TYPE kuzet_build_info gauge\n"
	    "kuzet_build_info{version=\"%s\"} 1", PACKAGE_VERSION);
	(void)ask_line(a);
}
/* clang-format on */

/* The text of doc/openapi.yaml, made by the build. */
extern const char openapi_text[];

void
get_openapi(struct ask *a)
{
	http_type(a->reply, 200, "application/yaml");
	(void)http_write(a->reply,
	    (struct slice){ openapi_text, strlen(openapi_text) });
}
