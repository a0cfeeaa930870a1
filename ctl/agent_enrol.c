/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_enrol.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_account.h"
#include "json.h"

enum { BODY_MAX = 8192, TARGET_MAX = 1024 };
enum {
	OPT_GROUP = 256,
	OPT_NAME,
	OPT_EXPIRES,
	OPT_USES,
	OPT_REPLACE,
	OPT_LIST,
	OPT_REMOVE,
	OPT_REASON,
	OPT_JSON,
};

/* ---- tokens --------------------------------------------------------------------- */

static const char token_help[] =
    "usage: kuzetctl agent enroll-token [--name AGENT [--replace]] [--group G]\n"
    "                [--expires 1h] [--uses 1] [--json]\n"
    "       kuzetctl agent enroll-token --list [--json]\n"
    "       kuzetctl agent enroll-token --remove ID\n\n"
    "Makes a token by which a machine becomes an agent; on that machine:\n"
    "  kuzet-agent enroll --server HOST:8443 --token TOKEN\n"
    "It is printed once, ends after an hour and is good for one machine, unless\n"
    "told otherwise (31d and 10000 at most).  With --name the collector decides\n"
    "what the agent is called; else the machine says its host name, which must\n"
    "be nobody's yet.  --replace: also if there is an agent of that name, whose\n"
    "certificates are then revoked.  --group: the agent is configured by the file\n"
    "G.yaml of agent_groups, where the machine's owner accepts it.\n"
    "--list prints those that are of use, without their secrets.\n";

static const struct account_column new_columns[] = {
	{ "ID", "id", 6 },
	{ "EXPIRES", "expires", 20 },
	{ "TOKEN", "token", 0 },
};
static const struct account_column columns[] = {
	{ "ID", "id", 6 },
	{ "AGENT", "agent", 24 },
	{ "GROUP", "group", 16 },
	{ "USES", "uses", 6 },
	{ "USED", "used", 6 },
	{ "CREATOR", "creator", 16 },
	{ "EXPIRES", "expires", 0 },
};

struct token_options {
	const char *name, *group, *expires, *uses, *remove;
	bool replace, list;
};

static const struct option token_options[] = {
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "expires", required_argument, NULL, OPT_EXPIRES },
	{ "uses", required_argument, NULL, OPT_USES },
	{ "replace", no_argument, NULL, OPT_REPLACE },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "remove", required_argument, NULL, OPT_REMOVE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void
take_option(struct token_options *o, struct global_options *global, int c)
{
	switch (c) {
	case OPT_GROUP:
		o->group = optarg;
		break;
	case OPT_NAME:
		o->name = optarg;
		break;
	case OPT_EXPIRES:
		o->expires = optarg;
		break;
	case OPT_USES:
		o->uses = optarg;
		break;
	case OPT_REPLACE:
		o->replace = true;
		break;
	case OPT_LIST:
		o->list = true;
		break;
	case OPT_REMOVE:
		o->remove = optarg;
		break;
	default:
		global->json = true;
		break;
	}
}

/* A whole number above 0; 0: it is none. */
static unsigned long
count_of(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return *text >= '0' && *text <= '9' && *end == '\0' && n <= 1000000 ? n
									    : 0;
}

static int
parse_token(struct token_options *o, struct global_options *global, int argc,
    char *argv[])
{
	int c;

	*o = (struct token_options){ .name = NULL };
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", token_options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(token_help, stdout);
			return EXIT_GOOD;
		}
		if (c == '?')
			return EXIT_USAGE;
		take_option(o, global, c);
	}
	if (optind < argc || (o->list && o->remove != NULL)) {
		(void)fputs(token_help, stderr);
		return EXIT_USAGE;
	}
	if (o->uses != NULL && count_of(o->uses) == 0) {
		(void)fprintf(stderr,
		    "kuzetctl agent enroll-token: --uses: a whole number from "
		    "1 on\n");
		return EXIT_USAGE;
	}
	return -1;
}

static void
write_token(struct buf *body, const struct token_options *o)
{
	struct json_writer w;

	json_begin(&w, body);
	json_open(&w, '{');
	body_text(&w, "agent", o->name);
	body_text(&w, "group", o->group);
	body_text(&w, "expires_in", o->expires);
	if (o->uses != NULL) {
		json_key(&w, "uses");
		json_uint(&w, count_of(o->uses));
	}
	if (o->replace) {
		json_key(&w, "replace");
		json_bool(&w, true);
	}
	json_close(&w, '}');
}

int
agent_enroll_token(const struct global_options *global, int argc, char *argv[])
{
	struct client_request request = { .method = "POST",
		.target = "/v1/enroll-tokens" };
	const struct account_column *table = new_columns;
	struct global_options own = *global;
	struct token_options o;
	struct buf target, body;
	int status = parse_token(&o, &own, argc, argv);

	if (status >= 0)
		return status;
	buf_init(&target, TARGET_MAX);
	buf_init(&body, BODY_MAX);
	if (o.remove != NULL) {
		target_path(&target, "/v1/enroll-tokens/", o.remove, "");
		request.method = "DELETE";
		request.target = target.ptr;
		table = NULL;
	} else if (o.list) {
		request.method = "GET";
		table = columns;
	} else {
		write_token(&body, &o);
		request.body = buf_slice(&body);
	}
	status = account_ask(&own, &request, table, "agent enroll-token");
	buf_fini(&target);
	buf_fini(&body);
	return status;
}

/* ---- revocation ------------------------------------------------------------------ */

static const char revoke_help[] =
    "usage: kuzetctl agent revoke AGENT [--reason TEXT]\n\n"
    "Lets the agent in no more: its connections end now, none of its\n"
    "certificates counts any more, and it cannot renew them.  It comes back\n"
    "with a token of its own: kuzetctl agent enroll-token --name AGENT.\n";

static const struct option revoke_options[] = {
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

int
agent_revoke(const struct global_options *global, int argc, char *argv[])
{
	struct client_request request = { .method = "POST" };
	const char *reason = NULL;
	struct json_writer w;
	struct buf target, body;
	int c, status;

	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", revoke_options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(revoke_help, stdout);
			return EXIT_GOOD;
		}
		if (c == '?')
			return EXIT_USAGE;
		if (c == OPT_REASON)
			reason = optarg;
	}
	if (argc - optind != 1) {
		(void)fputs(revoke_help, stderr);
		return EXIT_USAGE;
	}
	buf_init(&target, TARGET_MAX);
	buf_init(&body, BODY_MAX);
	target_path(&target, "/v1/agents/", argv[optind], "/revoke");
	json_begin(&w, &body);
	json_open(&w, '{');
	body_text(&w, "reason", reason);
	json_close(&w, '}');
	request.target = target.ptr;
	request.body = buf_slice(&body);
	status = account_ask(global, &request, NULL, "agent revoke");
	buf_fini(&target);
	buf_fini(&body);
	return status;
}
