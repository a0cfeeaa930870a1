/* SPDX-License-Identifier: Apache-2.0 */
/* How the collector is: for Prometheus. */
#include "field.h"
#include "figures.h"
#include "timestamp.h"

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
		write_label(out, figures_program(&s->programs[i]));
		(void)buf_printf(out, "\"} %llu\n",
		    (unsigned long long)s->programs[i].n);
	}
}

static void
write_api_metrics(struct buf *out, const struct figures *f)
{
	const struct metric list[] = {
		{ "api_connections", "gauge", "HTTPS connections now.",
		  f->http.connections },
		{ "api_requests_total", "counter",
		  "Requests since the start.", f->http.requests },
		{ "api_limited_total", "counter",
		  "Requests refused as too many.", f->http.limited },
		{ "api_refused_total", "counter",
		  "Requests and connections refused otherwise.",
		  f->http.refused },
		{ "api_handshakes_limited_total", "counter",
		  "HTTPS connections of too busy addresses that were closed "
		  "before the handshake.", f->http.handshakes_limited },
		{ "handshakes_limited_total", "counter",
		  "The same of the listeners.", f->status.handshakes_limited },
		{ "api_live_listeners", "gauge",
		  "Listeners of the live stream.", f->listeners },
	};

	write_metrics(out, list, sizeof(list) / sizeof(list[0]));
}

static void
write_main_metrics(struct buf *out, const struct figures *f)
{
	const struct api_status *s = &f->status;
	const struct metric list[] = {
		{ "ready", "gauge", "Whether everything is up.", s->ready },
		{ "uptime_seconds", "gauge", "Seconds since the start.",
		  (uint64_t)(s->uptime_ns / NS_PER_SEC) },
		{ "events_received_total", "counter",
		  "Events received since the start.", s->received },
		{ "events_unparsed_total", "counter",
		  "Of them, those that no log format knows.", s->unparsed },
		{ "events_stored", "gauge", "Events in the store.",
		  f->store.events },
		{ "events_duplicates_total", "counter",
		  "Events dropped because they were stored already.",
		  f->store.duplicates },
		{ "field_names", "gauge", "Names of fields that are known.",
		  field_count() },
		{ "field_names_refused_total", "counter",
		  "Fields whose names a bound forced out.", field_refused() },
		{ "store_commits", "gauge", "Number of the last commit.",
		  f->store.commits },
		{ "store_forgotten_marks_total", "counter",
		  "Streams whose position a bound forced out.",
		  f->store.forgotten_marks },
		{ "detections", "gauge", "Detections in the store.",
		  f->store.detections },
		{ "incidents", "gauge", "Incidents in the store.",
		  f->incidents },
		{ "agents_known", "gauge", "Agents that ever sent something.",
		  f->agents },
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
		{ "rules_given_up_total", "counter",
		  "Regular expressions given up at their limit: no match.",
		  s->rules_given_up },
		{ "audit_lost_total", "counter",
		  "Accesses that the audit log had no room for.",
		  f->audit_lost },
	};

	write_metrics(out, list, sizeof(list) / sizeof(list[0]));
}
/* clang-format on */

void
get_metrics(struct ask *a)
{
	struct figures f;
	struct error err;
	enum rc rc = figures_read(a->api, &f, &err);

	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	http_type(a->reply, 200, "text/plain; version=0.0.4");
	write_main_metrics(&a->line, &f);
	write_api_metrics(&a->line, &f);
	write_correlation_metrics(&a->line, &f.status);
	write_store_metrics(&a->line, &f.status);
	write_object_metrics(&a->line, &f.status);
	write_program_metrics(&a->line, &f.status);
	(void)buf_printf(&a->line,
	    "# HELP kuzet_build_info What runs.\n"
	    "# TYPE kuzet_build_info gauge\n"
	    "kuzet_build_info{version=\"%s\"} 1",
	    PACKAGE_VERSION);
	(void)ask_line(a);
}
