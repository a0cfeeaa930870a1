/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl agent: who sends, and how they are. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "agent_config.h"
#include "agent_enrol.h"
#include "arena.h"
#include "client.h"
#include "command.h"
#include "json.h"
#include "query.h"

enum { ARENA_BLOCK = 64 * 1024, TARGET_MAX = 4096 };

static const char help[] =
    "usage: kuzetctl agent list [--json]\n"
    "       kuzetctl agent show AGENT [--json]\n"
    "       kuzetctl agent config show|check|diff|push|key (see config "
    "--help)\n"
    "       kuzetctl agent enroll-token [OPTION...]\n"
    "       kuzetctl agent revoke AGENT [--reason TEXT]\n\n"
    "list prints every agent that ever sent or enrolled: whether it is\n"
    "connected, when something of it arrived last, what it said of itself last,\n"
    "and whether its certificate (identity) is good, and how long.\n"
    "show prints one, with its positions in the files that are behind most.\n"
    "enroll-token makes a token by which a machine becomes an agent.\n"
    "revoke lets an agent in no more, at once.  Both have a --help of their\n"
    "own.\n\n"
    "What an agent says of itself comes with its heartbeats and is kept until\n"
    "the collector ends.\n";

struct printing {
	bool json, show;
};

static void
print_row(const struct event *ev)
{
	print_field(ev, "agent", 24);
	print_field(ev, "connected", 9);
	print_time_field(ev, "last_seen");
	print_field(ev, "events", 12);
	print_field(ev, "version", 8);
	print_field(ev, "status.files.backlog_bytes", 12);
	print_field(ev, "status.memory.rss_bytes", 11);
	print_field(ev, "identity.state", 8);
	print_time_field(ev, "identity.expires");
	print_field(ev, "organization", 0);
	(void)putchar('\n');
}

static void
print_position(struct slice json)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(json, &json_limits_default, &ev, &err) == RC_OK) {
		print_field(&ev, "state", 9);
		print_field(&ev, "size", 12);
		print_field(&ev, "acked_to", 12);
		print_field(&ev, "backlog", 10);
		print_field(&ev, "lines", 10);
		print_field(&ev, "cut", 6);
		print_field(&ev, "skipped", 8);
		print_field(&ev, "path", 0);
		(void)putchar('\n');
	}
	arena_free(arena);
}

/* The objects of an array, one line each. */
static void
print_positions(const struct event *ev)
{
	const struct value *v = event_get(ev, field_intern(SLICE("positions")));
	struct arena *arena;
	struct json_reader r;

	if (v == NULL || v->kind != VALUE_JSON)
		return;
	(void)printf("\n%-9s %-12s %-12s %-10s %-10s %-6s %-8s %s\n", "STATE",
	    "SIZE", "ACKED", "BACKLOG", "LINES", "CUT", "SKIPPED", "PATH");
	arena = arena_new(ARENA_BLOCK);
	json_reader_init(&r, v->s, arena, JSON_DEPTH_MAX);
	if (json_next(&r) == JSON_ARRAY_BEGIN) {
		while (json_next(&r) == JSON_OBJECT_BEGIN)
			print_position(json_skip(&r));
	}
	arena_free(arena);
}

