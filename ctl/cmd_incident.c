/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl incident: one of them, and the work on it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_account.h"
#include "json.h"

enum { BODY_MAX = 64 * 1024, TARGET_MAX = 1024, ARENA_BLOCK = 16 * 1024 };
enum {
	OPT_STATUS = 256,
	OPT_REASON,
	OPT_ASSIGNEE,
	OPT_NOTE,
	OPT_REVISION,
	OPT_JSON
};

static const char help[] =
    "usage: kuzetctl incident show ID [--json]\n"
    "       kuzetctl incident update ID [--status new|open|closed]\n"
    "                [--reason TEXT] [--assignee NAME] [--note TEXT]\n"
    "                [--revision N] [--json]\n\n"
    "`show --json` tells everything, notes and revision too.  With --revision\n"
    "an update is refused if the incident has changed since; without it, it\n"
    "counts on the state of now.  --assignee '' is nobody.\n";

static const struct account_column columns[] = {
	{ "STATUS", "status", 8 },
	{ "LEVEL", "level", 13 },
	{ "ASSIGNEE", "assignee", 16 },
	{ "REVISION", "revision", 8 },
	{ "EVENTS", "events", 8 },
	{ "RULE", "rule.title", 0 },
};

struct incident_options {
	const char *id, *status, *reason, *assignee, *note, *revision;
};

static const struct option options[] = {
	{ "status", required_argument, NULL, OPT_STATUS },
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "assignee", required_argument, NULL, OPT_ASSIGNEE },
	{ "note", required_argument, NULL, OPT_NOTE },
	{ "revision", required_argument, NULL, OPT_REVISION },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int
parse(struct incident_options *o, struct global_options *global, int argc,
    char *argv[])
{
	const char **const places[] = { &o->status, &o->reason, &o->assignee,
		&o->note, &o->revision };
	int c;

	*o = (struct incident_options){ .id = NULL };
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		}
		if (c == OPT_JSON)
			global->json = true;
		else if (c >= OPT_STATUS && c <= OPT_REVISION)
			*places[c - OPT_STATUS] = optarg;
		else
			return EXIT_USAGE;
	}
	if (argc - optind != 1) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	o->id = argv[optind];
	return -1;
}

static int
show_incident(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct client_request request = { .method = "GET" };
	struct incident_options o;
	struct buf target;
	int status = parse(&o, &own, argc, argv);

	if (status >= 0)
		return status;
	buf_init(&target, TARGET_MAX);
	target_path(&target, "/v1/incidents/", o.id, "");
	request.target = target.ptr;
	status = account_ask(&own, &request, columns, "incident show");
	buf_fini(&target);
	return status;
}

static bool
take_revision(void *ctx, struct slice line)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	const struct value *v;
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) == RC_OK) {
		v = event_get(&ev, field_intern(SLICE("revision")));
		if (v != NULL && v->kind == VALUE_INT)
			*(uint64_t *)ctx = (uint64_t)v->i;
	}
	arena_free(arena);
	return true;
}

static enum rc
find_revision(const struct global_options *global,
    const struct incident_options *o, const char *target, uint64_t *out,
    struct error *err)
{
	char *end;

	if (o->revision == NULL)
		return client_get(global, target, take_revision, out, err);
	*out = strtoull(o->revision, &end, 10);
	return *end == '\0' && end != o->revision
	    ? RC_OK
	    : error_set(err, RC_INVALID, "--revision: no number");
}

static void
write_body(struct buf *body, const struct incident_options *o,
    uint64_t revision)
{
	struct json_writer w;

	json_begin(&w, body);
	json_open(&w, '{');
	json_key(&w, "revision");
	json_uint(&w, revision);
	body_text(&w, "status", o->status);
	body_text(&w, "reason", o->reason);
	body_text(&w, "assignee", o->assignee);
	body_text(&w, "note", o->note);
	json_close(&w, '}');
}

static int
update_incident(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct client_request request = { .method = "PATCH" };
	struct incident_options o;
	struct buf target, body;
	struct error err;
	uint64_t revision = 0;
	int status = parse(&o, &own, argc, argv);
	enum rc rc;

	if (status >= 0)
		return status;
	buf_init(&target, TARGET_MAX);
	buf_init(&body, BODY_MAX);
	target_path(&target, "/v1/incidents/", o.id, "");
	rc = find_revision(&own, &o, target.ptr, &revision, &err);
	if (rc == RC_OK) {
		write_body(&body, &o, revision);
		request.target = target.ptr;
		request.body = buf_slice(&body);
		status =
		    account_ask(&own, &request, columns, "incident update");
	} else {
		(void)fprintf(stderr, "kuzetctl incident update: %s\n",
		    err.text);
		status = rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
	}
	buf_fini(&target);
	buf_fini(&body);
	return status;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "show", show_incident },
		{ "update", update_incident },
		{ NULL, NULL },
	};

	return family_run("incident", list, help, global, argc, argv);
}

const struct command cmd_incident = { "incident", "work on one incident", run };
