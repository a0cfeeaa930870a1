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
    "Prints how the collector is.  The exit status is 0 only when it is ready.\n";

struct status {
	bool json;
	bool ready;
};

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
		    "ready yet\n");
	return s.ready && fflush(stdout) == 0 ? EXIT_GOOD : EXIT_FAILED;
}

const struct command cmd_status = { "status", "print how the collector is",
	run };