static void
print_all(const struct event *ev)
{
	static const struct {
		const char *label, *field;
	} rows[] = {
		{ "agent", "agent" },
		{ "organization", "organization" },
		{ "connected", "connected" },
		{ "identity", "identity.state" },
		{ "group", "identity.group" },
		{ "enrolled", "identity.enrolled" },
		{ "certificate, serial", "identity.serial" },
		{ "certificate ends", "identity.expires" },
		{ "its own certificate", "status.identity.state" },
		{ "good until", "status.identity.not_after" },
		{ "revoked", "identity.revoked" },
		{ "revoked by", "identity.revoked_by" },
		{ "revoked because", "identity.reason" },
		{ "certificate renewed", "status.identity.renewed" },
		{ "renewal fails", "status.identity.error" },
		{ "from", "peer" },
		{ "last seen", "last_seen" },
		{ "events stored", "events" },
		{ "last heartbeat", "heard" },
		{ "version", "version" },
		{ "started", "started" },
		{ "CPU, seconds", "status.cpu_seconds" },
		{ "memory, bytes", "status.memory.rss_bytes" },
		{ "memory at most, bytes", "status.memory.peak_bytes" },
		{ "events read", "status.events.read" },
		{ "events acknowledged", "status.events.acked" },
		{ "events cut", "status.events.cut" },
		{ "events sent again", "status.output.events_resent" },
		{ "connections", "status.output.connections" },
		{ "connections failed", "status.output.failures" },
		{ "bytes skipped", "status.lost.bytes_skipped" },
		{ "files dropped", "status.lost.files_dropped" },
		{ "files damaged", "status.lost.files_damaged" },
		{ "spool, events", "status.spool.events" },
		{ "spool, events dropped", "status.spool.dropped" },
		{ "spool, events refused", "status.spool.refused" },
		{ "configured by", "status.central.group" },
		{ "configuration", "status.central.version" },
		{ "what became of it", "status.central.state" },
		{ "because", "status.central.reason" },
		{ "files open", "status.files.open" },
		{ "files known", "status.files.known" },
		{ "files behind", "status.files.behind" },
		{ "bytes behind", "status.files.backlog_bytes" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (event_get(ev,
			field_intern((struct slice){ rows[i].field,
			    strlen(rows[i].field) })) == NULL)
			continue; /* it does not say so */
		(void)printf("%-24s", rows[i].label);
		print_cell(ev, rows[i].field, 0);
		(void)putchar('\n');
	}
	print_positions(ev);
}

static bool
on_line(void *ctx, struct slice line)
{
	const struct printing *p = ctx;
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (p->json)
		(void)printf("%.*s\n", SLICE_ARG(line));
	else if (json_read_event(line, &json_limits_default, &ev, &err) !=
	    RC_OK)
		(void)fprintf(stderr, "kuzetctl agent: %s\n", err.text);
	else if (p->show)
		print_all(&ev);
	else
		print_row(&ev);
	arena_free(arena);
	return true;
}

static int
ask(const struct global_options *global, const char *agent, struct printing *p)
{
	struct buf target;
	struct error err;
	enum rc rc;

	buf_init(&target, TARGET_MAX);
	(void)buf_add_str(&target, "/v1/agents");
	if (agent != NULL)
		client_param(&target, "agent",
		    (struct slice){ agent, strlen(agent) });
	(void)buf_add_char(&target, '\0');
	if (!p->json && !p->show)
		(void)printf("%-24s %-9s %-20s %-12s %-8s %-12s %-11s %-8s "
			     "%-20s %s\n",
		    "AGENT", "CONNECTED", "LAST SEEN", "EVENTS", "VERSION",
		    "BEHIND", "MEMORY", "IDENTITY", "UNTIL", "ORGANIZATION");
	rc = client_get(global, target.ptr, on_line, p, &err);
	buf_fini(&target);
	if (rc == RC_OK)
		return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_FAILED;
	(void)fprintf(stderr, "kuzetctl agent: %s\n", err.text);
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int
list_agents(const struct global_options *global, int argc, char *argv[])
{
	struct printing p = { .json = global->json };
	int status = plain_options("agent list", help, 0, argc, argv, &p.json);

	return status != -1 ? status : ask(global, NULL, &p);
}

static int
show_agent(const struct global_options *global, int argc, char *argv[])
{
	struct printing p = { .json = global->json, .show = true };
	int status = plain_options("agent show", help, 1, argc, argv, &p.json);

	return status != -1 ? status : ask(global, argv[optind], &p);
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "list", list_agents },
		{ "show", show_agent },
		{ "config", agent_config },
		{ "enroll-token", agent_enroll_token },
		{ "revoke", agent_revoke },
		{ NULL, NULL },
	};

	return family_run("agent", list, help, global, argc, argv);
}

const struct command cmd_agent = { "agent",
	"who sends, and how they are; who may", run };
