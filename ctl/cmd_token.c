/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl token: what programs show to the collector. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd_account.h"
#include "json.h"

enum { BODY_MAX = 4096, TARGET_MAX = 1024 };
enum { OPT_USER = 256, OPT_NAME, OPT_SCOPE, OPT_EXPIRES, OPT_JSON };

static const char help[] =
    "usage: kuzetctl token list [--user NAME] [--json]\n"
    "       kuzetctl token add [--user NAME] --name TEXT --scope SCOPES\n"
    "                [--expires-in 90d] [--json]\n"
    "       kuzetctl token remove [--user NAME] ID\n\n"
    "Without --user they are your own.  SCOPES, by spaces: events\n"
    "searches:write incidents incidents:write agents agents:write rules\n"
    "respond rules:reload status users users:write audit self.  A token may what its\n"
    "scopes say and its user may.  Its secret is printed once.\n";

static const struct account_column columns[] = {
	{ "ID", "id", 6 },
	{ "USER", "user", 16 },
	{ "KIND", "kind", 8 },
	{ "NAME", "name", 20 },
	{ "EXPIRES", "expires", 20 },
	{ "SCOPE", "scope", 0 },
};
static const struct account_column new_columns[] = {
	{ "ID", "id", 6 },
	{ "EXPIRES", "expires", 20 },
	{ "TOKEN", "token", 0 },
};

struct token_options {
	const char *user, *name, *scope, *expires, *id;
};

static const struct option options[] = {
	{ "user", required_argument, NULL, OPT_USER },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "scope", required_argument, NULL, OPT_SCOPE },
	{ "expires-in", required_argument, NULL, OPT_EXPIRES },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int
parse(struct token_options *o, struct global_options *global, bool with_id,
    int argc, char *argv[])
{
	int c;

	*o = (struct token_options){ .user = NULL };
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case OPT_USER:
			o->user = optarg;
			break;
		case OPT_NAME:
			o->name = optarg;
			break;
		case OPT_SCOPE:
			o->scope = optarg;
			break;
		case OPT_EXPIRES:
			o->expires = optarg;
			break;
		case OPT_JSON:
			global->json = true;
			break;
		case 'h':
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc - optind != (with_id ? 1 : 0)) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	o->id = with_id ? argv[optind] : NULL;
	return -1;
}

static int
list_tokens(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct client_request request = { .method = "GET",
		.target = "/v1/me/tokens" };
	struct token_options o;
	struct buf target;
	int status = parse(&o, &own, false, argc, argv);

	if (status >= 0)
		return status;
	buf_init(&target, TARGET_MAX);
	if (o.user != NULL) {
		(void)buf_add_str(&target, "/v1/tokens");
		client_param(&target, "user",
		    (struct slice){ o.user, strlen(o.user) });
		(void)buf_add_char(&target, '\0');
		request.target = target.ptr;
	}
	status = account_ask(&own, &request, columns, "token list");
	buf_fini(&target);
	return status;
}

static int
add_token(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct client_request request = { .method = "POST",
		.target = "/v1/me/tokens" };
	struct token_options o;
	struct json_writer w;
	struct buf target, body;
	int status = parse(&o, &own, false, argc, argv);

	if (status >= 0)
		return status;
	buf_init(&target, TARGET_MAX);
	buf_init(&body, BODY_MAX);
	if (o.user != NULL) {
		target_path(&target, "/v1/users/", o.user, "/tokens");
		request.target = target.ptr;
	}
	json_begin(&w, &body);
	json_open(&w, '{');
	body_text(&w, "name", o.name);
	body_text(&w, "scope", o.scope);
	body_text(&w, "expires_in", o.expires);
	json_close(&w, '}');
	request.body = buf_slice(&body);
	status = account_ask(&own, &request, new_columns, "token add");
	buf_fini(&target);
	buf_fini(&body);
	return status;
}

/* Whosever it is, if that is allowed: else one's own. */
static int
remove_token(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct client_request request = { .method = "DELETE" };
	struct token_options o;
	struct buf target;
	int status = parse(&o, &own, true, argc, argv);

	if (status >= 0)
		return status;
	buf_init(&target, TARGET_MAX);
	target_path(&target, o.user != NULL ? "/v1/tokens/" : "/v1/me/tokens/",
	    o.id, "");
	request.target = target.ptr;
	status = account_ask(&own, &request, NULL, "token remove");
	buf_fini(&target);
	return status;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "list", list_tokens },
		{ "add", add_token },
		{ "remove", remove_token },
		{ NULL, NULL },
	};

	return family_run("token", list, help, global, argc, argv);
}

const struct command cmd_token = { "token",
	"what programs show to the collector", run };
