/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "json.h"
#include "query.h"

enum { ARENA_BLOCK = 16 * 1024 };

static const char help[] =
    "usage: kuzetctl status [--json]\n\n"
    "Prints how the collector is, and until when its certificates are good.\n"
    "The exit status is 0 only when it is ready, which it is not once the\n"
    "certificate that it shows to agents (tls.certificate) has ended.\n";

struct status {
	bool json;
	bool ready, ended;
};

/* {"use","file","state","expires"} */
static void
print_certificate(struct status *s, struct slice json)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct slice use, state;
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(json, &json_limits_default, &ev, &err) == RC_OK) {
		use = event_get_string(&ev, field_intern(SLICE("use")));
		state = event_get_string(&ev, field_intern(SLICE("state")));
		s->ended = s->ended ||
		    (slice_eq(state, SLICE("ended")) &&
			slice_eq(use, SLICE("tls.certificate")));
		if (!s->json) {
			print_text(use, 36);
			(void)printf("%.*s until ", SLICE_ARG(state));
			print_cell(&ev, "expires", 0);
			(void)putchar('\n');
		}
	}
	arena_free(arena);
}

static void
print_certificates(struct status *s, const struct event *ev)
{
	const struct value *v =
	    event_get(ev, field_intern(SLICE("certificates")));
	struct arena *arena;
	struct json_reader r;

	if (v == NULL || v->kind != VALUE_JSON)
		return;
	arena = arena_new(ARENA_BLOCK);
	json_reader_init(&r, v->s, arena, JSON_DEPTH_MAX);
	if (json_next(&r) == JSON_ARRAY_BEGIN) {
		while (json_next(&r) == JSON_OBJECT_BEGIN)
			print_certificate(s, json_skip(&r));
	}
	arena_free(arena);
}

static void
print_human(const struct event *ev)
{
	static const struct {
		const char *label, *field;
	} rows[] = {
		{ "version", "version" },
		{ "ready", "ready" },
		{ "up, seconds", "uptime_seconds" },
		{ "events received since the start", "events.received" },
		{ "events stored", "events.stored" },
		{ "duplicates dropped since the start",
		    "events.duplicates_dropped" },
		{ "events not parsed since the start", "events.unparsed" },
		{ "detections", "detections" },
		{ "incidents", "incidents" },
		{ "agents known", "agents.known" },
		{ "agents connected", "agents.connected" },
		{ "handshakes refused, too many", "handshakes.limited" },
		{ "HTTPS handshakes refused, too many",
		    "handshakes.api_limited" },
		{ "incidents to publish", "outbox.pending" },
		{ "incidents published", "outbox.delivered" },
		{ "rules loaded", "rules.loaded" },
		{ "rules refused", "rules.refused" },
		{ "last reload", "reload.state" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)printf("%-36s", rows[i].label);
		print_field(ev, rows[i].field, 0);
		(void)putchar('\n');
	}
}

static bool
on_line(void *ctx, struct slice line)
{
	struct status *s = ctx;
	struct arena *arena = arena_new(ARENA_BLOCK);
	const struct value *ready;
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) == RC_OK) {
		ready = event_get(&ev, field_intern(SLICE("ready")));
		s->ready =
		    ready != NULL && ready->kind == VALUE_BOOL && ready->b;
		if (s->json)
			(void)printf("%.*s\n", SLICE_ARG(line));
		else
			print_human(&ev);
		print_certificates(s, &ev);
	}
	arena_free(arena);
	return false;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct status s = { .json = global->json };
	struct error err;
	enum rc rc;
	int status = plain_options("status", help, 0, argc, argv, &s.json);

	if (status != -1)
		return status;
	rc = client_get(global, "/v1/status", on_line, &s, &err);
	if (rc != RC_OK) {
		(void)fprintf(stderr, "kuzetctl status: %s\n", err.text);
		return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
	}
	if (!s.ready)
		(void)fprintf(stderr,
		    "kuzetctl status: the collector is not "
		    "ready%s\n",
		    s.ended ? ": its certificate (tls.certificate) has ended, "
			      "and agents refuse it: replace it and reload"
			    : " yet");
	return s.ready && fflush(stdout) == 0 ? EXIT_GOOD : EXIT_FAILED;
}

const struct command cmd_status = { "status", "print how the collector is",
	run };
